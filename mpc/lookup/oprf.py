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
therefore go `CHECKS` keys whose outputs the table's record commits to, blinded likewise and in a secret order: who
evaluates one of four differently is found out unless it guesses the right one, with probability 3/4 each time; who
evaluates all differently, always. (The mode of RFC 9497 with a proof would find out always, and needs whole points.)

GMP's times depend on numbers: here on b, which is uniform, fresh, and used once in the seeker's own box.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import gmpy2
import numpy as np
from numpy.typing import NDArray

from keys.exchange import POINT, SUITE, Exponent, encode, on_curve
from keys.exchange_pool import ExchangePool
from keys.randomness import MaskStream
from mpc.lookup.parameters import CHECKS as CHECKS
from plans.errors import EvidenceBroken, LinkBroken, Malformed, StateConflict

Bytes = NDArray[np.uint8]

BLOCK = 32  # bytes of a hashed key
OUTPUT = 64  # bytes of an output: 32 of a sealing key, 16 that say the place, 16 that nothing uses
LONGEST_KEY = 1024

_P = gmpy2.mpz(2**255 - 19)
_A24 = gmpy2.mpz(121_665)
_ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 7748, section 4.1
_COFACTOR = 8
_SCALAR_BITS = 256
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


def evaluate(exponent: Exponent, blinded: bytes) -> bytes:
    """Return a seeker's blinded points under the owner's exponent: the owner's part of one question.

    Raises:
        LinkBroken: it is not one point and `CHECKS` more, or one is no point of the group.
    """
    return exponent.of_points(_points(blinded)).tobytes()


@dataclass(slots=True)
class Question:
    """One key that a seeker has blinded, with the check keys beside it. It can be opened once; `repr` shows no key."""

    blinded: bytes
    _blocks: Bytes = field(repr=False)
    _undo: list[int] = field(repr=False)
    _place: int = field(repr=False)
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
        place = int(coins.words(1)[0] % np.uint64(CHECKS + 1))  # a bias of 2^-62 or none
        blocks = np.insert(_check_blocks(), place, blocks_of([key])[0], axis=0)
        sent, undo = [], []
        for point in encode(blocks, _tag(table)):
            blind = _scalar(coins)
            raised = _raised(_COFACTOR * blind, point.tobytes())
            sent.append(raised)
            # of the owner's answer [8r·k]P, this makes [8·8r·k / (8·8r)]P, without what may be of small order in it
            undo.append(_COFACTOR * int(gmpy2.invert(_COFACTOR * _COFACTOR * blind, _ORDER)))
        return cls(b"".join(sent), blocks, undo, place)

    def output(self, evaluated: bytes, checks: Sequence[str]) -> bytes:
        """Return F of the key, 64 bytes.

        Args:
            evaluated: what the owner made of `blinded`.
            checks: what the table's record says of the check keys.

        Raises:
            LinkBroken: it is not as many points as were sent, or one is no point of the group.
            EvidenceBroken: the owner did not use the exponent of the table.
            StateConflict: this question was opened before.
        """
        if self._opened:
            raise StateConflict("this question was opened before", "lookup", "Blind the key anew.")
        points = _points(evaluated)
        self._opened = True
        found = [
            _finalised(block.tobytes(), _raised(undo, point.tobytes()))
            for block, undo, point in zip(self._blocks, self._undo, points, strict=True)
        ]
        own = found.pop(self._place)
        if [_check_digest(each) for each in found] != list(checks):
            raise EvidenceBroken("keys were evaluated under another exponent than the table's", "lookup")
        return own


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
    if len(raw) != (CHECKS + 1) * POINT:
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
