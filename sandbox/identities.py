"""A user id of its own for every box: its processes and files are nobody else's, nor the launcher's."""

from __future__ import annotations

import os

from plans.errors import SettingsWrong, Unreachable


class Identities:
    """Hands out user ids of a range, each to one living box at a time.

    Only root can give a process another user id. A launcher without root runs boxes under its own; `offers()`
    says so.
    """

    def __init__(self, first: int, count: int) -> None:
        if first < 1000 or count < 1:
            raise SettingsWrong("boxes need at least one user id, from 1000 upwards", "first_uid, uid_count")
        self.separate = os.geteuid() == 0
        self._free = list(range(first, first + count)) if self.separate else [os.geteuid()] * count

    def take(self) -> int:
        """Return a free user id; the least recently used, so that a mistake in cleaning meets it last.

        Raises:
            Unreachable: as many boxes are alive as there are user ids.
        """
        if not self._free:
            raise Unreachable(
                "the launcher already runs as many boxes as it may", "boxes", "Try again shortly."
            )
        return self._free.pop(0)

    def give_back(self, uid: int) -> None:
        """Make a user id free again; its box is gone."""
        self._free.append(uid)
