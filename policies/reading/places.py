"""What names mean where any SELECT is read: the base columns behind each name, never too few of them.

A *place* is where an expression stands: what FROM put there, the names that the SELECT list gives, the common
table expressions that it may name, and the place around it, if it is a subquery. Where the engine would choose
between two meanings of a name (a column or an alias, this relation or that one), both are taken: the finding is
a superset of what the binder finds. What a superset could not cover, a whole row under its alias for one, is
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from plans import names
from policies.reading import refusal
from policies.reading.sources import identifier, refuse_extra

Base = tuple[str, str]
"""A base column: relation and name."""
Bases = frozenset[Base]
NO_BASES: Bases = frozenset()

UNNAMED = frozenset({"rowid"})
"""Columns that the engine has and no relation names: the place of a row in storage."""


@dataclass(frozen=True, slots=True)
class Item:
    """A column of a query or relation: its name, and the base columns that its values are computed from."""

    name: str
    bases: Bases


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """What stands in FROM: a relation (`relation` is its full name) or a query. `hidden` after SEMI and ANTI JOIN."""

    alias: str
    relation: str
    items: tuple[Item, ...]
    hidden: bool = False
    columns: Mapping[str, Bases] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        columns: dict[str, Bases] = {}
        for item in self.items:
            columns[item.name] = columns.get(item.name, NO_BASES) | item.bases
        object.__setattr__(self, "columns", columns)


class Place:
    """Where an expression stands, and what the names in it mean. It grows while FROM and SELECT are read."""

    def __init__(self, tables: Mapping[str, tuple[Item, ...]], outer: Place | None) -> None:
        self.tables, self.outer = tables, outer
        self.origins: list[Origin] = []
        self.merged: dict[str, list[list[Origin]]] = {}
        self.aliases: dict[str, Bases] = {}

    def column(self, node: exp.Column) -> Bases:
        """Return the base columns behind a name.

        Raises:
            SqlSyntax: nothing has this name.
            SqlUnsupported: it means a whole row, or the place of a row.
        """
        refuse_extra(node, {"this", "table", "db"})
        if not isinstance(node.this, exp.Identifier):
            raise refusal.unsupported(node, "* stands where a value belongs", "Name the columns.")
        name = identifier(node.this)
        if name in UNNAMED:
            raise refusal.unsupported(node, f"{name} tells where a row is stored", "Order by a column.")
        table, schema = (
            identifier(part) if part else "" for part in (node.args.get("table"), node.args.get("db"))
        )
        if schema:
            return self._of_relation(node, schema, table, name)
        return self._of_alias(node, table, name) if table else self._bare(node, name)

    def matching(self, name: str) -> Bases:
        """Return the base columns of this name among what stands in FROM here; none where there is no such name."""
        return frozenset().union(*(origin.columns.get(name, NO_BASES) for origin in self.origins))

    def has(self, name: str) -> bool:
        """Return whether something in FROM here has a column of this name."""
        return any(name in origin.columns for origin in self.origins)

    def _bare(self, node: exp.Column, name: str) -> Bases:
        """Look from the inside out. An alias hides nothing, since not every clause knows it."""
        found, known = NO_BASES, False
        place: Place | None = self
        while place is not None:
            if name in place.aliases:
                found, known = found | place.aliases[name], True
            if place.has(name):
                return found | place.matching(name)
            if any(origin.alias == name for origin in place.origins):
                raise refusal.unsupported(
                    node, f"{refusal.shown(name)!r} means whole rows of a relation", "Name the columns."
                )
            place = place.outer
        if known:
            return found
        raise refusal.unknown(node, "column", name, self._known())

    def _of_alias(self, node: exp.Column, alias: str, name: str) -> Bases:
        found = NO_BASES
        place: Place | None = self
        while place is not None:
            origins = [origin for origin in place.origins if origin.alias == alias]
            if any(name in origin.columns for origin in origins):
                return found.union(*(origin.columns.get(name, NO_BASES) for origin in origins))
            if origins:
                raise refusal.unknown(
                    node, f"column of {refusal.shown(alias)} named", name, origins[0].columns
                )
            found |= place.matching(alias)  # the engine may read `a.b` as the field b of a column a
            place = place.outer
        raise refusal.unknown(node, "relation or alias", alias, self._aliases())

    def _of_relation(self, node: exp.Column, schema: str, table: str, name: str) -> Bases:
        found = NO_BASES
        place: Place | None = self
        while place is not None:
            for origin in place.origins:
                if origin.alias == schema:
                    found |= origin.columns.get(table, NO_BASES)
                if origin.relation == f"{schema}.{table}" and name in origin.columns:
                    return found | origin.columns[name]
            place = place.outer
        raise refusal.unknown(node, "relation or alias", f"{schema}.{table}", self._aliases())

    def _known(self) -> set[str]:
        return {name for origin in self.origins for name in origin.columns} | set(self.aliases)

    def _aliases(self) -> set[str]:
        return {origin.alias for origin in self.origins if origin.alias}


def is_token(bases: Bases) -> bool:
    """Return whether values come from person tokens and nothing else."""
    return bool(bases) and all(column == names.PERSON for _, column in bases)
