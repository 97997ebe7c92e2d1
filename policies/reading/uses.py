"""Which columns a statement uses, by clause, and which functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plans import names
from plans.reading import Clause, ColumnUse
from policies.reading.grammar import OPERATORS, Kind
from policies.reading.sources import Scope
from policies.reading.tree import (
    Aggregate,
    Call,
    Case,
    Cohort,
    Column,
    Expression,
    Operation,
    aggregates,
    cohorts,
    columns,
    is_simple,
    value_columns,
)


def uses(
    scope: Scope, filters: Iterable[Expression], keys: Iterable[Expression], figures: Iterable[Expression]
) -> tuple[ColumnUse, ...]:
    """Return every use once, in a fixed order.

    A column in a condition of a CASE is used like one in WHERE, inside an aggregate and inside a key; so is one in
    a key that is a comparison. What a CASE inside an aggregate may yield is used by the aggregate. The person of a
    cohort is linked, wherever the cohort stands.
    """
    found = {
        _use(column, Clause.JOIN) for source in scope.sources for link in source.links for column in link
    }
    found |= {_use(column, clause) for expression in filters for column, clause in standing(expression)}
    for key in keys:
        found |= {_use(column, Clause.GROUP) for column in columns(key) if column.name != names.PERSON}
        found |= {_use(column, clause) for column, clause in (*_conditions(key), *_compared(key))}
    for aggregate in (aggregate for figure in figures for aggregate in aggregates(figure)):
        found |= {_use(column, Clause.AGGREGATE, aggregate.function) for column in value_columns(aggregate)}
        found |= {_use(column, clause) for column, clause in _conditions(aggregate)}
    return tuple(sorted(found, key=lambda use: (use.relation, use.column, use.clause.value, use.function)))


def functions(expressions: Iterable[Expression]) -> tuple[str, ...]:
    """Return the names of all functions and aggregates, each once, sorted."""
    expressions = tuple(expressions)
    inner = [found.where for each in expressions for found in cohorts(each) if found.where is not None]
    nodes = [node for expression in (*expressions, *inner) for node in expression.walk()]
    return tuple(sorted({node.function for node in nodes if isinstance(node, Call | Aggregate)}))


def _use(column: Column, clause: Clause, function: str = "") -> ColumnUse:
    return ColumnUse(column.relation, column.name, clause, function)


def _conditions(expression: Expression) -> Iterator[tuple[Column, Clause]]:
    for node in expression.walk():
        if isinstance(node, Case):
            for branch in node.branches:
                yield from standing(branch.condition)


def _compared(key: Expression) -> Iterator[tuple[Column, Clause]]:
    """Yield the columns of every comparison in a key, wherever in it: `GROUP BY x = 5` asks what WHERE would ask."""
    for node in key.walk():
        compares = isinstance(node, Operation) and OPERATORS[node.operator].kind is Kind.COMPARISON
        if compares or isinstance(node, Cohort):
            yield from standing(node)


def standing(condition: Expression) -> Iterator[tuple[Column, Clause]]:
    """Yield every column of a condition with its clause.

    It is `filter` where bare columns are compared with each other, where a bare column is tested for null, and
    where a truth column stands by itself. Everything else is `compare`: whatever is computed beside a column may
    be a constant in disguise, as in `x = 5 + 0 * y`, or null for one value only, as in `1 / (x - 5) IS NULL`.
    """
    if isinstance(condition, Column):
        yield condition, Clause.FILTER
    elif isinstance(condition, Cohort):
        links = (link for source in condition.sources for link in source.links)
        for column in (condition.person, condition.chosen, *(column for link in links for column in link)):
            yield column, Clause.JOIN
        if condition.where is not None:
            yield from standing(condition.where)
    elif isinstance(condition, Operation) and OPERATORS[condition.operator].kind is Kind.COMPARISON:
        for operands in _comparisons(condition):
            bare = _are_bare(condition.operator, operands)
            for column in (column for operand in operands for column in columns(operand)):
                yield column, Clause.FILTER if bare else Clause.COMPARE
    else:
        for part in condition.parts:
            yield from standing(part)


def _are_bare(operator: str, operands: tuple[Expression, ...]) -> bool:
    """Return whether all operands are columns as they stand; the engine casts such to compare them."""
    if operator == "is null":  # a cast that fails is null
        return isinstance(operands[0], Column)
    return all(is_simple(operand) and columns(operand) for operand in operands)


def _comparisons(operation: Operation) -> tuple[tuple[Expression, ...], ...]:
    """Return what is compared with each other; BETWEEN compares with its lower bound, and with its upper one."""
    if operation.operator == "between":
        subject, low, high = operation.operands
        return (subject, low), (subject, high)
    return (operation.operands,)
