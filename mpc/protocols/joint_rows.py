"""What an owner brings to a joint computation, as arrays, and the columns that leave it masked.

Everything that one owner can compute alone from its operands it does here, before anything is shared: squares,
absolute values, products of two of its own operands. So the servers multiply only what two owners bring.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpc.protocols.pseudonyms import Table
from mpc.protocols.ring import Ring, Words
from plans.errors import Malformed
from plans.joint import JointReading, Measure, Portion

Blocks = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class OwnRows:
    """An owner's n rows of k operands. `repr` shows none of it.

    Attributes:
        keys: packed identifiers `[n × 16]`, all different; a model's one row has zeros.
        values: operands `[k × n]`, int64, at their declared scale; 0 where there is none.
        present: 1 where an operand has a value, `[k × n]`.
        groups: places among the owner's groups `[n]`, uint16.
        records: of a register, what it tells of each row (`mpc.lookup.fields`), `[n × width]`; else `[0 × 0]`.
    """

    keys: Blocks = field(repr=False)
    values: NDArray[np.int64] = field(repr=False)
    present: NDArray[np.uint8] = field(repr=False)
    groups: NDArray[np.uint16] = field(repr=False)
    records: Blocks = field(repr=False, default_factory=lambda: np.empty((0, 0), dtype=np.uint8))

    def piece(self, rows: slice) -> OwnRows:
        """Return some of the rows, without a copy."""
        return OwnRows(self.keys[rows], self.values[:, rows], self.present[:, rows], self.groups[rows])


@dataclass(frozen=True, slots=True)
class Column:
    """A column of ring elements that one portion shares: a measure of one of its operands, or of two (`product`)."""

    measure: Measure
    operands: tuple[int, ...]


def columns_of(reading: JointReading, portion: int) -> tuple[Column, ...]:
    """Return what a portion shares for the sums of a reading, each once, in the order in which it is first used."""
    found: dict[Column, None] = {}
    for total in reading.sums:
        for column in _wanted(total.measure, total.operands, portion):
            found[column] = None
    return tuple(found)


def _wanted(measure: Measure, operands: tuple[tuple[int, int], ...], portion: int) -> list[Column]:
    mine = tuple(operand for owner, operand in operands if owner == portion)
    if measure is not Measure.PRODUCT:
        return [Column(measure, mine)] if mine else []
    if len(mine) == 2:  # both are this owner's: it multiplies alone
        return [Column(measure, mine)]
    return [Column(Measure.TOTAL, mine)] if mine else []


def group_count(portion: Portion) -> int:
    """Return how many combinations of groups a portion knows; 1 without a key of groups."""
    count = 1
    for group in portion.groups:
        count *= len(group.codes)
    return count


def column_values(rows: OwnRows, column: Column, ring: Ring) -> Words:
    """Return a column's elements `[n]`, rows without a value as 0.

    Raises:
        Malformed: no portion shares such a measure.
    """
    first = rows.values[column.operands[0]]
    if column.measure is Measure.TOTAL:
        return ring.widen(first)
    if column.measure is Measure.PRESENT:
        return ring.widen(rows.present[column.operands[0]].astype(np.int64))
    if column.measure is Measure.MAGNITUDE:
        return ring.widen(np.abs(first))
    if column.measure is Measure.SQUARE:
        return ring.mul(ring.widen(first), ring.widen(first))
    if column.measure is Measure.PRODUCT:
        return ring.mul(ring.widen(first), ring.widen(rows.values[column.operands[1]]))
    raise Malformed(f"no column has the measure {column.measure}", "joint.sums")


def turning_codes(portion: Portion) -> tuple[int, ...]:
    """Return the sizes of the code lists that a portion sends: one, of all its combinations, or none."""
    return (group_count(portion),) if portion.groups else ()


def table_of(rows: OwnRows, reading: JointReading, portion: int, ring: Ring) -> Table:
    """Return an owner's rows as matching takes them: every column that it shares, and the places of its groups."""
    columns = [column_values(rows, column, ring) for column in columns_of(reading, portion)]
    numbers = np.stack(columns) if columns else ring.zeros((0, len(rows.keys)))
    codes = rows.groups[None] if reading.portions[portion].groups else rows.groups[None][:0]
    return Table(rows.keys, numbers, codes)
