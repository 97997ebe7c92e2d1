"""What attacks on a joint owner's keeper have in common: no box has a key, and the unchanged thing is given all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from plans.errors import DarkroomError
from plans.joint import JointPlan
from plans.plan import Plan
from tests.keeper import house, joint_house
from tests.keeper.joint_house import OWN, JointSide

Change = Callable[[JointPlan], JointPlan]
"""Makes something else of a joint plan."""


def require_refused(side: JointSide, plan: JointPlan, code: str, approved: bool = True) -> DarkroomError:
    """Ask for the keys of both boxes; neither may have any, and both refusals are sentences with this code."""
    if approved:
        house.believe(side.keeper, house.approval(plan.digest))
    own = joint_house.party_plan(plan, OWN)
    for ask in (side.extract, side.party):
        with pytest.raises(DarkroomError) as refused:
            ask(own)
        assert refused.value.code == code, refused.value
        assert refused.value.what and refused.value.next_step
    return refused.value


def require_keys(side: JointSide, plan: JointPlan, attempt: int = 1) -> None:
    """The control: the unchanged thing gets the keys of both boxes."""
    house.believe(side.keeper, house.approval(plan.digest))
    own = joint_house.party_plan(plan, OWN)
    assert side.extract(own, attempt).inputs and side.party(own, attempt).peers


def with_party_box(plan: Plan, **changes: Any) -> Plan:
    """A party's plan with another box of the protocol."""
    return replace(plan, stages=(*plan.stages[:-1], replace(plan.stages[-1], **changes)))
