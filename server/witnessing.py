"""Taking signed things to the keepers: heads of the audit log, which they sign, and what parties say of themselves.

Two views of the log cannot both be signed. Newer rosters and descriptions of parties are carried by `server.carrying`.
"""

from __future__ import annotations

import threading

from audit import api as audit
from keeper.api import KeeperClient
from plans.errors import EvidenceBroken, Unreachable
from server.carrying import Carrier
from server.enrolment import open_store
from server.site import Site

EVERY_S = 1.0

CARRY_EVERY = 5
"""After how many rounds newer statements of parties are carried."""


def witness_now(site: Site, log: audit.Log) -> int:
    """Offer the present head to every keeper; return how many signed it.

    A keeper that is down is left out and catches up later; one that refuses is an alarm.

    Raises:
        EvidenceBroken: a keeper saw another history of this log.
    """
    offered = log.head()
    size = offered.statement.sequence
    signed = 0
    for owner in site.owners():
        keeper = KeeperClient(owner.keeper_socket)
        try:
            seen = int(keeper.status()["witnessed"])
            if seen < size:
                log.add_cosignature(keeper.cosign(offered, log.consistency(seen, size) if seen else ()))
                signed += 1
        except Unreachable:
            continue
    return signed


def witness_often(site: Site, log: audit.Log, stop: threading.Event) -> None:
    """Witness about once a second until told to stop, and carry what is newer of parties now and then."""
    carrier, rounds = Carrier(site, open_store(site)), 0
    while not stop.wait(EVERY_S):
        try:
            witness_now(site, log)
        except EvidenceBroken:
            stop.set()
            raise
        if rounds % CARRY_EVERY == 0:
            carrier.carry()
        rounds += 1
