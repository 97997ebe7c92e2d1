"""The rows of an owner between its two boxes of a joint computation: written by `extract`, read by `party`.

The reader has numpy and no engine, the writer an engine and no numpy; so it is columns of fixed-width numbers, as both
have them in memory:

    4 bytes   length of a head, and the head: canonical JSON {rows, operands, keyed, widths}
    batches   4 bytes   rows of the batch, 4 bytes text: how many bytes its keys have together
              4·(rows + 1)        where each key begins and ends, the first at 0
              text                the keys, UTF-8
              8·rows · operands   the operands, signed, 0 where there is no value
              1·rows · operands   1 where there is a value, else 0
              2·rows              the place of the row's groups among all that the owner's keys of groups allow
              of each field       2·rows       how many bytes its text has and one more, 0 where there is no value
                                  width·rows   the text, UTF-8, and zeros to the field's width
    8 zeros   the end

A model's row has no key: `keyed` is false then, and the places and texts of keys are left out. `widths` are those of
the fields that a register tells, most have none. All numbers are little-endian. It crosses a link as sealed records
(`inside.streams`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from plans import canonical
from plans.errors import EvidenceBroken
from plans.joint import Portion

BATCH = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
_LONGEST_HEAD = 1 << 12


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the batches: how many rows will come, and what each has."""

    rows: int
    operands: int
    keyed: bool
    widths: tuple[int, ...]


def head_of(portion: Portion, rows: int) -> Head:
    """Return the head of so many rows of a portion."""
    widths = tuple(field.width for field in portion.fields)
    return Head(rows, len(portion.operands), bool(portion.key), widths)


def write_head(sink: Any, head: Head) -> None:
    """Write how many rows will come, and what each has."""
    content = canonical.encode(
        {"rows": head.rows, "operands": head.operands, "keyed": head.keyed, "widths": list(head.widths)}
    )
    sink.write(_LENGTH.pack(len(content)) + content)


def read_head(source: BinaryIO, portion: Portion) -> int:
    """Return how many rows will come.

    Raises:
        EvidenceBroken: there is no head, or it is not that of a portion's rows.
    """
    (length,) = _LENGTH.unpack(exactly(source, _LENGTH.size))
    if length > _LONGEST_HEAD:
        raise EvidenceBroken("the rows of an owner have no head", "rows")
    head = canonical.decode(exactly(source, length))
    rows = head.get("rows") if isinstance(head, dict) else None
    if not isinstance(rows, int) or not 0 <= rows <= portion.bound:
        raise EvidenceBroken("the rows of an owner have no head", "rows")
    due = head_of(portion, rows)
    if head != {"rows": rows, "operands": due.operands, "keyed": due.keyed, "widths": list(due.widths)}:
        raise EvidenceBroken("the rows of the owner are not those of its portion", portion.relation)
    return rows


def exactly(source: BinaryIO, size: int) -> bytes:
    """Return so many bytes.

    Raises:
        EvidenceBroken: there are fewer.
    """
    found = source.read(size)
    if len(found) != size:
        raise EvidenceBroken("the rows of an owner end before their end", "rows")
    return found
