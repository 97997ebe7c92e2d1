"""A member's folder of Python, and its trial: the same folder run on made-up tables.

What a program says while it runs on somebody's data stays in the box or goes to the airlock. So that its author can
find mistakes all the same, the same folder runs on a *twin*: tables of the same names, columns and types, made in the
box from what the owner declared, without a single value of the data. What comes of that may be shown whole.

    where the program finds its tables    darkroom.table("tax.income"), of the module `darkroom` in the image
    where it leaves what it wants to keep $DARKROOM_OUT, plain files with plain names
    what it prints                        its log, cut at a size and cleaned

The places, names and types are the same in a trial and on data.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import ClassVar

from plans import names
from plans.box import LONGEST_ARGUMENT, MOST_ARGUMENTS, Outputs
from plans.errors import Malformed, TooLarge
from plans.manifest import Column, Declared, Kind, Manifest
from plans.record import Record

MOST_SOURCES = 500
LARGEST_FOLDER = 8 * 2**20
"""Files, and bytes of all files together, of a member's folder; it travels within one frame, in base64."""

MOST_TABLES, MOST_COLUMNS, MOST_ROWS, MOST_VALUES = 32, 512, 100_000, 1000
WHOLE = 1_000_000
"""What the weights of a twin's column add up to."""

TWIN_ROWS = 1000
"""Rows of a twin when nobody says otherwise: a number of its own, since the number of rows is data."""

MOST_LINES = LARGEST_FOLDER
"""The number that a line can have at the most; a program says it, and a report has room for 53 bits only."""

LONGEST_TEXT = 64 * 2**10
LONGEST_LOG = 256 * 2**10
"""Characters of an error's text, and of a log, that a trial tells."""

WINDOW = 1000
"""How far the values of a number column lie apart where nothing was declared."""

_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),(\d{1,2})\)")
_WHOLE = {
    f"{sign}{size}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if not sign else (0, 2**bits - 1)
    for sign in ("", "U")
    for size, bits in (("TINYINT", 8), ("SMALLINT", 16), ("INTEGER", 32), ("BIGINT", 64))
}
_EXACT = Context(prec=100)
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_ERROR = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")


@dataclass(frozen=True, slots=True)
class Folder(Record):
    """What a member wrote: file contents in base64 by path, the file that is started, its arguments, what it may leave.

    `outputs` is for what the program leaves. All of it leaves the box as one sealed file, which is what the box's
    specification allows.
    """

    KIND: ClassVar[str] = "folder"

    files: Mapping[str, str]
    main: str
    arguments: tuple[str, ...]
    outputs: Outputs = Outputs()

    def check(self) -> None:
        if not 1 <= len(self.files) <= MOST_SOURCES:
            raise TooLarge(f"a folder has between 1 and {MOST_SOURCES} files", "folder.files")
        parents = {
            place for path in self.files for place in _parents(names.require("source path", path, "folder"))
        }
        if parents & set(self.files):
            raise Malformed("a path is a file and a folder at once", "folder.files")
        if sum(len(text) for text in self.files.values()) > LARGEST_FOLDER * 4 // 3:
            raise TooLarge(f"a folder has at most {LARGEST_FOLDER // 2**20} MiB", "folder.files")
        for path, text in self.files.items():
            _bytes_of(text, path)
        if self.main not in self.files or not self.main.endswith(".py"):
            raise Malformed("the file to start is a .py file of the folder", "folder.main")
        if len(self.arguments) > MOST_ARGUMENTS or not all(_is_argument(text) for text in self.arguments):
            raise Malformed("arguments are few, short, and without control characters", "folder.arguments")

    def content(self) -> dict[str, bytes]:
        """Return the files' bytes by path."""
        return {path: _bytes_of(text, path) for path, text in self.files.items()}


@dataclass(frozen=True, slots=True)
class TwinColumn(Record):
    """A column of a twin: DuckDB type, bounds (inclusive) or the values to choose from, and whether some are missing.

    Bounds are text that the type reads; for text columns they are empty and `values` are not. Where a recipe
    (`plans.twins`) says how often what appears, `given` has a row of weights for every choice of the column `parent`
    and one for where that is missing, or one row if there is no parent; each has a weight for every choice of this
    column, and one more for missing. The choices are `values`, or `spans` of first and last value, or all between the
    bounds. Without weights all is equally likely.
    """

    name: str
    type: str
    low: str
    high: str
    values: tuple[str, ...]
    nulls: bool
    spans: tuple[tuple[str, ...], ...] = ()
    parent: str = ""
    given: tuple[tuple[int, ...], ...] = ()

    @property
    def choices(self) -> int:
        """Among how many things the weights choose, missing left out."""
        return len(self.values) or len(self.spans) or 1

    def check(self) -> None:
        names.require("column", self.name, "twin.column")
        self._check_values()
        for row in self.given:
            if len(row) != self.choices + 1 or min(row) < 0 or sum(row) != WHOLE:
                raise Malformed(
                    f"weights are for every choice and for missing, and add up to {WHOLE}", self.name
                )
            if row[-1] and not self.nulls:
                raise Malformed("a column without missing values has no weight for them", self.name)
        if (self.spans or self.parent) and not self.given:
            raise Malformed("spans and a parent come with weights", self.name)

    def _check_values(self) -> None:
        if len(self.values) > MOST_VALUES:
            raise TooLarge(f"a twin's column has at most {MOST_VALUES} values to choose from", self.name)
        for value in self.values:
            value_of(self.type, value, self.name)
        if self.type in ("VARCHAR", "BOOLEAN"):
            if self.low or self.high or not self.values:
                raise Malformed("a text or boolean column has values, and no bounds", self.name)
        elif value_of(self.type, self.low, self.name) > value_of(self.type, self.high, self.name):  # type: ignore[operator]
            raise Malformed("the lower bound is above the upper one", self.name)
        if self.spans and self.values or not all(self._is_span(span) for span in self.spans):
            raise Malformed("a span is a first and a last value within the bounds", self.name)

    def _is_span(self, span: tuple[str, ...]) -> bool:
        marks = [value_of(self.type, text, self.name) for text in (self.low, *span, self.high)]
        return len(span) == 2 and marks == sorted(marks)


