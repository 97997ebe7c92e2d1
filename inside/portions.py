"""The rows of an owner between its two boxes of a joint computation: written by `extract`, read by `party`.

The reader has numpy and no engine, the writer an engine and no numpy; so it is columns of fixed-width numbers, as both
have them in memory:

    4 bytes   length of a head, and the head: canonical JSON {rows, operands}
    batches   4 bytes   rows of the batch, 4 bytes text: how many bytes its keys have together
              4·(rows + 1)        where each key begins and ends, the first at 0
              text                the keys, UTF-8
              8·rows · operands   the operands, signed, 0 where there is no value
              1·rows · operands   1 where there is a value, else 0
              2·rows              the place of the row's groups among all that the owner's keys of groups allow
    8 zeros   the end

All numbers are little-endian. It crosses a link as sealed records (`inside.streams`).
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from plans import canonical
from plans.errors import EvidenceBroken

BATCH = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_LONGEST_HEAD = 1 << 12


def write_head(sink: Any, rows: int, operands: int) -> None:
    """Write how many rows will come, and how many operands each has."""
    head = canonical.encode({"rows": rows, "operands": operands})
    sink.write(_LENGTH.pack(len(head)) + head)


def read_head(source: BinaryIO) -> tuple[int, int]:
    """Return rows and operands.

    Raises:
        EvidenceBroken: there is no head.
    """
    (length,) = _LENGTH.unpack(exactly(source, _LENGTH.size))
    if length > _LONGEST_HEAD:
        raise EvidenceBroken("the rows of an owner have no head", "rows")
    head = canonical.decode(exactly(source, length))
    if not isinstance(head, dict) or not all(
        isinstance(head.get(name), int) for name in ("rows", "operands")
    ):
        raise EvidenceBroken("the rows of an owner have no head", "rows")
    return head["rows"], head["operands"]


def exactly(source: BinaryIO, size: int) -> bytes:
    """Return so many bytes.

    Raises:
        EvidenceBroken: there are fewer.
    """
    found = source.read(size)
    if len(found) != size:
        raise EvidenceBroken("the rows of an owner end before their end", "rows")
    return found
