"""`python -P -m notebooks.porter SETTINGS`: the porter (传达) joins the outside to labs, and labs to two services.

A lab has no network. Whoever comes to its *port* on loopback (the proxy) is joined to a connection that the lab parked
here beforehand; what the lab asks of the Hub or of the portal goes out by its two links (`plans.labs`), from the same
address of loopback at which its port is, which is the lab's own. The porter reads no byte of any of it. It listens at

    hub, api    for the launcher: a frame {"plan": digest, "link": "hub"|"api"}, then the bytes of the box. Those of the
                link `hub` begin with a letter: S asks for the lab's settings, which are given once; C is joined to the
                Hub; W is parked until somebody comes to the lab's port, is told `!`, and then joined to them
    desk        for the Hub, a question per connection (`plans.frames`):
                open {"plan", "environment"} → {"port"}    the same port for the same plan, after a restart too
                close {"plan"} → {}                        ends its port and every connection of it
                status {"plan"} → {"asked", "answers", "settings"}; without a plan: {"plans": […]}

A plan that the Hub did not open gets nothing. What is kept in a file is which plan has which port and whether its lab
has its settings; the settings themselves, with their tokens, are in memory alone: after a restart the Hub brings those
that were not fetched yet again. Everything is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from notebooks import walls
from notebooks.settings import LabsSettings
from plans import frames, frames_async, names
from plans.errors import DarkroomError, Malformed, NotAllowed, NotFound, SettingsWrong, TooLarge, Unreachable
from plans.labs import API, HUB, SERVICES, loopback_of

MOST_LABS = 256
MOST_PARKED = 32
"""Connections that a lab may park."""

MOST_AT_ONCE = 64
"""Connections of each sort (to its port, to the Hub, to the portal) that a lab has at a time."""

MOST_CALLERS = 8192
"""Connections of the launcher and of the Hub at a time, of all labs together."""

PORTS = 10_000
"""How many ports there are to choose from, beginning at the first of the settings."""

WAIT_S = 5.0
"""Seconds that somebody who comes to a port waits for a parked connection."""

QUESTION_S = 10.0
LARGEST_QUESTION = 2**16
AT_ONCE = 2**16
"""Bytes that are copied at a time, and kept for a slow reader at the most."""

SETTINGS, CALL, WAIT, COME = b"S", b"C", b"W", b"!"
_PEER = struct.Struct("3i")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(slots=True)
class Lab:
    """What the porter knows of a lab that the Hub opened."""

    plan: str
    port: int
    asked: bool = False
    environment: dict[str, str] | None = None
    parked: deque[Streams] = field(default_factory=deque)
    comers: deque[asyncio.Future[Streams]] = field(default_factory=deque)
    counts: dict[str, int] = field(default_factory=dict)
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    server: asyncio.Server | None = None

    def park(self, streams: Streams) -> None:
        """Keep a connection for who comes, or give it to who waits already; one too many is closed."""
        while self.comers:
            comer = self.comers.popleft()
            if not comer.done():
                comer.set_result(streams)
                return
        self.tidy()
        if len(self.parked) >= MOST_PARKED:
            streams[1].close()
            return
        self.parked.append(streams)

    def tidy(self) -> None:
        """Let go of parked connections that the lab has ended, or on which it spoke before it was told to."""
        fine = [each for each in self.parked if _is_fresh(each)]
        for each in self.parked:
            if each not in fine:
                each[1].close()
        self.parked = deque(fine)

    async def take(self) -> Streams:
        """Return a parked connection, waiting a little for one; raises `TimeoutError`."""
        self.tidy()
        if self.parked:
            return self.parked.popleft()
        comer: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()
        self.comers.append(comer)
        try:
            async with asyncio.timeout(WAIT_S):
                return await comer
        finally:
            if comer in self.comers:
                self.comers.remove(comer)

    @contextlib.contextmanager
    def counted(self, what: str) -> Iterator[None]:
        """Count a connection for as long as it lasts; raises `Unreachable` if there are too many."""
        if self.counts.get(what, 0) >= MOST_AT_ONCE:
            raise Unreachable("this lab has as many connections as it may", what)
        self.counts[what] = self.counts.get(what, 0) + 1
        try:
            yield
        finally:
            self.counts[what] -= 1

    def end(self) -> None:
        """End the port and every connection."""
        if self.server is not None:
            self.server.close()
        for comer in self.comers:
            if not comer.done():
                comer.set_exception(ConnectionAbortedError("the lab was closed"))
        for writer in [*self.writers, *(each[1] for each in self.parked)]:
            writer.transport.abort()
        self.parked.clear()


class Porter:
    """Labs by plan, and what is said at the three sockets."""

    def __init__(self, settings: LabsSettings) -> None:
        self._settings = settings
        self._labs: dict[str, Lab] = {}
        self._file = Path(settings.porter_state) / "ports.json"
        self._callers = 0

    async def serve(self, stop: asyncio.Event) -> None:
        """Listen until `stop`; ports that were open before are opened again first.

        Raises:
            SettingsWrong: a socket cannot be made where the settings say.
        """
        for plan, kept in self._kept().items():
            lab = Lab(plan, kept["port"], kept["asked"])
            with contextlib.suppress(
                OSError
            ):  # somebody else has the port: the Hub finds that nobody answers
                await self._listen(lab)
                self._labs[plan] = lab
        self._keep()
        launcher = self._settings.user_launcher
        servers = [
            await self._socket(self._settings.porter_hub, self._link(HUB), launcher),
            await self._socket(self._settings.porter_api, self._link(API), launcher),
            await self._socket(self._settings.porter_desk, self._desk, self._settings.user_hub),
        ]
        await stop.wait()
        for server in servers:
            server.close()
        for lab in self._labs.values():
            lab.end()

    # --- the Hub's questions -------------------------------------------

    async def _desk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(QUESTION_S):
                question = await frames_async.read_async(reader, LARGEST_QUESTION)
            if question is None:
                return
            answer = {"ok": await self._decide(question)}
        except DarkroomError as problem:
            answer = frames.refusal(problem)
        writer.write(frames.pack(answer))
        await writer.drain()

    async def _decide(self, question: dict[str, Any]) -> dict[str, Any]:
        plan = question.get("plan")
        match question.get("op"):
            case "status" if plan is None:
                return {"plans": sorted(self._labs)}
            case "status":
                lab = self._lab(plan)
                lab.tidy()
                known = lab.environment is not None
                return {"asked": lab.asked, "answers": bool(lab.parked), "settings": known or lab.asked}
            case "open":
                environment = _environment(question.get("environment"))
                return {"port": await self._open(names.require("digest", str(plan), "plan"), environment)}
            case "close":
                lab = self._labs.pop(str(plan), None)
                if lab is not None:
                    lab.end()
                    self._keep()
                return {}
            case other:
                raise Malformed(f"the porter does not know {str(other)[:40]!r}", "porter")

    async def _open(self, plan: str, environment: dict[str, str]) -> int:
        lab = self._labs.get(plan)
        if lab is None:
            if len(self._labs) >= MOST_LABS:
                raise Unreachable("the porter has as many labs as it takes", "porter")
            lab = await self._fresh(plan)
            self._labs[plan] = lab
            self._keep()
        if not lab.asked:
            lab.environment = environment
        return lab.port

    async def _fresh(self, plan: str) -> Lab:
        taken = {lab.port for lab in self._labs.values()}
        first = self._settings.first_port
        for port in random.sample(range(first, min(first + PORTS, 65_536)), 64):
            if port not in taken:
                lab = Lab(plan, port)
                with contextlib.suppress(OSError):
                    await self._listen(lab)
                    return lab
        raise Unreachable("no port on loopback is free for another lab", "porter")

    async def _listen(self, lab: Lab) -> None:
        async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._come(lab, (reader, writer))

        lab.server = await asyncio.start_server(
            _careful(come), loopback_of(lab.port), lab.port, limit=AT_ONCE, reuse_address=True
        )

    # --- connections -----------------------------------------------------

    async def _come(self, lab: Lab, comer: Streams) -> None:
        """Join whoever came to a lab's port to a connection that the lab has parked."""
        with lab.counted("port"):
            lab.writers.add(comer[1])
            try:
                parked = await lab.take()
                lab.writers.add(parked[1])
                parked[1].write(COME)
                try:
                    await _join(comer, parked)
                finally:
                    parked[1].close()
                    lab.writers.discard(parked[1])
            finally:
                lab.writers.discard(comer[1])

    def _link(self, name: str) -> Callable[..., Awaitable[None]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async with asyncio.timeout(QUESTION_S):
                opening = await frames_async.read_async(reader, LARGEST_QUESTION)
            if opening is None or opening.get("link") != name or name not in SERVICES:
                raise Malformed("a link begins with its plan and its name", name)
            lab = self._lab(opening.get("plan"))
            if name == API:
                await self._call(lab, API, (reader, writer), self._settings.portal_place)
            else:
                await self._speak(lab, (reader, writer))

        return answer

    async def _speak(self, lab: Lab, box: Streams) -> None:
        async with asyncio.timeout(QUESTION_S):
            letter = await box[0].readexactly(1)
        if letter == SETTINGS:
            await self._hand_over(lab, box[1])
        elif letter == CALL:
            await self._call(lab, HUB, box, ("127.0.0.1", self._settings.hub_port))
        elif letter == WAIT:
            lab.park(box)
            with contextlib.suppress(OSError):
                await box[1].wait_closed()  # whoever took it closes it, and so does whoever finds it ended
        else:
            raise Malformed("a connection of the link `hub` begins with S, C or W", "hub")

    async def _hand_over(self, lab: Lab, writer: asyncio.StreamWriter) -> None:
        """Give a lab its settings, once."""
        environment, lab.environment = lab.environment, None
        if lab.asked or environment is None:
            raise NotAllowed("there are no settings for this lab, or it had them already", "hub")
        lab.asked = True
        writer.write(frames.pack({"environment": environment}))
        await writer.drain()
        self._keep()

    async def _call(self, lab: Lab, service: str, box: Streams, place: tuple[str, int]) -> None:
        """Join a connection of a lab to a service."""
        with lab.counted(service):
            own = (
                None if ":" in place[0] else (loopback_of(lab.port), 0)
            )  # IPv6 has one address of loopback alone
            out = await asyncio.open_connection(*place, limit=AT_ONCE, local_addr=own)
            lab.writers |= {box[1], out[1]}
            try:
                await _join(box, out)
            finally:
                out[1].close()
                lab.writers -= {box[1], out[1]}

    # --- what is kept ----------------------------------------------------

    def _lab(self, plan: object) -> Lab:
        lab = self._labs.get(str(plan))
        if lab is None:
            raise NotFound("no such lab is open", "porter")
        return lab

    def _kept(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _keep(self) -> None:
        content = {plan: {"port": lab.port, "asked": lab.asked} for plan, lab in self._labs.items()}
        fresh = self._file.with_suffix(".new")
        with fresh.open("w") as file:
            file.write(json.dumps(content))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._file)

    async def _socket(
        self, place: str, answer: Callable[..., Awaitable[None]], user: int | None
    ) -> asyncio.Server:
        async def admitted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            _require_peer(writer, user)
            if self._callers >= MOST_CALLERS:
                raise Unreachable("the porter has as many callers as it takes", "porter")
            self._callers += 1
            try:
                await answer(reader, writer)
            finally:
                self._callers -= 1

        path = Path(place)
        try:
            path.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(_careful(admitted), path, limit=AT_ONCE)
            path.chmod(0o660)
        except OSError as problem:
            raise SettingsWrong(f"the porter cannot listen here ({problem.strerror})", place) from None
        return server


def _careful(answer: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Close a connection at its end, whatever ended it; what somebody says wrongly is no error of ours."""

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (DarkroomError, OSError, TimeoutError, EOFError):
            pass
        except asyncio.CancelledError:  # the porter stops; asyncio would write a traceback of it
            pass
        finally:
            writer.close()

    return answered


def _require_peer(writer: asyncio.StreamWriter, user: int | None) -> None:
    """Refuse a caller of another user; raises `NotAllowed`. Root and we ourselves may always ask."""
    end = writer.get_extra_info("socket")
    peer = _PEER.unpack(end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1]
    if peer not in (0, os.geteuid(), user):
        raise NotAllowed("this socket is for another process", "porter")


def _environment(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not all(
        isinstance(each, str) for pair in given.items() for each in pair
    ):
        raise Malformed("the environment of a lab is texts by name", "environment")
    if len(given) > 100:
        raise TooLarge("the environment of a lab has too many members", "environment")
    return dict(given)


def _is_fresh(streams: Streams) -> bool:
    """Whether a parked connection still stands and nothing was said on it."""
    reader, writer = streams
    silent = not getattr(reader, "_buffer", b"") and not reader.at_eof()
    return silent and not writer.is_closing()


async def _join(one: Streams, other: Streams) -> None:
    """Copy bytes both ways; the end of one way is passed on, and the connection ends with both."""
    ways = (_copy(one[0], other[1]), _copy(other[0], one[1]))
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(AT_ONCE):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def run(settings: LabsSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Porter(settings).serve(stop)


def main(given: list[str]) -> int:
    """Build the walls, or, behind them, serve."""
    try:
        os.umask(0o077)
        if given != [walls.INSIDE]:
            settings = LabsSettings.load(Path(given[0]))
            sockets = {
                Path(each).parent for each in (settings.porter_hub, settings.porter_api, settings.porter_desk)
            }
            room = walls.Room(
                "notebooks.porter", settings.user_porter, (Path(settings.porter_state), *sorted(sockets))
            )
            walls.enter(room, {"settings": settings.plain()})
        asyncio.run(run(LabsSettings.read(walls.told()["settings"])))
    except DarkroomError as problem:
        sys.stderr.write(f"porter: {problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
