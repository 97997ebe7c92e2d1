"""What a job left, taken through the two boxes' programs, as recipient, reviewer and owner see the end of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inside import inspect, leavings, reencode
from inside.session import Session, handover, padded, unpadded
from keys import sealing
from plans.artifacts import Artifact, ReleasedSet
from plans.box import Entry
from plans.checks import Checks
from plans.errors import DarkroomError
from plans.inspection import Inspection
from plans.key import BoxKeys
from plans.plan import Plan, PlanKind, Program, work_stages
from plans.reading import Level
from plans.release import RELEASE_INFO
from plans.request import RequestKind
from plans.tasks import ComponentTask, PythonTask, Task
from plans.verdict import Verdict
from tests.plans import examples

KEYS = {name: f"{place:02x}" * 32 for place, name in enumerate(
    ("output.bin", "artifacts.bin", "record.bin", "held.bin", "shown.bin"), 1
)}  # fmt: skip
PROGRAM = Program((examples.RELATION,), Level.WORK, (), "", (), (), None)


@dataclass(frozen=True)
class Left:
    """All that leaves the two boxes for what one job left."""

    verdict: Verdict | None
    released: ReleasedSet | None
    held: ReleasedSet | None
    shown: bytes
    record: Inspection | None
    files: Mapping[str, bytes]
    error: str

    def content(self, name: str) -> bytes:
        """The released bytes of one output."""
        assert self.released is not None
        return base64.b64decode(next(each.content for each in self.released.artifacts if each.name == name))

    def to_asker(self) -> bytes:
        """Everything that whoever asked can read, now or after a yes, and everything that a carrier sees in clear."""
        seen = [
            self.error.encode(),
            self.verdict.canonical() if self.verdict else b"",
            *map(str.encode, self.files),
        ]
        for each in (self.released, self.held):
            if each is not None:
                seen += [each.canonical(), *(base64.b64decode(part.content) for part in each.artifacts)]
        return b"\n".join(seen)


def plan_of(task: Task, recipient: sealing.OpeningKey, checks: Checks | None = None) -> Plan:
    """A plan of a task, with the owner's numbers."""
    python = isinstance(task, PythonTask)
    request = replace(
        examples.REQUEST,
        recipient=recipient.public,
        statement=task.canonical().decode(),
        kind=RequestKind.PYTHON if python else RequestKind.COMPONENT,
    )
    obligations = replace(examples.OBLIGATIONS, checks=checks or Checks())
    return replace(
        examples.PLAN,
        kind=PlanKind.PYTHON if python else PlanKind.COMPONENT,
        request=request,
        decision=replace(examples.DECISION, obligations=obligations),
        program=PROGRAM,
        material=examples.FOLDER.canonical().decode() if python else "",
        stages=tuple(examples.box(entry) for entry in work_stages(task)),
    )


def python_task(*artifacts: Artifact) -> PythonTask:
    """A task of a member's own code with these outputs."""
    return replace(examples.PYTHON_TASK, artifacts=artifacts)


def component_task(*artifacts: Artifact) -> ComponentTask:
    """A task of the library with these outputs."""
    return replace(examples.COMPONENT_TASK, artifacts=artifacts)


def boxed(folder: Path, plan: Plan, entry: Entry, sealed: Mapping[str, bytes], **keys: Any) -> Session:
    """A session of one of the two boxes, with its sealed inputs."""
    out = folder / entry.value
    out.mkdir(parents=True)
    for name, content in sealed.items():
        (folder / name).write_bytes(content)
    paths = {name: folder / name for name in sealed}
    return Session(plan, entry, 1, paths, BoxKeys(KEYS, KEYS, "", **keys), out, folder)


def seal(plan: Plan, name: str, content: bytes) -> bytes:
    """Bytes as the stage before hands them over."""
    return sealing.encrypt(bytes.fromhex(KEYS[name]), padded(content), handover(plan, 1, name))


def opened(plan: Plan, name: str, sealed: bytes) -> bytes:
    """What the owner's keeper reads of a file under a key that it can make again."""
    return unpadded(sealing.decrypt(bytes.fromhex(KEYS[name]), sealed, handover(plan, 1, name)))


def inspected(
    folder: Path,
    files: Mapping[str, bytes],
    task: Task,
    checks: Checks | None = None,
    withheld: Sequence[tuple[int, ...]] = (),
) -> Left:
    """Take files (as they are packed: `files/…`, `evidence/…`, `log.txt`) through both boxes."""
    recipient = sealing.OpeningKey.fresh()
    plan = plan_of(task, recipient, checks)
    first = boxed(
        folder / "first", plan, Entry.REENCODE, {"output.bin": seal(plan, "output.bin", leavings.pack(files))}
    )
    try:
        reencode.run(first)
        sealed = (first.out / "artifacts.bin").read_bytes()
        second = boxed(
            folder / "second", plan, Entry.INSPECT, {"artifacts.bin": sealed}, withheld=tuple(withheld)
        )
        verdict = Verdict.read(inspect.run(second)["verdict"])
    except DarkroomError as problem:
        return Left(None, None, None, b"", None, {}, str(problem))
    left = {path.name: path.read_bytes() for path in second.out.iterdir()}
    return Left(verdict, *_read(plan, left, recipient), left, "")


def _read(plan: Plan, left: Mapping[str, bytes], recipient: sealing.OpeningKey) -> tuple[Any, ...]:
    def unsealed(content: bytes) -> ReleasedSet:
        return ReleasedSet.decode(recipient.open(content, RELEASE_INFO, plan.digest.encode()))

    released = unsealed(left["release.bin"]) if "release.bin" in left else None
    held = unsealed(opened(plan, "held.bin", left["held.bin"])) if "held.bin" in left else None
    shown = opened(plan, "shown.bin", left["shown.bin"]) if "shown.bin" in left else b""
    return released, held, shown, Inspection.decode(opened(plan, "record.bin", left["record.bin"]))
