"""The plan: what will be done, as frozen, canonical data. Nothing touches data without one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.box import BoxSpec, Entry
from plans.decision import Decision
from plans.errors import Malformed
from plans.reading import Order, Output, require_limit, require_positions
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
    empty is none.
    """

    name: str
    manifest: str
    file: str
    columns: tuple[str, ...]
    row_filter: str

    def check(self) -> None:
        names.require("digest", self.manifest, "relation.manifest")
        names.require("digest", self.file, "relation.file")


@dataclass(frozen=True, slots=True)
class Program(Record):
    """What will really run: the relations, the counted statement, and how the airlock reads its result."""

    KIND: ClassVar[str] = "program"

    relations: tuple[Relation, ...]
    counted: str
    outputs: tuple[Output, ...]
    hidden: int
    order: tuple[Order, ...]
    limit: int | None

    def check(self) -> None:
        if not self.outputs or self.hidden < 1:
            raise Malformed("a program needs an output and a number of persons", "program")
        require_positions(self.outputs, self.hidden, self.order)
        require_limit(self.limit)


@dataclass(frozen=True, slots=True)
class Plan(Record):
    """A plan. Which members are present depends on its kind:

    * `sql`: request, its signature, decision, program, and the stages query, parse, judge;
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
        if entries != _STAGES[self.kind]:
            raise Malformed(
                f"a plan of the kind {self.kind} has the stages {', '.join(_STAGES[self.kind])}",
                "plan.stages",
            )
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
    PlanKind.SQL: (Entry.QUERY, Entry.PARSE, Entry.JUDGE),
    PlanKind.INGEST: (Entry.INGEST,),
    PlanKind.CHECK: (Entry.CHECK,),
    PlanKind.TRIAL: (Entry.PYTHON,),
}
