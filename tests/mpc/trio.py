"""Three servers as threads, with dealers beside them, for the tests of the protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keys.randomness import Masks, MaskStream
from mpc.protocols.memory import MemoryChannel, together
from mpc.protocols.opening import hand_over, reconstruct
from mpc.protocols.replicated import Inlet, Outsider, Server, Shared, server
from mpc.protocols.ring import Words

SERVERS = ("north", "south", "west")
DIGEST = "sha256:" + "ab" * 32
SEEDS = tuple(bytes([place]) * 32 for place in (1, 2, 3))

Program = Callable[[Server], Any]


def masks(seed: bytes, attempt: int = 0, stage: str = "compute") -> Masks:
    return Masks(seed, DIGEST, attempt, stage)


def as_server(place: int, channel: Any, attempt: int = 0) -> Server:
    """The server at a place: it knows seed `place` with the next one, and seed `place − 1` with the previous."""
    return server(
        place, SERVERS, channel, (masks(SEEDS[place], attempt), masks(SEEDS[(place - 1) % 3], attempt))
    )


def run(
    program: Program,
    dealers: Mapping[str, Callable[[Outsider], None]] | None = None,
    channel: Callable[[int, MemoryChannel], Any] = lambda place, channel: channel,
    attempt: int = 0,
) -> list[Any]:
    """What the program gives at the servers 0, 1 and 2; `channel` may put something between server and link."""
    programs: dict[str, Callable[[MemoryChannel], Any]] = {}
    for place, name in enumerate(SERVERS):
        programs[name] = lambda end, place=place: program(as_server(place, channel(place, end), attempt))
    for name, deal in (dealers or {}).items():
        programs[name] = lambda end, name=name, deal=deal: deal(outsider(name, end))
    found, _ = together(programs, patience=120)
    return [found[name] for name in SERVERS]


def streams(name: str) -> tuple[MaskStream, MaskStream]:
    seeds = (name.encode().ljust(32, b"1"), name.encode().ljust(32, b"2"))
    return masks(seeds[0]).stream("first"), masks(seeds[1]).stream("second")


def outsider(name: str, channel: MemoryChannel) -> Outsider:
    return Outsider(name, SERVERS, channel, *streams(name))


def inlet(name: str, place: int) -> Inlet:
    """Server 0 has both streams, server 1 the second and server 2 the first."""
    first, second = streams(name)
    return Inlet(name, None if place == 1 else first, None if place == 2 else second)


def opened(shares: list[Shared]) -> Words:
    """The value behind what the three servers hold, each share taken from two of them."""
    return reconstruct(shares[0].ring, shares[0].shape, [hand_over(share) for share in shares])


def numbers(shares: list[Shared]) -> list[int]:
    """The same as signed numbers, in C order."""
    return shares[0].ring.decode(opened(shares))
