"""Promise: an owner's keeper gives keys for every form of joint computation that its terms allow, at its own price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keeper.config import KeeperConfig
from plans.box import Entry
from plans.errors import BudgetSpent, StateConflict
from plans.joint import JointFigure, JointPlan, Measure, Sum
from plans.plan import Plan
from tests.keeper import house, joint_house
from tests.keeper.house import DAY
from tests.keeper.joint_forms_house import MATCHED, MEMBERS, TASKS, plan_of, side_of
from tests.keeper.joint_house import HEALTH, OWN, JointSide
from tests.plans import joint_forms


def keys_of(side: JointSide, plan: JointPlan, attempt: int = 1) -> Plan:
    """Approve a plan and have the keys of both own boxes given."""
    own = side.approved(plan)
    assert side.extract(own, attempt).inputs and side.party(own, attempt).peers
    return own


def left(side: JointSide) -> dict[str, int]:
    """What is left of each pair, by subject."""
    return {each["subject"]: each["left"] for each in side.keeper.joint.left(house.INCOME)}


@pytest.mark.parametrize("form", TASKS)
def test_boxes_of_every_form_have_their_keys_and_their_peers(settings: KeeperConfig, form: str) -> None:
    side = side_of(settings)
    plan = plan_of(side, form)
    own = side.approved(plan)
    assert len(side.extract(own).inputs) == 2
    given = side.party(own)
    assert len(given.peers) == len(plan.parties) - 1 and given.inputs == {}
    assert own.stage(Entry.PARTY).outputs.files == (OWN in plan.handing)


OTHER_HOLDERS = tuple(f"joint/{house.INCOME}+{domain}" for domain in ("nm/civil", HEALTH))


@pytest.mark.parametrize(
    ("form", "charged"),
    [
        ("inspected", {f"joint/{house.INCOME}+{HEALTH}": 100 - 9}),
        ("stacked", {f"joint/{house.INCOME}+{HEALTH}": 100 - 6}),
        ("stacked and inspected", dict.fromkeys(OTHER_HOLDERS, 100 - 6)),
        ("ciphertexts", dict.fromkeys(OTHER_HOLDERS, 100 - 6)),
        ("common", {}),
        ("common of two", {}),
    ],
)
def test_every_form_is_charged_once_at_its_own_price(
    settings: KeeperConfig, form: str, charged: dict[str, int]
) -> None:
    side = side_of(settings)
    own = keys_of(side, plan_of(side, form))
    assert left(side) == charged
    side.restart()
    assert left(side) == charged, "the journal remembers it"
    assert side.extract(own, 2).inputs and left(side) == charged, (
        "a further attempt costs nothing where nobody has its answer before all have ended"
    )


def test_every_other_holder_of_a_table_is_a_pair(settings: KeeperConfig) -> None:
    side = side_of(settings)
    three = joint_forms.THREE_PARTS_READING
    side.readers.known[three.statement] = three
    asked = replace(joint_forms.STACKED, statement=joint_forms.THREE_PARTS_SQL).canonical().decode()
    keys_of(side, plan_of(side, "stacked", reading=three, statement=asked))
    assert left(side) == {f"joint/{house.INCOME}+{domain}": 94 for domain in ("nm/civil", HEALTH)}


def test_whom_another_owner_finds_comes_to_an_end_and_no_number_is_told(settings: KeeperConfig) -> None:
    side = side_of(settings)
    for number in range(MEMBERS // MATCHED):
        keys_of(side, plan_of(side, "found by health", number))
    fourth = side.approved(plan_of(side, "found by health", 9))
    with pytest.raises(BudgetSpent, match="of how many persons here another owner") as refused:
        side.extract(fourth)
    assert refused.value.where == f"{house.INCOME}+{HEALTH}"
    assert not any(character.isdigit() for character in refused.value.what)
    assert left(side) == {f"joint-members/{house.INCOME}+{HEALTH}": 0}
    keys_of(side, plan_of(side, "stacked"))  # cells are another quota
    side.clock.now += 91 * DAY
    assert left(side)[f"joint-members/{house.INCOME}+{HEALTH}"] == MEMBERS


def listened(side: JointSide, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A list that gets every line of the journal about charges."""
    heard: list[dict[str, Any]] = []
    quotas = side.keeper.joint.quotas
    take_in = quotas.take_in

    def listen(line: Mapping[str, Any], at: int) -> None:
        heard.append(dict(line))
        take_in(line, at)

    monkeypatch.setattr(quotas, "take_in", listen)
    return heard


@pytest.mark.parametrize("form", ["stacked", "stacked and inspected"])
def test_a_column_is_charged_for_the_sums_that_are_made_of_it_at_whichever_place_its_holder_stands(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Sums of one table name the operands of its first holder, which the own side is not."""
    side = side_of(settings)
    plan = plan_of(side, form)
    sums = (*plan.reading.sums, Sum(Measure.PRESENT, ((0, 0),)))
    figures = (JointFigure("total", "avg", (1, 2), 2), plan.reading.figures[1])
    side.readers.known[plan.reading.statement] = replace(plan.reading, sums=sums, figures=figures)
    seen = listened(side, monkeypatch)
    keys_of(side, plan_of(side, form))
    assert [line["columns"] for line in seen] == [{"joint-cells/tax.income.income": 2 * 3}]


@pytest.mark.parametrize("form", ["found by health", "common"])
def test_persons_in_common_take_nothing_of_a_column_that_chooses_nobody(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    side = side_of(settings)
    seen = listened(side, monkeypatch)
    keys_of(side, plan_of(side, form))
    assert [line["columns"] for line in seen] == [{}]


def test_a_condition_of_the_finder_on_its_own_column_counts_as_one_cell_of_it(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = side_of(settings)
    plan = plan_of(side, "common")
    first, own = plan.reading.portions
    rich = replace(
        own, where='"income" > 1000', stand_in='SELECT count(*) AS n FROM tax.income WHERE "income" > 1000'
    )
    reading = replace(plan.reading, portions=(first, rich))
    side.readers.known[reading.statement] = reading
    seen = listened(side, monkeypatch)
    keys_of(side, plan_of(side, "common", reading=reading))
    assert [line["columns"] for line in seen] == [{"joint-cells/tax.income.income": 1}]


@pytest.mark.parametrize("form", ["inspected", "stacked", "common", "ciphertexts"])
def test_a_plan_of_any_form_is_answered_once(settings: KeeperConfig, form: str) -> None:
    side = side_of(settings)
    own = keys_of(side, plan_of(side, form))
    side.keeper.joint.receipt(joint_house.receipt(own), own, joint_house.records(own))
    with pytest.raises(StateConflict, match="answered once"):
        side.extract(own, 2)
