"""What a released table and a look-alike one have in common: the same columns, values and types for whoever reads them.

So nothing but `on` has to change in a notebook: an exact decimal is text and a suppressed cell is marked in both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from darkroom.listing import Displayed
from plans.errors import StateConflict
from plans.released import Cell, ReleasedColumn

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from darkroom.chart import Chart

SUPPRESSED = "‹suppressed›"
WHOLE = {
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "HUGEINT",
    "UHUGEINT",
}


class Sheet(Protocol):
    """Columns with their types, and rows of cells."""

    @property
    def columns(self) -> tuple[ReleasedColumn, ...]: ...
    @property
    def rows(self) -> tuple[tuple[Cell, ...], ...]: ...


class Tabular(Displayed):
    """A table that can be read, converted and drawn. Displaying it fetches and runs nothing."""

    __slots__ = ()

    look_alike: ClassVar[bool] = False
    """Whether its rows are made up, and so say nothing about anybody."""

    @property
    def sheet(self) -> Sheet:
        """The cells, as they were released or made up."""
        raise NotImplementedError

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known about the table, one sentence each."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(column.name for column in self.sheet.columns)

    @property
    def types(self) -> tuple[str, ...]:
        """The columns' types, in DuckDB's words."""
        return tuple(column.type for column in self.sheet.columns)

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows as Python values: int for whole numbers, text otherwise (exact decimals included)."""
        types = self.types
        return [
            tuple(_value(cell, kind) for cell, kind in zip(row, types, strict=True))
            for row in self.sheet.rows
        ]

    @property
    def suppressed(self) -> list[tuple[bool, ...]]:
        """For every cell whether the airlock withheld it."""
        return [tuple(cell.suppressed for cell in row) for row in self.sheet.rows]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.sheet.rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Yield the rows."""
        return iter(self.rows)

    def to_arrow(self) -> pyarrow.Table:
        """Return an Arrow table; for each column with suppressed cells a column `<name>_suppressed` says
        which.
        """
        import pyarrow

        names, arrays = [], []
        for position, column in enumerate(self.sheet.columns):
            cells = [row[position] for row in self.sheet.rows]
            names.append(column.name)
            arrays.append(_arrow(pyarrow, cells, column.type))
            if any(cell.suppressed for cell in cells):
                names.append(f"{column.name}_suppressed")
                arrays.append(pyarrow.array([cell.suppressed for cell in cells], pyarrow.bool_()))
        return pyarrow.Table.from_arrays(arrays, names=names)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas table with the same columns as `to_arrow`; needs pandas, which Darkroom does not
        install.

        Raises:
            StateConflict: pandas is not installed here; it says how to.
        """
        found = self.to_arrow()
        try:
            import pandas as pandas
        except ImportError:
            raise StateConflict(
                "a pandas table needs pandas, which is not installed here",
                "pandas",
                "Install it: pip install pandas. Or use .to_arrow(), .rows or .plot(), which need nothing more.",
            ) from None
        return found.to_pandas()

    def plot(self, kind: str = "", *, x: str = "", y: str = "", by: str = "") -> Chart:
        """Return a chart, by default of what the columns suggest: a figure over time, by category, or one against
        another. Suppressed cells are marked.

        `kind` is `bar`, `line`, `point` or `histogram`; `x`, `y` and `by` (colour) name columns.

        Raises:
            Malformed: there is no such kind or column, or nothing to draw.
        """
        from darkroom.chart import chart

        return chart(self, kind, x=x, y=y, by=by)

    def texts(self) -> list[list[str]]:
        """Return every cell as text for a person; suppressed ones are marked, missing ones empty."""
        return [
            [SUPPRESSED if cell.suppressed else (cell.v or "") for cell in row] for row in self.sheet.rows
        ]


def _value(cell: Cell, kind: str) -> Any:
    if cell.v is None:
        return None
    if kind in WHOLE:
        return _whole(cell.v)
    return {"true": True, "false": False}[cell.v] if kind == "BOOLEAN" else cell.v


def _whole(text: str) -> Any:
    """Return a whole number; a figure that rounding has given decimals stays exact text."""
    try:
        return int(text)
    except ValueError:
        return text


def _arrow(pyarrow: Any, cells: list[Cell], kind: str) -> Any:
    values = [_value(cell, kind) for cell in cells]
    if kind in WHOLE and all(_fits_int64(value) for value in values):
        return pyarrow.array(values, pyarrow.int64())
    if is_real(kind):
        return pyarrow.array([None if value is None else float(value) for value in values], pyarrow.float64())
    if kind == "BOOLEAN":
        return pyarrow.array(values, pyarrow.bool_())
    return pyarrow.array([None if cell.v is None else cell.v for cell in cells], pyarrow.string())


def is_real(kind: str) -> bool:
    """Return whether a type is of numbers with a point."""
    return kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL")


def _fits_int64(value: Any) -> bool:
    return value is None or (isinstance(value, int) and -(2**63) <= value < 2**63)
