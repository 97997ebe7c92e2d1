"""A record of several texts as bytes of one width, whatever the texts are.

Each field has a public width, the most bytes of UTF-8 that its text may have; it takes two bytes more, its length and
1, or 0 where there is no value. What is not used is zero: sealed, nobody sees how long a text was.
"""

from __future__ import annotations

from collections.abc import Sequence

from plans.errors import EvidenceBroken, Malformed, TooLarge

_LENGTH = 2
MOST_WIDTH = (1 << 16) - 2


def width_of(widths: Sequence[int]) -> int:
    """Return how many bytes a record of such fields has.

    Raises:
        Malformed: there is no field, or one has no byte or too many.
    """
    if not widths or not all(0 < width <= MOST_WIDTH for width in widths):
        raise Malformed(f"a record has fields of 1 to {MOST_WIDTH:,} bytes", "lookup.fields")
    return sum(widths) + _LENGTH * len(widths)


def pack(texts: Sequence[str | None], widths: Sequence[int]) -> bytes:
    """Return the texts as a record.

    Raises:
        Malformed: there are not as many texts as fields.
        TooLarge: a text is longer than its field; which field is said, not the text.
    """
    width_of(widths)
    if len(texts) != len(widths):
        raise Malformed(f"{len(texts):,} texts were given for {len(widths):,} fields", "lookup.fields")
    parts = []
    for place, (text, width) in enumerate(zip(texts, widths, strict=True)):
        raw = b"" if text is None else text.encode()
        if len(raw) > width:
            raise TooLarge(f"a text is longer than {width:,} bytes", f"lookup.fields, field {place + 1}")
        length = 0 if text is None else len(raw) + 1
        parts.append(length.to_bytes(_LENGTH, "little") + raw.ljust(width, b"\0"))
    return b"".join(parts)


def unpack(record: bytes, widths: Sequence[int]) -> list[str | None]:
    """Return the texts of a record.

    Raises:
        EvidenceBroken: nobody packed these bytes so: another size, length, filling, or no UTF-8.
    """
    texts: list[str | None] = []
    if len(record) != width_of(widths):
        raise EvidenceBroken("a record has another size than its fields", "lookup.fields")
    start = 0
    for width in widths:
        length = int.from_bytes(record[start : start + _LENGTH], "little")
        raw = record[start + _LENGTH : start + _LENGTH + width]
        start += _LENGTH + width
        if length > width + 1 or raw[max(0, length - 1) :].strip(b"\0"):
            raise EvidenceBroken("a field of a record is longer than it says", "lookup.fields")
        try:
            texts.append(raw[: length - 1].decode() if length else None)
        except UnicodeDecodeError:
            raise EvidenceBroken("a field of a record is no text", "lookup.fields") from None
    return texts
