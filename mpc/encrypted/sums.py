"""Encrypted sums: many holders encrypt under the key of one party, one without a key adds up, one decrypts once.

    holder ── numbers, encrypted ──► collector ── the sum of ciphertexts ──► key's owner ── totals

The collector sees ciphertexts only. The key's owner gets one ciphertext of totals: the holders' own ciphertexts never
reach it, and if the two put together what they have, they know everybody's numbers. That pair is printed in the plan.

What the key's owner can see beside the totals is their noise. With one plain modulus that is the sum of the holders'
fresh noises, which depends on no number (`bounds.is_plain_in_place`). Where numbers are so wide that they need several
plain moduli, encoding rounds, and the collector adds noise that hides all of it but 2^−40 for each coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpc.encrypted import arithmetic, sealing
from mpc.encrypted.arithmetic import Numbers, Words
from mpc.encrypted.numbers import joined
from mpc.encrypted.parameters import Parameters
from plans.errors import EvidenceBroken, Malformed


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a vector of `count` numbers in ciphertexts: `[plain moduli × blocks × 2 × primes × N]` words."""

    parameters: Parameters
    count: int

    @property
    def whole(self) -> tuple[int, int, int, int, int]:
        """The shape of all coefficients."""
        found = self.parameters
        return (
            len(found.plain_moduli), found.blocks(self.count), 2, len(found.moduli), found.degree,
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Bytes of all coefficients."""
        return int(np.prod(self.whole, dtype=np.int64)) * 8

    def read(self, raw: bytes | memoryview, where: str) -> Words:
        """Return another party's coefficients, each looked at. Raises `LinkBroken` (see `sealing.checked`)."""
        return sealing.checked(raw, self.whole, self.parameters.primes, where)


class Holder:
    """One who encrypts under another's public key.

    Args:
        parameters: of the plan.
        public: the key, `[2 × (primes + 1) × N]`, as `sealing.checked` read it.
    """

    def __init__(self, parameters: Parameters, public: Words) -> None:
        self.parameters = parameters
        self.seal = sealing.Seal(parameters)
        self._encryptor = sealing.public_encryptor(self.seal, public)

    def encrypt(self, numbers: Numbers | list[int], cap: int) -> bytes:
        """Return the ciphertexts of signed numbers.

        Args:
            numbers: an array of whole numbers of 64 bits, or a list of any.
            cap: the largest absolute value, as declared.

        Raises:
            RangeTooWide: a number is outside, or more than the parameters hold.
            Malformed: there are no numbers.
        """
        if len(numbers) == 0:
            raise Malformed("there is nothing to encrypt", "holder")
        if cap > self.parameters.largest:
            raise Malformed("the declared range is wider than the parameters of the plan", "holder.cap")
        arithmetic.require_within(numbers, cap, "holder.numbers")
        shape = Shape(self.parameters, len(numbers))
        made = np.empty(shape.whole, dtype=np.uint64)
        for place, t in enumerate(self.parameters.plains):
            padded = np.zeros(shape.whole[1] * self.parameters.degree, dtype=np.int64)
            padded[: len(numbers)] = _residues(numbers, t)
            for block, values in enumerate(padded.reshape(shape.whole[1], -1)):
                zero = sealing.fresh_zero(self.seal, self._encryptor)
                arithmetic.add_into(
                    zero[0], arithmetic.encode(self.parameters, values, place), self.parameters
                )
                made[place, block] = zero
        return made.tobytes()


def _residues(numbers: Numbers | list[int], t: int) -> Numbers:
    """Return each number modulo t, as the one of smallest absolute value."""
    if isinstance(numbers, list):
        half = t // 2
        return np.array([(number + half) % t - half for number in numbers], dtype=np.int64)
    return arithmetic.centred((numbers % np.int64(t)).astype(np.uint64), t)


def holder_encrypt(numbers: Numbers | list[int], cap: int, public: Words, parameters: Parameters) -> bytes:
    """Return the ciphertexts of a holder's numbers (`Holder.encrypt`)."""
    return Holder(parameters, public).encrypt(numbers, cap)


def collect(parts: Sequence[bytes | memoryview], count: int, parameters: Parameters) -> bytes:
    """Return the sum of the holders' ciphertexts, without a key.

    Args:
        parts: one for each holder of the plan, as it came.
        count: how many numbers each holds.
        parameters: of the plan.

    Raises:
        LinkBroken: a part has another size, or a coefficient that is not reduced.
    """
    shape = Shape(parameters, count)
    total = arithmetic.add_up(
        (shape.read(part, f"holder {number}") for number, part in enumerate(parts)), parameters
    )
    for row in total:
        for ciphertext in row:
            arithmetic.flood(ciphertext, parameters)
    return total.tobytes()


def open_total(raw: bytes | memoryview, count: int, opener: sealing.Opener) -> list[int]:
    """Return the totals. Only `key_process` calls it, for the one aggregate that a plan names.

    Raises:
        LinkBroken: the bytes are no ciphertexts of this shape.
        EvidenceBroken: they hold numbers behind the last, which nobody put there.
    """
    parameters = opener.parameters
    words = Shape(parameters, count).read(raw, "collector")
    whole = [
        np.concatenate(
            [arithmetic.centred(opener.decrypt(block, place), parameters.plains[place]) for block in row]
        )
        for place, row in enumerate(words)
    ]
    if any(row[count:].any() for row in whole):
        raise EvidenceBroken("a ciphertext holds numbers where none should be", "collector")
    opened: list[list[int]] = [row[:count].tolist() for row in whole]
    if len(opened) == 1:
        return opened[0]
    return [joined(residues, parameters.plains) for residues in zip(*opened, strict=True)]
