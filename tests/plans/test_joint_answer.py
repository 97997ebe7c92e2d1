"""An answer is opened from three servers' shares, exactly, or not at all."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.errors import EvidenceBroken, SharesDisagree
from plans.joint import JointFigure, JointPlan, Measure, Opened, Sum
from plans.joint_answer import answer_of, opened_bound
from tests.plans.examples import DECISION, REQUEST
from tests.plans.joint_examples import JOINT_READING, joint_plan

AT = ((1, 0),)
NUMBERS = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12)


def plan(function: str, sums: Sequence[Sum], bits: int = 128) -> JointPlan:
    """A plan with one figure of these sums, over the three regions; the operand has two decimals."""
    figure = JointFigure("x", function, tuple(range(len(sums))), 0)
    reading = replace(JOINT_READING, sums=tuple(sums), figures=(figure,), outputs=("region", "x"))
    made = joint_plan(DECISION, REQUEST)
    return replace(made, reading=reading, scheme=replace(made.scheme, ring_bits=bits))


def shared(joint: JointPlan, numbers: Sequence[int], seed: int = 0) -> list[Opened]:
    """What three servers hand over of these numbers."""
    rng, size = random.Random(seed), joint.scheme.ring_bits // 8
    components = []
    for number in numbers:
        first, second = (rng.getrandbits(8 * size) for _ in range(2))
        components.append((first, second, (number - first - second) % (1 << (8 * size))))

    def told(place: int) -> tuple[str, ...]:
        return tuple(parts[place % 3].to_bytes(size, "little").hex() for parts in components)

    return [Opened(joint.digest, 1, place, told(place), told(place + 1)) for place in range(3)]


def opened(function: str, sums: Sequence[Sum], cell: Sequence[int], bits: int = 128) -> Any:
    """The figure of the first cell; the other two are withheld."""
    joint = plan(function, sums, bits)
    numbers = [1, 0, 0]
    for number in cell:
        numbers += [number, 0, 0]
    answer = answer_of(joint, 1, shared(joint, numbers))
    assert answer.columns == ("region", "x") and answer.withheld == 2
    assert [row[0] for row in answer.rows] == ["east", "west", "north"]
    assert [row[1] for row in answer.rows[1:]] == [None, None]
    return answer.rows[0][1]


TOTAL, SQUARE, ROWS = Sum(Measure.TOTAL, AT), Sum(Measure.SQUARE, AT), Sum(Measure.ROWS, ())


@given(NUMBERS)
def test_a_total_is_the_decimal_that_it_is(values: list[int]) -> None:
    found = opened("sum", (TOTAL,), (sum(values),))
    assert isinstance(found, Decimal) and Fraction(found) == Fraction(sum(values), 100)
    assert -found.as_tuple().exponent == 2  # type: ignore[operator]


@given(NUMBERS)
def test_quotients_are_the_nearest_double_to_the_exact_value(values: list[int]) -> None:
    exact = [Fraction(value, 100) for value in values]
    mean = opened("avg", (TOTAL, ROWS), (sum(values), len(values)))
    assert mean == float(sum(exact) / len(exact))
    cell = (sum(value * value for value in values), sum(values), len(values))
    assert opened("var_pop", (SQUARE, TOTAL, ROWS), cell) == float(statistics.pvariance(exact))
    if len(values) > 1:
        assert opened("var_samp", (SQUARE, TOTAL, ROWS), cell) == float(statistics.variance(exact))
        found = opened("stddev_samp", (SQUARE, TOTAL, ROWS), cell)
        assert math.isclose(found, math.sqrt(statistics.variance(exact)), rel_tol=1e-15)
    else:
        assert opened("var_samp", (SQUARE, TOTAL, ROWS), cell) is None


def test_a_spread_too_small_for_doubles_is_exact() -> None:
    """The control: by doubles, as spu and plain arithmetic do it, the variance of these is 0 or worse."""
    values = [10**15, 10**15 + 1, 10**15 + 2]
    cell = (sum(value * value for value in values), sum(values), len(values))
    assert opened("var_samp", (SQUARE, TOTAL, ROWS), cell) == 1 / 10_000
    floats = [float(value) for value in values]
    wrong = sum(value * value for value in floats) / 3 - (sum(floats) / 3) ** 2
    assert abs(wrong - 2 / 3) > 0.1


def test_a_mean_over_no_persons_or_fewer_is_not_defined() -> None:
    """Noise may leave a number of persons below one; a mean of such would be a number of no meaning."""
    joint = plan("avg", (Sum(Measure.TOTAL, AT), Sum(Measure.PRESENT, AT)))
    for persons in (0, -3):
        found = answer_of(joint, 1, shared(joint, [1, 1, 1, 500, 500, 500, persons, 5, persons]))
        assert [row[1] for row in found.rows] == [None, 1.0, None]


def test_a_correlation_without_spread_is_not_defined() -> None:
    product = Sum(Measure.PRODUCT, ((0, 0), (1, 0)))
    sums = (ROWS, TOTAL, TOTAL, SQUARE, SQUARE, product)
    joint = JOINT_READING.portions[0]
    crossed = replace(joint, operands=JOINT_READING.portions[1].operands)
    assert len(crossed.operands) == 1
    made = plan("count", (ROWS,))
    reading = replace(
        made.reading,
        portions=(crossed, made.reading.portions[1]),
        sums=(ROWS, TOTAL, Sum(Measure.TOTAL, ((0, 0),)), SQUARE, Sum(Measure.SQUARE, ((0, 0),)), product),
        figures=(JointFigure("x", "corr", tuple(range(len(sums))), 0),),
    )
    joint_made = replace(made, reading=reading)

    def corr(xs: list[int], ys: list[int]) -> Any:
        cell = [
            len(xs), sum(xs), sum(ys), sum(x * x for x in xs), sum(y * y for y in ys),
            sum(x * y for x, y in zip(xs, ys, strict=True)),
        ]  # fmt: skip
        numbers = [1, 0, 0]
        for number in cell:
            numbers += [number, 0, 0]
        return answer_of(joint_made, 1, shared(joint_made, numbers)).rows[0][1]

    assert corr([1, 2, 3], [5, 5, 5]) is None
    assert corr([1, 2, 3], [2, 4, 6]) == 1.0
    xs, ys = [3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8]
    assert math.isclose(corr(xs, ys), statistics.correlation(xs, ys), rel_tol=1e-15)


@pytest.mark.parametrize("bits", [64, 128])
def test_negative_numbers_come_back(bits: int) -> None:
    least = -(2 ** (bits - 1))
    assert Fraction(opened("sum", (TOTAL,), (least,), bits)) == Fraction(least, 100)


def refused(change: Any, kind: type[Exception] = EvidenceBroken) -> None:
    joint = plan("count", (ROWS,))
    given_over = shared(joint, [1, 1, 0, 12, 15, 0])
    assert [row[1] for row in answer_of(joint, 1, given_over).rows] == [12, 15, None], "the control"
    with pytest.raises(kind):
        answer_of(joint, 1, change(given_over))


def other(share: str) -> str:
    return ("01" if share[:2] != "01" else "02") + share[2:]


@pytest.mark.parametrize("server", [0, 1, 2])
@pytest.mark.parametrize("which", ["first", "second"])
def test_one_server_that_changes_any_share_opens_nothing(server: int, which: str) -> None:
    def change(three: list[Opened]) -> list[Opened]:
        shares = getattr(three[server], which)
        changed = replace(three[server], **{which: (*shares[:-1], other(shares[-1]))})
        return [changed if place == server else each for place, each in enumerate(three)]

    refused(change, SharesDisagree)


@pytest.mark.parametrize(
    "change",
    [
        lambda three: three[:2],
        lambda three: [three[0], three[0], three[2]],
        lambda three: [replace(each, attempt=2) for each in three],
        lambda three: [replace(each, plan="sha256:" + "e" * 64) for each in three],
        lambda three: [replace(each, first=each.first[1:], second=each.second[1:]) for each in three],
        lambda three: [replace(each, first=("00" * 8, *each.first[1:])) for each in three],
        lambda three: [
            replace(each, first=("zz" * 16, *each.first[1:]), second=("zz" * 16, *each.second[1:]))
            for each in three
        ],
    ],
    ids=["two servers", "one twice", "another attempt", "another plan", "fewer", "narrower", "no numbers"],
)
def test_what_is_not_the_three_servers_shares_of_this_plan_opens_nothing(change: Any) -> None:
    refused(change)


def test_a_bit_that_is_none_and_a_sum_behind_a_closed_bit_are_no_answer() -> None:
    joint = plan("count", (ROWS,))
    for numbers in ([2, 1, 0, 12, 15, 0], [0, 1, 0, 12, 15, 0]):
        with pytest.raises(EvidenceBroken):
            answer_of(joint, 1, shared(joint, numbers))


def test_what_a_server_seals_is_bound_to_plan_attempt_and_server() -> None:
    bounds = {
        opened_bound("sha256:" + d * 64, attempt, server)
        for d in "12"
        for attempt in (1, 2)
        for server in (0, 1)
    }
    assert len(bounds) == 8
