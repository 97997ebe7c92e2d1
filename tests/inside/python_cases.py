"""Members' programs in real boxes: as trials, and by themselves with a key and data, as a job will run them."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inside.leavings import unpack
from inside.session import handover, unpadded
from keys import sealing
from plans import frames, frames_async
from plans.box import BoxSpec, Entry, Limits, Outputs
from plans.decision import Tier
from plans.plan import Plan, PlanKind
from plans.trial import Folder, Trial, TrialReport, TwinTable
from sandbox import conversation
from sandbox.contract import Boxes, Cause, Ending
from sandbox.conversation import Failure
from sandbox.images import Image

KEY = "c0ffee" + "5a" * 29
CANARY = "canary-8c21"
MAY = Outputs(8)
LIMITS = {
    "memory_mb": 512, "temp_mb": 64, "spill_mb": 0, "output_mb": 8, "cpu_s": 40, "wall_s": 240, "processes": 24,
    "files": 64, "cpus": 1,
}  # fmt: skip

WORK = """
import os, sys
sys.path.append("/box")
from inside import alone, python
from inside.session import BoxFailure, Session
from plans import frames
from plans.box import Entry
from plans.key import BoxKeys
from plans.plan import Plan
from plans.trial import Folder
start = frames.read(sys.stdin.buffer)["start"]
os.dup2(1, 20)  # a file that is left open by mistake, and inherited
if start["weak"]:
    alone.parting = lambda: "unsafe"
else:
    python.warm(None)
os.mkdir("/tmp/data")
with open("/tmp/data/tax.income.arrows", "w") as file:
    file.write(start["data"])
plan, keys = Plan.read(start["plan"]), BoxKeys({}, {"output.bin": start["key"]}, "")
try:
    python.work(Session(plan, Entry.PYTHON, 1, {}, keys), Folder.read(start["folder"]))
    last = {"report": {}}
except BoxFailure as failure:
    last = {"failure": {"code": failure.code, "facts": dict(failure.facts)}}
frames.write(sys.stdout.buffer, last)
os._exit(0)
"""
"""A stage with key and data, without the keeper that would have sent them. `weak` leaves the runner's own walls out."""


@dataclass(frozen=True)
class Worked:
    """What came of a program that had data: the last word, what was left in clear and sealed, and the ending."""

    last: dict[str, Any]
    files: dict[str, bytes]
    sealed: dict[str, bytes]
    ending: Ending

    @property
    def log(self) -> str:
        assert "log.txt" in self.files, (self.last, self.ending)
        return self.files["log.txt"].decode()


class Stand:
    """Runs programs in boxes."""

    def __init__(self, boxes: Boxes, image: Image, tier: Tier = Tier.T1) -> None:
        self.boxes, self.image, self.tier = boxes, image, tier

    def trial(self, code: str | dict[str, str], *tables: TwinTable, **limits: Any) -> TrialReport:
        """Run a trial to its report."""
        found = asyncio.run(self.tried(code, *tables, **limits))
        assert not isinstance(found, Failure), found
        return TrialReport.read(found)

    async def tried(
        self, code: str | dict[str, str], *tables: TwinTable, **limits: Any
    ) -> dict[str, Any] | Failure:
        plan = self.plan(folder(code), tables, Outputs(0), **limits)
        box = self.boxes.create(plan.stages[0], {})
        try:
            pipes = await box.start()
            start = {"plan": plan.plain(), "stage": Entry.PYTHON.value, "attempt": 1, "inputs": []}
            await conversation.begin(pipes, start)
            return await conversation.outcome(pipes, Entry.PYTHON, trial=True)
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()

    def work(
        self, code: str | dict[str, str], *, weak: bool = False, may: Outputs = MAY, **limits: Any
    ) -> Worked:
        """Run a program with data and a key; `weak` without the walls between it and its runner."""
        return asyncio.run(self.worked(replace(folder(code), outputs=may), weak, **limits))

    async def worked(self, what: Folder, weak: bool, **limits: Any) -> Worked:
        plan = self.plan(what, (), Outputs(8) if weak else Outputs(1, ("output.bin",)), **limits)
        box = self.boxes.unsafe_create(plan.stages[0], {}, ("-c", WORK))  # type: ignore[attr-defined]
        try:
            pipes = await box.start()
            start = {"plan": plan.plain(), "folder": what.plain(), "key": KEY, "data": CANARY, "weak": weak}
            pipes.to_box.write(frames.pack({"start": start}))
            last = await frames_async.read_async(pipes.from_box)
            ending = await box.wait()
            if not weak and "report" in (last or {}):
                with tempfile.TemporaryDirectory() as collected:
                    await box.collect(Path(collected))
            sealed = {path.name: path.read_bytes() for path in Path(box.folder, "out").iterdir()}
            return Worked(last or {}, opened(plan, sealed), sealed, ending)
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()

    def plan(self, what: Folder, tables: tuple[TwinTable, ...], outputs: Outputs, **limits: Any) -> Plan:
        sizes = Limits(**{**LIMITS, **limits})
        spec = BoxSpec(Entry.PYTHON, self.image.digest, (), sizes, self.tier, outputs=outputs)
        material = Trial(what, tables, 7).canonical().decode()
        return Plan(PlanKind.TRIAL, "nm/tax", None, "", None, None, material, (spec,), "0" * 32, 0)


def folder(code: str | dict[str, str], *arguments: str) -> Folder:
    """A member's folder with these sources; a text alone is its `main.py`."""
    sources = {"main.py": code} if isinstance(code, str) else code
    files = {path: base64.b64encode(text.encode()).decode() for path, text in sources.items()}
    return Folder(files, "main.py", arguments)


def opened(plan: Plan, sealed: dict[str, bytes]) -> dict[str, bytes]:
    """What the inspecting box finds in a sealed output."""
    if "output.bin" not in sealed:
        return {}
    clear = sealing.decrypt(bytes.fromhex(KEY), sealed["output.bin"], handover(plan, 1, "output.bin"))
    return unpack(unpadded(clear))
