"""Links of a box that cannot inherit an open file: a door, which is a Unix socket that opens once.

gVisor gives a box standard input, output and error, and no other file of its launcher. So a link is a socket
in a folder that the box sees, and the box connects to it by its name. The first connection is the link; the door
is gone then, and a second finds nothing. What passes is carried to the launcher's end of the link, which is there from
the start, as at every other tier.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from plans.errors import BoxFailed

_CHUNK = 2**18
_MODE = 0o660
_FOLDER_MODE = 0o750


class Doors:
    """The doors of one box, in a folder of their own; to be made inside a running loop."""

    def __init__(self, folder: Path, owner: int | None, count: int) -> None:
        """Make `count` doors, which the user id `owner` may open (none: the launcher's own).

        Raises:
            BoxFailed: one cannot be made.
        """
        self._tasks: list[asyncio.Task[None]] = []
        self.ends: tuple[socket.socket, ...] = ()
        with contextlib.ExitStack() as undo:
            undo.callback(self.close)
            try:
                make_folder(folder, owner)
                for number in range(count):
                    self._make(folder, str(number), owner)
            except OSError as problem:
                told = problem.strerror
                raise BoxFailed(f"the links of a box could not be made ({told})", "box.start") from None
            undo.pop_all()

    def close(self) -> None:
        """Close what is still open; the launcher's own ends are whoever holds them's to close."""
        for task in self._tasks:
            task.cancel()

    def _make(self, folder: Path, name: str, owner: int | None) -> None:
        """Make one door."""
        door, path = bound(folder, name, owner), folder / name
        door.listen(1)
        door.setblocking(False)
        ours, carried = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        carried.setblocking(False)
        self.ends += (ours,)
        self._tasks.append(asyncio.get_running_loop().create_task(_serve(door, path, carried)))


def make_folder(folder: Path, owner: int | None) -> None:
    """Make a folder of sockets through which the user id `owner` may pass."""
    folder.mkdir(_FOLDER_MODE)
    folder.chmod(_FOLDER_MODE)  # whatever the launcher's umask takes away from new folders
    if owner is not None:
        os.chown(folder, -1, owner)


def bound(folder: Path, name: str, owner: int | None) -> socket.socket:
    """Return a socket with a name in a folder, which `owner` may open.

    It is bound through a descriptor, since names of sockets are short (unix(7): 107 bytes).
    """
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    opened = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        door.bind(f"/proc/self/fd/{opened}/{name}")
    finally:
        os.close(opened)
    path = folder / name
    path.chmod(_MODE)
    if owner is not None:
        os.chown(path, -1, owner)
    return door


async def _serve(door: socket.socket, path: Path, carried: socket.socket) -> None:
    """Let one connection in, and carry its bytes both ways until both sides have ended."""
    loop = asyncio.get_running_loop()
    with carried:
        with door:
            theirs, _ = await loop.sock_accept(door)
            path.unlink(missing_ok=True)
        with theirs:
            theirs.setblocking(False)
            await asyncio.gather(_carry(theirs, carried), _carry(carried, theirs))


async def _carry(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes one way; an end, or a side that breaks off, is an end for the other side too."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        while chunk := await loop.sock_recv(source, _CHUNK):
            await loop.sock_sendall(target, chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
