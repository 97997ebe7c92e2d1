"""What each person adds, as the second reader sees it: the statement computes from the same rows as the counted one.

The guard writes the statement of contributions (`policies.reading.contributions`) from the tree from which it writes
the counted statement. Here the engine's binder says what it does, and it is refused unless

* it reads the same rows, grouped by the keys of the table and by one person token that the counted statement counts;
* it yields those keys, that token, and for every figure a count and a sum of the very argument of the figure;
* what stands behind these sums for the same figure are sums as well: more that is looked at, never less;
* every deviation has its squares there;
* its sets are the parts of the cell whose persons the counted statement counts, all of them; and those that are said
  to be told apart by who lacks a value are: by one column as it stands, and not of the right side of a LEFT JOIN.

Where enterprises are counted, each column of theirs has its statement of totals and sets besides. So no total leaves
whose largest persons were not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from inside.bound import Bound, Connection, bind
from plans import names
from plans.errors import SqlUnsupported
from plans.reading import Cells, Contributions, Role

_GIVEN = r"NOT \((?P<given>[^ ()]+) IS NULL\)"
_COUNTED = r"(?P<counted>[^ ()]+) <> (?:CAST\()?0:\w+(?: AS \w+\))?"
_ELSE = r"ELSE CAST\(NULL AS \w+\) END"
_PATTERN = re.compile(
    rf"count\(CASE WHEN \((?:{_GIVEN}|{_COUNTED})\) THEN "
    rf"(?:[^ ()]+|CASE WHEN \(NOT \((?P=given) IS NULL\)\) THEN [^ ()]+ {_ELSE}) {_ELSE}\)"
)
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", re.DOTALL)


def require_contributions(connection: Connection, table: Cells, counted: Bound) -> None:
    """Check every statement of contributions of a table against its counted statement, as both are bound.

    Raises:
        SqlUnsupported: the readers disagree about one, or there is none.
    """
    asked = table.contributions
    if asked is None:
        raise _disagreement("contributions")
    people = {_statement(connection, text, table, counted) for text in (asked.statement, *asked.further)}
    if len(people) != 1 + len(asked.further):
        raise _disagreement("contributions")
    firms = dict(_of_enterprises(connection, text, table, counted) for text in asked.enterprises)
    if firms.keys() != _enterprises(table, counted) or len(firms) != len(asked.enterprises):
        raise _disagreement("enterprises")
    numbers = counted.outputs[len(table.outputs) + table.hidden :]
    wanted = {f"count({part})" for text in numbers for part in _counted_parts(text)}
    if set().union(*firms.values()) != wanted | {f"count({firm})" for firm in firms}:
        raise _disagreement("enterprises")


def require_enterprises(table: Cells, counted: Bound, columns: Mapping[str, str | None]) -> None:
    """Check that every number of enterprises counts those of all relations in FROM whose `columns` say what names them.

    Raises:
        SqlUnsupported: it does not. Where none are counted, nothing leaves by itself, and nothing is checked.
    """
    if not table.enterprises:
        return
    wanted = {
        f"{relation}#{place}.{columns[relation]}"
        for place, relation in enumerate(counted.rows[0])
        if columns.get(relation) is not None
    }
    numbers = counted.outputs[len(table.outputs) + table.hidden :]
    told = [[part for part in _counted_parts(text) if name in part] for text in numbers for name in wanted]
    if _enterprises(table, counted) != wanted or not all(told):
        raise _disagreement("enterprises")


def _enterprises(table: Cells, counted: Bound) -> set[str]:
    """Return the columns whose distinct values in the whole cell are counted as enterprises."""
    first = counted.outputs[len(table.outputs) + table.hidden :][: min(1, table.enterprises)]
    return {part for text in first for part in _counted_parts(text)}


def _of_enterprises(
    connection: Connection, text: str, table: Cells, counted: Bound
) -> tuple[str, frozenset[str]]:
    """Check one statement of what enterprises add to totals; return the column by which it groups, and its sets."""
    asked, found = table.contributions, bind(connection, text)
    assert asked is not None
    keys = _keys(table, counted)
    width = len(keys) + 1 + len(asked.totals) + 1 + asked.sets
    if len(found.outputs) != width or list(found.outputs[: len(keys)]) != keys:
        raise _disagreement("enterprises")
    firm, rest = found.outputs[len(keys)], list(found.outputs[len(keys) + 1 :])
    _require_rows(found, counted, firm)
    _require_totals(asked, table, counted, rest[: len(asked.totals)])
    sets = rest[len(asked.totals) :]
    if sets[0] != f"count({firm})" or len(set(sets)) != len(sets):
        raise _disagreement("enterprises")
    return firm, frozenset(sets)


def _keys(table: Cells, counted: Bound) -> list[str]:
    return [counted.outputs[place] for place, output in enumerate(table.outputs) if output.role is Role.KEY]


def _require_rows(found: Bound, counted: Bound, token: str) -> None:
    """A statement of contributions has the rows of the counted one, grouped by the keys and one token."""
    *below, groups = counted.rows
    if found.rows != (*below, tuple(sorted({*groups, token}))):
        raise _disagreement("rows")


def _statement(connection: Connection, text: str, table: Cells, counted: Bound) -> str:
    """Check one statement, and return the person token by which it groups."""
    asked, found = table.contributions, bind(connection, text)
    assert asked is not None
    keys = _keys(table, counted)
    width = len(keys) + 1 + len(asked.figures) + len(asked.totals) + 1 + asked.sets
    if len(found.outputs) != width or list(found.outputs[: len(keys)]) != keys:
        raise _disagreement("contributions")
    person, rest = found.outputs[len(keys)], list(found.outputs[len(keys) + 1 :])
    if not person.endswith(f".{names.PERSON}"):
        raise _disagreement("rows")
    _require_rows(found, counted, person)
    rows, sums = rest[: len(asked.figures)], rest[len(asked.figures) : len(asked.figures) + len(asked.totals)]
    _require_figures(asked, table, counted, rows)
    _require_totals(asked, table, counted, sums)
    hidden = counted.outputs[len(table.outputs) : len(table.outputs) + table.hidden]
    sets = rest[len(rows) + len(sums) :]
    _require_sets(hidden, person, sets)
    _require_patterns(asked, sets, {f"{source}." for source in _optional(counted)})
    return person


def _require_figures(asked: Contributions, table: Cells, counted: Bound, rows: list[str]) -> None:
    """Every column `_rows_N` counts the argument of the figure N."""
    for place, found in zip(asked.figures, rows, strict=True):
        _, _, argument = counted.outputs[place].partition("(")
        wanted = re.sub(r"(; [0-9.E-]+)?\)$", "", argument)
        if table.outputs[place].role is not Role.FIGURE or not _same(found, "count", wanted):
            raise _disagreement("contributions")


def _require_totals(asked: Contributions, table: Cells, counted: Bound, sums: list[str]) -> None:
    """Every argument of a sum, mean or deviation has its column first, and what follows are sums, too: of summands."""
    found: dict[int, list[str]] = {}
    for place, text in zip(asked.totals, sums, strict=True):
        if re.fullmatch(r"sum\(.*\)", text, re.DOTALL) is None:
            raise _disagreement("contributions")
        found.setdefault(place, []).append(_stripped(text[4:-1]))
    for place, output in enumerate(table.outputs):
        wanted = _totals_in(counted.outputs[place]) if output.role is Role.FIGURE else set()
        own = found.get(place, [])
        if set(own[: len(wanted)]) != wanted or (own and not wanted):
            raise _disagreement("contributions")
    _require_squares(asked, [_deviations_in(text) for text in counted.outputs[: len(table.outputs)]])


def _require_squares(asked: Contributions, deviations: list[set[str]]) -> None:
    """Every deviation has squares, between their sum and their rows, behind the totals of its arguments."""
    squared = dict.fromkeys(asked.totals, 0)
    for number in asked.squares:
        near = asked.totals[max(number - 1, 0) : number + 2]
        if len(near) != 3 or len(set(near)) != 1 or asked.totals.index(near[0]) == number - 1:
            raise _disagreement("squares")
        squared[near[0]] += 1
    if any(squared.get(place, 0) < len(found) for place, found in enumerate(deviations)):
        raise _disagreement("squares")


def _require_sets(hidden: Iterable[str], person: str, sets: list[str]) -> None:
    """The sets are the cell, and the parts of it whose persons of this token are counted."""
    wanted = {part for text in hidden for part in _counted_parts(text) if person in part} | {person}
    if {f"count({part})" for part in wanted} != set(sets):
        raise _disagreement("persons")


def _optional(counted: Bound) -> Iterable[str]:
    """Return the sources that are the right side of a LEFT JOIN, as their columns are called."""
    relations, links = counted.rows[0], counted.rows[1]
    for place, (relation, link) in enumerate(zip(relations[1:], links, strict=True), 1):
        if link.startswith("LEFT "):
            yield f"{relation}#{place}"


def _require_patterns(asked: Contributions, sets: list[str], optional: Iterable[str]) -> None:
    """The sets that have a pattern are the persons with a value, or with one other than 0, in its one column."""
    if len(asked.patterns) != len(sets):
        raise _disagreement("patterns")
    for text, pattern in zip(sets[1:], asked.patterns[1:], strict=True):
        found = _PATTERN.fullmatch(text)
        name = "" if found is None else found["given"] or found["counted"]
        plain = re.sub(r"#\d+(?=\.[^.]*$)", "", name) + (" <> 0" if found and found["counted"] else "")
        if pattern and (pattern != (plain,) or name.startswith(tuple(optional))):
            raise _disagreement("patterns")


def _counted_parts(text: str) -> list[str]:
    """Return the arguments of `count_distinct` in a hidden column: one of them, or several within `least`."""
    found, masked = [], _masked(text)
    start = masked.find("count_distinct(")
    while start >= 0:
        end = _closing(masked, start + len("count_distinct("))
        found.append(text[start + len("count_distinct(") : end])
        start = masked.find("count_distinct(", end)
    return found


def _totals_in(text: str) -> set[str]:
    """Return the arguments of sums, means and deviations in the text of an output."""
    masked, found = _masked(text), set()
    for match in re.finditer(r"(?<![a-z0-9_.])(?:sum|avg|stddev)\(", masked):
        found.add(_stripped(text[match.end() : _closing(masked, match.end())]))
    return found


def _deviations_in(text: str) -> set[str]:
    """Return the arguments of deviations in the text of an output."""
    masked = _masked(text)
    found = re.finditer(r"(?<![a-z0-9_.])stddev\(", masked)
    return {text[each.end() : _closing(masked, each.end())] for each in found}


def _masked(text: str) -> str:
    """Return a text in which constants are blank, at the same length: what stands in quotes opens no bracket."""
    return _QUOTED.sub(lambda match: " " * len(match[0]), text)


def _closing(text: str, start: int) -> int:
    """Return where the bracket closes that opened before `start`."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise _disagreement("contributions")


def _same(found: str, function: str, argument: str) -> bool:
    inner = re.fullmatch(rf"{function}\((.*)\)", found, re.DOTALL)
    return inner is not None and _stripped(inner[1]) == _stripped(argument)


def _stripped(argument: str) -> str:
    """Return an argument without the conversion to DOUBLE that the engine puts around it for some functions."""
    inner = re.fullmatch(r"CAST\((.*) AS DOUBLE\)", argument, re.DOTALL)
    return inner[1] if inner else argument


def _disagreement(what: str) -> SqlUnsupported:
    return SqlUnsupported(
        f"the two readers disagree about the {what} of the statement",
        "statement",
        "Write it more plainly, as in docs/sql.md; if it is plain already, report it as a defect.",
    )
