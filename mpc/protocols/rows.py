"""A server's side of matching: from masked rows to shares of rows, in an order that says nothing.

The argument why this is safe stands in `helper.py`, and for a matcher that is a server in `diffie_hellman.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from keys.randomness import KEY
from mpc.protocols.helper import SEEDED, raw_codes, receive_codes
from mpc.protocols.layout import Attempt, Layout, Sent
from mpc.protocols.pseudonyms import masks_of, turned
from mpc.protocols.replicated import Inlet, Server, Shared, deal, sub
from mpc.protocols.ring import Words
from mpc.protocols.shuffling import Codes
from plans.errors import LinkBroken

_TURNED_AT_ONCE = 1 << 20  # bytes: what is read and written stays in the cache


@dataclass(frozen=True, slots=True)
class Matched:
    """A piece of the rows that came out, shared.

    Attributes:
        numbers: of each owner, in the layout's order, `[columns × m]`.
        cells: the one-hot of each row's cell `[cells × m]`; zeros for a row that stands for nobody. (It lies in
            memory row by row.)
    """

    numbers: tuple[Shared, ...]
    cells: Shared


class Source(Protocol):
    """Where a server's shares of masked numbers and of cells come from: an outside helper, or one of the servers."""

    def numbers(self, me: Server, owner: int, piece: slice) -> Shared:
        """Return shares of v of an owner, `[columns × m]`."""
        ...

    def cells(self, me: Server, piece: slice, turns: Codes | None) -> Shared:
        """Return shares of the one-hots, turned back, `[m × cells]`; whoever must not know the turns has none."""
        ...


@dataclass(slots=True)
class FromHelper:
    """Shares that a helper deals."""

    layout: Layout
    inlet: Inlet

    def numbers(self, me: Server, owner: int, piece: slice) -> Shared:
        """Return shares of v of an owner."""
        shape = (self.layout.sent[owner].columns, piece.stop - piece.start)
        return self.inlet.take(me, self.layout.ring, shape)

    def cells(self, me: Server, piece: slice, turns: Codes | None) -> Shared:
        """Return shares of the one-hots, turned back."""
        shape = (piece.stop - piece.start, self.layout.cells)
        dealt = self.inlet.take(me, self.layout.ring, shape)
        if turns is None:
            return dealt
        sizes = self.layout.sizes
        return Shared(dealt.ring, turn_back(dealt.own, sizes, turns), turn_back(dealt.next, sizes, turns))


@dataclass(slots=True)
class Kept:
    """What a partner keeps of its owner: the masks of the rows that came out, in their order; `repr` shows none."""

    masks: Words = field(repr=False)


def from_helper(me: Server, layout: Layout, attempt: Attempt) -> FromHelper:
    """Return where a helper's shares come from, at the beginning of a server's part.

    Raises:
        LinkBroken, PeerLost: see `Channel`.
    """
    streams = [
        attempt.masks(me.channel.receive(layout.matcher, f"match/deal/{component}", KEY)).stream("deal")
        if me.place in holders
        else None
        for component, holders in enumerate(SEEDED)
    ]
    return FromHelper(layout, Inlet(layout.matcher, streams[0], streams[1]))


def matched_rows(me: Server, layout: Layout, attempt: Attempt, source: Source) -> Iterator[Matched]:
    """Return the rows that came out, shared, piece by piece: `layout.pieces()`.

    Args:
        me: the server, with links to the other servers, the matcher, and the owners whose partner it is.
        layout: what is public.
        attempt: of the plan.
        source: `from_helper`, or `diffie_hellman.from_server`.

    Raises:
        LinkBroken: a message is not what the layout makes it, or an order names a row twice.
        PeerLost: see `Channel`.
    """
    ring = layout.ring
    kept, turns = _as_partner(me, layout, attempt)
    for piece in layout.pieces():
        width = piece.stop - piece.start
        numbers = []
        for owner, sent in enumerate(layout.sent):
            if not sent.columns:
                numbers.append(Shared(ring, ring.zeros((0, width)), ring.zeros((0, width))))
                continue
            masked = source.numbers(me, owner, piece)
            mine = kept[owner].masks[:, piece] if owner in kept else None
            numbers.append(
                sub(masked, deal(me, ring, layout.place(sent.partner), mine, (sent.columns, width)))
            )
        cells = source.cells(me, piece, None if turns is None else turns[:, piece])
        yield Matched(tuple(numbers), _transposed(cells))


