"""A table and its owner for tests of hidden lookup, and affine arithmetic as an oracle of its curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keys.randomness import MaskStream
from mpc.lookup.layout import Layout, chosen
from mpc.lookup.owner import Owner
from mpc.lookup.plan import Plan, Way, planned
from mpc.lookup.seeker import Lookup, Seeker

WIDTH = 32


def coins(seed: int) -> MaskStream:
    return MaskStream(seed.to_bytes(32, "big"))


def rows(count: int, width: int = WIDTH) -> tuple[list[bytes], list[bytes]]:
    """Keys of 18 digits, and a record that belongs to each."""
    keys = [b"1501021900%08d" % at for at in range(count)]
    raw = np.random.default_rng(count).bytes(count * width)
    return keys, [raw[at * width : (at + 1) * width] for at in range(count)]


def hidden(bound: int, width: int = WIDTH, layout: Layout | None = None) -> Plan:
    """A plan by which columns are asked for without saying which, however small the table is."""
    return replace(planned(bound, width, 1 << 14), way=Way.HIDDEN, layout=layout or chosen(bound, width))


def owner(plan: Plan, count: int, seed: int = 1) -> Owner:
    return Owner.of(rows(count, plan.layout.width), plan, coins(seed))


def seeker(of: Owner) -> Seeker:
    return Seeker(of.record, of.hint.tobytes())


def granted(lookup: Lookup, of: Owner) -> Lookup:
    """The lookup, after its key was evaluated."""
    evaluation = of.evaluate(lookup.blinded)
    lookup.evaluated(evaluation.revealed(lookup.opening(evaluation.commitment)))
    return lookup


def looked_up(seeking: Seeker, of: Owner, key: bytes, seed: int = 2) -> bytes | None:
    lookup = granted(seeking.ask(key, coins(seed)), of)
    return lookup.opened(of.answer(lookup.question) if of.record.hint else of.column(lookup.place))


# ------------------------------------------------------------------- a device, of which numpy takes the place


def kept(piece: np.ndarray) -> np.ndarray:
    assert piece.dtype == np.int8
    return piece


def multiplied(piece: np.ndarray, digits: np.ndarray) -> np.ndarray:
    """What a GPU's product of bytes gives, without wrapping around: numpy checks that it fits 32 bits."""
    assert digits.dtype == np.int8 and digits.shape[1] % 8 == 0
    whole = piece.astype(np.int64) @ digits.astype(np.int64)
    assert np.abs(whole).max(initial=0) < 2**31
    return whole.astype(np.int32)


# ---------------------------------------------------- Curve25519 with both coordinates, on plain integers

P = 2**255 - 19
J = 486_662
ORDER = 2**252 + 27742317777372353535851937790883648493
Point = tuple[int, int] | None


def lifted(x: int) -> Point:
    """One of the two points with this coordinate."""
    square = x * (x * (x + J) + 1) % P
    y = pow(square, (P + 3) // 8, P)
    if y * y % P != square:
        y = y * pow(2, (P - 1) // 4, P) % P
    assert y * y % P == square
    return x, y


def added(one: Point, other: Point) -> Point:
    if one is None or other is None:
        return other if one is None else one
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % P == 0:
        return None
    top, bottom = (3 * x1 * x1 + 2 * J * x1 + 1, 2 * y1) if one == other else (y2 - y1, x2 - x1)
    slope = top * pow(bottom, -1, P) % P
    x3 = (slope * slope - J - x1 - x2) % P
    return x3, (slope * (x1 - x3) - y1) % P


def times_point(scalar: int, point: Point) -> Point:
    found: Point = None
    for bit in bin(scalar)[2:]:
        found = added(found, found)
        if bit == "1":
            found = added(found, point)
    return found


def clamped(secret: bytes) -> int:
    return int.from_bytes(secret, "little") & ~(7 | 3 << 254) | 1 << 254
