"""Matching with a helper: rows of one person at several owners become rows of shares, and nobody learns whose.

**The parties.** Owners, three servers of replicated sharing, and a helper that is neither. An owner may be a server
too. Every owner X has a partner P_X, a server that is not X. All are semi-honest; channels hide what they carry.

**What happens.**

1. Owners agree on a key K. X appends random blocks up to its public number of rows, puts all rows into a secret order
   π_X, and sends the helper, in that order: pseudonyms AES_K(identifier); numbers u = x + r; codes c = g + ρ modulo
   the size of their list. The masks r and ρ come from a seed that X sends to P_X alone.
2. The helper finds the rows that all lists have, and puts them among M rows (public) at random places. To X it
   assigns σ_X: for a matched row its place in X's list; for each other row a random one of X's unmatched places, none
   twice. It draws a uniform turn δ for each row and code list, and sends P_X only σ_X and the turns of X's lists.
3. The helper shares with the servers v_k = u_σ(k), and the one-hot of the cell (c_σ(k) + δ_k), which is all zeros in
   rows that match nobody. P_X shares s_k = r_σ(k), and tells the servers e_k = ρ_σ(k) + δ_k. The servers take
   y = v − s, which is x_σ(k), and turn the shares of the one-hot back by e_k, which makes it the one-hot of the cell
   of g.

**Why nobody learns more than the table says.** Each party alone:

- *The helper* sees pseudonyms under a key that it lacks: which rows of which lists are equal, hence the size of the
  intersection (and with three owners of each intersection of two), and nothing of who they are. u and c are uniform,
  because it lacks the seeds. It must be no server: e_k − δ_k = ρ_σ(k) would unmask the codes that match.
- *P_X* sees σ_X. Matched and other rows have different places in a list whose order π_X is uniform and known to X
  alone; so σ_X is a uniform sequence of M different places, whoever matched and however many: not even the size of
  the intersection shows. That is why rows that match nobody must not point to a place twice, and why M is at most X's
  number of rows. e follows from σ_X, δ and ρ, which it has. What it knows of *its own* list (as an owner Y) has
  other places π_Y, and k is in an order that the helper drew.
- *X as a server* sees e of its own lists: uniform, since δ is unknown to it (without δ it would see ρ_σ(k) for a ρ that
  it knows: which rows matched). It never sees σ_X. Were P_X = X, it would: with π_X it could name the persons who
  match. The `Layout` refuses that.
- *Another server* sees e: uniform for the same reason; and its two components of shares, which are uniform.
- *Two owners may have one partner.* It then sees pairs (σ_X(k), σ_Y(k)): places in two lists whose orders it does not
  know, one of which is uniform given the other. So P_X and P_Y need not differ.

**Who opens what together** (printed with the plan by `mpc.visibility`):

- the helper and *any owner*: the key, so all identifiers of all lists, by trying or by decrypting; and who matches;
- the helper and P_X: all numbers and codes of X, row by row under pseudonyms; if P_X is itself an owner, under names;
- the helper and any server: the codes of rows that match (from e and δ), under pseudonyms;
- X and P_X: which of X's rows match, among M − |matches| others drawn at random;
- any two servers: all shares, so everything that was shared, row by row without names.

**What is public or seen as a size:** the numbers of rows sent and coming out, columns, and sizes of code lists. A plan
whose M is smaller than the smallest list fails when more rows match, which tells everybody that they do. How long
the helper takes depends a little on how many match.

The same argument with a server in the helper's place is in `diffie_hellman.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keys.randomness import KEY, MaskStream, permute
from mpc.protocols.channel import Channel
from mpc.protocols.comparing import Blocks, Indices, common_rows
from mpc.protocols.layout import Attempt, Layout
from mpc.protocols.pseudonyms import BLOCK, Covered, Table, agree, cover, draw_turns, turned
from mpc.protocols.replicated import Outsider
from mpc.protocols.ring import Words
from mpc.protocols.shuffling import Codes, random_order, random_sample
from plans.errors import LinkBroken, TooLarge

SEEDED = ((0, 2), (0, 1))
"""Which servers hold the first and the second component of what an outsider deals (`replicated.Outsider`)."""


# ------------------------------------------------------------------------------------------------- owners


def send_rows(
    channel: Channel, layout: Layout, me: str, table: Table, attempt: Attempt, coins: MaskStream
) -> None:
    """Do an owner's part of matching with a helper.

    Args:
        channel: links to the other owners, the helper and the partner.
        layout: what is public.
        me: this owner's name.
        table: its rows, which stay here.
        attempt: of the plan.
        coins: fresh randomness of its own (`shuffling.fresh`).

    Raises:
        TooLarge, Defect: see `pseudonyms.cover`.
        LinkBroken, PeerLost: see `Channel`.
    """
    key = agree(channel, me, layout.owners, attempt, coins)
    covered = cover(table, layout.of(me), layout.ring, attempt, coins)
    channel.send(layout.matcher, "match/pseudonyms", permute(key, covered.blocks).data.cast("B"))
    send_covered(channel, layout, me, covered)


def send_covered(channel: Channel, layout: Layout, me: str, covered: Covered) -> None:
    """Send masked numbers and codes to the matcher, and their seed to the partner."""
    sent = layout.of(me)
    if sent.columns:
        channel.send(layout.matcher, "match/numbers", layout.ring.raw(covered.numbers))
    if sent.codes:
        channel.send(layout.matcher, "match/codes", raw_codes(covered.codes))
    if sent.aligned:
        channel.send(sent.partner, "match/seed", covered.seed)


# ----------------------------------------------------------------------------------------------- matcher


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """What the matcher has of one owner, in the owner's secret order."""

    numbers: Words = field(repr=False)
    codes: Codes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What the matcher decides about the M rows that come out: never sent as a whole to anybody.

    Attributes:
        selections: σ of each owner, `[M]`, different places.
        matched: which of the M rows stand for somebody.
        turns: δ of each owner's code lists, `[lists × M]`.
    """

    selections: tuple[Indices, ...] = field(repr=False)
    matched: NDArray[np.bool_] = field(repr=False)
    turns: tuple[Codes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What the matcher shares: masked numbers of each owner `[columns × M]`, and each row's cell (−1: in none)."""

    numbers: tuple[Words, ...] = field(repr=False)
    cells: NDArray[np.int64] = field(repr=False)


