"""Every form of joint computation before the own keeper (`joint_house`): terms, and plans of an honest centre.

The own side holds `tax.income`; it is the inspector where there is one. Who finds persons in common is the own side, or
`nm/health`. What readers find is laid down here (`joint_house.Readers.known`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from keeper.config import KeeperConfig
from plans.joint import JointPlan, JointReading, JointTask
from plans.joint_rules import JointRules, Matching, Opening
from plans.statements import DatasetPolicy
from policies.api import short
from tests.keeper import house, joint_house
from tests.keeper.house import DAY, NOW
from tests.keeper.joint_house import HEALTH, OWN, JointSide
from tests.plans import joint_examples as examples
from tests.plans import joint_forms

MEMBERS = 3_000
"""Of so many persons of the own register another owner may know; a plan tells of 1,000."""

TERMS = JointRules(
    tuple(Matching),
    tuple(Opening),
    cells=100,
    period_days=90,
    sizes=True,
    exact=True,
    ciphertexts=True,
    members=MEMBERS,
)
POLICY = replace(
    joint_house.POLICY,
    constraints=(short("income", ("avg", "sum", "count", "filter")), short("region", ("group", "filter"))),
    joint=TERMS,
)
TASKS: Mapping[str, tuple[JointTask, JointReading]] = {
    **joint_forms.TASKS,
    "inspected by health": (replace(joint_forms.INSPECTED, inspector=HEALTH), examples.JOINT_READING),
    "found by health": (replace(joint_forms.COMMON, finder=HEALTH), joint_forms.COMMON_READING),
}
ASKERS = {OWN: f"lin@{OWN}", HEALTH: f"lin@{HEALTH}"}
"""Who asks for persons in common: a member of the finder's domain."""

MATCHED = min(portion.bound for portion in joint_forms.COMMON_READING.portions)


def side_of(settings: KeeperConfig, policy: DatasetPolicy = POLICY, **terms: Any) -> JointSide:
    """The own keeper, whose terms allow every form; `terms` are changed."""
    assert policy.joint is not None
    made = JointSide.make(settings, replace(policy, joint=replace(policy.joint, **terms)))
    for member in ASKERS.values():
        grant = house.grant(replace(house.GRANT, member=member, uses=100), not_after=NOW + 30 * DAY)
        house.believe(made.keeper, grant)
    for _, reading in TASKS.values():
        if reading.portions[0].operands or not reading.sums:  # the reader itself reads visits and incomes
            made.readers.known[reading.statement] = reading
    return made


def plan_of(
    side: JointSide, form: str, number: int = 0, reading: JointReading | None = None, **changes: Any
) -> JointPlan:
    """The joint plan of a form; `changes` are of its request, which is the `number`th."""
    task, found = TASKS[form]
    member = ASKERS.get(task.finder, house.MEMBER)
    said = {"statement": task.canonical().decode(), "member": member, **changes}
    asked = joint_house.request(number, **said)
    laid = reading or side.readers.known.get(found.statement)
    return joint_house.joint(side.keeper, asked, laid)
