"""Frames on asyncio streams; apart from `plans.frames`, because boxes need no asyncio and start faster without it."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from plans.errors import Malformed, TooLarge
from plans.frames import HEAD_BYTES, LARGEST, length_of, unpack

READ_AT_ONCE = 2**16
"""Bytes of a frame that is read where it arrives. A large one can take seconds, and is read beside the loop."""

_BESIDE = ThreadPoolExecutor(1, "frames")
"""One thread, so that as many large frames as callers like need the memory of one."""


async def read_async(reader: asyncio.StreamReader, largest: int = LARGEST) -> dict[str, Any] | None:
    """Return the next message of an asyncio stream, or none at its end.

    Raises:
        TooLarge: the frame announces more than `largest` bytes; none of them is read.
        Malformed: it is no message, or the stream ended within it.
    """
    try:
        length = length_of(await reader.readexactly(HEAD_BYTES))
        if length > largest:
            raise TooLarge(f"a frame announces {length:,} bytes, more than fit here", "frame")
        body = await reader.readexactly(length)
        if length <= READ_AT_ONCE:
            return unpack(body)
        return await asyncio.get_running_loop().run_in_executor(_BESIDE, unpack, body)
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise Malformed("the stream ended within a frame", "frame") from None
        return None
