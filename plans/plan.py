"""The plan: what will be done, as frozen, canonical data. Nothing touches data without one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.box import BoxSpec, Entry
from plans.constraints import Mask
from plans.decision import Decision
from plans.errors import Malformed
from plans.private import Private
from plans.reading import Cells, Level, Order, Output, require_answer
from plans.record import Record
from plans.request import Request
from plans.tasks import PythonTask, Task, leaves_model, task_of


class PlanKind(StrEnum):
    """Kinds of plans."""

    SQL = "sql"
    PYTHON = "python"
    COMPONENT = "component"
    TWIN = "twin"
    INGEST = "ingest"
    CHECK = "check"
    TRIAL = "trial"
    JOINT = "joint"
    LAB = "lab"

    @property
    def keyless(self) -> bool:
        """Whether its boxes get no key and no file: there is no data in such a plan."""
        return self in (PlanKind.CHECK, PlanKind.TRIAL, PlanKind.LAB)

    @property
    def asked(self) -> bool:
        """Whether a member asks for it, so that it has a request, a decision and a program."""
        return self in (PlanKind.SQL, PlanKind.PYTHON, PlanKind.COMPONENT)


@dataclass(frozen=True, slots=True)
class Relation(Record):
    """A relation as the box materialises it before the member's statement: filtered, and with the used columns only.

    `row_filter` is a predicate over the relation's own columns that the *owner* wrote in the policy bundle;
    empty is none. `masks` stand in for values of the columns that they name. A relation with either is
    computed completely before the member's statement runs, so that no expression of the member ever sees a
    hidden row or value. One that is not `about_persons` has no person token, and its file neither.
    """

    name: str
    manifest: str
    file: str
    columns: tuple[str, ...]
    row_filter: str
    masks: tuple[Mask, ...] = ()
    about_persons: bool = True

    def check(self) -> None:
        names.require("digest", self.manifest, "relation.manifest")
        names.require("digest", self.file, "relation.file")
        masked = [mask.column for mask in self.masks]
        if len(set(masked)) != len(masked) or not set(masked) <= set(self.columns):
            raise Malformed("a mask is about a column of the relation, and each has one", "relation.masks")


@dataclass(frozen=True, slots=True)
class Program(Record):
    """What will really run: the relations, the tables over them, and how they become the answer (`plans.reading`).

    `private` is there in the mode `private` alone: then the box that judges gets bounded sums, and noises them.
    """

    KIND: ClassVar[str] = "program"

    relations: tuple[Relation, ...]
    level: Level
    tables: tuple[Cells, ...]
    finish: str
    outputs: tuple[Output, ...]
    order: tuple[Order, ...]
    limit: int | None
    private: Private | None = None

    def check(self) -> None:
        require_answer(self)
        if self.private is not None and (
            len(self.tables) != 1
            or len(self.private.figures) != len(self.outputs)
            or self.level is not Level.CELLS
            or self.finish
        ):
            raise Malformed("a private answer is one table of figures", "program.private")

    @property
    def stages(self) -> tuple[Entry, ...]:
        """The boxes that the program runs through, in their order."""
        return FINISHED_STAGES if self.finish else DIRECT_STAGES


DIRECT_STAGES = (Entry.QUERY, Entry.PARSE, Entry.JUDGE)
FINISHED_STAGES = (Entry.QUERY, Entry.PARSE, Entry.PROTECT, Entry.FINISH, Entry.JUDGE)
"""A finish computes with protected tables; what it made is judged once more, and those bytes leave."""


def work_stages(task: Task) -> tuple[Entry, ...]:
    """Return the boxes that a task runs through; `load` and the job, `reload` and `inspect` run side by side."""
    job = Entry.PYTHON if isinstance(task, PythonTask) else Entry.COMPONENT
    checked = (Entry.RELOAD,) if leaves_model(task) else ()
    return (Entry.LOAD, job, Entry.REENCODE, *checked, Entry.INSPECT)


@dataclass(frozen=True, slots=True)
class Plan(Record):
    """A plan. Which members are present depends on its kind:

    * `sql`: request, its signature, decision, program, and the stages that the program names;
    * `python` and `component`: the same, with a program of the level `work`; a `python` plan's `material` is the
      folder that the task names by hash (`plans.trial.Folder`);
    * `ingest`, `check`, `trial` and `twin`: `material`, the canonical description of what is ingested, read, tried
      (`plans.trial`) or imitated (`plans.twins`), and one stage;
    * `joint`: the joint plan (`plans.joint`) as `material`, and the boxes of one party to it, `domain`;
    * `lab`: whose it is and what for (`plans.labs`) as `material`, and one stage, with links to services.

    `domain` owns the data (for `check`, `trial` and `lab`: runs the box). `request_signature` is hex, Ed25519
    over the request.
    """

    KIND: ClassVar[str] = "plan"

    kind: PlanKind
    domain: str
    request: Request | None
    request_signature: str
    decision: Decision | None
    program: Program | None
    material: str
    stages: tuple[BoxSpec, ...]
    nonce: str
    made_at: int

    def check(self) -> None:
        names.require("domain", self.domain, "plan.domain")
        names.require("nonce", self.nonce, "plan.nonce")
        if self.request_signature:
            names.require("signature", self.request_signature, "plan.request_signature")
        entries = tuple(stage.entry for stage in self.stages)
        asked = (self.request, self.decision, self.program)
        if self.kind.asked and None in asked:
            raise Malformed(f"a {self.kind} plan has a request, a decision and a program", "plan")
        if not self.kind.asked and any(asked):
            raise Malformed(f"a plan of the kind {self.kind} has material, and nothing else", "plan")
        if bool(self.material) != (self.kind not in (PlanKind.SQL, PlanKind.COMPONENT)):
            raise Malformed(f"a {self.kind} plan has no material, or misses it", "plan.material")
        if self.request is not None and self.request.kind.value != self.kind.value:
            raise Malformed(f"a {self.kind} plan answers a request of another kind", "plan.request")
        expected = self._expected_stages()
        if self.kind is PlanKind.JOINT and entries == (Entry.PARTY,):
            expected = entries  # a party that owns nothing has nothing to extract
        if entries != expected:
            raise Malformed(f"this plan has the stages {', '.join(expected)}", "plan.stages")
        if self.program is not None and (self.program.level is Level.WORK) != (self.kind is not PlanKind.SQL):
            raise Malformed(
                "a statement has a program of its own level, and a task has the level work", "plan"
            )
        if self.kind.keyless and any(stage.inputs or _leads_out(stage) for stage in self.stages):
            raise Malformed(f"a plan of the kind {self.kind} has no input and no link", "plan.stages")

    def _expected_stages(self) -> tuple[Entry, ...]:
        if self.request is not None and self.kind is not PlanKind.SQL:
            return work_stages(task_of(self.request))
        return _STAGES.get(self.kind) or (self.program.stages if self.program else DIRECT_STAGES)

    @property
    def batches(self) -> tuple[tuple[Entry, ...], ...]:
        """The stages in the order in which they run; those of one batch are linked and run side by side."""
        found: list[list[Entry]] = []
        for spec in self.stages:
            peers = {link.peer.partition(":")[2] for link in spec.links}
            if found and peers & set(found[-1]):
                found[-1].append(spec.entry)
            else:
                found.append([spec.entry])
        return tuple(tuple(batch) for batch in found)

    @property
    def reads_data(self) -> Entry:
        """The stage that opens the owner's files first; whoever runs it uses the plan up."""
        return self.stages[0].entry

    @property
    def ends(self) -> Entry:
        """The stage that gives the verdict."""
        return self.stages[-1].entry

    def stage(self, entry: Entry) -> BoxSpec:
        """Return the box of one stage.

        Raises:
            Malformed: the plan has no such stage.
        """
        for spec in self.stages:
            if spec.entry is entry:
                return spec
        raise Malformed(f"the plan has no stage {entry}", "plan.stages")


def _leads_out(stage: BoxSpec) -> bool:
    """Whether a box has a link to another box; those of labs lead to services (`plans.box` checks it)."""
    return any(not link.service for link in stage.links)


_STAGES: dict[PlanKind, tuple[Entry, ...]] = {
    PlanKind.INGEST: (Entry.INGEST,),
    PlanKind.CHECK: (Entry.CHECK,),
    PlanKind.TRIAL: (Entry.PYTHON,),
    PlanKind.LAB: (Entry.LAB,),
    PlanKind.TWIN: (Entry.TWIN,),
    PlanKind.JOINT: (Entry.EXTRACT, Entry.PARTY),
}