def help_matching(channel: Channel, layout: Layout, me: str, attempt: Attempt, coins: MaskStream) -> None:
    """Do the helper's part.

    Raises:
        KeyRepeated: an owner's list holds a pseudonym twice.
        TooLarge: more rows match than the plan's public number.
        LinkBroken, PeerLost: see `Channel`.
    """
    lists = [
        receive_blocks(channel, sent.owner, "match/pseudonyms", sent.rows, BLOCK) for sent in layout.sent
    ]
    arrived = receive_covered(channel, layout)
    drawn = draw(layout, lists, coins)
    rows = gather(layout, arrived, drawn)
    seeds = [coins.draw(KEY).tobytes() for _ in SEEDED]
    for component, (seed, holders) in enumerate(zip(seeds, SEEDED, strict=True)):
        for place in holders:
            channel.send(layout.servers[place], f"match/deal/{component}", seed)
    tell_partners(channel, layout, drawn)
    streams = [attempt.masks(seed).stream("deal") for seed in seeds]
    _deal(Outsider(me, layout.servers, channel, streams[0], streams[1]), layout, rows)


def receive_covered(channel: Channel, layout: Layout) -> list[Arrived]:
    """Return the masked numbers and codes of all owners."""
    found = []
    for sent in layout.sent:
        numbers = layout.ring.zeros((0, sent.rows))
        codes = np.empty((0, sent.rows), dtype=np.uint16)
        if sent.columns:
            shape = (sent.columns, sent.rows)
            raw = channel.receive(sent.owner, "match/numbers", layout.ring.bytes_of(shape))
            numbers = layout.ring.from_raw(raw, shape)
        if sent.codes:
            codes = receive_codes(channel, sent.owner, "match/codes", sent.codes, sent.rows)
        found.append(Arrived(numbers, codes))
    return found


