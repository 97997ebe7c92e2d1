"""Promise: one table in parts gives the same figures as all its rows would, and no row leaves its owner."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.protocols import replicated
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.ring import RINGS
from mpc.protocols.stacked import own_sums
from plans.errors import Malformed, TooLarge
from plans.joint import Scheme
from tests.inside.joint_cases import operand
from tests.mpc.joint_world import Owner, mismatches, oracle, run, stacked, stacked_plan, sums_in_clear
from tests.mpc.test_computation import column, owner

EAST, WEST, SOUTH, CIVIL, TAX, OFFICE = "nm/east", "nm/west", "nm/south", "nm/civil", "nm/tax", "nm/office"
APART, AMONG, ALL = (CIVIL, OFFICE, TAX), (WEST, CIVIL, TAX), (SOUTH, EAST, WEST)
SERVING = pytest.mark.parametrize("servers", [APART, AMONG, ALL], ids=["apart", "one serves", "all serve"])


def holders(rng: np.random.Generator, count: int = 300, sizes: tuple[int, ...] = (3, 2)) -> list[Owner]:
    """Three holders with two numbers each, the same scale and other ranges; many persons are at two of them."""
    ranges = {
        EAST: ((0, 1000, 0), (0, 1, 0)),
        WEST: ((5, 90, 0), (0, 30, 0)),
        SOUTH: ((0, 40_000, 0), (0, 1, 0)),
    }
    return [
        owner(domain, rng, count, 2 * count, ranges=each, sizes=sizes, skew=2.0)
        for domain, each in ranges.items()
    ]


def compare(owners: list[Owner], servers: tuple[str, ...], bits: int = 64, minimum: int = 4) -> None:
    bound = sum(len(each.persons) + each.spare for each in owners)
    joint = stacked_plan(owners, servers, Scheme(bits, bound, minimum, 90))
    went = run(joint, owners)
    assert mismatches(went.answer(), oracle(joint, owners), joint.reading.figures) == []


@SERVING
@pytest.mark.parametrize("bits", [64, 128])
def test_every_function_equals_duckdb_over_all_rows(servers: tuple[str, ...], bits: int) -> None:
    compare(holders(np.random.default_rng(6)), servers, bits)


def test_numbers_below_zero_and_missing_ones_and_ranges_that_differ() -> None:
    rng = np.random.default_rng(8)
    owners = [
        owner(EAST, rng, 200, 300, ranges=((-50, 70, 0.2),), sizes=(4,)),
        owner(WEST, rng, 250, 300, ranges=((0, 900, 0),), sizes=(4,)),
    ]
    compare(owners, APART)


def test_sixteen_holders_of_one_table() -> None:
    rng = np.random.default_rng(9)
    owners = [owner(f"nm/h{place:02d}", rng, 40, 60, ranges=((0, 9, 0),)) for place in range(16)]
    compare(owners, (CIVIL, "nm/h03", TAX), minimum=2)


@st.composite
def anybody(draw: st.DrawFn) -> list[Owner]:
    """Two to four holders with any ranges, missing values, groups, skew, and any number of rows."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    sizes = draw(st.lists(st.integers(1, 4), max_size=2))
    columns = draw(st.integers(0, 2))
    found = []
    for domain in (EAST, WEST, SOUTH, "nm/north")[: draw(st.integers(2, 4))]:
        ranges = []
        for _ in range(columns):
            low = draw(st.sampled_from((0, 0, -7, -1000, 5)))
            most = low + draw(st.sampled_from((0, 1, 50, 10**6)))
            ranges.append((low, most, draw(st.sampled_from((0, 0, 0.4, 1)))))
        count = draw(st.integers(0, 60))
        skew = draw(st.sampled_from((1, 4)))
        found.append(owner(domain, rng, count, 60, ranges=ranges, sizes=sizes, skew=skew))
    return found


