"""Identifiers as blocks of 16 bytes, the same person as the same block at every owner.

`pack` is injective: two different identifiers never share a block, so that matching blocks is matching
identifiers. Two shapes are told apart by the first byte:

| first byte | the other 15 bytes |
|---|---|
| 1 to 30 | so many characters of `0-9X`, two to a byte (`X` is 10), zeros behind |
| 129 to 143 | so many less 128 bytes of UTF-8, zeros behind |

A text that could be packed either way takes the first, so equal texts give equal blocks. What is longer is
refused and never cut. Here identifiers are compared as they come: that a small `x`, or blanks at an end, make no other
person is seen to by whoever reads them (`inside.extract`, in the form of person tokens).

A list must name every person once: missing and repeated identifiers are counted here, for their owner alone, and
`require_keys` refuses without the number.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plans.errors import KeyMissing, KeyRepeated, Malformed

Blocks = NDArray[np.uint8]
Offsets = NDArray[np.int64] | NDArray[np.int32]
Words = NDArray[np.uint64]

BLOCK = 16  # bytes
MOST_DIGITS, MOST_BYTES = 30, 15
_TEXT = 128  # added to the length of a text that is no string of digits
_ROWS = 1 << 16  # identifiers packed at a time: what is touched stays in the cache
_OTHER = 255
_NIBBLES = bytes(
    "0123456789X".find(chr(byte)) & _OTHER for byte in range(256)
)  # what is not found, -1, is 255


@dataclass(frozen=True, slots=True)
class Faults:
    """How many rows cannot be matched, for their owner alone: without identifier, too long, the same as another."""

    missing: int = 0
    unpackable: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Packed:
    """The blocks `[n × 16]` of a list of identifiers, and what was found; a row at fault has a block of zeros."""

    blocks: Blocks
    faults: Faults


def pack(data: bytes | memoryview | NDArray[np.uint8], offsets: Offsets) -> Packed:
    """Pack texts as Arrow keeps them: row i is `data[offsets[i]:offsets[i + 1]]` in UTF-8.

    An empty text is a missing identifier; whoever has a mask of nulls makes those rows empty (`pack_texts` does).

    Raises:
        Malformed: the offsets do not lie in order within the data.
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    places = np.asarray(offsets, dtype=np.int64)
    lengths = np.diff(places)
    if places.size == 0 or places[0] < 0 or places[-1] > raw.size or (lengths < 0).any():
        raise Malformed("the offsets of identifiers do not fit their text", "identifiers")
    blocks = np.zeros((lengths.size, BLOCK), dtype=np.uint8)
    if (
        lengths.size and (lengths == lengths[0]).all()
    ):  # as with identity numbers: no row is gathered by itself
        width = int(lengths[0])
        _fill(blocks, raw[places[0] : places[-1]].reshape(-1, width) if width else blocks[:, :0])
    else:
        for width in np.flatnonzero(np.bincount(np.minimum(lengths, MOST_DIGITS + 1))).tolist():
            if 0 < width <= MOST_DIGITS:
                rows = np.flatnonzero(lengths == width)
                found = np.zeros((rows.size, BLOCK), dtype=np.uint8)
                _fill(found, raw[places[rows, None] + np.arange(width)])
                blocks[rows] = found
    missing = int(np.count_nonzero(lengths == 0))
    unpackable = int(np.count_nonzero(blocks[:, 0] == 0)) - missing
    good = blocks[blocks[:, 0] != 0] if missing or unpackable else blocks
    return Packed(blocks, Faults(missing, unpackable, count_repeated(good)))


def pack_texts(texts: Iterable[str | None]) -> Packed:
    """Pack texts that are Python's own; `None` is a missing identifier."""
    encoded = [b"" if text is None else text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)), out=offsets[1:])
    return pack(b"".join(encoded), offsets)


