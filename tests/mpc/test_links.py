"""Promise: links are mutual TLS 1.3 between pinned certificates, bounded in everything, and end where they are cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from keys import tls
from mpc import links
from mpc.links import CHUNK, Carried, Connection, Control, Listener, carry, dial
from plans.errors import LinkBroken, PeerLost, SettingsWrong
from plans.frames import pack

Serve = Callable[[Connection], Awaitable[None]]


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tls.Identity]:
    folder = tmp_path_factory.mktemp("tls")
    return {name: tls.make_identity(folder / name, f"nm/{name}") for name in ("tax", "health", "eve")}


@contextlib.asynccontextmanager
async def listening(own: tls.Identity, welcome: set[str], serve: Serve) -> AsyncIterator[str]:
    listener = Listener(own, welcome.__contains__, serve)
    port = await listener.start("127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await listener.close()


async def echo(connection: Connection) -> None:
    control = Control(connection)
    while True:
        await control.send(await control.receive(60))


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(100):
            await body()

    asyncio.run(bounded())


# ---------------------------------------------------------------------- identities


def test_an_identity_is_kept_where_nobody_else_reads_it_and_found_again(tmp_path: Path) -> None:
    made = tls.make_identity(tmp_path / "own", "nm/tax")
    assert stat.S_IMODE((tmp_path / "own").stat().st_mode) == 0o600
    assert tls.load_identity(tmp_path / "own") == made
    assert made.fingerprint == tls.fingerprint(made.certificate) and len(made.certificate) < 500
    with pytest.raises(SettingsWrong):
        tls.make_identity(tmp_path / "own", "nm/tax")


@pytest.mark.parametrize("wrong", ["missing", "open", "empty", "no key"])
def test_a_file_that_is_no_identity_is_refused(tmp_path: Path, wrong: str) -> None:
    file = tmp_path / "own"
    content = b""
    if wrong != "missing":
        tls.make_identity(file, "nm/tax")
        content = file.read_bytes()
    if wrong == "open":
        file.chmod(0o644)
    elif wrong == "empty":
        file.write_bytes(b"")
    elif wrong == "no key":
        file.write_bytes(content[content.index(b"-----BEGIN CERTIFICATE") :])
    with pytest.raises(SettingsWrong):
        tls.load_identity(file)


# ---------------------------------------------------------------------- connections


def test_two_parties_that_know_each_other_speak(identities: dict[str, tls.Identity]) -> None:
    async def body() -> None:
        tax, health = identities["tax"], identities["health"]
        async with listening(tax, {health.fingerprint}, echo) as address:
            connection = await dial(health, address, tax.fingerprint)
            control = Control(connection)
            for number in range(3):
                await control.send({"n": number})
                assert await control.receive(60) == {"n": number}
            proven = connection.writer.get_extra_info("ssl_object")
            assert proven.version() == "TLSv1.3" and proven.compression() is None
            assert not proven.session_reused and not proven.session.has_ticket
            connection.close()

    run(body)


def test_nobody_there_and_somebody_who_says_nothing_are_lost(
    identities: dict[str, tls.Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "HANDSHAKE_S", 0.3)

    async def body() -> None:
        tax, health = identities["tax"], identities["health"]
        with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(PeerLost):
            await dial(health, f"127.0.0.1:{silent.getsockname()[1]}", tax.fingerprint)
        with pytest.raises(PeerLost):
            await dial(health, "127.0.0.1:1", tax.fingerprint)
        with pytest.raises(PeerLost):
            await dial(health, "no.such.host.invalid:7000", tax.fingerprint)

    run(body)


def test_strangers_that_connect_and_say_nothing_take_no_place_for_long(
    identities: dict[str, tls.Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "HANDSHAKE_S", 3.0)
    monkeypatch.setattr(links, "MOST_HANDSHAKES", 4)

    async def body() -> None:
        tax, health = identities["tax"], identities["health"]
        async with listening(tax, {health.fingerprint}, echo) as address:
            host, _, port = address.rpartition(":")
            crowd = [socket.create_connection((host, int(port))) for _ in range(12)]
            await asyncio.sleep(0.2)
            with pytest.raises(PeerLost):
                await dial(health, address, tax.fingerprint)
            connection = None
            while connection is None:
                with contextlib.suppress(PeerLost):
                    connection = await dial(health, address, tax.fingerprint)
                await asyncio.sleep(0.05)
            control = Control(connection)
            await control.send({"still": "here"})
            assert await control.receive(60) == {"still": "here"}
            for each in crowd:
                each.close()
            connection.close()

    run(body)


@pytest.mark.parametrize(
    "frame",
    [
        {"number": 1, "message": {}},
        {"number": 0},
        {"number": 0, "message": []},
        {"number": "0", "message": {}},
        {"number": True, "message": {}},
        {"number": 0, "message": {}, "more": 1},
    ],
)
def test_what_is_not_the_next_message_breaks_the_link(
    identities: dict[str, tls.Identity], frame: dict[str, object]
) -> None:
    async def body() -> None:
        tax, health = identities["tax"], identities["health"]

        async def odd(connection: Connection) -> None:
            await connection.send(frame)
            await asyncio.sleep(90)

        async with listening(tax, {health.fingerprint}, odd) as address:
            connection = await dial(health, address, tax.fingerprint)
            with pytest.raises(LinkBroken):
                await Control(connection).receive(60)
            connection.abort()

    run(body)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\xff\xff\xff\xff" + b"x" * 100, LinkBroken),
        (b"\x00\x00\x00\x02[]", LinkBroken),
        (b"\x00\x00\x00\x05hello", LinkBroken),
        (pack({"number": 0, "message": {}})[:-3], PeerLost),
        (b"", PeerLost),
    ],
    ids=["too large", "no object", "no JSON", "cut within a frame", "closed"],
)
def test_bytes_that_are_no_frame_break_the_link(
    identities: dict[str, tls.Identity], raw: bytes, kind: type[Exception]
) -> None:
    async def body() -> None:
        tax, health = identities["tax"], identities["health"]

        async def odd(connection: Connection) -> None:
            connection.writer.write(raw)
            await connection.writer.drain()
            if kind is LinkBroken:
                await asyncio.sleep(90)

        async with listening(tax, {health.fingerprint}, odd) as address:
            connection = await dial(health, address, tax.fingerprint)
            with pytest.raises(kind):
                await Control(connection).receive(60)
            connection.abort()

    run(body)


def test_a_peer_that_does_not_read_is_lost(
    identities: dict[str, tls.Identity], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "SEND_S", 0.3)

    async def body() -> None:
        tax, health = identities["tax"], identities["health"]

        async def deaf(connection: Connection) -> None:
            await asyncio.sleep(90)

        async with listening(tax, {health.fingerprint}, deaf) as address:
            connection = await dial(health, address, tax.fingerprint)
            with pytest.raises(PeerLost):
                for _ in range(64):
                    await connection.send({"much": "x" * 2**20})
            connection.abort()

    run(body)


# ---------------------------------------------------------------------- what is given up


def left_open() -> list[asyncio.BaseTransport]:
    """Transports of this loop that nobody has told to close."""
    found = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]
    return [each for each in found.values() if not each.is_closing()]


@pytest.mark.parametrize("who", ["the one who dials", "the one who listens"])
def test_a_connection_given_up_at_any_moment_is_closed_and_harms_no_later_one(
    identities: dict[str, tls.Identity], monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    """An attempt that ends gives up what it was dialling. A socket that was closed beneath its transport left the loop
    with a descriptor that the next connection got, and that one failed.
    """
    monkeypatch.setattr(links, "HANDSHAKE_S", 3.0)

    async def serve(connection: Connection) -> None:
        await connection.closed.wait()

    async def given_up_after(turns: int) -> bool:
        """Give up after so many turns of the loop; return whether the connection was there already."""
        tax, health = identities["tax"], identities["health"]
        listener = Listener(tax, {health.fingerprint}.__contains__, serve)
        address = f"127.0.0.1:{await listener.start('127.0.0.1', 0)}"
        dialling = asyncio.create_task(dial(health, address, tax.fingerprint))
        for _ in range(turns):
            await asyncio.sleep(0)
        there = dialling.done()
        if who == "the one who dials":
            dialling.cancel()
        else:
            await listener.close()
        with contextlib.suppress(asyncio.CancelledError, PeerLost, LinkBroken):
            (await dialling).abort()
        beneath = [each for each in left_open() if each._sock.fileno() < 0]  # type: ignore[attr-defined]
        assert not beneath, f"after {turns} turns: {beneath}"
        await listener.close()
        async with asyncio.timeout(60):
            while left_open():
                await asyncio.sleep(0.01)
        return there

    async def body() -> None:
        turns = 0
        while not await given_up_after(turns):
            turns += 1
        assert turns > 5

    run(body)


# ---------------------------------------------------------------------- boxes' streams


async def ends() -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter], ...]:
    """Both ends of a box's stream, as asyncio has them."""
    one, other = socket.socketpair()
    return await asyncio.open_connection(sock=one), await asyncio.open_connection(sock=other)


