"""Links between parties: mutual TLS between pinned certificates, and what is framed within it.

    dial ─► certificate in clear ─► its hash is pinned? ─► TLS 1.3, trusting exactly it ─► frames

Whoever dials shows its certificate, and so does whoever answers, before TLS begins: each side knows a peer only by
the hash of its certificate, and the library needs the certificate itself. What was shown is no proof; TLS then proves
that the peer holds its key, both ways, or there is no link. What cannot be one of the peers is refused before any
cryptography.

A *control* connection carries numbered messages. A *box link* carries a box's stream in chunks, so that the end of a
stream can be told from a connection that was cut: TLS below asyncio ends in one way only. An agent copies what boxes
write; it is noise to it, since the boxes encrypt for each other (`keeper.joint`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from keys import tls
from keys.tls import Identity
from plans import frames, frames_async
from plans.errors import DarkroomError, LinkBroken, PeerLost, SettingsWrong

PROTOCOL = 1
"""The version of what agents say to each other."""

HANDSHAKE_S = 10.0
"""Seconds for certificates and TLS, together."""

SEND_S = 10.0
"""Seconds that a peer may take to read a control message."""

CLOSING_S = 2.0

MOST_HANDSHAKES, MOST_CONNECTIONS = 32, 320
"""Connections that are being made, and that are there, at a time (two to each of 18 peers in eight attempts have room);
whoever comes beyond that is not answered.
"""

LARGEST_MESSAGE = 4 * 2**20
"""Bytes of a control message: a party's plan is the largest."""

CHUNK = 2**18
"""Bytes of a chunk of a box's stream at the most."""


@dataclass(frozen=True, slots=True)
class Beat:
    """How often each side gives a sign of life, and after which silence the other counts as lost; in seconds."""

    every_s: float = 2.0
    silent_s: float = 10.0


BEAT = Beat()

_MAGIC = b"DRJ1"
_HEAD = struct.Struct(">4sH")
_LENGTH = struct.Struct(">I")
_STILL_HERE = _LENGTH.pack(2**32 - 1)
"""Instead of a chunk, while a box has nothing to say: without it, what a network swallows would be waited for."""


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """A TLS connection to the holder of one certificate."""

    peer: str
    """The fingerprint of the peer's certificate."""
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)
    closed: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set once this side has closed it."""

    async def send(self, message: dict[str, Any]) -> None:
        """Send one frame.

        Raises:
            PeerLost: the peer is gone, or does not read.
        """
        try:
            self.writer.write(frames.pack(message))
            async with asyncio.timeout(SEND_S):
                await self.writer.drain()
        except (OSError, TimeoutError):
            raise PeerLost("the other side does not take a message", "link") from None

    async def receive(self, timeout_s: float | None, largest: int = LARGEST_MESSAGE) -> dict[str, Any]:
        """Return the next frame.

        Raises:
            PeerLost: the peer is gone, or says nothing in time.
            LinkBroken: what came is no frame, or a larger one than may come.
        """
        try:
            async with asyncio.timeout(timeout_s):
                message = await frames_async.read_async(self.reader, largest)
        except (OSError, TimeoutError):
            raise PeerLost("nothing came from the other side in time", "link") from None
        except DarkroomError:
            if self.reader.at_eof():
                raise PeerLost("the link was cut within a message", "link") from None
            raise LinkBroken("what came from the other side is no message", "link") from None
        if message is None:
            raise PeerLost("the other side closed the link", "link")
        return message

    def close(self) -> None:
        """Close after what is still to be sent."""
        self.closed.set()
        self.writer.close()

    def abort(self) -> None:
        """Close at once."""
        self.closed.set()
        self.writer.transport.abort()


class Control:
    """Messages in their order: each carries its number in its direction, so none is dropped or repeated unnoticed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._sent = self._received = 0
        self._sending = asyncio.Lock()

    async def send(self, message: dict[str, Any]) -> None:
        """Send the next message; raises `PeerLost`."""
        async with self._sending:
            number, self._sent = self._sent, self._sent + 1
            await self.connection.send({"number": number, "message": message})

    async def receive(self, timeout_s: float) -> dict[str, Any]:
        """Return the next message.

        Raises:
            PeerLost: as `Connection.receive`.
            LinkBroken: it is no message, or not the next one.
        """
        frame = await self.connection.receive(timeout_s)
        message = frame.get("message")
        if sorted(frame) != ["message", "number"] or not isinstance(message, dict):
            raise LinkBroken("a message between agents has a number and a content", "link")
        number = frame["number"]
        if type(number) is not int or number != self._received:
            raise LinkBroken("a message came that is not the next one", "link")
        self._received += 1
        return message


