"""Does this node hold what its tier promises? Tried by attacking from inside, not by reading settings."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path

from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from plans.errors import BoxFailed
from sandbox import images, recipes
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Cause, Protection
from sandbox.identities import Identities
from sandbox.process_box import ProcessBox

ATTACKS = Path(__file__).with_name("attacks_inside.py")
_FIRST_UID = 64900
_LIMITS = Limits(
    memory_mb=512, temp_mb=16, spill_mb=0, output_mb=1, cpu_s=20, wall_s=30, processes=64, files=256, cpus=1
)
_ANSWER_S = 20.0


def probe(image: str = "sql") -> tuple[Protection, ...]:
    """Attack T1 from inside and return what held, one line per attack.

    Raises:
        NotFound: the image was not built.
        TierMissing: a tool is missing, so no box can start.
        BoxFailed: a box starts, but the attacks did not run in it.
    """
    return asyncio.run(_probe(image))


async def _probe(image: str) -> tuple[Protection, ...]:
    spec = BoxSpec(Entry.CHECK, images.find(image).digest, (), _LIMITS, Tier.T1)
    with tempfile.TemporaryDirectory(prefix="darkroom-doctor-") as folder:
        home = Path(folder)
        home.chmod(0o711)
        identities = Identities(_FIRST_UID, 1)
        boxes = BubblewrapBoxes(home, recipes.images_folder(), identities)
        box = boxes.unsafe_create(spec, {}, ("-c", ATTACKS.read_text()))
        try:
            broken = await _run(box)
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()
    own = Protection(
        "own user id", identities.separate, "a user id per box" if identities.separate else "no root here"
    )
    return (own, *(Protection(name, not succeeded, _how(succeeded)) for name, succeeded in broken.items()))


async def _run(box: ProcessBox) -> dict[str, bool]:
    pipes = await box.start()
    try:
        async with asyncio.timeout(_ANSWER_S):
            told = json.loads(await pipes.from_box.read())
            await box.wait()
    except (TimeoutError, ValueError):
        raise BoxFailed("the attacks did not run in the box", "doctor") from None
    return {str(name): bool(succeeded) for name, succeeded in told.items()}


def _how(succeeded: bool) -> str:
    return "an attack from inside SUCCEEDED" if succeeded else "attacked from inside, refused"
