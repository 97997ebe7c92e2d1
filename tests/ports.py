"""Ports of loopback for processes that a test starts: below those from which the machine's own connections leave.

Any of these may be taken between the choice and the start of a process that is slow to begin.
"""

from __future__ import annotations

import secrets
import socket

FIRST, LAST = 10_000, 19_900
"""Other numbers than the first of labs (`notebooks.porter` counts up from 20,000) and those of the machine."""


def free_ports(count: int = 1) -> int:
    """Return the first of so many neighbouring ports that are free at this moment."""
    for _ in range(1000):
        first = FIRST + secrets.randbelow(LAST - FIRST)
        ends = [socket.socket() for _ in range(count)]
        try:
            for place, end in enumerate(ends):
                end.bind(("127.0.0.1", first + place))
        except OSError:
            continue
        finally:
            for end in ends:
                end.close()
        return first
    raise AssertionError("no free ports")
