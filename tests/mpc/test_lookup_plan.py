"""Promise: a plan of lookups says what they take, follows its rule, and refuses what does not fit with the figure."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.lookup.buckets import shared, whole
from mpc.lookup.parameters import ASKED, EVALUATED
from mpc.lookup.plan import Plan, Way, planned
from mpc.lookup.simple_pir import error_bits
from plans.errors import Malformed, TooLarge
from tests.mpc.lookup_world import WIDTH, coins, owner, seeker

PLENTY = 1 << 22


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 10**7), st.integers(1, 4000), st.integers(1, 10**5), st.sampled_from([0, 100, 10**4]))
def test_the_way_follows_from_the_rule(bound: int, width: int, lookups: int, fewest: int) -> None:
    plan = planned(bound, width, PLENTY, lookups, fewest)
    assert Plan.decode(plan.canonical()) == plan
    small = whole(bound, width).height
    moved = plan.once + lookups * (plan.up + plan.down)
    assert moved <= small + lookups * (ASKED + EVALUATED), "never more than the whole table"
    if plan.way is Way.HIDDEN:
        assert plan.leaks_bits == 0 and small > moved
        assert error_bits(plan.layout.columns, plan.layout.height) >= 40
        if fewest:
            assert shared(bound, width, fewest).height * lookups >= moved
    elif plan.leaks_bits:
        assert fewest and plan.layout.bound >= fewest * plan.layout.columns
        assert f"{plan.leaks_bits} bits" in plan.reasons[-1], "a leak is said"


def test_buckets_are_never_taken_without_leave() -> None:
    assert planned(10**6, WIDTH, PLENTY, 1, fewest=1000).leaks_bits == 9
    assert planned(10**6, WIDTH, PLENTY, 1).leaks_bits == 0
    with pytest.raises(Malformed, match="1 rows hides nobody"):
        planned(10**6, WIDTH, PLENTY, 1, fewest=1)


def test_bytes_are_those_that_are_sent() -> None:
    for plan in (planned(5000, WIDTH, PLENTY, 5000, 1), planned(500, 400, PLENTY), planned(9, 1, PLENTY)):
        of = owner(plan, plan.layout.bound)
        lookup = seeker(of).ask(b"k", coins(1))
        evaluation = of.evaluate(lookup.blinded)
        opening = lookup.opening(evaluation.commitment)
        revealed = evaluation.revealed(opening)
        lookup.evaluated(revealed)
        up, down = len(lookup.blinded) + len(opening), len(evaluation.commitment) + len(revealed)
        if plan.way is Way.HIDDEN:
            up, down = up + len(lookup.question), down + len(of.answer(lookup.question))
            assert plan.once == of.hint.nbytes
        else:
            assert plan.once == len(of.column(0))
        assert (plan.up, plan.down) == (up, down)


@pytest.mark.parametrize(
    ("asked", "error", "figure"),
    [
        ((10**6, WIDTH, 256), TooLarge, r"the owner needs about [\d,]+ MiB of memory and may have 256"),
        ((10**6, WIDTH, 0), Malformed, "0 MiB"),
        ((10**9, WIDTH, PLENTY), TooLarge, "1,000,000,000 rows"),
        ((10**3, 10**6, PLENTY), TooLarge, "1,000,000 bytes"),
        ((10**3, WIDTH, PLENTY, 0), Malformed, "at least one question"),
        ((0, WIDTH, PLENTY), Malformed, "0 rows"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_figure(
    asked: tuple[int, ...], error: type[Malformed], figure: str
) -> None:
    with pytest.raises(error, match=figure):
        planned(*asked)


def test_a_million_short_records_fit_an_ordinary_box() -> None:
    plan = planned(10**6, WIDTH, 2048)
    assert plan.way is Way.HIDDEN and plan.answer_ms < 1000 and plan.ask_ms < 1000
    assert plan.once < 20_000_000 and plan.up + plan.down < 200_000


def test_more_questions_make_a_larger_hint_and_smaller_questions() -> None:
    few, many = planned(10**6, WIDTH, PLENTY, 20), planned(10**6, WIDTH, PLENTY, 2000)
    assert few.once < many.once and few.up > many.up
