"""Joining two streams: bytes from the one to the other, both ways, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket

BLOCK = 2**18


async def join(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until both streams have ended, then close them."""
    with one, other:
        await asyncio.gather(_copy(one, other), _copy(other, one))


async def _copy(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end of the stream; where nobody reads any more, nobody may write.

    An end that was closed, and not only one way, has no reader for what comes back, so the way back ends too.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while block := await loop.sock_recv(source, BLOCK):
            await loop.sock_sendall(target, block)
    over = ((source, socket.SHUT_RD), (target, socket.SHUT_WR))
    if _is_closed(source):
        over = ((source, socket.SHUT_RDWR), (target, socket.SHUT_RDWR))
    for end, direction in over:
        with contextlib.suppress(OSError):
            end.shutdown(direction)


def _is_closed(end: socket.socket) -> bool:
    """Whether the other side of a Unix socket was closed both ways (poll(2), POLLHUP)."""
    look = select.poll()
    look.register(end, 0)
    return any(events & select.POLLHUP for _, events in look.poll(0))
