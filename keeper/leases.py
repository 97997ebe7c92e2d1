"""Leases: a running box holds one from its keeper, and loses it when what it rests on ends.

Kept in memory: after a keeper has been restarted it knows no lease, and every box that asks for one is told
to die. A box that ran under a grant revoked a moment ago is told so at its next renewal, 2 s later at the
most.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

LEASE_S = 60
"""Seconds for which a lease holds without being renewed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a box's right to run rests on: the plan, and the subjects (grants, approvals) that must stand."""

    plan: str
    rests_on: tuple[str, ...]
    expires: int


class Leases:
    """The leases of one keeper; safe under threads."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._lock = threading.Lock()

    def give(self, plan: str, rests_on: tuple[str, ...], now: int) -> tuple[str, int]:
        """Return a new lease's name and its expiry in Unix seconds."""
        name = secrets.token_hex(16)
        with self._lock:
            self._held[name] = Lease(plan, rests_on, now + LEASE_S)
        return name, now + LEASE_S

    def renew(self, name: str, revoked: set[str], now: int) -> bool:
        """Return whether the box may go on, and if so prolong its lease."""
        with self._lock:
            lease = self._held.get(name)
            if lease is None or lease.expires < now or revoked.intersection((lease.plan, *lease.rests_on)):
                self._held.pop(name, None)
                return False
            self._held[name] = Lease(lease.plan, lease.rests_on, now + LEASE_S)
            return True

    def finish(self, name: str) -> None:
        """Forget a lease whose box has ended."""
        with self._lock:
            self._held.pop(name, None)

    def count(self) -> int:
        """Return how many boxes hold a lease."""
        with self._lock:
            return len(self._held)
