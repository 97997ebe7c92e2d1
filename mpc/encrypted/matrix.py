"""The product of one party's matrix with another's encrypted vector: baby steps and giant steps.

Row i of the result is Σ_j M[i, i+j]·x[i+j]: the j-th diagonal of M times the vector moved by j, number by number
(Halevi and Shoup, "Algorithms in HElib", CRYPTO 2014, section 4.3). With j = g·B + b, the vector is moved by
b = 0 … B−1 only (baby steps), products are added for each g, and Horner's rule moves the sum by B (giant steps):
B + G − 2 rotations in place of B·G − 1, and keys for two rotations, by 1 and by B.

The vector stands in the slots again and again, so that moving is a rotation among `size` numbers; so does the result,
and no slot holds anything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpc.encrypted import arithmetic, sealing
from mpc.encrypted.arithmetic import Numbers, Words
from mpc.encrypted.packing import Answers
from mpc.encrypted.parameters import Parameters
from plans.errors import Malformed


def spread(vector: Numbers, parameters: Parameters) -> Numbers:
    """Return a vector of a power of two of numbers, as often as it fits into the slots."""
    return np.tile(vector, parameters.degree // len(vector))


class Multiplier:
    """The matrix's owner at work.

    Args:
        parameters: of the plan.
        public: the key of the vector's owner.
        rotations: its keys of rotation, by step.
    """

    def __init__(self, parameters: Parameters, public: Words, rotations: dict[int, Words]) -> None:
        self.parameters = parameters
        self.seal = sealing.Seal(parameters)
        self._answers = Answers(self.seal, public)
        self._keys = sealing.rotation_keys(self.seal, rotations)

    def product(self, vector: Any, matrix: NDArray[np.int64], cap: int) -> bytes:
        """Return the encrypted product `[2 × primes × N]`.

        Args:
            vector: the ciphertext of a vector that was `spread`.
            matrix: `[size × size]`, size a power of two.
            cap: the largest absolute value in it, as declared.

        Raises:
            RangeTooWide: a number is outside the declared range.
            Malformed: the matrix has another form.
        """
        size = len(matrix)
        if matrix.shape != (size, size) or size & (size - 1) or 2 * size > self.parameters.degree:
            raise Malformed("a matrix is square, and its size a power of two within the slots", "matrix")
        arithmetic.require_within(matrix, cap, "matrix")
        baby = 1 << -(-(size.bit_length() - 1) // 2)
        moved = self._baby_steps(vector, baby)
        total = self._answers.start()
        last = size // baby - 1
        for giant in range(last, -1, -1):
            if giant != last:
                self.seal.evaluator.rotate_rows_inplace(total, baby, self._keys)
            part = self._part(moved, matrix, giant * baby)
            if part is not None:
                self.seal.evaluator.add_inplace(total, part)
        return self._answers.finish(total).tobytes()

    def _baby_steps(self, vector: Any, baby: int) -> list[Any]:
        """Return the vector moved by 0 … baby − 1, in the form in which products are taken place by place."""
        found, last = [], vector
        for step in range(baby):
            if step:
                moved = sealing.empty()
                self.seal.evaluator.rotate_rows(last, 1, self._keys, moved)
                last = moved
            kept = sealing.empty()
            self.seal.evaluator.transform_to_ntt(last, kept)
            found.append(kept)
        return found

    def _part(self, moved: list[Any], matrix: NDArray[np.int64], giant: int) -> Any:
        """Return Σ_b diagonal(giant + b), moved back by `giant`, times the vector moved by b."""
        size, t = len(matrix), np.int64(self.parameters.plains[0])
        rows = np.arange(size)
        total = None
        for step, ciphertext in enumerate(moved):
            diagonal = np.roll(matrix[rows, (rows + giant + step) % size], giant)
            if not diagonal.any():
                continue
            plain = self.seal.slots((spread(diagonal, self.parameters) % t).astype(np.uint64))
            self.seal.evaluator.transform_to_ntt_inplace(plain, self.seal.context.first_parms_id())
            made = sealing.empty()
            self.seal.evaluator.multiply_plain(ciphertext, plain, made)
            if total is None:
                total = made
            else:
                self.seal.evaluator.add_inplace(total, made)
        if total is not None:
            self.seal.evaluator.transform_from_ntt_inplace(total)
        return total
