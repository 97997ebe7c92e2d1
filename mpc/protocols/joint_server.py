"""What the three servers do with matched rows: sums of each cell, tests, and what is handed over to be opened.

- *Sums.* A sum over the rows of a cell is an inner product with the cell's one-hot: one element for each cell and sum,
  however many rows there are (`replicated.Grouped`). `rows` needs no message at all: it adds up the one-hots. A product
  of two owners' operands costs one element for each row.
- *Noise*, where the plan names a rate: on every sum, before it is tested or opened (`noise`).
- *Tests* (`plans.joint_guards`): a figure's bit is 1 in a cell where at least the minimum group of persons stands
  behind it, and every total passes the test of dominance on public caps: magnitude · dominance ≥ 200 · cap, that is,
  a public number is reached. Of one table in parts, exactly, all holders' votes on it are tested as well. So every
  test is [sum ≥ public number], all of them one comparison of many elements.
  Nobody learns a bit before it is opened.
- *What is handed over*, where nobody but the recipient opens: for every figure the bits, and each of its sums times
  the bit. A sum that may not be opened is opened as 0, with a bit 0 that says so. An inspector is handed the sums
  themselves, untested (`inspected`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from keys.randomness import MaskStream
from mpc.protocols import boolean, replicated
from mpc.protocols.joint_rows import Column, columns_of
from mpc.protocols.noise import Coins, add_noise, scales_of
from mpc.protocols.replicated import Grouped, Server, Shared
from mpc.protocols.ring import Ring
from mpc.protocols.rows import Matched
from plans.joint import JointPlan, JointReading, Measure, Sum
from plans.joint_guards import agreed, thresholds

HexShares = tuple[tuple[str, ...], tuple[str, ...]]


def noised(me: Server, joint: JointPlan, sums: Shared, coins: MaskStream) -> Shared:
    """Return the sums `[sums × cells]` with the noise that the plan names, if it names any.

    Args:
        coins: this server's own randomness, of which its part of the noise is made.

    Raises:
        Malformed: the plan adds noise to a figure that gets none.
        LinkBroken, PeerLost: see `Channel`.
    """
    if not joint.scheme.noise_micro:
        return sums
    return add_noise(me, sums, scales_of(joint), Coins(coins))


def handed_blind(me: Server, joint: JointPlan, sums: Shared) -> HexShares:
    """Return this server's two shares of everything that is opened, in hex, in the order of `Opened`.

    Raises:
        LinkBroken, PeerLost: see `Channel`.
    """
    found = guarded(me, joint, sums)
    return _hex(found.ring, found.own), _hex(found.ring, found.next)


def add_up(me: Server, reading: JointReading, ring: Ring, pieces: Iterable[Matched]) -> Shared:
    """Return all sums of a reading, `[sums × cells]`."""
    places = _places(reading)
    products = [total for total in reading.sums if _crosses(total)]
    width = len(places) + len(products)
    counted = Shared(ring, ring.zeros((reading.cells, 1)), ring.zeros((reading.cells, 1)))
    grouped = Grouped(ring, reading.cells, width)
    for piece in pieces:
        counted = replicated.add(counted, replicated.total(piece.cells))
        if width:
            grouped.add(piece.cells, _columns(me, piece, products, places))
    added = grouped.finish(me) if width else None
    parts = []
    for total in reading.sums:
        if total.measure is Measure.ROWS:
            parts.append(counted[:, 0])
        elif added is not None:
            parts.append(added[:, _row_of(total, places, products)])

    return replicated.stack(parts)


def _columns(
    me: Server, piece: Matched, products: list[Sum], places: dict[tuple[int, Column], int]
) -> Shared:
    """Return the columns that are added up, `[columns × m]`: those that owners share, and products of two owners."""
    shared = replicated.joined(list(piece.numbers))
    if not products:
        return shared
    left, right = ([_total_of(total.operands[side], places) for total in products] for side in (0, 1))
    multiplied = replicated.multiply(me, _rows(shared, left), _rows(shared, right))
    return replicated.joined([shared, multiplied])


def _total_of(operand: tuple[int, int], places: dict[tuple[int, Column], int]) -> int:
    return places[operand[0], Column(Measure.TOTAL, (operand[1],))]


def _places(reading: JointReading) -> dict[tuple[int, Column], int]:
    """Return the row of each portion's columns among all that owners share."""
    listed = [
        (portion, column)
        for portion in range(len(reading.portions))
        for column in columns_of(reading, portion)
    ]
    return {key: place for place, key in enumerate(listed)}


def _crosses(total: Sum) -> bool:
    return total.measure is Measure.PRODUCT and total.operands[0][0] != total.operands[1][0]


def _row_of(total: Sum, places: dict[tuple[int, Column], int], products: list[Sum]) -> int:
    """Return which column a sum adds up."""
    if _crosses(total):
        return len(places) + products.index(total)
    column = Column(total.measure, tuple(operand for _, operand in total.operands))
    return places[total.operands[0][0], column]


# ---------------------------------------------------------------------------------------- guard and opening


def guarded(me: Server, joint: JointPlan, sums: Shared) -> Shared:
    """Return what is opened, in the order of `Opened`: each figure's bits, and its sums where the bit is 1.

    Args:
        sums: `[sums × cells]`, votes of holders behind them where they have any.
    """
    ring, figures = sums.ring, joint.reading.figures
    tests = [(*thresholds(joint, figure), *agreed(joint, figure)) for figure in figures]
    distinct = list(dict.fromkeys(test for each in tests for test in each))
    least = ring.encode([number for _, number in distinct])
    picked = _rows(sums, [place for place, _ in distinct])
    passed = boolean.at_least(me, picked, least.reshape(len(distinct), 1, *ring.words))
    most = max(len(each) for each in tests)  # a test twice changes nothing: so all figures go in one step
    layers = [
        _rows(passed, [distinct.index(each[layer] if layer < len(each) else each[0]) for each in tests])
        for layer in range(most)
    ]
    # an AND shares whole words: of their components only the lowest bits make the bit
    bits = boolean.to_numbers(me, ring, boolean.bit(boolean.every(me, layers), 0))
    owners = [place for place, figure in enumerate(figures) for _ in figure.sums]
    wanted = [total for figure in figures for total in figure.sums]
    kept = replicated.multiply(me, _rows(bits, owners), _rows(sums, wanted))
    parts, taken = [], 0
    for place, figure in enumerate(figures):
        parts += [bits[place], *(kept[taken + number] for number in range(len(figure.sums)))]
        taken += len(figure.sums)
    return replicated.stack(parts).reshape(len(parts) * joint.reading.cells)


def _rows(x: Shared, rows: list[int]) -> Shared:
    return Shared(x.ring, x.own[rows], x.next[rows])


def _hex(ring: Ring, words: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> tuple[str, ...]:
    raw = bytes(ring.raw(words)).hex()
    return tuple(raw[at : at + 2 * ring.size] for at in range(0, len(raw), 2 * ring.size))
