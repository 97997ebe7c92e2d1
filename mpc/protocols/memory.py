"""Links between parties that are threads of one process: for tests, benchmarks and rehearsals.

Faithful to the links between boxes: the same headers and rules (`channel.Conversation`), a copy of every
payload, `send` that does not wait, and an end of waiting.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mpc.protocols.channel import Conversation, Header, Payload, Traffic
from plans.errors import LinkBroken, PeerLost

Wire = queue.SimpleQueue[tuple[bytes, bytes] | None]


class MemoryChannel:
    """One party's end: a wire from and to each peer."""

    def __init__(self, me: str, wires: Mapping[tuple[str, str], Wire], patience: float) -> None:
        self.me = me
        self._wires = wires
        self._patience = patience
        peers = [there for here, there in wires if here == me]
        self._conversations = {peer: Conversation(peer) for peer in peers}
        self._closed = False

    def send(self, peer: str, tag: str, payload: Payload) -> None:
        """Send one message (see `Channel`)."""
        if self._closed:
            raise PeerLost("this end of the link is closed", peer)
        header = self._with(peer).next_out(tag, len(memoryview(payload).cast("B")))
        self._wires[self.me, peer].put((header.pack(), bytes(payload)))

    def receive(self, peer: str, tag: str, size: int) -> bytes:
        """Return the next message of a peer (see `Channel`)."""
        conversation = self._with(peer)
        try:
            message = self._wires[peer, self.me].get(timeout=self._patience)
        except queue.Empty:
            raise PeerLost(f"nothing came in {self._patience} s where {tag} is due", peer) from None
        if message is None:
            raise PeerLost(f"the link closed where {tag} is due", peer)
        header, payload = message
        conversation.expect(Header.unpack(header), tag, size)
        if len(payload) != size:
            raise LinkBroken(f"message {tag} has another size than its header says", peer)
        return payload

    def traffic(self) -> Mapping[str, Traffic]:
        """Return what was sent and received so far, by peer."""
        return {peer: conversation.traffic() for peer, conversation in self._conversations.items()}

    def close(self) -> None:
        """Tell every peer that nothing will come any more."""
        self._closed = True
        for peer in self._conversations:
            self._wires[self.me, peer].put(None)

    def _with(self, peer: str) -> Conversation:
        if peer not in self._conversations:
            raise LinkBroken("there is no link to this party", peer)
        return self._conversations[peer]


def network(parties: Iterable[str], patience: float = 60.0) -> dict[str, MemoryChannel]:
    """Return an end for each party, linked with all others; `patience` is how long a `receive` waits, in seconds."""
    names = list(parties)
    wires: dict[tuple[str, str], Wire] = {
        (here, there): queue.SimpleQueue() for here in names for there in names if here != there
    }
    return {name: MemoryChannel(name, wires, patience) for name in names}


T = TypeVar("T")


def together(
    programs: Mapping[str, Callable[[MemoryChannel], T]], patience: float = 60.0
) -> tuple[dict[str, T], dict[str, MemoryChannel]]:
    """Run each party's program in a thread of its own; return what each gave, and the ends of the links.

    A party that fails closes its links, so that all others end too. The first error that is not a lost peer is
    raised, or else the first that is: that one names the cause.
    """
    ends = network(programs, patience)

    def play(party: str) -> T:
        try:
            return programs[party](ends[party])
        finally:
            ends[party].close()

    with ThreadPoolExecutor(max_workers=len(programs)) as pool:
        playing = {party: pool.submit(play, party) for party in programs}
    errors = [error for done in playing.values() if (error := done.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, PeerLost)):
        raise error
    return {party: done.result() for party, done in playing.items()}, ends
