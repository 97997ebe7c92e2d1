"""Released tables and metrics of tasks, from the canonical JSON in which they travel to the files that people open.

A figure that was withheld is empty, and a column `<name>_suppressed` beside it says which those are (with a further `_`
where the table has such a column itself); in metrics it is null. (docs/outputs.md)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plans import canonical
from plans.errors import Malformed

WITHHELD = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """A released table: names and types of its columns, and cells as text, `None` for no value, `WITHHELD`."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def decode(cls, content: bytes, where: str) -> Sheet:
        """Read a table's canonical JSON.

        Raises:
            Malformed: it is none.
        """
        plain: Any = canonical.decode(content)
        try:
            columns = tuple((str(each["name"]), str(each["type"])) for each in plain["columns"])
            rows = tuple(map(tuple, plain["rows"]))
        except (TypeError, KeyError):
            raise Malformed("a released table has columns and rows", where) from None
        if any(len(row) != len(columns) or not all(map(_is_cell, row)) for row in rows):
            raise Malformed("a released table has a row of another shape", where)
        return cls(columns, rows)

    def withheld(self, place: int) -> tuple[bool, ...]:
        """Return for every row whether the cell in this column was withheld."""
        return tuple(row[place] is WITHHELD for row in self.rows)

    def to_csv(self) -> bytes:
        """Return the table as CSV (RFC 4180), in UTF-8."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        marked = [place for place in range(len(self.columns)) if any(self.withheld(place))]
        names = [name for name, _ in self.columns]
        marks = mark_names(names)
        writer.writerow(names + [marks[place] for place in marked])
        for row in self.rows:
            cells = ["" if cell is None or cell is WITHHELD else cell for cell in row]
            writer.writerow(cells + [str(row[place] is WITHHELD).lower() for place in marked])
        return text.getvalue().encode()

    def to_arrow(self) -> Any:
        """Return the table as `pyarrow.Table`."""
        import pyarrow

        names, arrays, marks = [], [], mark_names([name for name, _ in self.columns])
        for place, (name, kind) in enumerate(self.columns):
            names.append(name)
            arrays.append(_array(pyarrow, [row[place] for row in self.rows], kind))
            if any(self.withheld(place)):
                names.append(marks[place])
                arrays.append(pyarrow.array(list(self.withheld(place)), pyarrow.bool_()))
        return pyarrow.Table.from_arrays(arrays, names=names)


def mark_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return for each column the name of a column that says where it was withheld: one that no other column has."""
    taken, found = set(names), []
    for name in names:
        mark = f"{name}_suppressed"
        while mark in taken:
            mark += "_"
        taken.add(mark)
        found.append(mark)
    return tuple(found)


def table_file(name: str, content: bytes) -> bytes:
    """Return a released table as the file that its name promises: CSV, Arrow (IPC file) or Parquet.

    Raises:
        Malformed: the content is no table.
    """
    sheet = Sheet.decode(content, name)
    if name.endswith(".csv"):
        return sheet.to_csv()
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    table = sheet.to_arrow()
    if name.endswith(".parquet"):
        from pyarrow import parquet

        parquet.write_table(table, sink)
    else:
        with pyarrow.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def metrics_file(name: str, content: bytes) -> bytes:
    """Return released metrics as JSON with numbers.

    Raises:
        Malformed: the content is something else.
    """
    plain = canonical.decode(content)
    if not isinstance(plain, dict) or not all(map(_is_cell, plain.values())):
        raise Malformed("released metrics are names and numbers", name)
    return json.dumps({key: _number(value, name) for key, value in plain.items()}, indent=1).encode()


def _is_cell(cell: object) -> bool:
    return cell is None or cell is WITHHELD or isinstance(cell, str)


def _number(value: object, where: str) -> int | float | None:
    if not isinstance(value, str):
        return None
    try:
        return int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise Malformed("a released metric is no number", where) from None


def _array(pyarrow: Any, cells: Sequence[Any], kind: str) -> Any:
    values = [cell if isinstance(cell, str) else None for cell in cells]
    if kind in ("BIGINT", "DOUBLE"):
        numbers = [None if value is None else _number(value, kind) for value in values]
        if kind == "DOUBLE" or any(isinstance(number, float) for number in numbers):
            return pyarrow.array(
                [None if each is None else float(each) for each in numbers], pyarrow.float64()
            )
        return pyarrow.array(numbers, pyarrow.int64())
    if kind == "BOOLEAN":
        return pyarrow.array(
            [None if value is None else value == "true" for value in values], pyarrow.bool_()
        )
    return pyarrow.array(values, pyarrow.string())
