"""Canaries: random words planted wherever an attacker would like to look. One that turns up anywhere is a leak.

They lie in a file of the host, in the launcher's environment and open files, behind sockets of every kind that answer
whoever asks, in System V memory and queues, and in stand-ins for Ray's port, object store and token.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VARIABLE, RAY_VARIABLE = "PLANTED_SECRET", "RAY_AUTH_TOKEN"
_PRIVATE, _CREATE, _REMOVE = 0, 0o1000, 0


def fresh() -> str:
    """Return a new canary, of the form that the texts look for."""
    return "canary-" + secrets.token_hex(12)


@dataclass(slots=True)
class Planted:
    """What was planted: the canaries by place, where they can be looked for, and what could not be planted here."""

    canaries: dict[str, str] = field(default_factory=dict)
    where: dict[str, Any] = field(default_factory=dict)

    def canary(self, place: str) -> str:
        """Return a new canary for a place."""
        self.canaries[place] = fresh()
        return self.canaries[place]

    def found_in(self, content: bytes) -> list[str]:
        """Return the places whose canaries lie in some bytes."""
        return sorted(place for place, canary in self.canaries.items() if canary.encode() in content)


@contextlib.asynccontextmanager
async def planted(home: Path) -> AsyncIterator[Planted]:
    """Plant everything; `home` is a folder that every user can pass through. All is taken away at the end."""
    found = Planted()
    async with contextlib.AsyncExitStack() as undo:
        undo.enter_context(_environment(found))
        undo.enter_context(_files(found, home))
        undo.enter_context(_system_v(found))
        await undo.enter_async_context(_listeners(found, home))
        yield found


@contextlib.contextmanager
def _environment(found: Planted) -> Iterator[None]:
    os.environ[VARIABLE] = found.canary("environment")
    os.environ[RAY_VARIABLE] = found.canary("environment of Ray")
    try:
        yield
    finally:
        del os.environ[VARIABLE], os.environ[RAY_VARIABLE]


@contextlib.contextmanager
def _files(found: Planted, home: Path) -> Iterator[None]:
    """Plant files that any user of the host could read, and an open one that children would inherit."""
    for name in ("file", "descriptor", "ray_token"):
        path = home / name
        path.write_text(found.canary(name))
        path.chmod(0o644)
        found.where[name] = str(path)
    descriptor = os.open(home / "descriptor", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        yield
    finally:
        os.close(descriptor)
        for name in ("file", "descriptor", "ray_token"):
            (home / name).unlink()


@contextlib.contextmanager
def _system_v(found: Planted) -> Iterator[None]:
    """Plant a segment and a message for everybody; a kernel without them has the numbers -1."""
    library = ctypes.CDLL(None, use_errno=True)
    segment = library.shmget(_PRIVATE, ctypes.c_size_t(4096), _CREATE | 0o666)
    queue = library.msgget(_PRIVATE, _CREATE | 0o666)
    if segment >= 0:
        library.shmat.restype = ctypes.c_void_p
        address = library.shmat(segment, None, 0)
        content = found.canary("shared memory").encode()
        ctypes.memmove(address, content, len(content))
        library.shmdt(ctypes.c_void_p(address))
    if queue >= 0:
        content = found.canary("message queue").encode()
        message = ctypes.create_string_buffer((1).to_bytes(8, "little") + content)
        library.msgsnd(queue, message, ctypes.c_size_t(len(content)), 0o4000)  # IPC_NOWAIT
    found.where |= {"segment": segment, "queue": queue}
    try:
        yield
    finally:
        library.shmctl(segment, _REMOVE, None)
        library.msgctl(queue, _REMOVE, None)


@contextlib.asynccontextmanager
async def _listeners(found: Planted, home: Path) -> AsyncIterator[None]:
    """Plant sockets that tell their canary to whoever connects: what a host, and a Ray on it, would have."""
    servers: list[asyncio.Server] = []
    for name in ("tcp", "ray_port"):
        server = await asyncio.start_server(_teller(found.canary(name)), "127.0.0.1", 0)
        found.where[name] = server.sockets[0].getsockname()[1]
        servers.append(server)
    for name in ("unix", "ray_socket"):
        path = home / f"{name}.sock"
        servers.append(await asyncio.start_unix_server(_teller(found.canary(name)), path))
        path.chmod(0o666)
        found.where[name] = str(path)
    found.where["abstract"] = f"darkroom-{secrets.token_hex(8)}"
    address = "\0" + found.where["abstract"]
    servers.append(await asyncio.start_unix_server(_teller(found.canary("abstract")), address))
    loop = asyncio.get_running_loop()
    answer = found.canary("udp").encode()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Echo(answer), ("127.0.0.1", 0))
    found.where["udp"] = transport.get_extra_info("sockname")[1]
    try:
        yield
    finally:
        transport.close()
        for server in servers:
            server.close()
        for name in ("unix", "ray_socket"):
            Path(found.where[name]).unlink(missing_ok=True)


def _teller(canary: str) -> Any:
    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(canary.encode())
            await writer.drain()
            writer.close()

    return tell


class _Echo(asyncio.DatagramProtocol):
    """Answers every datagram with the canary."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Keep the way back."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Tell."""
        if self._transport is not None:
            self._transport.sendto(self._answer, addr)
