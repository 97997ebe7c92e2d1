"""The finish box: computes a statement's outer part from protected tables, and holds nothing else.

Whatever the statement does here, it does to figures that may leave as they are: no expression of it can say more
than they do, whether it fails, loops, or breaks the engine. So there are no rules in this box; there is no file,
no key of the owner's data, and no number of persons. Its engine is locked before the statement runs.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import duckdb

from airlock.rules import Table
from inside.engine import NO_INFINITIES, Connection, identifier, literal, lock, open_engine
from inside.query import fetch
from inside.session import SPILL, BoxFailure, Session
from inside.table import MOST_CELLS, Bare, columns, read_tables
from plans import canonical
from plans.box import Entry, Limits
from plans.errors import Malformed
from plans.handover import FINISHED, PROTECTED
from plans.reading import Output

ONE_THREAD = "SET threads = 1"
"""Protected tables are small, and what is computed from the same ones is the same, the order of its rows included."""


def warm(limits: Limits, spill: Path = SPILL) -> Connection:
    """Open the engine, before there is a plan."""
    return open_engine(spill, limits, ordered=True)


def run(session: Session) -> dict[str, Any]:
    """Run the program's finish and hand its table to the judge box; the report says nothing about it.

    Raises:
        OutputRefused: the tables are not ones that the protect box writes.
        BoxFailure: `finish.failed` whatever the engine's reason, `result.too-large` for more cells than the
            judge reads.
    """
    program = session.plan.program
    if program is None or not program.finish:
        raise Malformed("a plan without a finish has nothing to finish", "plan.program")
    forms = [Bare(cells.outputs) for cells in program.tables]
    found = read_tables(session.read(PROTECTED), forms, salted=True)
    answer = columns(Bare(program.outputs))
    try:
        connection = session.warmed or warm(session.plan.stage(Entry.FINISH).limits, session.spill)
        create_tables(connection, found.tables, [form.outputs for form in forms])
        connection.execute(NO_INFINITIES)
        connection.execute(ONE_THREAD)
        lock(connection)
        rows = fetch(connection, program.finish, MOST_CELLS // len(answer))
    except (duckdb.Error, MemoryError, OverflowError):
        raise BoxFailure("finish.failed") from None
    content: Any = {"tables": [{"columns": answer, "rows": rows}], "salt": secrets.token_hex(16)}
    session.write(FINISHED, canonical.encode(content))
    return {}


def create_tables(
    connection: Connection, tables: tuple[Table, ...], outputs: list[tuple[Output, ...]]
) -> None:
    """Create `cells_0`, `cells_1` … with the types of their outputs, and fill them.

    A rounded figure that its type cannot hold any more (127 as 130 in a TINYINT) has no value.
    """
    for number, (table, listed) in enumerate(zip(tables, outputs, strict=True)):
        typed = ", ".join(f"{identifier(output.name)} {output.type}" for output in listed)
        connection.execute(f"CREATE TABLE cells_{number} ({typed})")
        taken = ", ".join(
            f"TRY_CAST(each[{place}] AS {output.type})" for place, output in enumerate(listed, 1)
        )
        rows = json.dumps([[_text(value) for value in row] for row in table.rows], ensure_ascii=False)
        connection.execute(
            f"INSERT INTO cells_{number} SELECT {taken} FROM"
            f""" (SELECT unnest(from_json({literal(rows)}, '[["VARCHAR"]]')) AS each)"""
        )


def _text(value: str | int | bool | None) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if value is None else str(value)