@dataclass(frozen=True, slots=True)
class TwinTable(Record):
    """A table to be made up: the relation's name, its columns, and how many rows.

    `seed` settles its values whoever makes it; with none the trial's own does. With `repeats` some persons have several
    rows. `shown` are the columns that are made, in this order, none for all; what they depend on is drawn all the same,
    so that a column has the same values whichever others are shown.
    """

    name: str
    columns: tuple[TwinColumn, ...]
    rows: int
    seed: str = ""
    repeats: bool = False
    shown: tuple[str, ...] = ()

    def check(self) -> None:
        names.require("relation", self.name, "twin.name")
        called = [column.name for column in self.columns]
        if not called or len(called) > MOST_COLUMNS or len(set(called)) != len(called):
            raise Malformed(f"a twin has between 1 and {MOST_COLUMNS} columns, each once", self.name)
        if not 1 <= self.rows <= MOST_ROWS:
            raise Malformed(f"a twin has between 1 and {MOST_ROWS} rows", self.name)
        if len(set(self.shown)) != len(self.shown) or not set(self.shown) <= set(called):
            raise Malformed("what a twin shows are columns of its own, each once", self.name)
        if self.seed:
            names.require("nonce", self.seed, "twin.seed")
        self.order()

    @property
    def visible(self) -> tuple[TwinColumn, ...]:
        """The columns that are made, in their order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.shown) or self.columns

    def order(self) -> tuple[tuple[TwinColumn, ...], ...]:
        """Return the columns with weights in steps: those without parent first, then those whose parent is there.

        Raises:
            Malformed: a parent is missing, has no weights or another number of choices, or parents form a ring.
        """
        waiting = [column for column in self.columns if column.given]
        made: dict[str, TwinColumn] = {}
        steps: list[tuple[TwinColumn, ...]] = []
        while waiting:
            step = tuple(each for each in waiting if not each.parent or each.parent in made)
            if not step:
                raise Malformed(
                    "a parent is a column with weights, and no column comes from itself", self.name
                )
            for each in step:
                rows = made[each.parent].choices + 1 if each.parent else 1
                if len(each.given) != rows:
                    raise Malformed("there is a row of weights for every choice of the parent", each.name)
            made |= {each.name: each for each in step}
            waiting = [each for each in waiting if each.name not in made]
            steps.append(step)
        return tuple(steps)


@dataclass(frozen=True, slots=True)
class Trial(Record):
    """The material of a trial: the folder, the tables to make up, and the number that settles their values."""

    KIND: ClassVar[str] = "trial"

    folder: Folder
    tables: tuple[TwinTable, ...]
    seed: int

    def check(self) -> None:
        called = [table.name for table in self.tables]
        if len(called) > MOST_TABLES or len(set(called)) != len(called):
            raise Malformed(f"a trial has at most {MOST_TABLES} tables, each once", "trial.tables")
        if self.seed < 0:
            raise Malformed("a seed is not negative", "trial.seed")


@dataclass(frozen=True, slots=True)
class Place(Record):
    """Where a program failed: a file of the folder, the line, and the name of the exception's type."""

    file: str
    line: int
    error: str

    def check(self) -> None:
        names.require("source path", self.file, "place.file")
        if not 1 <= self.line <= MOST_LINES or not _ERROR.fullmatch(self.error):
            raise Malformed("a place is a line from 1 and the plain name of an error", "place")


@dataclass(frozen=True, slots=True)
class Left(Record):
    """A file that a program left: its path and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class TrialReport(Record):
    """What came of a trial. `code` is empty if the program ended well; `text` is the error's whole text."""

    KIND: ClassVar[str] = "trial-report"

    code: str
    place: Place | None
    text: str
    log: str
    left: tuple[Left, ...]

    def check(self) -> None:
        if len(self.text) > LONGEST_TEXT or len(self.log) > LONGEST_LOG:
            raise TooLarge("a trial tells less than this", "trial-report")
        if not all(character.isprintable() or character in "\n\t" for character in self.text + self.log):
            raise Malformed(
                "what a trial tells is plain text, without what a terminal acts on", "trial-report"
            )


