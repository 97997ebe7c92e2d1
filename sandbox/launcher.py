"""The launcher: a small daemon per owning domain that starts boxes, and nothing else starts any.

`python -P -m sandbox.launcher CONFIG` listens on two Unix sockets (`plans.frames`), one question per connection; which
of them may ask for what says `sandbox.admission`:

    put     plan                    keep a plan
    run     plan, stage, attempt    `{"state": …}` frames, then the answer; a stage runs once
    pair    plan, trial             say which trial belongs to a job, before it runs (`sandbox.pairing`)
    cancel  plan, stage, attempt    end its box, and those beside it
    kept    plan, stage, attempt    the answer of a stage that has ended; nothing is started
    opened  plan, attempt           `{"sealed": hex}` frames: what its part of a joint computation left, sealed
    status                          who this is, what it offers, which boxes live

Stages that the plan links run side by side: their places are taken together, and where one ends without a result the
others are ended after a moment in which they may say why themselves. A lab (`plans.labs`) waits in a line of its own,
and whoever asked hears where it stands: `{"waiting": {"before": n, "why": "places" | "memory"}}`.

A caller that hangs up changes nothing; whoever asks for the same stage again is attached to it, or gets its
kept answer. One thread of control: boxes die with the thread that started them, so they die with the launcher
whatever kills it; what survives all the same, the next one's reaper ends.

Started by root, it reads its settings and its key and becomes its own user (`sandbox.own_user`) before it makes
anything or listens to anybody. Started by another user it stays that one, and its boxes run under the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from keys.signing import SigningKey
from plans import frames, frames_async, names
from plans.errors import (
    BoxFailed,
    DarkroomError,
    Malformed,
    NotFound,
    SettingsWrong,
    StateConflict,
    Unreachable,
)
from plans.plan import Plan, PlanKind
from sandbox import admission, cgroups, images, kept_homes, opening, own_user, pairing, reaper, telling
from sandbox.admission import Door, Places, Rules, Together
from sandbox.config import LauncherConfig
from sandbox.contract import Boxes, Cause
from sandbox.homes import Homes
from sandbox.identities import Identities
from sandbox.lab_line import LabLine
from sandbox.lease import Keeper, LeaseTimes
from sandbox.links import Exchange
from sandbox.pool import WarmBoxes, keep_kinds, read_kinds
from sandbox.running import Place, Running
from sandbox.shelf import Shelf, StageName
from sandbox.sites import Labs
from sandbox.stage import KILLED, StageRun, Workshop
from sandbox.tiers import node_boxes

QUESTION_S = 30.0
"""Seconds that a caller may take to ask."""

LARGEST_QUESTION = 12 * 2**20
"""Bytes of a question, a plan with a member's folder in it included."""

MOST_CONNECTIONS = 32
"""How many callers a door has at a time; the next one is told to come again."""

SWEEP_S = 3600.0
"""How often the shelf is swept."""

PEER_S = 2.0
"""Seconds that a box has to end by itself, when one beside it ended without a result."""

SETTLED_NS = 1_000_000_000
"""How long ago a folder must have changed for its time to tell every later change: clocks of files are coarse."""

_MODES = {Door.OPEN: 0o660, Door.OWNER: 0o600}


