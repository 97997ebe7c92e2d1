"""What parties compare before anything of a joint attempt runs. Pure.

Everybody hears everybody's greeting, so everybody finds the same party at fault: the one whose version or clock is
not that of most. What a party finds wrong with itself it tells its owner alone; others hear a code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, ClassVar

from mpc.agent.failure import Failure, Told
from mpc.estimate import Need
from plans import names
from plans.errors import PreflightFailed
from plans.joint import Step
from plans.plan import Plan
from plans.record import Record

CLOCK_S = 60
"""Seconds that a party's clock may be away from that of most."""


@dataclass(frozen=True, slots=True)
class Greeting(Record):
    """What agents say first: what they speak, and which joint plan and attempt they mean."""

    KIND: ClassVar[str] = "joint-greeting"

    protocol: int
    platform: str
    joint: str
    attempt: int

    def check(self) -> None:
        names.require("digest", self.joint, "greeting.joint")


@dataclass(frozen=True, slots=True)
class Clock:
    """A peer's clock against the own one: how far it is ahead, and how far that may be wrong, in seconds."""

    ahead_s: float
    unsure_s: float

    @staticmethod
    def measured(asked: float, theirs: float, heard: float) -> Clock:
        """Return it from one question: own time before and after, and theirs in between (RFC 5905 section 8)."""
        return Clock(theirs - (asked + heard) / 2, abs(heard - asked) / 2)


def compared(own: str, greetings: Mapping[str, Greeting], clocks: Mapping[str, Clock]) -> Told | None:
    """Return what is wrong with how the parties fit together; none if nothing is.

    `greetings` are of all parties, `clocks` of all but the own one.
    """
    spoken = Counter((each.protocol, each.platform) for each in greetings.values())
    most = max(spoken.values())
    common = min(version for version, count in spoken.items() if count == most)
    for party in sorted(greetings):
        if (greetings[party].protocol, greetings[party].platform) != common:
            return _told(party, f"{party} has version {greetings[party].platform!r}, most have {common[1]!r}")
    ahead = {own: 0.0, **{party: clock.ahead_s for party, clock in clocks.items()}}
    middle = median_low(ahead.values())
    for party in sorted(ahead):
        unsure = clocks[party].unsure_s if party in clocks else 0.0
        off = abs(ahead[party] - middle)
        if off - unsure > CLOCK_S:
            return _told(party, f"the clock of {party} is {off:.0f} s away from that of most parties")
    return None


def own_faults(plan: Plan, status: Mapping[str, Any], need: Need) -> Sequence[str]:
    """Return what keeps this side from running its boxes, in sentences for its owner."""
    found = []
    if status.get("domain") != plan.domain:
        found.append("the launcher belongs to another domain")
    tiers = [offer.get("tier") for offer in status.get("tiers", ())]
    for spec in plan.stages:
        if spec.image not in status.get("images", ()):
            found.append(f"the image of the stage {spec.entry} is not built here, or not trusted")
        if not any(str(tier) >= spec.tier.value for tier in tiers):
            found.append(f"the node does not offer the tier {spec.tier} of the stage {spec.entry}")
    return [*found, *need.beyond(plan)]


def fault(own: str, faults: Sequence[str]) -> Told | None:
    """Return this side's own faults as one failure, or none."""
    return _told(own, "; ".join(faults)) if faults else None


def _told(party: str, detail: str) -> Told:
    return Told(Failure(PreflightFailed.code, party, Step.CHECK), detail)
