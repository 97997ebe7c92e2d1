"""What the subset allows, as tables, each entry with its reason; `docs/sql.md` lists the same, and a test
compares them.

Two questions decide. May a row's value be looked at through this function at all? And may an aggregate look
through it? Inside an aggregate a step function (`floor`, `round`, `%`) is a condition in disguise:
`sum(floor(income / 1000000))` counts millionaires without saying CASE, so the persons behind the figure could
not be counted. There, conditions are written as CASE, whose branches are counted
(`policies.reading.persons`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from policies.reading import tree


class Kind(StrEnum):
    """What an operator takes and gives."""

    ARITHMETIC = "arithmetic"
    COMPARISON = "comparison"
    LOGIC = "logic"


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator: its kind, how it is written, and whether an aggregate may look through it."""

    kind: Kind
    form: str
    aggregated: bool = True


OPERATORS = {
    "+": Operator(Kind.ARITHMETIC, "({} + {})"),
    "-": Operator(Kind.ARITHMETIC, "({} - {})"),
    "*": Operator(Kind.ARITHMETIC, "({} * {})"),
    "/": Operator(Kind.ARITHMETIC, "({} / {})"),
    "%": Operator(Kind.ARITHMETIC, "({} % {})", aggregated=False),
    "negative": Operator(Kind.ARITHMETIC, "(- {})"),
    "=": Operator(Kind.COMPARISON, "({} = {})"),
    "<>": Operator(Kind.COMPARISON, "({} <> {})"),
    "<": Operator(Kind.COMPARISON, "({} < {})"),
    "<=": Operator(Kind.COMPARISON, "({} <= {})"),
    ">": Operator(Kind.COMPARISON, "({} > {})"),
    ">=": Operator(Kind.COMPARISON, "({} >= {})"),
    "between": Operator(Kind.COMPARISON, "({} BETWEEN {} AND {})"),
    "in": Operator(Kind.COMPARISON, "({} IN ({}))"),
    "is null": Operator(Kind.COMPARISON, "({} IS NULL)"),
    "like": Operator(Kind.COMPARISON, "({} LIKE {})"),
    "and": Operator(Kind.LOGIC, "({} AND {})"),
    "or": Operator(Kind.LOGIC, "({} OR {})"),
    "not": Operator(Kind.LOGIC, "(NOT {})"),
}


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how many arguments, whether an aggregate may look through it, and why it is on the list."""

    least: int
    most: int
    aggregated: bool
    reason: str


_PART = "a part of a date; whole numbers that calendars bound"
_STEP = "a step function: in keys it coarsens, in an aggregate it would be a condition in disguise"
_TEXT = "text from text, for keys and filters; only counts look at text"

FUNCTIONS = {
    "year": Function(1, 1, True, _PART),
    "quarter": Function(1, 1, True, _PART),
    "month": Function(1, 1, True, _PART),
    "week": Function(1, 1, True, _PART),
    "day": Function(1, 1, True, _PART),
    "hour": Function(1, 1, True, _PART),
    "date_trunc": Function(2, 2, True, "coarsens a date; the part is a constant"),
    "date_diff": Function(3, 3, True, "how many boundaries of a constant part lie between two dates"),
    "abs": Function(1, 1, False, _STEP),
    "round": Function(1, 2, False, _STEP),
    "floor": Function(1, 1, False, _STEP),
    "ceil": Function(1, 1, False, _STEP),
    "lower": Function(1, 1, False, _TEXT),
    "upper": Function(1, 1, False, _TEXT),
    "substring": Function(2, 3, False, _TEXT),
    "coalesce": Function(2, 8, True, "a CASE over what is null; its branches are counted like a CASE's"),
}

DATE_PARTS = ("year", "quarter", "month", "week", "day", "hour")
INTERVAL_UNITS = ("year", "quarter", "month", "week", "day", "hour", "minute", "second")

_SHOWS = "shows the value of a single record: only where the column's owner names it"

AGGREGATES = {
    "count": "rows, or rows where the argument is not null",
    "count_distinct": "different values; count(distinct person) counts persons",
    "sum": "of numbers",
    "avg": "of numbers",
    "stddev": "of a sample, of numbers",
    "min": _SHOWS,
    "max": _SHOWS,
    "median": _SHOWS,
    "quantile_cont": f"{_SHOWS}; from 0.05 to 0.95",
    "quantile_disc": f"{_SHOWS}; from 0.05 to 0.95",
}
REVEALING_AGGREGATES = ("min", "max", "median", "quantile_cont", "quantile_disc")
"""Aggregates whose figure is, or lies beside, one record's value. The guard reads them and counts the persons
behind them as behind a mean, those whose value is 0 left out: were `max(flag)` shown for one person in a
hundred, it would tell that there is one. Whether a column may be used so at all is for its owner to say, by
the function's name (`policies.constraints`).
"""

TOTALS = ("sum", "avg", "stddev")
"""Aggregates that are computed from the sum of their argument, in which one person may outweigh the others."""

NUMERIC_AGGREGATES = (*TOTALS, *REVEALING_AGGREGATES)

ADDITIVE_AGGREGATES = ("count", "sum")
"""Aggregates of which a margin can be computed from the figures of its cells."""

COUNTS = ("count", "count_distinct")
"""Functions whose figures are counts, and are rounded as counts."""

_EXTREME = "it shows the value of a single record; ask for a mean, or for counts by CASE ranges"
_COLLECTS = "it shows values of records; ask for counts per group instead"
_DISGUISE = "it is a condition in disguise; write CASE WHEN … THEN … ELSE … END"
_MOVES = "its value is not fixed by the statement; write the constant"

REFUSED = {
    "any_value": _EXTREME,
    "first": _EXTREME,
    "last": _EXTREME,
    "arg_max": _EXTREME,
    "arg_min": _EXTREME,
    "argmax": _EXTREME,
    "argmin": _EXTREME,
    "mode": _EXTREME,
    "quantile": _EXTREME,
    "percentile_cont": _EXTREME,
    "percentile_disc": _EXTREME,
    "list": _COLLECTS,
    "array_agg": _COLLECTS,
    "group_concat": _COLLECTS,
    "string_agg": _COLLECTS,
    "histogram": _COLLECTS,
    "nullif": _DISGUISE,
    "if": _DISGUISE,
    "least": _DISGUISE,
    "greatest": _DISGUISE,
    "current_date": _MOVES,
    "current_timestamp": _MOVES,
    "now": _MOVES,
    "random": _MOVES,
    "rand": _MOVES,
}
"""Functions that people ask for, and what to write instead; any other unknown function is refused without advice."""

INTEGERS = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)")
"""DuckDB's types of whole numbers. A column of them may be a truth value in disguise (0 and 1)."""

