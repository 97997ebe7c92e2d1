"""Carries a lab's connections, without reading them: one thread, no library, little memory.

Both directions lead over the one link to the porter, and the first byte that the lab writes on a connection says which:

    C   the lab's server calls the Hub: whoever connects to 127.0.0.1:8081 in the box is joined to such a connection
    W   the lab waits for a visitor: a few such connections are parked; when the porter writes `!` on one, it is joined
        to the server's port, and another one is parked

While the porter is away, connections are parked again with growing pauses. While the server is away (it is starting
again), a visitor's connection waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

CALL, WAIT, COME = b"C", b"W", b"!"

PARKED = 8
MOST_CALLS, MOST_VISITS = 16, 40
"""The launcher lets 64 connections live at a time on one link: what is parked, called and visited stays below."""

SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 2.0
PATIENCE_S = 30.0
"""How long a visitor waits for a server that does not listen."""

_LARGEST = 2**18
_CHUNK = 2**16

Way = Callable[[], socket.socket]
"""Opens a new connection to the porter, connected."""

Heard = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of the box: where the Hub seems to be, and where the server is."""

    hub: int = 8081
    server: int = 8888


class Relay:
    """Parks, calls and joins. `step` does what there is to do."""

    def __init__(self, way: Way, ports: Ports) -> None:
        self._way, self._ports = way, ports
        self._selector = selectors.DefaultSelector()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._parked: set[socket.socket] = set()
        self._calls, self._visits = 0, 0
        self._pause, self._next = SHORTEST_PAUSE_S, 0.0
        self._open = False
        self._door = socket.create_server(("127.0.0.1", ports.hub), backlog=64, reuse_port=False)
        self._door.setblocking(False)
        self.watch(self._door, self._called)

    def watch(self, stream: socket.socket, heard: Heard, events: int = selectors.EVENT_READ) -> None:
        """Call `heard` with what can be done when something can be done with a stream."""
        self._selector.register(stream, events, heard)

    def forget(self, stream: socket.socket) -> None:
        """Watch a stream no more."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(stream)

    def let_in(self) -> None:
        """Begin to park: from now on visitors may come."""
        self._open = True
        self._park()

    def step(self, longest_s: float) -> None:
        """Wait until there is something to do, though not longer than told, and do it."""
        now = time.monotonic()
        soonest = self._later[0][0] - now if self._later else longest_s
        for key, events in self._selector.select(max(0.0, min(soonest, longest_s))):
            key.data(events)
        while self._later and self._later[0][0] <= time.monotonic():
            heapq.heappop(self._later)[2]()
        self._park()

    def close(self) -> None:
        """Close everything."""
        for key in list(self._selector.get_map().values()):
            self._selector.unregister(key.fileobj)
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    # -------------------------------------------------------------------------------- visitors

    def _park(self) -> None:
        while (
            self._open
            and len(self._parked) < min(PARKED, MOST_VISITS + PARKED - self._visits)
            and time.monotonic() >= self._next
        ):
            try:
                stream = self._way()
                stream.sendall(WAIT)
            except OSError:
                self._rest()
                return
            stream.setblocking(False)
            self._parked.add(stream)
            self.watch(stream, lambda _, stream=stream: self._told(stream))

    def _told(self, stream: socket.socket) -> None:
        try:
            word = stream.recv(1)
        except BlockingIOError:
            return
        except OSError:
            word = b""
        self.forget(stream)
        self._parked.discard(stream)
        if word != COME:
            stream.close()
            self._rest()
            return
        self._pause = SHORTEST_PAUSE_S
        self._visits += 1
        self._visit(stream, time.monotonic() + PATIENCE_S)

    def _visit(self, stream: socket.socket, until: float) -> None:
        """Join a visitor to the server, as soon as that listens."""
        server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        server.setblocking(False)
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        problem = server.connect_ex(("127.0.0.1", self._ports.server))
        if problem not in (0, errno.EINPROGRESS):
            server.close()
            self._again(stream, until)
            return

        def connected(_: int) -> None:
            self.forget(server)
            if server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                server.close()
                self._again(stream, until)
            else:
                _Joined(self, (stream, server), self._left)

        self.watch(server, connected, selectors.EVENT_WRITE)

    def _again(self, stream: socket.socket, until: float) -> None:
        if time.monotonic() > until:
            stream.close()
            self._left()
        else:
            self._at(0.05, lambda: self._visit(stream, until))

    def _left(self) -> None:
        self._visits -= 1

    def _rest(self) -> None:
        """Pause before anything is parked again; what fails at the same time counts once."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_S)
        self._at(self._next - now, lambda: None)

    # -------------------------------------------------------------------------------- calls of the Hub

    def _called(self, _: int) -> None:
        try:
            caller, _address = self._door.accept()
        except OSError:
            return
        try:
            hub = self._way()
        except OSError:
            caller.close()
            return
        caller.setblocking(False)
        caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hub.setblocking(False)
        self._calls += 1
        if self._calls >= MOST_CALLS:
            self.forget(self._door)
        _Joined(self, (caller, hub), self._hung_up, CALL)

    def _hung_up(self) -> None:
        if self._calls == MOST_CALLS:
            self.watch(self._door, self._called)
        self._calls -= 1

    def _at(self, in_s: float, then: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + in_s, next(self._number), then))


