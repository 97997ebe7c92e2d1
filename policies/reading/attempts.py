"""Failure must tell nothing (ATTACKS 21): what may fail because of a row is *attempted*, and null where it fails.

`sum(income * 1000000000000)` stops an engine exactly when somebody earns more than nine million: asked again
and again, it reads one person's income, and no figure is released on the way. So the counted statement cannot
fail because of a row. Each argument of an aggregate, condition and key that can fail is written as DuckDB's
`TRY(…)`, and a person whose argument failed does not stand behind the figure.

Arithmetic of DOUBLE does not fail but overflows to infinity, which would tell the same; so values beyond
1e100, from which no sum and no variance overflows, are null as well.

`can_fail` is a list of what cannot; in doubt, it may. Casts that nobody wrote count too: `age = 'x'` fails
at the first row that reaches it.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import replace

from plans.errors import SqlUnsupported
from policies.reading.grammar import INTEGERS, NUMERIC_AGGREGATES, OPERATORS, Kind
from policies.reading.tree import (
    ZERO,
    Aggregate,
    Attempt,
    Call,
    Case,
    Cast,
    Cohort,
    Column,
    Constant,
    Expression,
    Operation,
    Sort,
    cohorts,
)

WIDEST_DECIMAL = 28
"""Digits of a DECIMAL of which ten thousand million rows can be added within the engine's 38."""

MOST_ATTEMPTS = 64
"""How many attempts a statement may have. Where one fails, the engine computes its two thousand neighbours one by one:
a hundredth of a second for each attempt, and with hundreds of them one row would be seen in the time that all takes.
"""

_SHORT = re.compile(r"[\d.]{1,9}|[\d.]{1,9}[eE][+-]?\d{1,3}")
_FLOATS = ("DOUBLE", "FLOAT")
_PARTS = ("year", "quarter", "month", "week", "day")


def require_few(counted: Iterable[str]) -> None:
    """Refuse counted statements that hold too many attempts together.

    Raises:
        SqlUnsupported: they do.
    """
    if sum(text.count("TRY(") for text in counted) > MOST_ATTEMPTS:
        raise SqlUnsupported(
            f"more than {MOST_ATTEMPTS} values or counts of persons are computed in a way that may fail at a row",
            "statement",
            "Use fewer casts and less arithmetic with columns, or ask in several statements.",
        )


def attempt_figures(output: Expression) -> Expression:
    """Return an output with every aggregate's argument attempted, or a key attempted as a whole."""
    if isinstance(output, Aggregate):
        return output if output.argument is None else replace(output, argument=_argument(output))
    if isinstance(output, Operation) and any(isinstance(node, Aggregate) for node in output.walk()):
        return replace(output, operands=tuple(map(attempt_figures, output.operands)))
    return attempt(output)


def attempt_condition(condition: Expression) -> Expression:
    """Return a filter whose terms are attempted one by one, so that the engine can use the others early.

    Where a cohort is among the terms of OR and NOT, these too are attempted one by one: the engine has no TRY
    around a subquery.
    """
    if isinstance(condition, Operation) and (
        condition.operator == "and"
        or (OPERATORS[condition.operator].kind is Kind.LOGIC and _chooses(condition))
    ):
        return replace(condition, operands=tuple(map(attempt_condition, condition.operands)))
    if isinstance(condition, Operation) and condition.operator == "between" and can_fail(condition):
        # As the engine plans it: two terms, each attempted by itself.
        subject, low, high = condition.operands
        terms = Operation(">=", (subject, low)), Operation("<=", (subject, high))
        return Operation("and", tuple(map(attempt_condition, terms)))
    return attempt(condition)


def attempt(expression: Expression) -> Expression:
    """Return an expression that does not fail: itself, or its attempt.

    Raises:
        SqlUnsupported: a cohort stands in what can fail.
    """
    return _attempted(expression) if can_fail(expression) else expression


def _attempted(expression: Expression, bounded: bool = False) -> Attempt:
    if _chooses(expression):
        raise SqlUnsupported(
            "a subquery that chooses persons stands in one expression with something that can fail at a row",
            "statement",
            "Put the subquery into WHERE, or leave out what can fail: a division, a cast, a large product, stddev.",
        )
    return Attempt(expression, bounded)


def _chooses(expression: Expression) -> bool:
    return next(cohorts(expression), None) is not None


def _argument(aggregate: Aggregate) -> Expression:
    argument, numeric = aggregate.argument, aggregate.function in NUMERIC_AGGREGATES
    assert argument is not None
    fails = can_fail(argument)
    if numeric and _floats(argument) and (fails or aggregate.function == "stddev"):
        return _attempted(argument, bounded=True)
    return _attempted(argument) if fails else argument


def _floats(expression: Expression) -> bool:
    """Return whether an expression may be computed with floating point, and so be infinite; in doubt, it may."""
    return any(
        (isinstance(node, Column | Cast) and node.type in _FLOATS)
        or (isinstance(node, Operation) and node.operator == "/")
        or (isinstance(node, Constant) and node.sort is Sort.NUMBER and not re.fullmatch(r"[\d.]{1,18}", node.text))
        for node in expression.walk()
    )  # fmt: skip


