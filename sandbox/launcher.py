"""The launcher: a small daemon per owning domain that starts boxes, and nothing else starts any.

`python -P -m sandbox.launcher CONFIG` listens on a Unix socket (`plans.frames`), one question per connection:

    put     plan                    keep a plan
    run     plan, stage, attempt    `{"state": …}` frames, then the answer; a stage runs once
    cancel  plan, stage, attempt    end its box
    status                          who this is, what it offers, which boxes live

A caller that hangs up changes nothing; whoever asks for the same stage again is attached to it, or gets its
kept answer. One thread of control: boxes die with the thread that started them, so they die with the launcher
whatever kills it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from plans import frames, frames_async
from plans.box import BoxState
from plans.errors import DarkroomError, Malformed, NotFound, StateConflict
from plans.plan import Plan
from sandbox.boxes import BubblewrapBoxes
from sandbox.config import LauncherConfig
from sandbox.contract import Boxes, Cause
from sandbox.identities import Identities
from sandbox.lease import Keeper, LeaseTimes
from sandbox.pool import WarmBoxes, keep_kinds, read_kinds
from sandbox.shelf import Shelf, StageName
from sandbox.stage import StageRun, Workshop

QUESTION_S = 30.0
"""Seconds that a caller may take to ask."""


class _Running:
    """A stage that runs: its task, the states so far, and who listens."""

    def __init__(self, workshop: Workshop, name: StageName) -> None:
        self.states: list[BoxState] = []
        self.listeners: set[asyncio.Queue[BoxState | None]] = set()
        self.run = StageRun(workshop, name, self._heard)
        self.task = asyncio.create_task(self.run.answer())
        self.task.add_done_callback(lambda _: self._spread(None))

    def _heard(self, state: BoxState) -> None:
        if not self.states or self.states[-1] is not state:
            self.states.append(state)
            self._spread(state)

    def _spread(self, state: BoxState | None) -> None:
        for listener in self.listeners:
            listener.put_nowait(state)


class Launcher:
    """Answers questions; see the module."""

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop
        self._running: dict[StageName, _Running] = {}

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop`, then end every box."""
        path = self._shop.config.socket
        _free_socket(path)
        server = await asyncio.start_unix_server(self._answer, path)
        os.chmod(path, 0o660)
        warming = asyncio.create_task(self._shop.boxes.warm())
        await stop.wait()
        warming.cancel()
        server.close()
        path.unlink(missing_ok=True)
        await asyncio.gather(*(running.run.kill(Cause.LAUNCHER) for running in self._running.values()))
        await asyncio.gather(*(running.task for running in self._running.values()))
        await self._shop.boxes.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection; a caller that is gone is no error."""
        try:
            async with asyncio.timeout(QUESTION_S):
                question = await frames_async.read_async(reader)
            if question is not None:
                await self._decide(question, writer)
        except DarkroomError as problem:
            await _say(writer, frames.refusal(problem))
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _decide(self, question: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        match question.get("op"):
            case "put":
                plan = Plan.read(question.get("plan"))
                self._shop.shelf.put(plan)
                await _say(writer, {"ok": {"plan": plan.digest}})
            case "run":
                await self._run(StageName.read(question), writer)
            case "cancel":
                await self._cancel(StageName.read(question))
                await _say(writer, {"ok": {}})
            case "status":
                await _say(writer, {"ok": self._status()})
            case other:
                raise Malformed(f"a launcher does not know {str(other)[:40]!r}", "launcher")

    async def _run(self, name: StageName, writer: asyncio.StreamWriter) -> None:
        """Run a stage, or attach to it, or give its kept answer."""
        kept = self._shop.shelf.result(name)
        if kept is not None:
            await _say(writer, kept)
            return
        running = self._running.get(name)
        if running is None:
            running = self._running[name] = _Running(self._shop, name)
            running.task.add_done_callback(lambda _: self._running.pop(name, None))
        heard: asyncio.Queue[BoxState | None] = asyncio.Queue()
        for past in running.states:
            heard.put_nowait(past)
        running.listeners.add(heard)
        try:
            while not running.task.done() and (state := await heard.get()) is not None:
                await _say(writer, {"state": state.value})
            await _say(writer, await asyncio.shield(running.task))
        finally:
            running.listeners.discard(heard)

    async def _cancel(self, name: StageName) -> None:
        running = self._running.get(name)
        if running is None:
            raise NotFound("no such stage is running", name.stage.value)
        await running.run.kill(Cause.CANCELLED)

    def _status(self) -> dict[str, Any]:
        offers = self._shop.boxes.offers()
        boxes = [
            {
                "plan": name.plan,
                "stage": name.stage.value,
                "attempt": name.attempt,
                "state": running.run.state.value,
            }
            for name, running in self._running.items()
        ]
        tiers = [
            {
                "tier": offer.tier.value,
                "protections": [
                    {"name": each.name, "held": each.held, "how": each.how} for each in offer.protections
                ],
            }
            for offer in offers
        ]
        return {
            "domain": self._shop.config.domain,
            "node": self._shop.config.node,
            "key": self._shop.key.public,
            "tiers": tiers,
            "boxes": boxes,
        }


def workshop(config: LauncherConfig, boxes: Boxes | None = None, times: LeaseTimes | None = None) -> Workshop:
    """Return what a launcher with these settings works with; wipes what an earlier life's boxes left."""
    shelf = Shelf(config.home)
    shelf.prepare()
    keeper = Keeper(config.keeper_socket) if config.keeper_socket else None
    if boxes is None:
        identities = Identities(config.first_uid, config.uid_count)
        boxes = WarmBoxes(
            BubblewrapBoxes(shelf.boxes, config.images_folder, identities),
            config.warm_kinds,
            functools.partial(keep_kinds, config.home / "warm.json"),
        )
        boxes.want(read_kinds(config.home / "warm.json"))
    return Workshop(config, config.signing_key(), boxes, shelf, keeper, times or LeaseTimes())


async def run(work: Workshop) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Launcher(work).serve(stop)


async def _say(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(frames.pack(message))
        await writer.drain()


def _free_socket(path: Path) -> None:
    """Remove the socket of an earlier life; a living launcher keeps its own."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise StateConflict("a launcher already listens here", path.name, "Stop it first.")


def main(arguments: list[str]) -> int:
    """`python -P -m sandbox.launcher CONFIG`; the exit status is that of the error tree."""
    try:
        if len(arguments) != 1:
            raise Malformed("a launcher needs one settings file", "command line")
        os.umask(0o077)
        asyncio.run(run(workshop(LauncherConfig.load(Path(arguments[0])))))
    except DarkroomError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
