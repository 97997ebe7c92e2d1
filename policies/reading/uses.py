"""Which columns a statement uses, by clause, and which functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plans.reading import Clause, ColumnUse
from policies.reading.sources import Scope
from policies.reading.tree import (
    Aggregate,
    Call,
    Case,
    Column,
    Expression,
    aggregates,
    columns,
    value_columns,
)


def uses(
    scope: Scope, filters: Iterable[Expression], keys: Iterable[Expression], figures: Iterable[Expression]
) -> tuple[ColumnUse, ...]:
    """Return every use once, in a fixed order.

    A column in a condition of a CASE inside an aggregate is used to filter; what the CASE may yield, by the
    aggregate.
    """
    found = {
        _use(column, Clause.JOIN) for source in scope.sources for link in source.links for column in link
    }
    found |= {_use(column, Clause.FILTER) for expression in filters for column in columns(expression)}
    found |= {_use(column, Clause.GROUP) for expression in keys for column in columns(expression)}
    for aggregate in (aggregate for figure in figures for aggregate in aggregates(figure)):
        found |= {_use(column, Clause.AGGREGATE, aggregate.function) for column in value_columns(aggregate)}
        found |= {_use(column, Clause.FILTER) for column in _conditions(aggregate)}
    return tuple(sorted(found, key=lambda use: (use.relation, use.column, use.clause.value, use.function)))


def functions(expressions: Iterable[Expression]) -> tuple[str, ...]:
    """Return the names of all functions and aggregates, each once, sorted."""
    nodes = [node for expression in expressions for node in expression.walk()]
    return tuple(sorted({node.function for node in nodes if isinstance(node, Call | Aggregate)}))


def _use(column: Column, clause: Clause, function: str = "") -> ColumnUse:
    return ColumnUse(column.relation, column.name, clause, function)


def _conditions(expression: Expression) -> Iterator[Column]:
    for node in expression.walk():
        if isinstance(node, Case):
            yield from (column for branch in node.branches for column in columns(branch.condition))