def twin_of(
    manifest: Manifest, declared: Mapping[str, Declared] | None = None, rows: int = TWIN_ROWS
) -> TwinTable:
    """Return the twin of a dataset version: its person token, if any, and every column that is no identifier.

    It is made of names, types, whether a column has missing values at all, and what the owner declared. Nothing else
    of the manifest is used: numbers of rows and of missing values are data.

    Raises:
        Malformed: a column has a type, or a declared bound, of which no twin can be made.
    """
    token = TwinColumn(names.PERSON, "UBIGINT", "1", str(2**64 - 1), (), False)
    shown = [column for column in manifest.columns if column.kind is not Kind.IDENTIFIER]
    columns = (
        *((token,) if manifest.about_persons else ()),
        *(_twin_column(column, (declared or {}).get(column.name, column.declared)) for column in shown),
    )
    return TwinTable(manifest.relation, columns, rows)


def trial_of(folder: Folder, tables: tuple[TwinTable, ...]) -> Trial:
    """Return the one trial that belongs to a folder and the twins of its tables.

    There is exactly one, so that nobody can hold a failure on data against one trial after the other until one fits:
    the number of trials to choose from would be what the answers tell.
    """
    return Trial(folder, tables, int(folder.digest[-12:], 16))


def value_of(kind: str, text: str, where: str = "value") -> int | Decimal | datetime.date | str:
    """Return the value that `text` is for a column of a DuckDB type.

    Raises:
        Malformed: it is none, or there is no twin of this type.
    """
    try:
        if kind == "VARCHAR" and "\0" not in text:
            return text
        if kind == "BOOLEAN":
            return {"true": "true", "false": "false"}[text]
        return _moment(kind, text) if kind in _DATES else _number(kind, text)
    except (ValueError, InvalidOperation, KeyError):
        raise Malformed(f"a bound or category is no value of the type {kind[:40]}", where) from None


def _number(kind: str, text: str) -> int | Decimal:
    low, high = _range_of(kind)
    if not _NUMBER.fullmatch(text) or not low <= Decimal(text) <= high:
        raise ValueError
    return int(text) if kind in _WHOLE else Decimal(text)


def _moment(kind: str, text: str) -> datetime.date:
    """Read a date or a timestamp in its one spelling."""
    found = (datetime.date if kind == "DATE" else datetime.datetime).fromisoformat(text)
    if str(found) != text or "+" in text:
        raise ValueError
    return found


def _range_of(kind: str) -> tuple[int | Decimal, int | Decimal]:
    """Return the smallest and largest number of a type."""
    if kind in _WHOLE:
        return _WHOLE[kind]
    form = _DECIMAL.fullmatch(kind)
    if form and int(form[2]) <= int(form[1]) <= 38:
        most = _EXACT.scaleb(Decimal(10 ** int(form[1]) - 1), -int(form[2]))
        return most.copy_negate(), most
    if kind in ("DOUBLE", "FLOAT"):
        return Decimal(-(10**30)), Decimal(10**30)
    raise Malformed(f"no twin can be made of the type {kind[:40]}", "twin.type")


def _twin_column(column: Column, declared: Declared) -> TwinColumn:
    nulls = column.nulls > 0
    low, high = _bounds(column.type, declared)
    values = declared.values[:MOST_VALUES] or _VALUES.get(column.type, ())
    return TwinColumn(column.name, column.type, low, high, values, nulls)


_VALUES = {"VARCHAR": tuple("abcdefghij"), "BOOLEAN": ("false", "true")}
_DATES = {"DATE": ("2000-01-01", "2024-12-31"), "TIMESTAMP": ("2000-01-01 00:00:00", "2024-12-31 23:59:59")}


def _bounds(kind: str, declared: Declared) -> tuple[str, str]:
    """Return the bounds of a column: what was declared, and a plain window beside it where nothing was."""
    if kind in _VALUES:
        return declared.low, declared.high
    low, high = declared.low, declared.high
    if kind in _DATES:
        first, last = _DATES[kind]
        return low or min(first, high or first), high or max(last, low)
    smallest, largest = _range_of(kind)
    if not low:
        below = min(Decimal(0), _EXACT.subtract(_number(kind, high), WINDOW)) if high else Decimal(0)
        low = format(max(below, Decimal(smallest)), "f")
    if not high:
        high = format(min(_EXACT.add(_number(kind, low), WINDOW), Decimal(largest)), "f")
    return low, high


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _bytes_of(text: str, path: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = None
    if content is None or base64.b64encode(content).decode() != text:
        raise Malformed("a file's content is not in base64, in its one spelling", path)
    return content


def _is_argument(text: str) -> bool:
    return len(text) <= LONGEST_ARGUMENT and text.isprintable()
