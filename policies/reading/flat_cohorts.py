"""Subqueries that choose persons, written in one form: `person IN (SELECT person FROM … WHERE …)` over relations.

    EXISTS (SELECT 1 FROM x WHERE x.person = i.person AND x.cost > 5)

becomes `i.person IN (SELECT x.person FROM … WHERE …)`, with the definition of x written in as everywhere
(`flat`). Which columns are tokens, and whom the inner relations are about, is looked at in that form (`cohorts`).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

from policies.reading import refusal, scopes
from policies.reading.cohorts import INSTEAD
from policies.reading.flat_rows import Rows, Scope, bare, conjunction, plain_select, terms_of
from policies.reading.sources import identifier, refuse_extra

RowsOf = Callable[[exp.Expression], Rows]
"""How the rows of a query are found."""


def written(node: exp.Expression, scope: Scope, rows: RowsOf) -> exp.Expression:
    """Return IN or EXISTS with a subquery of rows in the one form.

    Raises:
        SqlUnsupported: the subquery is linked with the rows outside by something else than one equality.
        SqlSyntax: a name in it is not there.
    """
    if isinstance(node, exp.Exists):
        outside, query = _linked(node, scope)
    else:
        refuse_extra(node, {"this", "query"})
        outside, query = node.this, _any_order(node.args["query"])
    person, found = bare(scope.resolve(outside, {})), rows(query)
    if not found.columns or (isinstance(node, exp.In) and len(found.columns) != 1):
        raise refusal.unsupported(node, "the SELECT behind IN yields one column", INSTEAD)
    chosen = found.columns[0][1]
    if not isinstance(person, exp.Column) or not isinstance(chosen, exp.Column):
        raise refusal.unsupported(
            node, "a subquery chooses rows by something that is computed, not by the person", INSTEAD
        )
    inner = Scope(tables=list(found.tables), where=list(found.where))
    return exp.In(this=person.copy(), query=exp.Subquery(this=plain_select(inner, [chosen], [])))


def _any_order(query: exp.Expression) -> exp.Expression:
    """Return a query without DISTINCT: it makes no difference to who is in it."""
    made = query.copy()
    select = made
    while isinstance(select, exp.Subquery):
        select = select.this
    distinct = select.args.get("distinct")
    if isinstance(select, exp.Select) and distinct is not None:
        refuse_extra(distinct, set())
        select.set("distinct", None)
    return made


def _linked(node: exp.Exists, scope: Scope) -> tuple[exp.Expression, exp.Expression]:
    """Return the column outside to which EXISTS is linked, and its query with the column inside as the first output.

    The other outputs stay, so that they are looked at: they decide nothing.
    """
    refuse_extra(node, {"this"})
    query = node.this
    while isinstance(query, exp.Subquery):
        refuse_extra(query, {"this"})
        query = query.this
    assert isinstance(query, exp.Select)
    made = _any_order(query)
    inside = {_alias(source) for source in scopes.sources(query)}
    where = query.args.get("where")
    links, rest = [], []
    for term in terms_of(where.this) if where is not None else ():
        equal = bare(term)
        sides = [bare(equal.this), bare(equal.expression)] if isinstance(equal, exp.EQ) else []
        away = [side for side in sides if _is_outside(side, inside)]
        if len(away) == 1 and all(isinstance(side, exp.Column) for side in sides):
            links.append((away[0], next(side for side in sides if side is not away[0])))
        else:
            rest.append(term)
    reaching = [
        column for term in rest for column in scopes.own_nodes(term)
        if _is_outside(column, inside) and identifier(column.args["table"]) in scope.sources
    ]  # fmt: skip
    if len(links) != 1 or reaching:
        raise refusal.unsupported(
            node,
            "EXISTS is linked with the rows outside by something else than one equality of persons",
            "Write EXISTS (SELECT 1 FROM … AS a WHERE a.person = b.person AND …), or use a join.",
        )
    made.set("where", exp.Where(this=conjunction([term.copy() for term in rest])) if rest else None)
    made.set("expressions", [links[0][1].copy(), *made.expressions])
    return links[0][0], made


def _is_outside(node: exp.Expression, inside: set[str]) -> bool:
    """Return whether a column names a relation that is not in the inner FROM; a bare name is always meant inside."""
    if not isinstance(node, exp.Column) or node.args.get("table") is None:
        return False
    return identifier(node.args["table"]) not in inside


def _alias(source: exp.Expression) -> str:
    alias = source.args.get("alias")
    if alias is not None and alias.this is not None:
        return identifier(alias.this)
    return identifier(source.this) if isinstance(source, exp.Table) else ""
