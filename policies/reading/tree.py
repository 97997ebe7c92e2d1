"""The expressions of the subset, as frozen values of our own.

Whatever the parser of a large SQL dialect may produce, the guard reasons about these nine kinds of nodes and
writes these again: a construct that has no node here cannot reach an engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Expression:
    """A value computed for a row, or for a group of rows."""

    @property
    def parts(self) -> tuple[Expression, ...]:
        """The expressions directly inside this one, in the order in which they are written."""
        return ()

    def walk(self) -> Iterator[Expression]:
        """Yield this expression and everything inside it."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True, slots=True)
class Column(Expression):
    """A column of a relation. `source` is the relation's alias in the statement; types are DuckDB's."""

    source: str
    relation: str
    name: str
    type: str
    nullable: bool


class Sort(StrEnum):
    """Sorts of constants."""

    NUMBER = "number"
    TEXT = "text"
    TRUTH = "truth"
    NULL = "null"
    INTERVAL = "interval"


@dataclass(frozen=True, slots=True)
class Constant(Expression):
    """A constant. `text` is its value, not its spelling: text without quotes, an interval as `3 month`."""

    sort: Sort
    text: str


NULL = Constant(Sort.NULL, "")
ZERO = Constant(Sort.NUMBER, "0")


@dataclass(frozen=True, slots=True)
class Operation(Expression):
    """An operator of `grammar.OPERATORS` and its operands."""

    operator: str
    operands: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.operands


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """A function of `grammar.FUNCTIONS` and its arguments."""

    function: str
    arguments: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.arguments


@dataclass(frozen=True, slots=True)
class Cast(Expression):
    """A value in another type."""

    operand: Expression
    type: str

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Attempt(Expression):
    """A value, or null where computing it fails; if `bounded`, null beyond 1e100 too. No member writes it
    (`policies.reading.attempts`).
    """

    operand: Expression
    bounded: bool = False

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.operand,)


@dataclass(frozen=True, slots=True)
class Branch:
    """`WHEN condition THEN value`."""

    condition: Expression
    value: Expression


@dataclass(frozen=True, slots=True)
class Case(Expression):
    """The value of the first branch whose condition is true, else `otherwise` (null when nothing is written)."""

    branches: tuple[Branch, ...]
    otherwise: Expression = NULL

    @property
    def parts(self) -> tuple[Expression, ...]:
        pairs = [part for branch in self.branches for part in (branch.condition, branch.value)]
        return (*pairs, self.otherwise)

    @property
    def values(self) -> tuple[Expression, ...]:
        """What the CASE may yield, without the conditions."""
        return (*(branch.value for branch in self.branches), self.otherwise)


@dataclass(frozen=True, slots=True)
class Aggregate(Expression):
    """An aggregate of `grammar.AGGREGATES`; `count(*)` has no argument, and a quantile says which one it is."""

    function: str
    argument: Expression | None
    which: Constant | None = None

    @property
    def parts(self) -> tuple[Expression, ...]:
        return () if self.argument is None else (self.argument,)


@dataclass(frozen=True, slots=True)
class Joined:
    """A relation in a FROM as it is written: `links` are the equalities of its ON; `optional` is LEFT JOIN."""

    alias: str
    relation: str
    optional: bool
    links: tuple[tuple[Column, Column], ...]


@dataclass(frozen=True, slots=True)
class Cohort(Expression):
    """Whether a row is of a person of other rows: `person IN (SELECT chosen FROM sources WHERE where)`.

    It is computed from the row's person alone; what is asked about the other rows is not among its parts.
    """

    person: Column
    chosen: Column
    sources: tuple[Joined, ...]
    where: Expression | None

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.person,)


def columns(expression: Expression) -> tuple[Column, ...]:
    """Return every column inside an expression, each as often as it is written."""
    return tuple(node for node in expression.walk() if isinstance(node, Column))


def value_columns(expression: Expression) -> tuple[Column, ...]:
    """Return every column whose values an expression can yield or compute with; conditions of CASE only choose."""
    if isinstance(expression, Column):
        return (expression,)
    parts = expression.values if isinstance(expression, Case) else expression.parts
    return tuple(column for part in parts for column in value_columns(part))


def aggregates(expression: Expression) -> tuple[Aggregate, ...]:
    """Return every aggregate inside an expression."""
    return tuple(node for node in expression.walk() if isinstance(node, Aggregate))


def cohorts(expression: Expression) -> Iterator[Cohort]:
    """Yield every cohort inside an expression, and those inside these."""
    for node in expression.walk():
        if isinstance(node, Cohort):
            yield node
            if node.where is not None:
                yield from cohorts(node.where)


def is_simple(expression: Expression) -> bool:
    """Return whether an expression is a column or a constant as it stands, or a cast of one."""
    if isinstance(expression, Cast):
        return is_simple(expression.operand)
    return isinstance(expression, Column | Constant)


def chooses(expression: Expression) -> bool:
    """Return whether a value depends on a choice among branches: a CASE or `coalesce` is in it."""
    return any(
        isinstance(node, Case) or (isinstance(node, Call) and node.function == "coalesce")
        for node in expression.walk()
    )
