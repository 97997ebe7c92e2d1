"""Tables drawn as text, read and written.

    person | region | income
    1-12   | east   | 1000
    13     | west   |

A row stands for every person of its range. A cell without text has no value; in a result `~` is a figure that
was withheld. A table that does not begin with `person` is about nobody, and each line is one row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from plans.manifest import Kind
from plans.released import Released

WITHHELD = "~"
HEADS = {
    "region": ("VARCHAR", Kind.PLAIN),
    "year": ("INTEGER", Kind.PLAIN),
    "urban": ("BOOLEAN", Kind.PLAIN),
    "age": ("INTEGER", Kind.QUASI),
    "born": ("DATE", Kind.QUASI),
    "phone": ("VARCHAR", Kind.SENSITIVE),
    "town": ("VARCHAR", Kind.QUASI),
    "income": ("BIGINT", Kind.SENSITIVE),
    "tax": ("BIGINT", Kind.SENSITIVE),
    "houses": ("INTEGER", Kind.PLAIN),
    "area": ("VARCHAR", Kind.PLAIN),
    "price": ("INTEGER", Kind.PLAIN),
    "name": ("VARCHAR", Kind.IDENTIFIER),
}
"""What a column of a drawn table is: its type, and what it says about a person."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A table: its columns beside the person, and its rows with the person first, 0 where they are about nobody."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | None, ...], ...]
    about_persons: bool = True


def drawn(text: str) -> Drawn:
    """Read a drawn table."""
    head, *lines = (line for line in text.strip().splitlines() if line.strip())
    first, *columns = _cells(head)
    if first != "person":
        rows = tuple((0, *(cell or None for cell in _cells(line))) for line in lines)
        return Drawn((first, *columns), rows, about_persons=False)
    return Drawn(tuple(columns), tuple(row for line in lines for row in _rows(_cells(line))))


def shown(released: Released) -> str:
    """Draw a released table, in its order."""
    cells = [[column.name for column in released.columns]]
    cells += [[WITHHELD if cell.suppressed else cell.v or "" for cell in row] for row in released.rows]
    return draw(cells)


def draw(cells: list[list[str]]) -> str:
    """Draw a table whose first row holds its heads."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (" | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def normal(text: str) -> str:
    """Draw a drawn table anew, so that two that say the same are the same text."""
    return draw([_cells(line) for line in text.strip().splitlines()])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def _rows(cells: list[str]) -> Iterator[tuple[str | int | None, ...]]:
    first, _, last = cells[0].partition("-")
    for person in range(int(first), int(last or first) + 1):
        yield (person, *(cell or None for cell in cells[1:]))
