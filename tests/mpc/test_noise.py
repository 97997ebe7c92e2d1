"""Promise: any two servers' parts are together a discrete Laplace number, and nobody adds another's part.

Observed counts are compared with the exact law by Pearson's chi-square. Seeds are fixed, so the tests are not chance;
limits are those of probability 10^-6. The control is noise of another law, which the same statistic refuses.
"""

from __future__ import annotations

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import chi2

from keys.randomness import MaskStream
from mpc.protocols.noise import Coins, add_noise, central, half_binomial, part_of_noise
from mpc.protocols.replicated import Server, Shared
from mpc.protocols.ring import Ring
from plans.errors import Malformed
from plans.joint_guards import noise_room
from tests.mpc import trio
from tests.mpc.test_replicated import dealt
from tests.mpc.test_ring import BOTH

DRAWS = 1_500


def coins(number: int = 0) -> Coins:
    return Coins(MaskStream(bytes([number]) * 32))


def surprise(found: list[int], law: dict[int, float]) -> float:
    """The probability that counts as far from the law as these come up; rare outcomes are counted together."""
    counts = Counter(found)
    common = [k for k, probability in law.items() if probability * len(found) >= 10]
    expected = [law[k] * len(found) for k in common]
    seen = [counts[k] for k in common]
    expected.append(len(found) - sum(expected))
    seen.append(len(found) - sum(seen))
    statistic = sum((a - b) ** 2 / b for a, b in zip(seen, expected, strict=True) if b > 0)
    return float(chi2.sf(statistic, len(common)))


def half(scale: float) -> dict[int, float]:
    """NB(½, exp(−1/scale)), term by term."""
    p = math.exp(-1 / scale)
    law, term = {}, math.sqrt(1 - p)
    for k in range(int(60 * scale) + 10):
        law[k] = term
        term *= p * (k + 0.5) / (k + 1)
    return law


def laplace(scale: float) -> dict[int, float]:
    p = math.exp(-1 / scale)
    return {z: (1 - p) / (1 + p) * p ** abs(z) for z in range(-int(60 * scale) - 9, int(60 * scale) + 10)}


@pytest.mark.parametrize("scale", [Fraction(1, 3), Fraction(2), Fraction(17, 2), Fraction(40)])
def test_a_part_is_half_of_a_geometric_number(scale: Fraction) -> None:
    source = coins()
    assert surprise([half_binomial(scale, source) for _ in range(DRAWS)], half(float(scale))) > 1e-6


@pytest.mark.parametrize("scale", [Fraction(1, 2), Fraction(5)])
def test_the_parts_of_two_servers_are_a_discrete_laplace_number(scale: Fraction) -> None:
    one, other = (part_of_noise(scale, DRAWS, coins(place)) for place in (1, 2))
    law = laplace(float(scale))
    assert surprise([a + b for a, b in zip(one, other, strict=True)], law) > 1e-6
    assert surprise(one, law) < 1e-6, "control: the part of one server is not enough"


@pytest.mark.parametrize("scale", [Fraction(10**5), Fraction(10**9)])
def test_large_scales_have_the_right_spread(scale: Fraction) -> None:
    """Mean t/2 and variance t²/2, within five standard errors (the fourth central moment is 15/4 t⁴)."""
    source = coins()
    found = np.array([half_binomial(scale, source) for _ in range(DRAWS)]) / float(scale)
    assert abs(found.mean() - 0.5) < 5 * math.sqrt(0.5 / DRAWS)
    assert abs(found.var() - 0.5) < 5 * math.sqrt((15 / 4 - 1 / 4) / DRAWS)


@pytest.mark.parametrize("number", [513, 514, 700, 3_000])
def test_the_series_is_as_good_as_it_says(number: int) -> None:
    exact = Decimal(math.comb(2 * number, number)) / Decimal(4) ** number
    assert abs(central(number) / exact - 1) < Decimal(2) ** -65


def test_coins_are_uniform_and_events_have_their_probability() -> None:
    source = coins()
    assert surprise([source.below(7) for _ in range(DRAWS)], dict.fromkeys(range(7), 1 / 7)) > 1e-6
    for exponent in (Fraction(0), Fraction(1, 10), Fraction(1), Fraction(5, 2)):
        happened = math.exp(-exponent)
        law = {0: 1 - happened, 1: happened}
        assert surprise([source.exponential(exponent) for _ in range(DRAWS)], law) > 1e-6


@BOTH
def test_all_servers_noise_reaches_the_sums_and_no_other_row(ring: Ring) -> None:
    """With fixed coins the noise that arrives is the sum of what each server drew."""
    scales = [None, Fraction(3), Fraction(10**6)]
    numbers = [5, -7, 0, 1, 2**40, -(2**40)]

    def program(me: Server) -> Shared:
        return add_noise(me, dealt(me, ring, 0, numbers).reshape(3, 2), scales, coins(me.place))

    drawn = []
    for place in range(3):
        source = coins(place)
        drawn.append([0, 0, *part_of_noise(scales[1], 2, source), *part_of_noise(scales[2], 2, source)])
    expected = [number + sum(each[at] for each in drawn) for at, number in enumerate(numbers)]
    assert trio.numbers(trio.run(program)) == expected
    assert expected[2:] != numbers[2:]


def test_the_room_for_noise_is_never_left() -> None:
    scale = Fraction(50)
    parts = [part_of_noise(scale, 300, coins(place)) for place in range(3)]
    assert max(abs(sum(each)) for each in zip(*parts, strict=True)) < noise_room(scale, 300) < 200 * 50


@pytest.mark.parametrize("scale", [Fraction(0), Fraction(-1)])
def test_a_scale_that_is_not_positive_is_refused(scale: Fraction) -> None:
    with pytest.raises(Malformed):
        half_binomial(scale, coins())
