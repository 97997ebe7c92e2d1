"""Joint questions without SQL 问题表单: a form whose blanks name relations and columns becomes one joint statement.

| form | what is asked | blanks |
|---|---|---|
| `intersection-size` | how many persons all owners have | relations |
| `common` | which of the finder's own persons all others have | relations |
| `cross-table` | persons by keys of one or several owners; of columns number, total and mean | by, columns or none |
| `correlations` | the correlation of every two columns | columns, by or none |
| `products` | the inner product of every two columns of two owners | columns, by or none |
| `sums` | of one table that holders have in parts: rows, and of columns number, total and mean | by, columns, or none |
| `deviations` | the same with standard deviations in place of totals | columns, by or none |
| `scores`, `probabilities` | each row's score by another's linear or logistic model | columns |
| `lookup` | what a register has of a few own persons | columns, limit |

A form is plain text of the member's own words: no portal says anything about it, and nothing is run. What comes out is
a statement like one that was typed, which its member reads, signs and could have written (docs/joint-sql.md); every
owner reads, decides and approves that, and knows of no form. So a form can ask for nothing that a statement could not,
and what a statement may not say is refused in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations

from darkroom.joint_task import Named, task_of
from plans import names
from plans.errors import Malformed
from plans.joint import MOST_HOLDERS, MOST_OWNERS, JointTask

_MOST = 100
"""Columns or conditions of a blank, and persons who are looked up, at the most."""

_Count = tuple[int, int]

_LONGEST_NAME = 63
_LINEAR_DECIMALS, _LOGISTIC_DECIMALS = 2, 4

_CONDITION = re.compile(
    r"""(?P<column>[a-z0-9_.]+) \s* (?:
        = \s* (?P<truth> true | false )
        | (?P<sign> <> | <= | >= | = | < | > | \b like \b ) \s*
          (?P<value> -?\d{1,30} (?:\.\d{1,18})? | (?: date \s* )? '(?: [^'\x00-\x1f] | '' )*' )
        | \b is \s+ (?P<null> (?: not \s+ )? null )
    )""",
    re.IGNORECASE | re.VERBOSE,
)


class Form(StrEnum):
    """Which question it is."""

    INTERSECTION_SIZE = "intersection-size"
    COMMON = "common"
    CROSS_TABLE = "cross-table"
    CORRELATIONS = "correlations"
    PRODUCTS = "products"
    SUMS = "sums"
    DEVIATIONS = "deviations"
    SCORES = "scores"
    PROBABILITIES = "probabilities"
    LOOKUP = "lookup"


OF_PERSONS = frozenset({Form.COMMON, Form.SCORES, Form.PROBABILITIES, Form.LOOKUP})
"""Forms that tell something of single persons, and tell it to a finder."""


@dataclass(frozen=True, slots=True)
class Filled:
    """What stands in the blanks of a form.

    `relations` are `schema.table`, one of each owner; of scores and lookups the own one comes first. Columns are
    written `schema.table.column`; by their name alone of scores, records and parts. Of parts, `income=west.pay.wage`
    says what one holder calls the column; of scores, `age=years` multiplies the row's `age` with the model's `years`,
    and `=base` adds that coefficient as it is. `where` are comparisons that all hold: a column, one of `= <> < <= > >=
    like`, and a number, `'text'`, `date '2025-01-31'`, true or false; or a column and `is null`, `is not null`. Of
    parts, a column by its name alone is one of the whole table. `limit` is how many persons are looked up.
    """

    relations: tuple[str, ...]
    by: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    limit: int = 0


def task(form: Form, filled: Filled, named: Named) -> JointTask:
    """Return the joint task that a form and these parties make; its statement is what the member signs.

    Raises:
        Malformed: as `statement` and `joint_task.task_of`; or a finder is missing, or has no part in it.
    """
    text = statement(form, filled)
    if bool(named.finder) != (form in OF_PERSONS):
        raise Malformed(
            f"the form {form} {'tells of single persons' if form in OF_PERSONS else 'yields figures'}",
            "--finder",
            "Name your own domain as finder." if form in OF_PERSONS else "Leave --finder out.",
        )
    return task_of(text, named)


def statement(form: Form, filled: Filled) -> str:
    """Return the joint statement of a form.

    Raises:
        Malformed: a blank is empty, or has no place in this form, or something else than its words stands in it.
    """
    blanks = _BLANKS[form]
    _require_number(form, "--of", len(filled.relations), blanks.relations)
    _require_number(form, "--by", len(filled.by), blanks.by)
    _require_number(form, "--columns", len(filled.columns), blanks.columns)
    _require_number(form, "--where", len(filled.where), _ANY)
    _require_number(form, "--limit", filled.limit, blanks.limit)
    for relation in filled.relations:
        names.require("relation", relation, "--of")
    if len(set(filled.relations)) < len(filled.relations):
        raise Malformed("a relation is named twice", "--of", "Name one relation of each owner.")
    return blanks.written(filled)


def _require_number(form: Form, option: str, number: int, ends: _Count) -> None:
    least, most = ends
    if least <= number <= most:
        return
    if most == 0:
        raise Malformed(f"the form {form} has no such blank", option, f"Leave {option} out.")
    wanted = str(least) if least == most else f"{least} to {most}"
    raise Malformed(
        f"the form {form} takes {wanted} here, and not {number}",
        option,
        f"Give {wanted}, with commas between; what each is: docs/joint-forms.md.",
    )


# --- words -----------------------------------------------------


@dataclass(slots=True)
class _Outputs:
    """The SELECT list; names of outputs are given once, a second one with a number behind it."""

    items: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def add(self, written: str, name: str) -> None:
        fits = name if len(name) <= _LONGEST_NAME else f"figure_{len(self.items) + 1}"
        candidates = (fits if place == 1 else f"{fits[:56]}_{place}" for place in range(1, 10_000))
        chosen = next(each for each in candidates if each not in self.used)
        self.used.add(chosen)
        self.items.append(f"{written} AS {_quoted(chosen)}")


@dataclass(frozen=True, slots=True)
class _Written:
    """A column as it stands in a statement, behind the name that its relation has there, and its own name."""

    text: str
    name: str
    place: int


def _quoted(name: str) -> str:
    """Return a name in quotes, since it may be a word of SQL; its own alphabet has none."""
    return f'"{name}"'


def _column(text: str, filled: Filled, option: str, alone: int | None = None) -> _Written:
    """Return a column that is written `schema.table.column`, or by its name alone where its relation is known."""
    relation, _, name = text.strip().rpartition(".")
    names.require("column", name, option)
    if not relation and alone is not None:
        relation = filled.relations[alone]
    if relation not in filled.relations:
        raise Malformed(
            f"{text.strip()[:120]!r} is no column of a relation that was named",
            option,
            f"Write one of {', '.join(filled.relations)}, a dot, and the column.",
        )
    place = filled.relations.index(relation)
    return _Written(f"t{place + 1}.{_quoted(name)}", name, place)


@dataclass(frozen=True, slots=True)
class _Condition:
    """A column, and what is said of it before and behind its name."""

    column: str
    before: str
    behind: str

    def of(self, written: str) -> str:
        return f"{self.before}{written}{self.behind}"


def _condition(text: str) -> _Condition:
    found = _CONDITION.fullmatch(text.strip())
    if found is None:
        raise Malformed(
            "a condition of a form compares one column with one value",
            "--where",
            "Write for example: tax.income.year = 2025, or own.cases.kind like 'A%'; for anything else write SQL.",
        )
    if found["truth"]:
        return _Condition(found["column"], "" if found["truth"].lower() == "true" else "NOT ", "")
    if found["null"]:
        return _Condition(found["column"], "", f" IS {' '.join(found['null'].upper().split())}")
    return _Condition(found["column"], "", f" {found['sign'].upper()} {found['value']}")


def _where(filled: Filled, alone: int | None = None) -> str:
    said = []
    for condition in map(_condition, filled.where):
        said.append(condition.of(_column(condition.column, filled, "--where", alone).text))
    return f" WHERE {' AND '.join(said)}" if said else ""


def _named_relations(filled: Filled, between: str, using: str = "") -> str:
    named = [f"{relation} t{place}" for place, relation in enumerate(filled.relations, start=1)]
    return named[0] + "".join(f" {between} {each}{using}" for each in named[1:])


# --- relations that are joined by persons -----------------------------------------------------


def _joined(filled: Filled) -> str:
    joined = _named_relations(filled, "JOIN", f" USING ({names.PERSON})")
    return f"FROM {joined}{_where(filled)}"


def _grouped(filled: Filled, found: _Outputs, keys: Sequence[_Written]) -> str:
    group = f" GROUP BY {', '.join(key.text for key in keys)}" if keys else ""
    return f"SELECT {', '.join(found.items)} {_joined(filled)}{group}"


def _begun(filled: Filled) -> tuple[_Outputs, list[_Written], list[_Written]]:
    """Return outputs with the keys and the number of persons, the keys, and the columns of figures."""
    found = _Outputs()
    keys = [_column(text, filled, "--by") for text in filled.by]
    for key in keys:
        found.add(key.text, key.name)
    found.add("count(*)", "persons")
    return found, keys, [_column(text, filled, "--columns") for text in filled.columns]


def _common(filled: Filled) -> str:
    return f"SELECT {names.PERSON} {_joined(filled)}"


def _cross_table(filled: Filled) -> str:
    found, keys, columns = _begun(filled)
    for column in columns:
        _add_totals(found, column.text, column.name)
    return _grouped(filled, found, keys)


def _add_totals(found: _Outputs, text: str, name: str) -> None:
    found.add(f"count({text})", f"{name}_rows")
    found.add(f"sum({text})", f"{name}_total")
    found.add(f"avg({text})", f"{name}_mean")


def _correlations(filled: Filled) -> str:
    found, keys, columns = _begun(filled)
    for one, other in combinations(columns, 2):
        found.add(f"corr({one.text}, {other.text})", f"{one.name}_{other.name}")
    return _grouped(filled, found, keys)


def _products(filled: Filled) -> str:
    found, keys, columns = _begun(filled)
    pairs = [(one, other) for one, other in combinations(columns, 2) if one.place != other.place]
    if not pairs:
        raise Malformed(
            "an inner product is of columns of two owners, and these are of one",
            "--columns",
            "Name a column of each.",
        )
    for one, other in pairs:
        found.add(f"sum({one.text} * {other.text})", f"{one.name}_times_{other.name}")
    return _grouped(filled, found, keys)


# --- one table in parts -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _InParts:
    """A column of a table in parts: its name, and what holders call it who say so, by relation."""

    name: str
    others: dict[str, str]

    def of(self, relation: str) -> str:
        own = self.others.get(relation, self.name)
        return _quoted(own) if own == self.name else f"{_quoted(own)} AS {_quoted(self.name)}"


def _in_parts(text: str, filled: Filled, option: str) -> _InParts:
    name, *others = (each.strip() for each in text.split("="))
    names.require("column", name, option)
    called: dict[str, str] = {}
    for other in others:
        found = _column(other, filled, option)
        called[filled.relations[found.place]] = found.name
    return _InParts(name, called)


def _parts(filled: Filled, figures: Callable[[_Outputs, str, str], None]) -> str:
    by = [_in_parts(text, filled, "--by") for text in filled.by]
    columns = [_in_parts(text, filled, "--columns") for text in filled.columns]
    table = {each.name: each for each in (*by, *columns)}
    if len(table) < len(by) + len(columns):
        raise Malformed("a column of the table is named twice", "--columns", "Name each column once.")
    everywhere, own = _conditions_in_parts(filled)
    for condition in everywhere:
        table.setdefault(condition.column, _InParts(condition.column, {}))
    if not table:
        raise Malformed(
            "a table in parts has a column at least, and none is named",
            "--by",
            "Name one by --by or --columns.",
        )
    found = _Outputs()
    for key in by:
        found.add(f"t.{_quoted(key.name)}", key.name)
    found.add("count(*)", "rows")
    for column in columns:
        figures(found, f"t.{_quoted(column.name)}", column.name)
    parts = " UNION ALL ".join(_part(relation, table, own[relation]) for relation in filled.relations)
    outside = " AND ".join(each.of(f"t.{_quoted(each.column)}") for each in everywhere)
    where = f" WHERE {outside}" if outside else ""
    group = f" GROUP BY {', '.join(f't.{_quoted(key.name)}' for key in by)}" if by else ""
    return f"SELECT {', '.join(found.items)} FROM ({parts}) t{where}{group}"


def _part(relation: str, table: dict[str, _InParts], own: list[str]) -> str:
    listed = ", ".join(column.of(relation) for column in table.values())
    return f"SELECT {listed} FROM {relation}{' WHERE ' + ' AND '.join(own) if own else ''}"


def _conditions_in_parts(filled: Filled) -> tuple[list[_Condition], dict[str, list[str]]]:
    """Return conditions on the whole table, and those on each holder's own relation."""
    everywhere: list[_Condition] = []
    own: dict[str, list[str]] = {relation: [] for relation in filled.relations}
    for condition in map(_condition, filled.where):
        if "." in condition.column:
            found = _column(condition.column, filled, "--where")
            own[filled.relations[found.place]].append(condition.of(_quoted(found.name)))
        else:
            names.require("column", condition.column, "--where")
            everywhere.append(condition)
    return everywhere, own


