"""The rows by which the inspecting box checks a model: they come over links from the reloading box, and stay here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from airlock.models.rows import Column, Rows
from inside.session import BoxFailure, Session
from inside.streams import receive
from plans import names
from plans.errors import EvidenceBroken
from plans.handover import HELD_OUT

MOST_CELLS = 64_000_000
"""Cells that are taken of all tables together; of a table that has more only the beginning is looked at."""

FAILED = "inspect.rows"
"""The failure of a check whose rows did not come."""


def tables(session: Session) -> tuple[Rows, ...]:
    """Return the tables about persons that the job read, with everybody who was kept from it.

    Raises:
        BoxFailure: `inspect.rows` where one did not come, or not to its end; then nothing leaves.
    """
    spec = session.plan.stage(session.stage)
    room, found = MOST_CELLS, []
    for link in spec.links:
        with session.links[link.name].open() as stream:
            try:
                with pa.ipc.open_stream(receive(stream, session.keys.links[link.name], link.name)) as reader:
                    batches, room, whole = _taken(reader, room)
                    table = pa.Table.from_batches(batches, reader.schema)
            except (EvidenceBroken, pa.ArrowException, OSError):
                raise BoxFailure(FAILED) from None
        if names.PERSON in table.column_names and HELD_OUT in table.column_names:
            found.append(_rows(table, whole))
    return tuple(found)


def _taken(reader: Any, room: int) -> tuple[list[Any], int, bool]:
    batches = []
    for batch in reader:
        if room <= 0:
            return batches, room, False
        batches.append(batch)
        room -= batch.num_rows * max(1, batch.num_columns)
    return batches, room, True


def _rows(table: Any, whole: bool) -> Rows:
    columns = {
        name: _column(table.column(name))
        for name in table.column_names
        if name not in (names.PERSON, HELD_OUT)
    }
    persons = table.column(names.PERSON).to_numpy(zero_copy_only=False).astype(np.uint64)
    held_out = table.column(HELD_OUT).to_numpy(zero_copy_only=False).astype(bool)
    return Rows(persons, held_out, columns, whole)


def _column(values: Any) -> Column:
    kind = values.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return Column(_numbers(values.cast(pa.float64(), safe=False)), None)
    if pa.types.is_floating(kind):
        return Column(_numbers(values.cast(pa.float64())), None)
    if pa.types.is_date(kind):
        return Column(_numbers(values.cast(pa.date32()).cast(pa.int32()).cast(pa.float64())), None)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column(None, values.to_numpy(zero_copy_only=False))
    return Column(None, None)


def _numbers(values: Any) -> Any:
    return values.fill_null(float("nan")).to_numpy(zero_copy_only=False)
