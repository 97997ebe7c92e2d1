"""Oblivious evaluation of keys: the owner of a table raises a point to its exponent, and does not see of which key.

2HashDH of Jarecki, Kiayias and Krawczyk (ASIACRYPT 2014, section 3): F(k, key) = H2(key, H1(key)^k). The seeker sends
H1(key)^b for a fresh uniform b, gets it to the power of k back, and takes the power 1/b. To the owner the blinded point
is a uniform element of the group whatever the key is: what hides the key here is no assumption, but counting. To the
seeker F is a random function of which each evaluation gives one value (one-more gap Diffie–Hellman, H1 and H2 random
oracles).

It is the base mode of RFC 9497 (section 3.3.1) with its final hash, over a group that the RFC does not list:
x-coordinates of Curve25519 in its subgroup of prime order ℓ, because exponentiations of whole tables exist for them
(`keys.exchange`, `keys.ladder`). Three things must be seen to:

- *An x-coordinate stands for P and −P.* [k](−P) = −[k]P, so exponents act on pairs ±P, commute, and can be undone: the
  group modulo ±1 is all that 2HashDH uses.
- *Clamped exponents (RFC 7748, section 5) cannot undo one another:* only half of all residues modulo ℓ have one. The
  owner's exponent is clamped, since nobody undoes it. The seeker's are not, and uniform: a ladder of our own on whole
  numbers (`_raised`), compared in the tests with OpenSSL and with affine arithmetic.
- *The cofactor.* The seeker's first exponent is 8·r and its second a multiple of 8 too, so that whatever small part
  somebody's point has is gone; the owner's is a multiple of 8 because it is clamped.

*What comes from others is checked*: length, on the curve and not on its twist, not of small order.

*Another exponent than the table's* would make every answer "absent" or tell seekers apart. With the seeker's key
therefore go `CHECKS` keys that everybody knows and whose outputs the table's record commits to, blinded likewise and in
a secret order. Who evaluates one of four otherwise is found out unless it guesses the right one, with probability 3/4
each time; who evaluates all otherwise, always. But a seeker might send four keys of its own, and have four evaluations
for one grant. So the owner first *commits* to what it evaluated, then the seeker says which were the check keys and
shows their blinding, and only when the owner has found them so it reveals what it committed to:

    seeker   blinded points             `Question.blinded`
    owner    a commitment               `Evaluation.commitment`
    seeker   which is its own, and the blinding of the others          `Question.opening`
    owner    the evaluated points       `Evaluation.revealed`, if the others are the check keys

The blinding of the check keys says nothing of that of the key. (The mode of RFC 9497 with a proof finds out always, and
in one turn. It needs whole points, and the owner's secret in arithmetic whose time depends on it; ours is OpenSSL's.)

GMP's times depend on numbers: here on b, which is uniform, fresh, and used once in the seeker's own box.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import gmpy2
import numpy as np
from numpy.typing import NDArray

from keys.exchange import POINT, SUITE, Exponent, encode, on_curve
from keys.exchange_pool import ExchangePool
from keys.randomness import MaskStream
from mpc.lookup.parameters import CHECKS, COMMITMENT, OPENING, POINTS, REVEALED
from plans.errors import EvidenceBroken, LinkBroken, Malformed, StateConflict

Bytes = NDArray[np.uint8]

BLOCK = 32  # bytes of a hashed key
OUTPUT = 64  # bytes of an output: 32 of a sealing key, 16 that say the place, 16 that nothing uses
LONGEST_KEY = 1024

_P = gmpy2.mpz(2**255 - 19)
_A24 = gmpy2.mpz(121_665)
_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 7748, section 4.1
_COFACTOR = 8
_SCALAR = 32  # bytes of a number below the order
_SCALAR_BITS = 256
_NONCE = REVEALED - POINTS
_PIECE = 1 << 15  # rows hashed at a time


def blocks_of(keys: Sequence[bytes]) -> Bytes:
    """Return keys of any length as rows of 32 bytes, different keys as different rows (SHA-256).

    Raises:
        Malformed: a key is empty or longer than 1,024 bytes; how many are is said, not which.
    """
    wrong = sum(not 0 < len(key) <= LONGEST_KEY for key in keys)
    if wrong:
        raise Malformed(f"{wrong:,} keys are empty or longer than {LONGEST_KEY:,} bytes", "lookup.keys")
    joined = b"".join([hashlib.sha256(b"key/" + key).digest() for key in keys])
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, BLOCK)


def outputs(exponent: Exponent, blocks: Bytes, table: str, workers: int = 1) -> Bytes:
    """Return F of hashed keys `[n × 32]` under the owner's exponent, `[n × 64]`: for a whole table.

    Args:
        exponent: the owner's, drawn for this table.
        blocks: from `blocks_of`.
        table: the table's name; the same key has another output under another name.
        workers: threads for long lists.
    """
    with ExchangePool(exponent, workers, len(blocks)) as pool:
        points = pool.of_identifiers(blocks, _tag(table))
    found = np.empty((len(blocks), OUTPUT), dtype=np.uint8)
    for start in range(0, len(blocks), _PIECE):
        rows = zip(blocks[start : start + _PIECE], points[start : start + _PIECE], strict=True)
        joined = b"".join([_finalised(block.tobytes(), point.tobytes()) for block, point in rows])
        found[start : start + _PIECE] = np.frombuffer(joined, dtype=np.uint8).reshape(-1, OUTPUT)
    return found


def check_digests(exponent: Exponent, table: str) -> tuple[str, ...]:
    """Return the digests of the check keys' outputs, for the table's record."""
    return tuple(_check_digest(row.tobytes()) for row in outputs(exponent, _check_blocks(), table))


@dataclass(slots=True)
class Evaluation:
    """The owner's part of one question: one grant. What is evaluated is shown once, and not in `repr`."""

    commitment: bytes
    _table: str
    _blinded: bytes = field(repr=False)
    _evaluated: bytes = field(repr=False)  # a nonce, and the points
    _revealed: bool = False

    @classmethod
    def of(cls, exponent: Exponent, table: str, blinded: bytes) -> Evaluation:
        """Raise a seeker's blinded points to the owner's exponent.

        Raises:
            LinkBroken: it is not one point and `CHECKS` more, or one is no point of the group.
        """
        evaluated = os.urandom(_NONCE) + exponent.of_points(_points(blinded)).tobytes()
        return cls(_commitment(blinded, evaluated), table, blinded, evaluated)

    def revealed(self, opening: bytes) -> bytes:
        """Return the nonce and the evaluated points.

        Args:
            opening: from `Question.opening`.

        Raises:
            StateConflict: they were revealed before.
            LinkBroken: the opening has another size or form.
            EvidenceBroken: other keys than the check keys were sent beside one: more than one grant was asked for.
        """
        if self._revealed:
            raise StateConflict("this evaluation was revealed before", "lookup")
        self._revealed = True
        place, blinds = _opening(opening)
        others = [at for at in range(CHECKS + 1) if at != place]
        points = encode(_check_blocks(), _tag(self._table))
        for at, blind, point in zip(others, blinds, points, strict=True):
            if _raised(_COFACTOR * blind, point.tobytes()) != self._blinded[POINT * at : POINT * (at + 1)]:
                raise EvidenceBroken("other keys than the check keys came beside a key", "lookup")
        return self._evaluated


