"""What the SELECTs of a statement are: rows of relations, figures about groups of them, or something over such figures.

A statement may consist of many SELECTs, in WITH, in FROM, under set operations, inside expressions. Each reads
rows, or reads what another SELECT yields, and it must be known which before anything else can be said:

* **rows**: it reads relations, and yields a row for each of theirs;
* **cells**: it reads rows, and yields figures about groups of them;
* **outer**: it reads cells, or what was computed from them.

No SELECT reads rows and cells side by side: who may not see a figure unrounded may not filter persons by it
either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from sqlglot import exp

from policies.reading import functions, refusal
from policies.reading.sources import identifier, refuse_extra, require_name

MOST_QUERIES = 48
"""How many SELECTs and set operations a statement may have."""


class Kind(StrEnum):
    """What a query yields (see the module)."""

    ROWS = "rows"
    CELLS = "cells"
    OUTER = "outer"


@dataclass(frozen=True)
class Definition:
    """What a name in WITH means: a query, the names that it could see, and names for its first columns."""

    query: exp.Expression
    names: Names
    columns: tuple[str, ...]

    @cached_property
    def kind(self) -> Kind:
        """What the query yields; found once, since a name may be read in many places, and so on below it."""
        return kind(self.query, self.names)


Names = Mapping[str, Definition]
"""The names of WITH that a query can see."""

_SEEN_THROUGH = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)


def extended(query: exp.Expression, names: Names) -> Names:
    """Return the names that the parts of a query can see, with those of its own WITH.

    Raises:
        SqlUnsupported: the WITH is recursive, or a name in it cannot be one.
        SqlSyntax: a name is defined twice.
    """
    clause = query.args.get("with_")
    if clause is None:
        return names
    if clause.args.get("recursive"):
        raise refusal.unsupported(
            clause, "WITH RECURSIVE is not in the subset", "How often it repeats would depend on the data."
        )
    refuse_extra(clause, {"expressions"})
    own: dict[str, Definition] = {}
    for item in clause.expressions:
        refuse_extra(item, {"this", "alias", "materialized"})
        name = require_name(item.args["alias"].this, "a name in WITH")
        if name in own:
            raise refusal.wrong(item.args["alias"], f"two names in WITH are {name!r}", "Give each its own.")
        own[name] = Definition(item.this, {**names, **own}, column_names(item.args["alias"]))
    return {**names, **own}


def column_names(alias: exp.Expression) -> tuple[str, ...]:
    """Return the names that `AS t(a, b)` gives to columns."""
    refuse_extra(alias, {"this", "columns"})
    found = tuple(require_name(column, "the name of a column") for column in alias.args.get("columns") or ())
    if len(set(found)) != len(found):
        raise refusal.wrong(alias, "two columns have the same name", "Give each a name of its own.")
    return found


def table_name(node: exp.Expression, names: Names) -> str:
    """Return the name of WITH that a relation in FROM means, or nothing."""
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier) or node.args.get("db"):
        return ""
    name = identifier(node.this)
    return name if name in names else ""


def sources(select: exp.Expression) -> Iterator[exp.Expression]:
    """Yield what stands in FROM and JOIN."""
    if (clause := select.args.get("from_")) is not None:
        yield clause.this
    yield from (join.this for join in select.args.get("joins") or ())


def kind(query: exp.Expression, names: Names) -> Kind:
    """Return what a query yields.

    Raises:
        SqlUnsupported: it reads rows and figures side by side, or rows of a set operation.
    """
    names = extended(query, names)
    if isinstance(query, exp.Subquery):
        return kind(query.this, names)
    if isinstance(query, exp.SetOperation):
        if Kind.ROWS in (kind(query.this, names), kind(query.expression, names)):
            raise refusal.unsupported(
                query,
                "row-level output: a set operation of rows is not in the subset",
                "Aggregate each side first, then use UNION, EXCEPT or INTERSECT on the figures.",
            )
        return Kind.OUTER
    if not isinstance(query, exp.Select):
        raise refusal.unsupported(
            query, "only SELECT is in the subset", "See docs/sql.md for what it may contain."
        )
    return _kind_of_select(query, names)


def _kind_of_select(select: exp.Select, names: Names) -> Kind:
    kinds = {_kind_of_source(source, names) for source in sources(select)}
    if not kinds:
        return Kind.OUTER
    if Kind.ROWS not in kinds:
        return Kind.OUTER
    if len(kinds) > 1:
        raise refusal.unsupported(
            select,
            "rows of relations and figures about groups stand side by side in one FROM",
            "Aggregate the relation in a subquery of its own, and join the figures by their keys.",
        )
    return Kind.CELLS if is_aggregated(select) else Kind.ROWS


def _kind_of_source(source: exp.Expression, names: Names) -> Kind:
    if isinstance(source, exp.Subquery):
        found = kind(source, names)
    elif name := table_name(source, names):
        found = names[name].kind
    else:
        found = Kind.ROWS
    return Kind.ROWS if found is Kind.ROWS else Kind.OUTER


def is_aggregated(select: exp.Expression) -> bool:
    """Return whether a SELECT over rows groups them, or computes an aggregate over them."""
    clauses = [*select.expressions, *(select.args.get(part) for part in ("having", "qualify", "order"))]
    return select.args.get("group") is not None or any(
        is_aggregate(node) for clause in clauses if clause is not None for node in own_nodes(clause)
    )


def own_nodes(node: exp.Expression) -> Iterator[exp.Expression]:
    """Yield a node and all below it; of a query inside it only the query itself."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        if found is node or not isinstance(found, exp.Query):
            waiting += found.iter_expressions()


def is_aggregate(node: exp.Expression) -> bool:
    """Return whether a node is an aggregate over a group, and not the function of a window."""
    called = functions.written(node.name) if isinstance(node, exp.Anonymous) else None
    if called is None and (not isinstance(node, exp.AggFunc) or isinstance(node, exp.Grouping)):
        return False
    if called is not None and not called.aggregates:
        return False
    head: exp.Expression = node
    while isinstance(head.parent, _SEEN_THROUGH) and head.arg_key == "this":
        head = head.parent
    return not (isinstance(head.parent, exp.Window) and head.arg_key == "this")


def computes(node: exp.Expression) -> bool:
    """Return whether a query stands in an expression otherwise than behind IN or EXISTS."""
    return any(isinstance(found, exp.Query) and not is_asked_about(found) for found in own_nodes(node))


def is_asked_about(query: exp.Expression) -> bool:
    """Return whether a query stands behind IN or EXISTS."""
    return query.parent is not None and asks(query.parent)


def asks(node: exp.Expression) -> bool:
    """Return whether a node is IN or EXISTS with a query."""
    return isinstance(node, exp.Exists) or (isinstance(node, exp.In) and node.args.get("query") is not None)
