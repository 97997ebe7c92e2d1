"""Promise: comparisons, equality and what a secret bit lets through are those of whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.protocols import boolean
from mpc.protocols.boolean import at_least, equals, every, select, to_bits, to_numbers
from mpc.protocols.opening import open_to_all
from mpc.protocols.replicated import Server
from mpc.protocols.ring import BITS64, RING64, Ring
from plans.errors import Defect
from tests.mpc import trio
from tests.mpc.test_replicated import dealt
from tests.mpc.test_ring import BOTH, signed

few = settings(max_examples=20, deadline=None)


def in_reach(ring: Ring) -> st.SearchStrategy[int]:
    """Numbers whose differences keep their sign: |x| < 2^(bits−2)."""
    bound = 1 << (ring.bits - 2)
    return (
        st.sampled_from([0, 1, -1, bound - 1, -bound]) | st.integers(-bound, bound - 1) | st.integers(-9, 9)
    )


@BOTH
@few
@given(data=st.data(), dealer=st.integers(0, 2))
def test_bits_of_a_number_are_its_twos_complement(ring: Ring, data: st.DataObject, dealer: int) -> None:
    listed = data.draw(st.lists(signed(ring), min_size=1, max_size=8))
    found = trio.run(lambda me: to_bits(me, dealt(me, ring, dealer, listed)))
    assert ring.decode(trio.opened(found)) == listed


@BOTH
@few
@given(data=st.data())
def test_comparing_with_public_thresholds_agrees_with_whole_numbers(ring: Ring, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(in_reach(ring), in_reach(ring)), min_size=1, max_size=8))
    rows += [(a, a) for a, _ in rows[:2]]  # the edge itself
    listed, thresholds = [a for a, _ in rows], ring.encode([b for _, b in rows])

    def program(me: Server) -> list:
        x = dealt(me, ring, 1, listed)
        reached, same = at_least(me, x, thresholds), equals(me, x, thresholds)
        let_through = select(me, reached, x)
        both = every(me, [reached, same, reached])
        return [reached, same, let_through, to_numbers(me, ring, both), select(me, both, x)]

    found = trio.run(program)
    opened = [trio.numbers([server[which] for server in found]) for which in range(5)]
    equal = [int(a == b) for a, b in rows]
    assert opened == [
        [int(a >= b) for a, b in rows],
        equal,
        [a if a >= b else 0 for a, b in rows],
        equal,
        [a if a == b else 0 for a, b in rows],
    ]


@pytest.mark.parametrize("shape", [(1,), (2, 3), (0,)])
def test_any_shape_is_compared(shape: tuple[int, ...]) -> None:
    size = int(np.prod(shape))

    def program(me: Server):
        x = dealt(me, RING64, 0, list(range(size))).reshape(*shape)
        return open_to_all(me, at_least(me, x, RING64.encode([2])))

    expected = (np.arange(size) >= 2).astype(np.uint64).reshape(shape)
    assert all(np.array_equal(found, expected) for found in trio.run(program))


def test_the_smallest_group_of_a_cell_is_kept_back_and_the_recipient_sees_zeros() -> None:
    """What the oblivious mode does: [count ≥ k], bit·sum and bit·count; the sums of small groups stay unseen."""
    counts, sums, least = [0, 9, 10, 11, 4_000_000], [0, 55, -66, 77, 88], 10

    def program(me: Server) -> list:
        count, total = dealt(me, RING64, 0, counts), dealt(me, RING64, 1, sums)
        reached = to_numbers(me, RING64, at_least(me, count, RING64.encode([least])))
        return [reached, boolean.multiply(me, reached, total), boolean.multiply(me, reached, count)]

    found = trio.run(program)
    opened = [trio.numbers([server[which] for server in found]) for which in range(3)]
    assert opened == [[0, 0, 1, 1, 1], [0, 0, -66, 77, 88], [0, 0, 10, 11, 4_000_000]]


COSTS = {
    "at_least": (lambda me, x, bits: at_least(me, x, RING64.encode([1])), (15, 13, 13)),
    "equals": (lambda me, x, bits: equals(me, x, RING64.encode([1])), (21, 19, 19)),
    "to_numbers": (lambda me, x, bits: to_numbers(me, RING64, bits), (3, 1, 1)),
    "select": (lambda me, x, bits: select(me, bits, x), (4, 2, 2)),
}


@pytest.mark.parametrize("name", COSTS)
def test_it_costs_what_the_page_says(name: str) -> None:
    """docs/shares.md: how many words each server sends for one element."""
    play, words = COSTS[name]

    def program(me: Server) -> int:
        def sent() -> int:
            return sum(traffic.sent_bytes for traffic in me.channel.traffic().values())

        x, bits = dealt(me, RING64, 1, [0] * 100), dealt(me, BITS64, 1, [1] * 100)
        before = sent()
        play(me, x, boolean.bit(bits, 0))
        return sent() - before

    assert trio.run(program) == [100 * 8 * each for each in words]


def test_no_bit_cannot_be_combined() -> None:
    with pytest.raises(Defect):
        trio.run(lambda me: every(me, []))