def test_a_stream_arrives_whole_both_ways_and_each_direction_ends_by_itself(
    identities: dict[str, tls.Identity],
) -> None:
    tax, health = identities["tax"], identities["health"]
    there, back = b"a" * (3 * CHUNK + 7), b"b" * 1_000

    async def body() -> None:
        far: list[bytes] = []
        counts = [Carried(), Carried()]

        async def serve(connection: Connection) -> None:
            box, ours = await ends()

            async def be_box() -> None:
                far.append(await box[0].read())
                box[1].write(back)
                box[1].write_eof()

            await asyncio.gather(carry(connection, ours, counts[1]), be_box())

        async with listening(tax, {health.fingerprint}, serve) as address:
            connection = await dial(health, address, tax.fingerprint)
            box, ours = await ends()
            carrying = asyncio.create_task(carry(connection, ours, counts[0]))
            box[1].write(there)
            box[1].write_eof()
            assert await box[0].read() == back
            await carrying
        assert far == [there]
        assert (counts[0].sent, counts[0].received) == (len(there), len(back))
        assert (counts[1].sent, counts[1].received) == (len(back), len(there))

    run(body)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ((CHUNK + 1).to_bytes(4, "big"), LinkBroken),
        (b"\x00\x00\x00\x09four", PeerLost),
        (b"\x00\x00\x00\x04four", PeerLost),
    ],
    ids=["a chunk too large", "cut within a chunk", "cut before the end"],
)
def test_a_stream_that_does_not_come_to_its_end_is_told_from_one_that_does(
    identities: dict[str, tls.Identity], raw: bytes, kind: type[Exception]
) -> None:
    tax, health = identities["tax"], identities["health"]

    async def body() -> None:
        async def serve(connection: Connection) -> None:
            connection.writer.write(raw)
            await connection.writer.drain()

        async with listening(tax, {health.fingerprint}, serve) as address:
            connection = await dial(health, address, tax.fingerprint)
            _, ours = await ends()
            with pytest.raises(kind):
                await carry(connection, ours, Carried())
            connection.abort()

    run(body)


def test_a_context_takes_nothing_older_than_tls_13(identities: dict[str, tls.Identity]) -> None:
    for server in (True, False):
        made = tls.context(identities["tax"], identities["health"].certificate, server=server)
        assert made.minimum_version is ssl.TLSVersion.TLSv1_3
        assert made.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(LinkBroken):
        tls.context(identities["tax"], b"no certificate", server=True)
