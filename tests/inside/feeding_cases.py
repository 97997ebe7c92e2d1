"""A Python job in a real box: this test is launcher, keeper and loader, and can be each of them badly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from inside import streams
from inside.leavings import unpack
from inside.session import handover, unpadded
from keys import sealing
from plans.artifacts import Artifact, Form
from plans.box import Entry, Limits, Outputs
from plans.key import BoxKeys
from plans.plan import Plan, Relation
from plans.release import KEYS_INFO
from plans.statements import BoxStatement
from plans.tasks import Need, PythonTask
from plans.trial import Folder
from sandbox import conversation
from sandbox.contract import Boxes, Cause, Ending
from sandbox.conversation import Failure
from sandbox.images import Image
from tests.inside.load_cases import link_key, work_plan
from tests.inside.python_cases import KEY, LIMITS, folder
from tests.plans import examples

SCORE = Artifact("score.json", Form.METRICS)
CANARY = "canary-6610"
INCOMES = pa.table({"person": pa.array([1, 2, 3], pa.uint64()), "income": [10.5, 20.5, 30.5]})
VISITS = pa.table({"person": pa.array([1, 1], pa.uint64()), "kind": [CANARY, CANARY]})
TABLES = {"tax.income": INCOMES, "med.visit": VISITS}
Load = Callable[[socket.socket, str, pa.Table], None]
"""What stands at the other end of a link: it is given the stream, the link's name and the table to send."""


def parts(table: pa.Table, batches: int = 1) -> list[bytes]:
    """A table as the bytes of an Arrow stream, in several batches."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for _ in range(batches):
            writer.write_table(table)
    return [sink.getvalue().to_pybytes()]


def load(stream: socket.socket, name: str, table: pa.Table) -> None:
    """An honest loader."""
    streams.send(stream, link_key(name), name, parts(table))


@dataclass(frozen=True)
class Done:
    """How a job ended: its failure or none, what it left in clear, and what lay in the box's output folder."""

    failure: Failure | None
    files: dict[str, bytes] = field(default_factory=dict)
    sealed: dict[str, bytes] = field(default_factory=dict)
    ending: Ending | None = None

    @property
    def log(self) -> str:
        assert self.failure is None, self.failure
        return self.files["log.txt"].decode()

    @property
    def code(self) -> str:
        return self.failure.code if self.failure else ""


@dataclass(frozen=True)
class JobStand:
    """Runs jobs of members."""

    boxes: Boxes
    image: Image

    def job(
        self,
        code: str | dict[str, str],
        loads: Load | dict[str, Load] = load,
        artifacts: tuple[Artifact, ...] = (SCORE,),
        arguments: tuple[str, ...] = (),
        **limits: Any,
    ) -> Done:
        """Run a folder on `TABLES`, each brought by its loader."""
        what = folder(code, *arguments)
        plan = self.plan(what, artifacts, **limits)
        named = loads if isinstance(loads, dict) else dict.fromkeys(TABLES, loads)
        return asyncio.run(self._job(plan, named))

    def plan(self, what: Folder, artifacts: tuple[Artifact, ...] = (SCORE,), **limits: Any) -> Plan:
        needs = (Need("tax.income", ("income",)), Need("med.visit", ("kind",)))
        task = PythonTask(self.image.digest, what.digest, what.main, what.arguments, needs, artifacts)
        relations = tuple(
            Relation(need.relation, examples.digest("b"), examples.digest("c"), need.columns, "")
            for need in needs
        )
        plan = work_plan(task, relations, {}, what)
        sizes = Limits(**{**LIMITS, **limits})
        stages = tuple(
            replace(spec, image=self.image.digest, limits=sizes, outputs=Outputs(1, ("output.bin",)))
            if spec.entry is Entry.PYTHON
            else spec
            for spec in plan.stages
        )
        return replace(plan, stages=stages)

    async def _job(self, plan: Plan, loads: dict[str, Load]) -> Done:
        spec = plan.stage(Entry.PYTHON)
        box: Any = self.boxes.create(spec, {})
        try:
            pipes = await box.start()
            start = {"plan": plan.plain(), "stage": Entry.PYTHON.value, "attempt": 1, "inputs": []}
            box_key = await conversation.begin(pipes, start)
            for link, (relation, table) in zip(spec.links, TABLES.items(), strict=True):
                stream = pipes.links[link.name].ours.dup()
                stream.setblocking(True)
                work = (loads[relation], stream, link.name, table)
                threading.Thread(target=_loaded, args=work, daemon=True).start()
            links = {link.name: link_key(link.name) for link in spec.links}
            keys = BoxKeys({}, {"output.bin": KEY}, "", links=links)
            statement = BoxStatement(
                plan.digest, Entry.PYTHON, 1, spec.digest, spec.image, box.tier, (), box_key, "node1", "0" * 32
            )  # fmt: skip
            sealed = sealing.seal(box_key, keys.canonical(), KEYS_INFO, statement.canonical())
            await conversation.give_keys(pipes, sealed.hex(), statement.plain())
            return await self._ended(plan, box, await conversation.outcome(pipes, Entry.PYTHON))
        finally:
            await box.kill(Cause.CANCELLED)
            await box.destroy()

    async def _ended(self, plan: Plan, box: Any, found: dict[str, Any] | Failure) -> Done:
        if isinstance(found, Failure):
            return Done(found)
        ending = await box.wait()
        with tempfile.TemporaryDirectory() as collected:
            await box.collect(Path(collected))
            sealed = {path.name: path.read_bytes() for path in Path(collected).iterdir()}
        clear = sealing.decrypt(bytes.fromhex(KEY), sealed["output.bin"], handover(plan, 1, "output.bin"))
        return Done(None, unpack(unpadded(clear)), sealed, ending)


def _loaded(loads: Load, stream: socket.socket, name: str, table: pa.Table) -> None:
    with stream, contextlib.suppress(OSError):
        loads(stream, name, table)
