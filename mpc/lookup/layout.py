"""How a table lies: keys hashed to columns of one height, so that whoever has one column has all there is of a key.

A column holds `slots` sealed records, the empty ones filled with random bytes, and behind them the path by which it
belongs to the table's published root (`tree`). How many slots are enough is *proved* for the public bound of rows:
with n keys in m columns, a column has more than c with probability P(Bin(n, 1/m) > c), so all fit but for m times that,
which `slots_for` makes at most 1/2. Places follow from a salt that the owner draws anew until all fit: 64 salts in a
row fail with at most 2^-64. Nothing of that depends on how many rows there really are, as long as they are not more.

*Which number of columns:* a question goes up with 4 bytes for each column, an answer comes down with 4 for each byte of
a column's height, and the hint, once for each version and seeker, with 4·1280 for each. `chosen` takes the power of two
that makes the bytes of one question and its part of the hint fewest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from plans.errors import Malformed, TooLarge
from plans.record import Record

DIMENSION = 1280
"""n: words of a secret of SimplePIR; `simple_pir` says why not the paper's 1,024."""

WORD = 4  # bytes of an element modulo 2^32
TAG = 16  # bytes that sealing adds
NODE = 32  # bytes of a node of the tree
MOST_ROWS = 1 << 26
MOST_COLUMNS = 1 << 20
MOST_WIDTH = 1 << 16
LOOKUPS = 100
"""How many questions a seeker puts to one version of a table, if nobody says."""

_CHANCE = 0.5


@dataclass(frozen=True, slots=True)
class Layout(Record):
    """The public shape of a table.

    Attributes:
        bound: the public number of rows, which the real one does not exceed.
        width: bytes of a record.
        columns: a power of two.
        slots: sealed records in a column.
    """

    KIND: ClassVar[str] = "lookup-layout"

    bound: int
    width: int
    columns: int
    slots: int

    def check(self) -> None:
        """Refuse shapes that no table has.

        Raises:
            TooLarge, Malformed: see `require_size`; or the columns are no power of two, or too few slots.
        """
        require_size(self.bound, self.width)
        if not 0 < self.columns <= MOST_COLUMNS or self.columns & (self.columns - 1):
            raise Malformed(f"{self.columns:,} columns are no power of two up to {MOST_COLUMNS:,}", "lookup")
        if not 0 < self.slots <= self.bound or self.slots * self.columns < self.bound:
            raise Malformed(f"{self.slots:,} slots in a column do not fit {self.bound:,} rows", "lookup")

    @property
    def sealed(self) -> int:
        """Bytes of a sealed record."""
        return self.width + TAG

    @property
    def content(self) -> int:
        """Bytes of a column without its path."""
        return self.slots * self.sealed

    @property
    def depth(self) -> int:
        """Levels of the tree between a column and the root."""
        return self.columns.bit_length() - 1

    @property
    def height(self) -> int:
        """Bytes of a column."""
        return self.content + NODE * self.depth

    @property
    def size(self) -> int:
        """Bytes of the whole table as it is asked."""
        return self.height * self.columns

    @property
    def hint(self) -> int:
        """Bytes of the hint."""
        return WORD * DIMENSION * self.height


def require_size(bound: int, width: int) -> None:
    """Check the size of a table.

    Raises:
        Malformed: there is no row, or a record has no byte.
        TooLarge: more rows than 2^26, or longer records than 65,536 bytes.
    """
    if bound < 1 or width < 1:
        raise Malformed(f"a table of {bound:,} rows of {width:,} bytes has nothing to look up", "lookup")
    if bound > MOST_ROWS:
        raise TooLarge(f"{bound:,} rows are more than {MOST_ROWS:,}", "lookup")
    if width > MOST_WIDTH:
        raise TooLarge(f"records of {width:,} bytes are longer than {MOST_WIDTH:,}", "lookup")


def of_columns(bound: int, width: int, columns: int) -> Layout:
    """Return the layout with so many columns and as many slots as are proved to be enough.

    Raises:
        TooLarge, Malformed: see `Layout.check`.
    """
    require_size(bound, width)
    return Layout(bound, width, columns, slots_for(bound, columns))


def chosen(bound: int, width: int, lookups: int = LOOKUPS) -> Layout:
    """Return the layout with the fewest bytes for each question of a seeker who puts so many to one version.

    Raises:
        TooLarge, Malformed: see `require_size`; or there is to be no question.
    """
    require_size(bound, width)
    if lookups < 1:
        raise Malformed("at least one question is put to a table", "lookup")
    shapes = [
        of_columns(bound, width, 1 << power)
        for power in range(MOST_COLUMNS.bit_length())
        if 1 << power <= bound
    ]
    return min(shapes, key=lambda shape: bytes_for_each(shape, lookups))


def bytes_for_each(layout: Layout, lookups: int) -> float:
    """Return the bytes of a question, its answer and its part of the hint."""
    return WORD * (layout.columns + layout.height) + layout.hint / lookups


def slots_for(rows: int, columns: int) -> int:
    """Return the fewest slots that so many rows, placed at random, are proved to need in half of all cases at most."""
    if columns == 1:
        return rows
    mean = rows / columns
    low, high = math.ceil(mean), rows  # what is enough, and stays so upwards, is found by halving
    while low < high:
        middle = (low + high) // 2
        if columns * math.exp(overflow(rows, columns, middle)) <= _CHANCE:
            high = middle
        else:
            low = middle + 1
    return low


def overflow(rows: int, columns: int, slots: int) -> float:
    """Return the logarithm of a bound of P(Bin(rows, 1/columns) > slots), 0 where there is none.

    For k above the mean the terms of the distribution fall at least as fast as a geometric series from k on: with the
    ratio r = (n − k)·p / ((k + 1)·(1 − p)) < 1 of the first two, the tail is at most its first term / (1 − r) (Feller,
    An Introduction to Probability Theory, volume 1, section VI.3).
    """
    least = slots + 1  # of the outcomes that do not fit
    if least > rows:
        return -math.inf
    p = 1 / columns
    ratio = (rows - least) * p / ((least + 1) * (1 - p))
    if ratio >= 1:
        return 0.0
    first = (
        math.lgamma(rows + 1)
        - math.lgamma(least + 1)
        - math.lgamma(rows - least + 1)
        + least * math.log(p)
        + (rows - least) * math.log1p(-p)
    )
    return min(0.0, first - math.log1p(-ratio))
