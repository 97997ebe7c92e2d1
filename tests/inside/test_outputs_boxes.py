"""Both boxes between a job and its asker run in their image, behind the walls of T1, on every form of output."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inside import leavings
from keys import sealing
from plans import frames, frames_async
from plans.artifacts import Artifact, Form
from plans.box import BoxSpec, Entry, Limits, Outputs
from plans.decision import Tier
from plans.plan import Plan
from plans.verdict import Finding, Verdict
from sandbox import images, recipes
from sandbox.boxes import BubblewrapBoxes
from sandbox.contract import Cause
from sandbox.identities import Identities
from sandbox.images import Image
from tests.airlock.outputs.corpus import FOLDER
from tests.inside import output_cases as cases

pytestmark = pytest.mark.box

LIMITS = Limits(
    memory_mb=1024, temp_mb=128, spill_mb=0, output_mb=16, cpu_s=30, wall_s=60, processes=16, files=64, cpus=1
)
WORK = """
import base64, importlib, pathlib, sys
sys.path.append("/box")
from inside.session import Session
from plans import frames
from plans.box import Entry
from plans.errors import DarkroomError
from plans.key import BoxKeys
from plans.plan import Plan
start = frames.read(sys.stdin.buffer)["start"]
here = pathlib.Path("/tmp/here"); here.mkdir()
(here / "out").mkdir()
for name, content in start["inputs"].items():
    (here / name).write_bytes(base64.b64decode(content))
paths = {name: here / name for name in start["inputs"]}
entry = Entry(start["entry"])
session = Session(Plan.read(start["plan"]), entry, 1, paths, BoxKeys(start["keys"], start["keys"], ""), here / "out")
report = importlib.import_module("inside." + entry.value).run(session)
left = {path.name: base64.b64encode(path.read_bytes()).decode() for path in (here / "out").iterdir()}
frames.write(sys.stdout.buffer, {"report": report, "left": left})
"""
FIGURE = Artifact("bars.png", Form.FIGURE, data="plain.parquet")
TABLE = Artifact("plain.parquet", Form.TABLE, persons="persons")
OTHERS = (
    Artifact("auc.json", Form.METRICS), Artifact("notes.md", Form.REPORT), Artifact("linear.json", Form.MODEL),
    Artifact("network.safetensors", Form.MODEL), Artifact("network.onnx", Form.MODEL),
)  # fmt: skip


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="darkroom-outputs-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="module")
def image() -> Image:
    return images.build(recipes.CHECKOUT / "images" / "inspect")


async def boxed(
    home: Path, image: Image, plan: Plan, entry: Entry, inputs: Mapping[str, bytes]
) -> dict[str, Any]:
    boxes = BubblewrapBoxes(home, recipes.images_folder(), Identities(64341, 4))
    box = boxes.unsafe_create(
        BoxSpec(entry, image.digest, (), LIMITS, Tier.T1, outputs=Outputs(4)), {}, ("-c", WORK)
    )
    try:
        pipes = await box.start()
        sealed = {name: base64.b64encode(content).decode() for name, content in inputs.items()}
        start = {"plan": plan.plain(), "entry": entry.value, "inputs": sealed, "keys": cases.KEYS}
        pipes.to_box.write(frames.pack({"start": start}))
        return await frames_async.read_async(pipes.from_box) or {}
    finally:
        await box.kill(Cause.CANCELLED)
        await box.destroy()


def test_every_form_goes_through_both_boxes(home: Path, image: Image) -> None:
    declared = (FIGURE, TABLE, *OTHERS)
    task = cases.python_task(*declared)
    plan = replace(cases.plan_of(task, sealing.OpeningKey.fresh()))
    files = {f"files/{each.name}": (FOLDER / "good" / each.name).read_bytes() for each in declared}
    packed = cases.seal(plan, "output.bin", leavings.pack(files))
    first = asyncio.run(boxed(home, image, plan, Entry.REENCODE, {"output.bin": packed}))
    assert first.get("report") == {}, first
    handed = base64.b64decode(first["left"]["artifacts.bin"])
    second = asyncio.run(boxed(home, image, plan, Entry.INSPECT, {"artifacts.bin": handed}))
    verdict = Verdict.read(second["report"]["verdict"])
    assert verdict.finding is Finding.HELD and {"picture", "model"} <= set(verdict.reasons)
    assert sorted(second["left"]) == ["held.bin", "record.bin", "shown.bin"]
