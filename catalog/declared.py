"""What an owner declared about a column's values, in the one spelling in which manifests keep it.

A description is written by hand: `1e3` is a bound there, and 1.5 one of whole numbers. Here a bound is what the
column's type can hold, so that whoever makes up values (`plans.trial`) or clamps them reads one spelling.
"""

from __future__ import annotations

import datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from catalog.description import DescribedColumn
from plans.errors import DarkroomError
from plans.manifest import Declared
from plans.trial import value_of


def declared(column: DescribedColumn) -> Declared:
    """Return bounds, categories and code of a described column; what its type cannot hold is left out."""
    low = _bound(column, column.minimum, ROUND_CEILING)
    high = _bound(column, column.maximum, ROUND_FLOOR)
    kind = column.engine_type
    if low and high and value_of(kind, low) > value_of(kind, high):  # type: ignore[operator]
        low, high = "", ""  # nothing of the type lies between them
    spelled = [_spelling(column, category) for category in column.categories]
    values = tuple(dict.fromkeys(each for each in spelled if each is not None))
    return Declared(low, high, values, column.check_digit.value)


def _bound(column: DescribedColumn, text: str | None, rounding: str) -> str:
    if text is None:
        return ""
    if column.type == "date":
        return str(datetime.date.fromisoformat(text))
    number = Decimal(text)
    if column.type == "integer":
        held = max(Decimal(-(2**63)), min(Decimal(2**63 - 1), number))
        number = held.to_integral_value(rounding)
    return _held(column, f"{number:f}") or ""


def _spelling(column: DescribedColumn, text: str) -> str | None:
    """Return a category as the engine would write it, or none if the type does not hold it."""
    if column.type in ("text", "code", "boolean"):
        return _held(column, text)
    if column.type == "date":
        return str(datetime.date.fromisoformat(text))
    number = Decimal(text)
    if column.type == "integer" and number != number.to_integral_value():
        return None
    return _held(column, f"{number.to_integral_value() if column.type == 'integer' else number:f}")


def _held(column: DescribedColumn, text: str) -> str | None:
    try:
        value_of(column.engine_type, text, column.name)
    except DarkroomError:
        return None
    return text
