"""The loader box: opens the owner's files under their keys and streams what the asker may see of them to another box.

Over each link goes one relation of the program, as an Arrow IPC stream in sealed records (`inside.streams`): the person
token, no identifier, and the named columns; rows that the owner's filter lets through, masked (`inside.relations`). No
member's expression runs here, so nothing has to be materialised: rows are read, sent and forgotten, and a table may be
larger than memory. The box at the other end has the link's key and no key of a file; the launcher between them sees
noise.

Where a task leaves a model, the loader leaves some persons out (`HOLDOUT_PERCENT`), with all their rows, chosen by a
keyed hash of the token; the reloader streams everybody, and says in the column `_held_out` who was left out: the
inspecting box compares what the model knows of the ones and of the others. For a component a column `_signs` says the
secret signs of the row's person (`plans.sets`), of which its evidence is made; a member's own program gets none.

Whatever the engine says is dropped: its messages quote values.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

import duckdb
import pyarrow as pa

from inside.engine import NO_INFINITIES, Connection, add_key, identifier, keyed, lock, open_engine
from inside.relations import selection
from inside.session import SPILL, BoxFailure, Session
from inside.streams import Sender
from plans import names
from plans.box import Entry, Limits
from plans.errors import Malformed
from plans.handover import HELD_OUT, OWN_SIGNS
from plans.plan import PlanKind, Relation
from plans.tasks import HOLDOUT_PERCENT, leaves_model, task_of

CELLS = 2**19
MOST_ROWS = 2**16
"""Cells of a batch, about, and its rows at the most: of numbers some 4 MiB."""


def warm(limits: Limits) -> Connection:
    """Open the engine before there is a plan."""
    return open_engine(SPILL, limits)


def run(session: Session) -> dict[str, Any]:
    """Stream every relation over its link, side by side; the report says nothing.

    A peer that wants no more has what it wants: whether it got all is for itself to know.

    Raises:
        BoxFailure: `load.failed` whatever the engine's reason.
        HashMismatch: a relation's file is not among the inputs.
        Malformed: the plan has no program, or a key is missing.
    """
    program = session.plan.program
    if program is None:
        raise Malformed("a loader needs a program", "plan")
    spec = session.plan.stage(session.stage)
    try:
        connection = _opened(session, program.relations)
        wanted = [view(connection, session, relation) for relation in program.relations]
        lock(connection, readable=list(session.inputs.values()))
        ends: queue.Queue[bool] = queue.Queue()
        for link, statement in zip(spec.links, wanted, strict=True):
            work = (session, link.name, connection.cursor(), statement, ends)
            threading.Thread(target=_streamed, args=work, daemon=True).start()
        for _ in wanted:
            if not ends.get():
                raise BoxFailure("load.failed")
    except (duckdb.Error, MemoryError):
        raise BoxFailure("load.failed") from None
    return {}


def view(connection: Connection, session: Session, relation: Relation) -> str:
    """Return the statement whose rows go over the relation's link.

    Raises:
        Malformed: the key of signs is missing where persons are told apart by it.
    """
    file = session.file_of(relation)
    pseudonyms = session.keys.pseudonyms.get(relation.name, "")
    chosen = selection(connection, relation, session.inputs[file], file, pseudonyms)
    task = task_of(session.plan.request) if session.plan.request else None
    split = task is not None and leaves_model(task) and relation.about_persons
    held_out = f"{_keyed(session, 'held:')} % 100 < {HOLDOUT_PERCENT}" if split else "false"
    if session.stage is Entry.RELOAD:
        return f"SELECT *, {held_out} AS {HELD_OUT} FROM ({chosen})"
    signs = ""
    if session.plan.kind is PlanKind.COMPONENT and relation.about_persons:
        signs = f", {_keyed(session, '')} AS {OWN_SIGNS}"
    return f"SELECT *{signs} FROM ({chosen}) WHERE NOT ({held_out})"


def _opened(session: Session, relations: tuple[Relation, ...]) -> Connection:
    limits = session.plan.stage(session.stage).limits
    connection = session.warmed or open_engine(session.spill, limits)
    for name in sorted({session.file_of(relation) for relation in relations}):
        add_key(connection, name, session.keys.inputs[name])
    connection.execute(NO_INFINITIES)
    return connection


def _keyed(session: Session, purpose: str) -> str:
    """Return the expression of 64 bits that depend on a row's person, under the owner's key of signs."""
    if len(session.keys.signs) != 64:
        raise Malformed("the key of the signs of persons is missing", "box keys")
    return keyed(session.keys.signs, identifier(names.PERSON), purpose)


def _streamed(
    session: Session, name: str, cursor: Connection, statement: str, ends: queue.Queue[bool]
) -> None:
    """Send one relation, and say whether the engine did its part."""
    well = False
    try:
        with session.links[name].open() as stream:
            sender = Sender(stream, session.keys.links[name], name)
            reader = cursor.execute(statement).to_arrow_reader(_batch_rows(cursor))
            with pa.ipc.new_stream(sender, reader.schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
            sender.finish()
        well = True
    except OSError:
        well = True  # the peer wants no more; if it is gone, its own end says why
    except (duckdb.Error, pa.ArrowException, MemoryError):
        pass
    finally:
        ends.put(well)


def _batch_rows(cursor: Connection) -> int:
    return max(1, min(MOST_ROWS, CELLS // max(1, len(cursor.description or ()))))
