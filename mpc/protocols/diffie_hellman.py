"""Matching without a helper: pseudonyms under exponents of all owners, compared by a server that owns nothing.

**What happens.** Each owner X draws an exponent for this attempt alone and hashes its identifiers to the curve
(`keys.exchange`). Its list, in its secret order and with random blocks among it, goes from owner to owner, each raising
it to its exponent, and from the last one to the comparing server Z. There all lists are under all exponents: equal
identifiers are equal points, of which the first 16 bytes are the pseudonym. From here on Z does what a helper does
(`helper.py`), with two differences, because Z is one of the three servers:

- The partner P_X is neither X nor Z: Z has u = x + r, and would have r.
- Z must not learn the turns e, because e_k − δ_k = ρ_σ(k) would unmask codes. So the two other servers S and T alone
  are told them. Z gives S and T *two-party* shares of the one-hots (S draws its half from what it has in common with
  Z); S and T each turn their half, mask it with a component that each has in common with Z, and exchange what is left,
  which together is the third component. To each of them the other's message is uniform, and Z gets none.

**What each party learns alone.**

- *An owner Y* sees other lists under exponents that it lacks, at least one in each. Under the decisional
  Diffie–Hellman assumption they are random points, independent of its own. Two lists meet under the same exponents
  nowhere but at Z: the owner who finishes a list sends it to Z and has no other list that is finished.
- *Z* sees which rows of which lists are equal, and no identifier: to test one it would need all exponents. Numbers and
  codes reach it masked.
- *Partners and owners as servers* see what they see with a helper: a uniform order, uniform turns, uniform shares.

**Who opens what together.** Z and an owner: which of that owner's rows match (with three owners also in which other
lists), but *not* the other lists' identifiers, in contrast to a helper: those are under an exponent that both lack. All
owners of a list but one, with Z, may try identifiers against nothing: the missing exponent is needed. Z and a partner,
like any two servers, have all shares.

If every server is an owner, one of them would learn which of its own rows match: there is then no comparing server
(`plans.joint.JointPlan.matcher` refuses), and a plan needs a helper.

**Cost:** each row is raised once by every owner: for 1M × 1M rows four million exponentiations of 20 to 40 µs, in as
many threads as there are processors, up to eight.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from keys.exchange import EXPONENT, POINT, SUITE, Bytes, Exponent
from keys.exchange_pool import ExchangePool
from keys.randomness import MaskStream
from mpc.protocols.channel import Channel
from mpc.protocols.helper import (
    Rows,
    draw,
    gather,
    one_hots,
    receive_blocks,
    receive_covered,
    send_covered,
    tell_partners,
)
from mpc.protocols.layout import Attempt, Layout
from mpc.protocols.pseudonyms import BLOCK, Table, cover
from mpc.protocols.replicated import SERVERS, Server, Shared, deal
from mpc.protocols.rows import turn_back
from mpc.protocols.shuffling import Codes
from plans.errors import Defect

MOST_THREADS = 8
_PIECE = 1 << 18  # points in a message, ten seconds of one core: so nobody waits long for a sign of life


def send_rows(
    channel: Channel, layout: Layout, me: str, table: Table, attempt: Attempt, coins: MaskStream
) -> None:
    """Do an owner's part of matching without a helper.

    Args:
        channel: links to the owners before and after this one, the comparing server and the partner.
        layout, me, table, attempt, coins: as for `helper.send_rows`. The exponent is drawn from `coins`.

    Raises:
        LinkBroken: points came that are no points; or see `Channel`.
        TooLarge, Defect: see `pseudonyms.cover`.
        PeerLost: see `Channel`.
    """
    exponent = Exponent(coins.draw(EXPONENT).tobytes())
    covered = cover(table, layout.of(me), layout.ring, attempt, coins)
    owners, here = layout.owners, layout.owners.index(me)
    before, after = owners[here - 1], owners[(here + 1) % len(owners)]
    rows = sum(sent.rows for sent in layout.sent)  # every owner raises every list once
    with pool_for(exponent, rows) as pool:
        for piece in pieces_of(len(covered.blocks)):
            points = pool.of_identifiers(covered.blocks[piece], hash_tag(attempt))
            channel.send(after, "match/points/1", points.data.cast("B"))
        for hop in range(1, len(owners)):  # the list that has come `hop` owners far
            for piece in pieces_of(layout.sent[here - hop].rows):
                size = piece.stop - piece.start
                points = pool.of_points(receive_blocks(channel, before, f"match/points/{hop}", size, POINT))
                if hop + 1 < len(owners):
                    channel.send(after, f"match/points/{hop + 1}", points.data.cast("B"))
                else:
                    channel.send(layout.matcher, "match/pseudonyms", pseudonyms_of(points).data.cast("B"))
    send_covered(channel, layout, me, covered)


def hash_tag(attempt: Attempt) -> bytes:
    """Return the domain separation tag of an attempt's hash (RFC 9380, section 3.1)."""
    return f"darkroom-v1/{attempt.digest}/{attempt.number}-with-".encode() + SUITE


