"""What an ingest box is asked to do, read from its plan.

The plan's material is the canonical text of `{"description": …, "version": n}`, the description in the form
of `catalog.description`. A box carries no part of the catalog, and trusts nobody's spelling: every name and
type is checked again here before it becomes part of a statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from plans import canonical, names
from plans.errors import Malformed
from plans.manifest import Kind

ROW = "row"
"""In place of a person column: every row is its own person."""

NOBODY = "none"
"""In place of a person column: the rows are about nobody, and get no token."""

_TYPES = {
    "text": "VARCHAR",
    "code": "VARCHAR",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "date": "DATE",
    "boolean": "BOOLEAN",
}
_DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")


class Format(StrEnum):
    """Formats of source files."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class TaskColumn:
    """A column: its name, its name in the source, DuckDB type, kind, and what its values must satisfy."""

    name: str
    header: str
    type: str
    kind: Kind
    minimum: str | None
    maximum: str | None
    categories: tuple[str, ...]
    check: str


@dataclass(frozen=True, slots=True)
class Task:
    """A whole task. `person` is a column of kind identifier, `row` or `none`; `unique` says that it does not repeat."""

    format: Format
    person: str
    unique: bool
    columns: tuple[TaskColumn, ...]

    @property
    def by_row(self) -> bool:
        """Whether every row is its own person."""
        return self.person == ROW

    @property
    def about_persons(self) -> bool:
        """Whether rows are about persons."""
        return self.person != NOBODY

    @property
    def key(self) -> TaskColumn:
        """The person column."""
        return next(column for column in self.columns if column.name == self.person)

    @property
    def identifiers(self) -> tuple[TaskColumn, ...]:
        """The columns that ordinary jobs never see."""
        return tuple(column for column in self.columns if column.kind is Kind.IDENTIFIER)

    @property
    def attributes(self) -> tuple[TaskColumn, ...]:
        """All other columns."""
        return tuple(column for column in self.columns if column.kind is not Kind.IDENTIFIER)


def read(material: str) -> Task:
    """Return the task that a plan's material describes.

    Raises:
        Malformed: the material is not a description, or one of its names or types is none that is offered.
    """
    plain = canonical.decode(material.encode())
    if not isinstance(plain, dict) or not isinstance(plain.get("description"), dict):
        raise Malformed("the material is no description of a dataset", "plan.material")
    described = plain["description"]
    try:
        columns = tuple(_column(column) for column in described["columns"])
        task = Task(Format(described["format"]), described["person"], described["unique"], columns)
    except (KeyError, TypeError, ValueError) as problem:
        raise Malformed(
            "the description lacks a member, or one has a wrong value", "plan.material"
        ) from problem
    _check(task)
    return task


def engine_type(offered: str) -> str:
    """Return the DuckDB type of a type that the catalog offers; raises `Malformed` for any other."""
    if offered in _TYPES:
        return _TYPES[offered]
    form = _DECIMAL.fullmatch(offered)
    if form and 1 <= int(form[1]) <= 38 and int(form[2]) <= int(form[1]):
        return f"DECIMAL({int(form[1])},{int(form[2])})"
    raise Malformed(f"{offered[:40]!r} is not an offered type", "plan.material")


def _column(plain: dict[str, Any]) -> TaskColumn:
    return TaskColumn(
        names.require("column", plain["name"], "plan.material"),
        plain["header"],
        engine_type(plain["type"]),
        Kind(plain["kind"]),
        plain["minimum"],
        plain["maximum"],
        tuple(plain["categories"]),
        plain["check_digit"],
    )


def _check(task: Task) -> None:
    column_names = [column.name for column in task.columns]
    headers = [column.header for column in task.columns]
    if len(set(column_names)) < len(column_names) or len(set(headers)) < len(headers):
        raise Malformed("two columns have the same name", "plan.material")
    if names.PERSON in column_names or not task.columns:
        raise Malformed(f"there is no column, or one is called {names.PERSON!r}", "plan.material")
    if not task.about_persons:
        if task.identifiers or task.unique:
            raise Malformed("data about nobody identify nobody", "plan.material")
    elif not task.by_row and task.person not in [column.name for column in task.identifiers]:
        raise Malformed("the person column is not among the identifiers", "plan.material")
