"""Random orders, samples and codes that are exactly uniform, drawn from a stream that nobody can predict.

numpy's own generators are not for secrets: some outputs tell the rest. Here every draw comes from a `MaskStream`
(AES-256 in counter mode), whose key is fresh randomness of the operating system (`fresh`) or, where two parties must
draw alike, derived from a seed that they share.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from keys.randomness import KEY, MaskStream
from plans.errors import Malformed

Indices = NDArray[np.int64]
Codes = NDArray[np.uint16]

MOST_CODES = 1 << 16
_INDEX_BITS = 28
MOST_ROWS = 1 << _INDEX_BITS


def fresh() -> MaskStream:
    """Return a stream of randomness that this process alone has."""
    return MaskStream(os.urandom(KEY))


def random_order(count: int, coins: MaskStream) -> Indices:
    """Return the numbers 0 … count−1 in an order of which all are equally likely.

    They are sorted by random keys of 36 bits. Among equal keys the place would depend on the number, so those that
    are equal get fresh keys and are sorted again among themselves, until none are: that makes it exactly uniform.

    Raises:
        Malformed: more than 2^28 rows.
    """
    if count > MOST_ROWS:
        raise Malformed(f"at most {MOST_ROWS} rows can be put into another order", "rows")
    low = np.uint64(MOST_ROWS - 1)
    keyed = (coins.words(count) & ~low) | np.arange(count, dtype=np.uint64)
    keyed.sort()
    order = (keyed & low).astype(np.int64)
    keys = keyed >> np.uint64(_INDEX_BITS)
    tied = np.flatnonzero(keys[1:] == keys[:-1])
    if tied.size:
        places = np.unique(np.concatenate([tied, tied + 1]))
        order[places] = order[places][_within(keys[places], coins)]
    return order


def random_sample(count: int, size: int, without: Indices, coins: MaskStream) -> Indices:
    """Return `size` different numbers below `count`, none of them in `without`, in a uniform order.

    Args:
        without: different numbers below `count`.

    Raises:
        Malformed: there are not so many.
    """
    if size > count - without.size:
        raise Malformed("there are fewer rows than are to be drawn", "rows")
    free = np.ones(count, dtype=bool)
    free[without] = False
    if 4 * size > count - without.size:
        rest = np.flatnonzero(free)
        return rest[random_order(rest.size, coins)[:size]]
    drawn = np.empty(0, dtype=np.int64)  # few of many: draw until they are different
    while drawn.size < size:
        more = _below(count, 2 * (size - drawn.size) + 16, coins)
        drawn = np.concatenate([drawn, more[free[more]]])
        drawn = drawn[
            np.sort(np.unique(drawn, return_index=True)[1])
        ]  # the first of each, in the order drawn
    return drawn[:size]


def random_codes(size: int, shape: tuple[int, ...], coins: MaskStream) -> Codes:
    """Return numbers below `size`, at most 2^-112 from uniform: 128 random bits modulo `size`.

    Raises:
        Malformed: a code needs more than 16 bits.
    """
    if not 0 < size <= MOST_CODES:
        raise Malformed(f"a list of codes has 1 to {MOST_CODES} of them", "codes")
    words = coins.words(2 * int(np.prod(shape, dtype=np.int64))).reshape(*shape, 2)
    wide, turn = np.uint64(size), np.uint64((1 << 64) % size)
    return (((words[..., 0] % wide) * turn + words[..., 1] % wide) % wide).astype(np.uint16)


def _below(count: int, size: int, coins: MaskStream) -> Indices:
    """Return uniform numbers below `count`, exactly: those of the last, incomplete stretch are thrown away."""
    words = coins.words(size)
    most = (1 << 64) // count * count
    if most < 1 << 64:
        words = words[words < np.uint64(most)]
    return (words % np.uint64(count)).astype(np.int64)


def _within(groups: NDArray[np.uint64], coins: MaskStream) -> Indices:
    """Return an order that keeps runs of equal groups where they are and shuffles within each."""
    while True:
        keys = coins.words(groups.size)
        order = np.lexsort((keys, groups))
        if not (keys[order][1:] == keys[order][:-1]).any():
            return order
