"""Promise: scores, inner products, cross tables, matrix products and small trees are right to the last digit, at the
edge of the declared ranges; a model that is too deep or too wide is refused with the figure.

The oracle is numpy on whole numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.encrypted import arithmetic, inner, matrix, planner, scoring, sealing, sums, trees
from mpc.encrypted.key_process import probability, rounded
from mpc.encrypted.packing import Columns
from plans.errors import Defect, LinkBroken, Malformed, RangeTooWide
from tests.mpc.encrypted_case import box, opener, public  # noqa: F401

pytestmark = pytest.mark.usefixtures("box")
SEEDS = st.integers(0, 2**32 - 1)


def edged(rng: np.random.Generator, cap: int, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of which half are at the edge of the range."""
    inside = rng.integers(-cap, cap + 1, shape)
    return np.where(rng.random(shape) < 0.5, np.sign(inside + 0.5).astype(np.int64) * cap, inside)


def scored(columns: np.ndarray, weights: np.ndarray, intercept: int, caps: tuple[int, int]) -> list[int]:
    features, rows = columns.shape
    parameters = planner.plan_scores(rows, features, *caps).parameters
    raw = Columns(parameters, features, rows).encrypt(opener(parameters), list(columns), caps[0])
    model = scoring.LinearModel(tuple(int(weight) for weight in weights), intercept, caps[1])
    answer = scoring.Scorer(parameters, public(parameters)).score(raw, rows, model)
    return sums.open_total(answer, rows, opener(parameters))


@pytest.mark.parametrize("caps", [(1, 1), (1 << 20, 1 << 15), ((1 << 30) - 1, (1 << 15) - 1)])
def test_scores_are_right_at_the_edge_of_what_is_accepted(caps: tuple[int, int]) -> None:
    @given(SEEDS)
    @settings(max_examples=3)
    def holds(seed: int) -> None:
        rng = np.random.default_rng(seed)
        columns, weights = edged(rng, caps[0], (4, 50)), edged(rng, caps[1], (4,))
        weights[1] = 0
        assert scored(columns, weights, -caps[1], caps) == (weights @ columns - caps[1]).tolist()

    holds()
    full = np.full((4, 50), caps[0])
    assert scored(full, np.full(4, -caps[1]), -caps[1], caps) == [-caps[1] * (4 * caps[0] + 1)] * 50


def test_scores_of_more_rows_than_a_ciphertext_has() -> None:
    rng = np.random.default_rng(5)
    columns, weights = edged(rng, 1000, (3, 9000)), edged(rng, 50, (3,))
    assert scored(columns, weights, 7, (1000, 50)) == (weights @ columns + 7).tolist()


def test_a_model_of_zeros_gives_its_intercept() -> None:
    assert scored(np.full((2, 3), 9), np.zeros(2, dtype=np.int64), 5, (9, 5)) == [5, 5, 5]


