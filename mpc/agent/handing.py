"""What a good end leaves, and whether there was one: also of an attempt that this agent does not remember.

A keeper gives no key for another attempt at a joint plan once it has signed that one ended well (`keeper.joint`): it
would be another answer, on other inputs perhaps, for one charge. So an agent that was started anew must find what the
good end left. Its keeper has the receipts, and its launcher what the own box left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpc.agent.owner import Keeper
from plans.errors import StateConflict
from plans.joint import JointPlan, Receipt, joint_of
from plans.plan import Plan
from plans.statements import Signed


@dataclass(frozen=True, slots=True)
class GoodEnd:
    """An attempt that ended well at all parties: the joint plan, this side's plan, the number, everybody's receipts."""

    joint: JointPlan
    plan: Plan
    number: int
    receipts: tuple[Signed, ...]


def recalled(keeper: Keeper, joint: str, number: int, brought: Sequence[Signed]) -> GoodEnd:
    """Return the good end of an attempt as the own keeper knows it.

    `brought` are receipts that the caller has heard of elsewhere; the keeper verifies them, and keeps what is new.

    Raises:
        NotFound: the own keeper has signed no receipt of this attempt.
        StateConflict: not all parties' receipts of a good end are there.
        DarkroomError: one of those that were brought does not hold.
    """
    plan, held = keeper.ended(joint, number)
    about = joint_of(plan.material)
    for signed in brought[: len(about.parties)]:
        if Receipt.read(signed.statement.body).party != plan.domain:
            keeper.keep(signed)
    if brought:
        plan, held = keeper.ended(joint, number)
    said = [Receipt.read(signed.statement.body) for signed in held]
    good = {each.party for each in said if (each.joint, each.attempt, each.code) == (joint, number, "")}
    if good != {party.domain for party in about.parties}:
        raise StateConflict("the attempt has not ended well, so nothing of it is handed on", "joint result")
    return GoodEnd(about, plan, number, tuple(held))
