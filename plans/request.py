"""What a member asks for, in the member's own words and under the member's own signature."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import canonical, names
from plans.errors import Malformed, TooLarge
from plans.record import Record

LONGEST_STATEMENT = 100_000
"""Characters of SQL that a request may hold; a longer text is refused before anything parses it."""


class RequestKind(StrEnum):
    """What is asked for: a SQL statement, a member's own Python, an entry of the algorithm library, or a statement over
    several owners' data (`plans.joint`).
    """

    SQL = "sql"
    PYTHON = "python"
    COMPONENT = "component"
    JOINT = "joint"


@dataclass(frozen=True, slots=True)
class Request(Record):
    """A request to run one statement or task for a project and purpose, its result sealed to `recipient`.

    `recipient` is an opening key (X25519): only its holder reads the result. `signer` is the member's signing
    key. `statement` is SQL, or a task in canonical form (`plans.tasks`). `spend_micro` is how much of the
    privacy budgets the member wants this to cost, in millionths of rho, where a lineage is in that mode (0: the
    platform's choice).
    """

    KIND: ClassVar[str] = "request"

    member: str
    signer: str
    recipient: str
    project: str
    purpose: str
    statement: str
    nonce: str
    asked_at: int
    kind: RequestKind = RequestKind.SQL
    spend_micro: int = 0

    def check(self) -> None:
        names.require("member", self.member, "request.member")
        names.require("signing key", self.signer, "request.signer")
        names.require("opening key", self.recipient, "request.recipient")
        names.require("project", self.project, "request.project")
        names.require("nonce", self.nonce, "request.nonce")
        if self.spend_micro < 0:
            raise Malformed("what a request spends is not negative", "request.spend_micro")
        if len(self.statement) > LONGEST_STATEMENT:
            raise TooLarge(
                f"the statement has {len(self.statement):,} characters, more than {LONGEST_STATEMENT:,}",
                "statement",
            )

    @property
    def statement_digest(self) -> str:
        """The hash of the member's SQL text; a reading names it."""
        return statement_digest(self.statement)


def statement_digest(text: str) -> str:
    """Return the type-separated hash of a SQL text."""
    return canonical.digest("statement", text)
