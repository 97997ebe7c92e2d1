"""What a program finds (`darkroom.program`), also in a notebook that has no data: there its tables are look-alike ones.

    in a job, in a trial, or beside a folder of tables     exactly `darkroom.program`, as in the box
    in a lab, or after `darkroom.use(on="twin")`           the twin of the relation, for whoever has a grant or none

So a cell that reads `darkroom.table("tax.income")` becomes a job without a change. Real rows are never read here: there
is no way to them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom import program
from darkroom.local import stands_in
from plans.errors import NotFound, StateConflict

if TYPE_CHECKING:
    import pyarrow as pa

parameters = program.parameters
"""Arguments of the form name=value, as text."""

OUT = "outputs"
"""Where a notebook leaves outputs: a folder beside it."""

_passed: set[str] = set()


def table(name: str) -> pa.Table:
    """Return a whole table, as `pyarrow.Table`; in a notebook without data the look-alike one.

    Raises:
        KeyError: the job does not name the table.
        NotFound: in a notebook: there is no such relation, or no twin of it; elsewhere: nothing gives tables here.
    """
    if _is_twin(name):
        from darkroom.session import connection

        return connection().twin_table(name)
    _require_tables(name)
    return program.table(name)


def batches(name: str) -> Iterator[pa.RecordBatch]:
    """Yield a table's rows batch by batch, once: for tables that are larger than memory.

    Raises:
        KeyError, NotFound: as `table`.
        RuntimeError: its rows have passed already, as they would have in a job.
    """
    if not _is_twin(name):
        _require_tables(name)
        return program.batches(name)
    if name in _passed:
        raise RuntimeError(f"the rows of {name} pass once: use darkroom.table, or keep what you need")
    found = table(name)
    _passed.add(name)
    return iter(found.to_batches())


def tables() -> list[str]:
    """Return the names of the tables: of the job, of the folder of tables, or of the whole catalog in a notebook."""
    found = program.tables()
    if found or not stands_in():
        return found
    from darkroom.session import connection

    return sorted(str(each["relation"]) for each in connection().datasets())


def out(name: str) -> Path:
    """Return the path of an output; its folder is made. In a notebook that is the folder `outputs` beside it.

    Raises:
        StateConflict: this is neither a job, a trial nor a lab, and look-alike data were not chosen.
    """
    if "DARKROOM_OUT" not in os.environ and stands_in():
        path = Path(OUT, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path
    if "DARKROOM_OUT" not in os.environ:
        raise StateConflict(
            "outputs have no folder here: this is neither a job nor a lab",
            name,
            'While you write: darkroom.use(on="twin"); it is the folder `outputs` then.',
        )
    return program.out(name)


def model(name: str) -> Path:
    """Return the path of a kept model that the task names; in a notebook and in a trial, that of what stands in for it.

    Raises:
        FileNotFoundError: there is neither.
    """
    return program.model(name)


def _require_tables(name: str) -> None:
    """Check that something gives this program tables: a job, a trial, or a folder of tables beside it.

    Raises:
        NotFound: nothing does.
    """
    if not program.tables():
        raise NotFound(
            "there are no tables here: this is neither a job nor a lab",
            name,
            'For look-alike rows: darkroom.use(on="twin"). A job has its own: darkroom.submit(…).',
        )


def _is_twin(name: str) -> bool:
    """Return whether nothing gives this program its tables, so that twins stand in."""
    return stands_in() and not os.environ.get("DARKROOM_TABLES") and name not in program.tables()
