"""The component box between a loader and the boxes that inspect: what it hands over, and what it does not say."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from components import api as components
from components.library import describe
from inside import component, inspect, leavings, load, reencode
from inside.session import BoxFailure, Link, Session
from keys import sealing
from plans import canonical, sets
from plans.artifacts import ReleasedSet
from plans.box import Entry
from plans.errors import EvidenceBroken
from plans.key import BoxKeys
from plans.plan import Plan
from plans.release import RELEASE_INFO
from plans.tasks import ComponentTask, Need
from tests.inside.load_cases import SIGNS, link_key, work_plan
from tests.inside.sql_cases import Job
from tests.inside.whole_way import relation
from tests.plans import examples

CANARY = "canary-of-components-7731"
PEOPLE: list[tuple[Any, ...]] = [
    (person, "东" if person % 2 else "西", 20 + person % 3, 1000.5 * person, "12.30", "1980-02-29", person % 3 == 0)
    for person in range(1, 201)
] + [(777, CANARY, 30, 5.0, "1.00", "1980-02-29", True)]  # fmt: skip
KEY = "7c" * 32
RECIPIENT = sealing.OpeningKey.fresh()


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(tmp_path_factory.mktemp("components"), {"tax.income": PEOPLE})


def task(name: str = "describe", needs: tuple[Need, ...] = (), **parameters: Any) -> ComponentTask:
    parameters = parameters or {"columns": ["income"], "by": "region"}
    found = components.find(name)
    values = components.checked(found, parameters)
    asked = needs or components.needs(found, values, ["tax.income"])
    return ComponentTask(examples.digest("a"), name, parameters, asked, components.artifacts(found, values))


@dataclass
class Way:
    """A component's boxes in this process, one after the other; loader and component side by side."""

    job: Job
    task: ComponentTask
    folder: Path
    plan: Plan = field(init=False)

    def __post_init__(self) -> None:
        files = {name: self.job.folder / "in" / name for name in self.job.keys}
        columns = sorted({column for need in self.task.needs for column in need.columns})
        plan = work_plan(self.task, (relation(self.job, "tax.income", *columns),), files)
        assert plan.request is not None
        self.plan = replace(plan, request=replace(plan.request, recipient=RECIPIENT.public))

    def session(self, stage: Entry, keys: BoxKeys, **changes: Any) -> Session:
        inputs = {name: self.folder / name for name in keys.inputs}
        return Session(self.plan, stage, 1, inputs, keys, self.folder, self.folder, self.folder, **changes)

    def keys(self, reads: tuple[str, ...], writes: tuple[str, ...], **changes: Any) -> BoxKeys:
        return BoxKeys(dict.fromkeys(reads, KEY), dict.fromkeys(writes, KEY), "", **changes)

    def work(self, cut: int | None = None) -> None:
        """Load and run the component; `cut` ends the link after so many bytes."""
        ours, theirs = socket.socketpair()
        linked = {"rows-0": link_key("rows-0")}
        whole = theirs.dup()  # by which the link ends even if the component never opened its end
        near, far = Link(ours.detach()), Link(theirs.detach())
        if cut is not None:
            near = self._cut(near, cut)
        files = {name: self.job.folder / "in" / name for name in self.job.keys}
        loading = Session(
            self.plan, Entry.LOAD, 1, files, BoxKeys(self.job.keys, {}, "", links=linked, signs=SIGNS),
            self.folder, self.folder, self.folder, links={"rows-0": near},
        )  # fmt: skip
        loader = threading.Thread(target=_quietly, args=(loading,))
        loader.start()
        keys = self.keys((), ("output.bin", "sets.bin"), links=linked)
        try:
            assert component.run(self.session(Entry.COMPONENT, keys, links={"rows-0": far})) == {}
        finally:
            with contextlib.suppress(OSError), whole:
                whole.shutdown(socket.SHUT_RDWR)
            loader.join()

    def _cut(self, near: Link, after: int) -> Link:
        """Return the end of a carrier that lets only the first bytes pass on to `near`."""
        entering, leaving = socket.socketpair()

        def carry() -> None:
            with leaving, near.open() as on:
                left = after
                while left and (part := leaving.recv(min(left, 65_536))):
                    on.sendall(part)
                    left -= len(part)

        threading.Thread(target=carry, daemon=True).start()
        return Link(entering.detach())

    def handed(self) -> dict[str, bytes]:
        return leavings.unpack(
            self.session(Entry.REENCODE, self.keys(("output.bin",), ())).read("output.bin")
        )

    def judged(self, **changes: Any) -> tuple[dict[str, Any], ReleasedSet]:
        """Re-encode and inspect; return the report, and what the recipient opens."""
        reencode.run(self.session(Entry.REENCODE, self.keys(("output.bin",), ("artifacts.bin",))))
        writes = ("record.bin", "held.bin", "shown.bin")
        report = inspect.run(self.session(Entry.INSPECT, self.keys(("artifacts.bin",), writes, **changes)))
        sealed = (self.folder / "release.bin").read_bytes()
        opened = RECIPIENT.open(sealed, RELEASE_INFO, self.plan.digest.encode())
        return report, ReleasedSet.decode(opened)