@given(SEEDS)
@settings(max_examples=3)
def test_inner_products_are_right_at_the_edge(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cap, other, rows = (1 << 16) - 1, (1 << 14) - 1, 9000
    parameters = planner.plan_products(rows, (2, 3), cap, other).parameters
    left, right = edged(rng, cap, (2, rows)), edged(rng, other, (3, rows))
    left[0], right[0], right[2] = cap, -other, 0
    shape = Columns(parameters, 2, rows)
    raw = shape.encrypt(opener(parameters), list(left), cap)
    answers = inner.Right(parameters, public(parameters)).products(raw, shape, list(right), other)
    assert inner.open_products(answers, 6, opener(parameters)) == (left @ right.T).ravel().tolist()


def test_a_cross_table_counts_rows() -> None:
    rng = np.random.default_rng(6)
    here, there = rng.integers(0, 3, 500), rng.integers(0, 2, 500)
    parameters = planner.plan_products(500, (3, 2), 1, 1).parameters
    shape = Columns(parameters, 3, 500)
    raw = shape.encrypt(opener(parameters), [(here == category).astype(np.int64) for category in range(3)], 1)
    indicators = [(there == category).astype(np.int64) for category in range(2)]
    answers = inner.Right(parameters, public(parameters)).products(raw, shape, indicators, 1)
    table = inner.open_products(answers, 6, opener(parameters))
    assert table == [int(((here == a) & (there == b)).sum()) for a in range(3) for b in range(2)]
    assert sum(table) == 500


@pytest.mark.parametrize("size", [2, 8, 64, 128])
def test_a_matrix_times_a_vector_is_right_and_fills_every_slot(size: int) -> None:
    rng = np.random.default_rng(size)
    cap, weight = 1 << 9, 1 << 8
    planned = planner.plan_matrix(size, cap, weight)
    parameters = planned.parameters
    assert len(parameters.rotations) <= 2, "keys for two rotations, however large the matrix"
    values, vector = edged(rng, weight, (size, size)), edged(rng, cap, (size,))
    values[0], vector[:2] = weight, cap
    values[1] = 0
    answer = product(parameters, values, vector, weight)
    opened = arithmetic.centred(opener(parameters).decrypt(answer), parameters.plains[0])
    assert (opened.reshape(-1, size) == values @ vector).all()


def product(parameters, values: np.ndarray, vector: np.ndarray, cap: int) -> np.ndarray:
    owner = matrix.Multiplier(parameters, public(parameters), opener(parameters).rotation_words())
    ciphertext = owner.seal.seeded(*opener(parameters).slots(matrix.spread(vector, parameters)))
    answer = owner.product(ciphertext, values, cap)
    return sealing.checked(
        answer, (2, len(parameters.moduli), parameters.degree), parameters.primes, "matrix"
    )


def test_trees_go_to_the_leaf_that_the_bits_say() -> None:
    rng = np.random.default_rng(4)
    bits = rng.integers(0, 2, (5, 300))
    model = [
        trees.Tree(0, 1, 2, (5, -100, 100, 7)),
        trees.Tree(4, 0, 3, (0, 0, 3, 4)),
        trees.Tree(1, 1, 1, (1, 1, 1, 1)),
    ]
    planned = planner.plan_trees(300, 5, 3, 100)
    parameters, shape = planned.parameters, Columns(planned.parameters, 5, 300)
    raw = shape.encrypt(opener(parameters), list(bits), 1)
    scorer = trees.TreeScorer(parameters, public(parameters), opener(parameters).relinearisation_words())
    answer = scorer.score(raw, shape, model, 100)
    words = sums.Shape(parameters, 300).read(answer, "trees")[0, 0]
    opened = arithmetic.centred(opener(parameters).decrypt(words), parameters.plains[0])
    wanted = [
        sum(
            tree.leaves[2 * row[tree.root] + row[tree.high if row[tree.root] else tree.low]] for tree in model
        )
        for row in bits.T
    ]
    assert opened[:300].tolist() == wanted
    assert set(opened[300:].tolist()) == {0}, "nothing of the model stands behind the last row"


@pytest.mark.parametrize("cap", [41_000, 50_000, 65_535, 260_000])
def test_leaves_of_a_single_tree_may_be_as_far_apart_as_their_range(cap: int) -> None:
    """What multiplies a bit is a difference of leaves: a plan that had no room for it failed by the model's secret."""
    planned = planner.plan_trees(4, 3, 1, cap)
    parameters, shape = planned.parameters, Columns(planned.parameters, 3, 4)
    bits = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 0, 1]])
    scorer = trees.TreeScorer(parameters, public(parameters), opener(parameters).relinearisation_words())
    for leaves in ((-cap, 7, cap, 9), (cap, -cap, -cap, cap)):
        raw = shape.encrypt(opener(parameters), list(bits), 1)
        answer = scorer.score(raw, shape, [trees.Tree(0, 1, 2, leaves)], cap)
        words = sums.Shape(parameters, 4).read(answer, "trees")[0, 0]
        opened = arithmetic.centred(opener(parameters).decrypt(words), parameters.plains[0])
        assert opened[:4].tolist() == list(leaves)


def test_a_probability_of_a_half_is_rounded_as_in_sql() -> None:
    assert probability(0, 2, 0) == 1
    assert probability(0, 2, 2) == 50


# -------------------------------------------------------------------------------------------- refusals


def test_scores_that_are_too_wide_are_refused_with_the_figure() -> None:
    with pytest.raises(RangeTooWide, match="results may need 64 bits with their sign, more than 50"):
        planner.plan_scores(10, 8, 1 << 40, 1 << 19)


def test_a_depth_that_fits_no_ring_is_refused() -> None:
    with pytest.raises(RangeTooWide, match="noise of this depth fit no ring"):
        planner._fitting(
            planner.Wanted(
                1 << 40, lambda n: 1, lambda ring: planner.Fraction(2) ** 800, planner.Packing.SLOTS
            )
        )


