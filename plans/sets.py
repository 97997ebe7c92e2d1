"""Fingerprints of sets of persons: what a disclosure ledger compares, and what boxes hand to it.

A person's *signs* are 64 values of +1 or -1, drawn by a keyed hash of the person's token: bit j of the hash says
the j-th. The fingerprint of a set is, for each j, the sum of the j-th signs of its persons, each once. For two sets
a and b the squared distance of their fingerprints, divided by 64, estimates in how many persons they differ: it is 0
for equal sets, exactly 1 where they differ in one person, and its standard deviation is below d * sqrt(2 / 64)
where they differ in d (Alon, Matias and Szegedy 1999, section 2.2). Without the key a fingerprint tells nothing.

    4 bytes   DKS4
    4 bytes   number of tables, big-endian as all that follows
    per table 4 bytes each: rows, sets per row, how many of these are weighted, how many are of chosen parts, how many
              are of enterprises, the length of what is told of them;
              patterns and computed figures as canonical JSON; rows * sets numbers of persons of 8 bytes; rows * sets
              * 64 sums of 4 bytes, signed
"""

from __future__ import annotations

import hashlib
import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plans import canonical
from plans.errors import Malformed
from plans.record import Record

SIGNS = 64
_MAGIC = b"DKS4"
SEVERAL = ":rows:"
"""Stands before what is hashed of a person with several rows."""

_HEAD = struct.Struct(">IIIIII")
_COUNT = struct.Struct(">I")

Pattern = tuple[str, ...]
"""The plain columns on which the figures about a set rest; the persons of its cell who are not in it lack a value."""


def several(signs: int, rows: int) -> int:
    """Return the signs of a person with so many rows, from the person's own: 64 bits that nobody guesses without these.

    It is DuckDB's `md5_number_lower`, which statements take (`inside.evidence`).
    """
    digest = hashlib.md5(f"{SEVERAL}{signs}:{rows}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little")


def named(column: str) -> Pattern:
    """Return how patterns name a column, `schema.table.column`: with zeros as values, and with zeros as none."""
    return column, f"{column} <> 0"


@dataclass(frozen=True, slots=True)
class Computed(Record):
    """A figure whose argument is computed: the numbers of its `sets`, 0 the cell, and all `columns` that it reads.

    It is shown where all of its sets are large. Columns are named as in patterns, in both ways.
    """

    sets: tuple[int, ...]
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sets:
    """The sets of one table: for each of its rows `per_row` sets, each with its number of persons and its fingerprint.

    `persons` has rows * per_row numbers, `prints` 64 times as many sums, both row by row. The first set of a row are
    the persons of its cell; the others are the parts of it that single figures tell apart, in the end those
    `chosen` by something computed inside a figure, as the branches of a CASE.

    Where persons have several rows, as many sets follow in the same order that are `weighted`: in them a person with
    another number of rows is another one. So they tell answers apart that rest on the same persons and on other rows
    of theirs. Where each has one row, both are the same, and there are none.

    Where the owner asks for enterprises, the last sets, in the same order, are of `enterprises`: how many there are,
    and 64 *buckets*. A keyed hash puts each enterprise into one bucket, to which it adds its rows times an odd number
    of its own, modulo 2^32. Two sets whose rows differ in d enterprises differ in at most d buckets, and in one for
    d = 1; buckets of a total or a difference are the totals and differences of buckets.

    `patterns` say of the cell, and of each part of it in order, which plain columns its figures rest on: for the cell,
    those of which everybody has a value; for a part, those that its persons have a value of and the others of the cell
    lack. A part that anything else tells apart has none. Where there are no patterns at all, nobody knows. Each stands
    for as many sets as a row has sorts of persons, which follow one another; and for the weighted ones and those of
    enterprises in the same way. `computed` are the figures to which the other parts belong.
    """

    rows: int
    per_row: int
    persons: Sequence[int]
    prints: Sequence[int]
    weighted: int = 0
    chosen: int = 0
    enterprises: int = 0
    patterns: tuple[Pattern, ...] = ()
    computed: tuple[Computed, ...] = ()

    def __post_init__(self) -> None:
        plain = self.per_row - self.enterprises - self.weighted
        if self.weighted not in (0, plain) or not 0 <= self.chosen <= max(plain, 0):
            raise Malformed("each set of persons has its weighted one, or none has", "sets")
        count = self.rows * self.per_row
        if (len(self.persons), len(self.prints)) != (count, count * SIGNS) or min(
            self.rows, self.per_row
        ) < 0:
            raise Malformed("a table has another number of sets than it says", "sets")
        if self.patterns and (plain % len(self.patterns) or self.enterprises % len(self.patterns)):
            raise Malformed("a table has patterns for other sets than its own", "sets")
        if any(not 0 <= place < len(self.patterns) for each in self.computed for place in each.sets):
            raise Malformed("a figure rests on sets that a table does not have", "sets")