def _quietly(session: Session) -> None:
    with contextlib.suppress(BoxFailure, EvidenceBroken, OSError):
        load.run(session)


def content(released: ReleasedSet, name: str) -> list[list[Any]]:
    (found,) = [each for each in released.artifacts if each.name == name]
    return list(canonical.decode(base64.b64decode(found.content))["rows"])  # type: ignore[index, call-overload]


def test_from_the_owners_file_to_what_the_recipient_opens(job: Job, tmp_path: Path) -> None:
    way = Way(job, task("cross-tabulate", row="region", figure="income"), tmp_path)
    way.work()
    report, released = way.judged()
    assert report["verdict"]["finding"] == "repaired"
    rows = content(released, "cells.csv")
    assert [row[0] for row in rows] == ["东", "西"]  # the region of one person is not there
    assert [float(row[-1]) for row in rows] == [100, 100]
    assert float(rows[0][3]) == pytest.approx(sum(1000.5 * p for p in range(1, 201, 2)) / 100, rel=0.05)


def test_the_sets_are_those_of_the_persons_of_each_row(job: Job, tmp_path: Path) -> None:
    """As the owner's ledger counts them: 64 signs of a person by the keyed hash, added up over the cell's persons."""
    way = Way(job, task("cross-tabulate", row="region"), tmp_path)
    way.work()
    (found,) = sets.unpack(way.session(Entry.INSPECT, way.keys(("sets.bin",), ())).read("sets.bin"))
    assert (found.rows, found.per_row, list(found.persons)) == (2, 1, [100, 100])
    hashed = [
        int.from_bytes(hashlib.md5(f"{SIGNS}:{p}".encode()).digest()[8:], "little") for p in range(1, 201, 2)
    ]
    expected = [sum(1 if value >> bit & 1 else -1 for value in hashed) for bit in range(64)]
    assert list(found.prints[:64]) == expected


def test_a_cross_table_leaves_by_itself_where_its_margins_were_looked_at(job: Job, tmp_path: Path) -> None:
    """The owner's `margins` goes with the plan into the box."""
    way = Way(job, task("cross-tabulate", row="urban", column="born"), tmp_path)
    way.plan = with_margins(way.plan)
    way.work()
    assert json.loads(way.handed()["evidence/cells.csv.json"])["margins"] is True
    report, _ = way.judged()
    assert report["verdict"]["finding"] == "repaired"


def test_a_region_of_one_person_keeps_a_table_back_whose_margins_must_not_tell(
    job: Job, tmp_path: Path
) -> None:
    """A margin that is one small cell gives it back whatever else stays, so all of it stays; control: nobody asks."""
    way = Way(job, task("cross-tabulate", row="region", column="urban"), tmp_path)
    way.work()
    asked = Way(job, way.task, tmp_path / "asked")
    asked.folder.mkdir()
    asked.plan = with_margins(asked.plan)
    with pytest.raises(BoxFailure, match=r"component\.failed"):
        asked.work()


def with_margins(plan: Plan) -> Plan:
    assert plan.decision is not None and plan.decision.obligations is not None
    obligations = plan.decision.obligations
    asked = replace(obligations, checks=replace(obligations.checks, margins=True))
    return replace(plan, decision=replace(plan.decision, obligations=asked))