def _sums(filled: Filled) -> str:
    return _parts(filled, _add_totals)


def _deviations(filled: Filled) -> str:
    return _parts(filled, _add_deviations)


def _add_deviations(found: _Outputs, text: str, name: str) -> None:
    found.add(f"count({text})", f"{name}_rows")
    found.add(f"avg({text})", f"{name}_mean")
    found.add(f"stddev({text})", f"{name}_deviation")


# --- what is told of own persons -----------------------------------------------------


def _terms(filled: Filled) -> Iterator[str]:
    for text in filled.columns:
        feature, equals, coefficient = (each.strip() for each in text.partition("="))
        model = f"t2.{_quoted(names.require('column', coefficient if equals else feature, '--columns'))}"
        if equals and not feature:
            yield model
        else:
            yield f"t1.{_quoted(names.require('column', feature, '--columns'))} * {model}"


def _scored(filled: Filled, formula: str) -> str:
    score = formula.format(" + ".join(_terms(filled)))
    scored = _named_relations(filled, "CROSS JOIN")
    return f'SELECT t1.{names.PERSON}, {score} AS "score" FROM {scored}{_where(filled, 0)}'


def _scores(filled: Filled) -> str:
    return _scored(filled, f"round({{}}, {_LINEAR_DECIMALS})")


