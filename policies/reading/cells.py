"""One SELECT that yields figures about groups of rows, taken apart: a plain table of cells, and a SELECT over it.

    SELECT region, sum(cost) / count(*) AS mean FROM … GROUP BY region HAVING count(*) > 100 ORDER BY mean

becomes the table of cells

    SELECT region AS key_0, sum(cost) AS figure_0, count(*) AS figure_1 FROM … GROUP BY region

and, over it, once it is protected,

    SELECT key_0 AS region, figure_0 / figure_1 AS mean FROM cells_0 WHERE figure_1 > 100 ORDER BY 2

Names of outputs are understood as the engine does it: in SELECT, QUALIFY and expressions of ORDER BY a column
goes before an output's name, in HAVING a key does, and alone in ORDER BY the output's name goes first.

**Margins.** With GROUPING SETS, ROLLUP or CUBE the table has the finest cells only, and the margins are added
up from what is left of them after protection; so none of them uncovers a cell that was suppressed. Only sum
and count add up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from plans.errors import SqlUnsupported
from policies.reading import flat, refusal
from policies.reading.flat_rows import Aliases, Scope, bare, column_of, plain_select
from policies.reading.functions import aggregate_name
from policies.reading.grammar import ADDITIVE_AGGREGATES
from policies.reading.scopes import is_aggregate, own_nodes
from policies.reading.sources import NAME, identifier, refuse_extra
from policies.reading.statement import MOST_OUTPUTS

Inner = Callable[[exp.Expression], exp.Expression]
"""How a query inside an expression is read: to a query over cells, or refused."""

_READ = {
    "expressions", "from_", "joins", "where", "group", "having", "qualify", "windows", "order", "limit", "offset",
    "distinct", "with_",
}  # fmt: skip
MOST_LIFTED = 20_000
"""How many nodes a SELECT may have over its cells, once names of outputs are written out in it."""

_WAITING = "cells"
_SETS = (exp.Rollup, exp.Cube, exp.GroupingSets)


@dataclass(frozen=True, slots=True)
class Taken:
    """A SELECT taken apart. `references` are the columns in `over` whose table's number is not known yet."""

    table: exp.Select
    over: exp.Select
    references: tuple[exp.Column, ...]

    def numbered(self, number: int) -> exp.Select:
        """Return the SELECT over the table of this number."""
        name = f"cells_{number}"
        for column in self.references:
            column.set("table", exp.to_identifier(name, quoted=True))
        self.over.set("from_", exp.From(this=exp.Table(this=exp.to_identifier(name, quoted=True))))
        return self.over


def take_apart(select: exp.Select, scope: Scope, aliases: Aliases, inner: Inner) -> Taken:
    """Return the table of cells of a SELECT, and the SELECT over it.

    Raises:
        SqlUnsupported: it yields something that is neither computed from keys nor from figures, or has margins
            that do not add up.
        SqlSyntax: a name in it is not there.
    """
    refuse_extra(select, _READ)
    if len(select.expressions) > MOST_OUTPUTS:
        raise _too_many(select)
    return _Apart(select, scope, aliases, inner).taken()


