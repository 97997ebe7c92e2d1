"""Reading a table that a program left: CSV (RFC 4180), Arrow (IPC file or stream) or Parquet, into values and
nothing else.

Types of a CSV file are inferred from all of a column's values. Of Arrow and Parquet only values of plain types are
taken: metadata, statistics, dictionaries, extension types, padding and the order of chunks stay behind. Whatever is
not plainly right is `Unfit`; a reader that crashes takes its box with it, and then nothing leaves.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from pyarrow import ipc
from pyarrow import parquet as pq

from airlock.outputs import messages
from airlock.outputs.rules import OutputRule
from airlock.outputs.values import (
    LONGEST_TEXT,
    MOST_CELLS,
    MOST_COLUMNS,
    Grid,
    GridColumn,
    Unfit,
    double,
    neutral,
    require_name,
    whole,
)

MISSING = frozenset({"", "NA", "NaN", "nan", "null", "NULL", "inf", "-inf", "Infinity", "-Infinity"})
"""Texts that stand for no value in a column of numbers; in one of texts only the empty one does."""

_WHOLE = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]{0,16}|)(?:\.[0-9]{0,40})?(?:[eE][+-]?[0-9]{1,3})?")
_SOME_DIGIT = re.compile(r"[+-]?\.?[0-9]")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT = re.compile(_DATE.pattern + r"[ T][0-9]{2}:[0-9]{2}:[0-9]{2}")
_TRUTHS = {
    "True": "true",
    "False": "false",
    "true": "true",
    "false": "false",
    "TRUE": "true",
    "FALSE": "false",
}


def read_table(name: str, content: bytes) -> Grid:
    """Return the table in a file, by the ending of its name.

    Raises:
        Unfit: the file is no such table, is too large, or has names or values that cannot leave.
    """
    if name.endswith(".csv"):
        return _csv(content)
    return _arrow(name, content)


# --- CSV ----------------------------------------------------------------------------------------------------


def _csv(content: bytes) -> Grid:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unfit(OutputRule.UNREADABLE) from None
    if "\0" in text:
        raise Unfit(OutputRule.UNREADABLE)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(rows, [])
        _require_size(1, len(header))
        columns = _rows(rows, len(header))
    except csv.Error:
        raise Unfit(OutputRule.UNREADABLE) from None
    return _grid(header, [_inferred(values) for values in columns])


def _rows(rows: Iterable[list[str]], width: int) -> list[tuple[str, ...]]:
    """Return the columns; every row is as wide as the header."""
    found: list[list[str]] = []
    for row in rows:
        if len(row) != width:
            raise Unfit(OutputRule.UNREADABLE)
        found.append(row)
        if len(found) * width > MOST_CELLS:
            raise Unfit(OutputRule.TOO_LARGE)
    return list(zip(*found, strict=True)) if found else [()] * width


def _inferred(values: Sequence[str]) -> tuple[str, tuple[str | None, ...]]:
    """Return the narrowest type that all values of a column have, and the values in their one spelling."""
    present = {value for value in values if value not in MISSING}
    if present and all(_WHOLE.fullmatch(value) for value in present):
        return "BIGINT", _mapped(values, lambda value: whole(int(value)))
    if present and all(_NUMBER.fullmatch(value) and _SOME_DIGIT.match(value) for value in present):
        return "DOUBLE", _mapped(values, lambda value: double(float(value)))
    if not present and any(values):
        return "DOUBLE", tuple(None for _ in values)
    if present and present <= set(_TRUTHS):
        return "BOOLEAN", _mapped(values, _TRUTHS.get)
    if present and all(_DATE.fullmatch(value) for value in present):
        return "DATE", _mapped(values, _day)
    if present and all(_MOMENT.fullmatch(value) for value in present):
        return "TIMESTAMP", _mapped(values, _moment)
    return "VARCHAR", tuple(_text(value) if value else None for value in values)


def _mapped(values: Sequence[str], form: Any) -> tuple[str | None, ...]:
    try:
        return tuple(None if value in MISSING else form(value) for value in values)
    except ValueError:
        raise Unfit(OutputRule.UNREADABLE) from None


def _day(value: str) -> str:
    return date.fromisoformat(value).isoformat()


def _moment(value: str) -> str:
    return datetime.fromisoformat(value).isoformat(" ", "seconds")


# --- Arrow and Parquet --------------------------------------------------------------------------------------


def _arrow(name: str, content: bytes) -> Grid:
    try:
        table = _opened(name, content)
        table.validate(full=True)
        return _grid(table.column_names, [_plain(column) for column in table.columns])
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError):
        raise Unfit(OutputRule.UNREADABLE) from None


def _opened(name: str, content: bytes) -> Any:
    """Return an Arrow table; how large it becomes is looked at before its values are read."""
    if name.endswith(".parquet"):
        return _parquet(content)
    # What follows the magic of a file is a stream; its footer could lead to other messages than those looked at.
    source = pa.py_buffer(content[8:] if content[:6] == b"ARROW1" else content)
    _require_bytes(messages.unpacked_sizes(pa.BufferReader(source)))
    found, height = [], 0
    with ipc.open_stream(source) as reader:
        for batch in reader:
            height += batch.num_rows
            _require_size(height, batch.num_columns)
            found.append(batch)
        return pa.Table.from_batches(found, reader.schema)


def _parquet(content: bytes) -> Any:
    """Return the table of a Parquet file, texts as dictionaries: a million times one text is one text and numbers."""
    file = pq.ParquetFile(pa.BufferReader(content), arrow_extensions_enabled=False)
    groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
    rows = max(file.metadata.num_rows, sum(group.num_rows for group in groups))
    _require_size(rows, file.metadata.num_columns)
    _require_bytes(group.total_byte_size for group in groups)
    leaves = [file.schema.column(place) for place in range(file.metadata.num_columns)]
    if any(leaf.max_repetition_level for leaf in leaves):  # lists: one row of them holds any number of values
        raise Unfit(OutputRule.UNREADABLE)
    texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
    source = pa.BufferReader(content)
    return pq.ParquetFile(source, read_dictionary=texts, arrow_extensions_enabled=False).read(
        use_threads=False
    )


def _require_bytes(sizes: Iterable[int]) -> None:
    total = 0
    for size in sizes:
        total += size
        if size < 0 or total > 64 * MOST_CELLS:
            raise Unfit(OutputRule.TOO_LARGE)


def _plain(column: Any) -> tuple[str, tuple[str | None, ...]]:
    """Return the type and the values of an Arrow column of a plain type."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _decoded(column)
    if pa.types.is_integer(kind):
        return "BIGINT", _each(column, whole)
    if pa.types.is_floating(kind):
        return "DOUBLE", _each(column, lambda value: double(float(value)))
    if pa.types.is_decimal(kind):
        return "DOUBLE", _each(column, lambda value: double(float(Decimal(value))))
    if pa.types.is_boolean(kind):
        return "BOOLEAN", _each(column, lambda value: "true" if value else "false")
    if pa.types.is_date(kind):
        return "DATE", _each(column, lambda value: value.isoformat())
    if pa.types.is_timestamp(kind) and kind.tz is None:
        seconds = column.cast(pa.timestamp("s"), safe=False)
        return "TIMESTAMP", _each(seconds, lambda value: value.isoformat(" ", "seconds"))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "VARCHAR", _each(column, _text)
    if pa.types.is_null(kind):
        return "VARCHAR", tuple(None for _ in range(len(column)))
    raise Unfit(OutputRule.UNREADABLE)


