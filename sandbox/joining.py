"""Joining two streams: bytes from the one to the other, both ways, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import socket

BLOCK = 2**18


async def join(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both streams have ended, then close them."""
    with one, other:
        await asyncio.gather(_copy(one, other), _copy(other, one))


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end of the stream; where nobody reads any more, nobody may write."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while block := await loop.sock_recv(source, BLOCK):
            await loop.sock_sendall(target, block)
    for end, direction in ((source, socket.SHUT_RD), (target, socket.SHUT_WR)):
        with contextlib.suppress(OSError):
            end.shutdown(direction)
