"""FROM and JOIN: which relations a statement reads, how they are linked, and what a name in it means."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from plans import names
from plans.reading import Shadow, ShadowColumn
from policies.reading import refusal
from policies.reading.bounds import BOUNDS
from policies.reading.tree import Column, Joined

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
"""What an alias or the name of an output may look like: nothing that could carry a message (ATTACKS 23)."""

RESERVED = re.compile(
    r"_(cell|enterprises|first|person|persons|print|rows|second|set|signs|sum|total)(_[0-9_]*)?$"
)
"""Names of columns that stand beside the member's outputs, in the boxes only."""


@dataclass(frozen=True, slots=True)
class Source:
    """A relation in FROM. `optional` is the right side of a LEFT JOIN: there, every column may be null.

    `links` are the equalities of its ON, each a column of an earlier source and one of this.
    """

    alias: str
    shadow: Shadow
    optional: bool
    links: tuple[tuple[Column, Column], ...] = ()

    def column(self, name: str) -> Column | None:
        """Return the column of this name as the statement's expressions refer to it, or none."""
        found = next((column for column in self.shadow.columns if column.name == name), None)
        return self._column(found) if found else None

    @property
    def person(self) -> Column | None:
        """The token of the person each row is about; reference data have none."""
        return self.column(names.PERSON)

    @property
    def joined(self) -> Joined:
        """What is written of it."""
        return Joined(self.alias, self.shadow.relation, self.optional, self.links)

    def _column(self, found: ShadowColumn) -> Column:
        return Column(
            self.alias, self.shadow.relation, found.name, found.type, found.nullable or self.optional
        )


class Scope:
    """The sources of one SELECT, and what names mean among them. `shadows` are all that a SELECT inside could read."""

    def __init__(
        self,
        sources: tuple[Source, ...],
        merged: frozenset[str] = frozenset(),
        shadows: tuple[Shadow, ...] = (),
    ) -> None:
        self.sources, self._merged, self.shadows = sources, merged, shadows

    def column(self, node: exp.Column) -> Column:
        """Return the column that a reference means.

        Raises:
            SqlSyntax: no relation has it, or several have and the reference does not say which.
        """
        refuse_extra(node, {"this", "table"})
        name, table = identifier(node.this), node.args.get("table")
        if table is not None:
            source = self._source(node, identifier(table))
            found = source.column(name)
            if found is None:
                raise refusal.unknown(node, f"column of {source.shadow.relation} named", name, _names(source))
            return found
        meant = [found for source in self.sources if (found := source.column(name))]
        if not meant:
            everything = {known for source in self.sources for known in _names(source)}
            raise refusal.unknown(node, "column", name, everything)
        if len(meant) > 1 and name not in self._merged:
            raise refusal.wrong(node, f"several relations have a column {name!r}", "Write alias.column.")
        return meant[0]

    def has(self, name: str) -> bool:
        """Return whether some relation has a column of this name."""
        return any(source.column(name) for source in self.sources)

    def _source(self, node: exp.Expression, alias: str) -> Source:
        for source in self.sources:
            if source.alias == alias:
                return source
        raise refusal.unknown(node, "relation or alias", alias, {source.alias for source in self.sources})


def read_sources(select: exp.Select, shadows: tuple[Shadow, ...]) -> Scope:
    """Return the scope of a statement.

    Raises:
        SqlUnsupported: FROM holds something other than relations, inner and left joins on equal columns.
        SqlSyntax: a relation is not there, or a name is used twice.
    """
    clause = select.args.get("from_")
    if clause is None:
        raise refusal.unsupported(select, "a statement needs a relation", "Add FROM schema.table.")
    refuse_extra(clause, {"this"})
    scope = Scope((_relation(clause.this, shadows, optional=False),), frozenset(), shadows)
    for join in select.args.get("joins") or ():
        scope = _joined(scope, join, shadows)
    if len(scope.sources) > BOUNDS.relations:
        raise refusal.unsupported(select, f"a statement joins at most {BOUNDS.relations} relations")
    return scope


def _relation(node: exp.Expression, shadows: tuple[Shadow, ...], optional: bool) -> Source:
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        what = "table function" if isinstance(node, exp.Table) else refusal.word(node)
        raise refusal.unsupported(
            node, f"FROM holds a {what} where a relation belongs", "Name a relation: FROM schema.table."
        )
    refuse_extra(node, {"this", "db", "alias"})
    if node.args.get("db") is None:
        known = ", ".join(sorted(shadow.relation for shadow in shadows)[:3])
        raise refusal.wrong(
            node, "a relation is named by schema and table", f"For example: {known}." if known else ""
        )
    relation = f"{identifier(node.args['db'])}.{identifier(node.this)}"
    shadow = next((shadow for shadow in shadows if shadow.relation == relation), None)
    if shadow is None:
        raise refusal.unknown(node, "relation", relation, {shadow.relation for shadow in shadows})
    return Source(_alias(node), shadow, optional)


def _alias(node: exp.Table) -> str:
    alias = node.args.get("alias")
    if alias is None:
        return identifier(node.this)
    refuse_extra(alias, {"this"})
    return require_name(alias.this, "an alias")


