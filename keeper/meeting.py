"""Where the boxes of a joint attempt meet: every keeper waits here for the box statements of the other parties.

    own box asks for keys ─► its statement lies here ─► the agent takes it to the peers
    the agent brings theirs ─► each is verified (`keeper.joint_rules`) ─► the own box has its keys

What lies here is in memory only, for `KEPT_S` seconds: after a restart nobody waits any more, and the attempt has
failed. Waiting holds no lock but the meeting's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from plans.errors import PeerLost, StateConflict
from plans.plan import Plan
from plans.statements import BoxStatement, Signed

WAIT_S = 50.0
"""Seconds that a box waits for its peers: a launcher gives its keeper 60 for an answer (`sandbox.stage`)."""

KEPT_S = 600.0
"""Seconds for which statements of an attempt are kept."""

MOST_OPEN = 64
"""Attempts about which something is kept at a time."""


@dataclass(frozen=True, slots=True)
class AttemptName:
    """An attempt at a joint plan, by the plan's digest."""

    joint: str
    number: int


@dataclass(frozen=True, slots=True)
class Shown:
    """A box statement as its launcher signed it, and the plan of that side's boxes: so sides show each other boxes."""

    signed: Signed
    plan: Plan


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer's box, as the launcher with this key vouches for it."""

    box: BoxStatement
    launcher: str


@dataclass(slots=True)
class _Table:
    begun: float
    own: Shown | None = None
    peers: dict[str, Peer] = field(default_factory=dict)


class Meeting:
    """The attempts that are under way; safe under threads. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tables: dict[AttemptName, _Table] = {}
        self._changed = threading.Condition()

    def show(self, attempt: AttemptName, own: Shown) -> None:
        """Lay the own box's statement out for the peers.

        Raises:
            StateConflict: too many attempts are under way.
        """
        with self._changed:
            self._table(attempt).own = own
            self._changed.notify_all()

    def own(self, attempt: AttemptName, wait_s: float) -> Shown | None:
        """Return the own side's statement once it is there, or none if it is not within `wait_s` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._shown(attempt) is not None, wait_s)
            return self._shown(attempt)

    def bring(self, attempt: AttemptName, domain: str, peer: Peer) -> None:
        """Lay a peer's box statement down, which the caller has verified. The first one counts.

        Raises:
            StateConflict: another box of the same party was told of before, so that two would have the same part.
        """
        with self._changed:
            peers = self._table(attempt).peers
            if peers.setdefault(domain, peer).box.box_key != peer.box.box_key:
                raise StateConflict(
                    f"{domain} has told of two boxes in one attempt",
                    "box statement",
                    "Order the next attempt.",
                )
            self._changed.notify_all()

    def wait(self, attempt: AttemptName, domains: Collection[str], wait_s: float) -> Mapping[str, Peer]:
        """Return the boxes of all these parties once they are there.

        Raises:
            PeerLost: one did not come in time; it names the first that is missing.
        """

        def missing() -> list[str]:
            table = self._tables.get(attempt)
            return sorted(set(domains) - set(table.peers if table else ()))

        with self._changed:
            if not self._changed.wait_for(lambda: not missing(), wait_s):
                raise PeerLost(
                    f"the box of {missing()[0]} did not come within {WAIT_S:.0f} seconds", missing()[0]
                )
            table = self._tables.get(attempt)
            return dict(table.peers) if table else {}

    def _shown(self, attempt: AttemptName) -> Shown | None:
        table = self._tables.get(attempt)
        return table.own if table else None

    def _table(self, attempt: AttemptName) -> _Table:
        now = self._clock()
        found = self._tables.get(attempt)
        if found is None:
            fresh = {name: table for name, table in self._tables.items() if now - table.begun < KEPT_S}
            if len(fresh) >= MOST_OPEN:
                raise StateConflict(
                    "too many joint attempts are under way here", "attempt", "Try again shortly."
                )
            found = _Table(now)
            self._tables = fresh | {attempt: found}
        return found
