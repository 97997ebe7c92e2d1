"""How many persons a figure rests on: the hidden columns of the counted statement.

The *cell* is the set of rows of one group; its persons are counted by `count(distinct person)`. When the
statement joins relations whose person tokens are not set equal, one row is about several persons, and the
cell has as many as the least of the counts: a thousand visits at one hospital are about one hospital.

A *figure* may rest on fewer persons than its cell, and it may be made to: `sum(CASE WHEN name = 'Li' THEN
income END)` over a million persons is one person's income. So each aggregate is cut into the **parts** of the
cell that it tells apart, the persons of each part are counted, and the figure rests on the least of them:

* a plain column that is never null tells nothing apart: the part is the cell;
* a column that may be null: the persons with a value;
* a column of whole numbers under sum, avg or stddev: the persons whose value is not 0, since a column of 0
  and 1 is a condition that somebody computed beforehand;
* CASE: each branch, ELSE too, written or not, since what a branch leaves out can be found by subtraction. A
  branch in which nobody is counts 0, as everywhere in the house: were nobody shown and somebody not, silence
  would tell;
* coalesce: each argument, as the CASE that it is;
* a + b, a - b: the parts of both terms, among the rows where the whole has a value;
* a * b, a / b: the rows where the whole is not null and not 0, and the parts of factors that tell something
  apart (a computed divisor is refused: its zeros would choose whom the figure leaves out).

An argument that may fail is attempted (`attempts`), and all its parts are among the rows where it did not
fail.

A part is written as the expression that yields the person for the part's rows and null for all others, so
that three-valued logic is the engine's own: the second branch of a CASE is `CASE WHEN first THEN NULL WHEN
second THEN person ELSE NULL END`.

Where an owner asks for a number of *enterprises* behind every figure, the distinct values of the column that names them
are counted in the same parts; where several relations name some, the figure rests on the least of these numbers.

Not covered, and said so in `docs/sql.md`: how much one person contributes (dominance), and what several
figures or several statements tell together (differences, power sums). Those are the airlock's and its
ledger's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from plans.errors import SqlUnsupported
from policies.reading.attempts import attempt
from policies.reading.grammar import INTEGERS, NUMERIC_AGGREGATES
from policies.reading.sources import Scope
from policies.reading.tree import (
    NULL,
    ZERO,
    Aggregate,
    Attempt,
    Branch,
    Call,
    Case,
    Cast,
    Column,
    Constant,
    Expression,
    Joined,
    Operation,
    Sort,
    aggregates,
    is_simple,
)
from policies.reading.writer import write

MOST_COUNTS = 100
"""How many sets of persons one statement may have counted; each is a hash table in the box."""

Part = Callable[[Expression], Expression]
"""A part of a cell: from what to yield in its rows, to the expression that yields it there and null elsewhere."""


def _whole(inner: Expression) -> Expression:
    return inner


@dataclass(frozen=True, slots=True)
class Counts:
    """The hidden columns of a statement as SQL, and for each output the position of the one that it rests on.

    `enterprises` are the numbers of distinct enterprises beside those of persons, or nothing.
    """

    hidden: tuple[str, ...]
    positions: tuple[int, ...]
    enterprises: tuple[str, ...] = ()


def count_persons(
    outputs: tuple[Expression, ...], scope: Scope, enterprises: tuple[Column, ...] = ()
) -> Counts:
    """Return what must be counted beside the outputs of a statement; `enterprises` are the columns that name them.

    Raises:
        SqlUnsupported: no relation is about persons, or the statement tells too many sets of persons apart.
    """
    people = distinct_people(scope)
    if not people:
        raise SqlUnsupported(
            "no relation of this statement is about persons",
            "FROM",
            "Join a relation that has a person column.",
        )
    cell = _counts([_whole], people)
    hidden, beside = [_least(cell)], [_counts([_whole], enterprises)]
    positions = []
    for output in outputs:
        parts = parts_of(output)
        counts = _counts(parts, people)
        text = _least([count for count in counts if count not in cell] or cell)
        if text not in hidden:
            hidden.append(text)
            beside.append(_counts(parts, enterprises))
        positions.append(hidden.index(text))
        if sum(text.count("count(DISTINCT") for text in hidden) + sum(map(len, beside)) > MOST_COUNTS:
            raise _too_many()
    return Counts(tuple(hidden), tuple(positions), tuple(map(_least, beside)) if enterprises else ())


def enterprise_columns(scope: Scope, read: tuple[Joined, ...]) -> tuple[Column, ...]:
    """Return the columns whose distinct values are counted: one for each relation whose owner asks for it.

    Nothing if one of them cannot be counted: its column is not there, or it is read in a subquery that chooses persons,
    whose rows are not those of the figures. Then people look at the answer.
    """
    asking = {shadow.relation for shadow in scope.shadows if shadow.enterprise is not None}
    joined = {source.alias for source in scope.sources}
    if any(each.relation in asking and each.alias not in joined for each in read):
        return ()
    wanted = [source for source in scope.sources if source.shadow.relation in asking]
    found = [source.column(source.shadow.enterprise or "") for source in wanted]
    return tuple(column for column in found if column) if None not in found else ()


def distinct_people(scope: Scope) -> tuple[Column, ...]:
    """Return one person token for each set of relations whose tokens are set equal by joins."""
    leader: dict[str, str] = {source.alias: source.alias for source in scope.sources if source.person}
    for source in scope.sources:
        for earlier, later in source.links:
            if earlier == scope_person(scope, earlier.source):
                old, new = leader[later.source], leader[earlier.source]
                leader = {alias: new if found == old else found for alias, found in leader.items()}
    return tuple(
        source.person for source in scope.sources if source.person and leader[source.alias] == source.alias
    )


def scope_person(scope: Scope, alias: str) -> Column | None:
    """Return the person token of the source with this alias."""
    return next(source.person for source in scope.sources if source.alias == alias)


def _counts(parts: list[Part], people: tuple[Column, ...]) -> list[str]:
    found = [f"count(DISTINCT {write(attempt(part(person)))})" for part in parts for person in people]
    return list(dict.fromkeys(found))


def _least(counts: list[str]) -> str:
    unique = list(dict.fromkeys(counts))
    return unique[0] if len(unique) == 1 else f"least({', '.join(unique)})"


def _too_many() -> SqlUnsupported:
    return SqlUnsupported(
        f"the figures tell more than {MOST_COUNTS} sets of persons apart",
        "SELECT",
        "Use fewer CASE branches or figures.",
    )


# --- parts -----------------------------------------------------


def parts_of(output: Expression) -> list[Part]:
    """Return the parts of every aggregate in an output; more than can be counted are not even written down."""
    found = (part for aggregate in aggregates(output) for part in _aggregate_parts(aggregate))
    few = list(islice(found, MOST_COUNTS + 1))
    if len(few) > MOST_COUNTS:
        raise _too_many()
    return few


def _aggregate_parts(aggregate: Aggregate) -> Iterator[Part]:
    if aggregate.argument is None:
        yield _whole
    elif isinstance(aggregate.argument, Attempt):
        yield from _attempt_parts(aggregate.argument, aggregate.function in NUMERIC_AGGREGATES)
    else:
        yield from parts(aggregate.argument, aggregate.function in NUMERIC_AGGREGATES)


def _attempt_parts(argument: Attempt, numeric: bool) -> Iterator[Part]:
    """Yield the parts of the value that is attempted, among the rows where it did not fail.

    `TRY(x) IS NULL`, never `TRY(x IS NULL)`: where the engine knows x to have no null, it does not compute
    the latter.
    """
    succeeded = _where(_given(argument))
    operand = argument.operand
    if isinstance(operand, Operation) and operand.operator in ("*", "/"):
        yield _where(_nonzero(argument)) if numeric else succeeded
        found = iter([part for part in _telling_parts(operand, numeric) if part is not _whole])
    else:
        found = parts(operand, numeric)
    yield from (_both(succeeded, part) for part in found)


def parts(value: Expression, numeric: bool) -> Iterator[Part]:
    """Yield the parts of a cell that an aggregate over `value` tells apart; `numeric` if 0 adds nothing to it."""
    match value:
        case Column(type=kind, nullable=nullable):
            if numeric and INTEGERS.fullmatch(kind):
                yield _where(_nonzero(value))
            else:
                yield _where(_given(value)) if nullable else _whole
        case Constant():
            yield _whole
        case Cast(operand=operand):
            yield from parts(operand, numeric)
        case Case():
            yield from _case_parts(value, numeric)
        case Call(function="coalesce", arguments=arguments):
            yield from _coalesce_parts(arguments, numeric)
        case Call():
            yield _where(_nonzero(value) if numeric and value.function != "date_trunc" else _given(value))
        case Operation(operator="+" | "-" | "*" | "/" | "negative"):
            yield from _arithmetic_parts(value, numeric)
        case _:
            yield _where(_given(value))


def _arithmetic_parts(value: Operation, numeric: bool) -> Iterator[Part]:
    if value.operator in ("*", "/"):
        yield _where(_nonzero(value) if numeric else _given(value))
        yield from _telling_parts(value, numeric)
    else:
        guard = _where(_given(value)) if may_be_null(value) else _whole
        yield from (_both(guard, part) for operand in value.operands for part in parts(operand, numeric))


def _telling_parts(product: Operation, numeric: bool) -> Iterator[Part]:
    """Yield the parts of the factors that may tell something apart."""
    telling = [operand for operand in product.operands if not is_simple(operand)]
    yield from (part for operand in telling for part in parts(operand, numeric))


def _case_parts(case: Case, numeric: bool) -> Iterator[Part]:
    for chosen, value in enumerate(case.values):
        if value == NULL:
            yield _branch(case, chosen)
        else:
            yield from (_both(_branch(case, chosen), part) for part in parts(value, numeric))


def _branch(case: Case, chosen: int) -> Part:
    """Return the part of the rows for which a CASE takes one branch; the last is ELSE."""

    def part(inner: Expression) -> Expression:
        kept = [inner if n == chosen else NULL for n in range(len(case.branches) + 1)]
        branches = tuple(
            Branch(branch.condition, value) for branch, value in zip(case.branches, kept, strict=False)
        )
        return Case(branches[: chosen + 1], kept[-1])

    return part


def _coalesce_parts(arguments: tuple[Expression, ...], numeric: bool) -> Iterator[Part]:
    """Yield each argument's parts among the rows in which all before it are null, and the rows in which all are."""
    reached: Part = _whole
    for argument in arguments:
        yield from (_both(reached, part) for part in parts(argument, numeric))
        if not may_be_null(argument):
            return
        reached = _both(reached, _where(Operation("is null", (argument,))))
    yield reached


def _where(condition: Expression) -> Part:
    return lambda inner: Case((Branch(condition, inner),))


def _both(outer: Part, inner: Part) -> Part:
    if outer is _whole or inner is _whole:
        return inner if outer is _whole else outer
    return lambda person: outer(inner(person))


def _given(value: Expression) -> Expression:
    return Operation("not", (Operation("is null", (value,)),))


def _nonzero(value: Expression) -> Expression:
    return Operation("<>", (value, ZERO))


def may_be_null(value: Expression) -> bool:
    """Return whether a value may be null; in doubt, it may."""
    if isinstance(value, Column):
        return value.nullable
    if isinstance(value, Constant):
        return value.sort is Sort.NULL
    if isinstance(value, Operation) and value.operator in ("+", "-", "*", "negative"):
        return any(may_be_null(operand) for operand in value.operands)
    if isinstance(value, Case):
        return any(may_be_null(each) for each in value.values)
    return may_be_null(value.operand) if isinstance(value, Cast) else True
