"""Which columns a statement uses, by clause, and which functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plans.reading import Clause, ColumnUse
from policies.reading.grammar import OPERATORS, Kind
from policies.reading.sources import Scope
from policies.reading.tree import (
    Aggregate,
    Call,
    Case,
    Column,
    Expression,
    Operation,
    aggregates,
    columns,
    value_columns,
)


def uses(
    scope: Scope, filters: Iterable[Expression], keys: Iterable[Expression], figures: Iterable[Expression]
) -> tuple[ColumnUse, ...]:
    """Return every use once, in a fixed order.

    A column in a condition of a CASE inside an aggregate is used like one in WHERE; what the CASE may yield,
    by the aggregate.
    """
    found = {
        _use(column, Clause.JOIN) for source in scope.sources for link in source.links for column in link
    }
    found |= {_use(column, clause) for expression in filters for column, clause in standing(expression)}
    found |= {_use(column, Clause.GROUP) for expression in keys for column in columns(expression)}
    for aggregate in (aggregate for figure in figures for aggregate in aggregates(figure)):
        found |= {_use(column, Clause.AGGREGATE, aggregate.function) for column in value_columns(aggregate)}
        found |= {_use(column, clause) for column, clause in _conditions(aggregate)}
    return tuple(sorted(found, key=lambda use: (use.relation, use.column, use.clause.value, use.function)))


def functions(expressions: Iterable[Expression]) -> tuple[str, ...]:
    """Return the names of all functions and aggregates, each once, sorted."""
    nodes = [node for expression in expressions for node in expression.walk()]
    return tuple(sorted({node.function for node in nodes if isinstance(node, Call | Aggregate)}))


def _use(column: Column, clause: Clause, function: str = "") -> ColumnUse:
    return ColumnUse(column.relation, column.name, clause, function)


def _conditions(expression: Expression) -> Iterator[tuple[Column, Clause]]:
    for node in expression.walk():
        if isinstance(node, Case):
            for branch in node.branches:
                yield from standing(branch.condition)


def standing(condition: Expression, compared: bool = False) -> Iterator[tuple[Column, Clause]]:
    """Yield every column of a condition, with `compare` where it is compared with something in which there is no
    column, and `filter` elsewhere.
    """
    if isinstance(condition, Column):
        yield condition, Clause.COMPARE if compared else Clause.FILTER
    elif isinstance(condition, Operation) and OPERATORS[condition.operator].kind is Kind.COMPARISON:
        for operands in _comparisons(condition):
            constant = any(not columns(operand) for operand in operands)
            for operand in operands:
                yield from standing(operand, compared or constant)
    else:
        for part in condition.parts:
            yield from standing(part, compared)


def _comparisons(operation: Operation) -> tuple[tuple[Expression, ...], ...]:
    """Return what is compared with each other; BETWEEN compares with its lower bound, and with its upper one."""
    if operation.operator == "between":
        subject, low, high = operation.operands
        return (subject, low), (subject, high)
    return (operation.operands,)
