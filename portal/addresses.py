"""From where a visitor comes, as far as tries are counted by it (`portal.attempts`).

Behind a proxy with TLS every visitor's connection comes from the proxy, which says whom it speaks for: it appends the
address that it saw to `X-Forwarded-For`. Whatever stands before the last entry was written by the visitor. So the last
entry is believed, and only of a proxy on this machine, if the settings say that there is one (`Site.inner`). A lab's
calls come from addresses of their own, and nothing that they claim is believed.

A visitor over IPv6 has a network of 64 bits and can come from each of its addresses, so the network counts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from plans import labs


def counted(peer: str, forwarded: Sequence[str], behind_proxy: bool) -> str:
    """Return the address that a call is counted by; `forwarded` are its `X-Forwarded-For` lines as they came."""
    if not (behind_proxy and forwarded and _may_be_our_proxy(peer)):
        return _network(peer) or peer
    return _network(forwarded[-1].rpartition(",")[2].strip()) or peer


def _may_be_our_proxy(peer: str) -> bool:
    """Whether a peer is of this machine and no lab. At `::1` labs could not be told apart, so it is not enough."""
    try:
        return ipaddress.IPv4Address(peer).is_loopback and not labs.is_lab(peer)
    except ValueError:
        return False


def _network(address: str) -> str:
    """Return an address as it is counted; nothing if it is none."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.IPv6Address(int(found) >> 64 << 64))
