"""Writes expressions as SQL, every operation in parentheses, every name quoted: nothing is left to precedence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from policies.reading.grammar import OPERATORS
from policies.reading.tree import (
    Aggregate,
    Attempt,
    Call,
    Case,
    Cast,
    Cohort,
    Column,
    Constant,
    Expression,
    Joined,
    Operation,
    Sort,
)


def write(expression: Expression) -> str:
    """Return an expression as SQL text.

    Raises:
        TypeError: it holds a node that is not of the tree (a defect, not a refusal).
    """
    match expression:
        case Column(source=source, name=name):
            return f"{quoted(source)}.{quoted(name)}" if source else quoted(name)
        case Operation(operator="in", operands=(subject, *items)):
            return OPERATORS["in"].form.format(write(subject), ", ".join(map(write, items)))
        case Operation(operator=operator, operands=operands):
            return OPERATORS[operator].form.format(*map(write, operands))
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(write, arguments))})"
        case Cast(operand=operand, type=target):
            return f"CAST({write(operand)} AS {target})"
    writer = _WRITERS.get(type(expression))
    if writer is None:
        raise TypeError(type(expression).__name__)
    return writer(expression)


def quoted(name: str) -> str:
    """Return a name as a delimited identifier (ISO/IEC 9075-2, 5.2)."""
    return '"' + name.replace('"', '""') + '"'


def write_from(sources: Iterable[Joined]) -> str:
    """Return what stands behind FROM."""
    text = ""
    for source in sources:
        schema, _, table = source.relation.partition(".")
        relation = f"{quoted(schema)}.{quoted(table)} AS {quoted(source.alias)}"
        if source.links:
            links = " AND ".join(f"({write(earlier)} = {write(later)})" for earlier, later in source.links)
            relation = f" {'LEFT ' if source.optional else ''}JOIN {relation} ON {links}"
        text += relation
    return text


def _cohort(cohort: Cohort) -> str:
    where = "" if cohort.where is None else f" WHERE {write(cohort.where)}"
    inner = f"SELECT {write(cohort.chosen)} FROM {write_from(cohort.sources)}{where}"
    return f"({write(cohort.person)} IN ({inner}))"


def _constant(constant: Constant) -> str:
    if constant.sort is Sort.TEXT:
        return "'" + constant.text.replace("'", "''") + "'"
    if constant.sort is Sort.INTERVAL:
        count, unit = constant.text.split()
        return f"INTERVAL '{count}' {unit}"
    return "NULL" if constant.sort is Sort.NULL else constant.text


def _case(case: Case) -> str:
    branches = " ".join(
        f"WHEN {write(branch.condition)} THEN {write(branch.value)}" for branch in case.branches
    )
    return f"CASE {branches} ELSE {write(case.otherwise)} END"


def _attempt(attempt: Attempt) -> str:
    """Return DuckDB's TRY; a comparison, since infinity and not-a-number are greater than every number there."""
    text = write(attempt.operand)
    if attempt.bounded:
        text = f"CASE WHEN (abs(CAST({text} AS DOUBLE)) <= 1e100) THEN {text} ELSE NULL END"
    return f"TRY({text})"


def _aggregate(aggregate: Aggregate) -> str:
    if aggregate.argument is None:
        return "count(*)"
    argument = write(aggregate.argument)
    if aggregate.which is not None:
        argument += f", {write(aggregate.which)}"
    if aggregate.function == "count_distinct":
        return f"count(DISTINCT {argument})"
    return f"{aggregate.function}({argument})"


_WRITERS: dict[type[Expression], Callable[[Any], str]] = {
    Constant: _constant,
    Case: _case,
    Attempt: _attempt,
    Cohort: _cohort,
    Aggregate: _aggregate,
}