@dataclass(slots=True)
class Question:
    """One key that a seeker has blinded, with the check keys beside it. It can be opened once; `repr` shows no key."""

    blinded: bytes
    _blocks: Bytes = field(repr=False)
    _blinds: list[int] = field(repr=False)
    _place: int = field(repr=False)
    _commitment: bytes = field(repr=False, default=b"")
    _opened: bool = False

    @classmethod
    def of(cls, key: bytes, table: str, coins: MaskStream) -> Question:
        """Blind a key.

        Args:
            key: what is looked up.
            table: the name of the table.
            coins: the seeker's own fresh randomness.

        Raises:
            Malformed: the key is empty or too long.
        """
        place = int(coins.words(1)[0] % np.uint64(CHECKS + 1))  # 2^64 is a multiple of 4
        blocks = np.insert(_check_blocks(), place, blocks_of([key])[0], axis=0)
        blinds = [_scalar(coins) for _ in blocks]
        points = encode(blocks, _tag(table))
        sent = [
            _raised(_COFACTOR * blind, point.tobytes()) for blind, point in zip(blinds, points, strict=True)
        ]
        return cls(b"".join(sent), blocks, blinds, place)

    def opening(self, commitment: bytes) -> bytes:
        """Return which of the points is the key's, and the blinding of the check keys.

        Args:
            commitment: of the owner, to what it evaluated.

        Raises:
            StateConflict: that was told before.
            LinkBroken: the commitment has another size.
        """
        if self._commitment:
            raise StateConflict("this question was opened before", "lookup", "Blind the key anew.")
        if len(commitment) != COMMITMENT:
            raise LinkBroken(f"{len(commitment):,} bytes came where a commitment has {COMMITMENT}", "lookup")
        self._commitment = commitment
        others = [blind for at, blind in enumerate(self._blinds) if at != self._place]
        return bytes([self._place]) + b"".join(blind.to_bytes(_SCALAR, "little") for blind in others)

    def output(self, revealed: bytes, checks: Sequence[str]) -> bytes:
        """Return F of the key, 64 bytes.

        Args:
            revealed: from `Evaluation.revealed`.
            checks: what the table's record says of the check keys.

        Raises:
            StateConflict: nothing was committed to, or this was done before.
            LinkBroken: it is not as many points as were sent, or one is no point of the group.
            EvidenceBroken: it is not what was committed to, or not under the exponent of the table.
        """
        if not self._commitment or self._opened:
            raise StateConflict("an evaluation is taken once, after its commitment", "lookup")
        points = _points(revealed[_NONCE:])
        self._opened = True
        if _commitment(self.blinded, revealed) != self._commitment:
            raise EvidenceBroken("an evaluation is another than was committed to", "lookup")
        found = [
            _finalised(block.tobytes(), _raised(_undoing(blind), point.tobytes()))
            for block, blind, point in zip(self._blocks, self._blinds, points, strict=True)
        ]
        own = found.pop(self._place)
        if [_check_digest(each) for each in found] != list(checks):
            raise EvidenceBroken("keys were evaluated under another exponent than the table's", "lookup")
        return own


