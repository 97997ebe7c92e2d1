"""Reads any SELECT: every base column with the clauses in which it is used, and what is behind each output.

This is the first reader at the level of rows, where a statement may have any shape: common table expressions,
subqueries that see the query around them, set operations, windows, grouping sets, stars. It resolves names by
itself over the parser's tree (`places`), visits every node of every expression (`values`), and refuses what is
not listed. It errs on one side only: what it finds is at least what the engine's binder finds.

* A column of a subquery or common table expression stands for all base columns that it is computed from, and
  using it in a clause uses these in that clause.
* `*` uses every column that it stands for, and those that EXCLUDE and REPLACE name as well: they must be there
  when the statement runs.
* The person token links: tokens that are set equal, by ON, WHERE, IN or USING, count as `join`, as do tokens that
  a subquery hands on for that. Any other use is recorded in its own clause, where nothing allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from plans import names
from plans.errors import SqlUnsupported
from plans.reading import Clause, ColumnUse, Shadow
from policies.reading import refusal
from policies.reading.origins import Origins
from policies.reading.places import NO_BASES, Bases, Item, Origin, Place
from policies.reading.sources import identifier, refuse_extra
from policies.reading.stars import expand, is_star
from policies.reading.values import read_value, strip

MOST_ITEMS = 2_000
"""Columns of a query; joined wide relations have some hundred."""

MOST_QUERIES = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement uses. `outputs` are those of the outermost query, in their order."""

    relations: tuple[str, ...]
    uses: tuple[ColumnUse, ...]
    outputs: tuple[Item, ...]


def find(root: exp.Expression, shadows: tuple[Shadow, ...]) -> Found:
    """Return what a statement uses, whatever its shape.

    Raises:
        SqlSyntax: a name in it is not there.
        SqlUnsupported: it is no SELECT, or holds something that is not listed.
    """
    if not isinstance(root, exp.Query):
        raise refusal.unsupported(
            root, f"{refusal.word(root)} is no SELECT", "See docs/sql.md for what a statement may be."
        )
    statement = _Statement(shadows)
    try:
        outputs = statement.read(root, {}, None, top=True)
    except RecursionError:
        raise SqlUnsupported("the statement nests too deeply", "statement", "Write it flatter.") from None
    return Found(tuple(sorted(statement.relations)), statement.in_order(), outputs)


