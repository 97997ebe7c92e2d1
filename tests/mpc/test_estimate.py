"""What boxes need is known before they start, for every form: what does not fit is not begun."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inside.party_leaving import _room_of_rows
from mpc.agent.client import LARGEST_SEALED
from mpc.api import party_plan, require_same
from mpc.derive import MOST_LISTED, require_sizes
from mpc.estimate import need
from mpc.protocols.planning import ciphertexts, lookups
from plans.box import Entry
from plans.errors import PolicyDenied
from plans.handover import padded_size
from plans.joint import JointPlan
from tests.inside.sql_cases import LIMITS
from tests.mpc.form_cases import ALL_RULES, FORMS, LARGEST
from tests.plans.joint_forms import HEALTH, TAX

ROOMY = replace(LIMITS, memory_mb=2_048, wall_s=120)
EACH = pytest.mark.parametrize("form", FORMS)


def with_rows(plan: JointPlan, rows: int) -> JointPlan:
    """The plan with so many rows of each owner."""
    portions = tuple(replace(portion, bound=rows) for portion in plan.reading.portions)
    scheme = replace(plan.scheme, matched=rows)
    return replace(plan, reading=replace(plan.reading, portions=portions), scheme=scheme)


def faults(plan: JointPlan, domain: str, memory_mb: int = ROOMY.memory_mb) -> list[str]:
    """What a party's boxes lack."""
    limits = dict.fromkeys(Entry, replace(ROOMY, memory_mb=memory_mb))
    return need(plan, domain).beyond(party_plan(plan, domain, limits))


@EACH
def test_a_small_computation_of_every_form_fits_at_every_party(form: str) -> None:
    plan = FORMS[form].plan()
    assert not any(faults(plan, each.domain) for each in plan.parties)


LARGE = {
    "scored": (16_000_000, 2_048),
    "scored by trees": (16_000_000, 2_048),
    "looked up": (16_000_000, 2_048),
    "joined by two owners": (1_000_000, 512),
}
"""Rows that are too many for a box of so many MiB; more than these have no plan in these forms."""


@EACH
def test_what_is_ten_times_too_large_is_told_to_an_owner_before_it_starts(form: str) -> None:
    rows, memory_mb = LARGE.get(form, (200_000_000, 2_048))
    plan = with_rows(FORMS[form].plan(), rows)
    for portion in plan.reading.portions:
        if portion.key:
            assert "MiB of memory" in " ".join(faults(plan, portion.domain, memory_mb))


def test_a_box_that_is_too_small_for_ciphertexts_or_a_table_is_told_the_figure() -> None:
    """The planners' figures: of columns that are encrypted, and of a table that is sealed and asked about."""
    for form, domain, rows in (("scored", TAX, 4_000_000), ("looked up", TAX, 4_000_000)):
        plan = with_rows(FORMS[form].plan(), rows)
        reading = plan.reading
        planned = ciphertexts(plan.task, reading)
        figure = planned.memory_mb if planned else lookups(reading).owner_mb
        assert need(plan, domain).memory_mb[Entry.PARTY] >= figure
        (sentence,) = [
            each for each in faults(plan, domain, figure) if "the stage party" in each and "MiB" in each
        ]
        assert f"may have {figure:,}" in sentence


@EACH
def test_more_rows_need_no_less_anywhere(form: str) -> None:
    plan = FORMS[form].plan()
    for party in plan.parties:
        few, many = (need(with_rows(plan, rows), party.domain) for rows in (1_000, 1_000_000))
        for entry, memory in few.memory_mb.items():
            assert memory <= many.memory_mb[entry] and few.wall_s[entry] <= many.wall_s[entry]


@pytest.mark.parametrize("form", LARGE)
def test_a_plan_that_nobody_could_run_is_told_by_its_figure_and_not_by_a_failure(form: str) -> None:
    for domain in (HEALTH, TAX):
        (sentence, *_) = faults(with_rows(FORMS[form].plan(), 200_000_000), domain)
        assert "200" in sentence or "bits" in sentence


def test_parts_of_one_table_need_nothing_of_a_server_however_many_rows_there_are() -> None:
    """Sums of cells arrive there, and no row."""
    plan = FORMS["stacked"].plan()
    few, many = (need(with_rows(plan, rows), "nm/civil") for rows in (1_000, 200_000_000))
    assert few.memory_mb == many.memory_mb
    joined = FORMS["inspected"].plan()
    few, many = (need(with_rows(joined, rows), "nm/civil") for rows in (1_000, 200_000_000))
    assert few.memory_mb != many.memory_mb  # the control: rows that matched arrive


@pytest.mark.parametrize("form", ["common", "common of two", "scored"])
def test_a_list_that_is_longer_than_anybody_hands_over_is_refused_before_anything_is_charged(
    form: str,
) -> None:
    plan = FORMS[form].plan()
    most = MOST_LISTED[plan.reading.shape]
    require_sizes(with_rows(plan, most))
    assert padded_size(_room_of_rows(plan.reading, most)) < LARGEST_SEALED
    with pytest.raises(PolicyDenied, match="handed over in one"):
        require_sizes(with_rows(plan, most + 1))
    twice = padded_size(_room_of_rows(plan.reading, 2 * most))
    assert twice >= LARGEST_SEALED, "the control: of so many the file is not taken"


def test_as_many_holders_as_there_may_be_fit() -> None:
    plan = LARGEST.plan()
    require_same(plan, ALL_RULES)
    assert len(plan.parties) == 19
    assert not any(faults(plan, each.domain) for each in plan.parties)