@pytest.mark.parametrize(
    ("plan", "figure"),
    [
        (lambda: planner.plan_scores(0, 3, 1, 1), "rows: 0"),
        (lambda: planner.plan_scores(3, 5000, 1, 1), "features: 5000"),
        (lambda: planner.plan_products(10, (100, 100), 1, 1), "cells: 10000"),
        (lambda: planner.plan_matrix(4096, 1, 1), "size: 4096"),
        (lambda: planner.plan_matrix(100, 1, 1), "power of two"),
        (lambda: planner.plan_trees(10, 3, 300, 1), "trees: 300"),
        (lambda: planner.plan_trees(10, 3, 1, 1, levels=3), "levels: 3, and it may be 1 to 2"),
        (lambda: planner.plan_scores(10**7, 1000, 1, 1, memory_mb=1000), "may use 1000"),
    ],
)
def test_figures_that_do_not_fit_are_named(plan, figure: str) -> None:
    with pytest.raises(Malformed, match=figure):
        plan()


def test_numbers_and_models_outside_the_declared_range_are_refused() -> None:
    parameters = planner.plan_scores(3, 1, 10, 10).parameters
    with pytest.raises(RangeTooWide, match="4 bits"):
        Columns(parameters, 1, 3).encrypt(opener(parameters), [np.array([1, 2, 11])], 10)
    with pytest.raises(RangeTooWide):
        scoring.LinearModel((3, 11), 0, 10)
    with pytest.raises(Malformed, match="wider than the parameters"):
        Columns(parameters, 1, 3).encrypt(opener(parameters), [np.array([1, 2, 11])], 1 << 40)
    with pytest.raises(Defect, match="as long as the plan says"):
        Columns(parameters, 1, 3).encrypt(opener(parameters), [np.array([1, 2])], 10)
    right = inner.Right(parameters, public(parameters))
    with pytest.raises(RangeTooWide):
        right.products(b"", Columns(parameters, 1, 2), [np.array([1, 11])], 10)
    with pytest.raises(Defect, match="as many rows"):
        right.products(b"", Columns(parameters, 1, 3), [np.array([1, 1])], 10)


def test_columns_of_another_size_are_refused() -> None:
    parameters = planner.plan_scores(3, 1, 10, 10).parameters
    raw = Columns(parameters, 1, 3).encrypt(opener(parameters), [np.array([1, 2, 3])], 10)
    scorer = scoring.Scorer(parameters, public(parameters))
    for wrong in (raw[:-1], raw + b"x", b""):
        with pytest.raises(LinkBroken):
            scorer.score(wrong, 3, scoring.LinearModel((1,), 0, 10))
    broken = bytearray(raw)
    broken[:8] = b"\xff" * 8
    with pytest.raises(LinkBroken, match="not below its modulus"):
        scorer.score(bytes(broken), 3, scoring.LinearModel((1,), 0, 10))


def test_a_tree_asks_for_bits_that_are_there() -> None:
    parameters = planner.plan_trees(10, 2, 1, 5).parameters
    scorer = trees.TreeScorer(parameters, public(parameters), opener(parameters).relinearisation_words())
    shape = Columns(parameters, 2, 10)
    with pytest.raises(Malformed, match="no column is"):
        scorer.score(b"", shape, [trees.Tree(0, 1, 2, (0, 0, 0, 0))], 5)
    with pytest.raises(RangeTooWide):
        scorer.score(b"", shape, [trees.Tree(0, 1, 1, (0, 0, 0, 6))], 5)


# ---------------------------------------------------------------------------------------------- rounding


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_rounding_goes_to_the_nearest_multiple(number: int, step: int) -> None:
    found = rounded(number, step)
    assert found % step == 0 and 2 * abs(found - number) <= step


def test_a_probability_is_the_logistic_curve_in_whole_parts() -> None:
    assert [probability(score, 2, 3) for score in (0, 100, -100, 10**9, -(10**9))] == [500, 731, 269, 1000, 0]


@pytest.mark.parametrize("largest", [1, 1000])
def test_a_narrower_range_of_results_gives_a_smaller_modulus_and_still_holds_what_goes_in(
    largest: int,
) -> None:
    """Single columns may say more of a product than the widest of both sides; hidden places wrap, the asked one not."""
    wide = planner.plan_products(100, (1, 1), 500, 500).parameters
    parameters = planner.plan_products(100, (1, 1), 500, 500, largest=largest).parameters
    assert parameters.largest < wide.largest and parameters.largest >= 500
    left, right = np.full(100, 500), np.zeros(100, dtype=np.int64)
    left[0], right[0], right[1:50] = 1, 400, 0
    right[50:] = [500, -500] * 25
    shape = Columns(parameters, 1, 100)
    raw = shape.encrypt(opener(parameters), [left], 500)
    answers = inner.Right(parameters, public(parameters)).products(raw, shape, [right], 500)
    assert inner.open_products(answers, 1, opener(parameters)) == [int(left @ right)]
