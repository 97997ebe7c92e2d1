"""How large the messages of an Arrow stream say that they become, before any of them is unpacked (ATTACKS 52).

A compressed buffer begins with its length once unpacked (8 bytes, little-endian; -1 stands for bytes as they are),
and the reader of Arrow takes that much memory at once: a file of some kilobytes can ask for gigabytes. Sizes are
read from the message's own table, a flatbuffer, which pyarrow does not show (Arrow columnar format, section
"Serialization and Interprocess Communication (IPC)"; `Message.fbs`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from pyarrow import ipc

_HEADER_TYPE, _HEADER, _DATA, _BUFFERS, _COMPRESSION = 1, 2, 1, 2, 3
"""Places of members: of a Message, of a DictionaryBatch, of a RecordBatch."""

_DICTIONARY, _RECORDS = 2, 3
"""Kinds of messages that have buffers."""


def unpacked_sizes(source: Any) -> Iterator[int]:
    """Yield for each message of a stream how many bytes its compressed buffers become.

    Raises:
        ValueError: a message is not what the format says; `pyarrow.ArrowException` and `OSError` likewise.
    """
    for message in ipc.MessageReader.open_stream(source):
        try:
            yield _unpacked(memoryview(message.metadata), memoryview(message.body or b""))
        except (struct.error, IndexError):  # an offset leads out of the message
            raise ValueError("message") from None


def _unpacked(table: memoryview, body: memoryview) -> int:
    message = _follow(table, 0)
    place = _member(table, message, _HEADER_TYPE)
    kind = table[place] if place else 0
    header = _member(table, message, _HEADER)
    if kind not in (_DICTIONARY, _RECORDS) or not header:
        return 0
    batch = _follow(table, header)
    if kind == _DICTIONARY:
        data = _member(table, batch, _DATA)
        if not data:
            raise ValueError("dictionary")
        batch = _follow(table, data)
    buffers = _member(table, batch, _BUFFERS)
    if not buffers or not _member(table, batch, _COMPRESSION):
        return 0
    vector = _follow(table, buffers)
    (count,) = struct.unpack_from("<I", table, vector)
    return sum(_size(table, body, vector + 4 + 16 * number) for number in range(count))


def _size(table: memoryview, body: memoryview, place: int) -> int:
    offset, length = struct.unpack_from("<qq", table, place)
    if offset < 0 or length < 0:
        raise ValueError("buffer")
    return max(0, int(struct.unpack_from("<q", body, offset)[0])) if length else 0


def _follow(table: memoryview, place: int) -> int:
    """Return where the offset at a place leads."""
    return place + int(struct.unpack_from("<I", table, place)[0])


def _member(table: memoryview, start: int, number: int) -> int:
    """Return where a member of the table at `start` lies, or 0 where it is left out."""
    list_of_members = start - int(struct.unpack_from("<i", table, start)[0])
    if list_of_members < 0:
        raise ValueError("table")
    (length,) = struct.unpack_from("<H", table, list_of_members)
    if 4 + 2 * number >= length:
        return 0
    (offset,) = struct.unpack_from("<H", table, list_of_members + 4 + 2 * number)
    return start + int(offset) if offset else 0
