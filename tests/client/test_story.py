"""A member's way from signing in to an opened result, and an approver's, through a real portal."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from typer.testing import CliRunner

import darkroom
from darkroom import SUPPRESSED, cli, session, terminal
from darkroom.connection import Connection
from plans.errors import NotFinished, PolicyDenied
from plans.statements import Type
from store import api as store
from tests.client.conftest import PASSPHRASE, Town, Typed
from tests.portal.region import DATASET, OWNER, let_wait, refuse, release

MEI, BO = "mei@nm/centre", "bo@nm/tax"
UNTIL = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
ASK = ("--project", "housing", "--purpose", "Study of rents")
SQL = "select region, count(*) as n from tax.income group by region"


def test_from_an_application_to_an_opened_result(town: Town, typed: Typed) -> None:
    assert DATASET in typed(MEI, "datasets").stdout
    assert "sensitive" in typed(MEI, "describe", DATASET).stdout
    applied = typed(MEI, "apply", DATASET, "--columns", "region,income", "--until", UNTIL, *ASK)
    assert applied.exit_code == 0
    number = applied.stdout.strip()

    spoken = json.loads(typed(MEI, "keys", "show", "--format", "json").stdout)["fingerprint"]
    approved = typed(BO, "approve", number, "--fingerprint", spoken, "--yes", "--format", "json")
    assert approved.exit_code == 0
    digest = json.loads(approved.stdout)["digest"]
    for said in (MEI, "region, income", "Study of rents", town.region.keys[MEI].opening.public, digest):
        assert said in approved.stderr
    assert digest in town.region.owners.sets[OWNER].grants
    assert json.loads(typed(MEI, "grants", "--format", "json").stdout)[0]["state"] == "in force"

    submitted = typed(MEI, "sql", SQL, *ASK, "--no-wait")
    job = submitted.stdout.strip()
    release(town.region, job)
    typed(MEI, "trust", OWNER, "--keeper-key", town.region.keeper.public)
    shown = typed(MEI, "result", job)
    assert shown.exit_code == 0 and "Baotou" in shown.stdout and SUPPRESSED in shown.stdout
    assert "3 rows, 2 columns, 1 cells suppressed" in shown.stderr and "fewer than 10" in shown.stderr
    plain = json.loads(typed(MEI, "result", job, "--format", "json").stdout)
    assert plain["rows"] == [["Baotou", 1250], ["Hohhot", None], [None, 35]]
    assert plain["suppressed"] == [[False, False], [False, True], [False, False]]

    assert typed(BO, "revoke", digest, "--yes").exit_code == 0
    assert town.region.owners.sets[OWNER].revoked == {digest}
    assert json.loads(typed(MEI, "grants", "--format", "json").stdout)[0]["state"] == "revoked"


def test_from_python(town: Town) -> None:
    room = town.connection(MEI)
    room.trust_keeper(OWNER, town.region.keeper.public)
    job = room.sql(SQL, project="housing", purpose="Study of rents")
    assert (job.state, job.waits_for, job.finished) == ("submitted", "the platform", False)
    release(town.region, job.id)
    seen: list[str] = []
    result = job.wait(progress=lambda found: seen.append(found.state)).result()
    assert seen == ["submitted", "released"]
    assert result.columns == ("region", "n") and result.rows[1] == ("Hohhot", None)
    table = result.to_arrow(suppressed=True)
    assert table.schema.field("n").type == pyarrow.int64()
    assert table.column("n_suppressed").to_pylist() == [False, True, False]
    assert table.column("region_suppressed").to_pylist() == [False] * 3
    assert list(result.to_pandas().columns) == ["region", "n"] and list(result.to_pandas().n.isna()) == [
        False,
        True,
        False,
    ]
    assert [each.id for each in room.jobs()] == [job.id]


def test_waiting_follows_a_job_that_moves(town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, view = threading.Event(), Connection.view

    def looked(self: Connection, *about: Any, **how: Any) -> dict[str, Any]:
        if "wait_s" in how:
            waits.set()
        return view(self, *about, **how)

    monkeypatch.setattr(Connection, "view", looked)
    room = town.connection(MEI)
    job = room.sql(SQL, project="housing", purpose="Study of rents")
    mover = threading.Thread(target=lambda: (waits.wait(60), release(town.region, job.id)))
    mover.start()
    shown = typed(MEI, "result", job.id, "--keeper-key", town.region.keeper.public)
    mover.join()
    assert shown.exit_code == 0
    assert "submitted: The request is being read" in shown.stderr and "released: " in shown.stderr


def test_waiting_has_an_end_and_the_job_goes_on(town: Town) -> None:
    job = town.connection(MEI).sql(SQL, project="housing", purpose="Study of rents")
    with pytest.raises(NotFinished):
        job.wait(timeout=0.2)


def test_a_refusal_says_the_rule_and_what_would_help(town: Town, typed: Typed) -> None:
    room = town.connection(MEI)
    job = room.sql(SQL, project="housing", purpose="Study of rents")
    refuse(town.region, job.id)
    with pytest.raises(PolicyDenied):
        job.result()
    shown = typed(MEI, "result", job.id)
    assert shown.exit_code == 3 and "policy.denied" in shown.stderr and shown.stdout == ""
    explained = typed(MEI, "explain", job.id)
    assert "no-grant" in explained.stdout and "darkroom apply" in explained.stdout
    assert (
        json.loads(typed(MEI, "explain", job.id, "--format", "json").stdout)["reasons"][0]["rule"]
        == "no-grant"
    )


def test_an_approver_reads_the_whole_plan_before_signing(town: Town, typed: Typed) -> None:
    job = town.connection(MEI).sql(SQL, project="housing", purpose="Study of rents")
    plan = let_wait(town.region, job.id)
    assert job.id in typed(BO, "applications").stdout
    looked = typed(BO, "approve", job.id, "--dry-run")
    said = (
        plan.digest,
        SQL,
        "count(DISTINCT person)",
        "10 persons",
        town.region.keys[MEI].opening.public,
        "tax.income",
    )
    for each in said:
        assert each in looked.stderr
    assert town.region.owners.heard == []
    assert typed(BO, "approve", job.id).exit_code == 2  # nobody there to say yes
    assert town.region.owners.heard == []
    assert typed(BO, "approve", job.id, "--yes").exit_code == 0
    assert [signed.statement.type for signed in town.region.owners.heard] == [Type.APPROVAL]


def test_dry_runs_change_nothing(town: Town, typed: Typed) -> None:
    room = town.connection(MEI)
    number = room.apply(DATASET, ["region"], "Study of rents", project="housing", until=UNTIL)["id"]
    job = room.sql(SQL, project="housing", purpose="Study of rents").id
    before = (room.applications(), [each.view for each in room.jobs()])
    for name, *arguments in (
        (MEI, "apply", DATASET, "--columns", "region", "--until", UNTIL, *ASK),
        (BO, "approve", number),
        (BO, "decline", number, "--reason", "no"),
        (BO, "revoke", "sha256:" + "1" * 64),
        (MEI, "sql", SQL, *ASK),
        (MEI, "cancel", job),
        (MEI, "trust", OWNER),
        (MEI, "keys", "make"),
    ):
        done = typed(name, *arguments, "--dry-run")
        assert done.exit_code == 0 and done.stdout == "" and done.stderr
    assert before == (room.applications(), [each.view for each in room.jobs()])
    assert room.trusted_keeper(OWNER) is None


def test_declining_tells_the_member_why(town: Town, typed: Typed) -> None:
    number = town.connection(MEI).apply(
        DATASET, ["region"], "Study of rents", project="housing", until=UNTIL
    )["id"]
    assert typed(BO, "decline", number, "--reason", "Ask for regions only").exit_code == 0
    assert town.connection(MEI).application(number)["reason"] == "Ask for regions only"


def test_looking_at_jobs_and_cancelling_one(town: Town, typed: Typed) -> None:
    job = typed(MEI, "sql", SQL, *ASK, "--no-wait").stdout.strip()
    assert job in typed(MEI, "jobs").stdout and "the platform" in typed(MEI, "jobs").stdout
    assert typed(MEI, "cancel", job).exit_code == 0
    shown = typed(MEI, "job", job)
    assert "cancelled" in shown.stdout and "submitted" in shown.stdout
    assert typed(MEI, "cancel", job).exit_code == 3
    ended = typed(MEI, "result", job)
    assert ended.exit_code == 3 and "state.conflict" in ended.stderr


def test_a_keeper_is_trusted_on_first_use_only_after_a_yes(
    town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = town.connection(MEI).sql(SQL, project="housing", purpose="Study of rents")
    release(town.region, job.id)
    assert typed(MEI, "result", job.id).exit_code == 2  # nobody is there to compare the key
    monkeypatch.setattr(terminal, "_answers_can_be_typed", lambda: True)
    variables = {"DARKROOM_HOME": str(town.home(MEI).folder), "DARKROOM_PASSPHRASE": PASSPHRASE}
    for answer, exit_code in (("\n", 2), ("n\n", 2), ("y\n", 0)):
        assert town.home(MEI).keeper(OWNER) is None
        done = CliRunner().invoke(cli.app, ["result", job.id], input=answer, env=variables)
        assert done.exit_code == exit_code and town.region.keeper.public in done.stderr
    assert town.home(MEI).keeper(OWNER) == town.region.keeper.public and "Baotou" in done.stdout


def test_a_statement_comes_from_a_file_or_from_standard_input(
    town: Town, typed: Typed, tmp_path: Path
) -> None:
    (tmp_path / "ask.sql").write_text(SQL)
    assert typed(MEI, "sql", "--file", str(tmp_path / "ask.sql"), *ASK, "--no-wait").exit_code == 0
    variables = {"DARKROOM_HOME": str(town.home(MEI).folder), "DARKROOM_PASSPHRASE": PASSPHRASE}
    done = CliRunner().invoke(cli.app, ["sql", "-", *ASK, "--no-wait"], input=SQL, env=variables)
    assert done.exit_code == 0
    with town.region.database.reading() as session:
        asked = [json.loads(row.request)["statement"] for row in store.jobs.of_member(session, MEI)]
    assert asked == [SQL, SQL]


def test_the_module_asks_with_the_profile_of_the_command(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_HOME", str(town.home(MEI).folder))
    monkeypatch.setenv("DARKROOM_PASSPHRASE", PASSPHRASE)
    session.forget()
    assert [each["dataset"] for each in darkroom.datasets()] == [DATASET]
    assert darkroom.describe(DATASET)["grade"] == "general-3" and darkroom.grants() == []
    assert darkroom.sql(SQL, project="housing", purpose="Study of rents").state == "submitted"
    token = town.home(MEI).profile().token
    assert darkroom.connect(town.url, token=token).member == MEI
