"""One peer of an attempt: its control connection, whether it is alive, and how its clock stands.

Whatever comes from any peer ends up in one inbox of the attempt, in the order in which it came: messages, and that the
connection is lost. Now and then (`Beat`) each side asks the other for its time. That keeps the line busy and measures
the clocks; a peer that is silent for too long is lost, whatever its socket says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mpc.agent.preflight import Clock
from mpc.links import BEAT, Beat, Control
from plans.errors import DarkroomError, LinkBroken, PeerLost

MOST_UNREAD = 256
"""Messages in an attempt's inbox; a peer that sends more than are read in time waits."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that came: a message of a peer by its kind, or that its connection is `lost`."""

    peer: str
    kind: str
    content: Mapping[str, Any]
    lost: DarkroomError | None = None


class PeerLink:
    """The way to one peer; it may be lost, and be attached to a new connection."""

    def __init__(self, domain: str, inbox: asyncio.Queue[Heard], beat: Beat = BEAT) -> None:
        self.domain, self._inbox, self._beat = domain, inbox, beat
        self._control: Control | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._asked: dict[int, float] = {}
        self.clock: Clock | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a connection that has not failed yet."""
        return self._control is not None

    def attach(self, control: Control) -> None:
        """Use a connection from now on; an earlier one is closed."""
        self._drop()
        self._control = control
        self._tasks = [asyncio.create_task(self._read(control)), asyncio.create_task(self._ask(control))]

    async def say(self, kind: str, content: Mapping[str, Any]) -> None:
        """Send a message, if there is a connection; that it could not be sent is heard as a loss."""
        if self._control is not None:
            await self._send(self._control, {"kind": kind, "content": dict(content)})

    async def close(self) -> None:
        """Close what there is, once what was said is sent."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._control is not None:
            self._control.connection.close()
            self._control = None

    def _drop(self) -> None:
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self._tasks = []
        if self._control is not None:
            self._control.connection.abort()
            self._control = None

    async def _read(self, control: Control) -> None:
        """Put every message of the peer into the inbox until its connection is lost, and then that."""
        try:
            while True:
                message = await control.receive(self._beat.silent_s)
                kind, content = message.get("kind"), message.get("content")
                if not isinstance(kind, str) or not isinstance(content, dict) or len(message) != 2:
                    raise LinkBroken("a message between agents has a kind and a content", self.domain)
                await self._take(control, Heard(self.domain, kind, content))
        except (PeerLost, LinkBroken) as problem:
            await self._lose(control, problem)

    async def _take(self, control: Control, heard: Heard) -> None:
        if heard.kind == "time?":
            answer = {"id": _whole(heard.content.get("id")), "ms": int(time.time() * 1000)}
            await self._send(control, {"kind": "time", "content": answer})
        elif heard.kind == "time":
            asked = self._asked.pop(_whole(heard.content.get("id")), None)
            if asked is not None:
                self.clock = Clock.measured(asked, _whole(heard.content.get("ms")) / 1000, time.time())
                await self._inbox.put(Heard(self.domain, "clock", {}))
        else:
            await self._inbox.put(heard)

    async def _ask(self, control: Control) -> None:
        number = 0
        while self._control is control:
            self._asked = {number: time.time()}
            await self._send(control, {"kind": "time?", "content": {"id": number}})
            number += 1
            await asyncio.sleep(self._beat.every_s)

    async def _send(self, control: Control, message: dict[str, Any]) -> None:
        try:
            await control.send(message)
        except PeerLost as problem:
            await self._lose(control, problem)

    async def _lose(self, control: Control, problem: DarkroomError) -> None:
        """Say once that a connection is lost, unless another has taken its place."""
        if self._control is not control:
            return
        self._drop()
        with contextlib.suppress(asyncio.CancelledError):
            await self._inbox.put(Heard(self.domain, "lost", {}, problem))


def _whole(value: object) -> int:
    if type(value) is not int:
        raise LinkBroken("a number in a message between agents is whole", "link")
    return value
