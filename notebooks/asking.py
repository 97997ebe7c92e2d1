"""How the Hub asks the porter and the launcher, without ever holding up its one thread.

`sandbox.LauncherClient` blocks for as long as a box lives; a lab lives for days. Here a question is a connection of
asyncio, and a lab's `run` is listened to for as long as somebody wants to hear of it: who hangs up changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from plans import frames, frames_async
from plans.box import Entry
from plans.errors import DarkroomError, NotFound, Unreachable
from plans.plan import Plan

ASK_S = 30.0
OFFER_S = 3.0
"""How long a form waits for what the node offers."""

FRESH_S = 2.0
"""For how long what a launcher said of its boxes is believed: many labs are polled at about the same time."""

ATTEMPT = 1
"""The number of a lab's one attempt."""


class Socket:
    """A process behind a Unix socket."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    async def ask(self, question: Mapping[str, Any], timeout_s: float = ASK_S) -> dict[str, Any]:
        """Ask one question and return the answer.

        Raises:
            Unreachable: nobody answers there within `timeout_s`.
            DarkroomError: whatever the process answered with.
        """
        try:
            async with asyncio.timeout(timeout_s):
                async with self.asked(question) as answers:
                    return frames.settle(await anext(answers, None), self._path.name)
        except TimeoutError:
            raise Unreachable("no answer in time", self._path.name) from None

    @contextlib.asynccontextmanager
    async def asked(self, question: Mapping[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Ask, and give what comes, frame by frame, until the block ends; raises `Unreachable` if nobody is there."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=frames.LARGEST)
        except OSError as problem:
            raise Unreachable(
                f"nobody answers at this socket ({problem.strerror})", self._path.name
            ) from None
        try:
            writer.write(frames.pack(dict(question)))
            yield self._frames(reader)
        finally:
            writer.close()

    async def _frames(self, reader: asyncio.StreamReader) -> AsyncIterator[dict[str, Any]]:
        try:
            while (frame := await frames_async.read_async(reader)) is not None:
                yield frame
        except OSError as problem:
            raise Unreachable(f"the connection broke ({problem.strerror})", self._path.name) from None


class Porter:
    """The porter's desk."""

    def __init__(self, path: str) -> None:
        self._socket = Socket(path)

    async def open(self, plan: str, environment: Mapping[str, str]) -> int:
        """Have a lab's port opened and its settings kept for it; return the port."""
        answer = await self._socket.ask({"op": "open", "plan": plan, "environment": dict(environment)})
        return int(answer["port"])

    async def close(self, plan: str) -> None:
        """End a lab's port and all its connections."""
        await self._socket.ask({"op": "close", "plan": plan})

    async def status(self, plan: str) -> dict[str, bool]:
        """Return whether a lab has asked for its settings, whether it answers, and whether there are settings."""
        return await self._socket.ask({"op": "status", "plan": plan})

    async def plans(self) -> list[str]:
        """Return the plans of the labs that are open."""
        return list((await self._socket.ask({"op": "status"}))["plans"])


class Launcher:
    """The launcher of labs."""

    def __init__(self, path: str) -> None:
        self._socket = Socket(path)
        self._heard: tuple[float, dict[str, str]] = (float("-inf"), {})
        self._lock = asyncio.Lock()

    async def put(self, plan: Plan) -> None:
        """Give it a plan to keep."""
        await self._socket.ask({"op": "put", "plan": plan.plain()})

    def run(self, plan: str) -> contextlib.AbstractAsyncContextManager[AsyncIterator[dict[str, Any]]]:
        """Have a lab started, or listen to one that was: `waiting` and `state` frames, and at its end the answer."""
        return self._socket.asked({"op": "run", **_stage(plan)})

    async def cancel(self, plan: str) -> None:
        """End a lab, or its waiting; one that is not there is no error."""
        self._heard = (float("-inf"), {})
        with contextlib.suppress(NotFound):
            await self._socket.ask({"op": "cancel", **_stage(plan)})

    async def living(self, fresh_s: float = FRESH_S) -> dict[str, str]:
        """Return the states of the labs that wait or live, by plan, as they were at most `fresh_s` seconds ago."""
        async with self._lock:
            if time.monotonic() - self._heard[0] > fresh_s:
                status = await self._socket.ask({"op": "status"})
                labs = (box for box in status["boxes"] if box["stage"] == Entry.LAB.value)
                self._heard = (time.monotonic(), {box["plan"]: box["state"] for box in labs})
            return self._heard[1]

    async def tiers(self) -> list[dict[str, Any]]:
        """Return what the node offers, tier by tier."""
        return list((await self._socket.ask({"op": "status"}, OFFER_S))["tiers"])

    async def ending(self, plan: str) -> DarkroomError | None:
        """Return why a lab that is gone ended, or none if it ended by itself.

        `NotFound` means that nothing of it is known: the launcher it lived at has ended.
        """
        try:
            await self._socket.ask({"op": "kept", **_stage(plan)})
        except Unreachable:
            return None
        except DarkroomError as problem:
            return problem
        return None


def _stage(plan: str) -> dict[str, Any]:
    return {"plan": plan, "stage": Entry.LAB.value, "attempt": ATTEMPT}
