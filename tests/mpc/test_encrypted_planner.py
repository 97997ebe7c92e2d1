"""Promise: whatever figures the planner gets, it refuses them or gives parameters that are safe and proved to fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.encrypted import bounds, planner
from mpc.encrypted.parameters import SECURE_BITS, Packing
from plans.errors import Malformed, RangeTooWide

CAPS = st.integers(0, 130).flatmap(lambda bits: st.integers(0, 1 << bits))
SMALL = st.integers(0, 1 << 26)


def accepted(plan: Callable[[], planner.Planned], largest: int) -> None:
    """Check a plan that was not refused against its own promises."""
    try:
        planned = plan()
    except (Malformed, RangeTooWide) as refusal:
        assert any(character.isdigit() for character in str(refusal)), "a refusal names a figure"
        return
    found = planned.parameters
    assert found.largest >= largest and found.bits <= SECURE_BITS[found.degree]
    assert planned.spare_bits >= 0 and planned.milliseconds > 0 and 0 < planned.memory_mb <= 4096
    assert planned.up > 0 and planned.down > 0 and len(planned.reasons) >= 5
    assert type(found).decode(found.canonical()) == found, "both sides read the same"


@given(st.integers(0, 2000), st.integers(0, 5000), CAPS)
def test_sums(holders: int, count: int, cap: int) -> None:
    accepted(lambda: planner.plan_sums(holders, count, cap), holders * cap)


@given(st.integers(0, 10**6), st.integers(0, 300), SMALL, SMALL)
@settings(max_examples=30)
def test_scores(rows: int, features: int, cap: int, weight: int) -> None:
    accepted(lambda: planner.plan_scores(rows, features, cap, weight), weight * (features * cap + 1))


@given(st.integers(0, 10**6), st.integers(0, 40), st.integers(0, 40), SMALL, SMALL)
@settings(max_examples=30)
def test_products(rows: int, left: int, right: int, cap: int, other: int) -> None:
    accepted(lambda: planner.plan_products(rows, (left, right), cap, other), rows * cap * other)


@given(st.sampled_from([1, 2, 3, 64, 1024, 2048, 4096]), st.integers(1, 1 << 16), st.integers(1, 1 << 16))
@settings(max_examples=20)
def test_matrices(size: int, cap: int, weight: int) -> None:
    accepted(lambda: planner.plan_matrix(size, cap, weight), size * cap * weight)


@given(st.integers(0, 10**5), st.integers(0, 200), st.integers(0, 300), st.integers(0, 1 << 30))
@settings(max_examples=20)
def test_trees(rows: int, bits: int, trees: int, leaf: int) -> None:
    accepted(lambda: planner.plan_trees(rows, bits, trees, leaf), trees * leaf)


@pytest.mark.parametrize("holders", [2, 3, 30, 1024])
def test_one_plain_modulus_is_taken_as_long_as_it_is_proved_to_hold(holders: int) -> None:
    """At the last width with one modulus, one bit more in the modulus would not be proved any more."""
    widest = max(
        bits for bits in range(1, 60) if len(planner.plan_sums(holders, 1, 1 << bits).parameters.plains) == 1
    )
    found = planner.plan_sums(holders, 1, 1 << widest).parameters
    noise = bounds.added(bounds.fresh(found, seeded=False), holders)
    assert bounds.decrypts(found, noise)
    assert found.plains[0].bit_length() > planner.DIRECT_BITS or not 8 * found.plains[0] * noise <= found.q
    assert bounds.is_plain_in_place(found) and found.packing is Packing.COEFFICIENTS and found.flood_bits == 0


def test_the_same_figures_give_the_same_parameters_everywhere() -> None:
    """Every side derives them; two digests would be two computations."""
    again = [planner.plan_scores(1000, 8, 1000, 1000).parameters.digest for _ in range(2)]
    assert again[0] == again[1]
    assert (
        planner.plan_scores(1000, 8, 1001, 1000).parameters
        != planner.plan_scores(1000, 8, 10**6, 1000).parameters
    )


def test_where_no_prime_of_a_size_has_slots_the_next_size_is_taken() -> None:
    """For N = 8192 there is none of 19 bits: such scores of trees were refused."""
    found = planner.plan_trees(10, 3, 1, 1 << 16)
    t = found.parameters.plains[0]
    assert found.parameters.degree == 8192 and t % 16_384 == 1 and t.bit_length() == 20