class Launcher:
    """Answers questions; see the module."""

    def __init__(self, workshop: Workshop) -> None:
        self._shop = workshop
        self._running: dict[StageName, Running] = {}
        self._together: dict[tuple[StageName, ...], Together] = {}
        self._endings: set[asyncio.Task[None]] = set()
        config = workshop.config
        self._rules = Rules(config.domain, config.ceilings, tuple(config.services))
        self._places = Places(admission.places(config.uid_count, config.warm_kinds))
        places = admission.lab_places(config.uid_count, config.warm_kinds)
        self._labs = LabLine(places, config.labs_memory_mb)
        waiting = admission.MOST_WAITING + config.uid_count if config.services else 0
        self._most_callers = MOST_CONNECTIONS + waiting  # whoever asked for a lab listens for days
        self._listed = 0
        self._box_ids = range(config.first_uid, config.first_uid + config.uid_count)
        self._callers = dict.fromkeys(Door, 0)
        self._known = set(
            config.images
        )  # and those that have a name, or had one since: plans outlive a build

    async def serve(self, stop: asyncio.Event) -> None:
        """Answer until `stop`, then end every box.

        Raises:
            SettingsWrong: a socket cannot be made where the settings say.
            StateConflict: a launcher listens there already.
        """
        config = self._shop.config
        doors = {Door.OPEN: config.socket, Door.OWNER: config.owner_socket}
        paths = {door: path for door, path in doors.items() if path is not None}
        servers = [await self._listen(door, path) for door, path in paths.items()]
        beside = [asyncio.create_task(work) for work in (self._shop.boxes.warm(), self._sweep())]
        await stop.wait()
        for task in beside:
            task.cancel()
        for server in servers:
            server.close()
        for path in paths.values():
            path.unlink(missing_ok=True)
        await asyncio.gather(*(running.kill(Cause.LAUNCHER) for running in self._running.values()))
        await asyncio.gather(*(running.task for running in self._running.values()))
        await self._shop.boxes.close()

    async def _listen(self, door: Door, path: Path) -> asyncio.Server:
        try:
            _free_socket(path)
            server = await asyncio.start_unix_server(functools.partial(self._answer, door), path)
            os.chmod(path, _MODES[door])
        except OSError as problem:
            raise SettingsWrong(
                f"the launcher cannot listen here ({problem.strerror})",
                str(path),
                "The folder of its sockets must be there and belong to the launcher's user.",
            ) from None
        return server

    async def _sweep(self) -> None:
        """Remove what is too old from the shelf, now and then."""
        while True:
            self._shop.shelf.sweep(self._in_use())
            if self._shop.homes is not None:
                with contextlib.suppress(OSError):  # the next sweep tries again
                    await kept_homes.finish(self._shop.homes)
            await asyncio.sleep(SWEEP_S)

    def _in_use(self) -> set[str]:
        return {name.plan for name in self._running}

    async def _answer(self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection; a caller that is gone is no error."""
        self._callers[door] += 1
        try:
            self._require_welcome(door, writer)
            async with asyncio.timeout(QUESTION_S):
                question = await frames_async.read_async(reader, LARGEST_QUESTION)
            if question is not None:
                await self._decide(door, question, writer)
        except DarkroomError as problem:
            await _say(writer, frames.refusal(problem))
        except (OSError, TimeoutError):
            pass
        finally:
            self._callers[door] -= 1
            writer.close()

    def _require_welcome(self, door: Door, writer: asyncio.StreamWriter) -> None:
        admission.require_peer(writer.get_extra_info("socket"), self._box_ids, self._shop.config.askers)
        if self._callers[door] > self._most_callers:
            raise Unreachable("the launcher has as many callers as it takes", door, "Try again shortly.")

    async def _decide(self, door: Door, question: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        match question.get("op"):
            case "put":
                plan = Plan.read(question.get("plan"))
                self._require_admissible(plan, door)
                self._shop.shelf.put(plan, self._in_use())
                await _say(writer, {"ok": {"plan": plan.digest}})
            case "run":
                await self._run(door, StageName.read(question), writer)
            case "kept":
                await self._kept(door, StageName.read(question), writer)
            case "pair":
                pairing.pair(self._shop.shelf, str(question.get("plan")), str(question.get("trial")))
                await _say(writer, {"ok": {}})
            case "cancel":
                await self._cancel(door, StageName.read(question))
                await _say(writer, {"ok": {}})
            case "opened":
                await opening.require_ended_well(self._shop.shelf, self._shop.keeper, question)
                for frame in opening.frames_of(self._shop.shelf, question):
                    await _say(writer, frame)
            case "homes" | "erase-home":
                admission.require_operator(door)
                await _say(writer, {"ok": await self._of_homes(question)})
            case "status":
                await _say(writer, {"ok": self._status()})
            case other:
                raise Malformed(f"a launcher does not know {str(other)[:40]!r}", "launcher")

    def _require_admissible(self, plan: Plan, door: Door) -> None:
        admission.require_admissible(plan, door, self._rules, self._images())

    def _images(self) -> set[str]:
        """Return the images that boxes may have, those built since the last time among them.

        A name is made by putting a file into the folder, so the names are read again when the folder has changed.
        """
        folder = self._shop.config.images_folder
        changed = folder.stat().st_mtime_ns if folder.is_dir() else 0
        if changed == 0 or changed != self._listed:
            self._known |= {image.digest for image in images.named(folder)}
            settled = time.time_ns() - changed > SETTLED_NS
            self._listed = changed if settled else 0
        return self._known

    async def _run(self, door: Door, name: StageName, writer: asyncio.StreamWriter) -> None:
        """Run a stage, or attach to it, or give its kept answer."""
        admission.require_door(door, name.stage in admission.OWNERS_OWN)
        kept = self._shop.shelf.result(name)
        if kept is not None:
            await _say(writer, _told(door, kept))
            return
        running = self._running.get(name) or self._begun(door, name)
        heard: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        for past in running.told:
            heard.put_nowait(past)
        running.listeners.add(heard)
        try:
            while not running.task.done() and (frame := await heard.get()) is not None:
                await _say(writer, frame)
            await _say(writer, _told(door, await asyncio.shield(running.task)))
        finally:
            running.listeners.discard(heard)

    async def _kept(self, door: Door, name: StageName, writer: asyncio.StreamWriter) -> None:
        """Give the kept answer of a stage that has ended."""
        admission.require_door(door, name.stage in admission.OWNERS_OWN)
        kept = self._shop.shelf.result(name)
        if kept is None:
            raise NotFound(
                "no answer of this stage is kept", name.stage.value, "Run it, or wait until it has ended."
            )
        await _say(writer, _told(door, kept))

    def _begun(self, door: Door, name: StageName) -> Running:
        plan = self._shop.shelf.plan(name.plan)
        self._require_admissible(plan, door)
        batch = _beside(plan, name)
        for peer in batch:
            if peer != name and peer not in self._running and self._shop.shelf.result(peer) is not None:
                raise BoxFailed(KILLED[Cause.PEER][0], Cause.PEER, KILLED[Cause.PEER][1])
        run = StageRun(self._shop, name, lambda state: running.heard(state))
        if plan.kind is PlanKind.LAB:
            memory_mb = plan.stage(name.stage).limits.memory_mb
            place: Place = functools.partial(self._labs.place, memory_mb, lambda where: running.waits(where))
        else:
            line = admission.line_of(plan, door)
            place = self._together.setdefault(batch, Together(self._places, line, len(batch))).place
        running = self._running[name] = Running(run, place)
        running.task.add_done_callback(lambda task: self._ended(name, batch, task))
        return running

    def _ended(
        self, name: StageName, batch: tuple[StageName, ...], task: asyncio.Task[dict[str, Any]]
    ) -> None:
        """Forget a stage that has ended; if it has no result, those beside it are not to wait for it."""
        self._running.pop(name, None)
        if batch in self._together and self._together[batch].idle:
            del self._together[batch]
        well = not task.cancelled() and task.exception() is None and "ok" in task.result()
        peers = [self._running[peer] for peer in batch if peer in self._running]
        if peers and not well:
            ending = asyncio.get_running_loop().create_task(_end_peers(peers))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _cancel(self, door: Door, name: StageName) -> None:
        admission.require_door(door, name.stage in admission.OWNERS_OWN)
        if name not in self._running:
            raise NotFound("no such stage is running", name.stage.value)
        batch = _beside(self._shop.shelf.plan(name.plan), name)
        running = [self._running[each] for each in batch if each in self._running]
        await asyncio.gather(*(each.kill(Cause.CANCELLED) for each in running))

    async def _of_homes(self, question: dict[str, Any]) -> dict[str, Any]:
        """List homes, or erase one."""
        homes = self._shop.homes
        if homes is None:
            raise NotFound("no labs run at this launcher, so it keeps no homes", "launcher")
        if question.get("op") == "homes":
            count = question.get("count") is True
            found = await asyncio.to_thread(kept_homes.listed, homes, count=count)
            return {"homes": [kept.plain() for kept in found]}
        await kept_homes.erase(homes, names.require("file", str(question.get("home")), "home"))
        return {}

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
            "own_user": own_user.is_own(),
            "tiers": tiers,
            "images": images.present(self._images(), self._shop.config.images_folder),
            "boxes": boxes,
        }


def workshop(
    config: LauncherConfig, key: SigningKey, boxes: Boxes | None = None, times: LeaseTimes | None = None
) -> Workshop:
    """Return what a launcher with these settings works with; removes what an earlier life's boxes left.

    Raises:
        SettingsWrong: its folder cannot be written.
        StateConflict: something of an earlier life cannot be removed.
    """
    shelf = Shelf(config.home)
    shelf.prepare()
    identities = Identities(config.first_uid, config.uid_count)
    uids = range(config.first_uid, config.first_uid + config.uid_count) if identities.separate else range(0)
    left = reaper.reap(shelf.boxes, uids, cgroups.Cgroups.open(cgroups.group_name(shelf.boxes)))
    if left != reaper.NOTHING:
        sys.stderr.write(f"launcher: {left.told}\n")
    keeper = Keeper(config.keeper_socket) if config.keeper_socket else None
    labs = _labs(config, identities) if boxes is None else None
    if boxes is None:
        boxes = WarmBoxes(
            node_boxes(shelf.boxes, config.images_folder, identities, labs),
            config.warm_kinds,
            functools.partial(keep_kinds, config.home / "warm.json"),
        )
        boxes.want(read_kinds(config.home / "warm.json"))
    times = times or LeaseTimes()
    exchange = Exchange(config.agent_socket, config.services)
    return Workshop(config, key, boxes, shelf, keeper, times, exchange, labs.homes if labs else None)


def _labs(config: LauncherConfig, identities: Identities) -> Labs | None:
    """Return what labs need, at a launcher that runs them; earlier boxes are gone by now, and their homes at rest.

    Each connection of a lab costs two open files, so as many are allowed as this user may have.
    """
    if not config.services:
        return None
    homes = Homes(config.home / "homes", separate=identities.separate)
    homes.prepare()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return Labs(homes, config.mirror)


def begin(settings: Path, times: LeaseTimes | None = None) -> None:
    """Become the launcher's own user if root starts it, and serve until SIGTERM or SIGINT.

    Raises:
        DarkroomError: what is missing or wrong; nothing has run then.
    """
    config = LauncherConfig.load(settings)
    key = config.signing_key()
    if os.geteuid() == 0:
        ids = config.own_ids()
        own_user.require_roots(config.images_folder)
        cgroups.prepare(cgroups.group_name(config.home / "boxes"), ids.user)
        own_user.become(ids, () if config.side_group is None else (config.side_group,))
    asyncio.run(run(workshop(config, key, times=times)))


async def run(work: Workshop) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Launcher(work).serve(stop)


def _beside(plan: Plan, name: StageName) -> tuple[StageName, ...]:
    """Return the stages that run side by side with one, itself among them.

    Raises:
        Malformed: the plan has no such stage.
    """
    plan.stage(name.stage)
    batch = next(batch for batch in plan.batches if name.stage in batch)
    return tuple(StageName(name.plan, stage, name.attempt) for stage in batch)


async def _end_peers(peers: list[Running]) -> None:
    """End those beside a stage that ended without a result, unless they do so themselves."""
    await asyncio.wait([peer.task for peer in peers], timeout=PEER_S)
    for peer in peers:
        await peer.kill(Cause.PEER)


def _told(door: Door, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer as it is told at a door: how long each step took is the owner's; others hear a word for all."""
    if door is Door.OWNER:
        return answer
    part = answer.get("ok") or answer
    coarse = {
        **part,
        "timings": {},
        "took": telling.bucket(max(part.get("timings", {}).values(), default=0) / 1000),
    }
    return {"ok": coarse} if "ok" in answer else coarse


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
        begin(Path(arguments[0]))
    except DarkroomError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
