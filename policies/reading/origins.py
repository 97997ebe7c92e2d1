"""FROM of any SELECT: relations, queries, lists of values, and how joins link them."""

from __future__ import annotations

from typing import Protocol

from sqlglot import exp

from plans import names
from plans.reading import Clause, Shadow
from policies.reading import refusal
from policies.reading.places import NO_BASES, Bases, Item, Origin, Place, is_token
from policies.reading.sources import identifier, refuse_extra
from policies.reading.values import read_value

MOST_ORIGINS = 64

_JOINS = {
    (side, kind)
    for side in ("", "LEFT", "RIGHT", "FULL")
    for kind in ("", "OUTER")
} | {("", "INNER"), ("", "CROSS"), ("", "SEMI"), ("", "ANTI")}  # fmt: skip


class Reader(Protocol):
    """What reads the queries in FROM, and remembers what is used."""

    relations: set[str]

    def use(self, bases: Bases, clause: Clause, function: str = "") -> None:
        """Remember a use of base columns."""

    def link(self, bases: Bases) -> None:
        """Remember columns that are set equal to each other."""

    def query(self, node: exp.Expression, place: Place) -> tuple[Item, ...]:
        """Read a query that stands in this place."""


class Origins:
    """Reads FROM clauses over the shadows."""

    def __init__(self, shadows: tuple[Shadow, ...], reader: Reader) -> None:
        self._reader, self._count = reader, 0
        self._shadows = {
            shadow.relation: tuple(
                Item(column.name, frozenset({(shadow.relation, column.name)})) for column in shadow.columns
            )
            for shadow in shadows
        }

    def read(self, select: exp.Select, place: Place) -> None:
        """Put what a SELECT reads into its place.

        Raises:
            SqlSyntax: a relation or column is not there.
            SqlUnsupported: FROM holds something that is not listed.
        """
        clause = select.args.get("from_")
        if clause is not None:
            refuse_extra(clause, {"this"})
            self._add(clause.this, place)
        for join in select.args.get("joins") or ():
            self._join(join, place)

    def renamed(self, items: tuple[Item, ...], alias: exp.Expression | None) -> tuple[Item, ...]:
        """Return columns under the names that an alias like `t(a, b)` gives to the first of them."""
        given = [identifier(name) for name in (alias.args.get("columns") or ())] if alias else []
        if len(given) > len(items):
            raise refusal.wrong(alias, "an alias names more columns than there are", "Leave some out.")
        return (
            *(Item(name, item.bases) for name, item in zip(given, items, strict=False)),
            *items[len(given) :],
        )

    # --- what stands in FROM -----------------------------------------------------

    def _add(self, node: exp.Expression, place: Place) -> None:
        """Add a table, a query or parentheses around joins; a query sees what stands before it in FROM."""
        self._count += 1
        if self._count > MOST_ORIGINS:
            raise refusal.unsupported(node, f"a statement reads at most {MOST_ORIGINS} relations")
        if isinstance(node, exp.Lateral):
            refuse_extra(node, {"this", "alias"})
            self._put(node, node.this, place)
        elif isinstance(node, exp.Subquery) and _is_joined(node):
            self._parentheses(node, place)
        elif isinstance(node, exp.Table):
            self._table(node, place)
        elif isinstance(node, exp.Values):
            place.origins.append(
                Origin(_alias(node), "", self.renamed(self._values(node, place), _alias_of(node)))
            )
        else:
            self._put(node, node, place)
            self._joins(node, place)

    def _put(self, node: exp.Expression, query: exp.Expression, place: Place) -> None:
        if not isinstance(query, exp.Query):
            raise refusal.unsupported(
                node,
                f"FROM holds a {refusal.word(query)} where a relation belongs",
                "Name a relation: FROM schema.table.",
            )
        bare = query
        if query.args.get("joins"):  # they belong to FROM; the caller reads them there
            bare = query.copy()
            bare.set("joins", None)
        items = self.renamed(self._reader.query(bare, place), _alias_of(node))
        place.origins.append(Origin(_alias(node), "", items))

    def _parentheses(self, node: exp.Subquery, place: Place) -> None:
        """Read `(a JOIN b …)`: its relations stay visible. The engine takes an alias over them for a subquery."""
        if node.args.get("alias") is not None:
            raise refusal.unsupported(
                node, "parentheses around relations have an alias", "Write (SELECT … FROM …) AS alias."
            )
        refuse_extra(node, {"this", "joins"})
        inner = Place(place.tables, place)
        self._add(node.this, inner)
        place.origins += inner.origins
        for name, groups in inner.merged.items():
            place.merged.setdefault(name, []).extend(groups)
        self._joins(node, place)

    def _table(self, node: exp.Table, place: Place) -> None:
        refuse_extra(node, {"this", "db", "alias", "joins"})
        if not isinstance(node.this, exp.Identifier):
            raise refusal.unsupported(
                node,
                "FROM holds a table function where a relation belongs",
                "Name a relation: FROM schema.table.",
            )
        name, schema = identifier(node.this), node.args.get("db")
        relation = f"{identifier(schema)}.{name}" if schema is not None else ""
        items = self._shadows.get(relation) if relation else place.tables.get(name)
        if items is None:
            known = set(self._shadows) | set(place.tables)
            raise refusal.unknown(node, "relation", relation or name, known)
        if relation:
            self._reader.relations.add(relation)
        alias, given = _alias_of(node), _alias(node)
        if (
            relation and alias is not None and alias.args.get("columns")
        ):  # names by position: all must be there
            bases = NO_BASES.union(*(item.bases for item in items))
            self._reader.use(frozenset(base for base in bases if base[1] != names.PERSON), Clause.SELECT)
        origin = Origin(given or name, "" if given else relation, self.renamed(items, alias))
        place.origins.append(origin)
        self._joins(node, place)

    def _values(self, node: exp.Values, place: Place) -> tuple[Item, ...]:
        refuse_extra(node, {"expressions", "alias"})
        rows = [row.expressions if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
        if len({len(row) for row in rows}) != 1:
            raise refusal.wrong(node, "the rows of VALUES differ in length", "Give each as many values.")
        columns = zip(*rows, strict=True)
        return tuple(
            Item(
                f"col{number}",
                NO_BASES.union(*(read_value(each, Clause.SELECT, place, self._reader) for each in column)),
            )
            for number, column in enumerate(columns)
        )

    # --- joins -----------------------------------------------------

    def _joins(self, node: exp.Expression, place: Place) -> None:
        for join in node.args.get("joins") or ():
            self._join(join, place)

    def _join(self, join: exp.Join, place: Place) -> None:
        refuse_extra(join, {"this", "side", "kind", "method", "on", "using"})
        side, kind, method = (str(join.args.get(part) or "").upper() for part in ("side", "kind", "method"))
        if (side, kind) not in _JOINS or method not in ("", "NATURAL"):
            words = " ".join(filter(None, (method, side, kind)))
            raise refusal.unsupported(
                join, f"{words} JOIN is not listed", "Use JOIN or LEFT JOIN … ON a.x = b.y."
            )
        before = len(place.origins)
        self._add(join.this, place)
        using = [
            identifier(each.this if isinstance(each, exp.Column) else each)
            for each in join.args.get("using") or ()
        ]
        if method == "NATURAL":
            left = {name for origin in place.origins[:before] for name in origin.columns}
            using += sorted({name for origin in place.origins[before:] for name in origin.columns} & left)
        for name in using:
            self._merge(join, name, before, place)
        if join.args.get("on") is not None:
            read_value(join.args["on"], Clause.JOIN, place, self._reader)
        if kind in ("SEMI", "ANTI"):
            place.origins[before:] = [
                Origin(each.alias, each.relation, each.items, hidden=True) for each in place.origins[before:]
            ]

    def _merge(self, join: exp.Join, name: str, before: int, place: Place) -> None:
        """Read a name in USING: a column of the left and one of the right, which `*` shows once."""
        sides = place.origins[:before], place.origins[before:]
        left, right = ([origin for origin in side if name in origin.columns] for side in sides)
        if not left or not right:
            known = {each for origin in place.origins for each in origin.columns}
            raise refusal.unknown(join, "column on both sides named", name, known)
        bases = NO_BASES.union(*(origin.columns[name] for origin in (*left, *right)))
        if is_token(bases):
            self._reader.link(bases)
        else:
            self._reader.use(bases, Clause.JOIN)
        groups = place.merged.setdefault(name, [])
        joined = [
            group for group in groups if any(each is origin for each in group for origin in (*left, *right))
        ]
        place.merged[name] = [group for group in groups if group not in joined] + [
            list(dict.fromkeys([*(each for group in joined for each in group), *left, *right]))
        ]


def _is_joined(node: exp.Subquery) -> bool:
    """Return whether parentheses hold a table or joins, and are no query of their own."""
    inner = node.this
    return isinstance(inner, exp.Table) or (
        isinstance(inner, exp.Subquery) and (bool(inner.args.get("joins")) or _is_joined(inner))
    )


def _alias_of(node: exp.Expression) -> exp.Expression | None:
    alias = node.args.get("alias")
    if alias is not None:
        refuse_extra(alias, {"this", "columns"})
    return alias if isinstance(alias, exp.Expression) else None


def _alias(node: exp.Expression) -> str:
    alias = _alias_of(node)
    return identifier(alias.this) if alias is not None and alias.this is not None else ""
