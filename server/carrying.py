"""Carrying rosters and descriptions of parties from the letter box to the keepers of their peers.

Every keeper says which domains it knows by their root keys, and the number of what it holds of each. What is newer in
the letter box is offered to it, and it believes what that root key signed (`keeper.peers`); the carrier is believed
nothing. What a keeper refuses is not offered to it again for a while, and hides no other statement, whatever number it
claims to have.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping

from keeper.api import KeeperClient
from plans.errors import DarkroomError, Unreachable
from plans.statements import Signed, Type
from server.site import Site
from store import api as store

CARRIED = (Type.ROSTER, Type.PARTY)

AGAIN_S = 600.0
"""Seconds after which a refused statement is offered once more: it may be valid by then, or its root key known."""


class Carrier:
    """Who carries for one site; one thread at a time."""

    def __init__(self, site: Site, database: store.Database) -> None:
        self._site, self._database = site, database
        self._refused: dict[tuple[str, str], float] = {}

    def carry(self) -> int:
        """Offer every keeper what is newer than what it holds; return how many statements were taken.

        A keeper that does not answer is left out and catches up later.
        """
        taken, now = 0, time.monotonic()
        self._refused = {name: at for name, at in self._refused.items() if now - at < AGAIN_S}
        for owner in self._site.owners():
            keeper = KeeperClient(owner.keeper_socket)
            try:
                held: Mapping[str, Mapping[str, int]] = keeper.status()["peers"]
                for signed in self._newer(owner.domain, held):
                    taken += self._offer(owner.domain, keeper, signed)
            except Unreachable:
                continue
        return taken

    def _newer(self, own: str, held: Mapping[str, Mapping[str, int]]) -> Iterator[Signed]:
        """Yield what a keeper does not hold, the newest of each first; its own roster it has another way."""
        for domain, numbers in held.items():
            for kind in CARRIED:
                if kind is Type.ROSTER and domain == own:
                    continue
                with self._database.reading() as session:
                    rows = store.statements.of_type(session, domain, kind.value)
                read = [
                    Signed.decode(row.signed.encode())
                    for row in rows
                    if (own, row.digest) not in self._refused
                ]
                newer = [signed for signed in read if signed.statement.sequence > numbers[kind.value]]
                yield from sorted(newer, key=lambda signed: -signed.statement.sequence)

    def _offer(self, own: str, keeper: KeeperClient, signed: Signed) -> bool:
        """Offer a statement; return whether it was taken. An older one than was just taken is refused, too."""
        try:
            keeper.meet(signed)
        except Unreachable:
            raise
        except DarkroomError as problem:
            self._refused[own, signed.statement.digest] = time.monotonic()
            said = f"{signed.statement.type} of {signed.statement.domain}"
            sys.stderr.write(f"carrier: the keeper of {own} does not take a {said}: {problem.what}\n")
            return False
        return True
