"""The manifest of a dataset version: what the keeper vouches for when it signs.

A box verifies every file's SHA-256 against the manifest before it opens the file, because encrypted Parquet
is not bound to positions: column chunks can be swapped inside a file unnoticed (ATTACKS 83).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.reading import Shadow, ShadowColumn
from plans.record import Record


class Kind(StrEnum):
    """What a column says about a person (GB/T 37964 section 3)."""

    IDENTIFIER = "identifier"
    QUASI = "quasi-identifier"
    SENSITIVE = "sensitive"
    PLAIN = "plain"


class Grade(StrEnum):
    """GB/T 43697-2024: how much harm a leak would do; the order is from low to high."""

    GENERAL_1 = "general-1"
    GENERAL_2 = "general-2"
    GENERAL_3 = "general-3"
    GENERAL_4 = "general-4"
    IMPORTANT = "important"
    CORE = "core"

    @property
    def level(self) -> int:
        """The grade's place in the order, 0 the lowest."""
        return list(Grade).index(self)


class FileRole(StrEnum):
    """Identifiers and attributes live in separate files under separate keys."""

    IDENTIFIERS = "identifiers"
    ATTRIBUTES = "attributes"


@dataclass(frozen=True, slots=True)
class Declared(Record):
    """What an owner declared about a column's values: bounds (inclusive) and categories, as text; and which code they
    are, whose last character proves the others (`id18`: a person's number, `uscc`: an enterprise's). Empty for none.

    It was written before anybody looked at the data, so it is public.
    """

    low: str = ""
    high: str = ""
    values: tuple[str, ...] = ()
    code: str = ""

    def check(self) -> None:
        if not re.fullmatch(r"[a-z0-9]{0,16}", self.code):
            raise Malformed("the name of a code has small letters and digits", "manifest.declared.code")


@dataclass(frozen=True, slots=True)
class Column(Record):
    """A column: DuckDB type, unit for people, kind, how many rows have no value in it, and what its owner declared."""

    name: str
    type: str
    unit: str
    kind: Kind
    nulls: int
    declared: Declared = Declared()

    def check(self) -> None:
        names.require("column", self.name, "manifest.column")


@dataclass(frozen=True, slots=True)
class DataFile(Record):
    """One encrypted file: its role, name in the owner's data folder, SHA-256 and size in bytes."""

    role: FileRole
    name: str
    sha256: str
    size: int

    def check(self) -> None:
        names.require("file", self.name, "manifest.file")
        names.require("digest", self.sha256, "manifest.file")


@dataclass(frozen=True, slots=True)
class Manifest(Record):
    """A dataset version. `persons` is how many distinct ones there are, `person` the column that names them.

    Reference data (codes, calendars, prices) are about nobody: `person` is empty and `persons` 0, no column
    identifies anybody, there is no file of identifiers, and the file of attributes bears no tokens.
    """

    KIND: ClassVar[str] = "manifest"

    dataset: str
    version: int
    grade: Grade
    title: str
    person: str
    columns: tuple[Column, ...]
    files: tuple[DataFile, ...]
    rows: int
    persons: int
    source_sha256: str
    created: int

    def check(self) -> None:
        names.require("dataset", self.dataset, "manifest.dataset")
        column_names = [column.name for column in self.columns]
        if len(set(column_names)) != len(column_names) or names.PERSON in column_names:
            raise Malformed(f"columns must be distinct, and {names.PERSON!r} is reserved", "manifest.columns")
        if [file.role for file in self.files].count(FileRole.ATTRIBUTES) != 1:
            raise Malformed("a version has exactly one file of attributes", "manifest.files")
        if not self.about_persons:
            self._require_nobody()

    def _require_nobody(self) -> None:
        identifies = any(column.kind is Kind.IDENTIFIER for column in self.columns)
        if self.persons or identifies or len(self.files) > 1:
            raise Malformed(
                "a dataset without a person column is about no persons, and nothing in it identifies any",
                "manifest.person",
                "Name the column that tells persons apart.",
            )
        if not self.columns:
            raise Malformed("a dataset about no persons has at least one column", "manifest.columns")

    @property
    def about_persons(self) -> bool:
        """Whether its rows are about persons, so that each bears the token of one."""
        return bool(self.person)

    @property
    def relation(self) -> str:
        """The dataset's name in SQL."""
        return names.relation_of(self.dataset)

    @property
    def attributes(self) -> DataFile:
        """The file that ordinary jobs read: the token, if there are persons, and every column that is no identifier."""
        return next(file for file in self.files if file.role is FileRole.ATTRIBUTES)

    def column(self, name: str) -> Column | None:
        """Return the column of this name, or none."""
        return next((column for column in self.columns if column.name == name), None)

    def shadow(self) -> Shadow:
        """Return the empty likeness on which statements are read: the person token, if any, and *all* columns.

        Identifiers are in it, so that a statement that uses one is refused with the rule, not as an unknown
        column.
        """
        tokens = (ShadowColumn(names.PERSON, "UBIGINT", False),) if self.about_persons else ()
        columns = tuple(ShadowColumn(c.name, c.type, c.nulls > 0) for c in self.columns)
        return Shadow(self.relation, (*tokens, *columns))
