"""How earlier attempts at a joint plan ended at this side, which an agent tells its peers before the next one.

A party may die after others have signed that an attempt ended well, and before it has signed anything. Nothing of that
attempt is ever handed over, and yet the keepers of those others answer the plan no more: to them it ended well
(`keeper.joint`). So whoever is asked for the next attempt has its keeper sign first that those before, of which it
signed nothing, failed here. With that the others' keepers know that there was no good end, and give keys again. A
keeper that did sign a good end says so, and the plan stays answered.
"""

from __future__ import annotations

from mpc.agent.owner import Keeper
from plans.errors import NotFound, PartyFailed
from plans.joint import Receipt, Step, joint_of
from plans.plan import Plan
from plans.statements import Signed


def ends_of(keeper: Keeper, plan: Plan, number: int) -> list[Signed]:
    """Return the own receipts of all attempts before this one; those without an end have one now. It blocks.

    Raises:
        Unreachable: the keeper does not answer.
        DarkroomError: it does not sign.
    """
    joint = joint_of(plan.material).digest
    return [_end_of(keeper, plan, joint, earlier) for earlier in range(1, number)]


def _end_of(keeper: Keeper, plan: Plan, joint: str, number: int) -> Signed:
    try:
        _, held = keeper.ended(joint, number)
    except NotFound:
        failed_at = f"{Step.OPEN}@{plan.domain}"
        receipt = Receipt(joint, number, plan.domain, (), "", PartyFailed.code, failed_at)
        return keeper.receipt(receipt, plan, ())
    return next(each for each in held if Receipt.read(each.statement.body).party == plan.domain)
