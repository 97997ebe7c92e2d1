"""Where attacks are carried out: boxes of one tier with canaries all around them, and texts that run in them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from plans.box import BoxSpec, BoxState, Entry, Limits
from plans.decision import Tier
from plans.errors import OutputRefused, Unreachable
from sandbox import images, processes, recipes
from sandbox.attacks import assembly
from sandbox.attacks.attack import CannotRun
from sandbox.attacks.canaries import Planted, planted
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Cause, Ending, Wall
from sandbox.identities import Identities
from sandbox.process_box import ProcessBox
from sandbox.sites import Sites

LOWEST_UID, HIGHEST_UID, UIDS = 64400, 65400, 24
"""Where a run takes its boxes' user ids from, and how many; nobody else may have a process under one of them."""

ROOMY = Limits(
    memory_mb=512, temp_mb=16, spill_mb=0, output_mb=4, cpu_s=200, wall_s=200, processes=64, files=256, cpus=1
)
"""Limits of boxes in which nothing is tried against limits."""

MOST_TOLD = 4 << 20
LOOKS_S = 0.02
"""How often a running box's memory is looked at."""


class Maker(Protocol):
    """Boxes that run any program; both tiers have it, for attacks only."""

    def unsafe_create(
        self, spec: BoxSpec, inputs: Mapping[str, Path], program: tuple[str, ...]
    ) -> ProcessBox:
        """Make a box that runs Python with these arguments."""

    def create(self, spec: BoxSpec, inputs: Mapping[str, Path]) -> ProcessBox:
        """Make a box that runs a program of the house."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a text told of one attack: whether it gained something, the canaries it found, and why not."""

    gained: bool
    loot: tuple[str, ...]
    why: str
    defect: bool


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a box: what it printed, what it left, how it ended, how long it took, its peak of memory in MiB."""

    told: bytes
    outputs: Mapping[str, bytes]
    refused: str
    ending: Ending
    seconds: float
    peak_mb: float


@dataclass(slots=True)
class Ground:
    """One tier's boxes and the canaries around them. `without` is what a control takes off."""

    tier: Tier
    home: Path
    image: str
    planted: Planted
    make: Callable[[frozenset[Wall]], Maker]
    limits: Limits = ROOMY
    without: frozenset[Wall] = frozenset()
    where: dict[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    def given(self, inputs: Mapping[str, Path]) -> Ground:
        """Return the same ground whose boxes get these inputs."""
        return replace(self, inputs=inputs)

    def weaker(self, walls: Iterable[Wall]) -> Ground:
        """Return the same ground with walls taken off, for a control."""
        return replace(self, without=frozenset(walls))

    def box(self, *program: str, limits: Limits | None = None) -> ProcessBox:
        """Make a box that runs Python with these arguments."""
        spec = BoxSpec(Entry.CHECK, self.image, (), limits or self.limits, self.tier)
        return self.make(self.without).unsafe_create(spec, self.inputs, program)

    @contextlib.asynccontextmanager
    async def living(
        self, *program: str, limits: Limits | None = None
    ) -> AsyncIterator[tuple[ProcessBox, Any]]:
        """Yield a running box and its conversation; it is killed and wiped at the end."""
        box = self.box(*program, limits=limits)
        try:
            yield box, await box.start()
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()

    async def run(self, code: str, *arguments: str, limits: Limits | None = None) -> Ran:
        """Run a text in a box to its end, reading no more than it should tell, and collect what it leaves."""
        async with self.living("-c", code, *arguments, limits=limits) as (box, pipes):
            began, most = time.monotonic(), 0
            pipes.to_box.close()
            reading = asyncio.create_task(_read(pipes.from_box))
            while box.state in (BoxState.STARTING, BoxState.RUNNING):
                most = max(most, box.memory_peak or processes.memory_bytes(box.pid))
                await asyncio.sleep(LOOKS_S)
            ending, most = await box.wait(), max(most, box.memory_peak or 0)
            seconds = time.monotonic() - began
            outputs, refused = await collected(box, self.home)
            return Ran(await reading, outputs, refused, ending, seconds, most / 2**20)

    async def attack(self, module: str, **more: Any) -> dict[str, Told]:
        """Run a module of attacks in one box; `more` goes to the text beside what it knows of the ground.

        Raises:
            CannotRun: the box ended without telling what came of them.
        """
        limits = replace(self.limits, spill_mb=32) if module == "statements" else self.limits
        where = {**self.planted.where, **self.where, **more}
        ran = await self.run(assembly.text(module), json.dumps(where), limits=limits)
        try:
            told = json.loads(ran.told)
        except ValueError:
            cause = ran.ending.cause or f"status {ran.ending.status}"
            raise CannotRun(f"the attackers' box ended before it told anything ({cause})") from None
        return {
            name: Told(one["gained"], tuple(one["loot"]), one["why"], one["defect"])
            for name, one in told.items()
        }


@contextlib.asynccontextmanager
async def ground(tier: Tier, image: str = "sql") -> AsyncIterator[Ground]:
    """Plant the canaries, and yield the ground of one tier.

    Raises:
        NotFound: the image was not built.
        TierMissing: this node lacks the tier.
    """
    digest = images.find(image).digest
    home = Path(tempfile.mkdtemp(prefix="darkroom-attacks-", dir=_open_parent()))
    home.chmod(0o711)
    try:
        async with planted(home) as found:
            yield replace(bare(tier, home, digest), planted=found, where=_known(tier, home))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def bare(tier: Tier, home: Path, image: str) -> Ground:
    """Return a ground on which nothing is planted."""
    return Ground(tier, home, image, Planted(), _maker(tier, home, image))


def _open_parent() -> str | None:
    """Return a folder below which boxes' users can be let through, or the usual one for temporary files."""
    return "/var/tmp" if os.geteuid() == 0 else None


def _maker(tier: Tier, home: Path, image: str) -> Callable[[frozenset[Wall]], Maker]:
    identities, folder = Identities(_free_uids(), UIDS), recipes.images_folder()
    made: dict[frozenset[Wall], Maker] = {}
    shared: list[Sites] = []  # over the real image, so that it is hashed once

    def make(without: frozenset[Wall]) -> Maker:
        if without not in made:
            # An image that a box can write is a copy: the real one is other boxes' too.
            own = Wall.READ_ONLY in without
            seen = _copied(image, folder, home / f"images-{len(made)}") if own else folder
            made[without] = _boxes(tier, (home, seen, identities), without, [] if own else shared)
        return made[without]

    return make


def _free_uids() -> int:
    """Return the first of a range of user ids that nobody on this host uses now: two runs must not meet."""
    ranges = range(LOWEST_UID, HIGHEST_UID, UIDS)
    for turn in range(len(ranges)):
        first = ranges[(os.getpid() + turn) % len(ranges)]
        if not any(processes.of_user(uid) for uid in range(first, first + UIDS)):
            return first
    raise Unreachable("no user ids are free for boxes to attack from", "doctor", "Try again shortly.")


def _copied(image: str, folder: Path, copies: Path) -> Path:
    """Copy an image to a folder of its own; a copy, since images share files by hard links."""
    name = image.partition(":")[2]
    shutil.copytree(folder / name, copies / name, symlinks=True)
    copies.chmod(0o755)
    return copies


def _boxes(
    tier: Tier, where: tuple[Path, Path, Identities], without: frozenset[Wall], shared: list[Sites]
) -> Maker:
    """Make boxes without some walls; those over one image have the sites of the first, which are `shared`."""
    if tier is Tier.T1:
        boxes = BubblewrapBoxes(*where, unsafe_without=without)
        shared[:] = shared or [boxes.sites]
        (boxes.sites,) = shared
        return boxes
    if without:
        raise CannotRun(f"walls of {tier} cannot be taken off one by one")
    from sandbox.gvisor import GvisorBoxes

    return GvisorBoxes(*where)


def _known(tier: Tier, home: Path) -> dict[str, Any]:
    """Return what an attacker may have heard of this host, as seen directly and where a control shows the host."""
    platform = [str(recipes.CHECKOUT / "sandbox" / "boxes.py"), str(home), str(recipes.images_folder())]
    return {
        "hostname": os.uname().nodename,
        "pids": 32769 if tier is Tier.T1 else 512,  # numbers in a namespace of its own are small
        "home": str(home),
        "images": str(recipes.images_folder()),
        "platform": platform,
        "limits": {
            "RLIMIT_NPROC": ROOMY.processes + 2,
            "RLIMIT_NOFILE": ROOMY.files,
            "RLIMIT_FSIZE": max(ROOMY.temp_mb, ROOMY.output_mb, 32) << 20,
            "RLIMIT_CPU": ROOMY.cpu_s + 1,
        },
    }


async def _read(stream: asyncio.StreamReader) -> bytes:
    """Read to the end, keep the beginning: a box that floods its output must not fill our memory."""
    kept = b""
    while block := await stream.read(1 << 16):
        kept += block[: max(0, MOST_TOLD - len(kept))]
    return kept


async def collected(box: ProcessBox, home: Path) -> tuple[dict[str, bytes], str]:
    """Collect a box's outputs as a launcher would; returns them, or the sentence with which they were refused."""
    if (await box.wait()).state is not BoxState.EXITED:
        return {}, ""
    with tempfile.TemporaryDirectory(dir=home) as folder:
        try:
            await box.collect(Path(folder))
        except OutputRefused as problem:
            return {}, problem.what
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}, ""
