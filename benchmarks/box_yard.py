"""Boxes to measure, of one tier and in a folder of their own, and the same Python outside any box."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from plans.errors import NotFound
from sandbox import bubblewrap, images, recipes
from sandbox.boxes import BubblewrapBoxes
from sandbox.cgroups import Cgroups
from sandbox.contract import Cause, Conversation, Ending
from sandbox.gvisor import GvisorBoxes
from sandbox.identities import Identities
from sandbox.process_box import ProcessBox

FIRST_UID, UIDS = 64_701, 16
PYTHON = ("-I", "-S", "-B", "-X", "utf8")
"""How Python is started in every box."""

SMALL = Limits(
    memory_mb=256, temp_mb=16, spill_mb=0, output_mb=8, cpu_s=60, wall_s=60, processes=32, files=64, cpus=1
)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a box: what it printed, how it ended, and the seconds from its making to its end."""

    told: str
    ending: Ending
    seconds: float


class Yard:
    """Makes boxes of one tier; `home` is empty again when all of them are gone."""

    def __init__(self, boxes: BubblewrapBoxes | GvisorBoxes, tier: Tier, home: Path) -> None:
        self.boxes, self.tier, self.home = boxes, tier, home

    def make(
        self,
        code: str,
        *arguments: str,
        limits: Limits = SMALL,
        inputs: Mapping[str, Path] | None = None,
        image: str = "sql",
    ) -> ProcessBox:
        """Make a box that runs Python text."""
        spec = BoxSpec(Entry.CHECK, images.find(image).digest, (), limits, self.tier)
        return self.boxes.unsafe_create(spec, inputs or {}, ("-c", code, *arguments))

    @asynccontextmanager
    async def living(
        self, code: str, *arguments: str, limits: Limits = SMALL, image: str = "sql"
    ) -> AsyncIterator[tuple[ProcessBox, Conversation]]:
        """Start a box and end it afterwards, whatever happens."""
        box = self.make(code, *arguments, limits=limits, image=image)
        try:
            yield box, await box.start()
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()

    async def run(
        self,
        code: str,
        *arguments: str,
        limits: Limits = SMALL,
        inputs: Mapping[str, Path] | None = None,
        watch: Callable[[ProcessBox], None] | None = None,
        image: str = "sql",
    ) -> Ran:
        """Run a box to its end; `watch` is told when it is up."""
        began = time.monotonic()
        box = self.make(code, *arguments, limits=limits, inputs=inputs, image=image)
        try:
            pipes = await box.start()
            if watch is not None:
                watch(box)
            told, ending = await asyncio.gather(pipes.from_box.read(-1), box.wait())
            return Ran(told.decode(), ending, time.monotonic() - began)
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()


@contextmanager
def t1(*, groups: bool = True) -> Iterator[Yard]:
    """Give a yard of bubblewrap boxes, with the node's control groups or as on a node that has none."""
    with _home() as home:
        boxes = BubblewrapBoxes(home, recipes.images_folder(), Identities(FIRST_UID, UIDS))
        if not groups:
            boxes._groups = Cgroups.none()
        yield Yard(boxes, Tier.T1, home)


@contextmanager
def t2() -> Iterator[Yard]:
    """Give a yard of gVisor boxes."""
    with _home() as home:
        boxes = GvisorBoxes(home, recipes.images_folder(), Identities(FIRST_UID + UIDS, UIDS))
        yield Yard(boxes, Tier.T2, home)


def bare(code: str, *arguments: str, image: str = "sql") -> list[str]:
    """Return the command of the same Python, from the same image, outside any box. Its environment: `ENVIRONMENT`."""
    python = images.find(image).root / "python" / "bin" / "python3"
    return [os.fspath(python), *PYTHON, "-c", code, *arguments]


ENVIRONMENT = dict(bubblewrap.ENVIRONMENT)
"""What boxes have as theirs, and so has the bare process."""


def with_limits(**changes: int) -> Limits:
    """Return the small limits with some changed."""
    return dataclasses.replace(SMALL, **changes)


def has_image(name: str) -> bool:
    """Whether an image of this name has been built here."""
    try:
        images.find(name)
    except NotFound:
        return False
    return True


@contextmanager
def _home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dr-yard-") as name:
        home = Path(name)
        home.chmod(0o711)
        yield home
