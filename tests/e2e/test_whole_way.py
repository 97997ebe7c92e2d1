"""A statement goes the whole way, and what arrives is what the data say, no more."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time

import pytest

from darkroom.result import open_release
from keys import api as keys
from plans.box import Entry
from plans.errors import (
    DarkroomError,
    EvidenceBroken,
    HashMismatch,
    NotFound,
    PolicyDenied,
    RederivationMismatch,
    SignatureWrong,
)
from plans.release import Release
from sandbox import api as sandbox
from tests.e2e import town as towns

pytestmark = [pytest.mark.box, pytest.mark.ray]

BY_LEAGUE = (
    "select league, count(*) as n, avg(income) as mean from tax.income group by league order by league desc"
)


def test_the_result_is_what_the_data_say_without_the_small_group(town):
    result = town.ask(BY_LEAGUE).result()
    assert [row[0] for row in result.rows] == sorted(("呼和浩特", "包头", "赤峰"), reverse=True)
    assert {row[1] for row in result.rows} == {200}
    assert "阿拉善" not in str(result.texts()), "three persons are fewer than the minimum group"


OUTER = (
    "with r as (select league, count(*) as n, sum(income) as s from tax.income group by league)"
    " select league, s / n as mean, 100 * n / sum(n) over () as share from r where n > 3 order by league desc"
)
ROWS = "select league, income from tax.register where league <> '无' order by income, league"


def test_what_is_outside_is_computed_from_what_may_leave(town):
    job = town.ask(OUTER)
    result = job.result()
    plan = town.researcher.connection.plan(job.id)
    assert [stage.entry for stage in plan.stages] == [
        Entry.QUERY, Entry.PARSE, Entry.PROTECT, Entry.FINISH, Entry.JUDGE,
    ]  # fmt: skip
    assert [row[0] for row in result.rows] == sorted(("呼和浩特", "包头", "赤峰"), reverse=True)
    assert {float(row[2]) for row in result.rows} == {100 / 3}, "the three of the small group are in no total"
    assert all(60_000 < float(row[1]) < 80_000 for row in result.rows)
    assert "阿拉善" not in str(result.texts()) and "protected figures" in " ".join(result.notes)


def test_rows_leave_where_the_owner_shows_them_filtered_and_masked(town):
    job = town.ask(ROWS)
    result = job.result()
    assert job.refresh().state == "released"
    assert [row[1] for row in result.rows] == [30_000] * 3 + [30_500] * 4, "persons 1 to 7, in steps of 500"
    assert result.columns == ("league", "income") and "These are rows" in result.notes[0]
    assert "tax.register.income (bucket 500)" in result.notes[1]
    assert str(towns.CANARY) not in str(result.texts())


def test_the_control_nobody_sees_rows_of_the_other_dataset(town):
    with pytest.raises(DarkroomError) as refusal:
        town.ask(ROWS.replace("register", "income")).result()
    assert refusal.value.code in ("sql.unsupported", "policy.denied")


def test_a_centre_that_hands_a_finish_other_tables_gets_no_key(town):
    job = town.ask(OUTER)
    job.result()
    plan = town.researcher.connection.plan(job.id)
    stages = list(plan.stages)
    stages[3] = dataclasses.replace(stages[3], inputs=stages[2].inputs)
    launcher = sandbox.LauncherClient(town.owner.launcher_socket)
    forged = dataclasses.replace(plan, stages=tuple(stages), nonce="1" * 32)
    launcher.put(forged)
    with pytest.raises(RederivationMismatch):
        launcher.run(forged.digest, Entry.QUERY, 1)


def test_limit_and_order_are_applied_to_what_is_released(town):
    result = town.ask(
        "select league, count(*) as n from tax.income group by league order by league limit 1"
    ).result()
    assert len(result.rows) == 1 and result.rows[0][0] == "包头"


def test_the_same_request_twice_is_one_job(town):
    connection = town.researcher.connection
    request = connection.request(BY_LEAGUE, project="study", purpose="A study of incomes")
    assert connection.hand_over(request).id == connection.hand_over(request).id


def test_nobody_else_can_open_the_result(town):
    job = town.ask(BY_LEAGUE)
    job.result()
    evidence = town.researcher.connection.evidence(job.id)
    keeper = town.researcher.connection.trusted_keeper("nm/tax")
    assert open_release(evidence, town.researcher.keys, keeper).rows
    with pytest.raises((EvidenceBroken, SignatureWrong)):
        open_release(evidence, town.people["li"].keys, keeper)


def test_a_result_that_was_changed_on_its_way_is_refused(town):
    job = town.ask(BY_LEAGUE)
    job.result()
    evidence = town.researcher.connection.evidence(job.id)
    keeper = town.researcher.connection.trusted_keeper("nm/tax")
    flipped = bytes([evidence.sealed[0] ^ 1]) + evidence.sealed[1:]
    with pytest.raises(HashMismatch):
        open_release(dataclasses.replace(evidence, sealed=flipped), town.researcher.keys, keeper)
    with pytest.raises(SignatureWrong):
        open_release(evidence, town.researcher.keys, keys.SigningKey.fresh().public)


def test_released_is_exactly_what_was_judged(town):
    job = town.ask(BY_LEAGUE)
    job.result()
    evidence = town.researcher.connection.evidence(job.id)
    release = Release.read(dict(evidence.release.statement.body))
    assert release.sealed == "sha256:" + hashlib.sha256(evidence.sealed).hexdigest()
    assert job.refresh().state == "released"


def test_another_members_job_is_as_unknown_as_none(town):
    job = town.ask(BY_LEAGUE)
    for number in (job.id, "0" * 20):
        with pytest.raises(DarkroomError) as refusal:
            town.people["li"].connection.view(number)
        assert refusal.value.status in (403, 404)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("select to_json(i), count(*) from tax.income i group by 1", "sql.unsupported"),
        ("select id18, count(*) as n from tax.income group by id18", "policy.denied"),
        ("select income, count(*) as n from tax.income group by income", "policy.denied"),
        ("select frm", "sql.syntax"),
        ("select count(*) as n from tax.nothing", "sql.syntax"),
        ("select count(*) as n from tax.income; select 1", "sql.syntax"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_code(town, statement, code):
    with pytest.raises(DarkroomError) as refusal:
        town.ask(statement).result()
    assert refusal.value.code == code
    assert refusal.value.next_step


def test_a_centre_that_weakens_an_obligation_gets_no_key(town):
    job = town.ask(BY_LEAGUE)
    job.result()
    plan = town.researcher.connection.plan(job.id)
    weaker = dataclasses.replace(plan.decision.obligations, minimum_group=1)
    forged = dataclasses.replace(plan, decision=dataclasses.replace(plan.decision, obligations=weaker))
    launcher = sandbox.LauncherClient(town.owner.launcher_socket)
    launcher.put(forged)
    with pytest.raises(RederivationMismatch):
        launcher.run(forged.digest, Entry.QUERY, 1)
    again = dataclasses.replace(plan, nonce="0" * 32)  # the control: the same plan, unweakened, does run
    launcher.put(again)
    assert launcher.run(again.digest, Entry.QUERY, 1).record


def test_a_revoked_grant_gives_nothing_and_the_old_one_still_counts_for_nothing(town):
    from darkroom import signing
    from plans.statements import Duty

    connection = town.people["li"].connection
    granted = town.give_grant(("league",))
    statement = signing.revocation_statement("nm/tax", granted, connection.signer(), Duty.APPROVER)
    connection.hand_in(statement)
    assert town.ask(BY_LEAGUE).result().rows, "the town's other grant still stands"


def test_a_dataset_that_is_not_there_is_not_found(town):
    with pytest.raises(NotFound):
        town.researcher.connection.describe("nm/tax/nothing")


def test_a_plan_that_needs_an_approval_waits_for_it_and_then_runs(town):
    from darkroom import signing

    town.give_grant(("league",), dataset="nm/tax/audited")
    job = town.ask("select league, count(*) as n from tax.audited group by league")
    assert until(lambda: job.refresh().state == "waiting-approval")
    li = town.people["li"].connection
    assert job.id in [waiting.id for waiting in li.jobs_to_approve()]
    plan = li.plan(job.id)
    li.hand_in(signing.approval_statement(plan, li.signer()))
    assert [row[1] for row in job.result().rows] == [200, 200, 200]


def test_an_approval_of_one_plan_does_not_serve_the_next(town):
    job = town.ask("select league, count(*) as n from tax.audited group by league")
    assert until(lambda: job.refresh().state == "waiting-approval")
    plan = town.researcher.connection.plan(job.id)
    launcher = sandbox.LauncherClient(town.owner.launcher_socket)
    launcher.put(plan)
    with pytest.raises(PolicyDenied):
        launcher.run(plan.digest, Entry.QUERY, 1)
    town.researcher.connection.cancel(job.id)
    assert job.refresh().state == "cancelled"


@pytest.mark.skipif(os.geteuid() != 0, reason="run by another than root, everything belongs to that user")
def test_data_are_the_launchers_to_link_and_nobodys_to_look_through(town):
    owner = town.owner
    user = owner.launcher_home.stat().st_uid
    assert user != 0 and sandbox.LauncherClient(owner.launcher_socket).status()["own_user"]
    files = list(owner.data.glob("*.parquet"))
    assert files and {(file.stat().st_uid, file.stat().st_mode & 0o777) for file in files} == {(user, 0o444)}
    for folder in (owner.data, owner.data / "staging", owner.run):
        status = folder.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, user, 0o710)
    assert not list((owner.data / "staging").iterdir()), "what was ingested lies there in clear no longer"


def until(what, patience_s=150):
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come in time")