def pack(tables: Sequence[Sets]) -> bytes:
    """Return sets as bytes."""
    parts = [_MAGIC, _COUNT.pack(len(tables))]
    for table in tables:
        told = canonical.encode(_told(table))
        kinds = (table.weighted, table.chosen, table.enterprises)
        parts += [
            _HEAD.pack(table.rows, table.per_row, *kinds, len(told)),
            told,
            _bytes("Q", table.persons),
            _bytes("i", table.prints),
        ]
    return b"".join(parts)


def unpack(content: bytes) -> tuple[Sets, ...]:
    """Return the sets in `content`.

    Raises:
        Malformed: these are not bytes that `pack` writes.
    """
    if content[:4] != _MAGIC or len(content) < 8:
        raise Malformed("these are no sets", "sets")
    tables, start = [], 8
    for _ in range(_COUNT.unpack_from(content, 4)[0]):
        if len(content) < start + _HEAD.size:
            raise Malformed("the sets end too early", "sets")
        rows, per_row, weighted, chosen, enterprises, length = _HEAD.unpack_from(content, start)
        count, start = rows * per_row, start + _HEAD.size + length
        told = _patterns(content[start - length : start])
        middle, end = start + 8 * count, start + (8 + 4 * SIGNS) * count
        if len(content) < end:
            raise Malformed("the sets end too early", "sets")
        persons, prints = _array("Q", content[start:middle]), _array("i", content[middle:end])
        tables.append(Sets(rows, per_row, persons, prints, weighted, chosen, enterprises, *told))
        start = end
    if start != len(content):
        raise Malformed("something follows the sets", "sets")
    return tuple(tables)


def _told(table: Sets) -> dict[str, Any]:
    computed = [each.plain() for each in table.computed]
    return {"patterns": [list(pattern) for pattern in table.patterns], "computed": computed}


def _patterns(content: bytes) -> tuple[tuple[Pattern, ...], tuple[Computed, ...]]:
    told: Any = canonical.decode(content)
    if not isinstance(told, dict) or told.keys() != {"patterns", "computed"}:
        raise Malformed("of a table are told its patterns and computed figures", "sets")
    patterns, computed = told["patterns"], told["computed"]
    if (
        not isinstance(patterns, list)
        or not isinstance(computed, list)
        or not all(
            isinstance(each, list) and all(isinstance(word, str) for word in each) for each in patterns
        )
    ):
        raise Malformed("the patterns of a table are lists of columns", "sets")
    return tuple(tuple(each) for each in patterns), tuple(Computed.read(each) for each in computed)


def _bytes(code: str, numbers: Sequence[int]) -> bytes:
    made = array(code, numbers)
    if sys.byteorder == "little":
        made.byteswap()
    return made.tobytes()


def _array(code: str, content: bytes) -> array[int]:
    made = array(code)
    made.frombytes(content)
    if sys.byteorder == "little":
        made.byteswap()
    return made
