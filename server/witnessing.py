"""Taking heads of the audit log to the keepers, who sign what they saw; two views of the log cannot both be signed."""

from __future__ import annotations

import threading

from audit import api as audit
from keeper.api import KeeperClient
from plans.errors import EvidenceBroken, Unreachable
from server.site import Site

EVERY_S = 1.0


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
    """Witness about once a second until told to stop."""
    while not stop.wait(EVERY_S):
        try:
            witness_now(site, log)
        except EvidenceBroken:
            stop.set()
            raise
