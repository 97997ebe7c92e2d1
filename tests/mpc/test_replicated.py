"""Promise: three servers compute on shares exactly what whole numbers would give, and agree on every share.

The oracle is Python's integers. `trio.opened` takes each share from two servers, so every test here also checks
that the replicas agree.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.protocols import replicated
from mpc.protocols.replicated import (
    Grouped,
    Outsider,
    Server,
    Shared,
    deal,
    inner_products,
    known_to_two,
    multiply,
    public,
    refresh,
    zero_part,
)
from mpc.protocols.ring import BITS64, BITS128, RING64, RING128, RINGS, Ring
from plans.errors import Defect
from tests.mpc import trio
from tests.mpc.test_ring import BOTH, pairs, wrapped

few = settings(max_examples=25, deadline=None)


def dealt(me: Server, ring: Ring, dealer: int, numbers: list[int] | np.ndarray) -> Shared:
    elements = ring.encode(numbers)
    return deal(me, ring, dealer, elements if me.place == dealer else None, ring.shape(elements))


@BOTH
@few
@given(data=st.data(), dealer=st.integers(0, 2))
def test_what_a_server_shares_is_what_it_had(ring: Ring, data: st.DataObject, dealer: int) -> None:
    listed = [a for a, _ in data.draw(pairs(ring))]
    assert trio.numbers(trio.run(lambda me: dealt(me, ring, dealer, listed))) == listed


@BOTH
@few
@given(data=st.data())
def test_what_an_outsider_shares_is_what_it_had(ring: Ring, data: st.DataObject) -> None:
    drawn = data.draw(pairs(ring))
    lists = [[a for a, _ in drawn], [b for _, b in drawn]]

    def shares(owner: Outsider) -> None:
        for numbers in lists:
            owner.deal(ring, ring.encode(numbers))

    def program(me: Server) -> list[Shared]:
        inlet = trio.inlet("tax", me.place)
        return [inlet.take(me, ring, (len(drawn),)) for _ in lists]

    found = trio.run(program, {"tax": shares})
    assert [trio.numbers([server[which] for server in found]) for which in (0, 1)] == lists


@BOTH
@few
@given(data=st.data())
def test_sums_and_products_on_shares_are_those_of_whole_numbers(ring: Ring, data: st.DataObject) -> None:
    drawn = data.draw(pairs(ring, 6))
    left, right = [a for a, _ in drawn], [b for _, b in drawn]

    def program(me: Server) -> list[Shared]:
        x, y = dealt(me, ring, 0, left), dealt(me, ring, 2, right)
        known = ring.encode(right)
        return [
            replicated.add(x, y),
            replicated.sub(x, y),
            replicated.scale(x, known),
            replicated.add_public(me, x, known),
            replicated.total(x),
            multiply(me, x, y),
            inner_products(me, x.reshape(1, -1), y.reshape(1, -1)),
            refresh(me, public(me, ring, known)),
        ]

    found = trio.run(program)
    opened = [trio.numbers([server[which] for server in found]) for which in range(8)]
    products = [a * b for a, b in drawn]
    expected = [
        [a + b for a, b in drawn],
        [a - b for a, b in drawn],
        products,
        [a + b for a, b in drawn],
        [sum(left)],
        products,
        [sum(products)],
        right,
    ]
    assert opened == [[wrapped(ring, number) for number in numbers] for numbers in expected]


@pytest.mark.parametrize("bits", [BITS64, BITS128], ids=repr)
@few
@given(data=st.data())
def test_the_same_code_works_on_bits(bits: Ring, data: st.DataObject) -> None:
    ring = RINGS[bits.bits]
    drawn = data.draw(pairs(ring, 6))

    def program(me: Server) -> Shared:
        return multiply(
            me, dealt(me, bits, 0, [a for a, _ in drawn]), dealt(me, bits, 1, [b for _, b in drawn])
        )

    both = trio.run(program)
    assert ring.decode(trio.opened(both)) == [a & b for a, b in drawn]


@BOTH
@few
@given(data=st.data(), groups=st.integers(1, 5), piece=st.integers(1, 4))
def test_grouped_sums_in_pieces_are_the_sums_of_each_group(
    ring: Ring, data: st.DataObject, groups: int, piece: int
) -> None:
    """Also rows that stand for nobody (code −1)."""
    rows = data.draw(
        st.lists(st.tuples(st.integers(-1, groups - 1), st.integers(-(10**9), 10**9)), min_size=1)
    )
    codes, values = (np.array([row[side] for row in rows]) for side in (0, 1))
    pieces = [slice(start, start + piece) for start in range(0, len(rows), piece)]

    def helps(helper: Outsider) -> None:
        for part in pieces:
            helper.deal(ring, ring.widen((codes[part] == np.arange(groups)[:, None]).astype(np.int64)))
            helper.deal(ring, ring.widen(values[None, part]))

    def program(me: Server) -> Shared:
        inlet, sums = trio.inlet("helper", me.place), Grouped(ring, groups, 2)
        ones = public(me, ring, ring.widen(np.ones((1, piece), dtype=np.int64)))
        for part in pieces:
            width = len(codes[part])
            hot = inlet.take(me, ring, (groups, width))
            here = inlet.take(me, ring, (1, width))
            sums.add(hot, replicated.joined([here, ones[:, :width]]))
        return sums.finish(me)

    found = trio.numbers(trio.run(program, {"helper": helps}))
    expected = [
        number
        for group in range(groups)
        for number in (int(values[codes == group].sum()), int((codes == group).sum()))
    ]
    assert found == expected


def test_a_grouped_sum_costs_as_many_elements_as_groups_and_no_more() -> None:
    """However many rows: FACTS.md, "one element per opened inner product"."""

    def sent(rows: int) -> int:
        def program(me: Server) -> int:
            hot, values = (public(me, RING64, np.ones((g, rows), dtype=np.uint64)) for g in (7, 1))
            inner_products(me, hot, values)
            return sum(traffic.sent_bytes for traffic in me.channel.traffic().values())

        return trio.run(program)[0]

    assert sent(1) == sent(5_000) == 7 * 8


def test_an_outsider_sends_one_component_and_the_first_server_receives_nothing() -> None:
    def program(me: Server) -> int:
        trio.inlet("tax", me.place).take(me, RING64, (1_000,))
        return me.channel.traffic()["tax"].received_bytes if "tax" in me.channel.traffic() else 0

    received = trio.run(program, {"tax": lambda owner: owner.deal(RING64, RING64.zeros((1_000,)))})
    assert received == [0, 8_000, 8_000]


@BOTH
def test_the_parts_of_a_zero_add_up_to_zero_and_no_part_is_zero(ring: Ring) -> None:
    parts = trio.run(lambda me: zero_part(me, ring, (4,)))
    assert ring.decode(ring.add(ring.add(parts[0], parts[1]), parts[2])) == [0] * 4
    assert all(all(ring.decode(part)) for part in parts)


def test_shares_print_no_number() -> None:
    share = Shared(RING64, np.array([424_242], dtype=np.uint64), np.array([353_535], dtype=np.uint64))
    assert "424242" not in repr(share) and "353535" not in repr(share)


def test_only_a_dealer_has_the_value() -> None:
    def twice(me: Server) -> Shared:
        return deal(me, RING64, 0, RING64.zeros((1,)), (1,))

    def nobody(me: Server) -> Shared:
        return deal(me, RING64, 0, None, (1,))

    def third(me: Server) -> Shared:
        return known_to_two(me, RING64, 2, RING64.zeros((1,)), (1,))

    for program in (twice, nobody, third):
        with pytest.raises(Defect):
            trio.run(program)


@pytest.mark.parametrize("component", [0, 1, 2])
def test_what_two_servers_know_is_shared_without_a_message(component: int) -> None:
    holders = {component, (component - 1) % 3}

    def program(me: Server) -> Shared:
        value = RING128.encode([-5, 7]) if me.place in holders else None
        return known_to_two(me, RING128, component, value, (2,))

    assert trio.numbers(trio.run(program)) == [-5, 7]
