"""Which columns a statement's conditions look at, and how, found in the SQL that really runs.

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
_PERSONS = re.compile(r'"_(persons|enterprises)_[0-9]+"')


class Form(StrEnum):
    """How a column is compared: with single constants, with limits, with a pattern of text, or otherwise.

    A truth column that is a condition by itself is `equal`: it picks the rows of one value.
    """

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
    """A column of a relation, and the form in which a condition looks at it. `direct`: as it is, not within a
    function or computation.
    """

    relation: str
    column: str
    form: Form
    direct: bool


def conditions(counted: str) -> tuple[Condition, ...]:
    """Return every condition about a column in a counted statement, sorted, each once; joins are none, and nor is what
    links a row with a subquery that chooses persons. The conditions in such a subquery are.
    """
    every = _TOKEN.findall(counted)
    aliases, tokens = _aliases(every), _unlinked(_asked(every))
    regions = _regions(tokens)
    found: set[Condition] = set()
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token == "(":
            opened.append(place)
        elif token == ")" and opened:
            begin = opened.pop() + 1
            found |= _of_group(tokens[begin:place], aliases, regions[begin] == "ON")
    return tuple(sorted(found | _unplaced(tokens, regions, aliases, found)))


def _aliases(tokens: list[str]) -> dict[str, str]:
    """Return the relation behind each alias. Words, not text: a constant that looks like a source is a constant."""
    found = {}
    for place in range(1, len(tokens) - 4):
        schema, dot, table, word, alias = tokens[place : place + 5]
        if tokens[place - 1] in ("FROM", "JOIN") and (dot, word) == (".", "AS"):
            found[alias[1:-1]] = f"{schema[1:-1]}.{table[1:-1]}"
    return found


_LINK = {1: ".", 3: "IN", 4: "(", 5: "SELECT", 7: ".", 9: "FROM"}
"""What stands where in `"a"."person" IN (SELECT "b"."person" FROM`."""


def _unlinked(tokens: list[str]) -> list[str]:
    """Return the tokens without what links a row with the persons that a subquery chooses."""
    links = [
        place
        for place in range(len(tokens) - max(_LINK))
        if all(tokens[place + n] == word for n, word in _LINK.items())
    ]
    left_out = {place + n for place in links for n in (0, 1, 2, 3, 6, 7, 8)}
    return [token for place, token in enumerate(tokens) if place not in left_out]


_BEGINS = {"WHERE", "WHEN", "ON"}
_ENDS = {"THEN", "GROUP", "JOIN", "LEFT", "FROM"}


def _regions(tokens: list[str]) -> list[str]:
    """Return for each token the word that opened the condition in which it stands, or nothing."""
    found, within = [], [""]
    for token in tokens:
        if token in _BEGINS:
            within[-1] = token
        elif token in _ENDS:
            within[-1] = ""
        elif token == "(":
            within.append(within[-1])
        elif token == ")" and len(within) > 1:
            within.pop()
        found.append(within[-1])
    return found


def _unplaced(
    tokens: list[str], regions: list[str], aliases: dict[str, str], placed: set[Condition]
) -> set[Condition]:
    """Return the columns of conditions in which no comparison was found: what decides there is their own truth."""
    known = {(each.relation, each.column) for each in placed}
    found = set()
    for relation, column, place in _columns(tokens, aliases):
        if regions[place] in ("WHERE", "WHEN") and (relation, column) not in known:
            before = next(token for token in reversed(tokens[:place]) if token != "(")
            direct = before in ("WHERE", "WHEN", "AND", "OR", "NOT")
            found.add(Condition(relation, column, Form.EQUAL, direct))
    return found


def _columns(tokens: list[str], aliases: dict[str, str]) -> list[tuple[str, str, int]]:
    """Return relation, column and place of every column."""
    return [
        (aliases[tokens[n][1:-1]], tokens[n + 2][1:-1], n)
        for n in range(len(tokens) - 2)
        if tokens[n][0] == '"' and tokens[n + 1] == "." and tokens[n][1:-1] in aliases
    ]


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


def _of_group(group: list[str], aliases: dict[str, str], joins: bool) -> set[Condition]:
    """Return what one pair of parentheses compares, if an operator stands directly in it.

    Columns that are compared with each other link relations where these are joined, and pick rows elsewhere.
    """
    depth, form, constant = 0, None, False
    for token in group:
        depth += (token == "(") - (token == ")")
        if depth == 0 and form is None and token in _FORMS:
            form = _FORMS[token]
        constant = constant or token[0] == "'" or token[0].isdigit() or token in ("TRUE", "FALSE", "NULL")
    if form is None or (joins and not constant):
        return set()
    form = form if constant else Form.OTHER
    return {
        Condition(relation, column, form, _direct(group, n))
        for relation, column, n in _columns(group, aliases)
    }


def _direct(group: list[str], place: int) -> bool:
    """Return whether a column stands in the group itself, and not deeper."""
    return sum((token == "(") - (token == ")") for token in group[:place]) == 0
