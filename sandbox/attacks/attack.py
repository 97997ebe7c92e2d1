"""An attack, and what came of it, as values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from plans.decision import Tier
from sandbox.contract import Wall

if TYPE_CHECKING:
    from sandbox.attacks.ground import Ground

BOTH = frozenset({Tier.T1, Tier.T2})
CHECKLIST = "checklist"
"""The section of attacks that come from container checklists and have no number."""


class Outcome(StrEnum):
    """What came of an attack.

    `KNOWN` gained no more than is said openly. `NOT_HERE` is about something that this node does not have.
    `CANNOT_RUN` should have run and did not: it shows nothing, and a run with one shows not enough.
    """

    REFUSED = "refused"
    LEAK = "LEAK"
    KNOWN = "known"
    NOT_HERE = "not here"
    CANNOT_RUN = "cannot run"


class CannotRun(Exception):
    """The attack could not be carried out; the reason is the text."""


class NotHere(CannotRun):
    """What the attack is about does not exist on this node; the reason is the text."""


class Absence(str):
    """The text of a `NotHere`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an attack gained anything, and how that is known."""

    gained: bool
    how: str


Scenario = Callable[["Ground"], Awaitable[Verdict]]
"""An attack that needs more than one text in one box; raises `CannotRun`."""


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack: `number` and `section` are those of docs/security.md; 0 is an entry of a checklist.

    `name` is the attack's in its text, or its statement's. `walls` together stop it: with all of them off it
    succeeds, and where it cannot even then, `no_control` says why. `known` says what it may gain on tier T1, where
    docs/security.md says so too. `sample` marks the few that show a tier's
    walls in a hurry.
    """

    name: str
    number: int
    section: str
    title: str
    text: str = ""
    scenario: Scenario | None = None
    walls: frozenset[Wall] = frozenset()
    tiers: frozenset[Tier] = BOTH
    no_control: str = ""
    known: str = ""
    sample: bool = False

    def __post_init__(self) -> None:
        if bool(self.text) == bool(self.scenario):
            raise ValueError(f"{self.name}: an attack is a text or a scenario")
        if not self.walls and not self.no_control:
            raise ValueError(f"{self.name}: an attack without a control shows nothing; say why there is none")

    @property
    def label(self) -> str:
        """Return where the attack comes from, such as `C 35`."""
        return f"{self.section} {self.number}" if self.number else self.section


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one attack on one tier."""

    attack: Attack
    tier: Tier
    outcome: Outcome
    how: str
