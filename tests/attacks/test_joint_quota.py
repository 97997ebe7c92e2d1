"""Attacks on an owner's keeper in joint computations by asking often (ATTACKS 33, 34, 74).

Who attacks: the centre, a peer's side, whoever carries statements. Each attack changes one thing about what gets keys
without the change; that it does is every time the control.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keeper.joint_quota import JointQuotas, Run, costs
from plans.box import Entry
from plans.errors import BudgetSpent, DarkroomError, Outdated
from plans.joint import MOST_ATTEMPTS_TOLD, JointPlan, JointReading, PortionDecision, Receipt
from plans.plan import Plan
from tests.keeper import house, joint_house
from tests.keeper.house import NOW
from tests.keeper.joint_forms_house import MATCHED, POLICY, plan_of, side_of
from tests.keeper.joint_house import CELLS, HEALTH, JointSide


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


# --- 33, 74: quotas -----------------------------------------------------


def narrow(settings: KeeperConfig, answers: int) -> JointSide:
    """A side whose terms have room for so many answers, and no other bound."""
    terms = replace(joint_house.TERMS, cells=CELLS * answers + CELLS - 1)
    checks = replace(joint_house.POLICY.checks, unsafe_exact_cells=True)
    return JointSide.make(settings, replace(joint_house.POLICY, joint=terms, checks=checks))


def asked(side: JointSide, count: int) -> list[Plan]:
    """Approved plans of the same statement, asked anew each time."""
    return [side.approved(joint_house.joint(side.keeper, joint_house.request(n))) for n in range(count)]


def race(side: JointSide, plans: list[Plan]) -> list[bool]:
    """Ask for the keys of all extract boxes at once; return which got them."""
    got, ready = [False] * len(plans), threading.Barrier(len(plans))

    def ask(place: int) -> None:
        statement = joint_house.own_box(side.keeper, plans[place], Entry.EXTRACT)
        ready.wait()
        try:
            side.keeper.unwrap(statement, plans[place])
        except BudgetSpent:
            return
        got[place] = True

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(plans))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return got


def test_33_a_quota_that_is_raced_is_kept(settings: KeeperConfig) -> None:
    side = narrow(settings, answers=3)
    assert sum(race(side, asked(side, 8))) == 3


def test_33_without_the_charge_all_of_them_would_have_their_keys(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = narrow(settings, answers=3)
    monkeypatch.setattr(JointQuotas, "take_in", lambda self, entry, at: None)
    assert sum(race(side, asked(side, 8))) == 8


def test_33_what_was_charged_stays_so_over_failures_and_restarts(settings: KeeperConfig) -> None:
    side = narrow(settings, answers=2)
    first, second, third = asked(side, 3)
    side.extract(first)
    failed = joint_house.receipt(first, ran=(), code="joint.peer-lost", failed_at="nm/civil share", sealed="")
    side.keeper.joint.receipt(failed, first, ())
    side.restart()
    side.extract(second)
    side.restart()
    with pytest.raises(BudgetSpent):
        side.extract(third)
    side.extract(first, 2)
    side.extract(second, 2)


def test_74_the_same_statement_over_a_version_with_one_row_changed_is_charged_again(
    settings: KeeperConfig,
) -> None:
    side = narrow(settings, answers=1)
    before = side.approved(joint_house.joint(side.keeper))
    side.extract(before)
    newer = joint_house.manifest(2)
    for file in newer.files:
        side.keeper.keyring.store_data_key(file.name, b"k" * 32)
    house.believe(side.keeper, house.signed_manifest(newer))
    with pytest.raises(DarkroomError) as refused:
        side.extract(before, 2)
    assert refused.value.code == "evidence.rederivation", "the older version is not read again"
    after = side.approved(joint_house.joint(side.keeper, joint_house.request(2)))
    statement = joint_house.own_box(side.keeper, after, Entry.EXTRACT)
    with pytest.raises(BudgetSpent):
        side.opened(statement, after)


def test_74_a_further_owner_opens_no_new_quota(side: JointSide) -> None:
    """Each pair is charged: the own lineage with every other one in the plan."""
    plan = joint_house.joint(side.keeper)
    third = replace(plan.reading.portions[0], domain="nm/edu", relation="edu.pupils", groups=())
    with_third = replace(plan.reading, portions=(*plan.reading.portions, third))
    quotas, terms = JointQuotas(), replace(joint_house.TERMS, cells=CELLS)
    wider = replace_reading(plan, with_third)
    line = quotas.charge(Run(wider, 1, house.INCOME), terms, NOW)
    assert line and len(line["subjects"]) == 2
    quotas.take_in(line, NOW)
    with pytest.raises(BudgetSpent):
        quotas.charge(Run(plan, 1, house.INCOME), terms, NOW)
    assert JointQuotas().charge(Run(plan, 1, house.INCOME), terms, NOW), "the control: nobody asked before"


@pytest.mark.parametrize("unsafe", [False, True])
def test_34_of_few_persons_no_more_exact_cells_are_opened_jointly_than_otherwise(
    settings: KeeperConfig, unsafe: bool
) -> None:
    """Ninety persons have nine cells of a column in a period, with whomever they are computed, whatever the terms say;
    the control is an owner that waived it.
    """
    checks = replace(joint_house.POLICY.checks, unsafe_exact_cells=unsafe)
    side = JointSide.make(settings, replace(joint_house.POLICY, checks=checks))
    first, second = asked(side, 2)
    assert side.extract(first).inputs
    side.restart()
    if unsafe:
        assert side.extract(second).inputs
        return
    with pytest.raises(BudgetSpent, match="of this column") as refused:
        side.extract(second)
    assert refused.value.where == "tax.income.income"
    assert side.extract(first, 2).inputs, "a further attempt at the same plan is charged once"


def test_74_the_same_persons_under_another_name_open_no_new_quota(side: JointSide) -> None:
    """An owner that wants to know more ingests its persons once again, as another relation."""
    plan = joint_house.joint(side.keeper)
    quotas, terms = JointQuotas(), replace(joint_house.TERMS, cells=CELLS)

    def with_first(**changes: Any) -> JointPlan:
        portions = (replace(plan.reading.portions[0], **changes), *plan.reading.portions[1:])
        return replace(plan, reading=replace(plan.reading, portions=portions))

    line = quotas.charge(Run(plan, 1, house.INCOME), terms, NOW)
    assert line
    quotas.take_in(line, NOW)
    with pytest.raises(BudgetSpent):
        quotas.charge(Run(with_first(relation="health.visits_again"), 1, house.INCOME), terms, NOW)
    subjects = costs(with_first(relation="health.visits_again"), 1, house.INCOME)
    assert subjects == costs(plan, 1, house.INCOME)
    assert JointQuotas().charge(
        Run(with_first(relation="health.visits_again"), 1, house.INCOME), terms, NOW
    ), "the control: nobody asked before"


def replace_reading(plan: JointPlan, reading: JointReading) -> JointPlan:
    """A joint plan over three owners, of which the third is a party as well."""
    third = PortionDecision(
        "nm/edu", plan.decisions[0].decision, plan.decisions[0].relation, house.digest("identifiers")
    )
    parties = sorted((*plan.parties, joint_house.party("nm/edu")), key=lambda each: each.domain)
    return replace(plan, reading=reading, decisions=(*plan.decisions, third), parties=tuple(parties))


# --- 74: a peer that opens, and says that the attempt failed --------------------------------------


@pytest.mark.parametrize(
    ("form", "subject", "terms"),
    [
        ("found by health", f"joint-members/{house.INCOME}+{HEALTH}", {"members": 2 * MATCHED}),
        ("inspected by health", f"joint/{house.INCOME}+{HEALTH}", {"cells": 2 * CELLS}),
    ],
)
def test_74_every_attempt_whose_answer_a_peer_may_have_is_charged(
    settings: KeeperConfig, form: str, subject: str, terms: dict[str, int]
) -> None:
    """A finder's side has the list once its own box has ended. It may then say that the attempt failed, and put other
    persons into its register for the next: without a charge for each, twenty lists for the price of one.
    """
    side = side_of(settings, replace(POLICY, checks=replace(POLICY.checks, unsafe_exact_cells=True)), **terms)
    own = side.approved(plan_of(side, form))
    for number in (1, 2):
        assert side.extract(own, number).inputs
        side.keeper.joint.receipt(failed(own, number), own, ())
    side.restart()
    with pytest.raises(BudgetSpent) as refused:
        side.extract(own, 3)
    assert refused.value.where == subject.partition("/")[2]


@pytest.mark.parametrize("form", ["found by health", "inspected by health"])
def test_74_what_approvers_signed_once_is_not_told_twenty_times(settings: KeeperConfig, form: str) -> None:
    """There is room for many answers. One plan was read and approved, which says of how many persons it tells."""
    rich = replace(POLICY, checks=replace(POLICY.checks, unsafe_exact_cells=True))
    side = side_of(settings, rich, members=100 * MATCHED, cells=100 * CELLS)
    own = side.approved(plan_of(side, form))
    for number in range(1, MOST_ATTEMPTS_TOLD + 1):
        assert side.extract(own, number).inputs
        side.keeper.joint.receipt(failed(own, number), own, ())
    side.restart()
    with pytest.raises(Outdated, match="people look at it again"):
        side.extract(own, MOST_ATTEMPTS_TOLD + 1)
    assert side.extract(side.approved(plan_of(side, form, 1))).inputs, (
        "the control: there is room for another plan"
    )


@pytest.mark.parametrize("form", ["stacked", "inspected", "common"])
def test_attempts_of_which_no_peer_has_an_answer_are_charged_once(settings: KeeperConfig, form: str) -> None:
    """The control: on shares nobody has anything before all sides have ended well; nor of what the own side opens."""
    side = side_of(settings, cells=CELLS)  # room for one answer
    own = side.approved(plan_of(side, form))
    for number in range(1, 4):
        assert side.extract(own, number).inputs
        side.keeper.joint.receipt(failed(own, number), own, ())


def failed(plan: Plan, number: int) -> Receipt:
    """What the own side says after a peer has broken off."""
    why: dict[str, Any] = {"code": "joint.peer-lost", "failed_at": f"compute@{HEALTH}"}
    return joint_house.receipt(plan, number, (), sealed="", **why)
