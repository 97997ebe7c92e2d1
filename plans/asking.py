"""How a component's question is asked as one statement, where figures leave with noise only. Plain text, no parser.

In the mode `private` nobody noises what code leaves, also the platform's own; a statement of keys, counts, totals and
means is noised by the boxes that judge it (docs/private.md). A component whose question is such a statement says so
with an `Asking`, and the member signs that statement instead of a task. It is made on the member's side, so that it
names no column that the member did not name, whatever a portal says about the component; and it is signed only once the
member has said that this text is what it asks, since a portal could still have a figure used as a key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from plans import names
from plans.errors import Malformed
from plans.record import Record


@dataclass(frozen=True, slots=True)
class Asking(Record):
    """The statement of a component, by the parameters that name its columns.

    Of each column of `figures` the statement yields the rows that have a value, their total and their mean; with
    `cells` it yields persons and rows of each group too, and counts only rows that have a value everywhere.
    `left_out` says what the component leaves beside that and the statement does not, empty for nothing.
    """

    KIND: ClassVar[str] = "asking"

    keys: tuple[str, ...]
    figures: tuple[str, ...]
    cells: bool
    left_out: str = ""
    left_out_zh: str = ""

    def check(self) -> None:
        for name in (*self.keys, *self.figures):
            names.require("column", name, "asking")
        if not (self.figures or self.cells):
            raise Malformed("a statement yields figures", "asking")
        if set(self.keys) & set(self.figures):
            raise Malformed("a parameter names keys or figures, not both", "asking")


def statement(asking: Asking, values: Mapping[str, Any], relations: Sequence[str]) -> str:
    """Return the statement for these parameters on the one relation of the component, which is about persons.

    Raises:
        Malformed: a parameter names something that is no column, or no figure is asked for; or there is not one
            relation, or it is none.
    """
    if len(relations) != 1:
        raise Malformed(
            "a component that is asked as a statement reads one table", "tables", "Name exactly one table."
        )
    relation = names.require("relation", relations[0], "statement")
    keys, figures = _columns(asking.keys, values), _columns(asking.figures, values)
    if not (figures or asking.cells):
        raise Malformed(
            "a statement yields figures, and no column of figures is named",
            "parameters",
            f"Name one by a parameter: {', '.join(asking.figures)}.",
        )
    outputs = [_quoted(key) for key in keys]
    if asking.cells:
        outputs += [f"count(distinct {names.PERSON}) AS persons", "count(*) AS rows"]
    for figure in figures:
        column = _quoted(figure)
        outputs += [] if asking.cells else [f"count({column}) AS {figure}_rows"]
        outputs += [f"sum({column}) AS {figure}_total", f"avg({column}) AS {figure}_mean"]
    there = dict.fromkeys((*keys, *(figures if asking.cells else ())))
    where = " WHERE " + " AND ".join(f"{_quoted(column)} IS NOT NULL" for column in there) if there else ""
    listed = ", ".join(map(_quoted, keys))
    group = f" GROUP BY {listed} ORDER BY {listed}" if keys else ""
    return f"SELECT {', '.join(outputs)} FROM {relation}{where}{group}"


def _columns(parameters: tuple[str, ...], values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the columns that these parameters name, each once; an empty one names none.

    Raises:
        Malformed: one names something else.
    """
    found: dict[str, None] = {}
    for parameter in parameters:
        where, value = f"parameter {parameter}", values.get(parameter)
        if value is None or value == "":
            continue
        listed = (value,) if isinstance(value, str) else value
        if not (isinstance(listed, list | tuple) and all(isinstance(each, str) for each in listed)):
            raise Malformed("this is a column, or a list of columns", where, "Give names of columns as text.")
        found |= dict.fromkeys(names.require("column", each, where) for each in listed)
    return tuple(found)


def _quoted(column: str) -> str:
    """Return a column in quotes, since it may be a word of SQL; its own alphabet has none."""
    return f'"{column}"'
