"""What was wrong with a file, and in which row: looked for only after the fast way has failed.

The engine's own text names values, so it is never used. A second, fresh engine reads the source again in
order, and what it finds becomes a code, a described column, the number of a row (1 is the first after the
header) and an expectation.
"""

from __future__ import annotations

import codecs
import csv
import errno
import json
import os

import duckdb

from inside.engine import Connection, identifier
from inside.ingest_checks import Check, rounds
from inside.ingest_source import LONGEST_LINE, Source, refuse_encoding
from inside.ingest_task import Format, TaskColumn
from inside.ingest_tokens import canonical
from inside.session import BoxFailure

_PIECE = 1 << 22
_REJECTS = {
    "CAST": "ingest.type",
    "MISSING COLUMNS": "ingest.row-width",
    "TOO MANY COLUMNS": "ingest.row-width",
    "UNQUOTED VALUE": "ingest.quote",
    "LINE SIZE OVER MAXIMUM": "ingest.line-too-long",
    "INVALID ENCODING": "ingest.encoding",
    "INVALID STATE": "ingest.quote",
}


def of_machine(problem: duckdb.Error) -> BoxFailure | None:
    """Return the failure when the machine, not the file, is the cause; the system's own words are all that is read."""
    if isinstance(problem, duckdb.OutOfMemoryException):
        return BoxFailure("box.limit", limit="memory")
    if isinstance(problem, duckdb.IOException):
        if os.strerror(errno.ENOSPC) in str(problem):
            return BoxFailure("disk.full")
        if os.strerror(errno.EFBIG) in str(problem):
            return BoxFailure("box.limit", limit="output")
    return None


def of_file(connection: Connection, source: Source) -> BoxFailure:
    """Return what is wrong with the source, from a connection that keeps rows in order."""
    try:
        if source.format is not Format.PARQUET:
            _scan_encoding(source)
        if source.format is Format.JSONL:
            _scan_objects(source)
        if source.format is Format.CSV:
            found = _rejected(connection, source) or _unclosed(source)
        else:
            found = _mistyped(connection, source)
    except BoxFailure as failure:
        return failure
    except duckdb.Error as problem:
        return of_machine(problem) or BoxFailure("ingest.malformed", expected=source.format.value)
    return found or BoxFailure("ingest.malformed", expected=source.format.value)


def of_check(connection: Connection, source: Source, check: Check) -> BoxFailure:
    """Return the failure of a check, with the first row that breaks it."""
    column = check.column
    name = identifier(column.name)
    typed = f"(SELECT _row, TRY_CAST({name} AS {column.type}) AS {name} FROM {source.numbered()})"
    row = _number(connection, check.search("min(_row)", typed))
    return BoxFailure(check.code, column=column.name, row=row)


def of_fraction(connection: Connection, source: Source) -> BoxFailure:
    """Return the failure of a whole number with a fraction, with the first row that holds one."""
    firsts = ", ".join(f"min(_row) FILTER ({rounds(column)})" for column in source.whole)
    rows = connection.execute(f"SELECT {firsts} FROM {source.numbered()}").fetchone() or ()
    found = [(row, column) for row, column in zip(rows, source.whole, strict=True) if row is not None]
    row, column = min(found, key=lambda pair: pair[0], default=(0, source.whole[0]))
    return BoxFailure("ingest.type", column=column.name, row=row, expected=column.type)


def of_empty_key(connection: Connection, source: Source, key: TaskColumn) -> BoxFailure:
    """Return the failure of a person column without a value, with the first such row."""
    empty = f"coalesce({canonical(identifier(key.name))}, '') = ''"
    row = _number(connection, f"SELECT min(_row) FROM {source.numbered()} WHERE {empty}")
    return BoxFailure("ingest.key-missing", column=key.name, row=row)


def of_repeated_key(connection: Connection, source: Source, key: TaskColumn, text: str) -> BoxFailure:
    """Return the failure of a person column that repeats, with the first two rows of one repetition."""
    rows = connection.execute(
        f"SELECT _row FROM {source.numbered()} WHERE {canonical(identifier(key.name))} = ? ORDER BY 1 LIMIT 2",
        [text],
    ).fetchall()
    first, second = (rows[0][0], rows[1][0]) if len(rows) == 2 else (0, 0)
    return BoxFailure("ingest.key-repeated", column=key.name, row=second, first=first)


