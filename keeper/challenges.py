"""Challenges: nonces that make a box statement worth something once, for one plan, and for a short time."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from plans import names

CHALLENGE_S = 120
"""Seconds within which a launcher answers."""

MOST_OPEN = 10_000
"""Challenges that wait at once. When there are more, the oldest is forgotten and its launcher asks again."""


@dataclass(frozen=True, slots=True)
class _Issued:
    plan: str
    expires: int


class Challenges:
    """The open challenges of one keeper; safe under threads. Anyone may ask, so a question costs little to keep."""

    def __init__(self) -> None:
        self._open: dict[str, _Issued] = {}
        self._lock = threading.Lock()

    def issue(self, plan: str, now: int) -> str:
        """Return a fresh nonce for the next box statement about a plan.

        Raises:
            Malformed: `plan` is no digest.
        """
        names.require("digest", plan, "challenge")
        nonce = secrets.token_hex(16)
        with self._lock:
            while len(self._open) >= MOST_OPEN:
                del self._open[next(iter(self._open))]
            self._open[nonce] = _Issued(plan, now + CHALLENGE_S)
        return nonce

    def take(self, nonce: str, plan: str, now: int) -> str | None:
        """Return the nonce if it was issued for this plan and is open; it never is again, whatever the answer."""
        with self._lock:
            issued = self._open.pop(nonce, None)
        return nonce if issued is not None and issued.plan == plan and now <= issued.expires else None