@dataclass
class _Apart:
    select: exp.Select
    scope: Scope
    aliases: Aliases
    inner: Inner
    shapes: dict[object, int] = field(default_factory=dict)
    keys: dict[int, exp.Expression] = field(default_factory=dict)
    figures: dict[int, exp.Expression] = field(default_factory=dict)
    lifted: int = 0
    references: list[exp.Column] = field(default_factory=list)
    sets: bool = False

    def taken(self) -> Taken:
        group = self._group(self.select.args.get("group"))
        items = self._outputs()
        over = exp.Select(expressions=items, distinct=self._distinct())
        if group is not None:
            over.set("group", group)
        having = self.select.args.get("having")
        if having is not None:
            condition = self._lift(having.this, self.aliases, having=True)
            self._require_bare_keys(having, condition)
            clause = exp.Having(this=condition) if self.sets else exp.Where(this=condition)
            over.set("having" if self.sets else "where", clause)
        for part in ("qualify", "windows"):
            found = self.select.args.get(part)
            if found is not None:
                over.set(part, self._lifted_part(found, self.aliases, having=False))
        if self.select.args.get("order") is not None:
            over.set("order", self._order(self.select.args["order"]))
        for part in ("limit", "offset"):
            if self.select.args.get(part) is not None:
                over.set(part, self.select.args[part].copy())
        return Taken(self._table(), over, tuple(self.references))

    def _table(self) -> exp.Select:
        keys = [_named(key, f"key_{number}") for number, key in enumerate(self.keys.values())]
        figures = [_named(figure, f"figure_{number}") for number, figure in enumerate(self.figures.values())]
        return plain_select(self.scope, [*keys, *figures], list(self.keys.values()))

    def _distinct(self) -> exp.Expression | None:
        found = self.select.args.get("distinct")
        if found is not None:
            refuse_extra(found, set())
        return found.copy() if found is not None else None

    # --- GROUP BY -----------------------------------------------------

    def _group(self, group: exp.Group | None) -> exp.Group | None:
        """Collect the keys; return the GROUP BY of the SELECT over the cells, which only margins need."""
        if group is None:
            return None
        refuse_extra(group, {"expressions", "all"})
        if group.args.get("all"):
            self._group_by_all()
            return None
        self.sets = any(isinstance(item, _SETS) for item in group.expressions)
        items = [self._group_item(item) for item in group.expressions]
        return exp.Group(expressions=[item for item in items if item is not None]) if self.sets else None

    def _require_bare_keys(self, having: exp.Expression, condition: exp.Expression) -> None:
        """With GROUP BY ALL the engine groups by the columns in HAVING as well, not by what is computed from them."""
        group = self.select.args.get("group")
        if group is None or not group.args.get("all"):
            return
        computed = {
            f"key_{n}" for n, key in enumerate(self.keys.values()) if not isinstance(bare(key), exp.Column)
        }
        if any(each.table == _WAITING and each.name in computed for each in condition.find_all(exp.Column)):
            raise refusal.unsupported(
                having,
                "HAVING looks at a computed key of GROUP BY ALL",
                "Name the keys in GROUP BY: GROUP BY year(day).",
            )

    def _group_by_all(self) -> None:
        for item in self.select.expressions:
            node = item.this if isinstance(item, exp.Alias) else item
            if not any(
                is_aggregate(inner) or isinstance(inner, exp.Window) or self._computes(inner)
                for inner in own_nodes(node)
            ):
                self._key(self.scope.resolve(node, self.aliases))

    def _group_item(self, item: exp.Expression) -> exp.Expression | None:
        if isinstance(item, (*_SETS, exp.Tuple)):
            refuse_extra(item, {"expressions"})
            found = [self._group_item(each) for each in item.expressions]
            return type(item)(expressions=[each for each in found if each is not None])
        if isinstance(item, exp.Paren):
            found_one = self._group_item(item.this)
            return exp.Paren(this=found_one) if found_one is not None else None
        return self._key(self._meant(item))

    def _meant(self, item: exp.Expression) -> exp.Expression:
        """Return the key that an item means: an output by position, a column, an output by name, an expression."""
        position = self._position(item)
        if position is not None:
            chosen = self.select.expressions[position]
            node = chosen.this if isinstance(chosen, exp.Alias) else chosen
        else:
            node = item
        found = self.scope.resolve(node, self.aliases)
        if any(isinstance(inner, exp.AggFunc | exp.Window) for inner in found.walk()):
            raise refusal.unsupported(
                item,
                "a GROUP BY key is computed from columns, without aggregates",
                "Group by something else.",
            )
        return found

    def _key(self, key: exp.Expression) -> exp.Expression | None:
        """Add a key, if it is new, and return the column of the cells that it becomes; none for a constant."""
        if key.find(exp.Column) is None:
            return None
        shape = self._shape(key)
        self.keys.setdefault(shape, key)
        self._require_few(key)
        return self._refer_key(shape)

    def _refer_key(self, shape: int) -> exp.Column:
        return self._refer(f"key_{list(self.keys).index(shape)}")

    def _require_few(self, node: exp.Expression) -> None:
        if len(self.keys) + len(self.figures) > MOST_OUTPUTS:
            raise _too_many(node)

    def _position(self, item: exp.Expression) -> int | None:
        if not isinstance(item, exp.Literal) or item.is_string:
            return None
        count = len(self.select.expressions)
        if not re.fullmatch(r"\d{1,3}", str(item.this)) or not 1 <= int(item.this) <= count:
            raise refusal.wrong(
                item, f"there are {count} outputs, numbered from 1", "Give one of these numbers, or a name."
            )
        return int(item.this) - 1

    # --- outputs, conditions, order -----------------------------------------------------

    def _outputs(self) -> list[exp.Expression]:
        """Return the outputs over the cells; each may name those before it."""
        made: list[exp.Expression] = []
        before: dict[str, exp.Expression] = {}
        for item, name in zip(self.select.expressions, output_names(self.select), strict=True):
            node = item.this if isinstance(item, exp.Alias) else item
            lifted = self._lift(node, before, having=False)
            made.append(exp.Alias(this=lifted, alias=exp.to_identifier(name, quoted=True)))
            if isinstance(item, exp.Alias):
                before.setdefault(identifier(item.args["alias"]), item.this)
        return made

    def _order(self, order: exp.Order) -> exp.Order:
        refuse_extra(order, {"expressions"})
        return exp.Order(expressions=[self._term(item) for item in order.expressions])

    def _term(self, item: exp.Expression) -> exp.Expression:
        if not isinstance(item, exp.Ordered):
            raise refusal.unsupported(
                item, "ORDER BY takes outputs, or what is computed from keys and figures"
            )
        refuse_extra(item, {"this", "desc", "nulls_first"})
        node = item.this
        if isinstance(node, exp.Var) and str(node.this).upper() == "ALL":
            return item.copy()
        position = self._position(node)
        if position is None and isinstance(node, exp.Column) and not node.args.get("table"):
            names = [
                identifier(each.args["alias"]) if isinstance(each, exp.Alias) else ""
                for each in self.select.expressions
            ]
            name = identifier(node.this)
            position = names.index(name) if name in names else None
        lifted = (
            self._lift(node, self.aliases, having=False)
            if position is None
            else exp.Literal.number(position + 1)
        )
        copied = item.copy()
        copied.set("this", lifted)
        return copied

    def _lift(self, node: exp.Expression, aliases: Aliases, having: bool) -> exp.Expression:
        """Return an expression over the cells: keys and figures become columns of them, the rest stays."""
        self.lifted += 1
        if self.lifted > MOST_LIFTED:
            raise refusal.unsupported(
                node, "what is computed from figures becomes too large when its names are written out"
            )
        if isinstance(node, exp.Query):
            return self.inner(node)
        if is_aggregate(node):
            return self._figure(node)
        if isinstance(node, exp.Filter) and not _is_window_head(node):
            return self._figure(_as_case(node))
        key = self._as_key(node)
        if key is not None:
            return key
        if isinstance(node, exp.Column):
            return self._named_output(node, aliases, having)
        return self._lifted(node, aliases, having)

    def _lifted(self, node: exp.Expression, aliases: Aliases, having: bool) -> exp.Expression:
        """Return a node with everything below it lifted."""
        parts = {name: self._lifted_part(part, aliases, having) for name, part in node.args.items()}
        made = type(node)(**parts)
        made.meta.update(node.meta)
        return made

    def _lifted_part(self, part: Any, aliases: Aliases, having: bool) -> Any:
        if isinstance(part, list):
            return [self._lifted_part(each, aliases, having) for each in part]
        if not isinstance(part, exp.Expression):
            return part
        if isinstance(part, exp.Identifier | exp.DataType):
            return part.copy()
        return self._lift(part, aliases, having)

    def _as_key(self, node: exp.Expression) -> exp.Column | None:
        """Return the column of the cells that an expression is, if it is a key as it stands."""
        inside = list(own_nodes(node))
        if any(
            isinstance(each, exp.AggFunc | exp.Window | exp.Star) or self._computes(each) for each in inside
        ):
            return None
        columns = [each for each in inside if isinstance(each, exp.Column)]
        if not any(isinstance(each, exp.Column | exp.Query) for each in inside) or any(
            self.scope.find(column) is None for column in columns
        ):
            return None
        shape = self._shape(self.scope.resolve(node, {}))
        return self._refer_key(shape) if shape in self.keys else None

    def _computes(self, node: exp.Expression) -> bool:
        """Return whether a node is a query whose figures are computed with; one that chooses persons is none."""
        return isinstance(node, exp.Query) and not self.scope.chooses_persons(node)

    def _named_output(self, node: exp.Column, aliases: Aliases, having: bool) -> exp.Expression:
        if isinstance(node.this, exp.Star):
            raise refusal.unsupported(
                node, "row-level output: * stands beside an aggregate", "Name the keys."
            )
        found = self.scope.find(node)
        name = identifier(node.this) if not node.args.get("table") else ""
        if name in aliases and (found is None or having):
            rest = {known: each for known, each in aliases.items() if known != name}
            return exp.Paren(this=self._lift(aliases[name], rest, having))
        if found is None:
            raise self.scope.unknown(node)
        raise refusal.unsupported(
            node,
            f"row-level output: {refusal.shown(identifier(node.this))} is neither in an aggregate nor a GROUP BY key",
            "Add it to GROUP BY, or aggregate it.",
        )

    def _figure(self, node: exp.Expression) -> exp.Expression:
        resolved = self.scope.resolve(node, {})
        shape = self._shape(resolved)
        self.figures.setdefault(shape, resolved)
        self._require_few(node)
        column = self._refer(f"figure_{list(self.figures).index(shape)}")
        if not self.sets:
            return column
        if not isinstance(node, exp.Count | exp.Sum) or isinstance(node.this, exp.Distinct):
            raise refusal.unsupported(
                node,
                "with GROUPING SETS, ROLLUP or CUBE there are sums and counts only: a margin is added up from what is"
                " left of its cells after protection",
                f"Use {' and '.join(ADDITIVE_AGGREGATES)}, or ask for the margin in a statement of its own.",
            )
        total = exp.Sum(this=column)
        return exp.Cast(this=total, to=exp.DataType.build("BIGINT")) if isinstance(node, exp.Count) else total

    def _refer(self, name: str) -> exp.Column:
        column = column_of(_WAITING, name)
        self.references.append(column)
        return column

    def _shape(self, node: exp.Expression) -> int:
        """Return a number that equal expressions share, whatever parentheses they are written in."""
        while isinstance(node, exp.Paren):
            node = node.this
        parts = tuple(
            (name, tuple(self._shape_part(each) for each in part) if isinstance(part, list) else self._shape_part(part))
            for name, part in sorted(node.args.items())
            if part not in (None, False, [])
        )  # fmt: skip
        return self.shapes.setdefault((type(node).__name__, parts), len(self.shapes))

    def _shape_part(self, part: object) -> object:
        return self._shape(part) if isinstance(part, exp.Expression) else ("text", str(part))