def _scan_encoding(source: Source) -> None:
    """Raise `ingest.encoding` with the row, if the file is not UTF-8. A CSV file's first line is its header, 0."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 0 if source.format is Format.CSV else 1
    with source.path.open("rb") as file:
        while piece := file.read(_PIECE):
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as problem:
                lines += piece.count(b"\n", 0, max(0, problem.start))
                around = piece[max(0, problem.start - 1000) : problem.start + 1000]
                refuse_encoding(_whole_lines(around), lines)
                raise BoxFailure("ingest.encoding", row=lines, found="unknown") from None
            lines += piece.count(b"\n")


def _scan_objects(source: Source) -> None:
    """Raise what is wrong with the first line that is no JSON object."""
    with source.path.open("rb") as file:
        row = 0
        while line := file.readline(LONGEST_LINE + 1):
            row += 1
            if len(line) > LONGEST_LINE:
                raise BoxFailure("ingest.line-too-long", row=row, limit_bytes=LONGEST_LINE)
            try:
                broken = line.strip() and not isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                broken = True
            if broken:
                raise BoxFailure("ingest.malformed", row=row, expected="jsonl")


def _whole_lines(data: bytes) -> bytes:
    """Cut to whole lines where there are any, so that a guess does not start inside a character."""
    start, end = data.find(b"\n") + 1, data.rfind(b"\n")
    return data[start:end] if end > start else data


def _rejected(connection: Connection, source: Source) -> BoxFailure | None:
    """Let the CSV reader list what it rejects; its table of rejects lives in this box and ends with it."""
    types = {column.name: column.type for column in source.columns}
    relation = source.csv(types, ordered=True, more=", store_rejects = true, rejects_limit = 1")
    every = ", ".join(f"count({identifier(column.name)})" for column in source.columns)
    connection.execute(f"SELECT {every} FROM {relation}").fetchall()
    found = connection.execute(
        "SELECT line, column_name, error_type::VARCHAR FROM reject_errors ORDER BY line LIMIT 1"
    ).fetchone()
    return _reject(source, *found) if found else None


def _unclosed(source: Source) -> BoxFailure | None:
    """Find the row in which a quote opens and never closes, which the engine's reader refuses without a word."""
    before = csv.field_size_limit(LONGEST_LINE)
    row = 0
    try:
        with source.path.open(encoding="utf-8-sig", newline="") as file:
            for record in csv.reader(file, strict=True):
                row += bool(record)
    except csv.Error:
        return BoxFailure("ingest.quote", row=row)
    finally:
        csv.field_size_limit(before)
    return None


def _reject(source: Source, line: int, name: str | None, kind: str) -> BoxFailure:
    code, row = _REJECTS.get(kind, "ingest.malformed"), max(0, line - 1)
    column = next((column for column in source.columns if column.name == name), None)
    if code == "ingest.type" and column:
        return BoxFailure(code, column=column.name, row=row, expected=column.type)
    if code == "ingest.row-width":
        return BoxFailure(code, row=row, expected=len(source.columns))
    if code == "ingest.line-too-long":
        return BoxFailure(code, row=row, limit_bytes=LONGEST_LINE)
    return BoxFailure(code, row=row)


def _mistyped(connection: Connection, source: Source) -> BoxFailure | None:
    """Find the first row in which some column does not become its type."""
    firsts = ", ".join(
        f"min(_row) FILTER ({identifier(c.name)} IS NOT NULL AND TRY_CAST({identifier(c.name)} AS {c.type}) IS NULL)"
        for c in source.columns
    )
    rows = connection.execute(f"SELECT {firsts} FROM {source.numbered()}").fetchone() or ()
    broken = [(row, column) for row, column in zip(rows, source.columns, strict=True) if row is not None]
    if not broken:
        return None
    row, column = min(broken, key=lambda pair: pair[0])
    return BoxFailure("ingest.type", column=column.name, row=row, expected=column.type)


def _number(connection: Connection, statement: str) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row and row[0] is not None else 0
