"""`*` in a SELECT list: the columns that it stands for, in the engine's order."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from plans import names
from policies.reading import refusal
from policies.reading.places import NO_BASES, Bases, Item, Origin, Place
from policies.reading.sources import identifier, refuse_extra


@dataclass(frozen=True, slots=True)
class Expanded:
    """The columns of a star, each with what REPLACE puts in its place, and the base columns that EXCLUDE names."""

    items: tuple[tuple[Item, exp.Expression | None], ...]
    left_out: Bases


def is_star(node: exp.Expression) -> bool:
    """Return whether an item of a SELECT list is `*` or `t.*`."""
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def expand(node: exp.Expression, place: Place) -> Expanded:
    """Return what a star stands for.

    Raises:
        SqlSyntax: there is no such relation or column.
        SqlUnsupported: the star is modified in a way that is not listed.
    """
    star = node if isinstance(node, exp.Star) else node.this
    refuse_extra(star, {"except_", "replace", "rename"})
    items = _all(place) if star is node else _of(node, place)
    excluded = {_plain(each) for each in star.args.get("except_") or ()}
    replaced = {identifier(each.args.get("alias")): each.this for each in star.args.get("replace") or ()}
    renamed = {
        _plain(each.this): identifier(each.args.get("alias")) for each in star.args.get("rename") or ()
    }
    for name in (*excluded, *replaced, *renamed):
        if not any(item.name == name for item in items):
            raise refusal.unknown(node, "column", name, {item.name for item in items})
    left_out = NO_BASES.union(*(item.bases for item in items if item.name in excluded))
    return Expanded(
        tuple(
            (Item(renamed.get(item.name, item.name), item.bases), replaced.get(item.name))
            for item in items
            if item.name not in excluded
        ),
        frozenset(base for base in left_out if base[1] != names.PERSON),
    )


def _all(place: Place) -> list[Item]:
    """Return the columns of everything in FROM; those that USING merges stand where the first of them is."""
    if not place.origins:
        raise refusal.wrong(None, "* stands in a SELECT without FROM", "Add FROM schema.table.")
    items, given = [], set()
    for origin in place.origins:
        if origin.hidden:
            continue
        for item in origin.items:
            group = next(
                (group for group in place.merged.get(item.name, ()) if any(each is origin for each in group)),
                None,
            )
            if group is None:
                items.append(item)
            elif id(group) not in given:
                given.add(id(group))
                bases = NO_BASES.union(*(each.columns[item.name] for each in group))
                items.append(Item(item.name, bases))
    return items


def _of(node: exp.Column, place: Place) -> list[Item]:
    refuse_extra(node, {"this", "table"})
    alias = identifier(node.args["table"])
    found: list[Origin] = [origin for origin in place.origins if origin.alias == alias]
    if len(found) != 1:
        raise refusal.unknown(node, "relation or alias", alias, {origin.alias for origin in place.origins})
    return list(found[0].items)


def _plain(node: exp.Expression) -> str:
    """Return a column's name that stands alone: `t.a` would leave out what other relations call `a`."""
    if isinstance(node, exp.Column):
        refuse_extra(node, {"this"})
        node = node.this
    return identifier(node)