def can_fail(expression: Expression) -> bool:
    """Return whether computing an expression for some row could stop the engine; in doubt, it could."""
    match expression:
        case Column() | Constant() | Attempt() | Cohort():  # what stands in a cohort is attempted there
            return False
        case Operation(operator="like" | "is null"):
            return any(map(can_fail, expression.parts))
        case Operation(operator=operator) if OPERATORS[operator].kind is Kind.LOGIC:
            return any(map(can_fail, expression.parts))
        case Operation(operator=operator) if OPERATORS[operator].kind is Kind.COMPARISON:
            return any(map(can_fail, expression.parts)) or not _fit(expression.operands)
        case Operation(operator="+" | "-" | "*", operands=operands):
            return not all(map(_is_small, operands))
        case Case():
            return any(map(can_fail, expression.parts)) or not _fit(expression.values)
        case Call():
            return _call_can_fail(expression)
        case Cast():
            return _cast_can_fail(expression)
    return True


def _call_can_fail(call: Call) -> bool:
    first = call.arguments[0]
    if call.function == "coalesce":
        return any(map(can_fail, call.arguments)) or not _fit(call.arguments)
    if call.function in _PARTS:
        return not (isinstance(first, Column) and first.type in ("DATE", "TIMESTAMP"))
    if call.function in ("lower", "upper", "substring"):
        text = isinstance(first, Column) and first.type == "VARCHAR"
        return not (text and all(map(_is_small, call.arguments[1:])))
    return True


def _cast_can_fail(cast: Cast) -> bool:
    operand = cast.operand
    if isinstance(operand, Constant):
        return not (cast.type == "DATE" and _is_date(operand))
    if cast.type == "DOUBLE" and isinstance(operand, Column):
        return not (INTEGERS.fullmatch(operand.type) or operand.type.startswith("DECIMAL"))
    return not (cast.type == "VARCHAR" and isinstance(operand, Column))


def _is_small(value: Expression) -> bool:
    return (
        isinstance(value, Constant)
        and value.sort is Sort.NUMBER
        and bool(re.fullmatch(r"[\d.]{1,6}", value.text))
    )


def _is_date(constant: Constant) -> bool:
    if constant.sort is not Sort.TEXT or not re.fullmatch(r"[12]\d{3}-\d\d-\d\d", constant.text):
        return False
    try:
        datetime.date.fromisoformat(constant.text)
    except ValueError:
        return False
    return True


# --- types that meet -----------------------------------------------------

_UNKNOWN, _NUMBER, _TEXT, _DATE_TEXT = "?", "number", "text", "date text"


def _fit(values: tuple[Expression, ...]) -> bool:
    """Return whether the engine brings these values to one type without a conversion that may fail."""
    if values[1:] == (ZERO,) and isinstance(values[0], Attempt):
        return True
    kinds = {_kind(value) for value in values} - {""}
    types = kinds - {_NUMBER, _TEXT, _DATE_TEXT}
    if _UNKNOWN in kinds:
        return False
    if not types:
        return kinds <= {_NUMBER} or kinds <= {_TEXT, _DATE_TEXT}
    if types == {"VARCHAR"}:
        return _NUMBER not in kinds
    if types == {"DATE"}:
        return kinds <= {"DATE", _DATE_TEXT}
    numeric = kinds <= types | {_NUMBER}
    if len(types) == 1 and types == kinds:
        return True
    if all(re.fullmatch(r"DECIMAL\(\d{1,2},\s?\d{1,2}\)", kind) for kind in types):
        return numeric and len(types) == 1 and int(next(iter(types))[8:].split(",")[0]) <= WIDEST_DECIMAL
    whole = all(INTEGERS.fullmatch(kind) and "HUGE" not in kind or kind in _FLOATS for kind in types)
    return numeric and whole


def _kind(value: Expression) -> str:
    """Return a value's type, as far as it is known without the engine; "" for a null, which fits everything."""
    match value:
        case Column(type=kind):
            return kind
        case Constant(sort=Sort.NULL):
            return ""
        case Constant(sort=Sort.TRUTH):
            return "BOOLEAN"
        case Constant(sort=Sort.NUMBER, text=text):
            return _NUMBER if _SHORT.fullmatch(text) else _UNKNOWN
        case Constant(sort=Sort.TEXT):
            return _DATE_TEXT if _is_date(value) else _TEXT
        case Cast(type=kind):
            return kind
        case Call(function=function) if function in _PARTS:
            return "BIGINT"
        case Call(function="lower" | "upper" | "substring"):
            return "VARCHAR"
        case Operation(operator="+" | "-" | "*", operands=operands) if all(map(_is_small, operands)):
            return _NUMBER
    return _kind_of_choice(value)


def _kind_of_choice(value: Expression) -> str:
    if isinstance(value, Case):
        kinds = {_kind(each) for each in value.values} - {""}
        return kinds.pop() if len(kinds) == 1 else _UNKNOWN
    return _UNKNOWN
