"""Opening: every share is taken from two servers and compared, to all servers or to one outsider.

In replicated sharing each component is held by two servers. Whoever opens takes it from both and goes on only if they
are equal, so that one server that changes a share while a result is opened is noticed (it is not noticed where it
deviates in a product before; see `replicated.py`).

What is handed over must be uniform given the value: results of `multiply`, `Grouped.finish`, `boolean.select` and
`to_numbers`, and `refresh` are, and so are sums of dealt values. Shares made by `public` or `known_to_two` alone are
not, and need `refresh` first.
"""

from __future__ import annotations

from collections.abc import Sequence

from mpc.protocols.replicated import SERVERS, Server, Shared
from mpc.protocols.ring import Ring, Shape, Words
from plans.errors import LinkBroken, SharesDisagree

Pair = tuple[bytes, bytes]


def hand_over(x: Shared) -> Pair:
    """Return what a server hands to whoever opens: its two components as little-endian elements."""
    return bytes(x.ring.raw(x.own)), bytes(x.ring.raw(x.next))


def reconstruct(ring: Ring, shape: Shape, pairs: Sequence[Pair]) -> Words:
    """Return the opened elements from what the servers 0, 1 and 2 handed over, in this order.

    Raises:
        LinkBroken: there are not three pairs, or one has another size than the public shape.
        SharesDisagree: two servers say different things about a component; nothing is opened.
    """
    if len(pairs) != SERVERS:
        raise LinkBroken(f"opening takes the shares of {SERVERS} servers, not {len(pairs)}")
    size = ring.bytes_of(shape)
    if any(len(share) != size for pair in pairs for share in pair):
        raise LinkBroken(f"each share has {size} bytes here")
    for place in range(SERVERS):
        holder = (place - 1) % SERVERS
        if pairs[place][0] != pairs[holder][1]:
            raise SharesDisagree("two servers disagree about a share", f"servers {holder} and {place}")
    first, second, third = (ring.from_raw(own, shape) for own, _ in pairs)
    return ring.add(ring.add(first, second), third)


def open_to_all(me: Server, x: Shared) -> Words:
    """Return the elements of `x` at every server: each takes the component that it lacks from both others.

    Raises:
        SharesDisagree: the other two say different things about it.
        LinkBroken, PeerLost: see `Channel`.
    """
    ring, tag = x.ring, me.tag("open", x.ring)
    size = ring.bytes_of(x.shape)
    me.channel.send(me.following, tag, ring.raw(x.own))  # x_i is what server i+1 lacks
    me.channel.send(me.preceding, tag, ring.raw(x.next))  # x_{i+1} is what server i−1 lacks
    one = me.channel.receive(me.preceding, tag, size)
    other = me.channel.receive(me.following, tag, size)
    if one != other:
        raise SharesDisagree("two servers disagree about a share", f"{me.preceding} and {me.following}")
    return ring.add(ring.add(x.own, x.next), ring.from_raw(one, x.shape))
