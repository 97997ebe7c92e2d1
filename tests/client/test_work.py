"""darkroom run, component, try, code and retry, as people type them at a real portal whose dispatcher is still."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compute import images
from compute.planning import House
from compute.service import JobService
from keys import api as keys
from plans.box import Entry, Limits
from plans.checks import Mode, Privacy
from plans.errors import Malformed
from plans.request import Request, RequestKind
from plans.statements import Bundle, Duty, Type
from plans.tasks import models_of
from plans.trial import Left, Place, TrialReport
from store import api as store
from tests.client.conftest import Town, Typed
from tests.keeper import house
from tests.portal import region as regions

MEI = "mei@nm/centre"
DIGEST = "sha256:" + "ab" * 32
REAL_MODULES = images.modules
LIMITS = dict.fromkeys(Entry, Limits(512, 256, 0, 16, 30, 60, 32, 64, 2))
SETTINGS = """
entry = "main.py"
project = "housing"
purpose = "Study of rents"
[tables]
"tax.income" = ["region", "income"]
[outputs]
"t.csv" = { form = "table", persons = "n" }
"""


@pytest.fixture
def study(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and a portal that has images."""
    house = House(DIGEST, LIMITS, dict.fromkeys(Entry, (DIGEST,)), {DIGEST: "python"})
    object.__setattr__(town.region.services.jobs, "house", house)
    monkeypatch.setattr("compute.images.modules", lambda _: ("os", "pandas"))
    place = tmp_path / "study"
    place.mkdir()
    (place / "darkroom.toml").write_text(SETTINGS)
    (place / "main.py").write_text("import os\n")
    return place


def test_a_folder_is_submitted_and_the_same_command_is_another_job(study: Path, typed: Typed) -> None:
    shown = [typed(MEI, "run", str(study), "--no-wait", "--format", "json") for _ in range(2)]
    jobs = [json.loads(each.stdout) for each in shown]
    assert {job["kind"] for job in jobs} == {"python"} and jobs[0]["id"] != jobs[1]["id"]
    assert "darkroom result" in shown[0].stderr
    listed = typed(MEI, "jobs").stdout
    assert listed.count("python") == 2 and "the platform" in listed


def test_a_dry_run_says_what_would_go_and_sends_nothing(study: Path, town: Town, typed: Typed) -> None:
    shown = typed(MEI, "run", str(study), "--dry-run")
    assert "tax.income" in shown.stdout and "t.csv (table)" in shown.stdout and "1," in shown.stdout
    assert town.connection(MEI).jobs() == []


def test_a_missing_module_stops_it_on_this_machine(study: Path, town: Town, typed: Typed) -> None:
    (study / "main.py").write_text("import os\nimport torch\n")
    shown = typed(MEI, "run", str(study))
    assert shown.exit_code == 2 and "main.py:2" in shown.stderr and "No image here has it" in shown.stderr
    assert town.connection(MEI).jobs() == []


