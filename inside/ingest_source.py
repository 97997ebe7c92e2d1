"""The file that comes in: what it claims to be, whether its header fits, and how the engine reads it.

Everything here looks at the first bytes or at the file's own schema. Nothing of what is found is ever
repeated in an answer, but names of *described* columns, numbers of rows, and names of encodings.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import duckdb

from inside.engine import Connection, identifier, literal
from inside.ingest_task import Format, Task, TaskColumn
from inside.session import BoxFailure

LONGEST_LINE = 1 << 20
"""Bytes of one line (record) of a text file; a longer one is refused before it can fill the memory."""

_BUFFER = 4 * LONGEST_LINE
"""Bytes that the CSV reader holds at a time, for each thread; its own choice is eight times as much."""

LARGEST_SOURCE = 1 << 40
"""Bytes of a source file: one tebibyte. Larger data come as several versions' worth of files."""

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
_FITTING = {
    "VARCHAR": ("VARCHAR", *_NUMBERS),
    "BIGINT": _NUMBERS,
    "DOUBLE": ("FLOAT", "DOUBLE", "DECIMAL", *_NUMBERS),
    "DECIMAL": ("DECIMAL", *_NUMBERS),
    "DATE": ("DATE",),
    "BOOLEAN": ("BOOLEAN",),
}
"""Which types of a Parquet file become which described type without a loss."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file whose header fits the task. `columns` are in the file's order, which only CSV needs."""

    path: Path
    format: Format
    columns: tuple[TaskColumn, ...]

    @property
    def whole(self) -> tuple[TaskColumn, ...]:
        """The columns of whole numbers in a text file, which the engine would round without a word."""
        return tuple(c for c in self.columns if c.type == "BIGINT" and self.format is not Format.PARQUET)

    def relation(self, *, ordered: bool = False, unrounded: tuple[TaskColumn, ...] = ()) -> str:
        """Return the SQL of the typed rows: every described column, under its own name; `unrounded` ones as text."""
        if self.format is Format.PARQUET:
            casts = ", ".join(
                f"CAST({identifier(column.header)} AS {column.type}) AS {identifier(column.name)}"
                for column in self.columns
            )
            return f"(SELECT {casts} FROM read_parquet({literal(str(self.path))}))"
        if self.format is Format.CSV:
            return self.csv({c.name: "VARCHAR" if c in unrounded else c.type for c in self.columns}, ordered)
        types = _struct({c.header: "VARCHAR" if c in unrounded else c.type for c in self.columns})
        renamed = ", ".join(f"{identifier(c.header)} AS {identifier(c.name)}" for c in self.columns)
        return f"(SELECT {renamed} FROM read_json({self._json_options()}, columns = {types}))"

    def numbered(self) -> str:
        """Return the SQL of the rows as text under `_row`, their number from 1, for finding what is wrong."""
        if self.format is Format.PARQUET:
            texts = ", ".join(
                f"CAST({identifier(c.header)} AS VARCHAR) AS {identifier(c.name)}" for c in self.columns
            )
            file = f"read_parquet({literal(str(self.path))}, file_row_number = true)"
            return f"(SELECT file_row_number + 1 AS _row, {texts} FROM {file})"
        if self.format is Format.CSV:
            rows = self.csv({column.name: "VARCHAR" for column in self.columns}, ordered=True)
            return f"(SELECT row_number() OVER () AS _row, * FROM {rows})"
        texts = ", ".join(
            f"json ->> {literal(_path(c.header))} AS {identifier(c.name)}" for c in self.columns
        )
        return f"(SELECT row_number() OVER () AS _row, {texts} FROM {self.objects()})"

    def csv(self, types: dict[str, str], ordered: bool, more: str = "") -> str:
        """Return `read_csv` (RFC 4180) with these types for the columns, in the file's order."""
        options = [
            literal(str(self.path)),
            "auto_detect = false, header = true, strict_mode = true, delim = ','",
            f"quote = '\"', escape = '\"', columns = {_struct(types)}, parallel = {str(not ordered).lower()}",
            f"max_line_size = {LONGEST_LINE}, buffer_size = {_BUFFER}",
        ]
        return f"read_csv({', '.join(options)}{more})"

    def objects(self) -> str:
        """Return the SQL that reads JSON lines as they are, one column `json`."""
        return f"read_ndjson_objects({literal(str(self.path))}, maximum_object_size = {LONGEST_LINE})"

    def _json_options(self) -> str:
        return (
            f"{literal(str(self.path))}, format = 'newline_delimited', maximum_object_size = {LONGEST_LINE}"
        )


def recognise(path: Path, task: Task, connection: Connection) -> Source:
    """Return the source after checking size, format, encoding of the header, and names of columns.

    Raises:
        BoxFailure: `ingest.empty`, `ingest.too-large`, `ingest.malformed`, `ingest.encoding`,
            `ingest.duplicate-column`, `ingest.missing-column`, `ingest.extra-column`, `ingest.type`.
    """
    size = path.stat().st_size
    if size == 0:
        raise BoxFailure("ingest.empty")
    if size > LARGEST_SOURCE:
        raise BoxFailure("ingest.too-large", limit_bytes=LARGEST_SOURCE)
    with path.open("rb") as file:
        start = file.read(LONGEST_LINE)
    if task.format is Format.PARQUET:
        return _parquet(path, task, connection, start)
    if start[:4] == b"PAR1" or start[:2] in (b"\x1f\x8b", b"PK"):
        raise BoxFailure("ingest.malformed", expected=task.format.value)
    refuse_encoding(start[: start.find(b"\n") + 1] or start, row=0 if task.format is Format.CSV else 1)
    return _csv(path, task, start) if task.format is Format.CSV else _jsonl(path, task, connection, start)