def _joined(scope: Scope, join: exp.Join, shadows: tuple[Shadow, ...]) -> Scope:
    refuse_extra(join, {"this", "side", "kind", "on", "using"})
    side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
    if (side, kind) not in {("", ""), ("", "INNER"), ("LEFT", ""), ("LEFT", "OUTER")}:
        raise refusal.unsupported(
            join,
            f"{' '.join(filter(None, (side, kind)))} JOIN is not in the subset",
            "Use JOIN or LEFT JOIN … ON a.x = b.y.",
        )
    new = _relation(join.this, shadows, optional=side == "LEFT")
    if any(source.alias == new.alias for source in scope.sources):
        raise refusal.wrong(
            join.this, f"two relations are called {new.alias!r}", "Give each an alias of its own."
        )
    on, using = join.args.get("on"), join.args.get("using") or []
    if on is None and not using:
        raise refusal.unsupported(
            join,
            "relations stand side by side without a condition",
            "Use JOIN … ON a.x = b.y; cross joins are not in the subset.",
        )
    links = (
        tuple(_links(scope, new, on)) if on is not None else tuple(_using(scope, new, item) for item in using)
    )
    for earlier, later in links:
        if (earlier.name == names.PERSON) != (later.name == names.PERSON):
            raise refusal.unsupported(
                join, "the person token is equal to nothing but a person token", "Join person = person."
            )
    merged = scope._merged | {later.name for _, later in links if using}
    return Scope((*scope.sources, Source(new.alias, new.shadow, new.optional, links)), merged, shadows)


def _links(scope: Scope, new: Source, condition: exp.Expression) -> Iterator[tuple[Column, Column]]:
    """Yield the pairs of equal columns in an ON; anything else in it is refused."""
    for term in _terms(condition):
        if not isinstance(term, exp.EQ) or not all(
            isinstance(side, exp.Column) for side in (term.this, term.expression)
        ):
            raise refusal.unsupported(
                term,
                "ON may only say which columns are equal",
                "Join on a.x = b.y, and put other conditions into WHERE.",
            )
        both = Scope((*scope.sources, new), scope._merged)
        left, right = both.column(term.this), both.column(term.expression)
        if left.source == new.alias:
            left, right = right, left
        if right.source != new.alias or left.source == new.alias:
            raise refusal.unsupported(
                term,
                f"this condition does not link {new.alias} with a relation before it",
                "Join on a.x = b.y.",
            )
        yield left, right


def _terms(condition: exp.Expression) -> Iterator[exp.Expression]:
    if isinstance(condition, exp.Paren):
        yield from _terms(condition.this)
    elif isinstance(condition, exp.And):
        yield from _terms(condition.this)
        yield from _terms(condition.expression)
    else:
        yield condition


def _using(scope: Scope, new: Source, node: exp.Expression) -> tuple[Column, Column]:
    reference = node.this if isinstance(node, exp.Column) else node
    name = identifier(reference)
    later = new.column(name)
    if later is None:
        raise refusal.unknown(node, f"column of {new.shadow.relation} named", name, _names(new))
    return scope.column(exp.column(exp.to_identifier(name))), later


# --- names -----------------------------------------------------


def identifier(node: exp.Expression | None) -> str:
    """Return a name as it is compared: lower case, ASCII only, so that no look-alike letter matches (ATTACKS 16)."""
    if node is None:
        raise refusal.wrong(None, "a name is missing", "Give one after AS.")
    if not isinstance(node, exp.Identifier):
        raise refusal.unsupported(node, f"a {refusal.word(node)} stands where a name belongs")
    name = str(node.name)
    if not name.isascii():
        raise refusal.wrong(
            node, f"the name {refusal.shown(name)!r} holds letters outside ASCII", "Names are plain ASCII."
        )
    return name.lower()


def require_name(node: exp.Expression, what: str) -> str:
    """Return a name that the member chose, if it is harmless."""
    name = identifier(node)
    if not NAME.fullmatch(name) or RESERVED.match(name):
        raise refusal.unsupported(
            node,
            f"{what} has small letters, digits and _, at most 63, does not begin with a digit, and is none of the"
            " names of hidden columns (_person, _persons_0, _rows_0, …)",
        )
    return name


def refuse_extra(node: exp.Expression, known: set[str]) -> None:
    """Refuse a node with any part that its reader would ignore.

    Raises:
        SqlUnsupported: it has one; what is not read must not be there.
    """
    for name, value in node.args.items():
        if name not in known and value not in (None, False, []):
            shown = value if isinstance(value, exp.Expression) else node
            raise refusal.unsupported(
                shown, f"{_PART_NAMES.get(name, name.strip('_').upper())} is not in the subset"
            )


_PART_NAMES = {
    "distinct": "SELECT DISTINCT",
    "with_": "WITH (a common table expression)",
    "kind": "this kind of SELECT",
    "into": "SELECT INTO",
    "hint": "a hint",
    "sample": "sampling",
    "offset": "OFFSET",
    "windows": "a window",
    "laterals": "a lateral view",
    "pivots": "PIVOT",
    "locks": "FOR UPDATE",
    "method": "this kind of JOIN (NATURAL, ASOF, POSITIONAL)",
    "catalog": "a name of three parts",
    "db": "a name of three parts",
    "operation_modifiers": "a modifier of SELECT",
    "grouping_sets": "GROUPING SETS",
    "query": "a subquery",
    "columns": "an alias for columns",
    "match_condition": "MATCH_CONDITION",
}


def _names(source: Source) -> set[str]:
    return {column.name for column in source.shadow.columns}