async def dial(identity: Identity, address: str, pinned: str) -> Connection:
    """Connect to the holder of the certificate with this fingerprint.

    Raises:
        PeerLost: nobody answers there, or nobody who goes on.
        LinkBroken: somebody else answers.
    """
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            with contextlib.ExitStack() as unfinished:
                connected = unfinished.enter_context(await _connected(host.strip("[]"), int(port)))
                await _show(connected, identity)
                shown = await _shown(connected)
                if tls.fingerprint(shown) != pinned:
                    raise LinkBroken("another certificate answers than the party's own", address)
                context = tls.context(identity, shown, server=False)
                unfinished.pop_all()  # from here on it is its transport that closes it
                return await _as_client(connected, context, pinned)
    except ssl.SSLError:
        raise LinkBroken("the party does not prove that its certificate is its own", address) from None
    except (OSError, TimeoutError, EOFError):
        raise PeerLost("the party cannot be reached", address) from None


class Listener:
    """Accepts links from peers whose certificates are welcome, and hands each over to `serve`.

    A peer that fails is not told why, and nobody else notices; what it sent is kept nowhere.
    """

    def __init__(
        self,
        identity: Identity,
        welcome: Callable[[str], bool],
        serve: Callable[[Connection], Awaitable[None]],
    ) -> None:
        self._identity, self._welcome, self._serve = identity, welcome, serve
        self._handshakes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is a free one for 0.

        Raises:
            SettingsWrong: it cannot listen there.
        """
        loop = asyncio.get_running_loop()
        try:
            found = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
            listening = socket.create_server(found[4][:2], family=found[0], backlog=64)
        except OSError as problem:
            raise SettingsWrong(
                f"the agent cannot listen here ({problem.strerror})", f"{host}:{port}"
            ) from None
        listening.setblocking(False)
        self._spawn(self._accept(listening))
        return int(listening.getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    accepted, _ = await loop.sock_accept(listening)
                except OSError:  # too many open files: those that are there go on
                    await asyncio.sleep(0.1)
                    continue
                if self._handshakes >= MOST_HANDSHAKES or len(self._tasks) > MOST_CONNECTIONS:
                    accepted.close()
                    continue
                self._spawn(self._answer(accepted))

    async def _answer(self, accepted: socket.socket) -> None:
        connection = await self._handshake(accepted)
        if connection is None:
            return
        try:
            await self._serve(connection)
        except DarkroomError:
            connection.abort()  # whoever served it has noted what is to be noted
        finally:
            connection.close()

    async def _handshake(self, accepted: socket.socket) -> Connection | None:
        self._handshakes += 1
        try:
            async with asyncio.timeout(HANDSHAKE_S), contextlib.AsyncExitStack() as unfinished:
                unfinished.callback(accepted.close)
                accepted.setblocking(False)
                _keep_alive(accepted)
                shown = await _shown(accepted)
                pinned = tls.fingerprint(shown)
                if not self._welcome(pinned):
                    raise LinkBroken("this certificate is nobody's that is expected here", "link")
                context = tls.context(self._identity, shown, server=True)
                await _show(accepted, self._identity)
                unfinished.pop_all()  # from here on it is its transport that closes it
                return await _as_server(accepted, context, pinned)
        except (OSError, TimeoutError, EOFError, DarkroomError):
            return None
        finally:
            self._handshakes -= 1


@dataclass(slots=True)
class Carried:
    """How many bytes of a box's stream went to the peer, and came from it."""

    sent: int = 0
    received: int = 0


async def carry(
    connection: Connection,
    box: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    count: Carried,
    beat: Beat = BEAT,
) -> None:
    """Copy between a box's stream and a peer until both directions have ended.

    Raises:
        PeerLost: the connection was cut before the peer's stream had ended, or the peer is silent.
        LinkBroken: what came is no chunk.
    """
    ways = [
        asyncio.create_task(_outwards(box[0], connection, count, beat)),
        asyncio.create_task(_inwards(connection, box[1], count, beat)),
    ]
    try:
        done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        for way in done:
            way.result()
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _outwards(reader: asyncio.StreamReader, connection: Connection, count: Carried, beat: Beat) -> None:
    while block := await _block(reader, connection, beat):
        await _write(connection, _LENGTH.pack(len(block)) + block)
        count.sent += len(block)
    await _write(connection, _LENGTH.pack(0))


async def _block(reader: asyncio.StreamReader, connection: Connection, beat: Beat) -> bytes:
    """Return what a box says next, giving signs of life meanwhile; a box that was killed has ended its stream too."""
    reading = asyncio.ensure_future(reader.read(CHUNK))
    try:
        while not (await asyncio.wait({reading}, timeout=beat.every_s))[0]:
            await _write(connection, _STILL_HERE)
        return reading.result()
    except ConnectionError:
        return b""
    finally:
        reading.cancel()


