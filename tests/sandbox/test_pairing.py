"""A line of a job that failed on data is told only if it is the line of the one trial, which was there before (90)."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from keys.signing import Draft, SigningKey, sign
from plans.artifacts import Artifact, Form
from plans.box import Entry, Limits
from plans.errors import Malformed, NotFound, StateConflict
from plans.plan import Plan, Relation
from plans.statements import Duty, StageRecord, Type
from plans.tasks import Need, PythonTask
from plans.trial import Folder, Place, Trial, TrialReport, trial_of, twin_of
from sandbox import pairing
from sandbox.conversation import Failure
from sandbox.shelf import Shelf, StageName
from sandbox.trying import Bench, trial_plan
from tests.inside.load_cases import work_plan
from tests.plans import examples

CODE = b"import darkroom\nx = 1\nraise ValueError(x)\n"
FOLDER = Folder({"main.py": base64.b64encode(CODE).decode()}, "main.py", ())
TABLES = (twin_of(examples.MANIFEST),)
BENCH = Bench("nm/tax", examples.digest("d"), Limits(512, 64, 0, 8, 10, 20, 32, 64, 1))
HERE, THERE = Place("main.py", 3, "ValueError"), Place("main.py", 2, "ValueError")
FAILED = Failure("python.failed", {"file": "main.py", "line": 3, "error": "canary-4410"})


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path)
    made.prepare()
    return made


def job(folder: Folder = FOLDER) -> Plan:
    need = Need("tax.income", ("income",))
    task = PythonTask(
        examples.digest("d"), folder.digest, folder.main, (), (need,), (Artifact("a.json", Form.METRICS),)
    )
    relation = Relation("tax.income", examples.digest("b"), examples.digest("c"), ("income",), "")
    return work_plan(task, (relation,), {}, folder)


def ended(shelf: Shelf, trial: Trial, place: Place | None = HERE) -> Plan:
    """A trial that has ended at this launcher, at a line."""
    plan = trial_plan(BENCH, trial)
    shelf.put(plan)
    report = TrialReport("python.failed" if place else "", place, "ValueError: made up", "", ())
    record = StageRecord(plan.digest, Entry.PYTHON, 1, (), (), report.plain())
    signed = sign(Draft(Type.STAGE, "nm/tax", Duty.LAUNCHER, record), SigningKey.fresh())
    shelf.keep_result(StageName(plan.digest, Entry.PYTHON, 1), {"ok": {"record": signed.plain()}})
    return plan


def kept(shelf: Shelf, plan: Plan) -> Plan:
    shelf.put(plan)
    return plan


def test_the_line_of_the_one_trial_is_told_and_nothing_that_the_job_said(shelf: Shelf) -> None:
    plan, trial = kept(shelf, job()), ended(shelf, trial_of(FOLDER, TABLES))
    pairing.pair(shelf, plan.digest, trial.digest)
    problem = pairing.explained(FAILED, plan, pairing.tried(shelf, plan))
    assert "at line 3 of main.py, as its trial did" in problem.what and problem.where == "python.failed"
    assert "canary" not in str(problem)


@pytest.mark.parametrize("place", [THERE, None])
def test_another_line_is_not_told(shelf: Shelf, place: Place | None) -> None:
    plan, trial = kept(shelf, job()), ended(shelf, trial_of(FOLDER, TABLES), place)
    pairing.pair(shelf, plan.digest, trial.digest)
    assert "line" not in pairing.explained(FAILED, plan, pairing.tried(shelf, plan)).what


def test_a_job_that_began_without_a_trial_gets_none_afterwards(shelf: Shelf) -> None:
    """Else a program could be tried until a trial fails where the job did. The control: before, it can be paired."""
    plan, trial = kept(shelf, job()), ended(shelf, trial_of(FOLDER, TABLES))
    assert pairing.tried(shelf, plan) is None
    with pytest.raises(StateConflict):
        pairing.pair(shelf, plan.digest, trial.digest)
    assert "line" not in pairing.explained(FAILED, plan, pairing.tried(shelf, plan)).what
    other = kept(shelf, replace(plan, nonce="7" * 32))
    pairing.pair(shelf, other.digest, trial.digest)
    assert pairing.tried(shelf, other) is not None


def test_a_job_has_one_trial_and_no_second_one(shelf: Shelf) -> None:
    plan, trial = kept(shelf, job()), ended(shelf, trial_of(FOLDER, TABLES))
    pairing.pair(shelf, plan.digest, trial.digest)
    pairing.pair(shelf, plan.digest, trial.digest)
    fewer = (replace(TABLES[0], rows=7),)
    with pytest.raises(StateConflict):
        pairing.pair(shelf, plan.digest, ended(shelf, trial_of(FOLDER, fewer)).digest)
    again = pairing.tried(Shelf(shelf.boxes.parent), plan)
    assert again is not None and again.trial == trial_of(FOLDER, TABLES).digest, "after a restart too"


def test_what_is_no_trial_of_the_jobs_folder_is_refused(shelf: Shelf) -> None:
    plan = kept(shelf, job())
    other = Folder({"main.py": base64.b64encode(CODE + b"#").decode()}, "main.py", ())
    seed = replace(trial_of(FOLDER, TABLES), seed=1)
    table = replace(TABLES[0], name="tax.other")
    for trial in (trial_of(other, TABLES), seed, trial_of(FOLDER, (table,)), trial_of(FOLDER, ())):
        with pytest.raises(Malformed):
            pairing.pair(shelf, plan.digest, ended(shelf, trial).digest)
    with pytest.raises(Malformed):
        pairing.pair(shelf, plan.digest, plan.digest)


def test_a_trial_that_has_not_ended_is_no_trial_yet(shelf: Shelf) -> None:
    plan = kept(shelf, job())
    waiting = kept(shelf, trial_plan(BENCH, trial_of(FOLDER, TABLES)))
    with pytest.raises(NotFound):
        pairing.pair(shelf, plan.digest, waiting.digest)


def test_a_plan_of_statements_has_no_trial(shelf: Shelf) -> None:
    assert pairing.tried(shelf, kept(shelf, examples.PLAN)) is None