def _probabilities(filled: Filled) -> str:
    return _scored(filled, f"round(1 / (1 + exp(-({{}}))), {_LOGISTIC_DECIMALS})")


def _lookup(filled: Filled) -> str:
    found = _Outputs(used={names.PERSON})
    for text in filled.columns:
        column = _column(text, filled, "--columns", 1)
        found.add(column.text, column.name)
    looked = _named_relations(filled, "LEFT JOIN", f" USING ({names.PERSON})")
    listed = ", ".join((f"t1.{names.PERSON}", *found.items))
    return f"SELECT {listed} FROM {looked}{_where(filled, 0)} LIMIT {filled.limit}"


# --- which form has which blanks -----------------------------------------------------

_OWNERS, _TWO, _HOLDERS = (2, MOST_OWNERS), (2, 2), (2, MOST_HOLDERS)
_NONE, _SOME, _ANY, _PAIRS = (0, 0), (1, _MOST), (0, _MOST), (2, _MOST)


@dataclass(frozen=True, slots=True)
class _Blanks:
    """How many of what a form takes, both ends included, and how its statement is written."""

    written: Callable[[Filled], str]
    relations: _Count
    by: _Count = _NONE
    columns: _Count = _NONE
    limit: _Count = _NONE


_BLANKS = {
    Form.INTERSECTION_SIZE: _Blanks(_cross_table, _OWNERS),
    Form.COMMON: _Blanks(_common, _OWNERS),
    Form.CROSS_TABLE: _Blanks(_cross_table, _OWNERS, by=_SOME, columns=_ANY),
    Form.CORRELATIONS: _Blanks(_correlations, _OWNERS, by=_ANY, columns=_PAIRS),
    Form.PRODUCTS: _Blanks(_products, _OWNERS, by=_ANY, columns=_PAIRS),
    Form.SUMS: _Blanks(_sums, _HOLDERS, by=_ANY, columns=_ANY),
    Form.DEVIATIONS: _Blanks(_deviations, _HOLDERS, by=_ANY, columns=_SOME),
    Form.SCORES: _Blanks(_scores, _TWO, columns=_SOME),
    Form.PROBABILITIES: _Blanks(_probabilities, _TWO, columns=_SOME),
    Form.LOOKUP: _Blanks(_lookup, _TWO, columns=_SOME, limit=_SOME),
}
