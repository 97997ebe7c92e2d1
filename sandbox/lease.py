"""Asking the keeper, and holding its lease: a box lives only as long as the owner's keeper says so.

A lease is renewed every `renew_s`. Not renewed for `freeze_s`, the box is frozen; for `kill_s`, or when the
keeper says so (revoked), it is killed. A keeper that answers again in time thaws it. An answer that is
neither yes nor no counts as none.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plans import frames, frames_async
from plans.box import BoxState
from plans.errors import DarkroomError, Malformed, Unreachable
from sandbox.contract import Box, Cause

_FINISH_S = 2.0


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds between renewals, without one until the box is frozen, and until it is killed."""

    renew_s: float = 2.0
    freeze_s: float = 8.0
    kill_s: float = 60.0


class Keeper:
    """The keeper behind its socket, one question per connection."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def ask(self, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the keeper's answer.

        Raises:
            Unreachable: it does not answer in time.
            DarkroomError: what it refuses with.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(question)
        except (OSError, TimeoutError):
            raise Unreachable("the keeper does not answer", self._socket.name) from None

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        try:
            writer.write(frames.pack(question))
            await writer.drain()
            return frames.settle(await frames_async.read_async(reader), self._socket.name)
        finally:
            writer.close()


async def hold(keeper: Keeper, lease: str, box: Box, times: LeaseTimes) -> None:
    """Keep the lease until this task is cancelled or the box is killed for want of it."""
    renewed = time.monotonic()
    while True:
        asked = time.monotonic()
        answer = await _renew(keeper, lease, times.renew_s)
        if answer == "kill":
            await box.kill(Cause.REVOKED)
            return
        if answer == "ok":
            renewed = asked
        silent = time.monotonic() - renewed
        if silent >= times.kill_s:
            await box.kill(Cause.LEASE)
            return
        _freeze_or_thaw(box, silent >= times.freeze_s)
        await asyncio.sleep(max(0.0, asked + times.renew_s - time.monotonic()))


async def finish(keeper: Keeper, lease: str) -> None:
    """Give the lease back; a keeper that does not hear it lets it run out."""
    try:
        await keeper.ask({"op": "finish", "lease": lease}, _FINISH_S)
    except (Unreachable, Malformed):
        return


async def _renew(keeper: Keeper, lease: str, timeout_s: float) -> str:
    try:
        return str((await keeper.ask({"op": "renew", "lease": lease}, timeout_s)).get("answer"))
    except DarkroomError:
        return ""


def _freeze_or_thaw(box: Box, freeze: bool) -> None:
    if freeze and box.state is BoxState.RUNNING:
        box.freeze()
    elif not freeze and box.state is BoxState.FROZEN:
        box.thaw()
