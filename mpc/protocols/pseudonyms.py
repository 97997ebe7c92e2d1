"""An owner's side of matching: pseudonyms, rows that stand for nobody, a secret order, and masks.

Owners of one plan agree on a key that nobody else has (`agree`): each sends 32 fresh random bytes to each other, and
the key follows from all of them, the plan's digest and the attempt. A pseudonym is the packed identifier under AES
with this key (`keys.randomness.permute`): the same for the same person at every owner, uniform blocks to whoever
lacks the key, and other ones in every attempt.

`cover` makes of an owner's table what it sends: it appends random blocks up to the public number of rows, so that
nobody learns how many rows passed its filter; puts all rows into a fresh random order that it keeps to itself; and
masks every number and code with streams whose seed it sends to its partner alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keys.randomness import KEY, MaskStream, mask_key
from mpc.protocols.channel import Channel
from mpc.protocols.layout import STAGE, Attempt, Sent
from mpc.protocols.ring import Ring, Words
from mpc.protocols.shuffling import Codes, Indices, random_codes, random_order
from plans.errors import Defect, TooLarge

Blocks = NDArray[np.uint8]

BLOCK = 16  # bytes of a packed identifier and of a pseudonym
NOBODY = 255  # the first byte of blocks that stand for nobody, which `identifiers.pack` gives to none


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One owner's rows in the clear, inside its own box: never sent. `repr` shows none of it.

    Attributes:
        blocks: packed identifiers `[n × 16]`, all different (`identifiers.require_keys`).
        numbers: ring elements `[columns × n]`.
        codes: places in the public code lists, `[lists × n]`.
    """

    blocks: Blocks = field(repr=False)
    numbers: Words = field(repr=False)
    codes: Codes = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """The same rows as others see them: in a secret order, numbers and codes masked. `blocks` are not pseudonyms yet.

    `seed` is for the partner alone.
    """

    blocks: Blocks = field(repr=False)
    numbers: Words = field(repr=False)
    codes: Codes = field(repr=False)
    seed: bytes = field(repr=False)


def agree(channel: Channel, me: str, owners: Sequence[str], attempt: Attempt, coins: MaskStream) -> bytes:
    """Return the key of this attempt's pseudonyms, which all owners and nobody else get.

    Raises:
        LinkBroken, PeerLost: see `Channel`.
    """
    others = [owner for owner in owners if owner != me]
    parts = {me: coins.draw(KEY).tobytes()}
    for owner in others:
        channel.send(owner, "match/key", parts[me])
    for owner in others:
        parts[owner] = channel.receive(owner, "match/key", KEY)
    # Each part is the key of one step of derivation: the result is uniform if one part is.
    key = bytes(KEY)
    for owner in owners:
        key = bytes(a ^ b for a, b in zip(key, _derived(parts[owner], attempt, owner), strict=True))
    return key


def _derived(part: bytes, attempt: Attempt, owner: str) -> bytes:
    return mask_key(part, attempt.digest, attempt.number, STAGE, f"pseudonyms/{owner}")


def cover(table: Table, sent: Sent, ring: Ring, attempt: Attempt, coins: MaskStream) -> Covered:
    """Return what an owner sends of its table.

    Args:
        table: of at most `sent.rows` rows.
        sent: what is public about it.
        ring: of its numbers.
        coins: this owner's own fresh randomness.

    Raises:
        TooLarge: the table has more rows than its public number.
        Defect: its columns are not those that `sent` says.
    """
    count = len(table.blocks)
    if ring.shape(table.numbers) != (sent.columns, count) or table.codes.shape != (len(sent.codes), count):
        raise Defect("an owner's columns are not those of the plan", "pseudonyms.cover")
    hidden, order = hide(table.blocks, sent.rows, sent.owner, coins)
    seed = coins.draw(KEY).tobytes()
    masks, turns = masks_of(sent, ring, attempt, seed)
    numbers, codes = _lengthened(table.numbers, sent.rows), _lengthened(table.codes, sent.rows)
    numbers = ring.add(np.take(numbers, order, axis=1), masks)
    return Covered(
        hidden,
        numbers,
        turned(np.take(codes, order, axis=1), turns, sent.codes),
        seed,
    )


def hide(blocks: Blocks, rows: int, owner: str, coins: MaskStream) -> tuple[Blocks, Indices]:
    """Return packed identifiers with random blocks up to a public number of rows, in a secret order; and the order.

    A random block begins with a byte that no identifier has, so it stands for nobody for certain. What stands at place
    k of the result was at place `order[k]`.

    Raises:
        TooLarge: there are more than the public number.
    """
    if len(blocks) > rows:
        raise TooLarge("there are more rows than the plan's public number of rows", owner)
    order = random_order(rows, coins)
    spare = coins.draw(BLOCK * (rows - len(blocks))).reshape(-1, BLOCK).copy()
    spare[:, 0] = NOBODY
    whole = np.concatenate([blocks, spare])
    return np.take(whole.view(np.uint64), order, axis=0).view(np.uint8), order


def masks_of(sent: Sent, ring: Ring, attempt: Attempt, seed: bytes) -> tuple[Words, Codes]:
    """Return the masks of an owner's numbers `[columns × rows]` and codes `[lists × rows]`: for it and its partner."""
    masks = attempt.masks(seed)
    numbers = ring.draw(masks.stream(f"numbers/{sent.owner}"), (sent.columns, sent.rows))
    return numbers, draw_turns(sent.codes, sent.rows, masks.stream(f"codes/{sent.owner}"))


def draw_turns(sizes: Sequence[int], rows: int, coins: MaskStream) -> Codes:
    """Return a uniform turn of each code list for each row, `[lists × rows]`."""
    turns = np.empty((len(sizes), rows), dtype=np.uint16)
    for place, size in enumerate(sizes):
        turns[place] = random_codes(size, (rows,), coins)
    return turns


def turned(codes: Codes, turns: Codes, sizes: Sequence[int]) -> Codes:
    """Return (codes + turns) mod size, list by list."""
    found = np.empty_like(codes)
    for place, size in enumerate(sizes):
        found[place] = (codes[place].astype(np.uint32) + turns[place]) % np.uint32(size)
    return found


def _lengthened(columns: NDArray[np.uint64] | Codes, rows: int) -> NDArray[np.generic]:
    """Return columns with zeros behind, `rows` in all."""
    found = np.zeros((columns.shape[0], rows, *columns.shape[2:]), dtype=columns.dtype)
    found[:, : columns.shape[1]] = columns
    return found
