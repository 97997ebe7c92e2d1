"""What a statement uses and yields, as two readers in a checker box agree on it.

A `Shadow` is an empty likeness of a dataset: what the readers may know. A `Reading` is their finding. Neither
depends on any row.

A statement is read at one of two levels. At the level `rows` every column that it uses is one whose values
the asker may see as they are, so it may compute whatever it likes, and rows may leave. At the level `cells`
it yields figures about groups of persons: `tables` are what runs over rows, each with the number of persons
behind every figure; the airlock protects them (suppresses, rounds), and only then `finish`, if there is one,
computes the answer from the protected tables and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from plans import names
from plans.errors import Malformed
from plans.record import Record
from plans.sets import Computed


class Clause(StrEnum):
    """Where in a statement a column is used; a column constraint allows clauses.

    `filter` is a condition between bare columns, a test of one for null, or a truth column alone; `compare` is every
    other condition (`=`, `IN`, `LIKE`, …), with a constant or with anything computed.
    `order` and `window` are found at the level `rows` only, `model` at the level `work`.
    """

    SELECT = "select"
    FILTER = "filter"
    COMPARE = "compare"
    JOIN = "join"
    GROUP = "group"
    AGGREGATE = "aggregate"
    ORDER = "order"
    WINDOW = "window"
    MODEL = "model"


class Level(StrEnum):
    """What leaves: rows of columns whose values the asker may see, figures about groups (see the module), or typed
    outputs of a program over the relations (`plans.tasks`), which no reader has read.
    """

    ROWS = "rows"
    CELLS = "cells"
    WORK = "work"


class Role(StrEnum):
    """What an output column is: a key of its group, a figure computed over the group, a row's own value, or
    something that `finish` computed from protected keys and figures.
    """

    KEY = "key"
    FIGURE = "figure"
    VALUE = "value"
    DERIVED = "derived"


@dataclass(frozen=True, slots=True)
class ShadowColumn(Record):
    """A column as the readers know it: name, DuckDB type, whether any value may be null, and whether the asker
    may see its values as they are (masked ones: as they are after masking).
    """

    name: str
    type: str
    nullable: bool
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Shadow(Record):
    """An empty relation; the first column of one about persons is the token (`plans.names.PERSON`).

    `enterprise` is the column whose distinct values are counted behind every figure, where the owner asks for a number
    of them (none: does not); an empty one is no column, and then nobody can count.
    """

    KIND: ClassVar[str] = "shadow"

    relation: str
    columns: tuple[ShadowColumn, ...]
    enterprise: str | None = None


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
    `sources` are the base columns (`relation.column`) that the output's values are computed from, sorted.
    `argument` is the base column that is the key, or the aggregate's argument, as it stands; empty for everything
    computed. `distinct` says that an aggregate counts every value once.
    """

    name: str
    type: str
    role: Role
    function: str
    persons: int
    sources: tuple[str, ...] = ()
    argument: str = ""
    distinct: bool = False

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
class Contributions(Record):
    """What each person adds to each cell of a table: a statement for the box, never for an answer.

    It yields one row for every key and person: the values of the table's keys under the names of their outputs,
    `_person`, and for every output whose position is in `figures` the column `_rows_N` (how many of the person's rows
    the figure rests on; N is the position of the output). Then for every *total* a column `_sum_N`, the sum of its
    argument over these rows; `totals` are the positions of their outputs, in the order of the columns. An output that
    is computed from several aggregates has several, `_sum_N_1` …, and so has one that adds up several summands: the
    whole first, then `_sum_N_2` …. Then `sets` columns `_set_1` …: how many of the person's rows are in each part of
    the cell that a figure tells apart; the last `chosen` of these are the parts of
    figures whose argument is computed, as by a CASE. Before them stands `_set_0`, all of the person's rows. `patterns`
    say of the cell and of each part which plain columns its figures rest on, and `computed` which figures have the
    other parts (`plans.sets.Sets`).

    `squares` are numbers of columns among those of `totals`, one for each thing of which a deviation is made: the
    column before it is the sum of that thing, it is the sum of its squares, and the one after it the rows with a value.
    From the three comes how far each person's values lie from the mean of the cell (`inside.evidence`).

    `further` are statements of the same form about other persons, where one row is about several. `crossed` says that
    the cells are a whole cross-table: all rows, by two or more columns as they stand. Its margins are what anybody
    would ask next, and no condition of the asker decides who is in a small cell of it.

    `enterprises` are statements in which an enterprise stands in the place of the person, one for each column that
    names some: they yield the keys, `_person`, the sums, and `_set_0` … as above, and nothing else.
    """

    KIND: ClassVar[str] = "contributions"

    statement: str
    figures: tuple[int, ...]
    totals: tuple[int, ...] = ()
    sets: int = 0
    further: tuple[str, ...] = ()
    crossed: bool = False
    enterprises: tuple[str, ...] = ()
    chosen: int = 0
    squares: tuple[int, ...] = ()
    patterns: tuple[tuple[str, ...], ...] = ()
    computed: tuple[Computed, ...] = ()