def _undoing(blind: int) -> int:
    """Return the exponent that makes, of the owner's [8·blind·k]P, [k]P without what may be of small order in it."""
    return _COFACTOR * int(gmpy2.invert(_COFACTOR * _COFACTOR * blind, _ORDER))


def _commitment(blinded: bytes, evaluated: bytes) -> bytes:
    return hashlib.sha256(b"darkroom/v1/lookup/evaluated/" + blinded + evaluated).digest()


def _opening(raw: bytes) -> tuple[int, list[int]]:
    if len(raw) != OPENING or raw[0] > CHECKS:
        raise LinkBroken("what came is no opening of a question", "lookup")
    starts = range(1, OPENING, _SCALAR)
    blinds = [int.from_bytes(raw[start : start + _SCALAR], "little") for start in starts]
    if not all(0 < blind < _ORDER for blind in blinds):
        raise LinkBroken("what came is no opening of a question", "lookup")
    return raw[0], blinds


def _tag(table: str) -> bytes:
    return f"darkroom-v1/lookup/{table}-with-".encode() + SUITE


def _check_blocks() -> Bytes:
    joined = b"".join(hashlib.sha256(b"check/" + bytes([each])).digest() for each in range(CHECKS))
    return np.frombuffer(joined, dtype=np.uint8).reshape(CHECKS, BLOCK)


def _check_digest(output: bytes) -> str:
    return hashlib.sha256(b"darkroom/v1/lookup/check/" + output).hexdigest()


def _finalised(block: bytes, point: bytes) -> bytes:
    """Return the output of RFC 9497, section 3.3.1 (`Finalize`), with SHA-512."""
    lengths = len(block).to_bytes(2, "big"), len(point).to_bytes(2, "big")
    return hashlib.sha512(lengths[0] + block + lengths[1] + point + b"Finalize").digest()


def _points(raw: bytes) -> Bytes:
    if len(raw) != POINTS:
        raise LinkBroken(f"{len(raw):,} bytes came where {CHECKS + 1} points are due", "lookup")
    points = np.frombuffer(raw, dtype=np.uint8).reshape(-1, POINT)
    if not on_curve(points).all():
        raise LinkBroken("points for a lookup came that do not lie on the curve", "lookup")
    return points


def _scalar(coins: MaskStream) -> int:
    """Return a number from 1 to ℓ − 1; 512 bits make it uniform but for 2^-259."""
    return int.from_bytes(coins.draw(64).tobytes(), "little") % (_ORDER - 1) + 1


def _raised(scalar: int, point: bytes) -> bytes:
    """Return the x-coordinate of [scalar]·P: the ladder of RFC 7748, section 5, for numbers below 2^256, not clamped.

    Raises:
        LinkBroken: the product is zero: the point is of small order.
    """
    x1 = gmpy2.mpz.from_bytes(point, "little")
    x2, z2, x3, z3 = gmpy2.mpz(1), gmpy2.mpz(0), x1, gmpy2.mpz(1)
    last = 0
    for place in range(_SCALAR_BITS - 1, -1, -1):
        bit = scalar >> place & 1
        if bit != last:
            x2, z2, x3, z3 = x3, z3, x2, z2
        last = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a % _P, c * b % _P
        aa, bb = a * a % _P, b * b % _P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % _P, x1 * ((da - cb) ** 2 % _P) % _P
        x2, z2 = aa * bb % _P, e * (aa + _A24 * e) % _P
    if last:
        x2, z2 = x3, z3
    if z2 == 0 or x2 == 0:
        raise LinkBroken("points for a lookup came that are of small order", "lookup")
    return cast(bytes, (x2 * gmpy2.invert(z2, _P) % _P).to_bytes(POINT, "little"))
