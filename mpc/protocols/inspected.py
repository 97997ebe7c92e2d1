"""Sums for an inspector: the servers hand it both components of each, and it opens what two servers agree on.

An inspector is an owner whose airlock judges figures before the recipient sees any. So nothing is tested on shares:
all sums of all cells, and votes that holders of one table have behind them (`plans.joint_guards`), are opened, in the
inspector's box and nowhere else, with their noise, if there is any. What a
server hands over has been refreshed (`replicated.refresh`), so that together it is uniform given the sums, and tells
the inspector nothing of how they came about; an inspector that is a server adds nothing by what it holds already.
"""

from __future__ import annotations

from mpc.protocols.channel import Channel
from mpc.protocols.opening import Pair, hand_over, reconstruct
from mpc.protocols.replicated import Server, Shared, refresh
from mpc.protocols.ring import RINGS
from plans.joint import JointPlan
from plans.joint_guards import vectors_of

INSPECTED = "open/inspected"


def hand_to(me: Server, inspector: str, domain: str, sums: Shared) -> Pair | None:
    """Send an inspector this server's components of all sums; an inspector that is this server gets them returned.

    Raises:
        LinkBroken, PeerLost: see `Channel`.
    """
    pair = hand_over(refresh(me, sums))
    if domain == inspector:
        return pair
    me.channel.send(inspector, INSPECTED, pair[0] + pair[1])
    return None


def open_sums(channel: Channel, joint: JointPlan, mine: Pair | None) -> tuple[tuple[int, ...], ...]:
    """Return all sums at the inspector, votes behind them, `[vectors][cells]`.

    Args:
        mine: what `hand_to` returned.

    Raises:
        SharesDisagree: two servers say different things about a component; nothing is opened.
        LinkBroken, PeerLost: see `Channel`.
    """
    ring, cells = RINGS[joint.scheme.ring_bits], joint.reading.cells
    shape = vectors_of(joint), cells
    size = ring.bytes_of(shape)
    pairs = []
    for server in joint.task.servers:
        if server == joint.task.inspector and mine is not None:
            pairs.append(mine)
        else:
            raw = channel.receive(server, INSPECTED, 2 * size)
            pairs.append((raw[:size], raw[size:]))
    numbers = ring.decode(reconstruct(ring, shape, pairs))
    return tuple(tuple(numbers[start : start + cells]) for start in range(0, len(numbers), cells))