# --- pieces -----------------------------------------------------


def _too_many(node: exp.Expression) -> SqlUnsupported:
    return refusal.unsupported(node, f"a SELECT yields 1 to {MOST_OUTPUTS} columns, keys and figures")


def _named(node: exp.Expression, name: str) -> exp.Expression:
    return exp.alias_(node.copy(), name, quoted=True)


def _is_window_head(node: exp.Expression) -> bool:
    return isinstance(node.parent, exp.Window) and node.arg_key == "this"


def _as_case(node: exp.Filter) -> exp.Expression:
    """Return `f(CASE WHEN condition THEN x END)` for `f(x) FILTER (WHERE condition)`: then its parts are counted."""
    refuse_extra(node, {"this", "expression"})
    aggregate, where = node.this.copy(), node.expression
    if not isinstance(aggregate, exp.AggFunc) or not isinstance(where, exp.Where):
        raise refusal.unsupported(node, "FILTER stands behind an aggregate")
    counted = aggregate.this
    holder = counted if isinstance(counted, exp.Distinct) else aggregate
    inner = next(iter(holder.expressions), None) if isinstance(holder, exp.Distinct) else counted
    if inner is None:
        raise refusal.wrong(node, "an aggregate has no argument", "Write count(*) to count rows.")
    yielded = exp.Literal.number(1) if isinstance(inner, exp.Star) else inner.copy()
    chosen = exp.Case(ifs=[exp.If(this=where.this.copy(), true=yielded)])
    if isinstance(holder, exp.Distinct):
        holder.set("expressions", [chosen, *holder.expressions[1:]])
    else:
        aggregate.set("this", chosen)
    return aggregate


def output_names(select: exp.Expression) -> list[str]:
    """Return a name for every output: the one it was given, its column's, or one that says what is computed."""
    names: list[str] = []
    for number, item in enumerate(select.expressions, 1):
        name = flat.output_name(item)
        if not name:
            name = _computed_name(item, number)
            name = f"column_{number}" if name in names else name
        names.append(name)
    return names


def _computed_name(node: exp.Expression, number: int) -> str:
    """Return what a figure's name is as in a plain statement: its function, and its column if there is one."""
    if not isinstance(node, exp.AggFunc) or isinstance(node, exp.Grouping):
        return f"column_{number}"
    function, inner = aggregate_name(type(node).__name__, node.sql_name().lower()), node.this
    if isinstance(inner, exp.Star):
        return function
    if isinstance(inner, exp.Distinct) and len(inner.expressions) == 1:
        function, inner = f"{function}_distinct", inner.expressions[0]
    named = isinstance(inner, exp.Column) and isinstance(inner.this, exp.Identifier)
    name = f"{function}_{identifier(inner.this)}" if named else ""
    return name if NAME.fullmatch(name) else f"column_{number}"
