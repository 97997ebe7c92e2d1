"""Jobs that are no statements: folders that fit, outputs that people hold, jobs that are ended and tried again."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from audit import api as audit
from compute import dispatcher as dispatching
from compute import folders
from compute import service as serving
from compute.delivering import Shelf
from compute.dispatcher import Dispatcher, Settings
from compute.jobs import JobState
from compute.planning import House
from compute.service import JobService, result_name
from keeper.api import ReleaseAnswer
from keys import api as keys
from plans.artifacts import Artifact, Form
from plans.box import Entry, Limits
from plans.errors import (
    DarkroomError,
    DiskFull,
    EvidenceBroken,
    HashMismatch,
    Malformed,
    NotFound,
    Outdated,
    OutputRefused,
    StateConflict,
)
from plans.handover import handover, padded
from plans.plan import Plan, PlanKind
from plans.release import Release
from plans.request import Request, RequestKind
from plans.statements import Duty, Signed, StageRecord, Type
from plans.tasks import ComponentTask, Need, PythonTask
from plans.trial import Folder
from policies import api as policies
from store import api as store
from tests.portal import region as regions

DIGEST = "sha256:" + "ab" * 32
MAIN = base64.b64encode(b"print(1)\n").decode()
FOLDER = Folder({"main.py": MAIN}, "main.py", ())
LIMITS = dict.fromkeys(Entry, Limits(512, 256, 0, 16, 30, 60, 32, 64, 2))
IMAGES = dict.fromkeys(Entry, (DIGEST,))
TABLE = (Artifact("t.csv", Form.TABLE, persons="n"),)
MEI = "mei@nm/centre"


def python_task(folder: Folder = FOLDER) -> PythonTask:
    return PythonTask(
        DIGEST, folder.digest, folder.main, folder.arguments, (Need("tax.income", ("region",)),), TABLE
    )


@dataclass
class Office:
    """A centre whose dispatcher is told what keepers answer."""

    region: regions.Region
    jobs: JobService
    dispatcher: Dispatcher

    def request(self, task: PythonTask | ComponentTask) -> Request:
        kind = RequestKind.PYTHON if isinstance(task, PythonTask) else RequestKind.COMPONENT
        asked = regions.request_of(self.region, MEI, task.canonical().decode())
        return dataclasses.replace(asked, kind=kind)

    def submit(self, request: Request, folder: Folder | None = FOLDER) -> str:
        signed = keys.sign_bytes("request", request.canonical(), self.region.keys[MEI].signing)
        return self.jobs.submit(request, signed, folder).id

    def row(self, job: str) -> store.JobRow:
        with self.region.database.reading() as session:
            return store.jobs.get(session, job)

    def move(self, job: str, state: JobState, **changes: str | int) -> store.JobRow:
        return self.dispatcher._move(self.row(job), state, **changes)

    def planned(self, job: str) -> Plan:
        """Give a submitted job the plan that the dispatcher would make, without an owner to decide."""
        row = self.row(job)
        request = Request.decode(row.request.encode())
        statement = regions.request_of(self.region, MEI).canonical().decode()
        like = regions.plan_for(self.region, dataclasses.replace(row, request=statement))
        with self.region.database.reading() as session:
            material = folders.material_of(session, request)
        program = dataclasses.replace(
            like.program, level=dispatching.policies.reading_of_task(request).level, tables=(), outputs=()
        )
        task = PythonTask.decode(request.statement.encode())
        house = House(DIGEST, LIMITS, IMAGES)
        stages = policies.work_boxes(
            task, program, (regions.manifest(),), like.decision.obligations.tier, house.furnishing(task)
        )
        plan = dataclasses.replace(
            like, request=request, kind=PlanKind.PYTHON, program=program, material=material, stages=stages
        )
        self.move(
            job, JobState.QUEUED, plan=folders.without(plan), plan_digest=plan.digest, domain=plan.domain
        )
        return plan


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    log = audit.Log.open(tmp_path / "audit")
    region = regions.build(tmp_path, log)
    house = House(DIGEST, LIMITS, IMAGES, {DIGEST: "python"})
    jobs = JobService(region.database, log, tmp_path / "results", house=house)
    settings = Settings(house, tmp_path / "results", lambda _: tmp_path / "launcher")
    yield Office(region, jobs, Dispatcher(region.database, log, settings))
    region.database.close()
    log.close()


# --- submission -----------------------------------------------------


def test_a_folder_is_kept_once_and_a_request_twice_is_one_job(office: Office) -> None:
    request = office.request(python_task())
    first = office.submit(request)
    assert office.submit(request) == first
    assert office.submit(office.request(python_task())) != first, "another nonce is another job"
    with office.region.database.reading() as session:
        kept = store.folders.get(session, FOLDER.digest)
    assert Folder.decode(kept.content.encode()) == FOLDER


def test_a_job_without_its_folder_or_with_another_is_refused_and_nothing_is_kept(office: Office) -> None:
    request = office.request(python_task())
    other = Folder({"main.py": MAIN, "more.py": MAIN}, "main.py", ())
    for folder in (None, other):
        with pytest.raises(Malformed) as refusal:
            office.submit(request, folder)
        assert refusal.value.next_step
    assert office.jobs.jobs(MEI) == ()


def test_a_folder_that_starts_something_else_than_was_signed_is_refused(office: Office) -> None:
    folder = Folder({"main.py": MAIN, "other.py": MAIN}, "other.py", ())
    task = dataclasses.replace(python_task(folder), main="main.py")
    with pytest.raises(Malformed, match="starts something else"):
        office.submit(office.request(task), folder)


def test_a_component_brings_no_folder_and_its_parameters_are_looked_at_first(office: Office) -> None:
    task = ComponentTask(
        DIGEST, "describe", {"colums": ["income"]}, (Need("tax.income", ("income",)),), TABLE
    )
    with pytest.raises(Malformed, match="brings a folder"):
        office.submit(office.request(task))
    with pytest.raises(Malformed) as refusal:
        office.submit(office.request(task), None)
    assert "parameter" in str(refusal.value) and "columns" in refusal.value.next_step


def test_a_component_becomes_the_task_that_its_description_makes_of_it(office: Office) -> None:
    task = office.jobs.component("describe", {"columns": ["income"], "by": "region"}, ["tax.income"])
    assert (task.image, task.needs[0].keys) == (DIGEST, ("region",))
    office.submit(office.request(task), None)
    with pytest.raises(NotFound) as unknown:
        office.jobs.component("desribe", {}, [])
    assert "describe" in unknown.value.next_step


def test_an_image_that_is_not_here_is_refused_with_what_to_do(office: Office) -> None:
    house = House(DIGEST, LIMITS, IMAGES)
    with pytest.raises(NotFound) as refusal:
        house.furnishing(dataclasses.replace(python_task(), image="sha256:" + "cd" * 32))
    assert "darkroom images" in refusal.value.next_step
    with pytest.raises(NotFound, match="no image for the stage"):
        House(DIGEST, LIMITS, {}).furnishing(python_task())


def test_a_plan_is_stored_without_its_folder_and_comes_back_whole(office: Office) -> None:
    job = office.submit(office.request(python_task()))
    plan = office.planned(job)
    assert MAIN not in office.row(job).plan
    assert office.jobs.plan(MEI, job).digest == plan.digest and plan.batches[0] == (Entry.LOAD, Entry.PYTHON)


# --- waiting, cancelling, trying again -----------------------------------------------------


def test_a_queued_job_says_how_many_are_before_it(office: Office) -> None:
    jobs = [office.submit(office.request(python_task())) for _ in range(3)]
    for job in jobs:
        office.planned(job)
    assert sorted(office.jobs.job(MEI, job).position for job in jobs) == [0, 1, 2]


@pytest.mark.parametrize("state", [JobState.TRYING, JobState.RUNNING, JobState.INSPECTING, JobState.HELD])
def test_a_job_is_cancelled_wherever_it_stands(office: Office, state: JobState) -> None:
    job = office.submit(office.request(python_task()))
    office.move(job, state)
    assert office.jobs.cancel(MEI, job).state is JobState.CANCELLED
    with pytest.raises(StateConflict):
        office.jobs.cancel(MEI, job)


MOVES = [
    (JobState.RUNNING, JobState.RELEASED, JobState.CANCELLED, "cancel"),
    (JobState.FAILED, JobState.SUBMITTED, JobState.SUBMITTED, "retry"),
    (JobState.RUNNING, JobState.CANCELLED, JobState.INSPECTING, "dispatcher"),
]
"""Where a job stands, where another moved it meanwhile, where it was to go, and by whom."""


def moved_by(office: Office, row: store.JobRow, state: JobState, who: str) -> None:
    """Have somebody move a job."""
    if who == "dispatcher":
        office.dispatcher._move(row, state)
    else:
        getattr(office.jobs, who)(MEI, row.id)


def actions(office: Office) -> list[str]:
    return [each.action for each in office.jobs.log.events(0, 1_000)]


@pytest.mark.parametrize(("stood", "moved", "wanted", "who"), MOVES)
def test_93_a_job_that_another_moved_in_this_moment_is_not_moved_and_nothing_is_said_to_have_happened(
    office: Office, monkeypatch, stood: JobState, moved: JobState, wanted: JobState, who: str
) -> None:
    """Another process moves the job after it was looked at. Control: where nobody does, it moves and is logged."""
    job = office.submit(office.request(python_task()))
    seen = office.move(job, stood)
    office.move(job, moved)
    before = actions(office)
    with monkeypatch.context() as patch:
        patch.setattr(serving, "_own", lambda *_: seen)
        with pytest.raises((StateConflict, dispatching.Overtaken)):
            moved_by(office, seen, wanted, who)
    assert office.row(job).state == moved and actions(office) == before
    moved_by(office, office.move(job, stood), wanted, who)
    assert office.row(job).state == wanted and actions(office)[-1] == f"job.{wanted.value}"


@pytest.mark.parametrize(("stood", "moved", "wanted", "who"), MOVES)
def test_64_a_job_is_not_seen_to_move_before_its_event_is_durable(
    office: Office, monkeypatch, stood: JobState, moved: JobState, wanted: JobState, who: str
) -> None:
    """While the event is written everybody else sees the job where it was, and if it cannot be, the job stays."""
    job = office.submit(office.request(python_task()))
    seen, states = office.move(job, stood), []

    def full(draft: audit.Draft) -> audit.Receipt:
        states.append(office.row(job).state)
        raise DiskFull("there is no space left", "audit log")

    with monkeypatch.context() as patch:
        patch.setattr(audit.Log, "append", lambda _, draft: full(draft))
        with pytest.raises(DiskFull):
            moved_by(office, seen, wanted, who)
    assert states == [stood] and office.row(job).state == stood


class Batches:
    """Which stages were ended, in place of a launcher."""

    ended: list[tuple[Entry, ...]] = []

    def __init__(self, launcher, plan, stages, attempt):
        self.stages = stages

    def cancel(self):
        self.ended.append(self.stages)
        return len(self.stages)


def test_the_boxes_of_a_cancelled_job_are_ended_until_no_step_holds_it(office: Office, monkeypatch) -> None:
    monkeypatch.setattr(Batches, "ended", [])
    monkeypatch.setattr(dispatching.cluster, "Batch", Batches)
    job = office.submit(office.request(python_task()))
    office.planned(job)
    office.move(job, JobState.RUNNING, stage="load+python", attempt=1)
    office.jobs.cancel(MEI, job)
    office.dispatcher._busy.add(job)
    office.dispatcher.end_cancelled()
    office.dispatcher.end_cancelled()
    assert Batches.ended == [(Entry.LOAD, Entry.PYTHON)] * 2, "the step may have begun a box since"
    office.dispatcher._busy.clear()
    office.dispatcher.end_cancelled()
    office.dispatcher.end_cancelled()
    assert len(Batches.ended) == 3


def test_a_failed_job_is_tried_again_from_the_beginning_and_keeps_what_it_cost(office: Office) -> None:
    job = office.submit(office.request(python_task()))
    office.planned(job)
    office.move(job, JobState.RUNNING, stage="load+python", attempt=2, trial=DIGEST)
    office.dispatcher._spend(office.row(job), 70)
    office.move(job, JobState.FAILED, problem="{}")
    found = office.jobs.job(MEI, job)
    assert found.retries and found.cost == "under 10 min"
    again = office.jobs.retry(MEI, job)
    row = office.row(job)
    assert again.state is JobState.SUBMITTED and (row.plan, row.trial, row.stage, row.attempt) == (
        "",
        "",
        "",
        0,
    )
    assert row.spent_s == 70


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.HELD, JobState.RELEASED, JobState.REFUSED])
def test_what_was_refused_or_has_not_ended_is_not_tried_again(office: Office, state: JobState) -> None:
    job = office.submit(office.request(python_task()))
    office.move(job, state)
    with pytest.raises(StateConflict) as refusal:
        office.jobs.retry(MEI, job)
    assert refusal.value.next_step


def test_a_request_that_no_keeper_would_answer_is_not_tried_again(office: Office) -> None:
    request = dataclasses.replace(office.request(python_task()), asked_at=int(time.time()) - 2 * 86_400)
    job = office.submit(request)
    office.move(job, JobState.FAILED)
    with pytest.raises(Outdated):
        office.jobs.retry(MEI, job)


def test_another_members_job_is_not_there(office: Office) -> None:
    job = office.submit(office.request(python_task()))
    office.move(job, JobState.FAILED)
    for call in (office.jobs.retry, office.jobs.cancel, office.jobs.job):
        with pytest.raises(NotFound):
            call("lin@nm/centre", job)


# --- held outputs -----------------------------------------------------


@dataclass
class Held:
    """A job whose output is held, and what its keeper says."""

    office: Office
    job: str
    plan: Plan
    sealed: bytes
    key: bytes

    def release(self, sealed: bytes | None = None) -> Signed:
        digest = "sha256:" + hashlib.sha256(self.sealed if sealed is None else sealed).hexdigest()
        body = Release(self.plan.digest, DIGEST, self.plan.request.recipient, digest, DIGEST, 1)
        return keys.sign(
            keys.Draft(Type.RELEASE, self.plan.domain, Duty.KEEPER, body), keys.SigningKey.fresh()
        )

    def ask(self, answer, monkeypatch) -> str:
        """Let the dispatcher ask once; return where the job stands then."""

        class Keeper:
            def __init__(self, _):
                pass

            def release(self, _plan, _records):
                if isinstance(answer, DarkroomError):
                    raise answer
                return answer

        monkeypatch.setattr(dispatching, "KeeperClient", Keeper)
        for row in self.office.dispatcher.take_held():
            self.office.dispatcher._advance(row)
        self.office.dispatcher._busy.clear()
        return self.office.row(self.job).state

    @property
    def waits(self) -> Path:
        return self.office.jobs.results / (self.plan.digest.removeprefix("sha256:") + ".held")


@pytest.fixture
def held(office: Office) -> Held:
    job = office.submit(office.request(python_task()))
    plan = office.planned(job)
    found = Held(office, job, plan, b"sealed to its recipient", keys.fresh_key())
    record = StageRecord(plan.digest, Entry.INSPECT, 1, (), (), {})
    signed = keys.sign(keys.Draft(Type.STAGE, plan.domain, Duty.LAUNCHER, record), keys.SigningKey.fresh())
    aad = handover(plan, 1, policies.HELD)
    found.waits.write_bytes(keys.encrypt(found.key, padded(found.sealed), aad))
    office.move(job, JobState.HELD, records=json.dumps([signed.plain()]))
    return found


def test_a_held_output_waits_for_people_and_leaves_when_they_say_so(held: Held, monkeypatch) -> None:
    assert held.ask(StateConflict("two reviews are missing"), monkeypatch) == "held"
    assert held.office.jobs.job(MEI, held.job).waits_for == "reviewers"
    assert held.ask(ReleaseAnswer(held.release(), held.key.hex()), monkeypatch) == "released"
    release, sealed = held.office.jobs.result(MEI, held.job)
    assert sealed == held.sealed and not held.waits.exists()
    assert Release.read(release.statement.body).plan == held.plan.digest


def test_a_held_output_that_reviewers_refuse_ends_its_job_and_is_wiped(held: Held, monkeypatch) -> None:
    assert held.ask(OutputRefused("the reviewers refused it"), monkeypatch) == "refused"
    assert not held.waits.exists()


def test_a_held_output_of_a_cancelled_job_is_wiped(held: Held, monkeypatch) -> None:
    monkeypatch.setattr(Batches, "ended", [])
    monkeypatch.setattr(dispatching.cluster, "Batch", Batches)
    held.office.dispatcher._move(held.office.row(held.job), JobState.HELD, stage="inspect")
    held.office.jobs.cancel(MEI, held.job)
    held.office.dispatcher.end_cancelled()
    assert not held.waits.exists()


@pytest.mark.parametrize("attack", ["another key", "no key", "other bytes"])
def test_a_held_output_leaves_as_exactly_what_was_released_or_not_at_all(
    held: Held, attack, monkeypatch
) -> None:
    answers = {
        "another key": ReleaseAnswer(held.release(), keys.fresh_key().hex()),
        "no key": ReleaseAnswer(held.release(), ""),
        "other bytes": ReleaseAnswer(held.release(b"something else"), held.key.hex()),
    }
    assert held.ask(answers[attack], monkeypatch) == "refused"
    assert not (held.office.jobs.results / result_name(held.plan.digest)).exists()


def test_held_jobs_hide_no_job_that_moves_and_all_get_their_turn(office: Office, monkeypatch) -> None:
    now = int(time.time())
    with office.region.database.session() as session:
        for number in range(40):
            row = store.JobRow(f"h{number}", MEI, "p", "held", "{}", "", now - 100, now - 100)
            store.jobs.add(session, row)
        store.jobs.add(session, store.JobRow("new", MEI, "p", "submitted", "{}", "", now, now))
    assert [row.id for row in office.dispatcher.take()] == ["new"]
    asked = set()
    for _ in range(3):
        asked |= {row.id for row in office.dispatcher.take_held()}
        office.dispatcher._busy.clear()
    assert len(asked) == 40


def test_sealed_bytes_are_kept_only_if_they_are_those_of_the_release(tmp_path: Path, held: Held) -> None:
    shelf = Shelf(tmp_path / "results", lambda _: tmp_path)
    with pytest.raises(HashMismatch):
        shelf.let_go(held.plan, 1, held.release(b"x"), held.key.hex())
    with pytest.raises(EvidenceBroken):
        shelf.let_go(held.plan, 2, held.release(), held.key.hex())


# --- code that people read first -----------------------------------------------------


def test_an_approver_reads_the_code_beside_what_was_approved_before(office: Office, monkeypatch) -> None:
    monkeypatch.setattr(JobService, "attempt", lambda *_: None)
    other = Folder({"main.py": MAIN, "more.py": MAIN}, "main.py", ())
    first, second = (office.submit(office.request(python_task(each)), each) for each in (FOLDER, other))
    office.move(first, JobState.WAITING)
    office.planned(first)
    office.planned(second)
    with pytest.raises(NotFound):
        office.jobs.code("bo@nm/tax", second, 1)
    office.move(second, JobState.WAITING)
    found = office.jobs.code("bo@nm/tax", second, 1)
    assert (found.folder, found.before, found.trial) == (other, FOLDER, None)
    with pytest.raises(NotFound):
        office.jobs.code("dan@nm/health", second, 1)


def test_code_that_nobody_approved_is_no_version_to_compare_with(office: Office, monkeypatch) -> None:
    monkeypatch.setattr(JobService, "attempt", lambda *_: None)
    first, second = (office.submit(office.request(python_task())) for _ in range(2))
    office.planned(first)
    office.planned(second)
    office.move(second, JobState.WAITING)
    assert office.jobs.code("bo@nm/tax", second, 1).before is None
