"""An owner's rows as the protocol takes them: arrays, from the stream of the extracting box (`inside.portions`)."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from inside import portions
from mpc.protocols.identifiers import BLOCK, count_repeated, pack
from mpc.protocols.joint_rows import OwnRows
from plans.errors import EvidenceBroken, KeyMissing, KeyRepeated, Malformed
from plans.joint import Portion


def read_rows(source: BinaryIO, portion: Portion) -> OwnRows:
    """Return the rows, once all are there and every key can be matched.

    Raises:
        EvidenceBroken: the stream is not what an extracting box sends for this portion, or not all of it.
        KeyMissing, KeyRepeated, Malformed: a key is not there, is another row's too, or is too long.
    """
    rows, operands = portions.read_head(source)
    if operands != len(portion.operands) or not 0 <= rows <= portion.bound:
        raise EvidenceBroken("the rows of the owner are not those of its portion", portion.relation)
    found = OwnRows(
        np.empty((rows, BLOCK), dtype=np.uint8),
        np.empty((operands, rows), dtype=np.int64),
        np.empty((operands, rows), dtype=np.uint8),
        np.empty(rows, dtype=np.uint16),
    )
    start = 0
    while count := _batch(source, found, start, portion):
        start += count
    if start != rows:
        raise EvidenceBroken("the rows of the owner are fewer than its head says", portion.relation)
    if count_repeated(found.keys):
        raise KeyRepeated("identifiers repeat, and matching needs one row for each person", portion.relation)
    return found


def _batch(source: BinaryIO, found: OwnRows, start: int, portion: Portion) -> int:
    """Read one batch to its place, and return how many rows it has."""
    count, text = portions.BATCH.unpack(portions.exactly(source, portions.BATCH.size))
    if start + count > len(found.keys):
        raise EvidenceBroken("the rows of the owner are more than its head says", portion.relation)
    if not count:
        return 0
    rows = slice(start, start + count)
    offsets = np.frombuffer(portions.exactly(source, 4 * (count + 1)), dtype="<i4")
    packed = pack(portions.exactly(source, text), offsets)
    if packed.faults.missing:
        raise KeyMissing("rows have no identifier to be matched by", portion.relation)
    if packed.faults.unpackable:
        raise Malformed("identifiers are longer than can be matched", portion.relation)
    found.keys[rows] = packed.blocks
    for place in range(len(found.values)):
        found.values[place, rows] = np.frombuffer(portions.exactly(source, 8 * count), dtype="<i8")
    for place in range(len(found.present)):
        found.present[place, rows] = np.frombuffer(portions.exactly(source, count), dtype=np.uint8)
    found.groups[rows] = np.frombuffer(portions.exactly(source, 2 * count), dtype="<u2")
    return int(count)
