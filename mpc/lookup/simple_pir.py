"""SimplePIR: one column of an owner's table, without saying which.

Henzinger, Hong, Corrigan-Gibbs, Meiklejohn and Vaikuntanathan, "One Server for the Price of Two: Simple and Fast
Single-Server Private Information Retrieval", USENIX Security 2023, section 4 (figure 2):

    hint      H = D·A                          once for each version; D is the table less 128, A public, from a seed
    question  u = A·s + e + (q/p)·1_column     s fresh and uniform, e discrete Gaussian
    answer    a = D·u                          the owner's work, over the whole table
    recover   a − H·s = (q/p)·D[:, column] + D·e, of which rounding leaves the column

*Parameters* are those of the paper's section 4.2, q = 2^32, σ = 6.4 and uniform secrets, but for two. The plain modulus
is p = 256 instead of the largest that is right (991 at 2^13 columns, 294 at 2^20): a byte is an element, nothing is
converted, and the noise has the more room. And n is 1,280 instead of 1,024: against that the primal attack needs blocks
of 326 by the estimate of Alkim, Ducas, Pöppelmann and Schwabe (USENIX Security 2016, section 6.3), core-SVP 2^95, which
the gate counts of today's estimators make about 2^120; against 1,280 words it needs blocks of 441, core-SVP 2^128, and
the hint is a quarter larger. `tests/mpc/test_lookup_pir.py` works both out. How many columns there are does not matter.

*Hidden* is the column by the decision problem of learning with errors: u is as good as random to who lacks s and e.
Each s answers one question (`Prepared`): two with the same s differ by the difference of their columns and small noise.

*Right* is each byte unless |D·e| reaches q/2p. Entries of D are at most 128 in size, so that D·e is subgaussian with
128·σ·√columns (`gaussian`): all bytes of a column are right but for 2^-`error_bits`, which `require_parameters` wants
to be 40 at least, as the paper does (theorem C.1, whose δ is for one element; here it is for a column).

*False answers.* A seeker accepts an answer D·u + δ only if what it recovers is the column under the table's root
(`tree`) with no more noise than an honest answer has: if δ is small in every row. A change of the table by E makes
δ = E·u, and u is as good as uniform for *every* column: every seeker notices, whatever it asked for. To make only those
of one column fail (selective failure), an owner needs E·A = 0 with E short, a solution of SIS that is harder to find
than s; or it has signed a hint of another table than that of its root. The second is what `require_version` finds: a
sealed table can be shown to anybody who shall check that.

A comes from AES-256 in counter mode with a key that follows from the public seed, as FrodoKEM makes its own (its
specification, section 2.2.3), and is never held as a whole.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keys.randomness import MaskStream
from mpc.lookup import tree
from mpc.lookup.gaussian import sample
from mpc.lookup.layout import DIMENSION, WORD, Layout
from mpc.lookup.parameters import CENTRE, ERROR_BITS, LOG_P, LOG_Q, SIGMA, require_parameters
from mpc.lookup.parameters import STEP as STEP
from mpc.lookup.parameters import error_bits as error_bits
from mpc.lookup.product import centred, combine, times, times_many
from mpc.lookup.table import TableRecord
from plans.errors import EvidenceBroken, HashMismatch, LinkBroken, Malformed, StateConflict

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint32]

_PIECE = 16  # rows of the public matrix, transposed, at a time


def make_hint(record: TableRecord, matrix: Bytes, threads: int = 0) -> Words:
    """Return the hint H = (D − 128)·A mod q, `[height × 1280]`.

    Args:
        record: of the table.
        matrix: D, `[height × columns]`.
        threads: for the product; 0 for as many as there are processors.

    Raises:
        TooLarge: see `require_parameters`.
    """
    require_parameters(record.layout)
    hint = np.empty((len(matrix), DIMENSION), dtype=np.uint32)
    for start, rows in _public_rows(record):
        hint[:, start : start + len(rows)] = centred(times_many(matrix, rows, threads), rows)
    return hint


def hint_digest(record: TableRecord, hint: Words) -> str:
    """Return what the table's record says of its hint."""
    start = hashlib.sha256(b"darkroom/v1/lookup/hint/" + bytes.fromhex(record.name + record.seed))
    start.update(np.ascontiguousarray(hint.astype("<u4", copy=False)).data.cast("B"))
    return start.hexdigest()


def require_version(record: TableRecord, matrix: Bytes, threads: int = 0) -> None:
    """Check that root and hint of a record are those of one table: for an auditor, who is given the sealed table.

    Raises:
        LinkBroken: the table has another shape.
        HashMismatch: one of the two is not.
    """
    layout = record.layout
    if matrix.shape != (layout.height, layout.columns):
        raise LinkBroken("this table has another shape than its record says", "lookup")
    root, paths = tree.grown(np.ascontiguousarray(matrix[: layout.content].T))
    if root != record.root or (matrix[layout.content :] != paths.T).any():
        raise HashMismatch("the table is not the one of its record's root", "lookup")
    if record.hint and hint_digest(record, make_hint(record, matrix, threads)) != record.hint:
        raise HashMismatch("the hint is not that of the table under the record's root", "lookup.hint")


def read_hint(record: TableRecord, raw: bytes) -> Words:
    """Return a hint that came from the owner, or from anybody.

    Raises:
        LinkBroken: it has another size than the table's.
        HashMismatch: it is not the one that the table's record names.
    """
    layout = record.layout
    if len(raw) != layout.hint:
        raise LinkBroken(f"{len(raw):,} bytes came where the hint has {layout.hint:,}", "lookup.hint")
    hint = np.frombuffer(raw, dtype="<u4").astype(np.uint32).reshape(layout.height, DIMENSION)
    if hint_digest(record, hint) != record.hint:
        raise HashMismatch("the hint is not the one that the table's record names", "lookup.hint")
    return hint


