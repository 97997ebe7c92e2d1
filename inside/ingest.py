"""From a file of rows to two encrypted files: what people are called, and what is known about them.

    source ──► persons (distinct identifiers, hashed once) ──┬──► identifiers.parquet   person, its identifiers
       │                                                     │
       └───────────────────────────► joined ◄────────────────┘
                                       └─────────────────────────► attributes.parquet    person, all other columns

Reference data, which are about nobody (`person = "none"`), have no persons, no tokens and one file.

Each file has a key of its own, so that an ordinary job never holds the identifiers'. The source is read
twice, and no row is kept between: memory stays within the box's limit whatever the size of the file. When
anything fails, no file stays behind.

The report holds counts only. Failures hold a stable code, a described column and the number of a row, never a
value.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from inside import engine, ingest_faults, ingest_source, ingest_task, ingest_tokens
from inside.engine import Connection, identifier, literal
from inside.ingest_checks import Check, checks_of, rounds
from inside.ingest_source import Source
from inside.ingest_task import Task, TaskColumn
from inside.ingest_tokens import KEY, TOKEN, Count, EmptyKey, Pads, RepeatedKey
from inside.session import BoxFailure, Session
from plans.box import Entry

SOURCE, ATTRIBUTES, IDENTIFIERS = "source", "attributes.parquet", "identifiers.parquet"

_KEEP_JOIN_SIDES = "join_order,build_side_probe_side"
"""The engine guesses a text file's rows far too low, and would keep the file in memory instead of the persons."""

_WRITING = "COMPRESSION zstd, COMPRESSION_LEVEL 1, WRITE_BLOOM_FILTER false"
"""Tokens do not compress and are never looked up one by one: more effort made files larger or nothing faster."""


