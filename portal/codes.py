"""Codes: what a browser carries from the portal to JupyterHub, to be changed there for a token (RFC 6749 section 4.1).

A code is 256 random bits, worth something once and for a minute, and only together with what it is bound to. Codes lie
in memory alone: after a restart of the portal whoever was on the way clicks once more.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

LASTS_S = 60
MOST = 2_000
"""Codes that are remembered at a time; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a code stands for: whose it is, the hash of the session, the address that it went to, and the challenge of
    whoever asked (RFC 7636).
    """

    member: str
    session: str
    redirect_uri: str
    challenge: str


@dataclass(slots=True)
class _Kept:
    bound: Bound
    ends: float
    taken: bool = False
    issued: str = ""


class Codes:
    """The codes of one running portal; safe for threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._codes: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def make(self, bound: Bound) -> str:
        """Return a fresh code."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._forget()
            self._codes[_hash(code)] = _Kept(bound, self._clock() + LASTS_S)
        return code

    def take(self, code: str) -> tuple[Bound | None, str]:
        """Return what a code is bound to, the first time and within its minute; else nothing, and for a code that was
        taken before the hash of the token that it was changed for, which then is to end (RFC 6749 section 4.1.2).
        """
        with self._lock:
            self._forget()
            kept = self._codes.get(_hash(code))
            if kept is None:
                return None, ""
            if kept.taken:
                return None, kept.issued
            kept.taken = True
            return kept.bound, ""

    def issued(self, code: str, token_hash: str) -> None:
        """Remember which token a taken code was changed for, as long as the code would have been worth something."""
        with self._lock:
            kept = self._codes.get(_hash(code))
            if kept is not None:
                kept.issued = token_hash

    def _forget(self) -> None:
        """Codes last equally long, so the first ones are the oldest."""
        now = self._clock()
        while self._codes and (len(self._codes) >= MOST or next(iter(self._codes.values())).ends <= now):
            self._codes.popitem(last=False)


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "replace")).hexdigest()