def compare(channel: Channel, layout: Layout, coins: MaskStream) -> Rows:
    """Do the comparing server's part until it deals: match the lists, and tell partners their orders.

    Raises:
        KeyRepeated: an owner's list holds a pseudonym twice.
        TooLarge: more rows match than the plan's public number.
        LinkBroken, PeerLost: see `Channel`.
    """
    lists = []
    for place, sent in enumerate(layout.sent):
        last = layout.owners[place - 1]  # who finishes a list is the owner before its own
        sizes = [piece.stop - piece.start for piece in pieces_of(sent.rows)]
        parts = [receive_blocks(channel, last, "match/pseudonyms", size, BLOCK) for size in sizes]
        lists.append(np.concatenate(parts))
    arrived = receive_covered(channel, layout)
    drawn = draw(layout, lists, coins)
    tell_partners(channel, layout, drawn)
    return gather(layout, arrived, drawn)


@dataclass(slots=True)
class FromServer:
    """Shares that the comparing server deals; at that server itself with the `rows` that it deals (`rows.Source`)."""

    layout: Layout
    rows: Rows | None = None

    def numbers(self, me: Server, owner: int, piece: slice) -> Shared:
        """Return shares of v of an owner."""
        mine = None if self.rows is None else self.rows.numbers[owner][:, piece]
        shape = (self.layout.sent[owner].columns, piece.stop - piece.start)
        return deal(me, self.layout.ring, self.layout.place(self.layout.matcher), mine, shape)

    def cells(self, me: Server, piece: slice, turns: Codes | None) -> Shared:
        """Return shares of the one-hots, turned back by turns that the comparing server does not know."""
        ring, shape = self.layout.ring, (piece.stop - piece.start, self.layout.cells)
        halves, rest = me.tag("halves", ring), me.tag("turned", ring)
        turn = (me.place - self.layout.place(self.layout.matcher)) % SERVERS
        if (turn == 0) != (self.rows is not None):
            raise Defect("the comparing server and nobody else has the rows", "diffie_hellman.cells")
        if self.rows is not None:
            half = one_hots(self.layout, self.rows.cells[piece], ring.draw(me.with_next, shape))
            me.channel.send(me.preceding, halves, ring.raw(half))
            return Shared(ring, ring.draw(me.with_previous, shape), ring.draw(me.with_next, shape))
        common = me.with_previous if turn == 1 else me.with_next  # the stream that Z has too
        if turn == 1:
            half, peer = ring.draw(common, shape), me.following
        else:
            raw = me.channel.receive(me.following, halves, ring.bytes_of(shape))
            half, peer = ring.from_raw(raw, shape), me.preceding
        if turns is not None:
            half = turn_back(half, self.layout.sizes, turns)
        known = ring.draw(common, shape)
        left = ring.sub(half, known)
        me.channel.send(peer, rest, ring.raw(left))
        third = ring.add(left, ring.from_raw(me.channel.receive(peer, rest, ring.bytes_of(shape)), shape))
        return Shared(ring, known, third) if turn == 1 else Shared(ring, third, known)


def pool_for(exponent: Exponent, rows: int) -> ExchangePool:
    """Return threads that raise so many rows in all, one for each processor that this box has, up to eight."""
    return ExchangePool(exponent, min(MOST_THREADS, len(os.sched_getaffinity(0))), rows)


def pieces_of(rows: int) -> list[slice]:
    """Return a list of points in pieces, each a message."""
    return [slice(start, min(start + _PIECE, rows)) for start in range(0, rows, _PIECE)]


def pseudonyms_of(points: Bytes) -> Bytes:
    """Return the first half of each coordinate: as good as the whole for equality, and half to send."""
    return np.ascontiguousarray(points[:, :BLOCK])
