"""Wrong passwords, counted: a bounded memory of who failed how often in the last quarter of an hour.

Three counts rise with each failure: account and address together, the address alone, the account alone. The
first stops guessing one password, the second trying one password on many accounts, the third guessing from
many addresses; the third's limit is so much higher that nobody can be locked out of their account cheaply by
somebody else. The memory holds a fixed number of counts and forgets those that rose longest ago, so filling
it costs the attacker the address's own count first.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from plans.errors import TooManyTries
from portal.limits import Limits

ACCOUNT_FACTOR = 100
"""How many times `sign_in_tries` an account may fail from all addresses together."""


class Attempts:
    """Counts failures. Every try counts as one when it begins, so that parallel tries cannot slip through
    together.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits, self._clock = limits, clock
        self._counts: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, account: str, address: str) -> None:
        """Count a try.

        Raises:
            TooManyTries: there were too many; whether the account exists makes no difference.
        """
        now = self._clock()
        with self._lock:
            for key, most in self._keys(account, address):
                count, since = self._count(key, now)
                if count >= most:
                    wait = max(1, round((since + self._limits.sign_in_window - now) / 60))
                    raise TooManyTries(
                        "too many wrong passwords", "sign-in", f"Wait {wait} minutes, then try again."
                    )
            for key, _ in self._keys(account, address):
                count, since = self._count(key, now)
                self._counts[key] = (count + 1, since)
                self._counts.move_to_end(key)
            while len(self._counts) > self._limits.remembered_tries:
                self._counts.popitem(last=False)

    def succeed(self, account: str, address: str) -> None:
        """Forget the failures of this account from this address, and take this try off the other counts."""
        with self._lock:
            pair, *others = (key for key, _ in self._keys(account, address))
            self._counts.pop(pair, None)
            for key in others:
                count, since = self._counts.get(key, (0, 0.0))
                if count > 1:
                    self._counts[key] = (count - 1, since)
                else:
                    self._counts.pop(key, None)

    def _keys(self, account: str, address: str) -> tuple[tuple[tuple[str, str], int], ...]:
        tries = self._limits.sign_in_tries
        return (
            ((account, address), tries),
            (("", address), tries * self._limits.address_factor),
            ((account, ""), tries * ACCOUNT_FACTOR),
        )

    def _count(self, key: tuple[str, str], now: float) -> tuple[int, float]:
        count, since = self._counts.get(key, (0, now))
        return (0, now) if now - since >= self._limits.sign_in_window else (count, since)
