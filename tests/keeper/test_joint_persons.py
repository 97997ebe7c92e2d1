"""Promise: a keeper gives keys for scores, lookups and what two owners compute alone, each at its own price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.config import KeeperConfig
from plans.box import Entry
from plans.constraints import Action
from plans.decision import Outcome
from plans.errors import BudgetSpent, SqlUnsupported, StateConflict
from plans.joint import JointPlan
from plans.joint_evidence import verify_joint
from plans.joint_reports import commitments_of
from plans.plan import Plan
from plans.statements import StageRecord
from tests.attacks.test_joint_forms import evidence_of, roots_of
from tests.keeper import house, joint_house
from tests.keeper.joint_house import HEALTH, OWN, JointSide
from tests.keeper.joint_persons_house import (
    ASKED,
    BOUND,
    MODEL,
    POLICY,
    REGISTER,
    REGISTER_POLICY,
    TASKS,
    TERMS,
    plan_of,
    side_of,
)
from tests.keeper.test_joint_forms import listened
from tests.keeper.test_joint_verify import VERIFIER

MODEL_LEFT = {f"joint-members/{MODEL}+{HEALTH}": TERMS.members - BOUND}
REGISTER_LEFT = {f"joint-members/{REGISTER}+{HEALTH}": TERMS.members - ASKED}
CELLS_LEFT = {f"joint/{house.INCOME}+{HEALTH}": TERMS.cells - 3 * 2}
"""Three regions, of each a total and a number of rows."""


def left(side: JointSide) -> dict[str, int]:
    """What is left of every pair with an own dataset, by subject."""
    found = [each for name in (house.INCOME, MODEL, REGISTER) for each in side.keeper.joint.left(name)]
    return {each["subject"]: each["left"] for each in found}


def keys_of(side: JointSide, plan: JointPlan) -> Plan:
    """Approve a plan, and have the keys of both own boxes given."""
    own = side.approved(plan)
    assert side.extract(own).inputs and side.party(own).peers
    return own


@pytest.mark.parametrize("form", TASKS)
def test_boxes_of_every_form_have_their_keys_and_their_peer(settings: KeeperConfig, form: str) -> None:
    side = side_of(settings)
    plan = plan_of(side, form)
    own = side.approved(plan)
    place = plan.owns(OWN)
    assert place is not None
    of_persons = bool(plan.reading.portions[place].key)
    assert set(side.extract(own).inputs) == {item.name for item in own.stage(Entry.EXTRACT).inputs}
    assert len(own.stage(Entry.EXTRACT).inputs) == 1 + of_persons, "a model has no file of identifiers"
    given = side.party(own)
    assert len(given.peers) == 1 and given.inputs == {}
    assert own.stage(Entry.PARTY).outputs.files == (plan.handing == (OWN,))


@pytest.mark.parametrize(
    ("form", "charged"),
    [
        ("scored by the own model", MODEL_LEFT),
        ("own rows scored", {}),
        ("looked up here", REGISTER_LEFT),
        ("looked up there", {}),
        (
            "own key, other computes",
            CELLS_LEFT | {f"joint-members/{house.INCOME}+{HEALTH}": TERMS.members - BOUND},
        ),
        ("other's key, own computes", CELLS_LEFT),
    ],
)
def test_every_form_is_charged_at_its_own_price_and_the_journal_remembers_it(
    settings: KeeperConfig, form: str, charged: dict[str, int]
) -> None:
    """Whoever learns of its own persons charges nothing for it; cells stand beside persons where both are told."""
    side = side_of(settings)
    keys_of(side, plan_of(side, form))
    assert left(side) == charged
    side.restart()
    assert left(side) == charged


@pytest.mark.parametrize(
    ("form", "columns"),
    [
        ("scored by the own model", {}),
        ("own rows scored", {"joint-cells/tax.income.income": 1}),
        ("looked up here", {}),
        ("looked up there", {"joint-cells/tax.income.income": 1}),
        ("own key, other computes", {"joint-cells/tax.income.income": 3}),
    ],
)
def test_cells_of_a_column_are_counted_where_figures_or_the_choice_of_own_persons_rest_on_it(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch, form: str, columns: dict[str, int]
) -> None:
    """A model is about nobody, and of a register persons are counted."""
    side = side_of(settings)
    seen = listened(side, monkeypatch)
    keys_of(side, plan_of(side, form))
    assert [line["columns"] for line in seen] == [columns]


@pytest.mark.parametrize("form", TASKS)
def test_a_plan_of_any_form_is_answered_once(settings: KeeperConfig, form: str) -> None:
    side = side_of(settings)
    own = keys_of(side, plan_of(side, form))
    side.keeper.joint.receipt(joint_house.receipt(own), own, joint_house.records(own))
    with pytest.raises(StateConflict, match="answered once"):
        side.extract(own, 2)


@pytest.mark.parametrize("form", TASKS)
def test_a_finished_computation_is_checked_again(settings: KeeperConfig, form: str) -> None:
    plan = plan_of(side_of(settings), form)
    receipts = verify_joint(evidence_of(plan), roots_of(plan), VERIFIER)
    assert tuple(each.party for each in receipts if each.sealed) == plan.handing


@pytest.mark.parametrize(("form", "count"), [("looked up there", ASKED), ("own rows scored", 0)])
def test_a_finders_journal_keeps_a_commitment_to_each_person_who_was_looked_up(
    settings: KeeperConfig, form: str, count: int
) -> None:
    side = side_of(settings)
    plan = plan_of(side, form)
    own = keys_of(side, plan)
    side.keeper.joint.receipt(joint_house.receipt(own), own, joint_house.records(own))
    side.restart()
    _, records = side.keeper.joint.ran(plan.digest, 1)
    found = commitments_of([StageRecord.read(each["statement"]["body"]) for each in records])
    assert len(set(found)) == count


def test_of_whom_another_owner_is_told_comes_to_an_end_and_no_number_is_told(settings: KeeperConfig) -> None:
    side = side_of(settings, members=2 * ASKED)
    for number in range(2):
        keys_of(side, plan_of(side, "looked up here", number))
    third = side.approved(plan_of(side, "looked up here", 2))
    with pytest.raises(BudgetSpent, match="of how many persons here") as refused:
        side.extract(third)
    assert not any(character.isdigit() for character in refused.value.what)
    assert refused.value.where == f"{REGISTER}+{HEALTH}"


@pytest.mark.parametrize("form", ["looked up here", "own rows scored"])
def test_what_is_told_row_by_row_needs_the_owners_rules_about_rows(settings: KeeperConfig, form: str) -> None:
    """Its terms alone are not enough: the own stand-in shows rows, and its own rules decide about that again."""
    side = side_of(settings)
    plan = plan_of(side, form)
    jointly = replace(POLICY.access[0], actions=(Action.JOINT,))
    strict = tuple(replace(each, access=(jointly,)) for each in (POLICY, REGISTER_POLICY))
    house.believe(side.keeper, house.bundle(3, strict))
    own = side.approved(plan)
    with pytest.raises(SqlUnsupported, match="Rows leave only if every column may be seen as it is"):
        side.extract(own)
    house.believe(side.keeper, house.bundle(4, (POLICY, REGISTER_POLICY)))
    again = plan_of(side, form, 1)
    assert again.decisions[0].decision.outcome is Outcome.ALLOW and keys_of(side, again)
