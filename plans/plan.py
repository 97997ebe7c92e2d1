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
from plans.reading import Cells, Level, Order, Output, require_answer
from plans.record import Record
from plans.request import Request


class PlanKind(StrEnum):
    """Kinds of plans."""

    SQL = "sql"
    INGEST = "ingest"
    CHECK = "check"
    TRIAL = "trial"

    @property
    def keyless(self) -> bool:
        """Whether its boxes get no key and no file: there is no data in such a plan."""
        return self in (PlanKind.CHECK, PlanKind.TRIAL)


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
    """What will really run: the relations, the tables over them, and how they become the answer (`plans.reading`)."""

    KIND: ClassVar[str] = "program"

    relations: tuple[Relation, ...]
    level: Level
    tables: tuple[Cells, ...]
    finish: str
    outputs: tuple[Output, ...]
    order: tuple[Order, ...]
    limit: int | None

    def check(self) -> None:
        require_answer(self)

    @property
    def stages(self) -> tuple[Entry, ...]:
        """The boxes that the program runs through, in their order."""
        return FINISHED_STAGES if self.finish else DIRECT_STAGES


DIRECT_STAGES = (Entry.QUERY, Entry.PARSE, Entry.JUDGE)
FINISHED_STAGES = (Entry.QUERY, Entry.PARSE, Entry.PROTECT, Entry.FINISH, Entry.JUDGE)
"""A finish computes with protected tables; what it made is judged once more, and those bytes leave."""


@dataclass(frozen=True, slots=True)
class Plan(Record):
    """A plan. Which members are present depends on its kind:

    * `sql`: request, its signature, decision, program, and the stages that the program names;
    * `ingest`, `check` and `trial`: `material`, the canonical description of what is ingested, read or tried
      (`plans.trial`), and one stage.

    `domain` owns the data (for `check` and `trial`: runs the box). `request_signature` is hex, Ed25519
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
        expected = _STAGES.get(self.kind) or (self.program.stages if self.program else DIRECT_STAGES)
        if entries != expected:
            raise Malformed(f"this plan has the stages {', '.join(expected)}", "plan.stages")
        asked = (self.request, self.decision, self.program)
        if self.kind is PlanKind.SQL and (None in asked or self.material):
            raise Malformed("a sql plan has a request, a decision and a program, and no material", "plan")
        if self.kind is not PlanKind.SQL and (any(asked) or not self.material):
            raise Malformed(f"a plan of the kind {self.kind} has material, and nothing else", "plan")
        if self.kind.keyless and any(stage.inputs or stage.links for stage in self.stages):
            raise Malformed(f"a plan of the kind {self.kind} has no input and no link", "plan.stages")

    def stage(self, entry: Entry) -> BoxSpec:
        """Return the box of one stage.

        Raises:
            Malformed: the plan has no such stage.
        """
        for spec in self.stages:
            if spec.entry is entry:
                return spec
        raise Malformed(f"the plan has no stage {entry}", "plan.stages")


_STAGES: dict[PlanKind, tuple[Entry, ...]] = {
    PlanKind.INGEST: (Entry.INGEST,),
    PlanKind.CHECK: (Entry.CHECK,),
    PlanKind.TRIAL: (Entry.PYTHON,),
}
