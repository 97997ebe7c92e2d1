"""The decision: what `policies.decide` answers, with every reason and the obligations that come with a yes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans.checks import Checks, Mode, Privacy, strictest
from plans.errors import Malformed
from plans.record import Record


class Tier(StrEnum):
    """Isolation tiers, weakest first: bubblewrap, gVisor, micro-VM."""

    T1 = "T1"
    T2 = "T2"
    T3 = "T3"

    @property
    def level(self) -> int:
        """The tier's place in the order, 0 the weakest."""
        return list(Tier).index(self)


class Outcome(StrEnum):
    """The three answers."""

    ALLOW = "allow"
    DENY = "deny"
    NEEDS_APPROVAL = "needs-approval"


@dataclass(frozen=True, slots=True)
class Obligations(Record):
    """What a yes demands of everyone after it.

    `minimum_group` counts persons behind every released figure. To multiples of `rounding` counts are rounded; of
    other figures it says how many digits stay (`airlock.rules`). `largest_result` counts cells. `privacy` is there
    in the mode `private`, and only then.
    """

    KIND: ClassVar[str] = "obligations"

    minimum_group: int
    rounding: int
    largest_result: int
    tier: Tier
    checks: Checks = Checks()
    mode: Mode = Mode.RULES
    privacy: Privacy | None = None

    def check(self) -> None:
        if (self.mode is Mode.PRIVATE) != (self.privacy is not None):
            raise Malformed("the mode private has a budget, and no other has", "obligations")
        if self.minimum_group < 1 or self.rounding < 1 or self.largest_result < 1:
            raise Malformed("minimum group, rounding and largest result are at least 1", "obligations")

    def strictest(self, other: Obligations) -> Obligations:
        """Return the obligations that satisfy both.

        Raises:
            Malformed: one is in the mode `private` and the other is not; no output is both exact and private.
        """
        if self.mode is not other.mode:
            raise Malformed("datasets of two modes do not go together", "obligations")
        budgets = [each.privacy for each in (self, other) if each.privacy is not None]
        return Obligations(
            max(self.minimum_group, other.minimum_group),
            max(self.rounding, other.rounding),
            min(self.largest_result, other.largest_result),
            max(self.tier, other.tier, key=lambda tier: tier.level),
            self.checks.strictest(other.checks),
            self.mode,
            strictest(budgets),
        )


@dataclass(frozen=True, slots=True)
class Reason(Record):
    """One rule that spoke: its stable name, what it concerns, the sentence, and what would help.

    Nothing in a reason depends on the data.
    """

    rule: str
    subject: str
    sentence: str
    help: str


@dataclass(frozen=True, slots=True)
class Decision(Record):
    """An answer. A denial lists *all* rules that failed; an allow names the grants that it used.

    `bundle_number` and `roster_number` say by which signed statements it was made: with them, the request and
    the manifests, the same answer is found again.
    """

    KIND: ClassVar[str] = "decision"

    outcome: Outcome
    reasons: tuple[Reason, ...]
    bundle_number: int
    roster_number: int
    grants: tuple[str, ...]
    approvers: tuple[str, ...]
    obligations: Obligations | None

    def check(self) -> None:
        if (self.outcome is Outcome.DENY) != (self.obligations is None):
            raise Malformed("a denial has no obligations, every other answer has", "decision")
        if self.outcome is Outcome.DENY and not self.reasons:
            raise Malformed("a denial gives its reasons", "decision")