@settings(max_examples=30, deadline=None)
@given(anybody(), st.sampled_from((APART, AMONG, ALL)), st.integers(1, 4))
def test_any_schema_equals_duckdb(owners: list[Owner], servers: tuple[str, ...], minimum: int) -> None:
    compare(owners, servers, 128, minimum)


# ------------------------------------------------------------------------------------------ one owner's sums


def alone(owners: list[Owner], bits: int) -> list[list[int]]:
    """The sums of the first holder by itself, `[sums][cells]`."""
    joint, ring, first = stacked(owners), RINGS[bits], owners[0]
    count = len(first.persons)
    keys, present = np.zeros((count, 16), dtype=np.uint8), np.ones((1, count), dtype=np.uint8)
    values = np.ma.filled(first.values[0], 0).astype(np.int64)[None]
    numbers = own_sums(OwnRows(keys, values, present, first.groups[0].astype(np.uint16)), joint, 0, ring)
    return [ring.decode(row) for row in numbers]


def wide(count: int, largest: int, sizes: tuple[int, ...] = (3,)) -> list[Owner]:
    rng = np.random.default_rng(12)
    groups = tuple(rng.integers(0, size, count) for size in sizes)
    first = Owner(
        EAST, np.arange(count), (operand("v0", -largest, largest),), (column(rng, count, -largest, largest, 0),),
        sizes, groups,
    )  # fmt: skip
    nobody = tuple(np.zeros(0, dtype=np.int64) for _ in sizes)
    second = Owner(
        WEST, np.arange(0), first.operands, (np.ma.array(np.zeros(0, dtype=np.int64)),), sizes, nobody
    )
    return [first, second]


@pytest.mark.parametrize(("bits", "largest"), [(64, 10**6), (128, 10**15), (128, 2**62)])
def test_sums_of_more_rows_than_are_added_at_once_are_exact(bits: int, largest: int) -> None:
    """2^20 rows are added up at a time; squares of 2^62 take 124 bits of the ring, and wrap where they leave it."""
    owners = wide((1 << 20) + 4_321, largest)
    joint = stacked_plan(owners, APART)
    expected = sums_in_clear(joint, owners) if largest < 2**60 else by_python(owners[0])
    assert wrapped(alone(owners, bits), bits) == wrapped(expected, bits)


def by_python(owner: Owner) -> list[list[int]]:
    """Rows, total, magnitude and squares, as `stacked` lists them, with Python's whole numbers."""
    values = owner.values[0].tolist()
    cells = [[values[at] for at in np.flatnonzero(owner.groups[0] == code)] for code in range(owner.sizes[0])]
    makes: list[Any] = [len, sum, lambda each: sum(map(abs, each)), lambda each: sum(x * x for x in each)]
    return [[make(cell) for cell in cells] for make in makes]


def wrapped(sums: Any, bits: int) -> list[list[int]]:
    return [[number % (1 << bits) for number in row] for row in sums]


def test_a_group_outside_the_public_lists_and_rows_beyond_the_bound_are_refused() -> None:
    owners = holders(np.random.default_rng(1), 20)
    rows, asked = owners[0].rows(), stacked(owners)
    beyond = OwnRows(rows.keys, rows.values, rows.present, np.where(rows.groups == 0, 6, rows.groups))
    with pytest.raises(Malformed):
        own_sums(beyond, asked, 0, RINGS[64])
    many = Owner(
        EAST, np.arange(28), owners[0].operands, (np.ma.zeros(28, int),) * 2, (3, 2), (np.zeros(28, int),) * 2
    )
    with pytest.raises(TooLarge):
        own_sums(many.rows(), asked, 0, RINGS[64])


def test_control_where_a_server_forgets_a_holder_the_oracle_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicated, "add", lambda x, _y: x)
    with pytest.raises(AssertionError):
        compare(holders(np.random.default_rng(6)), APART)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_million_rows_are_as_exact() -> None:
    owners = wide(10**7, 10**6, (50,))
    assert wrapped(alone(owners, 128), 128) == wrapped(
        sums_in_clear(stacked_plan(owners, APART), owners), 128
    )
