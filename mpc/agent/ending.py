"""How all parties end an attempt with the same failure: two rounds in which the least that anybody knows of is flooded.

    round `abort`    what failed at this side, or that it only heard of a failure; who is silent is lost
    round `agreed`   the least of all that was said

Connections that broke are made anew meanwhile: a link that was cut is not a party that died. Who has closed the attempt
before answers with what it ended with, and that counts. What a party says of itself is believed; what another says of
it counts only if the one is silent, so that nobody is talked into a failure.
"""

from __future__ import annotations

from collections.abc import Iterable

from mpc.agent.failure import HEARD_OF, OF_ITSELF, Failure, Told, first_hand, least, relayed
from mpc.agent.table import Table
from plans.errors import PeerLost
from plans.joint import Step


class Agreement:
    """The end of one attempt at one party."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._parties = (table.own, *table.peers)
        self._own: Failure | None = None

    async def reach(self, own: Told | None) -> Told:
        """Return the failure with which all parties end, and what the owner may know of it.

        `own` is what failed at this side, none if a peer ended the attempt.
        """
        table = self._table
        self._own = own.failure if own else None
        table.reach()
        await table.say("abort", self._own.plain() if self._own else HEARD_OF)
        await self._round("abort", table.peers)
        first = self._closed() or self._first()
        await table.say("agreed", first.plain())
        await self._round("agreed", table.said["abort"])
        final = self._closed() or least([first, *self._relayed("agreed")])
        detail = own.detail if own else "another party ended the attempt"
        return Told(final, f"{final.error()} At this side: {detail}")

    async def _round(self, kind: str, peers: Iterable[str]) -> None:
        """Hear what these peers say in a round; who has ended the attempt, or forgotten it, says nothing any more."""
        table, awaited = self._table, set(peers)

        def heard() -> bool:
            return awaited <= {*table.said[kind], *table.said["closed"], *table.gone}

        await table.hear(heard, table.times.round, strict=False)

    def _first(self) -> Failure:
        """Return the least that is known after the first round: what was said there, and that silent ones are lost."""
        table = self._table
        closed = table.said["closed"]
        lost = [peer for peer in table.missing("abort") if peer not in closed]
        known = [Failure(PeerLost.code, peer, table.step) for peer in lost]
        known += [each for each in self._words().values() if each is not None]
        return least(known) if known else Failure(PeerLost.code, table.own, table.step)

    def _words(self) -> dict[str, Failure | None]:
        """Return what every party that is there said of its own accord, this one included."""
        table = self._table
        said = {
            peer: first_hand(content, peer, self._parties, table.step)
            for peer, content in table.said["abort"].items()
        }
        return {**said, table.own: self._own}

    def _relayed(self, kind: str) -> list[Failure]:
        """Return what peers know from anybody, without what the one concerned says otherwise."""
        words = self._words()
        told = [
            relayed(content, peer, self._parties, self._table.step)
            for peer, content in self._table.said[kind].items()
            if content.get("well") is not True
        ]
        return [failure for failure in told if not _contradicted(failure, words)]

    def _closed(self) -> Failure | None:
        said = self._relayed("closed")
        return least(said) if said else None


def _contradicted(failure: Failure, words: dict[str, Failure | None]) -> bool:
    if failure.code not in OF_ITSELF or failure.step is Step.CHECK:
        return False
    return words.get(failure.party, failure) != failure
