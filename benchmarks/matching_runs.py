"""The processes of `benchmarks/matching.py`: one for each party, with its links as open sockets.

    python matching_runs.py NAME WAY ROWS FILE LINKS

`WAY` is `helper` or `diffie-hellman`, `FILE` a list of identifiers with a heading (none for who owns nothing), `LINKS`
JSON, descriptors by peer. Each does its imports, says `ready`, and begins when it is told to. In the end it says how
much processor time it took, its workers' included, and a server how many rows matched is left in shares, for the check.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import socket
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from inside.party_links import LinkKeys, PartyLinks  # noqa: E402
from keys.randomness import Masks  # noqa: E402
from mpc.protocols import diffie_hellman, helper, identifiers, replicated, rows  # noqa: E402
from mpc.protocols.layout import Attempt, Layout, Sent  # noqa: E402
from mpc.protocols.pseudonyms import Table  # noqa: E402
from mpc.protocols.ring import RING64  # noqa: E402
from mpc.protocols.shuffling import fresh  # noqa: E402

SERVERS = ("north", "south", "west")
HELPER = "helper"
DIGEST = "sha256:" + "5a" * 32


def plan(way: str, count: int) -> Layout:
    """Two owners with a column each, of which both are servers."""
    sent = (Sent("north", "south", count, 1), Sent("south", "north", count, 1))
    return Layout(sent, SERVERS, HELPER if way == "helper" else "west", count, RING64)


def table(path: Path) -> Table:
    """An owner's rows: identifiers from the file, checked, and a number each."""
    raw = path.read_bytes().split(b"\n", 1)[1]
    ends = np.flatnonzero(np.frombuffer(raw, dtype=np.uint8) == ord("\n"))
    offsets = np.concatenate([[0], ends - np.arange(len(ends))])
    packed = identifiers.pack(raw.replace(b"\n", b""), offsets)
    blocks = identifiers.require_keys(packed, path.name)
    numbers = np.arange(len(blocks), dtype=np.uint64).reshape(1, -1)
    return Table(blocks, numbers, np.empty((0, len(blocks)), dtype=np.uint16))


def channel(me: str, ends: dict[str, int]) -> PartyLinks:
    """The links of a party, with keys that follow from the names: agreeing on keys is not measured here."""

    def key(one: str, other: str) -> bytes:
        return hashlib.sha256(f"{one}>{other}".encode()).digest()

    streams = {
        peer: (socket.socket(fileno=end), LinkKeys(key(me, peer), key(peer, me)))
        for peer, end in ends.items()
    }
    return PartyLinks(streams, 600)


def serve(layout: Layout, me: str, links: PartyLinks, attempt: Attempt) -> int:
    """A server's part; return the sum of its own component of the bits that say who matched."""
    place = SERVERS.index(me)
    seeds = [Masks(bytes([which]) * 32, DIGEST, 1, "servers") for which in (place + 1, (place - 1) % 3 + 1)]
    server = replicated.server(place, SERVERS, links, (seeds[0], seeds[1]))
    source: rows.Source
    if layout.helped:
        source = rows.from_helper(server, layout, attempt)
    else:
        dealt = diffie_hellman.compare(links, layout, fresh()) if me == layout.matcher else None
        source = diffie_hellman.FromServer(layout, dealt)
    found = 0
    for piece in rows.matched_rows(server, layout, attempt, source):
        found += int(piece.cells.own.sum(dtype=np.uint64))
    return found % 2**64


def main() -> None:
    """Run one party."""
    me, way, count, file, ends = sys.argv[1:]
    layout, links, attempt = plan(way, int(count)), channel(me, json.loads(ends)), Attempt(DIGEST, 1)
    print("ready", flush=True)
    sys.stdin.readline()
    began, told = time.perf_counter(), {}
    if me in layout.owners:
        send = helper.send_rows if layout.helped else diffie_hellman.send_rows
        send(links, layout, me, table(Path(file)), attempt, fresh())
    if me == HELPER:
        helper.help_matching(links, layout, me, attempt, fresh())
    if me in SERVERS:
        told["component"] = serve(layout, me, links, attempt)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    told |= {
        "seconds": time.perf_counter() - began,
        "processor_s": sum(usage.ru_utime + usage.ru_stime for usage in used),
        "sent_bytes": sum(traffic.sent_bytes for traffic in links.traffic().values()),
        "pid": os.getpid(),
    }
    links.close()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
