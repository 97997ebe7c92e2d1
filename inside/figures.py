"""Figures computed with each other: an exact product could overflow, and so tell how large a figure is.

No TRY may stand around an aggregate. So the largest value that each operand can have is bounded by its digits,
whatever the rows say, and a product that might not fit its type is refused when the statement is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inside.terms import typed, unlisted
from plans.errors import SqlUnsupported

Node = Mapping[str, Any]

WIDEST_DECIMAL = 28
"""As in `policies.reading.attempts`: the widest DECIMAL of which `ROW_DIGITS` of rows can be added."""

ROW_DIGITS = 10
_FLOAT_DIGITS, _ROOM = 100, 300


def require_narrow(function: str, kind: str) -> None:
    """Refuse numbers that cannot be added up without overflow.

    Raises:
        SqlUnsupported: the argument of anything but a count is a HUGEINT or a DECIMAL of more than 28 digits.
    """
    if function not in ("count", "count_distinct") and (_width(kind) or 0) > WIDEST_DECIMAL:
        raise SqlUnsupported(
            f"{function} of a {kind} could overflow, and so tell about single rows",
            "SELECT",
            "Cast its argument, or one factor of it, to DOUBLE.",
        )


def figure_digits(function: str, kinds: list[str]) -> int:
    """Return how many digits a figure has at most."""
    if function in ("count", "count_distinct"):
        return ROW_DIGITS
    width = _width(kinds[0])
    if width is None:
        return ROW_DIGITS + _FLOAT_DIGITS
    return ROW_DIGITS + width + (not kinds[0].startswith("DECIMAL"))  # 2,147,483,647 has a digit more than 9


def require_room(node: Node, digits: list[int]) -> int:
    """Return how many digits an expression over figures has at most; `digits` are those of the figures by position.

    Raises:
        SqlUnsupported: an exact product might not fit its type, or a floating one might be infinite.
    """
    kind = node["expression_class"]
    if kind == "BOUND_REF":
        return digits[node["index"]]
    if kind == "BOUND_CONSTANT":
        return _constant_digits(node)
    if kind == "BOUND_CAST":
        return _fitting(require_room(node["child"], digits), typed(node["return_type"]), cast=True)
    if kind != "BOUND_FUNCTION":
        raise unlisted("an expression over figures")
    found = [require_room(child, digits) for child in node["children"]]
    return _fitting(sum(found), typed(node["return_type"]), cast=False)


def _fitting(digits: int, kind: str, cast: bool) -> int:
    width = _width(kind)
    scale = re.fullmatch(r"DECIMAL\(\d+,(\d+)\)", kind) if cast else None
    digits += int(scale[1]) if scale else 0
    if digits > (_ROOM if width is None else width):
        raise SqlUnsupported(
            "a product of figures could overflow, and so tell how large they are",
            "SELECT",
            "Multiply with a smaller constant, or on your own side after the release.",
        )
    return digits


def _constant_digits(node: Node) -> int:
    text = str(node["value"].get("value")).lower()
    mantissa, _, exponent = text.partition("e")
    return len(re.sub(r"\D", "", mantissa)) + abs(int(exponent or 0))


def _width(kind: str) -> int | None:
    """Return the digits of an exact type; none for a floating one."""
    if found := re.fullmatch(r"DECIMAL\((\d+),\d+\)", kind):
        return int(found[1])
    return {"UHUGEINT": 38, "HUGEINT": 38, "BIGINT": 18, "UBIGINT": 19, "INTEGER": 9, "UINTEGER": 9,
            "SMALLINT": 4, "USMALLINT": 4, "TINYINT": 2, "UTINYINT": 2}.get(kind)  # fmt: skip