class _Statement:
    """Reads one statement, and collects what it uses on the way."""

    def __init__(self, shadows: tuple[Shadow, ...]) -> None:
        self.relations: set[str] = set()
        self._uses: set[tuple[str, str, Clause, str]] = set()
        self._queries = 0
        self._origins = Origins(shadows, self)

    def in_order(self) -> tuple[ColumnUse, ...]:
        """Return every use once, in a fixed order."""
        keys = sorted(self._uses, key=lambda use: (use[0], use[1], use[2].value, use[3]))
        return tuple(ColumnUse(*key) for key in keys)

    def use(self, bases: Bases, clause: Clause, function: str = "") -> None:
        """Remember a use of base columns; a token that is not set equal to a token is no link."""
        for relation, column in bases:
            unlinked = column == names.PERSON and clause is Clause.JOIN
            self._uses.add((relation, column, Clause.FILTER if unlinked else clause, function))

    def link(self, bases: Bases) -> None:
        """Remember columns that are set equal to each other."""
        self._uses |= {(relation, column, Clause.JOIN, "") for relation, column in bases}

    def query(self, node: exp.Expression, place: Place) -> tuple[Item, ...]:
        """Read a query inside an expression, or in FROM."""
        return self.read(node, place.tables, place)

    def read(
        self,
        node: exp.Expression,
        tables: Mapping[str, tuple[Item, ...]],
        outer: Place | None,
        *,
        top: bool = False,
    ) -> tuple[Item, ...]:
        """Return the columns of a query, having collected what it uses."""
        self._queries += 1
        if self._queries > MOST_QUERIES:
            raise refusal.unsupported(node, f"a statement holds at most {MOST_QUERIES} queries")
        tables = self._common(node.args.get("with_"), tables, outer)
        if isinstance(node, exp.Subquery):
            items, place = self._parentheses(node, tables, outer, top), Place(tables, outer)
        elif isinstance(node, exp.SetOperation):
            items, place = self._combined(node, tables, outer, top), Place(tables, outer)
        elif isinstance(node, exp.Select):
            items, place = self._select(node, tables, outer, top)
        else:
            raise refusal.unsupported(node, f"{refusal.word(node)} stands where a SELECT belongs")
        if len(items) > MOST_ITEMS:
            raise refusal.unsupported(node, f"a query yields at most {MOST_ITEMS:,} columns")
        self._order(node, items, place)
        return items

    # --- WITH, parentheses, set operations -----------------------------------------------------

    def _common(
        self, clause: exp.Expression | None, tables: Mapping[str, tuple[Item, ...]], outer: Place | None
    ) -> Mapping[str, tuple[Item, ...]]:
        """Return the tables that may be named below a WITH; each of its queries sees those before it."""
        if clause is None:
            return tables
        if clause.args.get("recursive"):
            raise refusal.unsupported(clause, "WITH RECURSIVE is not listed", "Write the steps out.")
        refuse_extra(clause, {"expressions"})
        found: dict[str, tuple[Item, ...]] = {}
        for each in clause.expressions:
            refuse_extra(each, {"this", "alias", "materialized"})
            name = identifier(each.args["alias"].this)
            if name in found:
                raise refusal.wrong(
                    each, f"two queries of one WITH are called {refusal.shown(name)!r}", "Rename one."
                )
            found[name] = self._origins.renamed(
                self.read(each.this, {**tables, **found}, outer), each.args["alias"]
            )
        return {**tables, **found}

    def _parentheses(
        self, node: exp.Subquery, tables: Mapping[str, tuple[Item, ...]], outer: Place | None, top: bool
    ) -> tuple[Item, ...]:
        refuse_extra(node, {"this", "with_", "order", "limit", "offset", "alias"})
        if not isinstance(node.this, exp.Query):
            raise refusal.unsupported(node, f"{refusal.word(node.this)} stands where a SELECT belongs")
        return self.read(node.this, tables, outer, top=top)

    def _combined(
        self,
        node: exp.SetOperation,
        tables: Mapping[str, tuple[Item, ...]],
        outer: Place | None,
        top: bool,
    ) -> tuple[Item, ...]:
        """Read UNION, INTERSECT and EXCEPT; a chain of them leans to the left, and is as long as it likes."""
        chain: list[exp.SetOperation] = []
        left: exp.Expression = node
        while isinstance(left, exp.SetOperation):
            if left is not node:
                refuse_extra(left, {"this", "expression", "distinct", "by_name"})
            refuse_extra(
                left, {"this", "expression", "distinct", "by_name", "with_", "order", "limit", "offset"}
            )
            chain.append(left)
            left = left.this
        items = self.read(left, tables, outer, top=top)
        for each in reversed(chain):
            other = self.read(each.expression, tables, outer, top=top)
            items = _matched(each, items, other)
            if each.args.get("distinct") or not isinstance(each, exp.Union):
                for item in items:
                    self.use(item.bases, Clause.GROUP)
        return items

    # --- SELECT -----------------------------------------------------

    def _select(
        self, node: exp.Select, tables: Mapping[str, tuple[Item, ...]], outer: Place | None, top: bool
    ) -> tuple[tuple[Item, ...], Place]:
        refuse_extra(node, _SELECT_PARTS)
        place = Place(tables, outer)
        self._origins.read(node, place)
        items: list[Item] = []
        for each in node.expressions:
            for item in self._item(each, place, top):
                items.append(item)
                if item.name:
                    place.aliases[item.name] = place.aliases.get(item.name, NO_BASES) | item.bases
        for part, clause in _CLAUSES.items():
            value = node.args.get(part)
            for each in value if isinstance(value, list) else [value] if value is not None else []:
                read_value(each, clause, place, self)
        self._group(node, items, place)
        return tuple(items), place

    def _item(self, node: exp.Expression, place: Place, top: bool) -> Iterable[Item]:
        if is_star(node):
            yield from self._star(node, place, top)
            return
        value, name = node, ""
        if isinstance(node, exp.Alias):
            refuse_extra(node, {"this", "alias"})
            value, name = node.this, identifier(node.args["alias"])
        column = strip(value)
        if isinstance(column, exp.Column):
            bases = place.column(column)
            self._hand_on(bases, top)
            yield Item(name or identifier(column.this), bases)
        else:
            yield Item(name, read_value(value, Clause.SELECT, place, self))

    def _star(self, node: exp.Expression, place: Place, top: bool) -> Iterable[Item]:
        expanded = expand(node, place)
        self.use(expanded.left_out, Clause.SELECT)
        for item, replacement in expanded.items:
            if replacement is None:
                self._hand_on(item.bases, top)
                yield item
            else:
                self.use(item.bases, Clause.SELECT)
                yield Item(item.name, read_value(replacement, Clause.SELECT, place, self))

    def _hand_on(self, bases: Bases, top: bool) -> None:
        """Remember a plain column of a SELECT list; in a subquery, a token is only handed on."""
        tokens = frozenset(base for base in bases if base[1] == names.PERSON)
        if tokens and not top and tokens == bases:
            self.link(tokens)
        else:
            self.use(bases, Clause.SELECT)

    def _group(self, node: exp.Select, items: list[Item], place: Place) -> None:
        group, distinct = node.args.get("group"), node.args.get("distinct")
        grouped: list[Item] = []
        if group is not None:
            refuse_extra(group, {"expressions", "all"})
            grouped += items if group.args.get("all") else []
            for each in group.expressions:
                grouped += _at(each, items)
                read_value(each, Clause.GROUP, place, self)
        if distinct is not None:
            refuse_extra(distinct, {"on"})
            if distinct.args.get("on") is None:
                grouped += items
            else:
                grouped += [item for each in _several(distinct.args["on"]) for item in _at(each, items)]
                read_value(distinct.args["on"], Clause.GROUP, place, self)
        for item in grouped:
            self.use(item.bases, Clause.GROUP)

    def _order(self, node: exp.Expression, items: tuple[Item, ...], place: Place) -> None:
        """Read what orders and cuts a query; names are those of its columns, and for a SELECT also its sources'."""
        if not isinstance(node, exp.Select):
            place.origins = [Origin("", "", items)]
        order = node.args.get("order")
        if order is not None:
            refuse_extra(order, {"expressions"})
            for each in order.expressions:
                bare = strip(each.this) if isinstance(each, exp.Ordered) else strip(each)
                everything = isinstance(bare, exp.Var)
                for item in items if everything else _at(bare, items):
                    self.use(item.bases, Clause.ORDER)
                read_value(each, Clause.ORDER, place, self)
        for part in ("limit", "offset"):
            if node.args.get(part) is not None:
                read_value(node.args[part], Clause.FILTER, place, self)