CAST_TYPES = {
    "SMALLINT": "SMALLINT",
    "INT": "INTEGER",
    "BIGINT": "BIGINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "DECIMAL": "DECIMAL",
    "TEXT": "VARCHAR",
    "VARCHAR": "VARCHAR",
    "DATE": "DATE",
    "TIMESTAMP": "TIMESTAMP",
    "TIMESTAMPNTZ": "TIMESTAMP",
}
"""The parser's names of the types that a cast may give, with DuckDB's. BOOLEAN is missing: a cast to it compares."""

AGGREGATED_CASTS = re.compile(r"DOUBLE|FLOAT|DATE|TIMESTAMP")
"""Types to which an aggregate's argument may be cast: others round, and rounding is a step function."""


def is_truth(expression: tree.Expression) -> bool:
    """Return whether an expression is a truth value, which no arithmetic and no numeric aggregate may touch."""
    if isinstance(expression, tree.Operation):
        return OPERATORS[expression.operator].kind is not Kind.ARITHMETIC
    if isinstance(expression, tree.Cohort):
        return True
    if isinstance(expression, tree.Constant):
        return expression.sort is tree.Sort.TRUTH
    if isinstance(expression, tree.Column):
        return expression.type == "BOOLEAN"
    if isinstance(expression, tree.Case):
        return any(is_truth(value) for value in expression.values)
    return False


def is_text(expression: tree.Expression) -> bool:
    """Return whether an expression is text of the data (a constant is not), as far as types are known here."""
    if isinstance(expression, tree.Column):
        return expression.type == "VARCHAR"
    if isinstance(expression, tree.Cast):
        return expression.type == "VARCHAR"
    if isinstance(expression, tree.Call):
        return expression.function in ("lower", "upper", "substring") or (
            expression.function == "coalesce" and any(is_text(argument) for argument in expression.arguments)
        )
    return isinstance(expression, tree.Case) and any(is_text(value) for value in expression.values)
