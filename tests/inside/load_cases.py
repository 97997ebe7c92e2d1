"""The loader in this process: a task's plan over small encrypted relations, and the far ends of its links."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from inside import load, streams
from inside.session import BoxFailure, Link, Session
from plans.box import BoxSpec, Entry, Input, Outputs
from plans.box import Link as PlannedLink
from plans.decision import Tier
from plans.errors import DarkroomError, EvidenceBroken
from plans.key import BoxKeys
from plans.plan import Plan, PlanKind, Program, Relation, work_stages
from plans.reading import Level
from plans.request import RequestKind
from plans.tasks import ComponentTask, PythonTask
from plans.trial import Folder
from tests.inside.sql_cases import LIMITS, Job
from tests.plans import examples

SIGNS = "5e" * 32
Task = PythonTask | ComponentTask


def link_key(name: str, attempt: int = 1) -> str:
    """The key of a link as a keeper would derive it: another for every name and attempt."""
    return hashlib.sha256(f"{name}/{attempt}".encode()).hexdigest()


def sha256(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def work_plan(
    task: Task, relations: tuple[Relation, ...], files: dict[str, Path], folder: Folder = examples.FOLDER
) -> Plan:
    """The plan of a task over these relations, with links as `policies.derive` draws them."""
    program = Program(relations, Level.WORK, (), "", (), (), None)
    kind = RequestKind.PYTHON if isinstance(task, PythonTask) else RequestKind.COMPONENT
    request = replace(examples.REQUEST, kind=kind, statement=task.canonical().decode())
    inputs = tuple(Input(name, sha256(path)) for name, path in sorted(files.items()))
    stages = work_stages(task)
    peers = {
        Entry.LOAD: stages[1],
        stages[1]: Entry.LOAD,
        Entry.RELOAD: Entry.INSPECT,
        Entry.INSPECT: Entry.RELOAD,
    }
    boxes = []
    for entry in stages:
        name, peer = "rows" if entry in stages[:2] else "check", peers.get(entry)
        linked = peer in stages
        links = tuple(
            PlannedLink(f"{name}-{place}", f"stage:{peer}") for place in range(len(relations) * linked)
        )
        reads = inputs if entry in (Entry.LOAD, Entry.RELOAD) else ()
        boxes.append(
            BoxSpec(
                entry, examples.digest("d"), reads, LIMITS, Tier.T1, outputs=Outputs(4), links=links
            )
        )  # fmt: skip
    material = folder.canonical().decode() if kind is RequestKind.PYTHON else ""
    return Plan(
        PlanKind(kind.value), "nm/tax", request, "4" * 128, examples.PLAN.decision, program, material, tuple(boxes),
        examples.NONCE, 0,
    )  # fmt: skip


@dataclass
class Loading:
    """One run of a loader; `wire` collects what crosses each link, as a launcher could."""

    job: Job
    plan: Plan
    stage: Entry = Entry.LOAD
    signs: str = SIGNS
    wire: dict[str, bytearray] = field(default_factory=dict)
    failed: list[BaseException] = field(default_factory=list)

    def go(self) -> list[pa.Table]:
        """Run it, and return what the other end has, by relation; raises what the loader raises."""
        ends, far = {}, {}
        for link in self.plan.stage(self.stage).links:
            ours, theirs = socket.socketpair()
            ends[link.name], far[link.name] = Link(ours.detach()), theirs
        files = {name: self.job.folder / "in" / name for name in self.job.keys}
        pseudonyms = {relation.name: "6a" * 32 for relation in self.plan.program.relations}  # type: ignore[union-attr]
        keys = BoxKeys(self.job.keys, {}, "", pseudonyms, {name: link_key(name) for name in ends}, self.signs)
        session = Session(
            self.plan, self.stage, 1, files, keys, self.job.folder / "out", self.job.folder / "temp",
            self.job.folder / "temp", links=ends,
        )  # fmt: skip
        loader = threading.Thread(target=self._run, args=(session, tuple(far.values())))
        loader.start()
        found = []
        try:
            for name, stream in far.items():
                self.wire[name] = bytearray()
                carried: Any = _Recorded(stream, self.wire[name])
                reader = streams.receive(carried, link_key(name), name)
                with contextlib.suppress(EvidenceBroken), reader:  # what the loader raised says why
                    found.append(pa.ipc.open_stream(reader).read_all())
                stream.close()
        finally:
            for stream in far.values():
                stream.close()
            loader.join()
        if self.failed:
            raise self.failed[0]
        assert len(found) == len(far)
        return found

    def _run(self, session: Session, far: tuple[socket.socket, ...]) -> None:
        try:
            assert load.run(session) == {}
        except (BoxFailure, DarkroomError, AssertionError) as problem:
            self.failed.append(problem)
            for (
                stream
            ) in far:  # a loader that fails may never have opened its ends, which would keep readers waiting
                with contextlib.suppress(OSError):
                    stream.shutdown(socket.SHUT_RDWR)


class _Recorded:
    """A socket whose incoming bytes are kept."""

    def __init__(self, stream: socket.socket, wire: bytearray) -> None:
        self._stream, self._wire = stream, wire

    def recv_into(self, buffer: Any) -> int:
        got = self._stream.recv_into(buffer)
        self._wire += buffer[:got]
        return got
