"""How ciphertexts of columns travel and are read: by the owner of the key (with seeds), and back to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keys.randomness import MaskStream
from keys.sealing import fresh_key
from mpc.encrypted import arithmetic, sealing
from mpc.encrypted.arithmetic import Numbers, Words
from mpc.encrypted.parameters import SEED, Packing, Parameters
from plans.errors import Defect, LinkBroken, Malformed


@dataclass(frozen=True, slots=True)
class Columns:
    """Of `columns` vectors with `rows` numbers each, encrypted by the key's owner: `[columns × blocks]` ciphertexts."""

    parameters: Parameters
    columns: int
    rows: int

    @property
    def blocks(self) -> int:
        """Ciphertexts of one column."""
        return self.parameters.blocks(self.rows)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return self.columns * self.blocks * self.parameters.seeded_bytes

    def encrypt(self, opener: sealing.Opener, columns: Sequence[Numbers], cap: int) -> bytes:
        """Return the ciphertexts of signed numbers, 8 bytes for each prime of q and number.

        Raises:
            RangeTooWide: a number is outside the declared range.
            Malformed: that range is wider than what the parameters hold.
            Defect: another number of columns or rows than the plan says.
        """
        if len(columns) != self.columns or any(len(column) != self.rows for column in columns):
            raise Defect("columns are as many and as long as the plan says", "columns")
        if cap > self.parameters.largest:
            raise Malformed("the declared range is wider than the parameters of the plan", "columns.cap")
        parts = []
        for column in columns:
            arithmetic.require_within(column, cap, "columns")
            padded = np.zeros(self.blocks * self.parameters.degree, dtype=np.int64)
            padded[: self.rows] = column
            for values in padded.reshape(self.blocks, -1):
                first, seed = self._encrypt(opener, values)
                parts += [first.tobytes(), seed]
        return b"".join(parts)

    def _encrypt(self, opener: sealing.Opener, values: Numbers) -> tuple[Words, bytes]:
        if self.parameters.packing is Packing.SLOTS:
            return opener.slots(values)
        first, seed = opener.zero()
        arithmetic.add_into(first, arithmetic.encode(self.parameters, values), self.parameters)
        return first, seed

    def read(self, raw: bytes, seal: sealing.Seal, column: int, block: int) -> Any:
        """Return one ciphertext as the engine's, its coefficients looked at. Raises `LinkBroken`."""
        if len(raw) != self.size:
            raise LinkBroken(f"ciphertexts have {len(raw)} bytes where {self.size} are due", "columns")
        at = (column * self.blocks + block) * self.parameters.seeded_bytes
        end = at + self.parameters.seeded_bytes - SEED
        shape = (len(self.parameters.moduli), self.parameters.degree)
        first = sealing.checked(memoryview(raw)[at:end], shape, self.parameters.primes, "columns")
        return seal.seeded(first, raw[end : end + SEED])


class Answers:
    """How an answer is made fit to be decrypted: rounding noise, structure and everything unasked hidden.

    Args:
        seal: the engine with the plan's parameters.
        public: the key of the owner, `[2 × (primes + 1) × N]`.
    """

    def __init__(self, seal: sealing.Seal, public: Words) -> None:
        self.seal, self.parameters = seal, seal.parameters
        self._encryptor = sealing.public_encryptor(seal, public)

    def start(self) -> Any:
        """Return a fresh encryption of zero under the public key, to which every answer is added.

        It makes the answer's second polynomial uniform. It also keeps sums from vanishing: SEAL raises where a
        ciphertext becomes zero, so whoever sends the same column twice would learn whether two weights cancel.
        """
        return self.seal.ciphertext(sealing.fresh_zero(self.seal, self._encryptor))

    def finish(self, ciphertext: Any, kept: slice | None = None, plus: Numbers | None = None) -> Words:
        """Return an answer `[2 × primes × N]` of which its noise and its unasked places tell nothing.

        Args:
            ciphertext: what was computed, from `start` on.
            kept: the places that are asked for; all others get a uniform number added (None: all are asked for).
            plus: numbers that are added in the coefficients.
        """
        if ciphertext.size() != 2:
            raise Defect("an answer has two polynomials", "answers.finish")
        words = self.seal.words(ciphertext)
        if kept is not None:
            hidden = self._uniform()
            hidden[kept] = 0
            self._add(words, hidden)
        if plus is not None:
            self._add(words, plus)
        arithmetic.flood(words, self.parameters)
        return words

    def _uniform(self) -> Numbers:
        """Return uniform numbers modulo t, centred."""
        t, n = self.parameters.plains[0], self.parameters.degree
        stream = MaskStream(fresh_key())
        # 128 bits modulo t are uniform but for 2^−64.
        high, low = stream.words(n) % np.uint64(t), stream.words(n) % np.uint64(t)
        if t & (t - 1):
            high = np.array([int(word) * pow(2, 64, t) % t for word in high], dtype=np.uint64)
        else:
            high[:] = 0
        return arithmetic.centred((high + low) % np.uint64(t), t)

    def _add(self, words: Words, numbers: Numbers) -> None:
        if self.parameters.packing is Packing.SLOTS:
            made = self.seal.ciphertext(words)
            unsigned = (numbers % np.int64(self.parameters.plains[0])).astype(np.uint64)
            self.seal.evaluator.add_plain_inplace(made, self.seal.slots(unsigned))
            words[:] = self.seal.words(made)
        else:
            arithmetic.add_into(words[0], arithmetic.encode(self.parameters, numbers), self.parameters)
