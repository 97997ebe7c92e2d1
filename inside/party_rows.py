"""An owner's rows as the protocol takes them: arrays, from the stream of the extracting box (`inside.portions`)."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np

from inside import portions
from mpc.lookup.fields import width_of
from mpc.protocols.identifiers import BLOCK, Blocks, count_repeated, pack
from mpc.protocols.joint_rows import OwnRows
from plans.errors import EvidenceBroken, KeyMissing, KeyRepeated, Malformed
from plans.joint import Portion

_LENGTH = 2
"""Bytes that say how long a field's text is."""


def read_rows(source: BinaryIO, portion: Portion) -> OwnRows:
    """Return the rows, once all are there and every key can be matched.

    Raises:
        EvidenceBroken: the stream is not what an extracting box sends for this portion, or not all of it.
        KeyMissing, KeyRepeated, Malformed: a key is not there, is another row's too, or is too long.
    """
    rows, operands = portions.read_head(source, portion), len(portion.operands)
    width = width_of([each.width for each in portion.fields]) if portion.fields else 0
    found = OwnRows(
        np.zeros((rows, BLOCK), dtype=np.uint8),
        np.empty((operands, rows), dtype=np.int64),
        np.empty((operands, rows), dtype=np.uint8),
        np.empty(rows, dtype=np.uint16),
        np.empty((rows, width), dtype=np.uint8),
    )
    start = 0
    while count := _batch(source, found, start, portion):
        start += count
    if start != rows:
        raise EvidenceBroken("the rows of the owner are fewer than its head says", portion.relation)
    if portion.key and count_repeated(found.keys):
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
    if portion.key:
        found.keys[rows] = _keys(source, count, text, portion)
    for place in range(len(found.values)):
        found.values[place, rows] = np.frombuffer(portions.exactly(source, 8 * count), dtype="<i8")
    for place in range(len(found.present)):
        found.present[place, rows] = np.frombuffer(portions.exactly(source, count), dtype=np.uint8)
    found.groups[rows] = np.frombuffer(portions.exactly(source, 2 * count), dtype="<u2")
    _read_fields(source, found.records[rows], portion)
    return int(count)


def _keys(source: BinaryIO, count: int, text: int, portion: Portion) -> Blocks:
    """Read the keys of a batch, and return them packed."""
    offsets = np.frombuffer(portions.exactly(source, 4 * (count + 1)), dtype="<i4")
    packed = pack(portions.exactly(source, text), offsets)
    if packed.faults.missing:
        raise KeyMissing("rows have no identifier to be matched by", portion.relation)
    if packed.faults.unpackable:
        raise Malformed("identifiers are longer than can be matched", portion.relation)
    return packed.blocks


def _read_fields(source: BinaryIO, records: Blocks, portion: Portion) -> None:
    """Read the fields of a batch into its records, each as `mpc.lookup.fields` packs its texts."""
    start = 0
    for each in portion.fields:
        for size in (_LENGTH, each.width):
            content = portions.exactly(source, len(records) * size)
            records[:, start : start + size] = np.frombuffer(content, dtype=np.uint8).reshape(-1, size)
            start += size
