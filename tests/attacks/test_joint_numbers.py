"""ATTACKS 75 and 98 on joint computations: rings that are too narrow, and rows that are made up to reach a minimum."""

from __future__ import annotations

import numpy as np
import pytest

from mpc.scheme import ring_bits
from plans.errors import RangeTooWide
from plans.joint import JointFigure, JointPlan, Measure, Scheme, Sum
from plans.joint_guards import largest_number
from tests.inside.joint_cases import operand, reading
from tests.mpc.joint_world import Owner, plan_for, run

ROWS, MINIMUM = 400, 10
SPREAD = [Sum(Measure.ROWS, ()), Sum(Measure.TOTAL, ((1, 0),)), Sum(Measure.SQUARE, ((1, 0),))]


# ------------------------------------------------------------------------------------------- rings (75)


def spread_of(cap: int) -> tuple[list[Owner], JointPlan]:
    """A variance over 400 persons whose values reach a declared cap, in the ring that follows from the cap."""
    persons = np.arange(ROWS)
    values = np.random.default_rng(75).integers(cap // 2, cap + 1, ROWS)
    owners = [
        Owner("nm/health", persons),
        Owner("nm/tax", persons, (operand("v0", 0, cap),), (np.ma.array(values),)),
    ]
    asked = reading([each.portion() for each in owners], SPREAD, [JointFigure("v", "var_samp", (2, 1, 0), 0)])
    bits = ring_bits(largest_number(asked, ROWS))
    return owners, plan_for(owners, asked, scheme=Scheme(bits, ROWS, MINIMUM, 90))


def found(owners: list[Owner], joint: JointPlan) -> float | None:
    value = run(joint, owners).answer().rows[0][-1]
    assert value is None or isinstance(value, float)
    return value


def exact(owners: list[Owner]) -> float:
    values = [int(value) for value in owners[1].values[0]]
    above = ROWS * sum(value * value for value in values) - sum(values) ** 2
    return above / (ROWS * (ROWS - 1))


@pytest.mark.parametrize(("cap", "bits"), [(1_000, 64), (10**6, 64), (10**9, 128), (10**12, 128)])
def test_75_the_ring_follows_from_declared_ranges_and_the_variance_is_exact(cap: int, bits: int) -> None:
    owners, joint = spread_of(cap)
    assert joint.scheme.ring_bits == bits
    assert found(owners, joint) == exact(owners)


def test_75_control_in_a_ring_that_is_too_narrow_the_answer_is_wrong_and_nothing_says_so() -> None:
    owners, joint = spread_of(10**9)
    narrow = plan_for(owners, joint.reading, scheme=Scheme(64, ROWS, MINIMUM, 90))
    assert found(owners, narrow) != exact(owners)


def test_75_what_no_ring_holds_is_refused_before_the_run() -> None:
    with pytest.raises(RangeTooWide, match="more than 128"):
        spread_of(10**18)


# -------------------------------------------------------------------------------- made-up rows (98)

TRUE, MADE_UP = 6, 5_000
"""Persons behind the cell that an owner would like to see opened, and rows that it makes up."""


def counted(theirs: np.ndarray, made_up: int) -> int | None:
    """The count of the only cell, where one owner adds made-up rows to those of its persons, all in that cell."""
    persons = np.concatenate([np.arange(TRUE), np.arange(10**6, 10**6 + made_up)])
    owners = [
        Owner("nm/health", persons, sizes=(1,), groups=(np.zeros(len(persons), dtype=np.int64),)),
        Owner("nm/tax", theirs),
    ]
    asked = reading([each.portion() for each in owners], SPREAD[:1], [JointFigure("n", "count", (0,), 0)])
    matched = min(len(persons), len(theirs)) + 7
    value = run(plan_for(owners, asked, scheme=Scheme(64, matched, MINIMUM, 90)), owners).answer().rows[0][-1]
    assert value is None or isinstance(value, int)
    return value


def test_98_rows_of_persons_whom_nobody_else_has_do_not_lift_a_small_cell_over_the_minimum() -> None:
    """Nor do the rows that pad every list to its public bound."""
    assert counted(np.arange(300), made_up=MADE_UP) is None


def test_98_control_rows_that_match_are_counted() -> None:
    """Whoever knows persons in the other's list and claims them is not noticed: semi-honest, as the plan says."""
    theirs = np.concatenate([np.arange(300), np.arange(10**6, 10**6 + MINIMUM)])
    assert counted(theirs, made_up=MADE_UP) == TRUE + MINIMUM