@dataclass(frozen=True, slots=True)
class Work:
    """One ingest: the session, what is asked, and the file that was recognised."""

    session: Session
    task: Task
    source: Source

    def output(self, name: str) -> Path:
        """Return where an output goes."""
        return self.session.out / name

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the files that this ingest writes."""
        return (ATTRIBUTES, IDENTIFIERS) if self.task.identifiers else (ATTRIBUTES,)


class Fraction(Exception):
    """A whole number has a fraction, which the engine would round away."""


class Broken(Exception):
    """A check on what was written found a value that breaks it."""

    def __init__(self, check: Check) -> None:
        super().__init__()
        self.check = check


def run(session: Session) -> dict[str, Any]:
    """Write the two files and return `{"rows", "persons", "columns": [{"name", "nulls"}], "files"}`.

    Raises:
        BoxFailure: an `ingest.…` code (`catalog.problems` has the sentences), `disk.full` or `box.limit`.
        Malformed: the plan's material is no description.
    """
    task = ingest_task.read(session.plan.material)
    done = False
    try:
        report = _ingest(session, task)
        done = True
        return report
    finally:
        if not done:
            for name in (ATTRIBUTES, IDENTIFIERS):
                (session.out / name).unlink(missing_ok=True)


def _ingest(session: Session, task: Task) -> dict[str, Any]:
    path = session.inputs[SOURCE]
    with _open(session, ordered=task.by_row) as connection:
        source = _recognised(session, task, connection)
        work = Work(session, task, source)
        for name in work.outputs:
            engine.add_key(connection, name, session.keys.outputs[name])
        connection.execute(f"SET disabled_optimizers = {literal(_KEEP_JOIN_SIDES)}")
        engine.lock(connection, [path], [work.output(name) for name in work.outputs])
        try:
            return _written(connection, work)
        except (duckdb.Error, EmptyKey, RepeatedKey, Fraction, Broken) as problem:
            cause = problem
    raise _diagnosed(session, source, task, cause)


def _open(session: Session, *, ordered: bool) -> Connection:
    return engine.open_engine(session.spill, session.plan.stage(Entry.INGEST).limits, ordered=ordered)


def _recognised(session: Session, task: Task, connection: Connection) -> Source:
    try:
        return ingest_source.recognise(session.inputs[SOURCE], task, connection)
    except duckdb.Error as problem:
        cause = problem
    source = Source(session.inputs[SOURCE], task.format, task.columns)
    raise _diagnosed(session, source, task, cause)


def _diagnosed(session: Session, source: Source, task: Task, cause: Exception) -> BoxFailure:
    """Turn a cause into a failure, on a fresh engine that keeps the order of rows."""
    if isinstance(cause, duckdb.Error) and (failure := ingest_faults.of_machine(cause)):
        return failure
    with _open(session, ordered=True) as connection:
        engine.lock(connection, [source.path])
        if isinstance(cause, EmptyKey):
            return ingest_faults.of_empty_key(connection, source, task.key)
        if isinstance(cause, RepeatedKey):
            return ingest_faults.of_repeated_key(connection, source, task.key, cause.canonical_text)
        if isinstance(cause, Fraction):
            return ingest_faults.of_fraction(connection, source)
        if isinstance(cause, Broken):
            return ingest_faults.of_check(connection, source, cause.check)
        return ingest_faults.of_file(connection, source)


def _written(connection: Connection, work: Work) -> dict[str, Any]:
    """Write, check what was written, and report."""
    if work.task.about_persons:
        pads = Pads.of(bytes.fromhex(work.session.keys.token))
        write = _write_by_row if work.task.by_row else _write_by_person
        count, nulls = write(connection, work, pads)
    else:
        count, nulls = _write_about_nobody(connection, work)
    for name, columns in ((ATTRIBUTES, work.task.attributes), (IDENTIFIERS, work.task.identifiers)):
        if columns:
            _check(connection, work, name, columns)
    columns = [{"name": column.name, "nulls": nulls[column.name]} for column in work.task.columns]
    return {"rows": count.rows, "persons": count.persons, "columns": columns, "files": list(work.outputs)}


Nulls = dict[str, int]


def _write_by_person(connection: Connection, work: Work, pads: Pads) -> tuple[Count, Nulls]:
    """Hash the distinct identifiers, then join: the file streams by, only the persons are kept."""
    task = work.task
    count = ingest_tokens.make_persons(connection, work.source, task, pads)
    if count.pointed:
        _refuse_fractions(connection, work.source)
    rows, nulls = _join_attributes(connection, work, count)
    others = [column for column in task.identifiers if column.name != task.person]
    if not others:
        typed = f"{KEY}::{task.key.type} AS {identifier(task.person)}"
        _copy(connection, work, IDENTIFIERS, f"SELECT {TOKEN}, {typed} FROM persons")
        return count, nulls | {task.person: 0}
    if task.unique:
        written, more = _copy(connection, work, IDENTIFIERS, _select(task.identifiers, rows))
        _expect_rows(count, written)
        return count, nulls | more
    distinct = _select(task.identifiers, rows).replace("SELECT", "SELECT DISTINCT", 1)
    _copy(connection, work, IDENTIFIERS, distinct)
    return count, nulls | _count_nulls(connection, work.source, task.identifiers)


def _join_attributes(connection: Connection, work: Work, count: Count) -> tuple[str, Nulls]:
    """Write the attributes; return the SQL of the rows with their tokens, and the nulls.

    Rows and persons are joined by the engine's 64-bit hash of the text, which is faster than by the text. Every text of
    the file is in `persons`, so two that share a hash make rows too many, and never one too few: then the texts decide.
    """
    text, row = f"s.{identifier(work.task.person)}::VARCHAR", f"persons.{KEY}"
    for condition in (f"hash({text}) = hash({row})", f"{text} = {row}"):
        rows = f"(SELECT persons.{TOKEN}, s.* FROM {work.source.relation()} AS s JOIN persons ON {condition})"
        written, nulls = _copy(connection, work, ATTRIBUTES, _select(work.task.attributes, rows))
        if written == count.rows:
            break
    _expect_rows(count, written)
    return rows, nulls


def _expect_rows(count: Count, written: int) -> None:
    """Raise `ingest.lost-rows` for fewer or more rows than were counted: a defect of ours, not a bad file."""
    if written != count.rows:
        raise BoxFailure("ingest.lost-rows", counted=count.rows, written=written)


def _write_by_row(connection: Connection, work: Work, pads: Pads) -> tuple[Count, Nulls]:
    """Number the rows in the file's order, so that both files give a row the same token."""
    _refuse_fractions(connection, work.source)
    digest = next(item.sha256 for item in work.session.plan.stage(Entry.INGEST).inputs if item.name == SOURCE)
    numbered = f"(SELECT row_number() OVER () AS _row, * FROM {work.source.relation(ordered=True)})"
    rows = f"(SELECT {ingest_tokens.row_token(digest, pads)} AS {TOKEN}, * FROM {numbered})"
    _, nulls = _copy(connection, work, ATTRIBUTES, _select(work.task.attributes, rows))
    if work.task.identifiers:
        nulls |= _copy(connection, work, IDENTIFIERS, _select(work.task.identifiers, rows))[1]
    written = f"SELECT count(*), count(DISTINCT {TOKEN}) FROM {_read(work, ATTRIBUTES)}"
    total, persons = connection.execute(written).fetchone() or (0, 0)
    if total == 0:
        raise BoxFailure("ingest.empty")
    if persons != total:
        raise BoxFailure("ingest.token-collision")
    return Count(total, persons, 0), nulls


