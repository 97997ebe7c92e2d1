"""What a statement uses and yields, as two readers in a checker box agree on it.

A `Shadow` is an empty likeness of a dataset: what the readers may know. A `Reading` is their finding. Neither
depends on any row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.record import Record


class Clause(StrEnum):
    """Where in a statement a column is used; a column constraint allows clauses."""

    FILTER = "filter"
    JOIN = "join"
    GROUP = "group"
    AGGREGATE = "aggregate"


class Role(StrEnum):
    """What an output column is: a key of its group, or a figure computed over the group."""

    KEY = "key"
    FIGURE = "figure"


@dataclass(frozen=True, slots=True)
class ShadowColumn(Record):
    """A column as the readers know it: name, DuckDB type, and whether the manifest counted any null."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class Shadow(Record):
    """An empty relation. `person` is the name of the token column, or none for data about no one's person."""

    KIND: ClassVar[str] = "shadow"

    relation: str
    columns: tuple[ShadowColumn, ...]


@dataclass(frozen=True, slots=True)
class ColumnUse(Record):
    """A base column, the clause that uses it, and for aggregates the function."""

    relation: str
    column: str
    clause: Clause
    function: str


@dataclass(frozen=True, slots=True)
class Output(Record):
    """A column of the result as the member will see it.

    `persons` is the position, among the hidden columns of the counted statement, of the number of persons
    that this figure rests on (0 is the number of persons of the whole cell; keys and plain counts have 0).
    """

    name: str
    type: str
    role: Role
    function: str
    persons: int

    def check(self) -> None:
        if self.persons < 0:
            raise Malformed("a position among the hidden columns is 0 or more", "output.persons")


@dataclass(frozen=True, slots=True)
class Order(Record):
    """One term of ORDER BY: an output column by position, applied to *released* values in the airlock."""

    output: int
    descending: bool
    nulls_first: bool

    def check(self) -> None:
        if self.output < 0:
            raise Malformed("the position of an output is 0 or more", "order.output")


@dataclass(frozen=True, slots=True)
class Reading(Record):
    """The finding about one statement.

    `counted` is the statement that really runs: the same SELECT without ORDER BY and LIMIT, its outputs
    followed by `hidden` columns `_persons_0 …`, each a number of persons of the cell. The airlock judges by
    them and drops them.
    """

    KIND: ClassVar[str] = "reading"

    statement: str
    relations: tuple[str, ...]
    uses: tuple[ColumnUse, ...]
    functions: tuple[str, ...]
    outputs: tuple[Output, ...]
    hidden: int
    order: tuple[Order, ...]
    limit: int | None
    counted: str

    def check(self) -> None:
        names.require("digest", self.statement, "reading.statement")
        if not self.relations or not self.outputs or self.hidden < 1:
            raise Malformed("a reading needs a relation, an output and a number of persons", "reading")
        require_positions(self.outputs, self.hidden, self.order)
        require_limit(self.limit)


def require_positions(outputs: tuple[Output, ...], hidden: int, order: tuple[Order, ...]) -> None:
    """Check that outputs and order refer to columns that are there; a reading and a program say so alike.

    Raises:
        Malformed: one does not.
    """
    if any(output.persons >= hidden for output in outputs):
        raise Malformed("an output rests on a hidden column that is not there", "outputs")
    if any(term.output >= len(outputs) for term in order):
        raise Malformed("the order names an output that is not there", "order")


def require_limit(limit: int | None) -> None:
    """Check the number of rows of a LIMIT; raises `Malformed` for a negative one."""
    if limit is not None and limit < 0:
        raise Malformed("a limit is 0 or more", "limit")
