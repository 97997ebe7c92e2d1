"""The dispatcher serves everybody: nobody's waiting or failing job keeps another's from moving."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from audit import api as audit
from compute.dispatcher import Dispatcher, Overtaken, Settings
from compute.jobs import JobState, view
from compute.planning import House
from keys import api as keys
from plans.errors import Unreachable
from plans.statements import Approval, Duty, Type
from sandbox import api as sandbox
from store import api as store

NOW = int(time.time())
PLAN = "sha256:" + "a" * 64


@pytest.fixture
def dispatcher(tmp_path: Path) -> Iterator[Dispatcher]:
    database = store.open_database(f"sqlite:///{tmp_path / 'centre.db'}")
    store.migrate(database)
    log = audit.Log.open(tmp_path / "audit")
    settings = Settings(House("sha256:" + "0" * 64, {}), tmp_path, lambda _: tmp_path)
    yield Dispatcher(database, log, settings)
    database.close()
    log.close()


def add(dispatcher: Dispatcher, name: str, state: JobState, at: int = NOW, plan: str = "") -> store.JobRow:
    row = store.JobRow(
        name, "wang@nm/stat", "study", state.value, "{}", "", at, at, domain="nm/tax", plan_digest=plan
    )
    with dispatcher._database.session() as session:
        store.jobs.add(session, row)
    return row


def state(dispatcher: Dispatcher, name: str) -> str:
    with dispatcher._database.reading() as session:
        return store.jobs.get(session, name).state


def approve(dispatcher: Dispatcher, plan: str) -> None:
    signed = keys.sign(
        keys.Draft(Type.APPROVAL, "nm/tax", Duty.APPROVER, Approval(plan)), keys.SigningKey.fresh()
    )
    statement = signed.statement
    text = signed.canonical().decode()
    row = store.StatementRow(statement.digest, "approval", "nm/tax", statement.signer, plan, text, NOW)
    with dispatcher._database.session() as session:
        store.statements.add(session, row)


def test_93_jobs_that_wait_for_people_hide_no_newer_job(dispatcher: Dispatcher) -> None:
    for number in range(150):
        add(dispatcher, f"waits-{number}", JobState.WAITING, NOW - 100, f"sha256:{number:064x}")
    add(dispatcher, "new", JobState.SUBMITTED)
    assert [row.id for row in dispatcher.take()] == ["new"]


def test_the_newest_of_many_waiting_jobs_is_seen_when_it_is_approved(dispatcher: Dispatcher) -> None:
    for number in range(150):
        add(dispatcher, f"waits-{number}", JobState.WAITING, NOW - 100, f"sha256:{number:064x}")
    add(dispatcher, "approved", JobState.WAITING, NOW, PLAN)
    approve(dispatcher, PLAN)
    dispatcher.queue_approved()
    assert state(dispatcher, "approved") == "queued" and state(dispatcher, "waits-149") == "waiting-approval"


def test_a_plan_that_nobody_approved_within_a_day_ends(dispatcher: Dispatcher) -> None:
    add(dispatcher, "old", JobState.WAITING, NOW - 2 * 86_400, PLAN)
    add(dispatcher, "young", JobState.WAITING, NOW - 3_600, PLAN)
    dispatcher.queue_approved()
    assert (state(dispatcher, "old"), state(dispatcher, "young")) == ("refused", "waiting-approval")


def test_a_job_is_taken_by_one_step_at_a_time(dispatcher: Dispatcher) -> None:
    add(dispatcher, "one", JobState.SUBMITTED)
    assert [row.id for row in dispatcher.take()] == ["one"] and dispatcher.take() == []


@pytest.mark.parametrize(
    ("problem", "ends"),
    [(ValueError("x"), "failed"), (Overtaken("one"), "submitted"), (Unreachable("no database"), "submitted")],
)
def test_whatever_ends_a_step_the_job_can_be_taken_again_or_has_ended(
    dispatcher: Dispatcher, problem: Exception, ends: str
) -> None:
    add(dispatcher, "one", JobState.SUBMITTED)
    (row,) = dispatcher.take()
    step: Future[None] = Future()
    step.set_exception(problem)
    dispatcher._after(row, step)
    assert state(dispatcher, "one") == ends
    assert [each.id for each in dispatcher.take()] == ([] if ends == "failed" else ["one"])


def test_a_job_whose_image_has_disappeared_fails_with_what_to_do(
    dispatcher: Dispatcher, tmp_path: Path
) -> None:
    """It was signed and queued while the image was there; what its launcher says is what its member reads."""
    row = add(dispatcher, "one", JobState.QUEUED)
    dispatcher._steps = {JobState.QUEUED: lambda _: sandbox.by_digest("sha256:" + "0" * 64, tmp_path)}
    dispatcher._advance(row)
    with dispatcher._database.reading() as session:
        found = view(store.jobs.get(session, "one"))
    assert found.state == "failed" and found.problem and found.retries
    assert found.problem["title"] == "the image that the plan names is not on this machine"
    assert "administrator" in found.problem["next_step"] and "submit anew" in found.problem["next_step"]


def test_it_stops_when_told(dispatcher: Dispatcher) -> None:
    stop = threading.Event()
    worker = threading.Thread(target=dispatcher.work, args=(stop,))
    worker.start()
    stop.set()
    worker.join(10)
    assert not worker.is_alive()


def test_a_step_that_went_well_is_followed_by_the_next_without_a_pause(dispatcher: Dispatcher) -> None:
    dispatcher._settings = dataclasses.replace(dispatcher._settings, poll_s=300, brisk_poll_s=300)
    stop, reached = threading.Event(), threading.Event()
    dispatcher._steps = {
        JobState.SUBMITTED: lambda row: dispatcher._move(row, JobState.QUEUED) and None,
        JobState.QUEUED: lambda row: reached.set() or dispatcher._move(row, JobState.RELEASED) and None,
    }
    add(dispatcher, "one", JobState.SUBMITTED)
    worker = threading.Thread(target=dispatcher.work, args=(stop,))
    worker.start()
    try:
        assert reached.wait(60)
    finally:
        stop.set()
        dispatcher._stepped.set()
        worker.join(60)


def test_a_step_that_cannot_even_be_written_down_is_not_repeated_without_a_pause(
    dispatcher: Dispatcher,
) -> None:
    dispatcher._settings = dataclasses.replace(dispatcher._settings, poll_s=0.2, brisk_poll_s=0.2)
    tries, stop = list[float](), threading.Event()

    def advance(row: store.JobRow) -> None:
        tries.append(time.monotonic())
        stop.set() if len(tries) == 4 else None
        raise Unreachable("no database")

    dispatcher._advance = advance  # type: ignore[method-assign]
    add(dispatcher, "one", JobState.SUBMITTED)
    worker = threading.Thread(target=dispatcher.work, args=(stop,))
    worker.start()
    worker.join(60)
    assert len(tries) == 4 and all(later - before >= 0.15 for before, later in itertools.pairwise(tries))


def test_jobs_leave_the_queue_in_their_order_as_others_end_and_hide_no_new_one(
    dispatcher: Dispatcher,
) -> None:
    dispatcher._settings = dataclasses.replace(dispatcher._settings, at_once=2)
    for number in range(150):
        add(dispatcher, f"queued-{number:03}", JobState.QUEUED, NOW - 200 + number)
    add(dispatcher, "new", JobState.SUBMITTED)
    first = dispatcher.take()
    assert {row.id for row in first} == {"new", "queued-000", "queued-001"}
    assert dispatcher.take() == []
    (ended,) = (row for row in first if row.id == "queued-000")
    dispatcher._move(ended, JobState.RELEASED)
    step: Future[None] = Future()
    step.set_result(None)
    dispatcher._after(ended, step)
    assert [row.id for row in dispatcher.take()] == ["queued-002"]


def test_jobs_that_a_killed_dispatcher_left_running_are_all_taken_up(dispatcher: Dispatcher) -> None:
    dispatcher._settings = dataclasses.replace(dispatcher._settings, at_once=1)
    for name in ("one", "two", "three"):
        add(dispatcher, name, JobState.RUNNING)
    add(dispatcher, "queued", JobState.QUEUED, NOW - 10)
    assert sorted(row.id for row in dispatcher.take()) == ["one", "three", "two"]
