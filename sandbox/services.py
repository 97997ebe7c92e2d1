"""Links of labs to services: sockets that a box sees in `/links`, each of which can be opened many times.

A link between two boxes is one stream. A *service* link (`service:hub`) is a socket that listens: the launcher holds
its other end, accepts what the box opens, and joins each connection to the service's own socket, which its settings
name. Before any byte of the box it says in one frame whose lab this is and which link:

    {"plan": <digest>, "link": "hub"}

Then it copies both ways and reads nothing. It believes nothing either: a box can say what it likes behind that frame,
but never another frame. At most `MOST` connections of a link live at a time; others wait to be let in, which costs
their box and nobody else. A service that does not answer is, for the box, a connection that ends at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterable
from pathlib import Path

from plans import frames
from plans.box import Link
from plans.errors import BoxFailed
from sandbox import doors
from sandbox.contract import Ends
from sandbox.joining import join

FOLDER = "/links"
"""Where a box sees the sockets."""

MOST, WAITING = 64, 128
"""Connections of one link at a time, and how many more may wait to be let in."""

SERVICE_S = 10.0
"""Seconds that a service may take to accept a connection."""

_AGAIN_S = 0.05


def listeners(
    folder: Path, owner: int | None, links: Iterable[Link], lent: contextlib.ExitStack
) -> tuple[Ends, ...]:
    """Make the sockets of a box's links to services, which the user id `owner` may open (none: the launcher's own).

    Nobody is let in until the launcher knows the plan. They are closed with `lent`.

    Raises:
        BoxFailed: one cannot be made.
    """
    found = []
    try:
        doors.make_folder(folder, owner)
        for link in links:
            door = doors.bound(folder, link.name, owner)
            lent.callback(door.close)
            door.listen(WAITING)
            door.setblocking(False)
            found.append(Ends(door, f"{FOLDER}/{link.name}"))
    except OSError as problem:
        raise BoxFailed(f"the links of a lab could not be made ({problem.strerror})", "box.start") from None
    return tuple(found)


def header(plan: str, link: Link) -> bytes:
    """Return the frame by which a service hears whose connection it is."""
    return frames.pack({"plan": plan, "link": link.service})


async def serve(door: socket.socket, service: Path, head: bytes) -> None:
    """Let connections in and join each to the service, until this is cancelled; what is joined ends then too."""
    room = asyncio.Semaphore(MOST)
    joined: set[asyncio.Task[None]] = set()

    def over(task: asyncio.Task[None]) -> None:
        joined.discard(task)
        room.release()

    try:
        while True:
            await room.acquire()
            task = asyncio.create_task(_joined(await _next(door), service, head))
            joined.add(task)
            task.add_done_callback(over)
    finally:
        for task in joined:
            task.cancel()
        await asyncio.gather(*joined, return_exceptions=True)


async def _next(door: socket.socket) -> socket.socket:
    """Return the next connection. Where the launcher can open no more files it waits, and comes again."""
    while True:
        try:
            return (await asyncio.get_running_loop().sock_accept(door))[0]
        except OSError:
            await asyncio.sleep(_AGAIN_S)


async def _joined(theirs: socket.socket, service: Path, head: bytes) -> None:
    """Join one connection to the service, until both ways have ended."""
    with theirs:
        theirs.setblocking(False)
        try:
            carrier = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:
            return
        with carrier:
            carrier.setblocking(False)
            try:
                async with asyncio.timeout(SERVICE_S):
                    await _connect(carrier, service)
                    await asyncio.get_running_loop().sock_sendall(carrier, head)
            except (OSError, TimeoutError):
                return
            await join(theirs, carrier)


async def _connect(carrier: socket.socket, service: Path) -> None:
    """Connect to a Unix socket: at once, or again while its queue is full (connect(2), EAGAIN)."""
    while True:
        try:
            carrier.connect(str(service))
            return
        except BlockingIOError:
            await asyncio.sleep(_AGAIN_S)