def draw(layout: Layout, lists: list[Blocks], coins: MaskStream) -> Drawn:
    """Match lists of pseudonyms, and decide at random what comes out where.

    Raises:
        KeyRepeated, Malformed: see `comparing.common_rows`.
        TooLarge: more rows match than the plan's public number. How many is not said.
    """
    common = common_rows(lists)
    count = common[0].size
    if count > layout.rows:
        raise TooLarge("more rows match than the plan's public number of rows", "match.rows")
    places = random_order(layout.rows, coins)
    selections = []
    for sent, found in zip(layout.sent, common, strict=True):
        selection = np.empty(layout.rows, dtype=np.int64)
        selection[places[:count]] = found
        selection[places[count:]] = random_sample(sent.rows, layout.rows - count, found, coins)
        selections.append(selection)
    matched = np.zeros(layout.rows, dtype=bool)
    matched[places[:count]] = True
    turns = tuple(draw_turns(sent.codes, layout.rows, coins) for sent in layout.sent)
    return Drawn(tuple(selections), matched, turns)


def gather(layout: Layout, arrived: list[Arrived], drawn: Drawn) -> Rows:
    """Return the rows that come out: v of each owner, and the cell of each row."""
    numbers = []
    cells = np.zeros(layout.rows, dtype=np.int64)
    for sent, came, selection, turns in zip(layout.sent, arrived, drawn.selections, drawn.turns, strict=True):
        numbers.append(np.take(came.numbers, selection, axis=1))
        codes = turned(np.take(came.codes, selection, axis=1), turns, sent.codes)
        for size, code in zip(sent.codes, codes, strict=True):
            cells = cells * size + code
    cells[~drawn.matched] = -1
    return Rows(tuple(numbers), cells)


def tell_partners(channel: Channel, layout: Layout, drawn: Drawn) -> None:
    """Send each partner its owner's σ and turns, and nobody else's."""
    for sent, selection, turns in zip(layout.sent, drawn.selections, drawn.turns, strict=True):
        if sent.aligned:
            channel.send(sent.partner, f"match/order/{sent.owner}", selection.astype("<u4").data.cast("B"))
        if sent.codes:
            channel.send(sent.partner, f"match/turns/{sent.owner}", raw_codes(turns))


def one_hots(layout: Layout, cells: NDArray[np.int64], minus: Words) -> Words:
    """Return the one-hots of cells `[m × cells]` less what is given, in its place; −1 is a row of zeros."""
    ring = layout.ring
    last = ring.neg(minus)
    rows = np.flatnonzero(cells >= 0)
    places = rows, cells[rows]
    last[places] = ring.add(last[places], ring.widen(np.ones(rows.size, dtype=np.int64)))
    return last


def _deal(outsider: Outsider, layout: Layout, rows: Rows) -> None:
    """Share the rows with the servers, piece by piece, in the order in which `rows.matched_rows` takes them."""
    ring = layout.ring
    for piece in layout.pieces():
        for sent, numbers in zip(layout.sent, rows.numbers, strict=True):
            if sent.columns:
                outsider.deal(ring, numbers[:, piece])
        cells = rows.cells[piece]
        shape = (cells.size, layout.cells)
        drawn = [ring.draw(stream, shape) for stream in (outsider.first, outsider.second)]
        outsider.send_last(ring, one_hots(layout, cells, ring.add(drawn[0], drawn[1])))


# -------------------------------------------------------------------------------------------- raw arrays


def raw_codes(codes: Codes) -> memoryview:
    """Return codes as little-endian bytes."""
    return np.ascontiguousarray(codes, dtype="<u2").data.cast("B")


def receive_codes(channel: Channel, peer: str, tag: str, sizes: tuple[int, ...], rows: int) -> Codes:
    """Return codes `[lists × rows]` that a peer sent.

    Raises:
        LinkBroken: a code lies outside its list.
    """
    raw = channel.receive(peer, tag, 2 * len(sizes) * rows)
    codes = np.frombuffer(raw, dtype="<u2").astype(np.uint16, copy=False).reshape(len(sizes), rows)
    for size, column in zip(sizes, codes, strict=True):
        if column.max(initial=0) >= size:
            raise LinkBroken("a code lies outside its list", peer)
    return codes


def receive_blocks(channel: Channel, peer: str, tag: str, rows: int, width: int) -> Blocks:
    """Return blocks `[rows × width]` that a peer sent."""
    return np.frombuffer(channel.receive(peer, tag, rows * width), dtype=np.uint8).reshape(rows, width)
