"""Which rows several lists of pseudonyms have in common: the part of matching that is plain bookkeeping.

Pseudonyms are uniform blocks of 16 bytes (an AES permutation, or half of a point's coordinate), so a hash table
needs no hash: some of their bits are the place. Rows of the smaller list that find their place taken go to the next
round, which uses other bits; a round is a few passes of numpy over both lists. Equality is always that of all 128
bits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plans.errors import KeyRepeated, Malformed

Blocks = NDArray[np.uint8]
Indices = NDArray[np.int64]
Words = NDArray[np.uint64]

_ROUNDS = 6
_SPARE_BITS = 2  # a table has 4 to 8 places for each row: some 12 % of the rows go to a second round
_FEW = 1000


def common_rows(lists: list[Blocks]) -> list[Indices]:
    """Return, for each list `[n × 16]`, the places of the rows that all lists have: aligned, in no certain order.

    Args:
        lists: of two or more owners; within a list no pseudonym stands twice.

    Raises:
        KeyRepeated: a list holds one pseudonym twice, as far as that was seen.
        Malformed: they are not pseudonyms: far too many share their bits.
    """
    by_size = sorted(range(len(lists)), key=lambda place: len(lists[place]))
    base = by_size[0]
    found = {base: np.arange(len(lists[base]), dtype=np.int64)}
    words = [np.ascontiguousarray(blocks).view(np.uint64) for blocks in lists]
    for other in by_size[1:]:
        rows = found[base]
        ours, theirs = _pairs(np.take(words[base], rows, axis=0), words[other])
        found = {place: indices[ours] for place, indices in found.items()}
        found[other] = theirs
    return [found[place] for place in range(len(lists))]


def _pairs(small: Words, large: Words) -> tuple[Indices, Indices]:
    """Return the places in both lists `[n × 2]` of words of the rows they have in common."""
    bits = max(len(small).bit_length() + _SPARE_BITS, 10)
    rows = np.arange(len(small), dtype=np.int32)
    ours: list[Indices] = []
    theirs: list[Indices] = []
    for turn in range(_ROUNDS):
        table = np.full(1 << bits, -1, dtype=np.int32)
        places = _places(np.take(small, rows, axis=0), turn, bits)
        table[places] = rows
        lost = table[places] != rows
        _refuse_twins(small, rows[lost], table[places[lost]])
        mine, other = _looked_up(table, small, large, turn, bits)
        ours.append(mine)
        theirs.append(other)
        rows = rows[lost]
        if not rows.size:
            break
    if rows.size > _FEW:
        raise Malformed("these are no pseudonyms: too many have the same bits", "match")
    mine, other = _one_by_one(small, rows, large)
    first, second = np.concatenate([*ours, mine]), np.concatenate([*theirs, other])
    if np.bincount(first, minlength=1).max(initial=0) > 1:
        raise KeyRepeated("a list of pseudonyms holds one twice", "match")
    return first, second


def _looked_up(
    table: NDArray[np.int32], small: Words, large: Words, turn: int, bits: int
) -> tuple[Indices, Indices]:
    """Return the pairs that this round's table knows."""
    candidates = np.take(table, _places(large, turn, bits))
    filled = np.flatnonzero(candidates >= 0)
    mine = np.take(candidates, filled)
    equal = np.take(small[:, 0], mine) == np.take(large[:, 0], filled)
    mine, filled = mine[equal], filled[equal]
    equal = np.take(small[:, 1], mine) == np.take(large[:, 1], filled)
    return mine[equal].astype(np.int64), filled[equal]


def _places(words: Words, turn: int, bits: int) -> Indices:
    """Return each row's place in the table of a round: other bits in each, of the first word and then the second."""
    word, shift = words[:, turn % 2], 64 - bits - 11 * (turn // 2)
    return ((word >> np.uint64(max(shift, 0))) & np.uint64((1 << bits) - 1)).astype(np.int64)


def _refuse_twins(small: Words, lost: NDArray[np.int32], winners: NDArray[np.int32]) -> None:
    if (np.take(small, lost, axis=0) == np.take(small, winners, axis=0)).all(axis=1).any():
        raise KeyRepeated("a list of pseudonyms holds one twice", "match")


def _one_by_one(small: Words, rows: NDArray[np.int32], large: Words) -> tuple[Indices, Indices]:
    """Return the pairs of the few rows that lost their place in every round."""
    mine = [np.empty(0, dtype=np.int64)]
    other = [np.empty(0, dtype=np.int64)]
    for row in rows.tolist():
        hits = np.flatnonzero((large == small[row]).all(axis=1))
        mine.append(np.full(hits.size, row, dtype=np.int64))
        other.append(hits)
    return np.concatenate(mine), np.concatenate(other)
