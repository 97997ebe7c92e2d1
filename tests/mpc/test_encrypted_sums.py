"""Promise: encrypted sums are right to the last digit at the edge of the declared ranges; what does not fit is refused.

The oracle is Python's whole numbers (issue 7, ATTACKS 75, 100).
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.encrypted import crypto_box, planner, sums
from mpc.encrypted.parameters import Packing, Parameters
from plans.errors import LinkBroken, Malformed, RangeTooWide
from tests.mpc.encrypted_case import box, opener, public  # noqa: F401

pytestmark = pytest.mark.usefixtures("box")


def total(vectors: list[list[int]], cap: int) -> list[int]:
    parameters = planner.plan_sums(len(vectors), len(vectors[0]), cap).parameters
    holder = sums.Holder(parameters, public(parameters))
    parts = [holder.encrypt(vector, cap) for vector in vectors]
    added = sums.collect(parts, len(vectors[0]), parameters)
    return sums.open_total(added, len(vectors[0]), opener(parameters))


def edges(cap: int) -> st.SearchStrategy[int]:
    return st.sampled_from([cap, -cap, 0, 1, -1]) | st.integers(-cap, cap)


# A few widths on either side of where one plain modulus ends, so that keys are made a few times only.
WIDTHS = [1, 20, 43, 45, 63, 123]


@pytest.mark.parametrize("bits", WIDTHS)
def test_what_the_planner_accepts_adds_up_right_at_the_edge(bits: int) -> None:
    cap = (1 << bits) - 1

    @given(st.lists(edges(cap), min_size=60, max_size=60))
    @settings(max_examples=3)
    def holds(numbers: list[int]) -> None:
        vectors = [numbers[0:20], numbers[20:40], numbers[40:60]]
        assert total(vectors, cap) == [sum(column) for column in zip(*vectors, strict=True)]

    holds()
    assert total([[cap, -cap]] * 8, cap) == [8 * cap, -8 * cap]


def test_many_holders_and_more_numbers_than_a_ciphertext_has() -> None:
    rng = np.random.default_rng(3)
    vectors = rng.integers(-(10**9), 10**9 + 1, (20, 4500))
    parameters = planner.plan_sums(20, 4500, 10**9).parameters
    holder = sums.Holder(parameters, public(parameters))
    added = sums.collect([holder.encrypt(row, 10**9) for row in vectors], 4500, parameters)
    assert sums.open_total(added, 4500, opener(parameters)) == vectors.sum(axis=0).tolist()


def test_arrays_and_lists_give_the_same_totals() -> None:
    parameters = planner.plan_sums(2, 3, 10**12).parameters
    numbers = [10**12, -(10**12), 5]
    parts = [
        sums.holder_encrypt(form, 10**12, public(parameters), parameters)
        for form in (numbers, np.array(numbers))
    ]
    assert sums.open_total(sums.collect(parts, 3, parameters), 3, opener(parameters)) == [
        2 * number for number in numbers
    ]


def test_bytes_are_what_the_plan_predicts_and_few() -> None:
    planned = planner.plan_sums(3, 8192, 10**6)
    part = sums.holder_encrypt(
        np.zeros(8192, dtype=np.int64), 10**6, public(planned.parameters), planned.parameters
    )
    assert len(part) == planned.up
    assert planned.up / 8192 <= 45


def test_two_encryptions_of_the_same_numbers_have_nothing_in_common() -> None:
    parameters = planner.plan_sums(2, 1, 10).parameters
    holder = sums.Holder(parameters, public(parameters))
    one, other = (np.frombuffer(holder.encrypt([7], 10), dtype="<u8") for _ in range(2))
    assert (one == other).sum() == 0


# -------------------------------------------------------------------------------------------- refusals


def test_a_number_outside_the_declared_range_is_refused_and_not_said() -> None:
    parameters = planner.plan_sums(2, 2, 1000).parameters
    holder = sums.Holder(parameters, public(parameters))
    for numbers in ([1, 987_654], np.array([1, -987_654])):
        with pytest.raises(RangeTooWide) as refusal:
            holder.encrypt(numbers, 1000)
        assert "987" not in str(refusal.value)


def test_totals_beyond_127_bits_are_refused_with_the_figure() -> None:
    planner.plan_sums(2, 1, (1 << 126) - 1)
    with pytest.raises(RangeTooWide, match="128 bits, more than 127"):
        planner.plan_sums(2, 1, 1 << 126)


@pytest.mark.parametrize(
    ("holders", "count", "figure"),
    [
        (1, 1, "holders: 1"),
        (5000, 1, "holders: 5000"),
        (2, 0, "numbers: 0"),
        (2, 1 << 25, "numbers: 33554432"),
    ],
)
def test_figures_that_do_not_fit_are_named(holders: int, count: int, figure: str) -> None:
    with pytest.raises(Malformed, match=figure):
        planner.plan_sums(holders, count, 10)


def test_memory_that_is_too_small_is_refused_before_anything_runs() -> None:
    with pytest.raises(Malformed, match=r"would need \d+ MB and may use 300"):
        planner.plan_sums(3, 1 << 24, 10**6, memory_mb=300)


def test_parameters_that_are_not_safe_are_not_built() -> None:
    good = planner.plan_sums(3, 1, 10**6).parameters
    with pytest.raises(Malformed, match="above the 109 that are safe"):
        Parameters(4096, good.moduli, "1152921504606830593", good.plain_moduli, Packing.COEFFICIENTS)
    with pytest.raises(Malformed, match="different primes"):
        Parameters(4096, ("1000000",), good.special, good.plain_moduli, Packing.COEFFICIENTS)
    with pytest.raises(Malformed, match="fit the packing"):
        Parameters(4096, good.moduli, good.special, ("1000003",), Packing.COEFFICIENTS)


@pytest.mark.parametrize("bytes_less", [-8, -1, 1, 8, 100])
def test_ciphertexts_of_another_size_are_refused(bytes_less: int) -> None:
    parameters = planner.plan_sums(2, 1, 10).parameters
    good = sums.holder_encrypt([7], 10, public(parameters), parameters)
    wrong = good[:-bytes_less] if bytes_less > 0 else good + bytes(-bytes_less)
    with pytest.raises(LinkBroken, match="holder 1"):
        sums.collect([good, wrong], 1, parameters)


@given(place=st.integers(0, 2 * 4096 - 1), above=st.sampled_from([0, 1, 2**63 - 2**60]))
@settings(max_examples=12)
def test_a_coefficient_that_is_not_reduced_is_refused(place: int, above: int) -> None:
    parameters = planner.plan_sums(2, 1, 10).parameters
    words = np.zeros(2 * 4096, dtype=np.uint64)
    words[place] = parameters.primes[0] + above
    with pytest.raises(LinkBroken, match="not below its modulus"):
        sums.collect([words.tobytes()], 1, parameters)
    words[place] = parameters.primes[0] - 1
    assert sums.collect([words.tobytes()], 1, parameters) == words.tobytes()


def test_the_plan_says_why() -> None:
    assert crypto_box  # the fixture stands for a box in every test here
    narrow, wide = planner.plan_sums(3, 10, 10**6), planner.plan_sums(3, 10, 10**30)
    told = " ".join(narrow.reasons)
    for figure in ("20 bits", "109 bits of the 109", "CKKS", "3 holders"):
        assert figure in told, figure
    assert "Chinese remainder" in " ".join(wide.reasons) and wide.parameters.flood_bits > 40
    assert narrow.parameters.flood_bits == 0 and narrow.milliseconds > 0 and narrow.memory_mb > 160