async def _write(connection: Connection, content: bytes) -> None:
    try:
        connection.writer.write(content)
        await connection.writer.drain()
    except OSError:
        raise PeerLost("the link of a box was cut", "link") from None


async def _inwards(connection: Connection, writer: asyncio.StreamWriter, count: Carried, beat: Beat) -> None:
    reads = True
    while block := await _chunk(connection, beat):
        count.received += len(block)
        if reads:
            try:
                writer.write(block)
                await writer.drain()
            except OSError:
                reads = False  # the box has ended, or reads no more; the rest has no reader
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()


async def _chunk(connection: Connection, beat: Beat) -> bytes:
    """Return the next chunk of a peer's stream, empty at its end."""
    reader = connection.reader
    try:
        while True:
            async with asyncio.timeout(beat.silent_s):
                head = await reader.readexactly(_LENGTH.size)
                if head == _STILL_HERE:
                    continue
                length = _LENGTH.unpack(head)[0]
                if length > CHUNK:
                    raise LinkBroken("a chunk of a box's stream is larger than one may be", "link")
                return await reader.readexactly(length)
    except (OSError, TimeoutError, EOFError):
        raise PeerLost("the link of a box was cut", "link") from None


# ------------------------------------------------------------------------------------------- before TLS


async def _connected(host: str, port: int) -> socket.socket:
    """Return a connected socket, of the first address that answers."""
    loop = asyncio.get_running_loop()
    problem = OSError("no address")
    for family, kind, protocol, _, place in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with contextlib.ExitStack() as unfinished:
            made = unfinished.enter_context(socket.socket(family, kind, protocol))
            made.setblocking(False)
            _keep_alive(made)
            try:
                await loop.sock_connect(made, place)
            except OSError as failed:
                problem = failed
                continue
            unfinished.pop_all()
            return made
    raise problem


def _keep_alive(made: socket.socket) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def _show(made: socket.socket, identity: Identity) -> None:
    certificate = identity.certificate
    await asyncio.get_running_loop().sock_sendall(made, _HEAD.pack(_MAGIC, len(certificate)) + certificate)


async def _shown(made: socket.socket) -> bytes:
    """Return the certificate that the other side shows; not a byte more is read."""
    magic, length = _HEAD.unpack(await _exactly(made, _HEAD.size))
    if magic != _MAGIC or not 0 < length <= tls.LARGEST_CERTIFICATE:
        raise LinkBroken("the other side does not speak as an agent", "link")
    return await _exactly(made, length)


async def _exactly(made: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        block = await asyncio.get_running_loop().sock_recv(made, size - len(found))
        if not block:
            raise EOFError
        found += block
    return found


# ---------------------------------------------------------------------------------------------- TLS

# A socket on which TLS has begun belongs to its transport, whatever happens. Were it closed here, the event loop would
# go on with a descriptor that the kernel gives to the next connection, and break that one.


class _Awaited(asyncio.StreamReaderProtocol):
    """A connection's protocol while TLS begins; `given_up` ends a connection that nobody waits for any more, also one
    of which asyncio has not told yet.
    """

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=CHUNK)
        self._ends: asyncio.BaseTransport | None = None
        self._over = False
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._ends = transport
        if self._over:
            self.given_up()

    def given_up(self) -> None:
        self._over = True
        if isinstance(self._ends, asyncio.WriteTransport):
            self._ends.abort()

    def connection(self, peer: str, transport: asyncio.WriteTransport) -> Connection:
        writer = asyncio.StreamWriter(transport, self, self.reader, asyncio.get_running_loop())
        return Connection(peer, self.reader, writer)


async def _as_client(made: socket.socket, context: ssl.SSLContext, pinned: str) -> Connection:
    protocol = _Awaited()
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(protocol.given_up)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: protocol, sock=made, ssl=context, server_hostname="", ssl_shutdown_timeout=CLOSING_S
        )
        unfinished.pop_all()
    return _proven(protocol.connection(pinned, transport))


async def _as_server(made: socket.socket, context: ssl.SSLContext, pinned: str) -> Connection:
    protocol = _Awaited()
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(protocol.given_up)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: protocol, made, ssl=context, ssl_shutdown_timeout=CLOSING_S
        )
        unfinished.pop_all()
    return _proven(protocol.connection(pinned, transport))


def _proven(connection: Connection) -> Connection:
    """Return the connection if TLS proved the certificate that was pinned, and nothing older than TLS 1.3 did."""
    proven = connection.writer.get_extra_info("ssl_object")
    certificate = proven.getpeercert(binary_form=True) or b""
    if tls.fingerprint(certificate) != connection.peer or proven.version() != "TLSv1.3":
        connection.abort()
        raise LinkBroken("the peer proved another certificate than the pinned one", "link")
    return connection
