"""The query box: opens the owner's files under their keys, runs the program's tables, hands over their rows.

Each relation of the program gets the member's name over its file: the person token where it is about persons,
the columns that the program names, and the rows that the owner's filter lets through, masked
(`inside.relations`). The engine is locked before a statement runs. A view keeps nothing from a statement that
may call `read_parquet` itself: DuckDB knows no privileges within a connection. What does is that the statements
are the counted ones, written by the guard over these relations alone, and derived again by the keeper before it
gave the keys; or, at the level `rows`, the member's own, in which two readers found nothing but these relations
and listed functions. The list of allowed files is the second layer.

The result's bytes are read by the parse box; their form is stated in `inside.table`. Beside each cell of figures
stand what its persons add to it, and in a file of its own, for the owner alone, the fingerprints of the sets of these
persons (`inside.evidence`). Nothing else leaves:
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

from inside import private
from inside.engine import NO_INFINITIES as NO_INFINITIES
from inside.engine import Connection, add_key, lock, open_engine
from inside.evidence import MOST_PRINTS, TooMany, Wish, gather
from inside.relations import create_relation
from inside.session import SPILL, BoxFailure, Session
from inside.table import MOST_CELLS, Form, columns
from plans import canonical
from plans.box import Entry, Limits
from plans.decision import Obligations
from plans.errors import Malformed
from plans.handover import RESULT, SETS
from plans.plan import Program
from plans.private import MOST_ROOM
from plans.reading import Cells, Level
from plans.sets import pack

BATCH = 10_000

NO_SHARING = "SET disabled_optimizers = 'common_subexpressions'"
"""The engine would compute what two expressions share before both, and so outside the TRY in which it may fail."""

SHARING = "SET disabled_optimizers = ''"
"""At the level `rows` the engine may do as it does anywhere: the relations are made, and nothing in them is hidden."""


def warm(limits: Limits, spill: Path = SPILL) -> Connection:
    """Open the engine, before there is a plan: loading its extension takes longer than the rest of a small query."""
    return open_engine(spill, limits)


def run(session: Session) -> dict[str, Any]:
    """Run the plan's program and write its result; the report says nothing about it.

    Raises:
        BoxFailure: `query.failed` whatever the engine's reason, `result.too-large` for more cells than
            the inspectors read. Small groups are not among them, and do not leave this box: were they counted,
            one person more or less could be the cell too many. The obligations' largest result is judged later.
        HashMismatch: a relation's file is not among the inputs.
    """
    plan = session.plan
    if plan.program is None or plan.decision is None or plan.decision.obligations is None:
        raise Malformed("a query needs a program and obligations", "plan")
    try:
        connection = _opened(session, plan.program)
        if plan.program.private is not None:
            bounded = private.statement(plan.program, session.keys.outputs[RESULT])
            written = [_listed(private.form(plan.program), fetch(connection, bounded, MOST_ROOM))]
        elif plan.program.level is Level.ROWS:
            written = [_rows_of(connection, plan.program.tables[0])]
        else:
            written = _figures(connection, session, plan.program, plan.decision.obligations)
    except (duckdb.Error, MemoryError, OverflowError):
        raise BoxFailure("query.failed") from None
    except TooMany:
        raise BoxFailure("result.too-large") from None
    session.write(RESULT, canonical.encode({"tables": written}))
    return {}


def _listed(form: Form, rows: list[list[Any]]) -> dict[str, Any]:
    return {"columns": columns(form), "rows": rows}


def _rows_of(connection: Connection, cells: Cells) -> dict[str, Any]:
    return _listed(cells, fetch(connection, cells.counted, MOST_CELLS // len(columns(cells))))


def _figures(
    connection: Connection, session: Session, program: Program, obligations: Obligations
) -> list[dict[str, Any]]:
    """Return the tables of figures with the evidence about their persons, and write the sets of persons."""
    signs = session.keys.signs if SETS in session.keys.outputs else ""
    written, sets = [], []
    room, prints = MOST_CELLS, MOST_PRINTS
    for cells in program.tables:
        width = len(columns(cells))
        checks = obligations.checks
        least = obligations.minimum_group
        wish = Wish(least, room // width, signs, prints, checks.margins, checks.enterprises)
        found = gather(connection, cells, wish)
        written.append(_listed(cells, [[_value(value) for value in row] for row in found.rows]))
        sets.append(found.sets)
        room -= len(found.rows) * width
        prints -= len(found.sets.prints)
    if signs:
        session.write(SETS, pack(sets))
    return written


def _opened(session: Session, program: Program) -> Connection:
    """Return a locked engine that has the program's relations."""
    connection = session.warmed or warm(session.plan.stage(Entry.QUERY).limits, session.spill)
    files = {relation.name: session.file_of(relation) for relation in program.relations}
    for name in sorted(set(files.values())):
        add_key(connection, name, session.keys.inputs[name])
    connection.execute(NO_INFINITIES)
    connection.execute(NO_SHARING)
    for relation in program.relations:
        name = files[relation.name]
        pseudonyms = session.keys.pseudonyms.get(relation.name, "")
        create_relation(
            connection, relation, session.inputs[name], name, pseudonyms, program.level is Level.ROWS
        )
    if program.level is Level.ROWS:
        connection.execute(SHARING)
    lock(connection, readable=[session.inputs[name] for name in files.values()])
    return connection


def fetch(connection: Connection, statement: str, most: int) -> list[list[Any]]:
    """Return the rows of a statement, as canonical JSON can hold them.

    Raises:
        BoxFailure: `result.too-large` for more than `most` rows.
        duckdb.Error: the engine stopped; its text may hold values.
    """
    cursor, rows = connection.execute(statement), []
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
    writer = _WRITERS.get(type(value))
    if writer is None:  # the guard lets no such type through
        raise BoxFailure("query.failed")
    return writer(value)


_WRITERS: dict[type, Callable[[Any], str]] = {
    float: repr,
    decimal.Decimal: lambda value: format(value, "f"),
    datetime.date: lambda value: value.isoformat(),
    datetime.datetime: lambda value: value.isoformat(" "),
}
