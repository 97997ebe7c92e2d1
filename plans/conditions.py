"""Which columns a statement compares with constants, found in the SQL that really runs.

This reads one form only: SQL as the guard writes it, where every name is quoted and every operation stands in
parentheses of its own. So the innermost parentheses around an operator hold its operands and nothing else, and a
reader of a few lines, which approvers carry on their own machine, needs no parser. What it cannot place is
reported as compared in some way, never left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_TOKEN = re.compile(
    r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'|[A-Za-z_][A-Za-z_0-9]*|[0-9][0-9.eE]*|<=|>=|<>|[^\s]'
)
_SOURCE = re.compile(r'"([^"]+)"\."([^"]+)" AS "([^"]+)"')
_PERSONS = re.compile(r'"_persons_[0-9]+"')


class Form(StrEnum):
    """How a column is compared: with single constants, with limits, with a pattern of text, or otherwise."""

    EQUAL = "equal"
    RANGE = "range"
    PATTERN = "pattern"
    OTHER = "other"


_FORMS = {
    "=": Form.EQUAL,
    "IN": Form.EQUAL,
    "<": Form.RANGE,
    "<=": Form.RANGE,
    ">": Form.RANGE,
    ">=": Form.RANGE,
    "BETWEEN": Form.RANGE,
    "LIKE": Form.PATTERN,
    "<>": Form.OTHER,
    "IS": Form.OTHER,
}


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A column of a relation, and the form in which it is compared with constants. `direct`: as it is, not within
    a function or computation.
    """

    relation: str
    column: str
    form: Form
    direct: bool


def conditions(counted: str) -> tuple[Condition, ...]:
    """Return every comparison of a column with constants in a counted statement, sorted, each once."""
    aliases = {alias: f"{schema}.{table}" for schema, table, alias in _SOURCE.findall(counted)}
    tokens = _asked(_TOKEN.findall(counted))
    found: set[Condition] = set()
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token == "(":
            opened.append(place)
        elif token == ")" and opened:
            found |= _of_group(tokens[opened.pop() + 1 : place], aliases)
    return tuple(sorted(found))


def _asked(tokens: list[str]) -> list[str]:
    """Return the tokens without the columns that count persons: their conditions are ours, not the member's."""
    kept: list[str] = []
    item: list[str] = []
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if depth == 0 and token in (",", "FROM"):
            kept += [] if _PERSONS.fullmatch(item[-1] if item else "") else item
            item = []
            if token == "FROM":
                return kept + tokens[place:]
        item.append(token)
    return kept + item


def _of_group(group: list[str], aliases: dict[str, str]) -> set[Condition]:
    """Return what one pair of parentheses compares, if an operator stands directly in it."""
    depth, form, constant = 0, None, False
    for token in group:
        depth += (token == "(") - (token == ")")
        if depth == 0 and form is None and token in _FORMS:
            form = _FORMS[token]
        constant = constant or token[0] == "'" or token[0].isdigit() or token in ("TRUE", "FALSE", "NULL")
    if form is None or not constant:
        return set()
    columns = [
        (aliases[group[n][1:-1]], group[n + 2][1:-1], n)
        for n in range(len(group) - 2)
        if group[n][0] == '"' and group[n + 1] == "." and group[n][1:-1] in aliases
    ]
    return {Condition(relation, column, form, _direct(group, n)) for relation, column, n in columns}


def _direct(group: list[str], place: int) -> bool:
    """Return whether a column stands in the group itself, and not deeper."""
    return sum((token == "(") - (token == ")") for token in group[:place]) == 0
