"""Promise: all that one server receives, alone and together with what it draws itself, is uniform.

The inputs are as far from uniform as can be (all zero, or all the same number), over many elements. Counts of byte
values are compared with equal ones by Pearson's chi-square with 255 degrees of freedom, whose values above 400 have a
probability below 10^-7. Seeds are fixed, so that the test is not chance. The control switches the masks off.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from keys.randomness import MaskStream
from mpc.protocols.boolean import at_least, equals, every, select, to_numbers
from mpc.protocols.memory import MemoryChannel
from mpc.protocols.replicated import Outsider, Server, Shared, deal, inner_products, multiply
from mpc.protocols.ring import RING64, RING128, Ring
from tests.mpc import trio
from tests.mpc.test_ring import BOTH

ROWS = 4_096
LIMIT = 400.0


def chi_square(raw: bytes) -> float:
    counts = np.bincount(np.frombuffer(raw, dtype=np.uint8), minlength=256)
    expected = len(raw) / 256
    return float(((counts - expected) ** 2 / expected).sum())


class Noting:
    """A server's end that keeps what comes, by the kind of message."""

    def __init__(self, end: MemoryChannel, kept: dict[str, list[bytes]]) -> None:
        self._end, self._kept = end, kept

    def send(self, peer: str, tag: str, payload: Any) -> None:
        self._end.send(peer, tag, payload)

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        came = self._end.receive(peer, tag, size)
        self._kept[f"{peer}:{tag}"].append(came)
        return came

    def traffic(self) -> Any:
        return self._end.traffic()


def views(ring: Ring, secret: int) -> tuple[list[dict[str, list[bytes]]], list[list[Shared]]]:
    """What each server received, and what it then holds, in a computation that uses every protocol."""

    def shares(owner: Outsider) -> None:
        owner.deal(ring, ring.encode([secret] * ROWS))
        owner.deal(ring, ring.widen(np.repeat([[1], [0], [0]], ROWS, axis=1)))

    def program(me: Server) -> list[Shared]:
        inlet, column = trio.inlet("tax", me.place), ring.encode([secret] * ROWS)
        y = inlet.take(me, ring, (ROWS,))
        hot = inlet.take(me, ring, (3, ROWS))
        dealt = [deal(me, ring, who, column if me.place == who else None, (ROWS,)) for who in range(3)]
        product = multiply(me, dealt[0], y)
        cells = inner_products(me, hot.reshape(3 * 64, -1), y.reshape(64, -1))
        reached = at_least(me, y, ring.encode([5]))
        same = equals(me, y, ring.encode([5]))
        both = every(me, [reached, same])
        return [y, hot, *dealt, product, cells, to_numbers(me, ring, both), select(me, reached, y)]

    kept: list[dict[str, list[bytes]]] = [defaultdict(list) for _ in range(3)]
    held = trio.run(program, {"tax": shares}, channel=lambda place, end: Noting(end, kept[place]))
    return kept, held


def statistics(ring: Ring, secret: int) -> dict[str, float]:
    """Chi-square of every message that came, and of every pair of held shares, also added and taken away."""
    kept, held = views(ring, secret)
    found = {}
    for place, (messages, shares) in enumerate(zip(kept, held, strict=True)):
        for kind, raw in messages.items():
            found[f"{place} received {kind}"] = chi_square(b"".join(raw))
        for which, share in enumerate(shares):
            for how, both in (
                ("own", share.own),
                ("next", share.next),
                ("sum", share.ring.add(share.own, share.next)),
                ("difference", share.ring.sub(share.own, share.next)),
            ):
                found[f"{place} holds {which} {how}"] = chi_square(bytes(share.ring.raw(both)))
    return found


@BOTH
@pytest.mark.parametrize("secret", [0, -1, 123_456_789])
def test_what_one_server_sees_is_uniform(ring: Ring, secret: int) -> None:
    found = statistics(ring, secret)
    assert len(found) > 120
    assert {what: value for what, value in found.items() if value > LIMIT} == {}


def test_control_without_masks_the_same_statistic_sees_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MaskStream, "draw", lambda self, size: np.zeros(size, dtype=np.uint8))
    found = statistics(RING64, 123_456_789)
    assert sum(value > LIMIT for value in found.values()) > 0.9 * len(found)


def test_control_with_one_stream_missing_the_statistic_still_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the masks between servers 1 and 2 are off: the product that server 0 then receives is not uniform."""
    draw = MaskStream.draw
    quiet = trio.masks(trio.SEEDS[1]).stream("servers/1-2").draw(16).tobytes()

    def partly(self: MaskStream, size: int) -> np.ndarray:
        first = self.position == 0 and draw(self, 16).tobytes() == quiet
        if first:
            off.add(id(self))
        return np.zeros(size, dtype=np.uint8) if id(self) in off else draw(self, size)

    off: set[int] = set()
    monkeypatch.setattr(MaskStream, "draw", partly)
    assert any(value > LIMIT for value in statistics(RING128, 7).values())