@dataclass(frozen=True, slots=True)
class Cells(Record):
    """A table that runs over rows, and what is counted beside it.

    `counted` is the statement that really runs: without ORDER BY and LIMIT, its outputs followed by `hidden`
    columns `_persons_0 …`, each a number of persons of the cell. The airlock judges by them and drops them.
    At the level `rows` nothing is counted: `hidden` is 0 and the statement is the member's own. `contributions`
    are there for every table of figures. `alone` says that every row is about one person and no other.

    `enterprises` is how many columns `_enterprises_0 …` follow: the numbers of distinct enterprises beside the numbers
    of persons, one for each, or 0 where nobody asks or not all of them can be counted.
    """

    KIND: ClassVar[str] = "cells"

    counted: str
    outputs: tuple[Output, ...]
    hidden: int
    contributions: Contributions | None = None
    alone: bool = False
    enterprises: int = 0

    @property
    def totals(self) -> tuple[int, ...]:
        """The position of the output of each total whose largest persons are known."""
        return self.contributions.totals if self.contributions else ()

    def check(self) -> None:
        if not self.outputs or self.hidden < 0:
            raise Malformed("a table of cells has an output", "cells")
        if self.enterprises not in (0, self.hidden):
            raise Malformed(
                "a number of enterprises stands beside each number of persons, or none does", "cells"
            )
        if any(not 0 <= place < len(self.outputs) for place in self.totals):
            raise Malformed("a total is of an output that is not there", "contributions")
        if any(output.persons >= max(self.hidden, 1) for output in self.outputs):
            raise Malformed("an output rests on a hidden column that is not there", "outputs")


@dataclass(frozen=True, slots=True)
class Reading(Record):
    """The finding about one statement.

    `finish` is a SELECT over `cells_0`, `cells_1` …, the protected `tables` by position, whose columns are
    their outputs; empty where the answer is the one table itself, in `order` and up to `limit`. `outputs` are
    those of the answer.
    """

    KIND: ClassVar[str] = "reading"

    statement: str
    level: Level
    relations: tuple[str, ...]
    uses: tuple[ColumnUse, ...]
    functions: tuple[str, ...]
    tables: tuple[Cells, ...]
    finish: str
    outputs: tuple[Output, ...]
    order: tuple[Order, ...]
    limit: int | None

    def check(self) -> None:
        names.require("digest", self.statement, "reading.statement")
        if not self.relations:
            raise Malformed("a reading needs a relation", "reading")
        require_answer(self)

    @property
    def counted(self) -> str:
        """What runs over rows, for a statement that needs one table."""
        return self.tables[0].counted

    @property
    def hidden(self) -> int:
        """How many numbers of persons stand beside the first table."""
        return self.tables[0].hidden


class Answer(Protocol):
    """What a reading and a program have in common: how tables become an answer."""

    @property
    def level(self) -> Level: ...
    @property
    def tables(self) -> tuple[Cells, ...]: ...
    @property
    def finish(self) -> str: ...
    @property
    def outputs(self) -> tuple[Output, ...]: ...
    @property
    def order(self) -> tuple[Order, ...]: ...
    @property
    def limit(self) -> int | None: ...


def require_answer(answer: Answer) -> None:
    """Check that tables, outputs and order fit each other and the level; a reading and a program say so alike.

    Raises:
        Malformed: they do not; a table of figures without numbers of persons, for one.
    """
    if answer.level is Level.WORK:
        _require_nothing(answer)
        return
    if not answer.tables or not answer.outputs:
        raise Malformed("an answer needs a table and an output", "answer")
    counted = all(table.hidden > 0 for table in answer.tables)
    if (answer.level is Level.CELLS) != counted or (not counted and len(answer.tables) != 1):
        raise Malformed("figures have numbers of persons beside them, rows have none", "answer")
    if answer.level is Level.ROWS and answer.finish:
        raise Malformed("nothing is computed from rows that have left", "answer")
    if not answer.finish and (len(answer.tables) != 1 or answer.outputs != answer.tables[0].outputs):
        raise Malformed("without a finish the one table is the answer", "answer")
    if answer.finish and (answer.order or answer.limit is not None):
        raise Malformed("a finish orders and limits by itself", "answer")
    roles = {output.role for output in answer.outputs}
    allowed = {Role.DERIVED} if answer.finish else _ROLES[answer.level]
    inner = {output.role for table in answer.tables for output in table.outputs}
    if not roles <= allowed or not inner <= _ROLES[answer.level]:
        raise Malformed("an output has a role that its level does not have", "outputs")
    if any(term.output >= len(answer.outputs) for term in answer.order):
        raise Malformed("the order names an output that is not there", "order")
    if answer.limit is not None and answer.limit < 0:
        raise Malformed("a limit is 0 or more", "limit")


def _require_nothing(answer: Answer) -> None:
    if answer.tables or answer.outputs or answer.finish or answer.order or answer.limit is not None:
        raise Malformed("a task has no statement, so no tables and outputs of one", "answer")


_ROLES = {Level.ROWS: {Role.VALUE}, Level.CELLS: {Role.KEY, Role.FIGURE}}
