"""Attacks on one holder's part of a table by who takes everything else away, exactly (ATTACKS 29).

Rows of known value make persons and size for somebody else's single row, so tests on sums of all parts see nothing.
Every holder therefore tests its own part of every figure. The controls let all holders say yes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.joint import judge_joint
from mpc.encrypted import crypto_box
from mpc.protocols import stacked
from mpc.protocols.computation import Totals
from plans.joint import JointPlan, JointTask, Measure, Scheme
from plans.joint_rules import Matching, Opening
from tests.inside.joint_cases import SQL, operand
from tests.mpc import joint_world
from tests.mpc.joint_world import Owner, plan_of, run, stacked_plan
from tests.mpc.test_stacked import ALL, AMONG, APART, CIVIL, EAST, SOUTH, WEST, anybody

WAGE, KNOWN, SALT = 4_321, 2_000, "5a" * 16
SERVERS = (CIVIL, EAST, "nm/tax")


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """All parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def holder(domain: str, amounts: list[int], first: int) -> Owner:
    persons = np.arange(len(amounts)) + first
    return Owner(domain, persons, (operand("v0", 0, 10_000),), (np.ma.array(amounts, dtype=np.int64),))


def known_and_one() -> list[Owner]:
    """... where income = 2000 union all ... where <one person> union all ... where false."""
    return [holder(EAST, [KNOWN] * 100, 0), holder(WEST, [WAGE], 200), holder(SOUTH, [], 300)]


def scheme(owners: list[Owner]) -> Scheme:
    return Scheme(64, sum(len(each.persons) + each.spare for each in owners), 10, 90)


def oblivious() -> tuple[Any, Any]:
    """A count and a total, as the recipient opens them."""
    owners = known_and_one()
    answer = run(stacked_plan(owners, SERVERS, scheme(owners)), owners).answer()
    (row,) = answer.rows
    shown = dict(zip(answer.columns, row, strict=True))
    return shown["n"], shown["x0_sum"]


def judged(encrypted: bool) -> tuple[Any, Any]:
    """The same, as an inspector lets them leave."""
    owners = known_and_one()
    joint = stacked_plan(owners, SERVERS, scheme(owners), inspector=EAST)
    if encrypted:
        task = JointTask(SQL, Matching.NONE, Opening.INSPECTED, (), inspector=EAST, collector="nm/office")
        joint = plan_of(joint.reading, task, joint.scheme)
    found = run(joint, owners).handed[EAST]
    assert isinstance(found, Totals)
    released = judge_joint(joint, found.sums, SALT)
    cells = dict(zip((each.name for each in released.columns), released.rows[0], strict=True))
    count, total = (None if cells[name].suppressed else cells[name].v for name in ("n", "x0_sum"))
    return count, total


def everybody_says_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked, "own_thresholds", lambda _joint, _figure, _holder: ())


def test_29_rows_of_known_value_do_not_make_a_group_for_one_row_of_another_holder() -> None:
    assert oblivious() == (None, None)


def test_29_control_where_everybody_says_yes_the_wage_is_what_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everybody_says_yes(monkeypatch)
    count, total = oblivious()
    assert total - KNOWN * (count - 1) == WAGE


@pytest.mark.parametrize("encrypted", [False, True], ids=["shares", "ciphertexts"])
def test_29_nor_does_an_inspector_let_it_leave(encrypted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(encrypted) == (None, None)
    everybody_says_yes(monkeypatch)  # the control
    assert judged(encrypted)[1] is not None


def counted(owner: Owner, cells: int) -> np.ndarray:
    """How many rows a holder has in every cell."""
    return np.bincount(owner.rows().groups, minlength=cells)


def few_of_one(joint: JointPlan, owners: list[Owner]) -> bool:
    """Whether a figure is opened behind which one holder has fewer rows than the minimum group."""
    answer = run(joint, owners).answer()
    cells, least = joint.reading.cells, joint.scheme.minimum_group
    counts = [counted(owner, cells) for owner in owners]
    few = [any(each[cell] < least for each in counts) for cell in range(cells)]
    figures = [answer.columns.index(figure.name) for figure in joint.reading.figures]
    opened = [any(not marks[place] for place in figures) for marks in answer.suppressed]
    return any(small and shown for small, shown in zip(few, opened, strict=True))


@settings(max_examples=25, deadline=None)
@given(anybody(), st.sampled_from((APART, AMONG, ALL)), st.integers(2, 5))
def test_29_whoever_takes_all_parts_away_but_one_is_left_with_a_group(
    owners: list[Owner], servers: tuple[str, ...], minimum: int
) -> None:
    bound = sum(len(each.persons) + each.spare for each in owners)
    assert not few_of_one(stacked_plan(owners, servers, Scheme(128, bound, minimum, 90)), owners)


def test_29_control_where_everybody_says_yes_a_small_part_is_behind_an_opened_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    everybody_says_yes(monkeypatch)
    owners = known_and_one()
    assert few_of_one(stacked_plan(owners, SERVERS, scheme(owners)), owners)


def test_29_a_part_whose_rows_have_no_values_or_add_nothing_is_not_taken_for_a_sound_one() -> None:
    """Ten rows of which one has a value, or ten of which one is not 0: persons, and size, are tested in the part."""
    with_values = np.ma.masked_greater(np.ma.array([WAGE, *[10**6] * 19]), 10_000)
    empty_but_one = np.ma.array([WAGE, *[0] * 19])
    for amounts, nullable in ((with_values, True), (empty_but_one, False)):
        ranges = (operand("v0", 0, 10_000, nullable=nullable),)
        west = Owner(WEST, np.arange(20) + 200, ranges, (amounts,))
        east = Owner(EAST, np.arange(100), ranges, (np.ma.array([KNOWN] * 100),))
        owners = [east, west]
        joint = stacked_plan(owners, SERVERS, scheme(owners))
        answer = run(joint, owners).answer()
        shown = dict(zip(answer.columns, answer.rows[0], strict=True))
        assert shown["n"] == 120 and shown["x0_sum"] is shown["x0_avg"] is shown["x0_var"] is None
        votes = joint_world.votes_in_clear(joint, owners)
        assert votes[1][0] == [1] and not any(each[0] for each in votes[1][1:])
        assert any(each.measure is Measure.TOTAL for each in joint.reading.sums)