def answer(matrix: Bytes, question: bytes, threads: int = 0) -> bytes:
    """Return the owner's answer to a question: one product with its whole table.

    Raises:
        LinkBroken: the question has another size than the table's.
    """
    height, columns = matrix.shape
    if len(question) != WORD * columns:
        raise LinkBroken(f"{len(question):,} bytes came where a question has {WORD * columns:,}", "lookup")
    words = np.frombuffer(question, dtype="<u4").astype(np.uint32)
    return centred(times(matrix, words, threads), words).astype("<u4", copy=False).tobytes()


@dataclass(slots=True)
class Prepared:
    """A secret for one question, and all of it that does not depend on what is asked. `repr` shows nothing of it."""

    _layout: Layout = field(repr=False)
    _masked: Words = field(repr=False)  # A·s + e
    _known: Words = field(repr=False)  # H·s
    _asked: bool = False
    _opened: bool = False

    @classmethod
    def of(cls, record: TableRecord, hint: Words, coins: MaskStream, threads: int = 0) -> Prepared:
        """Draw a secret.

        Args:
            record: of the table.
            hint: from `read_hint`.
            coins: the seeker's own fresh randomness.
            threads: for the products.

        Raises:
            TooLarge: see `require_parameters`.
            Malformed: the hint is not of this table's shape.
        """
        return cls.several(record, hint, 1, coins, threads)[0]

    @classmethod
    def several(
        cls, record: TableRecord, hint: Words, count: int, coins: MaskStream, threads: int = 0
    ) -> list[Prepared]:
        """Draw so many secrets, each for one question: the public matrix, most of the work, is made once for all.

        Raises:
            TooLarge, Malformed: see `of`.
        """
        layout = record.layout
        require_parameters(layout)
        if hint.shape != (layout.height, DIMENSION):
            raise Malformed("this hint is of another table", "lookup.hint")
        secrets = [coins.draw(WORD * DIMENSION).view(np.uint32) for _ in range(count)]
        masked = [sample(layout.columns, coins).view(np.uint32) for _ in range(count)]
        for start, rows in _public_rows(record):
            for words, secret in zip(masked, secrets, strict=True):
                combine(words, rows, secret[start : start + len(rows)])
        return [
            cls(layout, words, times(hint, secret, threads))
            for words, secret in zip(masked, secrets, strict=True)
        ]

    def question(self, column: int) -> bytes:
        """Return the question for a column, which is sent.

        Raises:
            StateConflict: this secret has asked before.
            Malformed: there is no such column.
        """
        if self._asked:
            raise StateConflict("this secret has asked a question before", "lookup", "Prepare a new one.")
        if not 0 <= column < self._layout.columns:
            raise Malformed("there is no such column", "lookup")
        self._asked = True
        words = self._masked
        words[column : column + 1] += np.uint32(STEP)  # as an array, which wraps around silently
        return words.astype("<u4", copy=False).tobytes()

    def recover(self, raw: bytes) -> bytes:
        """Return the column that was asked for, from its answer.

        Raises:
            StateConflict: nothing was asked with this secret, or its answer was opened before.
            LinkBroken: the answer has another size than the table's.
            EvidenceBroken: it has more noise than the answer of who follows the protocol.
        """
        if not self._asked or self._opened:
            raise StateConflict("this secret opens the answer to its own question, once", "lookup")
        if len(raw) != WORD * self._layout.height:
            raise LinkBroken(
                f"{len(raw):,} bytes came where an answer has {WORD * self._layout.height:,}", "lookup"
            )
        self._opened = True
        noisy = np.frombuffer(raw, dtype="<u4").astype(np.uint32) - self._known
        values = (noisy + np.uint32(STEP // 2)) >> np.uint32(LOG_Q - LOG_P)
        noise = (noisy - (values << np.uint32(LOG_Q - LOG_P))).view(np.int32)
        if np.abs(noise).max() > most_noise(self._layout):
            raise EvidenceBroken("an answer is noisier than an honest one can be", "lookup")
        return (values.astype(np.uint8) + np.uint8(CENTRE)).tobytes()

    def __repr__(self) -> str:
        return f"Prepared(asked={self._asked})"


def most_noise(layout: Layout) -> float:
    """Return what the noise of no byte of an honest column exceeds, but for 2^-40."""
    size = CENTRE * float(SIGMA) * math.sqrt(layout.columns)
    return size * math.sqrt(2 * math.log(2 * layout.height * 2.0**ERROR_BITS))


def _public_rows(record: TableRecord) -> Iterator[tuple[int, Words]]:
    """Yield the public matrix A `[columns × 1280]`, transposed, some rows at a time, with the number of the first."""
    columns = record.layout.columns
    key = hashlib.sha256(b"darkroom/v1/lookup/matrix/" + bytes.fromhex(record.name + record.seed)).digest()
    stream = MaskStream(key)
    piece = max(_PIECE, min(DIMENSION, (1 << 20) // columns))
    for start in range(0, DIMENSION, piece):
        count = min(piece, DIMENSION - start)
        raw = stream.draw(WORD * columns * count)
        yield start, raw.view("<u4").astype(np.uint32, copy=False).reshape(count, columns)
