"""Whether an expression is a point in time or a span of it, which no number adds up.

A mean of dates is a date, and the engine has no sum of dates: what each person adds to their mean, and so who dominates
it, cannot be said (`policies.reading.contributions`). So totals are of numbers. Days between dates are numbers.
"""

from __future__ import annotations

import re

from policies.reading.tree import Call, Case, Cast, Column, Constant, Expression, Operation, Sort

_TIME = re.compile(r"DATE|TIME.*|INTERVAL")


def is_time(value: Expression) -> bool:
    """Return whether an expression is a date, a time, or a span between two that is no whole number of days."""
    match value:
        case Column(type=kind) | Cast(type=kind):
            return bool(_TIME.fullmatch(kind))
        case Constant(sort=sort):
            return sort is Sort.INTERVAL
        case Call(function="date_trunc"):
            return True
        case Call(function="coalesce" | "abs" | "round", arguments=values):
            return any(map(is_time, values))
        case Operation(operator="-", operands=(first, second)) if _is_date(first) or _is_date(second):
            return not (_is_day(first) and _is_day(second))
        case Operation(operator="+" | "-" | "*" | "/" | "negative", operands=values):
            return any(map(is_time, values))
        case Case():
            return any(map(is_time, value.values))
    return False


def _is_day(value: Expression) -> bool:
    """Return whether an expression is a date, or text that is read as one beside a date."""
    return _is_date(value) or (isinstance(value, Constant) and value.sort is Sort.TEXT)


def _is_date(value: Expression) -> bool:
    """Return whether an expression is a date without a time of day; two of them differ by a whole number."""
    match value:
        case Column(type=kind) | Cast(type=kind):
            return kind == "DATE"
        case Call(function="coalesce", arguments=values):
            return any(map(_is_date, values)) and all(map(_may_be_day, values))
        case Operation(operator="+" | "-", operands=(first, second)):
            dates = [each for each in (first, second) if _is_date(each)]
            others = [each for each in (first, second) if not _is_date(each)]
            return len(dates) == 1 and not any(map(is_time, others)) and not any(map(_is_day, others))
        case Case():
            return any(map(_is_date, value.values)) and all(map(_may_be_day, value.values))
    return False


def _may_be_day(value: Expression) -> bool:
    return _is_day(value) or (isinstance(value, Constant) and value.sort is Sort.NULL)
