"""Encrypted inner products and cross tables between two parties whose rows stand in the same order.

    left, who holds the key ── columns x, encrypted ──► right ── Σ x_i·y_i for each pair of columns ──► left

An inner product is one coefficient of a product of polynomials: x = Σ x_i·X^i times y_0 − Σ y_i·X^(N−i) has Σ x_i·y_i
in front (as X^N = −1), and other sums of products in all other places. Blocks of N rows are added up before they are
opened, so a product of a million rows is one ciphertext, without a rotation or a key for one. The other places hold
what nobody asked for, so each gets a uniform number added before the answer leaves: the key's owner sees one number.

A cross table is inner products of indicators, 1 where a row is of the category.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mpc.encrypted import arithmetic, sealing
from mpc.encrypted.arithmetic import Numbers, Words
from mpc.encrypted.packing import Answers, Columns
from mpc.encrypted.parameters import Parameters
from plans.errors import Defect


class Right:
    """The party that holds no key, and multiplies.

    Args:
        parameters: of the plan.
        public: the key of the left party.
    """

    def __init__(self, parameters: Parameters, public: Words) -> None:
        self.parameters = parameters
        self.seal = sealing.Seal(parameters)
        self._answers = Answers(self.seal, public)

    def products(self, raw: bytes, left: Columns, right: Sequence[Numbers], cap: int) -> bytes:
        """Return an answer for each pair of columns, left by left: `[left × right]` ciphertexts of one number each.

        Args:
            raw: ciphertexts of the left party.
            left: their shape.
            right: own columns, as long.
            cap: the largest absolute value in them, as declared.

        Raises:
            LinkBroken: the bytes are no ciphertexts of this shape.
            RangeTooWide: an own number is outside the declared range.
            Defect: a column has another length.
        """
        for column in right:
            arithmetic.require_within(column, cap, "right")
            if len(column) != left.rows:
                raise Defect("both parties have as many rows", "inner.right")
        totals = [[self._start() for _ in right] for _ in range(left.columns)]
        for block in range(left.blocks):
            plains = [self._reversed(column, block) for column in right]
            for place, row in enumerate(totals):
                ciphertext = left.read(raw, self.seal, place, block)
                self.seal.evaluator.transform_to_ntt_inplace(ciphertext)
                self._add_products(row, ciphertext, plains)
        return b"".join(self._finish(total) for row in totals for total in row)

    def _reversed(self, column: Numbers, block: int) -> tuple[Any, bool]:
        """Return the polynomial of a block of a column, and whether it is not zero (the engine multiplies by none)."""
        n = self.parameters.degree
        part = column[block * n : (block + 1) * n]
        whole = np.zeros(n, dtype=np.int64)
        whole[0] = part[0]
        whole[n - len(part) + 1 :] = -part[:0:-1]
        some = bool(whole.any())
        if not some:
            whole[0] = 1
        plain = self.seal.polynomial(whole)
        self.seal.evaluator.transform_to_ntt_inplace(plain, self.seal.context.first_parms_id())
        return plain, some

    def _start(self) -> Any:
        """Return an encryption of zero in the form in which products are taken place by place."""
        total = self._answers.start()
        self.seal.evaluator.transform_to_ntt_inplace(total)
        return total

    def _add_products(self, totals: list[Any], ciphertext: Any, plains: list[tuple[Any, bool]]) -> None:
        for total, (plain, some) in zip(totals, plains, strict=True):
            made = sealing.empty()
            self.seal.evaluator.multiply_plain(ciphertext, plain, made)
            if some:
                self.seal.evaluator.add_inplace(total, made)

    def _finish(self, total: Any) -> bytes:
        self.seal.evaluator.transform_from_ntt_inplace(total)
        return self._answers.finish(total, slice(0, 1)).tobytes()


def open_products(raw: bytes, count: int, opener: sealing.Opener) -> list[int]:
    """Return the inner products. Only `key_process` calls it.

    Raises:
        LinkBroken: the bytes are no ciphertexts of this shape.
    """
    found = opener.parameters
    shape = (count, 2, len(found.moduli), found.degree)
    words = sealing.checked(raw, shape, found.primes, "right")
    return [int(arithmetic.centred(opener.decrypt(one)[:1], found.plains[0])[0]) for one in words]