def _decoded(column: Any) -> tuple[str, tuple[str | None, ...]]:
    """Return a column of positions in a dictionary; each value is read once, however often it occurs."""
    kind, _ = _plain(pa.chunked_array([], type=column.type.value_type))
    found: list[str | None] = []
    for chunk in column.chunks:
        used = chunk.indices.unique().drop_null()
        _, values = _plain(pa.chunked_array([chunk.dictionary.take(used)]))
        known = dict(zip(used.to_pylist(), values, strict=True))
        found.extend(map(known.get, chunk.indices.to_pylist()))
    return kind, tuple(found)


def _each(column: Any, form: Any) -> tuple[str | None, ...]:
    return tuple(None if value is None else form(value) for value in column.to_pylist())


# --- both ---------------------------------------------------------------------------------------------------


def _grid(header: Sequence[str], columns: list[tuple[str, tuple[str | None, ...]]]) -> Grid:
    _require_size(1, len(header))
    found = tuple(
        GridColumn(require_name(name), kind, values)
        for name, (kind, values) in zip(header, columns, strict=True)
    )
    if len({column.name for column in found}) != len(found):
        raise Unfit(OutputRule.COLUMN_NAMES)
    return Grid(found)


def _require_size(height: int, width: int) -> None:
    if not 1 <= width <= MOST_COLUMNS:
        raise Unfit(OutputRule.UNREADABLE if width < 1 else OutputRule.TOO_LARGE)
    if height * width > MOST_CELLS:
        raise Unfit(OutputRule.TOO_LARGE)


def _text(value: str) -> str:
    """Return a text as it may leave; one too long is no key of a group, and cutting it would hide that."""
    if len(value) > LONGEST_TEXT:
        raise Unfit(OutputRule.FREE_TEXT)
    return neutral(value)
