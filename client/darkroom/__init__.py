"""What members import and type: `import darkroom`, and the `darkroom` command.

    import darkroom

    room = darkroom.connect()                 # after `darkroom login`
    job = room.sql("select region, count(*) as n from tax.income group by region",
                   project="housing", purpose="Study of rents")
    job.result().to_pandas()

    darkroom.attempt("study")                 # a folder of Python, on made-up tables
    darkroom.run("study").result().save("outputs")
    darkroom.component("describe", {"columns": ["income"], "by": "league"}, ["tax.income"], project=…, purpose=…)

It makes and keeps the member's own signing and opening keys, shows what is to be signed before it is signed,
and verifies a release before opening it. Displaying an object never runs, fetches or spends anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from darkroom.house import ShadowedError, require_own

require_own()

from darkroom.connection import Connection, connect  # noqa: E402 - only after the look at whose `plans` this is
from darkroom.files import Files  # noqa: E402
from darkroom.job import Job  # noqa: E402
from darkroom.result import SUPPRESSED, Result  # noqa: E402
from plans.errors import DarkroomError  # noqa: E402
from plans.trial import TrialReport  # noqa: E402

__all__ = [
    "SUPPRESSED",
    "Connection",
    "DarkroomError",
    "Files",
    "Job",
    "Result",
    "ShadowedError",
    "apply",
    "attempt",
    "component",
    "components",
    "connect",
    "datasets",
    "describe",
    "grants",
    "run",
    "sql",
]

_OPEN: dict[str, Connection] = {}


def _default() -> Connection:
    """Return the profile's connection, made on first use."""
    if "default" not in _OPEN:
        _OPEN["default"] = connect()
    return _OPEN["default"]


def datasets() -> list[dict[str, object]]:
    """`Connection.datasets` of the profile."""
    return _default().datasets()


def describe(dataset: str) -> dict[str, object]:
    """`Connection.describe` of the profile."""
    return _default().describe(dataset)


def apply(
    dataset: str, columns: list[str], purpose: str, *, project: str, until: str, role: str = ""
) -> dict[str, object]:
    """`Connection.apply` of the profile."""
    return _default().apply(dataset, columns, purpose, project=project, until=until, role=role)


def grants() -> list[dict[str, object]]:
    """`Connection.grants` of the profile."""
    return _default().grants()


def sql(statement: str, *, project: str, purpose: str, spend_micro: int = 0) -> Job:
    """`Connection.sql` of the profile."""
    return _default().sql(statement, project=project, purpose=purpose, spend_micro=spend_micro)


def run(folder: Path | str, *, project: str = "", purpose: str = "") -> Job:
    """`Connection.run` of the profile."""
    return _default().run(folder, project=project, purpose=purpose)


def attempt(folder: Path | str) -> TrialReport:
    """`Connection.attempt` of the profile."""
    return _default().attempt(folder)


def components() -> list[dict[str, object]]:
    """`Connection.components` of the profile."""
    return _default().components()


def component(
    name: str,
    parameters: Mapping[str, object],
    tables: Sequence[str],
    *,
    project: str,
    purpose: str,
    statement: str = "",
) -> Job:
    """`Connection.component` of the profile."""
    return _default().component(
        name, parameters, tables, project=project, purpose=purpose, statement=statement
    )
