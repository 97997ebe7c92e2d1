"""Quotas: how many distinct exact cells of a sensitive column, or bits of members' code, may leave in a period. Pure.

A quota belongs to a subject: `cells/tax.income.income` is a column of a relation, `bits/nm/tax/income` a dataset. All
members draw on it, and none may take all: whoever asks has at most half of what the others have left, rounded up. So
one member who asks for everything takes a half, the next a quarter, and whoever comes last still has something.

A charge counts for the period that begins with it; then its part is free again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of a subject may leave within so many days."""

    subject: str
    amount: int
    days: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What one plan took: when (Unix seconds), who, how much."""

    at: int
    plan: str
    member: str
    amount: int


@dataclass(frozen=True, slots=True)
class Room:
    """What is left of a quota: for all, for one member, and when some of it is free again (0: all of it is)."""

    quota: Quota
    left: int
    own: int
    renews: int


class Quotas:
    """All charges by subject; a plan's charge can be changed, as when it turns out smaller than was reserved."""

    def __init__(self) -> None:
        self._charges: defaultdict[str, dict[str, Charge]] = defaultdict(dict)

    def charge(self, subject: str, charge: Charge) -> None:
        """Write a charge down, in place of an earlier one of the same plan."""
        self._charges[subject][charge.plan] = charge

    def settle(self, subject: str, plan: str, amount: int) -> None:
        """Lower a plan's charge to what it really took; it is never raised."""
        charge = self._charges[subject].get(plan)
        if charge is not None and amount < charge.amount:
            self._charges[subject][plan] = Charge(charge.at, plan, charge.member, amount)

    def room(self, quota: Quota, member: str, now: int, plan: str = "") -> Room:
        """Return what is left of a quota, without what one plan took, whose next charge takes the place of that."""
        begin = now - quota.days * DAY_S
        charges = self._charges[quota.subject].values()
        counting = [each for each in charges if each.at > begin and each.plan != plan]
        others = _sum(each for each in counting if each.member != member)
        own = _sum(each for each in counting if each.member == member)
        left = max(0, quota.amount - others - own)
        share = max(0, (max(0, quota.amount - others) + 1) // 2 - own)
        oldest = min((each.at for each in counting if each.amount), default=0)
        return Room(quota, left, min(left, share), oldest + quota.days * DAY_S if oldest else 0)


def _sum(charges: Iterable[Charge]) -> int:
    return sum(charge.amount for charge in charges)
