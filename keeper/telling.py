"""What anyone may know of what a keeper believes: numbers and names, no secrets."""

from __future__ import annotations

from typing import Any

from keeper.peers import Peers
from keeper.trust import TrustedSet


def told_of(domain: str, trusted: TrustedSet, peers: Peers) -> dict[str, Any]:
    """Return the numbers of what is believed about the own domain and others, and the last head that was witnessed."""
    roster, bundle, head = trusted.roster, trusted.bundle, trusted.head
    return {
        "domain": domain,
        "roster": roster.number if roster else 0,
        "bundle": bundle.number if bundle else 0,
        "datasets": [manifest.dataset for manifest in trusted.current_manifests()],
        "head": head.statement.plain()["body"] if head else None,
        "witnessed": head.statement.sequence if head else 0,
        "peers": peers.told(),
    }
