"""Promise: the rings compute modulo 2^64 and 2^128 exactly, and too wide numbers are refused (ATTACKS 75)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpc.protocols.boolean import moved_up
from mpc.protocols.ring import BITS64, BITS128, RING64, RING128, RINGS, Ring
from mpc.scheme import ring_bits
from plans.errors import LinkBroken, RangeTooWide

NUMBERED = [RING64, RING128]
BOTH = pytest.mark.parametrize("ring", NUMBERED, ids=repr)


def signed(ring: Ring) -> st.SearchStrategy[int]:
    bound = 1 << (ring.bits - 1)
    edges = [0, 1, -1, bound - 1, -bound, (1 << 63) - 1, -(1 << 63), (1 << 32) - 1, 1 << 32]
    return st.sampled_from(edges) | st.integers(-bound, bound - 1)


def wrapped(ring: Ring, number: int) -> int:
    """The oracle: a Python integer as the signed representative modulo 2^bits."""
    number %= 1 << ring.bits
    return number - (1 << ring.bits) if number >> (ring.bits - 1) else number


def pairs(ring: Ring, longest: int = 12) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(signed(ring), signed(ring)), min_size=1, max_size=longest)


@BOTH
@given(data=st.data())
def test_adding_taking_away_and_multiplying_agree_with_whole_numbers(ring: Ring, data: st.DataObject) -> None:
    drawn = data.draw(pairs(ring))
    x, y = (ring.encode([pair[side] for pair in drawn]) for side in (0, 1))
    assert ring.decode(x) == [a for a, _ in drawn]
    assert ring.decode(ring.add(x, y)) == [wrapped(ring, a + b) for a, b in drawn]
    assert ring.decode(ring.sub(x, y)) == [wrapped(ring, a - b) for a, b in drawn]
    assert ring.decode(ring.neg(x)) == [wrapped(ring, -a) for a, _ in drawn]
    assert ring.decode(ring.mul(x, y)) == [wrapped(ring, a * b) for a, b in drawn]
    assert ring.decode(ring.total(x)) == [wrapped(ring, sum(a for a, _ in drawn))]


@BOTH
@given(data=st.data(), groups=st.integers(1, 4), columns=st.integers(1, 3), rows=st.integers(0, 9))
def test_inner_products_agree_with_whole_numbers(
    ring: Ring, data: st.DataObject, groups: int, columns: int, rows: int
) -> None:
    def matrix(height: int) -> list[list[int]]:
        row = st.lists(signed(ring), min_size=rows, max_size=rows)
        return data.draw(st.lists(row, min_size=height, max_size=height))

    left, right = matrix(groups), matrix(columns)
    x, y = (
        ring.encode([number for row in side for number in row]).reshape(len(side), rows, *ring.words)
        for side in (left, right)
    )
    expected = [
        wrapped(ring, sum(a * b for a, b in zip(one, other, strict=True))) for one in left for other in right
    ]
    assert ring.decode(ring.cross(x, y)) == expected


@BOTH
def test_inner_products_of_many_rows_of_the_largest_words_stay_exact(ring: Ring) -> None:
    """Longer than the pieces whose limbs are added up as floating point; every limb at its largest."""
    rows = (1 << 20) + 3_000
    for number in (-1, wrapped(ring, (1 << 64) - 1)):
        x = np.broadcast_to(ring.encode([number]), (rows, *ring.words))[None]
        assert ring.decode(ring.cross(x, x)) == [wrapped(ring, rows * number**2)]


@BOTH
@given(data=st.data())
def test_elements_travel_as_little_endian_bytes(ring: Ring, data: st.DataObject) -> None:
    listed = data.draw(st.lists(signed(ring), max_size=6))
    x = ring.encode(listed)
    raw = bytes(ring.raw(x))
    assert raw == b"".join(number.to_bytes(ring.size, "little", signed=True) for number in listed)
    assert ring.decode(ring.from_raw(raw, (len(listed),))) == listed


@BOTH
def test_bytes_of_another_size_than_the_public_shape_are_refused(ring: Ring) -> None:
    for wrong in (0, ring.size * 3 - 1, ring.size * 3 + 1):
        with pytest.raises(LinkBroken):
            ring.from_raw(bytes(wrong), (3,))


@pytest.mark.parametrize("bits", [BITS64, BITS128], ids=repr)
@given(data=st.data())
def test_bits_add_by_xor_and_multiply_by_and(bits: Ring, data: st.DataObject) -> None:
    wide = st.integers(0, (1 << bits.bits) - 1)
    a, b = data.draw(wide), data.draw(wide)
    by = data.draw(st.integers(0, bits.bits - 1))
    ring = RINGS[bits.bits]
    x, y = (ring.encode([wrapped(ring, number)]) for number in (a, b))

    def unsigned(words) -> int:
        return int.from_bytes(bytes(bits.raw(words)), "little")

    assert unsigned(bits.add(x, y)) == a ^ b == unsigned(bits.sub(x, y))
    assert unsigned(bits.mul(x, y)) == a & b
    assert unsigned(moved_up(x, by, bits)) == (a << by) % (1 << bits.bits)


@BOTH
def test_whole_columns_are_encoded_at_once_and_floating_point_never(ring: Ring) -> None:
    column = np.array([0, -1, 2**62, -(2**63)])
    assert ring.decode(ring.encode(column)) == column.tolist()
    with pytest.raises(TypeError):
        ring.encode(np.array([1.5]))


@BOTH
def test_a_number_that_does_not_fit_is_refused_without_telling_it(ring: Ring) -> None:
    secret = (1 << (ring.bits - 1)) + 77
    for number in (secret, -secret):
        with pytest.raises(RangeTooWide) as refused:
            ring.encode([1, number])
        assert str(secret) not in str(refused.value)


# ------------------------------------------------------------------------------------------ ranges (75)


@given(rows=st.integers(1, 10**9), cap=st.integers(0, 10**30))
def test_the_ring_that_is_chosen_holds_the_largest_sum_with_its_sign(rows: int, cap: int) -> None:
    try:
        ring = RINGS[ring_bits(rows * cap)]
    except RangeTooWide:
        assert rows * cap >= 1 << 127
        return
    assert wrapped(ring, rows * cap) == rows * cap
    assert wrapped(ring, -rows * cap) == -rows * cap
    if ring is RING128:
        assert wrapped(RING64, rows * cap) != rows * cap, "64 bits would have wrapped around"
