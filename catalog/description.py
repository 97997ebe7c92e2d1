"""A dataset as its owner describes it, before and beside any data.

A description is written by a person in a TOML file (`catalog.reading`), read into these frozen records, and travels as
the material of an ingest plan. What it says is checked here, where it can be said which column is wrong.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.manifest import Grade, Kind
from plans.record import Record

ROW = "row"
"""As a person column: every row is its own person."""

NOBODY = "none"
"""As a person column: the rows are about nobody (codes, calendars, prices). It is a word, so that no gap means it."""


class Share(StrEnum):
    """Under which conditions an owner shares (共享属性)."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NONE = "none"


class Format(StrEnum):
    """Formats of the files that come in."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


class CheckDigit(StrEnum):
    """Codes whose last character proves the others (`catalog.check_digits`); empty for all other columns."""

    NONE = ""
    ID18 = "id18"
    USCC = "uscc"


SIMPLE_TYPES = {
    "text": "VARCHAR",
    "code": "VARCHAR",
    "integer": "BIGINT",
    "real": "DOUBLE",
    "date": "DATE",
    "boolean": "BOOLEAN",
}
"""Types offered, and what they are in the engine. `decimal(p,s)` comes beside these."""

_DECIMAL = re.compile(r"decimal\((\d{1,2}),(\d{1,2})\)")


def engine_type(offered: str, where: str = "type") -> str:
    """Return the DuckDB type of an offered type: `DECIMAL(12,2)` for `decimal(12,2)`.

    Raises:
        Malformed: no such type is offered.
    """
    if offered in SIMPLE_TYPES:
        return SIMPLE_TYPES[offered]
    form = _DECIMAL.fullmatch(offered)
    if form and 1 <= int(form[1]) <= 38 and int(form[2]) <= int(form[1]):
        return f"DECIMAL({int(form[1])},{int(form[2])})"
    offers = ", ".join([*SIMPLE_TYPES, "decimal(p,s)"])
    raise Malformed(f"{offered[:40]!r} is not an offered type", where, f"Use one of {offers}.")


@dataclass(frozen=True, slots=True)
class DescribedColumn(Record):
    """A column: what it means, and what its values must satisfy.

    `header` is the column's name in the source file, usually the same as `name`. `minimum` and `maximum` (inclusive)
    and `categories` are written as text, whatever the type.
    """

    KIND: ClassVar[str] = "described-column"

    name: str
    header: str
    title: str
    title_zh: str
    type: str
    unit: str
    kind: Kind
    minimum: str | None
    maximum: str | None
    categories: tuple[str, ...]
    check_digit: CheckDigit

    def check(self) -> None:
        names.require("column", self.name, "column.name")
        if self.name in (names.PERSON, ROW, NOBODY):
            raise Malformed(
                f"a column cannot be called {self.name!r}", self.name, "That word is reserved; rename it."
            )
        if not self.header.strip() or self.header != self.header.strip() or not self.header.isprintable():
            raise Malformed("a header is printable text without blanks around it", self.name)
        engine_type(self.type, f"{self.name}.type")
        bounds = [
            _value(self.type, bound, self.name) for bound in (self.minimum, self.maximum) if bound is not None
        ]
        if bounds and self.type in ("text", "code", "boolean"):
            raise Malformed("only numbers and dates have a range", self.name)
        if len(bounds) == 2 and bounds[0] > bounds[1]:  # type: ignore[operator]
            raise Malformed("the minimum is above the maximum", self.name)
        if len(set(self.categories)) < len(self.categories):
            raise Malformed("a category is listed twice", self.name)
        for category in self.categories:
            _value(self.type, category, self.name)
        if self.check_digit and self.type not in ("text", "code"):
            raise Malformed("a check digit belongs to a text or code column", self.name)

    @property
    def engine_type(self) -> str:
        """The column's DuckDB type, as manifests and shadows name it."""
        return engine_type(self.type)


@dataclass(frozen=True, slots=True)
class Description(Record):
    """A dataset: `person` names the identifier column whose values tell persons apart, or is `row` or `none`.

    `unique` promises that no person has two rows, and makes an ingest refuse a file that breaks it.
    """

    KIND: ClassVar[str] = "description"

    dataset: str
    title: str
    title_zh: str
    about: str
    source_system: str
    grade: Grade
    share: Share
    format: Format
    person: str
    unique: bool
    columns: tuple[DescribedColumn, ...]

    def check(self) -> None:
        names.require("dataset", self.dataset, "id")
        if not self.title.strip() or not self.title_zh.strip():
            raise Malformed(
                "a dataset has a title in both languages", self.dataset, "Give title and title_zh."
            )
        if not self.columns:
            raise Malformed("a dataset has at least one column", self.dataset)
        _refuse_repeated([column.name for column in self.columns], "name")
        _refuse_repeated([column.header for column in self.columns], "header")
        if self.person == ROW:
            return
        if not self.about_persons:
            self._refuse_persons()
            return
        identifiers = [column.name for column in self.columns if column.kind is Kind.IDENTIFIER]
        if self.person not in identifiers:
            raise Malformed(
                f"the person column {self.person[:40]!r} is not a column of the kind identifier",
                f"{self.dataset}: person",
                f"Name one of {', '.join(identifiers) or '(none is described)'}, or write person = {ROW!r}"
                f" (every row is a person) or {NOBODY!r} (the data are about nobody).",
            )

    def _refuse_persons(self) -> None:
        """Refuse what only data about persons have: whoever has a number of a citizen in a row, has a person there."""
        for column in self.columns:
            if column.kind is Kind.IDENTIFIER or column.check_digit is CheckDigit.ID18:
                raise Malformed(
                    f"data that identify people are about persons, and {column.name!r} does",
                    f"{self.dataset}: person",
                    f"Name the column that tells persons apart, or leave {column.name!r} out.",
                )
        if self.unique:
            raise Malformed(
                "unique says that no person has two rows, and these data are about nobody",
                f"{self.dataset}: unique",
                "Leave it out.",
            )

    @property
    def about_persons(self) -> bool:
        """Whether the rows are about persons."""
        return self.person != NOBODY

    @property
    def domain(self) -> str:
        """The domain that owns the dataset."""
        return names.domain_of(self.dataset)

    def column(self, name: str) -> DescribedColumn | None:
        """Return the column of this name, or none."""
        return next((column for column in self.columns if column.name == name), None)


def _refuse_repeated(texts: list[str], key: str) -> None:
    for position, text in enumerate(texts):
        if text in texts[:position]:
            raise Malformed(f"two columns have the {key} {text[:60]!r}", key, "Rename one of them.")


def _value(kind: str, text: str, column: str) -> Decimal | datetime.date | str:
    """Read one bound or category as the column's type would."""
    try:
        if kind == "date":
            return datetime.date.fromisoformat(text)
        if kind == "boolean":
            return {"true": "true", "false": "false"}[text]
        if kind in ("text", "code"):
            return text
        number = Decimal(text)
    except (ValueError, InvalidOperation, KeyError):
        raise Malformed(f"{text[:40]!r} is not a value of the type {kind}", column) from None
    if not number.is_finite():
        raise Malformed("a bound is a finite number", column, "Leave it out for no bound.")
    return number
