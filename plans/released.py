"""The released table: what a recipient finds after opening a release.

Every value is text, so that it means the same to everybody: whole numbers and decimals in plain notation,
dates as `YYYY-MM-DD`, truth as `true` and `false`. A cell that was *suppressed* is not a cell that has *no
value*: the first says that the airlock withholds a figure, the second that the data have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.record import Record


@dataclass(frozen=True, slots=True)
class Cell(Record):
    """One cell: its value `v` as text, or none where the data have no value, or suppressed."""

    v: str | None
    suppressed: bool

    def check(self) -> None:
        if self.suppressed and self.v is not None:
            raise Malformed("a suppressed cell shows no value", "released.cell")


SUPPRESSED = Cell(None, True)
"""The cell that says that a figure is withheld, and nothing else."""


@dataclass(frozen=True, slots=True)
class ReleasedColumn(Record):
    """A column: the member's name for it and its DuckDB type (the type before rounding)."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Note(Record):
    """A rule that was applied to the table, and the sentence for its reader. It depends on no row."""

    rule: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Released(Record):
    """A table as it leaves. `salt` is 128 random bits in hex, so that the digest is a commitment that nobody
    can guess.
    """

    KIND: ClassVar[str] = "released"

    plan: str
    columns: tuple[ReleasedColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[Note, ...]
    salt: str

    def check(self) -> None:
        names.require("digest", self.plan, "released.plan")
        names.require("nonce", self.salt, "released.salt")
        if any(len(row) != len(self.columns) for row in self.rows):
            raise Malformed("a row has another number of cells than the table has columns", "released.rows")
