"""A bound expression as a polynomial: what a score is, whatever the order and the brackets in which it is written.

Two expressions with the same polynomial over the same columns compute the same exact number. Casts that lose nothing
are not seen. What is no arithmetic, such as a CASE, a coalesce or a cast that rounds, is one unknown, whose name says
how it is computed. A CASE that compares rows with the model is a question of a tree: its answer, 0 or 1, is an unknown,
and the CASE what is below no, and the answer times by how much what is below yes is more.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from inside.terms import Term, typed, unlisted, write

Node = Mapping[str, Any]
Rows = list[Term | None]
Polynomial = dict[tuple[str, ...], Fraction]
"""Coefficients by product of unknowns, in the order of their names; none is 0."""

ONE: Polynomial = {(): Fraction(1)}

_WHOLE = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
)


def polynomial(node: Node, rows: Rows, *, doubles: bool = False) -> Polynomial:
    """Return what an expression over rows is; with `doubles`, exact numbers may have become ones of 64 bits.

    Raises:
        SqlUnsupported: it holds something that is not listed.
    """
    kind = node["expression_class"]
    if kind == "BOUND_REF":
        return {(write(node, rows).text,): Fraction(1)}
    if kind == "BOUND_CONSTANT":
        return _constant(node["value"])
    if kind == "BOUND_CAST":
        return _cast(node, rows, doubles)
    if kind == "BOUND_FUNCTION":
        return _function(node, [polynomial(child, rows, doubles=doubles) for child in node["children"]])
    if kind == "BOUND_CASE" and _asks_model(node, rows):
        return _tree(node, rows, doubles)
    if kind == "BOUND_CASE":
        pairs = [
            (write(check["when_expr"], rows).text, _named(check["then_expr"], rows))
            for check in node["case_checks"]
        ]
        return {(f"CASE {pairs} ELSE {_named(node['else_expr'], rows)}",): Fraction(1)}
    if node["type"] == "OPERATOR_COALESCE":
        return {(f"coalesce({[_named(child, rows) for child in node['children']]})",): Fraction(1)}
    raise unlisted("an expression in a score")


def _asks_model(node: Node, rows: Rows) -> bool:
    """Return whether the condition of a CASE is over two relations."""
    return any(
        len({relation for relation, _ in write(check["when_expr"], rows).columns}) > 1
        for check in node["case_checks"]
    )


def _tree(node: Node, rows: Rows, doubles: bool) -> Polynomial:
    """Return what a question of a tree and all below it are."""
    (check, *others), when = node["case_checks"], node["case_checks"][0]["when_expr"]
    if others or when["type"] != "COMPARE_GREATERTHANOREQUALTO":
        raise unlisted("a condition on rows and model that is not one >=")
    feature, threshold = (polynomial(when[side], rows) for side in ("left", "right"))
    below = (polynomial(each, rows, doubles=doubles) for each in (node["else_expr"], check["then_expr"]))
    return branched(feature, threshold, *below)


def branched(feature: Polynomial, threshold: Polynomial, low: Polynomial, high: Polynomial) -> Polynomial:
    """Return what is `high` where a feature is at least a threshold, and else `low`."""
    answer: Polynomial = {(f"{sorted(feature.items())} >= {sorted(threshold.items())}",): Fraction(1)}
    return total([low, product(answer, total([high, _scaled(low, -1)]))])


def _named(node: Node, rows: Rows) -> str:
    """Return an expression as part of the name of an unknown."""
    inner = node["child"] if node["expression_class"] == "BOUND_CAST" else node
    if inner["expression_class"] == "BOUND_CONSTANT" and inner["value"]["is_null"]:
        return "NULL"
    return str(sorted(polynomial(node, rows).items()))


def _constant(value: Node) -> Polynomial:
    kind = typed(value["type"])
    if value["is_null"] or not (kind in _WHOLE or kind.startswith("DECIMAL")):
        raise unlisted("a constant in a score")
    found = Fraction(decimal.Decimal(str(value["value"])).scaleb(-_scale(value["type"])))
    return {(): found} if found else {}


def _scale(kind: Node) -> int:
    return int((kind.get("type_info") or {}).get("scale", 0))


def _cast(node: Node, rows: Rows, doubles: bool) -> Polynomial:
    child, target = node["child"], node["return_type"]
    inner = polynomial(child, rows, doubles=doubles)
    source = _kind_of(child)
    exact = source["id"] in (*_WHOLE, "DECIMAL")
    widened = target["id"] == "DECIMAL" or (target["id"] in _WHOLE and source["id"] != "DECIMAL")
    if exact and widened and _scale(target) >= _scale(source):
        return inner
    if target["id"] == "DOUBLE" and exact and doubles:
        return inner
    if child["expression_class"] == "BOUND_REF":
        return {(write(node, rows).text,): Fraction(1)}
    raise unlisted("a cast that rounds what was computed")


def _kind_of(node: Node) -> Node:
    found: Node = (
        node["value"]["type"] if node["expression_class"] == "BOUND_CONSTANT" else node["return_type"]
    )
    return found


def _function(node: Node, parts: list[Polynomial]) -> Polynomial:
    name = node["name"]
    if (node.get("catalog_name", "system"), node.get("schema_name", "main")) != ("system", "main"):
        raise unlisted("a function that is not the engine's own")
    if name in ("+", "-") and len(parts) == 1:
        return _scaled(parts[0], -1 if name == "-" else 1)
    if len(parts) != 2 or name not in ("+", "-", "*"):
        raise unlisted("a function in a score")
    first, second = parts
    if name == "*":
        return product(first, second)
    return total([first, _scaled(second, -1) if name == "-" else second])


def _scaled(one: Polynomial, by: int) -> Polynomial:
    return {unknowns: by * number for unknowns, number in one.items()}


def product(first: Polynomial, second: Polynomial) -> Polynomial:
    """Return the product of two polynomials."""
    found: Polynomial = {}
    for left, a in first.items():
        for right, b in second.items():
            unknowns = tuple(sorted((*left, *right)))
            found[unknowns] = found.get(unknowns, Fraction(0)) + a * b
    return {unknowns: number for unknowns, number in found.items() if number}


def total(parts: Iterable[Polynomial]) -> Polynomial:
    """Return the sum of polynomials."""
    found: Polynomial = {}
    for part in parts:
        for unknowns, number in part.items():
            found[unknowns] = found.get(unknowns, Fraction(0)) + number
    return {unknowns: number for unknowns, number in found.items() if number}


# --- scores -----------------------------------------------------


def rounded(node: Node, rows: Rows) -> tuple[bool, Polynomial, int]:
    """Return what `round(x, n)` is: whether x is the logistic curve of a polynomial, the polynomial, and n.

    Raises:
        SqlUnsupported: it is something else.
    """
    if node["expression_class"] != "BOUND_FUNCTION" or node["name"] != "round":
        raise unlisted("a score that is not rounded")
    inside, *places = node["children"]
    digits = (
        int(places[0]["value"]["value"])
        if places and places[0]["expression_class"] == "BOUND_CONSTANT"
        else 0
    )
    if len(places) > 1 or (places and places[0]["expression_class"] != "BOUND_CONSTANT"):
        raise unlisted("a number of decimals that is no constant")
    curve = _exponent(inside, rows)
    if curve is not None:
        return True, _scaled(curve, -1), digits
    return False, polynomial(inside, rows), digits


def _exponent(node: Node, rows: Rows) -> Polynomial | None:
    """Return x of `1 / (1 + exp(x))`, none for what is no quotient."""
    if node["expression_class"] != "BOUND_FUNCTION" or node["name"] != "/":
        return None
    above, below = node["children"]
    if polynomial(above, rows, doubles=True) != ONE or _called(below) != "+":
        raise unlisted("a quotient in a score")
    sides = sorted(below["children"], key=lambda side: _called(side) == "exp")
    if _called(sides[1]) != "exp" or polynomial(sides[0], rows, doubles=True) != ONE:
        raise unlisted("a quotient in a score")
    return polynomial(sides[1]["children"][0], rows, doubles=True)


def _called(node: Node) -> str:
    return str(node["name"]) if node["expression_class"] == "BOUND_FUNCTION" else ""
