"""A table that a program left here, read as the airlock reads one that is to leave: the same columns, types and values.

So `result.to_pandas()` has the same types on look-alike and on real data. What the airlock takes is settled in
`airlock.outputs.tables`; a test compares the two. Here nobody has to be protected from the file: it is the member's.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from darkroom.sheets import Sheet
from plans.errors import DarkroomError, OutputRefused

MOST_CELLS = 1_000_000

_MISSING = frozenset({"", "NA", "NaN", "nan", "null", "NULL", "inf", "-inf", "Infinity", "-Infinity"})
_WHOLE = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,16}|)(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?")
_SOME_DIGIT = re.compile(r"[+-]?\.?[0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(_DATE.pattern + r"[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")
_TRUTHS = {word: word.lower() for word in ("True", "False", "true", "false", "TRUE", "FALSE")}
_FORMULA = ("=", "+", "-", "@")

Column = tuple[str, tuple[str | None, ...]]
"""A type, and the values in their one spelling."""


def read(name: str, content: bytes) -> Sheet:
    """Return the table in a file, by the ending of its name.

    Raises:
        OutputRefused: it is no table that can leave.
    """
    try:
        header, columns = _csv(content) if name.endswith(".csv") else _arrow(name, content)
    except (ValueError, TypeError, LookupError, ArithmeticError, NotImplementedError, OSError, csv.Error):
        # Arrow's errors are among these
        raise _unfit(name, "it cannot be read as the table that its name promises") from None
    if not header or len(set(header)) != len(header):
        raise _unfit(name, "its columns have no names, or two of them one")
    rows = tuple(zip(*(values for _, values in columns), strict=True))
    if len(rows) * len(header) > MOST_CELLS:
        raise _unfit(name, f"it has more than {MOST_CELLS:,} cells")
    return Sheet(tuple(zip(header, (kind for kind, _ in columns), strict=True)), rows)


def _unfit(name: str, why: str) -> DarkroomError:
    return OutputRefused(
        f"on real data this table would not leave: {why}",
        name,
        "See docs/outputs.md, table; correct the program.",
    )


def _csv(content: bytes) -> tuple[list[str], list[Column]]:
    rows = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    header = next(rows, [])
    body = list(rows)
    if any(len(row) != len(header) for row in body):
        raise ValueError("ragged")
    columns = list(zip(*body, strict=True)) if body else [()] * len(header)
    return header, [_inferred(values) for values in columns]


def _inferred(values: Sequence[str]) -> Column:
    """Return the narrowest type that all values of a column have, and the values."""
    present = {value for value in values if value not in _MISSING}
    if not present and any(values):
        return "DOUBLE", tuple(None for _ in values)
    kinds: tuple[tuple[str, Callable[[str], Any], Callable[[str], str | None]], ...] = (
        ("BIGINT", _WHOLE.fullmatch, lambda value: _whole(int(value))),
        (
            "DOUBLE",
            lambda value: _NUMBER.fullmatch(value) and _SOME_DIGIT.match(value),
            lambda value: _double(float(value)),
        ),
        ("BOOLEAN", _TRUTHS.get, _TRUTHS.get),
        ("DATE", _DATE.fullmatch, lambda value: date.fromisoformat(value).isoformat()),
        (
            "TIMESTAMP",
            _MOMENT.fullmatch,
            lambda value: datetime.fromisoformat(value).isoformat(" ", "seconds"),
        ),
    )
    for kind, fits, form in kinds:
        if present and all(map(fits, present)):
            return kind, tuple(None if value in _MISSING else form(value) for value in values)
    return "VARCHAR", tuple(_text(value) if value else None for value in values)


def _arrow(name: str, content: bytes) -> tuple[list[str], list[Column]]:
    import pyarrow
    from pyarrow import parquet

    source = pyarrow.BufferReader(content)
    if name.endswith(".parquet"):
        table = parquet.read_table(source)
    elif content[:6] == b"ARROW1":
        table = pyarrow.ipc.open_file(source).read_all()
    else:
        table = pyarrow.ipc.open_stream(source).read_all()
    return list(table.column_names), [_plain(pyarrow, column) for column in table.columns]


def _plain(pyarrow: Any, column: Any) -> Column:
    """Return the type and the values of an Arrow column of a plain type."""
    types = pyarrow.types
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if types.is_timestamp(kind) and kind.tz is None:
        column = column.cast(pyarrow.timestamp("s"), safe=False)
        return "TIMESTAMP", _each(column, lambda value: value.isoformat(" ", "seconds"))
    forms: tuple[tuple[bool, str, Callable[[Any], str | None]], ...] = (
        (types.is_integer(kind), "BIGINT", _whole),
        (types.is_floating(kind) or types.is_decimal(kind), "DOUBLE", lambda value: _double(float(value))),
        (types.is_boolean(kind), "BOOLEAN", lambda value: "true" if value else "false"),
        (types.is_date(kind), "DATE", lambda value: value.isoformat()),
        (types.is_string(kind) or types.is_large_string(kind), "VARCHAR", _text),
        (types.is_null(kind), "VARCHAR", lambda _: None),
    )
    for fits, named, form in forms:
        if fits:
            return named, _each(column, form)
    raise ValueError("type")


def _each(column: Any, form: Callable[[Any], str | None]) -> tuple[str | None, ...]:
    return tuple(None if value is None else form(value) for value in column.to_pylist())


def _whole(number: int) -> str:
    if not -(2**63) <= number < 2**63:
        raise ValueError("whole")
    return str(number)


def _double(number: float) -> str | None:
    return repr(number + 0.0) if math.isfinite(number) else None


def _text(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value