def turn_back(x: Words, sizes: tuple[int, ...], turns: Codes) -> Words:
    """Turn rows of cells back: result[i, g] = x[i, (g + turns[:, i]) mod sizes], list by list.

    Args:
        x: `[m × cells]`, cells in the order of the code lists `sizes`, of which the last turns fastest.
        sizes: of the code lists; their product is the number of cells.
        turns: `[lists × m]`, each below its list's size.
    """
    rows = x.shape[0]
    flat = np.ascontiguousarray(x).reshape(rows, -1)
    words = flat.shape[1] // prod(sizes)
    step = max(1, _TURNED_AT_ONCE // max(1, flat.nbytes // max(1, rows)))
    found = np.empty_like(flat)
    for start in range(0, rows, step):
        piece = flat[start : start + step]
        before, behind = 1, prod(sizes) * words
        for size, turn in zip(sizes, turns[:, start : start + step], strict=True):
            behind //= size  # words of one code of this list, with all codes of the later lists
            piece = _turned(
                piece.reshape(-1, size * behind), np.repeat(turn.astype(np.int64), before) * behind
            )
            before *= size
        found[start : start + step] = piece.reshape(-1, flat.shape[1])
    return found.reshape(x.shape)


def _turned(x: Words, by: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Words:
    """Turn each row of x by so many words: windows into rows written twice side by side."""
    width = x.shape[1]
    windows = sliding_window_view(np.concatenate([x, x], axis=1).reshape(-1), width)
    return np.asarray(windows[np.arange(len(x)) * (2 * width) + by])


def _transposed(x: Shared) -> Shared:
    return Shared(x.ring, x.own.swapaxes(0, 1), x.next.swapaxes(0, 1))


def _as_partner(me: Server, layout: Layout, attempt: Attempt) -> tuple[dict[int, Kept], Codes | None]:
    """Do what a partner does for its owners; return their masks, and the turns e of all code lists `[lists × M]`.

    A matcher that is a server is nobody's partner, and is told no turns.
    """
    name = me.parties[me.place]
    listeners = [party for party in layout.servers if party not in (name, layout.matcher)]
    kept: dict[int, Kept] = {}
    turns: dict[int, Codes] = {}
    for owner, sent in enumerate(layout.sent):
        if sent.partner != name or not sent.aligned:
            continue
        masks, spun = masks_of(sent, layout.ring, attempt, me.channel.receive(sent.owner, "match/seed", KEY))
        selection = _selection(me, layout, sent)
        kept[owner] = Kept(np.take(masks, selection, axis=1))
        if sent.codes:
            drawn = receive_codes(
                me.channel, layout.matcher, f"match/turns/{sent.owner}", sent.codes, layout.rows
            )
            turns[owner] = turned(np.take(spun, selection, axis=1), drawn, sent.codes)
            for party in listeners:
                me.channel.send(party, f"match/turned/{sent.owner}", raw_codes(turns[owner]))
    if name == layout.matcher or not layout.sizes:
        return kept, None
    for owner, sent in enumerate(layout.sent):
        if sent.codes and sent.partner != name:
            tag = f"match/turned/{sent.owner}"
            turns[owner] = receive_codes(me.channel, sent.partner, tag, sent.codes, layout.rows)
    return kept, np.concatenate([turns[owner] for owner in sorted(turns)])


def _selection(me: Server, layout: Layout, sent: Sent) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return σ of an owner, as the matcher sent it.

    Raises:
        LinkBroken: it names a row twice, or one that is not there.
    """
    raw = me.channel.receive(layout.matcher, f"match/order/{sent.owner}", 4 * layout.rows)
    selection = np.frombuffer(raw, dtype="<u4").astype(np.int64)
    seen = np.zeros(sent.rows, dtype=bool)
    if selection.max() < sent.rows:
        seen[selection] = True
    if np.count_nonzero(seen) != layout.rows:
        raise LinkBroken("an order of rows names one twice, or one that is not there", layout.matcher)
    return selection
