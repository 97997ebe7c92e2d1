"""A twin: tables made up in the box from what an owner declared, with no value of anybody's data (`plans.trial`).

The rows are those of `plans.twin_sql`, whose SQL anybody can run on a recipe; here it runs in a box.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from inside.session import Session
from plans.trial import Trial, TwinTable
from plans.twin_sql import expression as expression
from plans.twin_sql import pick as pick
from plans.twin_sql import picked as picked
from plans.twin_sql import select as select

MEMORY_MB = 128
BATCH = 10_000
"""Rows of an Arrow batch."""


def run(session: Session) -> dict[str, Any]:
    """Make a recipe of the owner's data (`inside.twins`), where the image has what makes noise.

    Raises:
        BoxFailure, Malformed: as there.
    """
    return dict(importlib.import_module("inside.twins").run(session))


def make(trial: Trial, folder: Path) -> None:
    """Write every table of a trial as `<relation>.arrows` into a folder: an Arrow IPC stream, as a job is fed with."""
    for table in trial.tables:
        write(table, trial.seed, folder / f"{table.name}.arrows")


def write(table: TwinTable, seed: int, path: Path) -> None:
    """Make one table."""
    settings: dict[str, str | bool | int] = {
        "threads": 1,
        "memory_limit": f"{MEMORY_MB}MiB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=settings) as connection:
        connection.execute("SET enable_progress_bar = false")
        reader = connection.execute(select(table, seed)).to_arrow_reader(BATCH)
        with path.open("wb") as file, pa.ipc.new_stream(file, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
