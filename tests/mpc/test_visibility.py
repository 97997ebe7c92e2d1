"""The visibility table says of each party what it sees, and leaves out no message that it gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mpc.api import sights, trust
from mpc.protocols.joint_rows import columns_of
from plans.joint import JointPlan, Part, SeenAs, Sight, Step
from plans.joint_rules import Matching, Opening
from plans.joint_sights import together
from tests.mpc.compile_cases import TASK, Asked, asked
from tests.policies.joint_cases import FROM

HELPED = Asked().plan()
ALONE = asked(matching=Matching.DIFFIE_HELLMAN, helper="").plan()
THREE = asked(
    f"select e.level, corr(h.days, t.tax) as r, count(*) as n {FROM} join edu.pupils e using (person) group by 1"
).plan()
BOTH = pytest.mark.parametrize(
    "plan", [HELPED, ALONE, THREE], ids=["helper", "diffie-hellman", "three owners"]
)


def of(plan: JointPlan, domain: str, step: Step) -> list[Sight]:
    """What a domain sees at a step."""
    return [sight for sight in plan.sights if (sight.party, sight.step) == (domain, step)]


@BOTH
def test_it_is_in_the_plan_and_made_anew_from_it(plan: JointPlan) -> None:
    assert plan.sights == sights(plan)
    assert plan.trust == trust(plan)
    order = [list(Step).index(sight.step) for sight in plan.sights]
    assert order == sorted(order)


@BOTH
def test_everybody_sees_the_statement_who_failed_and_how_long_things_take(plan: JointPlan) -> None:
    for party in plan.parties:
        forms = {(sight.step, sight.form) for sight in plan.sights if sight.party == party.domain}
        assert {(Step.ASK, SeenAs.CLEAR), (Step.CHECK, SeenAs.CLEAR), (Step.OPEN, SeenAs.TIMING)} <= forms


@BOTH
def test_everybody_is_told_what_a_plan_shows_of_the_owners_and_what_a_failure_tells(plan: JointPlan) -> None:
    """A plan goes to all parties whole; that an owner cannot begin is about its rows under the conditions."""
    for party in plan.parties:
        (asked_for,), (checked,) = of(plan, party.domain, Step.ASK), of(plan, party.domain, Step.CHECK)
        assert "row filter" in asked_for.what and "rows and persons" in asked_for.what
        assert "a person is there twice" in checked.what


@BOTH
def test_rows_in_clear_are_seen_by_their_owner_alone(plan: JointPlan) -> None:
    clear = {sight.party for sight in plan.sights if sight.step is Step.EXTRACT}
    assert clear == {portion.domain for portion in plan.reading.portions}
    assert not [
        s
        for s in plan.sights
        if s.step in (Step.SHARE, Step.COMPUTE, Step.GUARD) and s.form is not SeenAs.SHARE
    ]


@BOTH
def test_the_size_of_the_intersection_is_seen_by_whoever_matches_and_nobody_else(plan: JointPlan) -> None:
    sized = {(sight.party, sight.step) for sight in plan.sights if sight.form is SeenAs.SIZE}
    assert sized == {(plan.matcher, Step.MATCH)}
    assert plan.matcher not in {portion.domain for portion in plan.reading.portions}


@BOTH
def test_no_owner_and_no_partner_sees_who_matched(plan: JointPlan) -> None:
    for place, portion in enumerate(plan.reading.portions):
        assert plan.partner(place) not in (portion.domain, plan.matcher)
        forms = {sight.form for sight in of(plan, plan.partner(place), Step.MATCH)}
        assert SeenAs.SIZE not in forms


@BOTH
def test_the_recipient_sees_as_many_numbers_as_are_opened(plan: JointPlan) -> None:
    line, *_ = of(plan, plan.request.member, Step.OPEN)
    assert line.part is Part.RECIPIENT
    reading = plan.reading
    assert line.bound == reading.cells * sum(1 + len(figure.sums) for figure in reading.figures)


@BOTH
def test_servers_get_as_many_shares_as_owners_share_columns(plan: JointPlan) -> None:
    columns = sum(len(columns_of(plan.reading, place)) for place in range(len(plan.reading.portions)))
    for server in plan.task.servers:
        (line,) = of(plan, server, Step.SHARE)
        assert line.bound == plan.scheme.matched * (columns + plan.reading.cells)


@BOTH
def test_whoever_could_open_more_together_is_named(plan: JointPlan) -> None:
    text = "\n".join(plan.trust.collusions)
    assert "any two of" in text
    for portion in plan.reading.portions:
        assert portion.domain in text
    assert plan.matcher in text
    assert "Semi-honest" in plan.trust.adversary


def test_with_a_helper_one_owner_more_opens_all_identifiers_and_without_one_it_does_not() -> None:
    assert any("the identifiers of all owners" in line for line in HELPED.trust.collusions)
    assert not any("identifiers" in line for line in ALONE.trust.collusions)
    assert ALONE.matcher in ALONE.task.servers


def test_an_inspector_stands_before_the_recipient() -> None:
    task = replace(TASK, opening=Opening.INSPECTED, inspector="nm/tax")
    opened = [sight.part for sight in sights(replace(HELPED, task=task)) if sight.step is Step.OPEN]
    assert opened[:2] == [Part.INSPECTOR, Part.RECIPIENT]


@BOTH
def test_the_table_as_people_read_it_says_the_same_of_everybody(plan: JointPlan) -> None:
    read = together(plan.sights)
    apart = [replace(seen.sight, party=party, part=part) for seen in read for party, part in seen.parties]
    assert sorted(apart, key=repr) == sorted(plan.sights, key=repr), "no line is lost, and none is added"
    assert len(read) < len(plan.sights), "parties that see the same stand together"
    order = [list(Step).index(seen.sight.step) for seen in read]
    assert order == sorted(order)