_CLAUSES = {
    "where": Clause.FILTER,
    "having": Clause.FILTER,
    "qualify": Clause.FILTER,
    "windows": Clause.WINDOW,
}
_SELECT_PARTS = {
    "expressions", "from_", "joins", "with_", "group", "distinct", "order", "limit", "offset", *_CLAUSES,
}  # fmt: skip


def _matched(node: exp.SetOperation, left: tuple[Item, ...], right: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the columns of a set operation: by position, or by name where it says so."""
    if node.args.get("by_name"):
        by_name = {item.name: item for item in right}
        if len(by_name) != len(right) or "" in by_name or any(not item.name for item in left):
            raise refusal.unsupported(node, "BY NAME needs columns that have names", "Name each with AS.")
        known = {item.name for item in left}
        both = [
            Item(item.name, item.bases | by_name.get(item.name, Item("", NO_BASES)).bases) for item in left
        ]
        return (*both, *(item for item in right if item.name not in known))
    if len(left) != len(right):
        raise refusal.wrong(
            node, f"{len(left)} columns meet {len(right)} in a set operation", "Select as many on both sides."
        )
    return tuple(Item(mine.name, mine.bases | other.bases) for mine, other in zip(left, right, strict=True))


def _at(node: exp.Expression, items: Iterable[Item]) -> list[Item]:
    """Return the column that a number in GROUP BY or ORDER BY means; whatever is no number means none."""
    listed, bare = list(items), strip(node)
    number = str(bare.this) if isinstance(bare, exp.Literal) and not bare.is_string else ""
    position = int(number) if re.fullmatch(r"[0-9]{1,4}", number) else 0
    return [listed[position - 1]] if 1 <= position <= len(listed) else []


def _several(node: exp.Expression) -> list[exp.Expression]:
    return node.expressions if isinstance(node, exp.Tuple) else [node]
