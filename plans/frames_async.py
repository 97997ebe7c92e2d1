"""Frames on asyncio streams; apart from `plans.frames`, because boxes need no asyncio and start faster without it."""

from __future__ import annotations

import asyncio
from typing import Any

from plans.errors import Malformed
from plans.frames import HEAD_BYTES, length_of, unpack


async def read_async(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """Return the next message of an asyncio stream, or none at its end."""
    try:
        head = await reader.readexactly(HEAD_BYTES)
        return unpack(await reader.readexactly(length_of(head)))
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise Malformed("the stream ended within a frame", "frame") from None
        return None
