"""Which user ids a site has on its host, where root starts it: a block of its own.

Whatever runs under a box's user id when the box ends is ended with it, and so is what an earlier life left there
(`sandbox.reaper`). Two sites of one machine that had the same ids would end each other's boxes. So a new site takes a
block in which nobody runs anything, beginning with one that its folder's name chooses, and keeps it for ever:

    first                the launcher of labs, then its boxes, then porter, proxy and Hub
    first + 290 …        64 for each owner's side
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from server.site import Site, write_private

FIRST, SIZE, BLOCKS = 22_000, 2_000, 18
OWNERS = 290
"""Where owners' sides begin in a block."""

OLDER = 60_710
"""The block of sites that were founded before there were blocks."""


def take(site: Site) -> None:
    """Choose the block of a new site."""
    start = int.from_bytes(hashlib.sha256(str(site.home).encode()).digest()[:4]) % BLOCKS
    busy = {(uid - FIRST) // SIZE for uid in _running()}
    order = [(start + step) % BLOCKS for step in range(BLOCKS)]
    chosen = next((number for number in order if number not in busy), start)
    write_private(_file(site), f"{FIRST + SIZE * chosen}\n".encode())


def labs_of(site: Site) -> int:
    """Return the first id of the side of labs."""
    return _first(site)


def owners_of(site: Site) -> int:
    """Return the first id of owners' sides."""
    return _first(site) + OWNERS


def most_owners(site: Site) -> int:
    """Return how many owners' sides the block has room for."""
    end = 65_534 if _first(site) == OLDER else _first(site) + SIZE
    return (end - owners_of(site)) // 64


def _first(site: Site) -> int:
    file = _file(site)
    return int(file.read_text()) if file.exists() else OLDER


def _file(site: Site) -> Path:
    return site.centre / "users"


def _running() -> set[int]:
    """Return the user ids under which something runs here."""
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                found.add(os.stat(f"/proc/{name}").st_uid)
            except OSError:  # it has just ended
                continue
    return found