def refuse_encoding(data: bytes, row: int) -> None:
    """Raise `ingest.encoding`, with a guess at what it is, unless `data` is UTF-8 text without zero bytes."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise BoxFailure("ingest.encoding", row=row, found=_guess(data)) from None
    if b"\0" in data:
        raise BoxFailure("ingest.encoding", row=row, found=_guess(data))


def _guess(data: bytes) -> str:
    if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or data[:200].count(0) > len(data[:200]) // 4:
        return "utf-16"
    try:
        data.decode("gb18030")
    except UnicodeDecodeError:
        return "unknown"
    return "unknown" if b"\0" in data else "gb18030"


def _csv(path: Path, task: Task, start: bytes) -> Source:
    end = start.find(b"\n")
    if end < 0 and len(start) == LONGEST_LINE:
        raise BoxFailure("ingest.line-too-long", row=0, limit_bytes=LONGEST_LINE)
    text = (start if end < 0 else start[:end]).decode("utf-8-sig").rstrip("\r")
    try:
        header = next(csv.reader(io.StringIO(text), strict=True), [])
    except csv.Error:
        raise BoxFailure("ingest.quote", row=0) from None
    by_header = {column.header: column for column in task.columns}
    _compare([name.strip() for name in header], task)
    if end < 0 or not start[end:].strip():
        raise BoxFailure("ingest.empty")
    return Source(path, Format.CSV, tuple(by_header[name.strip()] for name in header))


def _parquet(path: Path, task: Task, connection: Connection, start: bytes) -> Source:
    if start[:4] != b"PAR1":
        raise BoxFailure("ingest.malformed", expected="parquet")
    try:
        described = connection.execute(f"DESCRIBE FROM read_parquet({literal(str(path))})").fetchall()
        rows = connection.execute(f"SELECT count(*) FROM read_parquet({literal(str(path))})").fetchone()
    except duckdb.Error:
        raise BoxFailure("ingest.malformed", expected="parquet") from None
    types = {row[0]: row[1].partition("(")[0] for row in described}
    _compare([row[0] for row in described], task)
    for column in task.columns:
        if types[column.header] not in _FITTING[column.type.partition("(")[0]]:
            raise BoxFailure("ingest.type", column=column.name, row=0, expected=column.type)
    if rows == (0,):
        raise BoxFailure("ingest.empty")
    return Source(path, Format.PARQUET, task.columns)


def _jsonl(path: Path, task: Task, connection: Connection, start: bytes) -> Source:
    if not start.removeprefix(codecs.BOM_UTF8).strip():
        raise BoxFailure("ingest.empty")
    source = Source(path, Format.JSONL, task.columns)
    _refuse_lines(connection, source)
    found = connection.execute(f"SELECT DISTINCT unnest(json_keys(json)) FROM {source.objects()}").fetchall()
    _compare([row[0] for row in found], task)
    return source


def _refuse_lines(connection: Connection, source: Source) -> None:
    """Refuse lines that are no object, name a member twice, or hold another object where a value should be."""
    nested = [
        f"json_type(json, {literal(_path(column.header))}) IN ('OBJECT', 'ARRAY')"
        for column in source.columns
    ]
    wrong = [
        "json_type(json) <> 'OBJECT'",
        "len(json_keys(json)) > len(list_distinct(json_keys(json)))",
        *nested,
    ]
    firsts = ", ".join(f"min(_row) FILTER ({condition})" for condition in wrong)
    numbered = f"(SELECT row_number() OVER () AS _row, json FROM {source.objects()})"
    rows = connection.execute(f"SELECT {firsts} FROM {numbered}").fetchone() or ()
    if rows[0]:
        raise BoxFailure("ingest.malformed", row=rows[0], expected="jsonl")
    if rows[1]:
        raise BoxFailure("ingest.duplicate-column", row=rows[1])
    for row, column in zip(rows[2:], source.columns, strict=True):
        if row:
            raise BoxFailure("ingest.type", column=column.name, row=row, expected=column.type)


def _compare(header: list[str], task: Task) -> None:
    """Refuse a header that is not exactly the described one, in any order. Unknown names are told by position."""
    wanted = {column.header: column.name for column in task.columns}
    repeated = [name for name, times in Counter(header).items() if times > 1]
    if repeated:
        position = len(header) - header[::-1].index(repeated[0])
        raise BoxFailure("ingest.duplicate-column", position=position, **_named(wanted.get(repeated[0])))
    for name, column in wanted.items():
        if name not in header:
            raise BoxFailure("ingest.missing-column", column=column)
    for position, name in enumerate(header, start=1):
        if name not in wanted:
            raise BoxFailure("ingest.extra-column", position=position, expected=len(wanted))


def _named(column: str | None) -> dict[str, str]:
    return {"column": column} if column else {}


def _struct(types: dict[str, str]) -> str:
    members = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    return f"{{{members}}}"


def _path(header: str) -> str:
    escaped = header.replace("\\", "\\\\").replace('"', '\\"')
    return f'$."{escaped}"'
