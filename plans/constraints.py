"""Column constraints as plain data: what an owner allows to be done with a column, and what of it may be seen.

A constraint speaks on two axes. *Use* says where in a computation the column may stand; *reveal* says what of
its values may leave. It speaks about one column, for some parties, roles and purposes, until a day; a column
may have several. What they mean together is decided in one place (`policies.constraints`) and written down in
`docs/constraints.md`.

Empty means nobody and nothing: whoever means everybody writes `any`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.manifest import Grade
from plans.record import Record

ANY = "any"
"""The word for every party, every role, every purpose."""


class Effect(StrEnum):
    """Whether a rule allows or forbids. A prohibition wins over every permission."""

    ALLOW = "allow"
    DENY = "deny"


class Use(StrEnum):
    """Where a column may stand.

    `filter` is any condition, `compare` only one that compares with a constant, or with anything computed; on a
    pseudonym such a comparison needs the word `compare` itself. `aggregate` names its functions. `model` feeds a
    training job; `shared` allows joint computations, `encrypted` only those on ciphertexts, and neither anything else.
    """

    SELECT = "select"
    FILTER = "filter"
    COMPARE = "compare"
    JOIN = "join"
    GROUP = "group"
    AGGREGATE = "aggregate"
    MODEL = "model"
    SHARED = "shared"
    ENCRYPTED = "encrypted"


class Reveal(StrEnum):
    """What of a column's values may leave, from nothing to everything.

    `grouped` shows values as keys of groups that hold enough persons, `aggregated` figures over enough
    persons, `joined` the values of rows that met a row of another relation, `masked` what a mask leaves.
    """

    NEVER = "never"
    NOISED = "noised"
    AGGREGATED = "after-aggregation"
    GROUPED = "as-group-key"
    JOINED = "after-join"
    MASKED = "masked"
    PLAIN = "plain"

    @property
    def level(self) -> int:
        """The place in the order, 0 shows least."""
        return _REVEALED[self]


_REVEALED = {reveal: place for place, reveal in enumerate(Reveal)}


class MaskKind(StrEnum):
    """Named ways to mask a value.

    `last` keeps the last characters, `date` the month, quarter or year, `place` the first characters of a
    place's code or name, `bucket` the lower bound of an interval of numbers, `null` nothing; `pseudonym` is a
    keyed hash under a key of the owner's keeper, equal for equal values of one dataset.
    """

    LAST = "last"
    DATE = "date"
    PLACE = "place"
    BUCKET = "bucket"
    NULL = "null"
    PSEUDONYM = "pseudonym"


_ARGUMENTS = {
    MaskKind.LAST: re.compile(r"[1-9]"),
    MaskKind.DATE: re.compile(r"month|quarter|year"),
    MaskKind.PLACE: re.compile(r"[1-9][0-9]?"),
    MaskKind.BUCKET: re.compile(r"[1-9][0-9]{0,11}"),
    MaskKind.NULL: re.compile(r""),
    MaskKind.PSEUDONYM: re.compile(r""),
}


@dataclass(frozen=True, slots=True)
class Mask(Record):
    """How one column is masked. `argument`: how many characters, which part of a date, how wide a bucket."""

    KIND: ClassVar[str] = "mask"

    column: str
    kind: MaskKind
    argument: str

    def check(self) -> None:
        names.require("column", self.column, "mask.column")
        if not _ARGUMENTS[self.kind].fullmatch(self.argument):
            raise Malformed(
                f"a mask of the kind {self.kind} does not take {self.argument!r:.40}",
                self.column,
                'Write it like "last 4", "place 6", "date month", "bucket 1000", "null" or "pseudonym".',
            )


@dataclass(frozen=True, slots=True)
class Constraint(Record):
    """One rule about one column.

    `parties` are domains, each with all below it, or members; `roles` and `purposes` as a grant names them;
    `until` is in Unix seconds, 0 is no end. `functions` are the aggregates that the use `aggregate` means, and
    nothing else. `minimum` is the smallest number of persons behind what is revealed (0: the dataset's own).
    A prohibition forbids its `uses`, and with `functions` only these; its reveal is `never`.
    """

    KIND: ClassVar[str] = "constraint"

    column: str
    effect: Effect
    parties: tuple[str, ...]
    roles: tuple[str, ...]
    purposes: tuple[str, ...]
    until: int
    uses: tuple[Use, ...]
    functions: tuple[str, ...]
    reveal: Reveal
    minimum: int = 0
    mask: Mask | None = None

    def check(self) -> None:
        names.require("column", self.column, "constraint.column")
        for party in self.parties:
            require_party(party, self.column)
        if self.minimum < 0:
            raise Malformed("a minimum is not negative", self.column, "Write 0 for the dataset's own.")
        _require_end(self.until, self.column)
        if self.mask is not None and self.mask.column != self.column:
            raise Malformed("a constraint masks its own column", self.column)
        if self.reveal is Reveal.MASKED and self.mask is None:
            raise Malformed(
                "what is revealed masked needs a mask", self.column, "Name a mask, or another reveal."
            )
        if self.effect is Effect.DENY and (self.mask or self.reveal is not Reveal.NEVER):
            raise Malformed(
                "a prohibition reveals nothing and masks nothing",
                self.column,
                "Leave reveal and mask out of it.",
            )
        if self.effect is Effect.ALLOW and bool(self.functions) != (Use.AGGREGATE in self.uses):
            raise Malformed(
                "the use 'aggregate' names its functions, and no other use does",
                self.column,
                "Name functions such as avg, or leave the use out.",
            )


def require_party(party: str, where: str) -> None:
    """Check a party: the word `any`, a member, or a domain; raises `Malformed` for anything else."""
    if party != ANY:
        names.require("member" if "@" in party else "domain", party, where)


LAST_END = 253_402_300_799
"""The last second of the year 9999, in Unix seconds; no calendar shows a later end."""


def _require_end(until: int, where: str) -> None:
    if not 0 <= until <= LAST_END:
        raise Malformed("an end is not negative, and not after the year 9999", where, "Write 0 for no end.")


class Action(StrEnum):
    """What is done with a dataset as a whole; each kind of plan asks for one."""

    DESCRIBE = "describe"
    QUERY = "query"
    READ_ROWS = "read-rows"
    TRAIN = "train"
    JOINT = "joint"
    ENCRYPTED = "encrypted"


@dataclass(frozen=True, slots=True)
class Access(Record):
    """Who may do what with a dataset, before any column is looked at. The members are as in `Constraint`."""

    KIND: ClassVar[str] = "access"

    effect: Effect
    parties: tuple[str, ...]
    roles: tuple[str, ...]
    actions: tuple[Action, ...]
    purposes: tuple[str, ...]
    until: int = 0

    def check(self) -> None:
        for party in self.parties:
            require_party(party, "access")
        _require_end(self.until, "access")


@dataclass(frozen=True, slots=True)
class Tag(Record):
    """A classification: a ceiling over what any constraint on a column of this class can allow.

    `parent` is the class above it (empty: none), whose ceiling holds too. A column of several classes stays
    below all of them, and has the highest grade (就高从严).
    """

    KIND: ClassVar[str] = "tag"

    name: str
    parent: str
    grade: Grade
    uses: tuple[Use, ...]
    functions: tuple[str, ...]
    reveal: Reveal
    minimum: int = 0

    def check(self) -> None:
        names.require("project", self.name, "tag")
        if self.minimum < 0:
            raise Malformed("a minimum is not negative", self.name, "Write 0 for none of its own.")


@dataclass(frozen=True, slots=True)
class Tagged(Record):
    """A column and its classes."""

    KIND: ClassVar[str] = "tagged"

    column: str
    tags: tuple[str, ...]


class Share(StrEnum):
    """The share type (共享属性) of a dataset: unconditional, conditional, none."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NONE = "none"
