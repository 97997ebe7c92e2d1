"""A program through all of its boxes in this process, each with the keys that a keeper would give it and no other."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inside import finish, judge, parse, protect, query
from inside.session import Session
from keys import sealing
from plans.box import BoxSpec, Entry, Input, Outputs
from plans.decision import Obligations, Tier
from plans.key import BoxKeys
from plans.plan import Plan, Program, Relation
from plans.release import RELEASE_INFO
from plans.released import Released
from plans.verdict import Verdict
from policies import api as policies
from tests.inside.sql_cases import LIMITS, Job
from tests.plans import examples

PROGRAMS: dict[Entry, Any] = {
    Entry.QUERY: query,
    Entry.PARSE: parse,
    Entry.PROTECT: protect,
    Entry.FINISH: finish,
    Entry.JUDGE: judge,
}
WRITES = {
    Entry.QUERY: policies.RESULT,
    Entry.PARSE: policies.TABLE,
    Entry.PROTECT: policies.PROTECTED,
    Entry.FINISH: policies.FINISHED,
    Entry.JUDGE: policies.SEALED,
}
OPEN = Obligations(
    minimum_group=1, rounding=1, largest_result=1_000_000, tier=Tier.T1, checks=examples.NO_DOMINANCE
)
PSEUDONYMS = "5a" * 32


@dataclass(frozen=True)
class Went:
    """What came of a program: the verdict, what its recipient opens, and what each stage's box was given."""

    verdict: Verdict
    released: Released | None
    sessions: dict[Entry, Session] = field(repr=False)

    @property
    def rows(self) -> list[list[str | None]]:
        """The released values as text; suppressed ones are none."""
        assert self.released is not None, self.verdict.reasons
        return [[cell.v for cell in row] for row in self.released.rows]

    @property
    def notes(self) -> tuple[str, ...]:
        """The rules that the notes name."""
        assert self.released is not None
        return tuple(note.rule for note in self.released.notes)


@dataclass
class Way:
    """The boxes of one plan, run one after the other by `go` or one by one by `stage`."""

    job: Job
    program: Program
    obligations: Obligations = OPEN
    recipient: sealing.OpeningKey = field(default_factory=sealing.OpeningKey.fresh)
    keys: dict[str, str] = field(default_factory=dict)
    sessions: dict[Entry, Session] = field(default_factory=dict)
    reports: dict[Entry, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.job.folder / secrets.token_hex(4)
        self.plan = self._plan()

    def _plan(self) -> Plan:
        plan = examples.PLAN
        assert plan.request and plan.decision
        inputs = tuple(Input(name, _hash(path)) for name, path in sorted(self._files().items()))
        stages = []
        for entry in self.program.stages:
            stages.append(
                BoxSpec(
                    entry, examples.digest("d"), inputs, LIMITS, Tier.T1, outputs=Outputs(1, (WRITES[entry],))
                )
            )
            inputs = (Input(WRITES[entry], ""),)
        return replace(
            plan,
            request=replace(plan.request, recipient=self.recipient.public),
            decision=replace(plan.decision, obligations=self.obligations),
            program=self.program,
            stages=tuple(stages),
        )

    def _files(self) -> dict[str, Path]:
        return {name: self.job.folder / "in" / name for name in self.job.keys}

    def stage(self, entry: Entry) -> Session:
        """Run one stage over what the one before left, and return its session."""
        spec, out, temp = self.plan.stage(entry), self.folder / entry, self.folder / f"{entry}-temp"
        for folder in (out, temp):
            folder.mkdir(parents=True)
        if entry is Entry.QUERY:
            pseudonyms = {relation.name: PSEUDONYMS for relation in self.program.relations if relation.masks}
            paths, keys = self._files(), BoxKeys(self.job.keys, self._keys(WRITES[entry]), "", pseudonyms)
        else:
            before = self.program.stages[self.program.stages.index(entry) - 1]
            (name,) = (item.name for item in spec.inputs)
            writes = self._keys(policies.RECORD if entry is Entry.JUDGE else WRITES[entry])
            paths, keys = {name: self.folder / before / name}, BoxKeys(self._keys(name), writes, "")
        session = Session(self.plan, entry, 1, paths, keys, out, temp, temp)
        self.sessions[entry] = session
        self.reports[entry] = PROGRAMS[entry].run(session)
        return session

    def _keys(self, name: str) -> dict[str, str]:
        return {name: self.keys.setdefault(name, secrets.token_hex(32))}

    def go(self) -> Went:
        """Run all stages."""
        went = self.go_on()
        assert all(self.reports[entry] == {} for entry in self.program.stages if entry is not Entry.JUDGE)
        return went

    def go_on(self) -> Went:
        """Run the stages that are left."""
        for entry in self.program.stages[len(self.sessions) :]:
            self.stage(entry)
        return self.went()

    def went(self) -> Went:
        """What the judge box left."""
        verdict = Verdict.read(self.reports[Entry.JUDGE]["verdict"])
        path = self.folder / Entry.JUDGE / policies.SEALED
        sealed = path.read_bytes() if path.exists() else b""
        opened = self.recipient.open(sealed, RELEASE_INFO, self.plan.digest.encode()) if sealed else b""
        return Went(verdict, Released.decode(opened) if opened else None, self.sessions)


def relation(job: Job, name: str, *columns: str, **changes: Any) -> Relation:
    """A relation of a job, with these columns."""
    path = job.folder / "in" / f"{name}.attributes"
    return replace(Relation(name, examples.digest("b"), _hash(path), tuple(sorted(columns)), ""), **changes)


def _hash(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
