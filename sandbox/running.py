"""A stage of a launcher from the moment somebody asked for it until its answer is there."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from plans import frames
from plans.box import BoxState
from plans.errors import BoxFailed, DarkroomError, DiskFull, Unreachable
from sandbox.contract import Cause
from sandbox.stage import KILLED, StageRun
from sandbox.waiting import Waiting

Place = Callable[[], AbstractAsyncContextManager[None]]
"""Waits for a stage's place, and holds it."""


class Running:
    """A stage that waits for its place or runs: its task, what was told of it so far, and who listens."""

    def __init__(self, run: StageRun, place: Place) -> None:
        self.told: list[dict[str, Any]] = []
        self.listeners: set[asyncio.Queue[dict[str, Any] | None]] = set()
        self.run = run
        self._given_up = Cause.NONE
        self._begun = False
        self.task = asyncio.create_task(self._work(place))
        self.task.add_done_callback(lambda _: self._spread(None))

    async def kill(self, cause: Cause) -> None:
        """End the stage, or its waiting."""
        await asyncio.sleep(0)  # a task that has not begun could not say why it ended
        if self._begun:
            await self.run.kill(cause)
        elif not self.task.done():
            self._given_up = cause
            self.task.cancel()

    async def _work(self, place: Place) -> dict[str, Any]:
        try:
            async with place():
                self._begun = True
                return await self.run.answer()
        except DarkroomError as problem:
            return frames.refusal(problem)
        except OSError as problem:
            return frames.refusal(_stopped(problem))
        except asyncio.CancelledError:
            if self._given_up is Cause.NONE:
                raise
            sentence, advice = KILLED[self._given_up]
            return frames.refusal(BoxFailed(sentence, self._given_up, advice))

    def heard(self, state: BoxState) -> None:
        """Tell everybody who listens that the box has another state."""
        if self.told and "waiting" in self.told[0]:
            self.told.clear()
        self._tell({"state": state.value})

    def waits(self, waiting: Waiting) -> None:
        """Tell them where it stands in its line; who comes later hears the last of it only."""
        self.told.clear()
        self._tell({"waiting": waiting.plain()})

    def _tell(self, frame: dict[str, Any]) -> None:
        if not self.told or self.told[-1] != frame:
            self.told.append(frame)
            self._spread(frame)

    def _spread(self, frame: dict[str, Any] | None) -> None:
        for listener in self.listeners:
            listener.put_nowait(frame)


def _stopped(problem: OSError) -> DarkroomError:
    """Return the error of a stage whose launcher was refused something by the system; its box is gone by then."""
    told = f"the launcher could not go on ({problem.strerror})"
    if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(told, "launcher")
    return Unreachable(told, "launcher", "Try again shortly; `darkroom-server doctor` says what is wrong.")
