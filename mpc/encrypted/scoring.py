"""Encrypted scoring: one party's model on another's features, who holds the key.

    features' owner ── columns, encrypted under its own key ──► model's owner ── scores, encrypted ──► features' owner

A column is a vector of rows, so that one weight multiplies a whole ciphertext as a number, without a product of
polynomials, a rotation or a key for either. What the features' owner decrypts is Σ w_j·x_j + b, row by row, exactly;
places behind the last row hold zero (not b), a fresh encryption of zero and noise are added, so that the ciphertext's
noise, which would be Σ w_j·e_j with errors e_j that the key's owner can find, tells nothing of the weights.

A logistic model is the same, and its curve is drawn over the score after decryption, where it is rounded.

d + 1 scores of rows in general position are d + 1 equations for the d weights and b (Tramèr et al., "Stealing Machine
Learning Models via Prediction APIs", USENIX Security 2016, section 4.1): see `key_process.ScoreTerms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpc.encrypted import sealing
from mpc.encrypted.arithmetic import Words
from mpc.encrypted.packing import Answers, Columns
from mpc.encrypted.parameters import Parameters
from plans.errors import RangeTooWide


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Whole weights, one for each column, and what is added; `cap` is the declared largest of their absolute values."""

    weights: tuple[int, ...]
    intercept: int
    cap: int

    def __post_init__(self) -> None:
        if any(abs(weight) > self.cap for weight in (*self.weights, self.intercept)):
            raise RangeTooWide("a weight is outside the declared range", "model.weights")

    def __repr__(self) -> str:
        return f"LinearModel({len(self.weights)} weights)"


class Scorer:
    """The model's owner at work.

    Args:
        parameters: of the plan.
        public: the key of the features' owner.
    """

    def __init__(self, parameters: Parameters, public: Words) -> None:
        self.parameters = parameters
        self.seal = sealing.Seal(parameters)
        self._answers = Answers(self.seal, public)

    def score(self, raw: bytes, rows: int, model: LinearModel) -> bytes:
        """Return the encrypted scores of all rows.

        Args:
            raw: ciphertexts of as many columns as the model has weights, by `Columns.encrypt`.
            rows: of each column.
            model: whose weights are within the plan's cap.

        Raises:
            LinkBroken: the bytes are no ciphertexts of this shape.
        """
        columns = Columns(self.parameters, len(model.weights), rows)
        scalars = [self.seal.scalar(abs(weight) or 1) for weight in model.weights]
        parts = []
        for block in range(columns.blocks):
            plus = np.zeros(self.parameters.degree, dtype=np.int64)
            plus[: rows - block * self.parameters.degree] = model.intercept
            total = self._weighted(raw, columns, block, list(zip(model.weights, scalars, strict=True)))
            parts.append(self._answers.finish(total, None, plus).tobytes())
        return b"".join(parts)

    def _weighted(
        self, raw: bytes, columns: Columns, block: int, model: Sequence[tuple[int, object]]
    ) -> object:
        """Return Σ w_j·c_j of one block; a weight costs the same time whatever it is."""
        total = self._answers.start()
        for column, (weight, scalar) in enumerate(model):
            ciphertext = columns.read(raw, self.seal, column, block)
            self.seal.evaluator.multiply_plain_inplace(ciphertext, scalar)
            self.seal.add_signed(total, ciphertext, weight)
        return total
