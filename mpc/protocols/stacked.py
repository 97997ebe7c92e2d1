"""One table in parts: each owner adds up its own rows, and shares nothing but its sums.

No row leaves an owner, nobody is matched, and no size is seen: what an owner sends are `vectors × cells` elements, sums
and its votes on figures behind them (`plans.joint_guards`), which is public. They are exact: a cell's values are added
up in limbs of 32 bits, so many rows at a time that a double holds their sum, and the limbs are put together in the
ring.

An owner takes each number apart as x = x0 + x1 + x2, two of which it draws itself, and sends server i the components
x_i and x_{i+1}. It needs nothing in common with anybody, so an owner that is a server does the same and keeps its own
pair. A server adds up what all owners sent: to whoever lacks one component, all of it is uniform. Any two servers have
all components, and so every owner's sums of every cell: the plan's trust says so.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keys.randomness import KEY, Masks, MaskStream
from mpc.protocols import replicated
from mpc.protocols.channel import Channel
from mpc.protocols.joint_rows import Column, OwnRows, column_values
from mpc.protocols.layout import Attempt
from mpc.protocols.replicated import SERVERS, Server, Shared
from mpc.protocols.ring import RINGS, Ring, Words
from plans.errors import Malformed, TooLarge
from plans.joint import JointPlan, JointReading, Measure, Sum
from plans.joint_guards import own_thresholds, vectors_of, votes_of

STAGE, SHARES = "sum", "sum/shares"

_EXACT_ROWS = 1 << 20  # so many limbs of 32 bits, added up, are below 2^52 and exact as float64


def own_sums(rows: OwnRows, reading: JointReading, portion: int, ring: Ring) -> Words:
    """Return what one owner's rows add up to, `[sums × cells]`.

    Raises:
        TooLarge: there are more rows than the portion's public bound.
        Malformed: a row has a group that is not in the public lists.
    """
    mine, cells = reading.portions[portion], reading.cells
    if len(rows.keys) > mine.bound:
        raise TooLarge("there are more rows than the plan's public number of rows", mine.relation)
    if rows.groups.max(initial=0) >= cells:
        raise Malformed("a row has a group that is not in the public lists", mine.relation)
    found = ring.zeros((len(reading.sums), cells))
    for start in range(0, len(rows.keys), _EXACT_ROWS):
        piece = rows.piece(slice(start, start + _EXACT_ROWS))
        for place, total in enumerate(reading.sums):
            found[place] = ring.add(found[place], _by_cell(piece, total, ring, cells))
    return found


def _by_cell(rows: OwnRows, total: Sum, ring: Ring, cells: int) -> Words:
    """Return a sum of every cell `[cells]` over at most 2^20 rows."""
    if total.measure is Measure.ROWS:
        return ring.widen(np.bincount(rows.groups, minlength=cells).astype(np.int64))
    column = Column(total.measure, tuple(operand for _, operand in total.operands))
    halves = np.ascontiguousarray(column_values(rows, column, ring), dtype="<u8").view("<u4")
    limbs = halves.reshape(len(rows.keys), ring.bits // 32)
    found = ring.zeros((cells,))
    for place, limb in enumerate(limbs.T):
        added = np.bincount(rows.groups, weights=limb, minlength=cells).astype(np.int64)
        found = ring.add(found, ring.mul(ring.widen(added), ring.encode([1 << (32 * place)])))
    return found


def own_vectors(rows: OwnRows, joint: JointPlan, portion: int) -> Words:
    """Return an owner's sums and, behind them, its votes on every figure in every cell, `[vectors × cells]`.

    Raises:
        TooLarge, Malformed: see `own_sums`.
    """
    ring, reading = _ring_of(joint), joint.reading
    sums = own_sums(rows, reading, portion, ring)
    if not votes_of(joint):
        return sums
    votes = ring.encode([number for row in _votes(rows, joint, portion, sums) for number in row])
    return np.concatenate([sums, votes.reshape(votes_of(joint), reading.cells, *ring.words)])


def _votes(rows: OwnRows, joint: JointPlan, portion: int, sums: Words) -> Iterator[list[int]]:
    """Yield, figure by figure, this owner's votes in all cells: 1 where its part passes every test, else 0."""
    ring, reading = _ring_of(joint), joint.reading
    numbers = [ring.decode(each) for each in sums]
    for figure in reading.figures:
        tests = own_thresholds(joint, figure, portion)
        yield [
            int(all(numbers[place][cell] >= least for place, least in tests)) for cell in range(reading.cells)
        ]


def share_vectors(
    channel: Channel, joint: JointPlan, me: str, vectors: Words, attempt: Attempt, coins: MaskStream
) -> Shared | None:
    """Send each server its two components of an owner's sums and votes; return those of this owner where it is a
    server.

    Args:
        vectors: of this owner, `[vectors × cells]`.
        attempt: of the plan, by which the components are drawn, too.
        coins: this owner's own fresh randomness.
    """
    ring, shape = _ring_of(joint), _shape(joint)
    masks = Masks(coins.draw(KEY).tobytes(), attempt.digest, attempt.number, STAGE)
    first, second = (ring.draw(masks.stream(f"component/{place}"), shape) for place in range(SERVERS - 1))
    parts = (first, second, ring.sub(ring.sub(vectors, first), second))
    kept = None
    for place, server in enumerate(joint.task.servers):
        pair = Shared(ring, parts[place], parts[(place + 1) % SERVERS])
        if server == me:
            kept = pair
        else:
            channel.send(server, SHARES, bytes(ring.raw(pair.own)) + bytes(ring.raw(pair.next)))
    return kept


def sums_of_all(me: Server, joint: JointPlan, kept: Shared | None) -> Shared:
    """Return a server's shares of the sums over all parts of the table, votes added up behind them, `[vectors ×
    cells]`.

    Args:
        kept: what `share_vectors` gave, where this server is an owner.

    Raises:
        LinkBroken, PeerLost: see `Channel`.
    """
    ring, shape = _ring_of(joint), _shape(joint)
    size = ring.bytes_of(shape)
    found = Shared(ring, ring.zeros(shape), ring.zeros(shape)) if kept is None else kept
    for portion in joint.reading.portions:
        if portion.domain == me.parties[me.place]:
            continue
        raw = me.channel.receive(portion.domain, SHARES, 2 * size)
        pair = Shared(ring, ring.from_raw(raw[:size], shape), ring.from_raw(raw[size:], shape))
        found = replicated.add(found, pair)
    return found


def _ring_of(joint: JointPlan) -> Ring:
    return RINGS[joint.scheme.ring_bits]


def _shape(joint: JointPlan) -> tuple[int, int]:
    return vectors_of(joint), joint.reading.cells