def pack_fixed(texts: NDArray[np.bytes_]) -> Packed:
    """Pack an array of fixed width (`S18`), whose shorter texts end in zero bytes as numpy has it."""
    width = texts.dtype.itemsize
    raw = np.ascontiguousarray(texts).view(np.uint8).reshape(-1, width)
    lengths = np.where(raw.any(axis=1), width - np.argmax((raw != 0)[:, ::-1], axis=1), 0)
    if lengths.size == 0 or (lengths == width).all():
        return pack(raw.reshape(-1), np.arange(len(raw) + 1, dtype=np.int64) * width)
    offsets = np.zeros(len(raw) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return pack(raw[np.arange(width) < lengths[:, None]], offsets)


def unpack(blocks: Blocks) -> list[str]:
    """Return the texts that `pack` packed, row by row `[n × 16]`: its exact inverse.

    Raises:
        Malformed: a block is none that `pack` makes. Which one is not said.
    """
    texts = [_unpacked(bytes(block)) for block in blocks]
    packed = pack_texts(texts)
    if packed.faults.missing or not (packed.blocks == blocks).all():
        raise Malformed("a block is no packed identifier", "identifiers")
    return texts


def _unpacked(block: bytes) -> str:
    """Return the text of a block; of one that is none, some text that packs to another block."""
    length = block[0]
    if length <= MOST_DIGITS:
        return block[1:].hex()[:length].replace("a", "X")
    return block[1 : max(length - _TEXT, 0) + 1].decode(errors="replace")


def require_keys(packed: Packed, where: str) -> Blocks:
    """Return the blocks of a list that names every row by another identifier.

    Args:
        packed: from `pack`.
        where: the relation and its key, for the sentence.

    Raises:
        KeyMissing, Malformed, KeyRepeated: a row has none, one that is too long, or one that another row has. The
            sentence has no number: it is shown to other parties too.
    """
    if packed.faults.missing:
        raise KeyMissing(
            "rows have no identifier to be matched by", where, "Leave these rows out with a condition."
        )
    if packed.faults.unpackable:
        raise Malformed(
            f"identifiers are longer than {MOST_DIGITS} characters of 0-9X or {MOST_BYTES} bytes of other text",
            where,
        )
    if packed.faults.repeated:
        raise KeyRepeated("identifiers repeat, and matching needs one row for each person", where)
    return packed.blocks


def count_repeated(blocks: Blocks) -> int:
    """Return how many rows have a block that an earlier row has."""
    if len(blocks) < 2:
        return 0
    words = np.ascontiguousarray(blocks).view(np.uint64)
    mixed = np.sort(_mixed(words))
    if not (mixed[1:] == mixed[:-1]).any():
        return 0  # the usual case: one sort of 64-bit words
    order = np.lexsort((words[:, 0], words[:, 1]))
    return int(np.count_nonzero((words[order[1:]] == words[order[:-1]]).all(axis=1)))


def _mixed(words: Words) -> Words:
    """One word for each two, equal for equal blocks and seldom for others."""
    found = words[:, 0] * np.uint64(0x9E3779B97F4A7C15)
    found ^= found >> np.uint64(29)
    found += words[:, 1]
    found *= np.uint64(0xBF58476D1CE4E5B9)
    found ^= found >> np.uint64(32)
    return found


def _fill(blocks: Blocks, texts: Blocks) -> None:
    """Write the blocks of texts `[n × width]` of one width; those that cannot be packed stay zero."""
    if not 0 < texts.shape[1] <= MOST_DIGITS:
        return
    for start in range(0, len(texts), _ROWS):
        rows = slice(start, start + _ROWS)
        _fill_some(blocks[rows], texts[rows])


def _fill_some(blocks: Blocks, texts: Blocks) -> None:
    width = texts.shape[1]
    half = width // 2
    nibbles = np.frombuffer(texts.tobytes().translate(_NIBBLES), dtype=np.uint8).reshape(texts.shape)
    blocks[:, 0] = width
    blocks[:, 1 : half + 1] = (nibbles[:, 0 : 2 * half : 2] << 4) | nibbles[:, 1::2]
    if width % 2:
        blocks[:, half + 1] = nibbles[:, -1] << 4
    if nibbles.max() < _OTHER:
        return
    others = np.flatnonzero((nibbles == _OTHER).any(axis=1))
    blocks[others] = 0
    if width <= MOST_BYTES:
        blocks[others, 0] = _TEXT + width
        blocks[others[:, None], np.arange(1, width + 1)] = texts[others]
