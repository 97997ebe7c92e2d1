"""Promise: products modulo 2^32 are exact whichever way they are made, and noise is drawn as it is said."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from keys.randomness import MaskStream
from mpc.lookup import gaussian, gpu, product
from plans.errors import Defect, LinkBroken
from tests.mpc.lookup_world import coins, hidden, kept, looked_up, multiplied, owner, rows, seeker


def drawn(rows: int, columns: int, vectors: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return (
        random.integers(0, 256, (rows, columns), dtype=np.uint8),
        random.integers(0, 2**32, (vectors, columns), dtype=np.uint32),
    )


def exact(matrix: np.ndarray, vector: np.ndarray) -> list[int]:
    """The product of whole numbers, of which only the end is taken modulo 2^32."""
    return [sum(int(a) * int(b) for a, b in zip(row, vector, strict=True)) % 2**32 for row in matrix.tolist()]


SHAPES = st.tuples(st.integers(1, 13), st.integers(1, 40), st.integers(1, 9), st.integers(0, 99))


@settings(max_examples=60, deadline=None)
@given(SHAPES)
def test_every_way_gives_what_whole_numbers_give(shape: tuple[int, int, int, int]) -> None:
    matrix, vectors = drawn(*shape)
    want = [exact(matrix, vector) for vector in vectors]
    assert product.times(matrix, vectors[0]).tolist() == want[0]
    assert product.plain(matrix, vectors[0]).tolist() == want[0]
    assert product.times_many(matrix, vectors).T.tolist() == want
    less = matrix.astype(np.int64) - 128
    assert product.centred(product.times(matrix, vectors[0]), vectors[0]).tolist() == exact(less, vectors[0])
    assert product.centred(product.times_many(matrix, vectors), vectors).T.tolist() == [
        exact(less, vector) for vector in vectors
    ]


@pytest.mark.parametrize(("rows", "columns"), [(2050, 4100), (4099, 2047)])
def test_parts_in_threads_and_stretches_are_as_good_as_all_at_once(rows: int, columns: int) -> None:
    matrix, vectors = drawn(rows, columns, 6, 1)
    assert matrix.nbytes > product._WORTH_THREADS
    assert (product.times(matrix, vectors[0], 3) == product.plain(matrix, vectors[0])).all()
    assert (product.times_many(matrix, vectors, 3) == product.plain(matrix, vectors.T)).all()


@settings(max_examples=30, deadline=None)
@given(SHAPES)
def test_rows_times_weights_add_up(shape: tuple[int, int, int, int]) -> None:
    rows, columns, _, seed = shape
    _, matrix = drawn(1, columns, rows, seed)
    _, weights = drawn(1, rows, 2, seed)
    start = matrix[0].copy()
    found = start.copy()
    product.combine(found, matrix, weights[1])
    want = [
        (int(first) + total) % 2**32 for first, total in zip(start, exact(matrix.T, weights[1]), strict=True)
    ]
    assert found.tolist() == want


def test_what_was_prepared_is_not_compiled_again() -> None:
    """For the very arrays that a lookup has: read from bytes, cut out of others, of one row and of many."""
    product.prepare()
    compiled = (product._row_by_vector, product._tiles, product._combine)
    before = [len(each.signatures) for each in compiled]  # type: ignore[attr-defined]
    of = owner(hidden(40), 40)
    assert looked_up(seeker(of), of, rows(40)[0][0]) is not None
    assert [len(each.signatures) for each in compiled] == before  # type: ignore[attr-defined]


def test_sizes_that_do_not_fit_are_a_defect_and_not_read_beyond() -> None:
    matrix, vectors = drawn(4, 6, 2, 0)
    for wrong in (vectors[0, :5], np.concatenate([vectors[0], vectors[0]])):
        with pytest.raises(Defect):
            product.times(matrix, wrong)
    with pytest.raises(Defect):
        product.times(np.asfortranarray(matrix), vectors[0])
    with pytest.raises(Defect):
        product.combine(np.zeros(5, np.uint32), vectors, vectors[:, 0])
    with pytest.raises(Defect):
        product.combine(np.zeros(6, np.uint32), vectors, vectors[:1, 0])


# -------------------------------------------------------------------------------- as products of bytes


@settings(max_examples=60, deadline=None)
@given(SHAPES)
def test_digits_of_bytes_give_the_same_product(shape: tuple[int, int, int, int]) -> None:
    matrix, vectors = drawn(*shape)
    table = gpu.DeviceTable(matrix, kept, multiplied)
    want = product.centred(product.times_many(matrix, vectors), vectors).T
    assert (table.times(vectors) == want).all()
    raw = [vector.astype("<u4").tobytes() for vector in vectors]
    assert table.answers(raw) == [row.astype("<u4").tobytes() for row in want]


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_digits_are_signed_bytes_that_stand_for_the_word(words: list[int]) -> None:
    found = gpu.digits(np.array([words], dtype=np.uint32))
    for word, row in zip(words, found.tolist(), strict=True):
        assert sum(digit * 256**place for place, digit in enumerate(row[:4])) % 2**32 == word
        assert row[4:] == [0, 0, 0, 0]


def test_no_sum_of_digits_overflows_though_all_are_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu.AT_A_TIME * 2**14 < 2**31
    matrix = np.zeros((3, 2 * gpu.AT_A_TIME + 8), dtype=np.uint8)
    vectors = np.full((1, matrix.shape[1]), 0x80808080, dtype=np.uint32)
    want = product.centred(product.times(matrix, vectors[0]), vectors[0])
    assert (gpu.DeviceTable(matrix, kept, multiplied).times(vectors)[0] == want).all()
    monkeypatch.setattr(gpu, "AT_A_TIME", matrix.shape[1])  # the control: all columns at a time
    with pytest.raises(AssertionError):
        gpu.DeviceTable(matrix, kept, multiplied).times(vectors)


def test_a_question_of_another_size_does_not_reach_the_device() -> None:
    table = gpu.DeviceTable(np.zeros((2, 4), np.uint8), kept, multiplied)
    assert table.answers([]) == []
    with pytest.raises(LinkBroken, match="16 bytes"):
        table.answers([bytes(16), bytes(12)])


# ------------------------------------------------------------------------------------------------ noise


def test_noise_follows_the_discrete_gaussian() -> None:
    found = gaussian.sample(400_000, coins(3))
    wanted = {x: float(p) for x, p in zip(range(-83, 84), gaussian.probabilities(), strict=True)}
    middle = list(range(-20, 21))
    expected = [len(found) * wanted[x] for x in middle]

    def fits(numbers: np.ndarray) -> float:
        observed = [int((numbers == x).sum()) for x in middle]
        rest = len(numbers) - sum(observed), len(numbers) - sum(expected)
        return float(chisquare([*observed, rest[0]], [*expected, rest[1]]).pvalue)

    assert abs(found).max() <= gaussian.FURTHEST and fits(found) > 1e-6
    narrower = np.rint(np.random.default_rng(0).normal(0, 6.3, len(found)))
    assert fits(narrower) < 1e-6, "the control: a little less noise is noticed"


def test_steps_and_tails_are_as_near_as_the_docstring_says() -> None:
    upper, lower = gaussian._steps()
    steps = [int(a) << 64 | int(b) for a, b in zip(upper, lower, strict=True)]
    assert steps == sorted(steps) and len(steps) == 2 * gaussian.FURTHEST
    probabilities = gaussian.probabilities()
    with localcontext(prec=70):
        pairs = zip([0, *steps], [*steps, 2**128], strict=True)
        far = [abs(Decimal(b - a) / 2**128 - p) for (a, b), p in zip(pairs, probabilities, strict=True)]
        distance = float(sum(far) / 2)
    beyond = sum(2 * math.exp(-(x * x) / (2 * 6.4**2)) for x in range(gaussian.FURTHEST + 1, 400))
    beyond /= sum(math.exp(-(x * x) / (2 * 6.4**2)) for x in range(-400, 401))
    assert math.log2(distance + beyond) < -gaussian.DISTANCE_BITS


class Given(MaskStream):
    """A stream that says what it is told to."""

    def __init__(self, upper: int, lower: int) -> None:
        super().__init__(bytes(32))
        self.drawn = np.array([upper, lower], dtype=np.uint64)

    def words(self, count: int) -> np.ndarray:
        return self.drawn


@pytest.mark.parametrize("place", [0, 40, 83, 120, 165])
def test_where_half_of_the_bits_stand_on_a_step_the_other_half_decides(place: int) -> None:
    upper, lower = (each.tolist() for each in gaussian._steps())
    below = place - gaussian.FURTHEST
    assert gaussian.sample(1, Given(upper[place], lower[place] - 1)).tolist() == [below]
    assert gaussian.sample(1, Given(upper[place], lower[place])).tolist() == [below + 1]
