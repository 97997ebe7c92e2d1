"""A bound plan over `UNION ALL`, read part by part: the same figures, over each part in the place of all.

    AGGREGATE → FILTER → UNION of (PROJECTION → FILTER → SCAN)   is, for each part,   AGGREGATE → FILTER → FILTER → SCAN

An expression above the union names a column by its position; in a part that is what the part's projection has there.
So the projection is written into the expressions above it, and what is left has the shape of a plain statement over one
relation, which `inside.bound` reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inside.bound import Node, grouping
from inside.terms import unlisted


def parts(plan: Node) -> tuple[Node, ...]:
    """Return the grouping operator of a plan over each part of its union, without a projection below it.

    Raises:
        SqlUnsupported: the plan is none over `UNION ALL` of relations.
    """
    top = grouping(plan)
    (below,) = top["children"]
    filters = []
    while below["type"] == "LOGICAL_FILTER":
        filters.append(below)
        (below,) = below["children"]
    return tuple(_over(top, filters, part) for part in _members(below))


def _members(node: Node) -> Iterator[Node]:
    if node["type"] != "LOGICAL_UNION" or node.get("setop_all") is not True:
        raise unlisted("something else than the parts of one table")
    for part in node["children"]:
        if part["type"] == "LOGICAL_UNION":
            yield from _members(part)
        elif part["type"] != "LOGICAL_PROJECTION":
            raise unlisted("a part that is no SELECT")
        else:
            yield part


def _over(top: Node, filters: list[Node], part: Node) -> Node:
    chosen: list[Node] = part["expressions"]
    (below,) = part["children"]
    for each in reversed(filters):
        below = {**each, "children": [below], "expressions": _written(each["expressions"], chosen)}
    return {
        **top,
        "children": [below],
        "groups": _written(top["groups"], chosen),
        "expressions": _written(top["expressions"], chosen),
    }


def _written(node: Any, chosen: list[Node]) -> Any:
    """Return expressions with what a projection has at each position that they name."""
    if isinstance(node, list):
        return [_written(each, chosen) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("expression_class") == "BOUND_REF":
        return chosen[node["index"]]
    return {key: _written(value, chosen) for key, value in node.items()}


def looked_at(top: Node) -> set[tuple[str, str]]:
    """Return every column, with its relation, that a grouping over filters over one scan looks at.

    Raises:
        SqlUnsupported: it is over something else.
    """
    waiting: list[Any] = [top["groups"], top["expressions"]]
    (below,) = top["children"]
    while below["type"] == "LOGICAL_FILTER":
        waiting.append(below["expressions"])
        (below,) = below["children"]
    if below["type"] != "LOGICAL_GET":
        raise unlisted("a part of a table that is more than a relation")
    data = below.get("function_data") or {}
    relation = f"{data['schema']}.{data['table']}"
    names = [
        below["names"][entry["index"]]
        for entry in below["column_indexes"]
        if entry["index"] < len(below["names"])
    ]
    return {(relation, names[place]) for place in _positions(waiting)}


def _positions(node: Any) -> Iterator[int]:
    """Yield the positions of the columns that expressions name."""
    if isinstance(node, dict):
        if node.get("expression_class") == "BOUND_REF":
            yield node["index"]
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _positions(each)
