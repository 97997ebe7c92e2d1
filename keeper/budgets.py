"""Privacy budgets of lineages in the mode `private`: reserved before a box has a key, and drawn against once.

All of it lives in the keeper's journal, which is durable, notices an older copy of itself, and has one writer: so what
was reserved stays so through restarts, and two who ask at the same moment cannot both have the last of it. A plan goes
one way:

    reserved ──► opened ──► drawn
        └──► refunded

*Reserved* before the query box gets its keys; *opened* when it is about to get them; *drawn* when the judging box is
about to get its keys, and with them the right to draw noise. A plan is drawn once: the mean of many draws would be
exact. Failure and cancel give nothing back. What was reserved and never opened can be refunded, by a statement that the
keeper signs; then the plan is over.

A budget is one of a *sliding* period: within any `period_days` a lineage spends at most `rho_micro`, whoever asks, and
whichever of its versions is read. What a twin from noisy marginals has cost counts as well (`keeper.twins`). Nobody
spends all of it: a member has at most half of what the others have left, as with exact cells (`keeper.ledger_quota`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from keeper.ledger_quota import Charge, Quota, Quotas, Room
from plans.checks import Privacy
from plans.errors import BudgetSpent, NotFound, StateConflict
from plans.plan import Plan
from plans.statements import Bundle

RESERVED, OPENED, DRAWN, REFUNDED, TWIN = (
    "budget-reserved", "budget-opened", "budget-drawn", "budget-refunded", "twin-charge",
)  # fmt: skip
"""Kinds of lines of the journal."""

Note = Callable[[str, dict[str, Any]], None]
"""Writes a line of the journal durably, and has it taken in (`keeper.keeper`)."""


class Step(StrEnum):
    """How far a plan has come with what was reserved for it."""

    RESERVED = "reserved"
    OPENED = "opened"
    DRAWN = "drawn"
    REFUNDED = "refunded"


_STEPS = {OPENED: Step.OPENED, DRAWN: Step.DRAWN, REFUNDED: Step.REFUNDED}


class Budgets:
    """One keeper's budgets. Whoever calls holds the keeper's lock."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._spent = Quotas()
        self._steps: dict[str, Step] = {}
        self._reserved: dict[str, tuple[Charge, tuple[str, ...]]] = {}
        self._twins = 0

    def room(self, dataset: str, privacy: Privacy, member: str, now: int) -> Room:
        """Return what is left of a lineage's budget in millionths of rho, for all and for one member."""
        return self._spent.room(Quota(dataset, privacy.rho_micro, privacy.period_days), member, now)

    def status(self, bundle: Bundle, now: int) -> list[dict[str, Any]]:
        """Return for every lineage in the mode `private` what is left and when more is free again: for the owner."""
        found = []
        for policy in bundle.policies:
            if policy.privacy is not None:
                room = self.room(policy.dataset, policy.privacy, "", now)
                found.append(
                    {
                        "dataset": policy.dataset,
                        "rho_micro": policy.privacy.rho_micro,
                        "left_micro": room.left,
                        "renews": room.renews,
                    }
                )
        return found

    def reserve(self, plan: Plan, bundle: Bundle, now: int) -> None:
        """Reserve what a private plan costs of every lineage that it reads; asked again, nothing more.

        Raises:
            BudgetSpent: one of them has not so much left.
            StateConflict: it was reserved and refunded.
        """
        private = plan.program.private if plan.program else None
        if private is None or self._steps.get(plan.digest, Step.REFUNDED) is not Step.REFUNDED:
            return
        if plan.digest in self._steps:
            raise StateConflict(
                "what this plan had reserved was given back", "budget", "Submit the job again."
            )
        member = plan.request.member if plan.request else ""
        for dataset in private.datasets:
            policy = bundle.policy(dataset)
            if policy is None or policy.privacy is None:
                raise StateConflict("this lineage has no privacy budget", dataset, "Submit the job again.")
            room = self.room(dataset, policy.privacy, member, now)
            if room.own < private.rho_micro:
                raise _spent(dataset, room)
        self._note(
            RESERVED,
            {
                "plan": plan.digest,
                "member": member,
                "datasets": list(private.datasets),
                "rho_micro": private.rho_micro,
            },
        )

    def open(self, plan: Plan) -> None:
        """Note that the keys of the data are about to be given for a plan; from now on nothing is refunded."""
        if self._steps.get(plan.digest) is Step.RESERVED:
            self._note(OPENED, {"plan": plan.digest})

    def draw(self, plan: Plan) -> None:
        """Note that noise is about to be drawn for a plan; it is drawn once.

        Raises:
            StateConflict: it was drawn already, or nothing was reserved.
        """
        if plan.program is None or plan.program.private is None:
            return
        if self._steps.get(plan.digest) is not Step.OPENED:
            raise StateConflict(
                "the noise of an answer is drawn once, or it could be averaged away",
                "budget",
                "Submit the job again; that costs as much again.",
            )
        self._note(DRAWN, {"plan": plan.digest})

    def refundable(self, plan: str) -> int:
        """Return what a plan has reserved and never used, in millionths of rho.

        Raises:
            NotFound: nothing was reserved for it.
            StateConflict: a box was given keys for it, or it is refunded.
        """
        step = self._steps.get(plan)
        if step is None:
            raise NotFound("nothing was reserved for this plan", "budget")
        if step is not Step.RESERVED:
            raise StateConflict(
                "keys were given for this plan, or it is refunded already",
                "budget",
                "What is spent stays spent.",
            )
        return self._reserved[plan][0].amount

    def take_in(self, kind: str, at: int, entry: Mapping[str, Any]) -> None:
        """Remember a line of the journal; lines of other kinds are not about budgets."""
        if kind == TWIN:
            self._twins += 1
            charge = Charge(at, f"twin {self._twins}", "", int(entry["rho_micro"]))
            self._spent.charge(entry["dataset"], charge)
        elif kind == RESERVED:
            plan = str(entry["plan"])
            self._steps[plan] = Step.RESERVED
            charge = Charge(at, plan, str(entry["member"]), int(entry["rho_micro"]))
            self._reserved[plan] = (charge, tuple(entry["datasets"]))
            for dataset in entry["datasets"]:
                self._spent.charge(dataset, charge)
        elif kind in _STEPS:
            self._steps[str(entry["plan"])] = _STEPS[kind]
            if kind == REFUNDED:
                for dataset in self._reserved[str(entry["plan"])][1]:
                    self._spent.settle(dataset, str(entry["plan"]), 0)


def _spent(dataset: str, room: Room) -> BudgetSpent:
    """Return the refusal. It names no number: how much is left tells how much others asked."""
    day = (
        datetime.datetime.fromtimestamp(room.renews, datetime.UTC).date()
        if room.renews
        else "the next period"
    )
    return BudgetSpent(
        "the privacy budget of this lineage has not so much left for one member within its period",
        dataset,
        f"Spend less, use an earlier answer, or ask again from {day}, when a part of it is free again.",
    )
