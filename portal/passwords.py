"""Passwords: argon2id (RFC 9106, its second recommended parameters: 64 MiB, 3 passes, 4 lanes).

A check takes as long for a member who does not exist as for one who does: it is then made against a hash that
no password has. Each check takes 64 MiB, so only a few run at once; the others wait a little.
"""

from __future__ import annotations

import functools
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from plans.errors import Malformed, Unreachable

SHORTEST_PASSWORD = 10
LONGEST_WAIT_S = 5


class Passwords:
    """Hashes and checks passwords."""

    def __init__(self, at_once: int, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or _hasher()
        self._nobodys = _nobodys_hash() if hasher is None else hasher.hash(secrets.token_hex(32))
        self._turns = threading.BoundedSemaphore(at_once)

    def hash(self, password: str) -> str:
        """Return the hash to keep.

        Raises:
            Malformed: the password is too short.
        """
        if len(password) < SHORTEST_PASSWORD:
            raise Malformed(f"a password has at least {SHORTEST_PASSWORD} characters", "password")
        with self._turn():
            return self._hasher.hash(password)

    def fits(self, password: str, kept: str | None) -> bool:
        """Return whether `password` is the one behind `kept`; without a hash to compare with it never is,
        after equal work.
        """
        with self._turn():
            try:
                found = self._hasher.verify(kept or self._nobodys, password)
            except (VerificationError, InvalidHashError):
                return False
        return found and bool(kept)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for one of the few places, but not for long: a flood of tries must not hold every thread of
        the portal.

        Raises:
            Unreachable: too many others wait.
        """
        if not self._turns.acquire(timeout=LONGEST_WAIT_S):
            raise Unreachable(
                "too many are signing in at this moment", "sign-in", "Try again in a few seconds."
            )
        try:
            yield
        finally:
            self._turns.release()


def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4, type=Type.ID)


@functools.cache
def _nobodys_hash() -> str:
    """Return the hash of a password that nobody knows, made once per process."""
    return _hasher().hash(secrets.token_hex(32))
