"""Promise: a share is opened only if two servers say the same of it; one that changes a share is noticed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpc.protocols.memory import MemoryChannel
from mpc.protocols.opening import Pair, hand_over, open_to_all, reconstruct
from mpc.protocols.replicated import Server, multiply
from mpc.protocols.ring import RING64, RING128, Ring
from plans.errors import LinkBroken, SharesDisagree
from tests.mpc import trio
from tests.mpc.test_replicated import dealt
from tests.mpc.test_ring import BOTH

SECRETS = [41, -7, 2**40]


def pairs(ring: Ring) -> list[Pair]:
    return trio.run(lambda me: hand_over(dealt(me, ring, 1, SECRETS)))


def flipped(share: bytes, place: int = 0) -> bytes:
    changed = bytearray(share)
    changed[place] ^= 1
    return bytes(changed)


@BOTH
def test_the_outsider_opens_what_the_servers_hold(ring: Ring) -> None:
    assert ring.decode(reconstruct(ring, (3,), pairs(ring))) == SECRETS


@BOTH
@pytest.mark.parametrize("liar", [0, 1, 2])
@pytest.mark.parametrize("which", [0, 1])
def test_a_server_that_changes_either_of_its_shares_is_noticed(ring: Ring, liar: int, which: int) -> None:
    handed = pairs(ring)
    for place in (0, len(handed[0][0]) - 1):
        lie = list(handed[liar])
        lie[which] = flipped(lie[which], place)
        with pytest.raises(SharesDisagree) as refused:
            reconstruct(ring, (3,), [tuple(lie) if at == liar else pair for at, pair in enumerate(handed)])  # type: ignore[misc]
        assert str(liar) in refused.value.where and "41" not in str(refused.value)


def unsafe_reconstruct(ring: Ring, handed: list[Pair]) -> list[int]:
    """Control: opening as it is without the comparison, one share from each server."""
    first, second, third = (ring.from_raw(own, (3,)) for own, _ in handed)
    return ring.decode(ring.add(ring.add(first, second), third))


def test_control_without_the_comparison_a_changed_share_gives_a_wrong_number() -> None:
    handed = pairs(RING64)
    handed[1] = (flipped(handed[1][0]), handed[1][1])
    assert unsafe_reconstruct(RING64, handed) != SECRETS


@BOTH
def test_wrong_numbers_or_sizes_of_shares_are_refused(ring: Ring) -> None:
    handed = pairs(ring)
    short = (handed[0][0][:-1], handed[0][1][:-1])
    for wrong in (handed[:2], [*handed, handed[0]], [short, *handed[1:]], []):
        with pytest.raises(LinkBroken):
            reconstruct(ring, (3,), wrong)
    with pytest.raises(LinkBroken):
        reconstruct(ring, (4,), handed)


def test_servers_in_another_order_do_not_open() -> None:
    handed = pairs(RING64)
    with pytest.raises(SharesDisagree):
        reconstruct(RING64, (3,), [handed[1], handed[0], handed[2]])


# --------------------------------------------------------------------------------- among the servers


class Lying(MemoryChannel):
    """A server's end that changes one message: every `open`, or every one of another kind."""

    def __init__(self, end: MemoryChannel, kind: str, way: Any) -> None:
        self._end, self._kind, self._way = end, kind, way

    def send(self, peer: str, tag: str, payload: Any) -> None:
        if self._kind in tag:
            tag, payload = self._way(tag, bytes(payload))
        self._end.send(peer, tag, payload)

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        return self._end.receive(peer, tag, size)

    def traffic(self) -> Any:
        return self._end.traffic()

    def close(self) -> None:
        self._end.close()


def compute(me: Server) -> np.ndarray:
    x = dealt(me, RING128, 0, SECRETS)
    return open_to_all(me, multiply(me, x, x))


def test_all_servers_open_the_same() -> None:
    assert [RING128.decode(found) for found in trio.run(compute)] == [[s * s for s in SECRETS]] * 3


@pytest.mark.parametrize("liar", [0, 1, 2])
def test_a_server_that_lies_while_all_open_is_noticed(liar: int) -> None:
    def lies(place: int, end: MemoryChannel) -> Any:
        return Lying(end, "open", lambda tag, raw: (tag, flipped(raw))) if place == liar else end

    with pytest.raises(SharesDisagree):
        trio.run(compute, channel=lies)


@pytest.mark.parametrize("kind", ["deal", "share", "open"])
@pytest.mark.parametrize(
    "way",
    [
        lambda tag, raw: (tag, raw[:-1]),
        lambda tag, raw: (tag, raw + b"x"),
        lambda tag, raw: (tag, b""),
        lambda tag, raw: ("other/" + tag, raw),
    ],
    ids=["truncated", "longer", "empty", "another kind"],
)
def test_a_message_of_wrong_size_or_kind_ends_the_computation(kind: str, way: Any) -> None:
    """ATTACKS 70 and 71: an error of the tree at every server, and no result anywhere."""
    with pytest.raises(LinkBroken):
        trio.run(compute, channel=lambda place, end: Lying(end, kind, way) if place == 0 else end)
