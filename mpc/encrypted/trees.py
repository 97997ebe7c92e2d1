"""Encrypted scoring by small trees: two levels, over encrypted answers to public questions.

The features' owner encrypts, for each feature and each threshold of a public list, the bit "is at least". The model's
owner picks, in secret, which bit each node asks for; the value at the leaf that a row comes to is a polynomial of its
three bits, v00 + r·(v10 − v00) + l·(v01 − v00) + r·h·(v11 − v10) − r·l·(v01 − v00), with r at the root, l and h at the
lower and the higher child. Products of two bits are added up over all trees as they are, of three polynomials each, and
relinearised once at the end of a block of rows, not once for each product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpc.encrypted import sealing
from mpc.encrypted.arithmetic import Words
from mpc.encrypted.packing import Answers, Columns
from mpc.encrypted.parameters import Parameters
from plans.errors import Malformed, RangeTooWide


@dataclass(frozen=True, slots=True)
class Tree:
    """Which bits its nodes ask for, and whole numbers at its leaves: low-low, low-high, high-low, high-high."""

    root: int
    low: int
    high: int
    leaves: tuple[int, int, int, int]

    def __repr__(self) -> str:
        return "Tree()"


class TreeScorer:
    """The model's owner at work.

    Args:
        parameters: of the plan.
        public: the key of the features' owner.
        products: its key for products of ciphertexts.
    """

    def __init__(self, parameters: Parameters, public: Words, products: Words) -> None:
        self.parameters = parameters
        self.seal = sealing.Seal(parameters)
        self._answers = Answers(self.seal, public)
        self._keys = sealing.relinearisation_keys(self.seal, products)

    def score(
        self, raw: bytes, columns: Columns, model: Sequence[Tree], cap: int, constant: int = 0
    ) -> bytes:
        """Return the encrypted sums of leaves, row by row.

        Args:
            raw: ciphertexts of bits.
            columns: their shape.
            model: trees within the plan's number.
            cap: the declared largest absolute value of a leaf.
            constant: what is added to every row.

        Raises:
            RangeTooWide: a leaf is outside.
            Malformed: a node asks for a bit that is not there, or the same bit twice over.
            LinkBroken: the bytes are no ciphertexts of this shape.
        """
        for tree in model:
            if any(abs(leaf) > cap for leaf in tree.leaves):
                raise RangeTooWide("a leaf is outside the declared range", "model.leaves")
            if not all(0 <= bit < columns.columns for bit in (tree.root, tree.low, tree.high)):
                raise Malformed("a node asks for a bit that no column is", "model.trees")
        parts = []
        for block in range(columns.blocks):
            bits = [columns.read(raw, self.seal, column, block) for column in range(columns.columns)]
            plus = np.zeros(self.parameters.degree, dtype=np.int64)
            lowest = constant + sum(tree.leaves[0] for tree in model)
            plus[: columns.rows - block * self.parameters.degree] = lowest
            parts.append(self._answers.finish(self._block(bits, model), None, plus).tobytes())
        return b"".join(parts)

    def _block(self, bits: list[Any], model: Sequence[Tree]) -> Any:
        total = self._answers.start()
        for tree in model:
            low_low, low_high, high_low, high_high = tree.leaves
            for bit, factor in ((tree.root, high_low - low_low), (tree.low, low_high - low_low)):
                self._add(total, bits[bit], factor)
            for bit, factor in ((tree.high, high_high - high_low), (tree.low, low_low - low_high)):
                made = sealing.empty()
                self.seal.evaluator.multiply(bits[tree.root], bits[bit], made)
                self._add(total, made, factor)
        if total.size() == 3:
            self.seal.evaluator.relinearize_inplace(total, self._keys)
        return total

    def _add(self, total: Any, ciphertext: Any, factor: int) -> None:
        """Add factor · ciphertext; a factor costs the same time whatever it is."""
        made = sealing.empty()
        self.seal.evaluator.multiply_plain(ciphertext, self.seal.scalar(abs(factor) or 1), made)
        self.seal.add_signed(total, made, factor)
