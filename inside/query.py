"""The query box: opens the owner's files under their keys, runs the counted statement, hands over its result.

Each relation of the program becomes a view of the member's name over its file: the person token, the columns
that the program names, and the rows that the owner's filter lets through. The engine is locked before the
statement runs. A view keeps nothing from a statement that may call `read_parquet` itself: DuckDB knows no
privileges within a connection. What does is that the statement is the counted one, written by the guard over
these relations alone, and derived again by the keeper before it gave the keys. So the view is there for speed:
the engine reads no column and no row group that the statement does not need. The list of allowed files is the
second layer.

The result's bytes are read by the parse box; their form is stated in `inside.table`. Nothing else leaves:
whatever the engine says is dropped, since its messages quote values, and the report is empty, since a number
of rows is data.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from inside.engine import Connection, add_key, encryption, identifier, literal, lock, open_engine
from inside.session import SPILL, BoxFailure, Session
from inside.table import MOST_CELLS, columns
from plans import canonical, names
from plans.box import Entry, Limits
from plans.errors import HashMismatch, Malformed
from plans.plan import Program, Relation
from plans.reading import Shadow, ShadowColumn
from policies.reading import read_predicate

RESULT = "result.bin"
BATCH = 10_000

NO_INFINITIES = "SET ieee_floating_point_ops = false"
"""Division by zero gives null, so that one zero neither spoils the figure of a whole group nor stops the engine."""


NO_SHARING = "SET disabled_optimizers = 'common_subexpressions'"
"""The engine would compute what two expressions share before both, and so outside the TRY in which it may fail."""


def warm(limits: Limits, spill: Path = SPILL) -> Connection:
    """Open the engine, before there is a plan: loading its extension takes longer than the rest of a small query."""
    return open_engine(spill, limits)


def run(session: Session) -> dict[str, Any]:
    """Run the plan's program and write its result; the report says nothing about it.

    Raises:
        BoxFailure: `query.failed` whatever the engine's reason, `result.too-large` for more cells than
            the inspectors read. The obligations' largest result is judged later, without the small groups.
        HashMismatch: a relation's file is not among the inputs.
    """
    plan = session.plan
    if plan.program is None or plan.decision is None or plan.decision.obligations is None:
        raise Malformed("a query needs a program and obligations", "plan")
    (table,) = plan.program.tables
    most = MOST_CELLS // len(columns(table))
    try:
        rows = _rows(_opened(session, plan.program), table.counted, most)
    except (duckdb.Error, MemoryError, OverflowError):
        raise BoxFailure("query.failed") from None
    session.write(RESULT, canonical.encode({"columns": columns(table), "rows": rows}))
    return {}


def _opened(session: Session, program: Program) -> Connection:
    """Return a locked engine that has the program's relations."""
    connection = session.warmed or warm(session.plan.stage(Entry.QUERY).limits, session.spill)
    files = {relation.name: _input(session, relation) for relation in program.relations}
    for name in sorted(set(files.values())):
        add_key(connection, name, session.keys.inputs[name])
    for relation in program.relations:
        name = files[relation.name]
        _create(connection, relation, session.inputs[name], name)
    connection.execute(NO_INFINITIES)
    connection.execute(NO_SHARING)
    lock(connection, readable=[session.inputs[name] for name in files.values()])
    return connection


def _input(session: Session, relation: Relation) -> str:
    """Return the name of the input that is the relation's file, by its hash; the session verified the bytes."""
    for item in session.plan.stage(Entry.QUERY).inputs:
        if item.sha256 == relation.file:
            return item.name
    raise HashMismatch("the file of a relation is not among the inputs", relation.name)


def _create(connection: Connection, relation: Relation, path: Path, key: str) -> None:
    schema, _, table = relation.name.partition(".")
    source = f"read_parquet({literal(str(path))}, encryption_config = {encryption(key)})"
    shown = ", ".join(f'"row".{identifier(name)}' for name in (names.PERSON, *relation.columns))
    where = ""
    if relation.row_filter:
        where = f" WHERE {read_predicate(relation.row_filter, _shadow(connection, relation.name, source))[0]}"
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)}")
    connection.execute(
        f'CREATE VIEW {identifier(schema)}.{identifier(table)} AS SELECT {shown} FROM {source} AS "row"{where}'
    )


def _shadow(connection: Connection, relation: str, source: str) -> Shadow:
    """Return what a file's columns are called, so that the owner's filter is read like any other condition."""
    described = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    return Shadow(relation, tuple(ShadowColumn(name, kind, True) for name, kind, *_ in described))


def _rows(connection: Connection, counted: str, most: int) -> list[list[Any]]:
    cursor, rows = connection.execute(counted), []
    while batch := cursor.fetchmany(BATCH):
        rows += [[_value(value) for value in row] for row in batch]
        if len(rows) > most:
            raise BoxFailure("result.too-large")
    return rows


def _value(value: Any) -> Any:
    """Return a value as canonical JSON can hold it; the type's column says how to read it back."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) <= canonical.LARGEST_NUMBER else str(value)
    return _WRITERS[type(value)](value)


_WRITERS: dict[type, Callable[[Any], str]] = {
    float: repr,
    decimal.Decimal: lambda value: format(value, "f"),
    datetime.date: lambda value: value.isoformat(),
    datetime.datetime: lambda value: value.isoformat(" "),
}
