"""Parameters of a component against its description: which one is wrong, what it may be, what to do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.description import Component, Parameter, Part, Sort, number
from plans import names
from plans.artifacts import Artifact
from plans.errors import Malformed
from plans.tasks import Need

LONGEST_WORD, MOST_WORDS = 100, 64
"""Characters of a word, and how many a list holds if its description says nothing else."""

_LISTS = (Sort.WORDS, Sort.COLUMNS)


def checked(component: Component, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every parameter: the given one, or its default.

    Raises:
        Malformed: one is unknown, missing, of another sort, or out of its range; the advice says what it may be.
    """
    known = {parameter.name: parameter for parameter in component.parameters}
    for name in given:
        if name not in known:
            raise Malformed(
                f"the component {component.name} has no such parameter",
                f"parameter {name[:60]}",
                f"Its parameters are {', '.join(known)}.",
            )
    values = {name: _value(parameter, given) for name, parameter in known.items()}
    for table in range(len(component.tables)):
        used = [column for _, column in _columns(component, values, table)]
        if not used:
            raise Malformed(f"no column of the {component.tables[table]} is named", component.name)
    return values


def artifacts(component: Component, values: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Return what leaves with these values."""
    return tuple(offer.artifact for offer in component.outputs if not offer.when or values[offer.when])


def needs(component: Component, values: Mapping[str, Any], relations: Sequence[str]) -> tuple[Need, ...]:
    """Return what a task asks of its relations: the columns that the values name, and which of them are keys.

    Raises:
        Malformed: there are more or fewer relations than the component reads.
    """
    if len(relations) != len(component.tables):
        raise Malformed(
            f"the component {component.name} reads {len(component.tables)} tables, and {len(relations)} are named",
            "task.needs",
            f"Name {len(component.tables)}, in this order: {', '.join(component.tables)}.",
        )
    found = []
    for table, relation in enumerate(relations):
        used = _columns(component, values, table)
        keys = {column for part, column in used if part is Part.KEY}
        found.append(Need(relation, tuple(sorted({column for _, column in used})), tuple(sorted(keys))))
    return tuple(found)


def require_covered(component: Component, values: Mapping[str, Any], given: tuple[Need, ...]) -> None:
    """Refuse a task whose needs say less than what the component does with a column (`policies.tasks`).

    Raises:
        Malformed: a column is missing among the columns, or among the keys.
    """
    for need, wanted in zip(given, needs(component, values, [need.relation for need in given]), strict=True):
        if missing := sorted(set(wanted.columns) - set(need.columns)):
            raise Malformed("a column that a parameter names is not among those of the task", missing[0])
        if hidden := sorted(set(wanted.keys) - set(need.keys)):
            raise Malformed(
                "the values of a column would show as keys, and the task does not say so",
                hidden[0],
                "Name it among the keys of its table.",
            )


def _columns(component: Component, values: Mapping[str, Any], table: int) -> list[tuple[Part, str]]:
    """Return the columns of one table that the values name, with what is done with each."""
    found = []
    for parameter in component.parameters:
        if parameter.part is not None and parameter.table == table:
            value = values[parameter.name]
            for column in [value] if isinstance(value, str) else value:
                if column:
                    found.append((parameter.part, column))
    return found


def _value(parameter: Parameter, given: Mapping[str, Any]) -> Any:
    value = given.get(parameter.name, parameter.default)
    if value is None:
        raise _wrong(parameter, "is missing")
    if parameter.name not in given:
        return tuple(value) if parameter.sort in _LISTS else value
    if not _SORTS[parameter.sort](value):
        raise _wrong(parameter, "is of another sort")
    if parameter.choices and not set(_listed(value)) <= set(parameter.choices):
        raise _wrong(parameter, "is none of its choices")
    if parameter.part is not None:
        _require_columns(parameter, value)
    _require_range(parameter, value)
    return tuple(value) if parameter.sort in _LISTS else value


def _require_columns(parameter: Parameter, value: Any) -> None:
    """Columns are well-formed, each once, and none is one that the house itself puts there."""
    columns = _listed(value)
    if value == "" and parameter.default == "":
        return
    for column in columns:
        names.require("column", column, f"parameter {parameter.name}")
        if column == names.PERSON:
            raise _wrong(parameter, f"names the column {names.PERSON}, which no component shows")
    if len(set(columns)) != len(columns):
        raise _wrong(parameter, "names a column twice")


def _require_range(parameter: Parameter, value: Any) -> None:
    if parameter.sort is Sort.REAL or parameter.sort is Sort.WHOLE:
        size = number(str(value), f"parameter {parameter.name}")
    elif parameter.sort in _LISTS:
        size = number(str(len(value)), parameter.name)
    else:
        return
    low = number(parameter.least or str(size), parameter.name)
    high = number(parameter.most or str(MOST_WORDS if parameter.sort in _LISTS else size), parameter.name)
    if not low <= size <= high:
        raise _wrong(parameter, "is out of its range")


def _wrong(parameter: Parameter, what: str) -> Malformed:
    return Malformed(
        f"the parameter {parameter.name} {what}", f"parameter {parameter.name}", f"Give {allowed(parameter)}."
    )


def allowed(parameter: Parameter) -> str:
    """Return in words what a parameter may be."""
    if parameter.choices:
        words = f"{'some' if parameter.sort in _LISTS else 'one'} of {', '.join(parameter.choices)}"
    else:
        words = _WORDS[parameter.sort]
    if parameter.least and parameter.most:
        words += f", {'' if parameter.sort not in _LISTS else 'in number '}from {parameter.least} to {parameter.most}"
    return words


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_WORD and value.isprintable()


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(_is_word(each) and each for each in value)


_SORTS: dict[Sort, Callable[[Any], bool]] = {
    Sort.WORD: _is_word,
    Sort.WORDS: _is_list,
    Sort.WHOLE: lambda value: isinstance(value, int) and not isinstance(value, bool),
    Sort.REAL: _is_word,
    Sort.TRUTH: lambda value: isinstance(value, bool),
    Sort.COLUMN: _is_word,
    Sort.COLUMNS: _is_list,
}
_WORDS = {
    Sort.WORD: f"a word of at most {LONGEST_WORD} characters",
    Sort.WORDS: "a list of words",
    Sort.WHOLE: "a whole number",
    Sort.REAL: 'a number written as text, as in "0.05"',
    Sort.TRUTH: "true or false",
    Sort.COLUMN: "the name of a column",
    Sort.COLUMNS: "a list of names of columns",
}
