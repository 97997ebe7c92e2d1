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
    signed = 0
    head = log.head()
    for owner in site.owners():
        try:
            seen = log.witnessed(owner.domain)
            if seen == head.statement.body["size"]:
                continue
            cosigned = KeeperClient(owner.keeper_socket).cosign(head, log.consistency(seen))
        except Unreachable:
            continue
        log.add_witness(owner.domain, cosigned)
        signed += 1
    return signed


def witness_often(site: Site, log: audit.Log, stop: threading.Event) -> None:
    """Witness about once a second until told to stop."""
    while not stop.wait(EVERY_S):
        try:
            witness_now(site, log)
        except EvidenceBroken:
            stop.set()
            raise