class _Side:
    """One end of a joined pair: what is to be written to it, and which of its ways are at their end."""

    __slots__ = ("ended", "events", "shut", "stream", "unsent")

    def __init__(self, stream: socket.socket) -> None:
        self.stream, self.unsent = stream, bytearray()
        self.ended = self.shut = False
        self.events = 0


class _Joined:
    """Two streams whose bytes are copied both ways; the end of one way is passed on, and the other goes on."""

    def __init__(
        self,
        relay: Relay,
        streams: tuple[socket.socket, socket.socket],
        closed: Callable[[], None],
        first: bytes = b"",
    ) -> None:
        self._relay, self._closed, self._over = relay, closed, False
        self._sides = _Side(streams[0]), _Side(streams[1])
        self._sides[1].unsent += first
        self._settle()

    def _heard(self, side: _Side, other: _Side, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                self._read(side, other)
            if events & selectors.EVENT_WRITE:
                self._write(side)
            self._settle()
        except OSError:
            self._close()

    def _read(self, side: _Side, other: _Side) -> None:
        with contextlib.suppress(BlockingIOError):
            chunk = side.stream.recv(_CHUNK)
            side.ended = not chunk
            other.unsent += chunk
            self._write(other)

    def _write(self, side: _Side) -> None:
        with contextlib.suppress(BlockingIOError):
            while side.unsent:
                del side.unsent[: side.stream.send(side.unsent[:_CHUNK])]

    def _settle(self) -> None:
        """Pass ends on, close when both ways are at their end, and watch for what there is to do otherwise."""
        one, two = self._sides
        for side, other in ((one, two), (two, one)):
            if side.ended and not other.unsent and not other.shut:
                other.shut = True
                with contextlib.suppress(OSError):
                    other.stream.shutdown(socket.SHUT_WR)
        if one.shut and two.shut:
            self._close()
            return
        for side, other in ((one, two), (two, one)):
            reads = not side.ended and len(other.unsent) < _LARGEST
            self._want(side, other, selectors.EVENT_READ * reads | selectors.EVENT_WRITE * bool(side.unsent))

    def _want(self, side: _Side, other: _Side, events: int) -> None:
        if events == side.events or self._over:
            return
        if side.events:
            self._relay.forget(side.stream)
        if events:
            self._relay.watch(side.stream, lambda found: self._heard(side, other, found), events)
        side.events = events

    def _close(self) -> None:
        if self._over:
            return
        self._over = True
        for side in self._sides:
            self._relay.forget(side.stream)
            side.stream.close()
        self._closed()