def _write_about_nobody(connection: Connection, work: Work) -> tuple[Count, Nulls]:
    """Write the rows as they are, without a token; nobody is counted."""
    _refuse_fractions(connection, work.source)
    listed = ", ".join(identifier(column.name) for column in work.task.attributes)
    written, nulls = _copy(connection, work, ATTRIBUTES, f"SELECT {listed} FROM {work.source.relation()}")
    if written == 0:
        raise BoxFailure("ingest.empty")
    return Count(written, 0, 0), nulls


def _refuse_fractions(connection: Connection, source: Source) -> None:
    broken = " OR ".join(rounds(column) for column in source.whole) or "false"
    rows = source.relation(unrounded=source.whole)
    if connection.execute(f"SELECT 1 FROM {rows} WHERE {broken} LIMIT 1").fetchone():
        raise Fraction


def _copy(connection: Connection, work: Work, name: str, select: str) -> tuple[int, Nulls]:
    """Write one encrypted file; return how many rows it has, and the nulls of its columns."""
    found = connection.execute(
        f"COPY ({select}) TO {literal(str(work.output(name)))} (FORMAT parquet, {_WRITING},"
        f" ENCRYPTION_CONFIG {engine.encryption(name)}, RETURN_STATS true, USE_TMP_FILE false)"
    ).fetchone()
    written, statistics = (found[1], found[4]) if found else (0, {})
    return written, {column.strip('"'): int(values["null_count"]) for column, values in statistics.items()}


def _select(columns: tuple[TaskColumn, ...], rows: str) -> str:
    return f"SELECT {', '.join([TOKEN, *(identifier(column.name) for column in columns)])} FROM {rows}"


def _read(work: Work, name: str) -> str:
    return f"read_parquet({literal(str(work.output(name)))}, encryption_config = {engine.encryption(name)})"


def _count_nulls(connection: Connection, source: Source, columns: tuple[TaskColumn, ...]) -> Nulls:
    counts = ", ".join(f"count(*) - count({identifier(column.name)})" for column in columns)
    row = connection.execute(f"SELECT {counts} FROM {source.relation()}").fetchone() or ()
    return {column.name: int(nulls) for column, nulls in zip(columns, row, strict=True)}


def _check(connection: Connection, work: Work, name: str, columns: tuple[TaskColumn, ...]) -> None:
    for column in columns:
        for check in checks_of(column):
            if connection.execute(check.search("1", _read(work, name)) + " LIMIT 1").fetchone():
                raise Broken(check)
