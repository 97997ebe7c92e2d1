"""The record of an inspection: every rule that was applied to an output, and what it found (SATRE 3.3.09).

It holds numbers that depend on the data, so it is the owner's: the box that judges writes it under a key that only
the owner's keeper can make again. Who asked learns the classes of the rules (`plans.verdict`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from plans import names
from plans.record import Record
from plans.verdict import Finding


class Effect(StrEnum):
    """What a rule did: nothing, change figures, keep some back, ask for a person, or refuse all."""

    PASSED = "passed"
    REPAIRED = "repaired"
    WITHHELD = "withheld"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Applied(Record):
    """One rule on one subject (an output, a table, a column of it): the effect, on how many cells, and its numbers."""

    rule: str
    subject: str
    effect: Effect
    cells: int
    numbers: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Inspection(Record):
    """All that was applied to one plan's output, and the finding that came of it."""

    KIND: ClassVar[str] = "inspection"

    plan: str
    finding: Finding
    preset: str
    applied: tuple[Applied, ...]

    def check(self) -> None:
        names.require("digest", self.plan, "inspection.plan")