def test_what_the_ledger_keeps_back_does_not_leave(job: Job, tmp_path: Path) -> None:
    way = Way(job, task("cross-tabulate", row="region"), tmp_path)
    way.work()
    _, released = way.judged(withheld=((1,),))
    assert [row[0] for row in content(released, "cells.csv")] == ["东"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("describe", {"columns": ["income"], "by": "region"}),
        ("linear-regression", {"outcome": "income", "features": ["age"], "categories": ["region"]}),
        ("logistic-regression", {"outcome": "urban", "features": ["income"]}),
        ("k-means", {"features": ["income", "age"], "clusters": 2}),
    ],
)
def test_tables_of_components_pass_the_airlock(
    job: Job, tmp_path: Path, name: str, parameters: dict[str, Any]
) -> None:
    way = Way(job, task(name, **parameters), tmp_path)
    way.work()
    report, released = way.judged()
    assert report["verdict"]["finding"] == "repaired", report
    assert all(content(released, artifact.name) for artifact in way.task.artifacts)


def test_neither_tokens_nor_rare_values_are_handed_on(job: Job, tmp_path: Path) -> None:
    way = Way(job, task(), tmp_path)
    way.work()
    handed = way.handed()
    assert set(handed) == {"files/summary.csv", "evidence/summary.csv.json"}
    assert CANARY.encode() not in b"".join(handed.values())
    assert json.loads(handed["evidence/summary.csv.json"])["persons"] == [100, 100]
    # the control: a cell of one person would be handed on if the policy asked for no group
    open_ = Way(job, task(), tmp_path)
    decision = open_.plan.decision
    assert decision is not None and decision.obligations is not None
    open_.plan = replace(
        open_.plan, decision=replace(decision, obligations=replace(decision.obligations, minimum_group=1))
    )
    open_.work()
    assert CANARY.encode() in open_.handed()["files/summary.csv"]


def test_a_model_rests_on_those_whom_the_loader_did_not_hold_back(job: Job, tmp_path: Path) -> None:
    """A tenth of the persons stays away from a model, so that it can be asked about persons that it never saw."""
    asked = {"outcome": "income", "features": ["age"], "trees": 3, "folds": 2}
    seen = {}
    for model in (True, False):
        way = Way(job, task("gradient-boosted-trees", **asked, model=model), tmp_path)
        way.work()
        seen[model] = json.loads(way.handed()["evidence/fit.csv.json"])["persons"][0]
        found = sets.unpack(way.session(Entry.INSPECT, way.keys(("sets.bin",), ())).read("sets.bin"))
        assert [(each.rows, set(each.persons)) for each in found] == [
            (2, {seen[model]}), (1, {seen[model]}), *([(1, {seen[model]})] if model else []),
        ]  # fmt: skip
    assert seen[False] == len(PEOPLE) and 0.8 * len(PEOPLE) < seen[True] < 0.97 * len(PEOPLE)


def test_a_table_that_breaks_off_is_not_taken_for_a_whole_one(job: Job, tmp_path: Path) -> None:
    for cut in (0, 500):
        with pytest.raises(BoxFailure) as failed:
            Way(job, task(), tmp_path).work(cut)
        assert (failed.value.code, failed.value.facts) == ("component.inputs", {})
    assert not (tmp_path / "output.bin").exists()


@pytest.mark.parametrize(
    "needs",
    [(Need("tax.income", ("income", "region")),), (Need("tax.income", ("income",)),)],
    ids=["a key is not said to be one", "a column is missing"],
)
def test_a_task_that_says_less_than_the_component_does_is_refused(
    job: Job, tmp_path: Path, needs: tuple[Need, ...]
) -> None:
    with pytest.raises(BoxFailure) as failed:
        Way(job, task(needs=needs), tmp_path).work()
    assert failed.value.code == "component.task"


def test_why_the_data_do_not_suit_is_not_said(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library that fails over a value says it in its error, and prints it: one code leaves, whichever it was."""

    def failing(*_: Any) -> dict[str, bytes]:
        print(CANARY)  # noqa: T201
        os.write(1, CANARY.encode())
        raise ValueError(CANARY)

    few = task("linear-regression", outcome="income", features=["age"], categories=["region"])
    monkeypatch.setattr(describe, "run", failing)
    for asked in (task(), replace(few, parameters={**few.parameters, "outcome": "age"})):
        with pytest.raises(BoxFailure) as failed:
            Way(job, asked, tmp_path).work()
        assert (failed.value.code, failed.value.facts, failed.value.__cause__) == (
            "component.failed",
            {},
            None,
        )
    assert CANARY not in capfd.readouterr().out
    # the control: standard output is there again afterwards
    sys.stdout.write(CANARY)
    assert CANARY in capfd.readouterr().out
