"""How all parties end an attempt with the same failure: two rounds in which the least that anybody knows of is flooded.

    own failure, or what a peer said ─► round `abort` ─► the least ─► round `agreed` ─► the least of that
                                         a peer that is silent adds that it is lost

Connections that broke are made anew meanwhile: a link that was cut is not a party that died. Who has closed the attempt
before answers with what it ended with, and that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mpc.agent import failure as failures
from mpc.agent.failure import Failure, Told, is_hearsay, least
from mpc.agent.table import Table
from plans.errors import LinkBroken, PeerLost


class Agreement:
    """The end of one attempt at one party. `parties` are all of them, the own one included."""

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
        mine = self._least("abort", "agreed", "closed")
        await table.say("abort", mine.plain())
        await self._round("abort")
        first = self._closed() or self._least("abort", silent=True)
        await table.say("agreed", first.plain())
        await self._round("agreed")
        final = self._closed() or least([first, *self._heard("agreed")])
        detail = own.detail if own else "another party ended the attempt"
        return Told(final, f"{final.error()} At this side: {detail}")

    async def _round(self, kind: str) -> None:
        table = self._table
        closed = table.said["closed"]
        await table.hear(
            lambda: all(peer in closed for peer in table.missing(kind)), table.times.round, strict=False
        )

    def _least(self, *kinds: str, silent: bool = False) -> Failure:
        """Return the least failure that is known: the own one, and what peers said; and that silent ones are lost."""
        known = [self._own] if self._own else []
        known += [failure for kind in kinds for failure in self._heard(kind)]
        if silent:
            known += self._silent(kinds[0])
        return least(known) if known else Failure(PeerLost.code, self._table.own, self._table.step)

    def _heard(self, kind: str) -> list[Failure]:
        """Return what peers said, each for itself or as heard of one that is gone."""
        told = {
            peer: self._read(peer, said) for peer, said in self._table.said[kind].items() if not _well(said)
        }
        words = {peer: self._read(peer, said) for peer, said in self._table.said["abort"].items()}
        words[self._table.own] = self._own or Failure(PeerLost.code, self._table.own, self._table.step)
        broken = LinkBroken.code
        return [
            Failure(broken, peer, self._table.step) if is_hearsay(failure, peer, words) else failure
            for peer, failure in told.items()
        ]

    def _read(self, peer: str, said: Mapping[str, Any]) -> Failure:
        return failures.read(dict(said), peer, self._parties, self._table.step)

    def _silent(self, kind: str) -> list[Failure]:
        closed = self._table.said["closed"]
        lost = [peer for peer in self._table.missing(kind) if peer not in closed]
        return [Failure(PeerLost.code, peer, self._table.step) for peer in lost]

    def _closed(self) -> Failure | None:
        said = self._heard("closed")
        return least(said) if said else None


def _well(said: Mapping[str, Any]) -> bool:
    return said.get("well") is True
