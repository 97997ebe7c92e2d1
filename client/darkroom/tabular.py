"""What a released table and a look-alike one have in common: the same columns, values and types for whoever reads them.

So nothing but `on` has to change in a notebook. Types follow from what a column is declared to be and never from what
stands in it: that a figure is withheld changes no type and adds no column, and what is exact stays exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from darkroom.listing import Displayed
from darkroom.sheets import mark_names
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
        """The rows as Python values: `int` for whole numbers, `float` for DOUBLE and FLOAT, `Decimal` for DECIMAL,
        `bool`, `date` and `datetime`; text otherwise. None where the data have no value, and where a figure was
        withheld.
        """
        types = self.types
        return [
            tuple(value_of(cell, kind) for cell, kind in zip(row, types, strict=True))
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

    def to_arrow(self, *, suppressed: bool = False) -> pyarrow.Table:
        """Return an Arrow table: `int64` for whole numbers, `double`, `bool`, `date32`, `timestamp` and text. What was
        withheld is null; with `suppressed` a column `<name>_suppressed` behind every column says where that is.

        Numbers beyond 64 bits make their column decimals; a value that its type does not have makes it text.
        """
        import pyarrow

        names, arrays, types, rows = self.columns, [], self.types, self.sheet.rows
        for place, kind in enumerate(types):
            cells = [row[place] for row in rows]
            arrays.append(_arrow(pyarrow, cells, kind))
            if suppressed:
                arrays.append(pyarrow.array([cell.suppressed for cell in cells], pyarrow.bool_()))
        if suppressed:
            names = tuple(name for pair in zip(names, mark_names(names), strict=True) for name in pair)
        return pyarrow.Table.from_arrays(arrays, names=names)

    def to_pandas(self, *, suppressed: bool = False) -> pandas.DataFrame:
        """Return a pandas table with the columns of `to_arrow`: `Int64` for whole numbers and `boolean` for truth
        values, which have a value for nothing (`pandas.NA`), `float64`, `datetime64` and text.

        It needs pandas, which Darkroom does not install.

        Raises:
            StateConflict: pandas is not installed here; it says how to.
        """
        found = self.to_arrow(suppressed=suppressed)
        try:
            import pandas as pandas
        except ImportError:
            raise StateConflict(
                "a pandas table needs pandas, which is not installed here",
                "pandas",
                "Install it: pip install pandas. Or use .to_arrow(), .rows or .plot(), which need nothing more.",
            ) from None
        import pyarrow

        nullable: Mapping[Any, Any] = {
            pyarrow.int64(): pandas.Int64Dtype(),
            pyarrow.uint64(): pandas.UInt64Dtype(),
            pyarrow.bool_(): pandas.BooleanDtype(),
        }
        return found.to_pandas(types_mapper=nullable.get, date_as_object=False)

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


def value_of(cell: Cell, kind: str) -> Any:
    """Return a cell's value as Python has it; a text that is no value of the column's type stays text."""
    read = _READERS.get(kind.partition("(")[0])
    if cell.v is None or read is None:
        return cell.v
    try:
        return read(cell.v)
    except (ValueError, ArithmeticError, KeyError):
        return cell.v


def _whole(text: str) -> int | Decimal:
    """Return a whole number; a figure that rounding has given decimals is an exact one with decimals."""
    try:
        return int(text)
    except ValueError:
        return Decimal(text)


_READERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(WHOLE, _whole),
    "DOUBLE": float,
    "FLOAT": float,
    "DECIMAL": Decimal,
    "BOOLEAN": {"true": True, "false": False}.__getitem__,
    "DATE": date.fromisoformat,
    "TIMESTAMP": datetime.fromisoformat,
}


def _arrow(pyarrow: Any, cells: Sequence[Cell], kind: str) -> Any:
    """Return a column of the Arrow type of its declared type."""
    values = [value_of(cell, kind) for cell in cells]
    if is_real(kind):
        values = [float(value) if isinstance(value, float | Decimal) else value for value in values]
    there = [value for value in values if value is not None]
    if kind in WHOLE and not all(_fits(value, kind) for value in there):
        return _exact(pyarrow, cells, values)
    wanted, python = _arrow_type(pyarrow, kind)
    if not all(isinstance(value, python) for value in there):
        return _text(pyarrow, cells)
    return pyarrow.array(values, wanted)


def _arrow_type(pyarrow: Any, kind: str) -> tuple[Any, type]:
    """Return the Arrow type of a declared type, and what its values are in Python."""
    if kind in WHOLE:
        return (pyarrow.uint64() if kind == "UBIGINT" else pyarrow.int64()), int
    if is_real(kind):
        return pyarrow.float64(), float
    found: Mapping[str, tuple[Any, type]] = {
        "BOOLEAN": (pyarrow.bool_(), bool),
        "DATE": (pyarrow.date32(), date),
        "TIMESTAMP": (pyarrow.timestamp("us"), datetime),
    }
    return found.get(kind, (pyarrow.string(), str))


def _exact(pyarrow: Any, cells: Sequence[Cell], values: Sequence[Any]) -> Any:
    """Return numbers that are no whole ones of 64 bits as decimals, which are exact, too."""
    try:
        return pyarrow.array([None if value is None else Decimal(value) for value in values])
    except (ArithmeticError, ValueError):  # no number, or one that no decimal of Arrow holds
        return _text(pyarrow, cells)


def _text(pyarrow: Any, cells: Sequence[Cell]) -> Any:
    return pyarrow.array([cell.v for cell in cells], pyarrow.string())


def is_real(kind: str) -> bool:
    """Return whether a type is of numbers with a point."""
    return kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL")


def _fits(value: Any, kind: str) -> bool:
    low, high = (0, 2**64) if kind == "UBIGINT" else (-(2**63), 2**63)
    return isinstance(value, int) and low <= value < high
