"""Leases: a running box holds one from its keeper, and loses it when what it rests on ends.

Kept in memory: after a keeper has been restarted it knows no lease, and every box that asks for one is told
to die. A box that ran under a grant revoked a moment ago is told so at its next renewal, 2 s later at the
most.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

LEASE_S = 60
"""Seconds for which a lease holds without being renewed."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a box's right to run rests on: the launcher's key, and what must stand (grants, approvals, manifests).

    `peers` are, by domain, the keys of the launchers that vouched for the boxes at the other ends of its links.
    """

    plan: str
    launcher: str
    rests_on: tuple[str, ...] = ()
    peers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Lease:
    """A right to run, until it expires in Unix seconds."""

    ground: Ground
    expires: int


class Leases:
    """The leases of one keeper; safe under threads."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()

    def give(self, ground: Ground, now: int) -> tuple[str, int]:
        """Return a new lease's name and its expiry in Unix seconds."""
        name = secrets.token_hex(16)
        with self._lock:
            self._held = {held: lease for held, lease in self._held.items() if lease.expires >= now}
            self._held[name] = Lease(ground, now + LEASE_S)
        return name, now + LEASE_S

    def renew(self, name: str, stands: Callable[[Ground], bool], now: int) -> bool:
        """Return whether the box may go on, and if so prolong its lease. `stands` says whether a ground still does."""
        with self._lock:
            lease = self._held.get(name)
            if lease is None or lease.expires < now or not stands(lease.ground):
                self._held.pop(name, None)
                return False
            self._held[name] = Lease(lease.ground, now + LEASE_S)
            return True

    def finish(self, name: str) -> None:
        """Forget a lease whose box has ended."""
        with self._lock:
            self._held.pop(name, None)

    def count(self) -> int:
        """Return how many boxes hold a lease."""
        with self._lock:
            return len(self._held)
