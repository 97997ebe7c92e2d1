"""What is said about a component before it runs: plain, frozen values in two languages.

To add a component, write one module into `components/library`. It holds

    COMPONENT   a `Component`: what it does, its parameters, what leaves, and by which rule
    run         run(tables, values, evidence) -> the files of its outputs, by name

`tables` are `components.rows.Rows`, in the order of the task's needs; `values` are the checked parameters, every one
present (`components.checking`); with `evidence` (`components.evidence`) it writes its tables, so that numbers of
persons, largest contributions and fingerprints of sets come with each row. Lists, documentation and tests find it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, ClassVar

from plans import names
from plans.artifacts import Artifact, require_artifacts
from plans.asking import Asking
from plans.errors import Malformed
from plans.record import Record


class Sort(StrEnum):
    """What a parameter's value is. A `real` is written as text (`"0.05"`): canonical values have no floating point."""

    WORD = "word"
    WORDS = "words"
    WHOLE = "whole"
    REAL = "real"
    TRUTH = "truth"
    COLUMN = "column"
    COLUMNS = "columns"


class Part(StrEnum):
    """What a component does with a column: it feeds a model, its values show as keys of groups, or figures about
    groups are computed from it.
    """

    FEATURE = "feature"
    KEY = "key"
    FIGURE = "figure"


@dataclass(frozen=True, slots=True)
class Parameter(Record):
    """One parameter. Without a default it must be given; an empty column or list means "none".

    `least` and `most` bound a number, or how many a list holds. `part` and `table` (the place among the task's needs)
    are for columns.
    """

    name: str
    sort: Sort
    meaning: str
    meaning_zh: str
    default: Any = None
    least: str = ""
    most: str = ""
    choices: tuple[str, ...] = ()
    part: Part | None = None
    table: int = 0

    def check(self) -> None:
        names.require("column", self.name, "parameter.name")
        if (self.part is None) == (self.sort in (Sort.COLUMN, Sort.COLUMNS)):
            raise Malformed("a column has a part to play, and nothing else has", self.name)
        if not self.meaning or not self.meaning_zh:
            raise Malformed("a parameter is explained in both languages", self.name)
        for bound in filter(None, (self.least, self.most)):
            number(bound, self.name)


@dataclass(frozen=True, slots=True)
class Offer(Record):
    """What a component leaves; with `when`, only if the parameter of that name is neither empty nor false."""

    artifact: Artifact
    meaning: str
    meaning_zh: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class Component(Record):
    """An entry of the library.

    Members:
        tables: what each table is that the component reads, in the order of a task's needs.
        rules: the disclosure rules that hold for what leaves, by their names in the airlock.
        disclosure: the same in words.
        example: parameters with which `examples/components` runs it.
        asking: how its question is asked as one statement, of datasets in the mode private; none if it cannot be.
    """

    KIND: ClassVar[str] = "component"

    name: str
    title: str
    title_zh: str
    purpose: str
    purpose_zh: str
    tables: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    outputs: tuple[Offer, ...]
    rules: tuple[str, ...]
    disclosure: str
    disclosure_zh: str
    example: Mapping[str, Any]
    asking: Asking | None = None

    def check(self) -> None:
        names.require("project", self.name, "component.name")
        called = [parameter.name for parameter in self.parameters]
        if len(set(called)) != len(called):
            raise Malformed("a parameter is described once", self.name)
        if any(not 0 <= parameter.table < len(self.tables) for parameter in self.parameters):
            raise Malformed("a column is of one of the component's tables", self.name)
        if any(offer.when and offer.when not in called for offer in self.outputs):
            raise Malformed("an output hangs on one of the parameters", self.name)
        require_artifacts(tuple(offer.artifact for offer in self.outputs), self.name)
        self._check_asking()

    def _check_asking(self) -> None:
        if self.asking is None:
            return
        parts = {parameter.name: parameter.part for parameter in self.parameters}
        shown = all(parts.get(name) is Part.KEY for name in self.asking.keys)
        summed = all(parts.get(name) is Part.FIGURE for name in self.asking.figures)
        if len(self.tables) != 1 or not (shown and summed):
            raise Malformed("a statement shows the keys of one table, and figures of it", self.name)


def number(text: str, where: str) -> Decimal:
    """Return a number that is written as text.

    Raises:
        Malformed: it is none.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise Malformed("this is not a number", where, 'Write it as text in plain notation, as in "0.05".')
    return value