def test_an_image_that_has_disappeared_stops_it_with_what_to_do(
    study: Path, town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing lies under this digest here, as after somebody has removed the image's folder."""
    monkeypatch.setattr("compute.images.modules", REAL_MODULES)
    shown = typed(MEI, "run", str(study))
    assert shown.exit_code == 5 and "the image python has disappeared" in shown.stderr
    assert "sandbox.images build images/python" in shown.stderr and "no module" not in shown.stderr
    assert town.connection(MEI).jobs() == []


def test_a_project_and_a_purpose_must_be_said_somewhere(study: Path, typed: Typed) -> None:
    (study / "darkroom.toml").write_text(SETTINGS.replace('purpose = "Study of rents"', ""))
    shown = typed(MEI, "run", str(study))
    assert shown.exit_code == 2 and "purpose" in shown.stderr
    assert typed(MEI, "run", str(study), "--purpose", "Rents", "--no-wait").exit_code == 0


def test_a_trial_shows_everything_and_what_a_terminal_acts_on_does_nothing(
    study: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = TrialReport(
        "python.failed",
        Place("main.py", 3, "ValueError"),
        "ValueError: 7",
        "hello\nValueError: 7\n",
        (Left("t.csv", 9),),
    )
    answers = [None, report]
    monkeypatch.setattr(JobService, "attempt", lambda *_: answers.pop(0))
    shown = typed(MEI, "try", str(study))
    assert shown.exit_code == 3
    for part in ("python.failed", "main.py:3", "ValueError: 7", "hello", "t.csv, 9 bytes"):
        assert part in shown.stdout
    assert shown.stdout.count("ValueError: 7") == 1, "an exception that the program printed is shown twice"


def test_a_component_is_asked_for_by_its_parameters(study: Path, town: Town, typed: Typed) -> None:
    about = ("--project", "housing", "--purpose", "Study of rents", "--table", "tax.income", "--no-wait")
    shown = typed(MEI, "component", "describe", "columns=income", "by=region", *about, "--format", "json")
    assert json.loads(shown.stdout)["kind"] == "component"
    wrong = typed(MEI, "component", "describe", "colums=income", *about)
    assert wrong.exit_code == 2 and "columns" in wrong.stderr
    unknown = typed(MEI, "component", "describ", *about)
    assert unknown.exit_code == 2 and "describe" in unknown.stderr


def test_a_portal_that_makes_another_task_gets_no_signature(
    study: Path, town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = JobService.component

    def lying(self: JobService, name: str, parameters: Any, relations: Any) -> Any:
        task = honest(self, name, parameters, relations)
        return dataclasses.replace(task, parameters=dict(task.parameters) | {"columns": ["birth_year"]})

    monkeypatch.setattr(JobService, "component", lying)
    about = ("--project", "housing", "--purpose", "Study of rents", "--table", "tax.income", "--no-wait")
    shown = typed(MEI, "component", "describe", "columns=income", "by=region", *about)
    assert shown.exit_code == 7 and town.connection(MEI).jobs() == []


def test_the_library_is_listed_in_both_languages_and_described(study: Path, typed: Typed) -> None:
    assert "描述" in typed(MEI, "components").stdout or "统计" in typed(MEI, "components").stdout
    described = typed(MEI, "components", "describe").stdout
    assert "columns" in described and "规则" in described
    assert typed(MEI, "images").stdout.count(DIGEST) == 2


def test_a_failed_job_is_tried_again(study: Path, town: Town, typed: Typed) -> None:
    number = json.loads(typed(MEI, "run", str(study), "--no-wait", "--format", "json").stdout)["id"]
    assert typed(MEI, "retry", number).exit_code == 3
    with town.region.database.session() as session:
        store.jobs.move(session, number, "submitted", "failed")
    assert f"darkroom retry {number}" in typed(MEI, "job", number).stdout
    assert typed(MEI, "retry", number).exit_code == 0
    assert town.connection(MEI).job(number).state == "submitted"


# --- kept models -----------------------------------------------------

KEPT = {
    "job": "0a1b", "plan": DIGEST, "artifact": "fit.json", "content": "sha256:" + "cd" * 32, "member": MEI,
    "domain": "nm/tax", "project": "housing", "purpose": "Study of rents",
    "tables": {"tax.income": ["income", "region"]}, "state": "held",
}  # fmt: skip


def test_kept_models_are_listed_and_a_folder_that_names_one_signs_for_it(
    study: Path, town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobService, "models", lambda *_: (KEPT,))
    shown = typed(MEI, "models").stdout
    assert "0a1b/fit.json" in shown and "tax.income: income, region" in shown
    settings = SETTINGS.replace("[outputs]", '[models]\n"fit" = "0a1b/fit.json"\n[outputs]')
    (study / "darkroom.toml").write_text(settings)
    assert "scores with fit" in typed(MEI, "run", str(study), "--dry-run").stdout
    job = json.loads(typed(MEI, "run", str(study), "--no-wait", "--format", "json").stdout)
    with town.region.database.reading() as session:
        request = Request.decode(store.jobs.get(session, job["id"]).request.encode())
    (model,) = models_of(request)
    assert (model.name, model.plan, model.content) == ("fit", DIGEST, KEPT["content"])


def test_a_trial_of_a_folder_that_names_a_model_asks_for_none(
    study: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    (study / "darkroom.toml").write_text(
        SETTINGS.replace("[outputs]", '[models]\n"fit" = "9f/x.json"\n[outputs]')
    )
    monkeypatch.setattr(JobService, "attempt", lambda *_: TrialReport("", None, "", "well", ()))
    assert typed(MEI, "try", str(study)).exit_code == 0


# --- components of datasets whose figures leave with noise -----------------------------------------------------

ABOUT = ("--project", "housing", "--purpose", "Study of rents", "--table", "tax.income")
ASKED = (
    'SELECT "region", count("income") AS income_rows, sum("income") AS income_total, avg("income") AS income_mean'
    ' FROM tax.income WHERE "region" IS NOT NULL GROUP BY "region" ORDER BY "region"'
)


def put_in_force(town: Town, mode: Mode) -> None:
    """Have the owner publish its policies, with the lineage of incomes in this mode."""
    privacy = Privacy(rho_micro=1_000_000, period_days=30) if mode is Mode.PRIVATE else None
    policy = replace(house.INCOME_POLICY, dataset=regions.DATASET, mode=mode, privacy=privacy)
    body = Bundle(regions.OWNER, 1, (policy,))
    signed = keys.sign(keys.Draft(Type.BUNDLE, regions.OWNER, Duty.STEWARD, body), keys.SigningKey.fresh())
    said = signed.statement
    row = store.StatementRow(
        said.digest, said.type.value, said.domain, said.signer, "", signed.canonical().decode(), 1
    )
    with town.region.database.session() as session:
        store.statements.add(session, row)


def described(town: Town, statement: str) -> None:
    """Ask for incomes by region in a program."""
    asked = {"columns": ["income"], "by": "region"}
    town.connection(MEI).component(
        "describe", asked, ["tax.income"], project="housing", purpose="Study of rents", statement=statement
    )


def requests(town: Town) -> list[Request]:
    with town.region.database.reading() as session:
        return [Request.decode(row.request.encode()) for row in store.jobs.of_member(session, MEI)]


def test_a_component_of_private_data_is_asked_as_a_statement_that_the_member_reads(
    study: Path, town: Town, typed: Typed
) -> None:
    put_in_force(town, Mode.PRIVATE)
    parts = ("describe", "columns=income", "by=region")
    unread = typed(MEI, "component", *parts, *ABOUT, "--no-wait")
    assert unread.exit_code == 2 and ASKED in unread.stderr and "--statement" in unread.stderr
    assert requests(town) == []
    (study / "meant.sql").write_text(ASKED + "\n")
    meant = ("--statement", str(study / "meant.sql"))
    shown = typed(MEI, "component", *parts, *ABOUT, *meant, "--no-wait", "--format", "json")
    assert json.loads(shown.stdout)["kind"] == "sql" and ASKED in shown.stderr
    (request,) = requests(town)
    assert request.kind is RequestKind.SQL and request.statement == ASKED
    assert town.connection(MEI).asked_as("describe", {"columns": ["income"]}, ["tax.income"])


def test_a_component_that_is_no_statement_stays_one_and_is_decided_on(
    study: Path, town: Town, typed: Typed
) -> None:
    put_in_force(town, Mode.PRIVATE)
    typed(MEI, "component", "k-means", "features=income", *ABOUT, "--no-wait")
    assert [request.kind for request in requests(town)] == [RequestKind.COMPONENT]


def test_the_same_component_of_data_in_the_mode_rules_runs(study: Path, town: Town, typed: Typed) -> None:
    """The control: the mode decides, not the component."""
    put_in_force(town, Mode.RULES)
    typed(MEI, "component", "describe", "columns=income", *ABOUT, "--no-wait")
    assert [request.kind for request in requests(town)] == [RequestKind.COMPONENT]
    assert town.connection(MEI).asked_as("describe", {"columns": ["income"]}, ["tax.income"]) == ""


@pytest.mark.parametrize("says", [True, False])
def test_at_a_terminal_the_statement_is_shown_and_only_a_typed_yes_signs_it(
    study: Path, town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch, says: bool
) -> None:
    put_in_force(town, Mode.PRIVATE)
    monkeypatch.setattr("darkroom.terminal._answers_can_be_typed", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: says)
    shown = typed(MEI, "component", "describe", "columns=income", "by=region", *ABOUT, "--no-wait")
    assert ASKED in shown.stderr
    assert [request.statement for request in requests(town)] == ([ASKED] if says else [])


def test_in_a_program_the_error_says_the_statement_and_giving_it_signs_it(study: Path, town: Town) -> None:
    put_in_force(town, Mode.PRIVATE)
    for given in ("", ASKED.lower()):
        with pytest.raises(Malformed) as told:
            described(town, given)
        assert ASKED in str(told.value)
    assert requests(town) == []
    described(town, ASKED)
    assert [request.statement for request in requests(town)] == [ASKED]


def test_a_component_that_runs_as_it_is_stands_for_no_statement(study: Path, town: Town) -> None:
    put_in_force(town, Mode.RULES)
    with pytest.raises(Malformed):
        described(town, ASKED)
    assert requests(town) == []


class Lie:
    """What a lying portal says of a component: which of its parameters name keys, and which figures."""

    def __init__(self, keys: tuple[str, ...], figures: tuple[str, ...]) -> None:
        self.keys, self.figures = keys, figures

    def plain(self) -> dict[str, object]:
        told: dict[str, object] = dict.fromkeys(("left_out", "left_out_zh"), "")
        return told | {"keys": list(self.keys), "figures": list(self.figures), "cells": False}


def test_a_portal_that_swaps_keys_and_figures_gets_no_signature(
    study: Path, town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member asks for incomes by region; the portal would have it sign for regions by income."""
    put_in_force(town, Mode.PRIVATE)
    parts = ("component", "describe", "columns=income", "by=region", *ABOUT, "--no-wait")
    (study / "meant.sql").write_text(ASKED)
    meant = ("--statement", str(study / "meant.sql"))
    honest = JobService.asking
    monkeypatch.setattr(JobService, "asking", lambda *_: Lie(("columns",), ("by",)))
    for given in ((), meant):
        shown = typed(MEI, *parts, *given)
        assert shown.exit_code == 2 and 'GROUP BY "income"' in shown.stderr
    assert requests(town) == []
    monkeypatch.setattr(JobService, "asking", honest)
    assert typed(MEI, *parts, *meant).exit_code == 0 and len(requests(town)) == 1


def test_a_portal_that_shows_one_statement_and_makes_another_gets_no_signature(
    study: Path, town: Town, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked twice: for what is shown, and for what is signed."""
    put_in_force(town, Mode.PRIVATE)
    monkeypatch.setattr("darkroom.terminal._answers_can_be_typed", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda *_, **__: True)
    parts = ("component", "describe", "columns=income", "by=region", *ABOUT, "--no-wait")
    told = [Lie(("by",), ("columns",)), Lie(("columns",), ("by",))]
    monkeypatch.setattr(JobService, "asking", lambda *_: told.pop(0))
    assert typed(MEI, *parts).exit_code == 2 and requests(town) == [] and not told
    told += [Lie(("by",), ("columns",)), Lie(("by",), ("columns",))]
    assert typed(MEI, *parts).exit_code == 0 and len(requests(town)) == 1, "the control: it tells one thing"


LIES = [("birth_year",), ('income") FROM tax.income; --',), ("project",)]


@pytest.mark.parametrize("named", LIES)
def test_a_portal_cannot_have_a_column_signed_for_that_the_member_did_not_name(
    study: Path, town: Town, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]
) -> None:
    monkeypatch.setattr(JobService, "asking", lambda *_: Lie(named, ("columns",)))
    connection = town.connection(MEI)
    try:
        told = connection.asked_as("describe", {"columns": ["income"]}, ["tax.income"])
    except Malformed:
        return
    assert told == (
        'SELECT count("income") AS income_rows, sum("income") AS income_total, avg("income") AS income_mean'
        " FROM tax.income"
    )
