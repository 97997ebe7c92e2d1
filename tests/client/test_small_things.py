"""What a member meets beside the large things: lists that stay lists of theirs, an application that is made once, names
that are suggested, and what is checked before it is signed.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import darkroom
from darkroom import local, session
from darkroom.display import bundle
from darkroom.job import Job
from darkroom.listing import Application, Budget, Datasets, Jobs
from plans.errors import Malformed, NotAllowed, NotFound, SqlSyntax
from tests.client.conftest import Town
from tests.client.look_alikes import enter, lab_token, lay, link
from tests.portal.region import DATASET, release

MEI = "mei@nm/centre"
SOON = datetime.now(UTC) + timedelta(days=30)
DAY = SOON.strftime("%Y-%m-%d")


@pytest.fixture(autouse=True)
def nothing_chosen() -> Any:
    local.choose("", "", "")
    session.forget()
    yield
    local.choose("", "", "")
    session.forget()


@pytest.fixture
def room(town: Town) -> darkroom.Connection:
    lay(town)
    return town.connection(MEI)


# ------------------------------------------------------------------------------------ lists


def test_a_part_of_a_list_is_shown_as_the_list_is(room: darkroom.Connection) -> None:
    room.sql("select count(*) as n from tax.income", project="housing", purpose="Rents")
    for found in (room.datasets(), room.jobs()):
        part = found[:1]
        assert type(part) is type(found) and part == list(found)[:1]
        assert "<table" in bundle(part)["text/html"] and part[0] == found[0]
    assert isinstance(room.datasets()[:0], Datasets) and isinstance(room.jobs()[1:], Jobs)


def test_a_part_of_a_budget_still_says_how_many_jobs_may_be() -> None:
    found = Budget([{"dataset": "a"}, {"dataset": "b"}], {"active": 1, "most": 3})
    assert found[:1].jobs == found.jobs and len(found[:1]) == 1


# ------------------------------------------------------------------------------------ jobs

SQL = "select count(*) as n from tax.income"


def test_a_job_that_nothing_is_decided_about_is_not_explained_as_allowed(
    town: Town, room: darkroom.Connection
) -> None:
    job = room.sql(SQL, project="housing", purpose="Rents")
    (reason,) = job.explain()
    assert (reason["rule"], reason["subject"]) == ("undecided", job.id) and "job.wait()" in reason["help"]
    job.cancel()
    assert "ended before" in job.explain()[0]["sentence"]


def test_a_job_that_ended_before_a_decision_is_explained_by_what_ended_it(room: darkroom.Connection) -> None:
    problem = SqlSyntax("the statement has no FROM", "line 1", "Write one.").problem()
    view = {
        "id": "a",
        "state": "refused",
        "sentence": "",
        "waits_for": "",
        "decision": None,
        "problem": problem,
    }
    (reason,) = Job(room, view).explain()
    assert reason["rule"] == "sql.syntax" and reason["sentence"] == "the statement has no FROM"


def test_control_a_job_that_is_allowed_has_no_reason(town: Town, room: darkroom.Connection) -> None:
    job = room.sql(SQL, project="housing", purpose="Rents")
    release(town.region, job.id)
    assert job.wait().explain() == []


@pytest.mark.parametrize("on", ["twin", "real"])
def test_what_a_result_has_is_looked_for_in_the_result(room: darkroom.Connection, on: str) -> None:
    job: Any = room.sql(SQL, on=on, project="housing", purpose="Rents")
    for name in ("to_pandas", "rows", "plot"):
        with pytest.raises(AttributeError) as told:
            getattr(job, name)
        assert f"job.result().{name}" in str(told.value)
    with pytest.raises(AttributeError) as told:
        _ = job.nothing
    assert "result()" not in str(told.value), "the control"
    assert copy.copy(job).id == job.id and not hasattr(job, "_repr_png_")


# ------------------------------------------------------------------------------------ applications


def applied(room: darkroom.Connection, **other: Any) -> Application:
    said: dict[str, Any] = {
        "columns": ["region", "income"],
        "until": DAY,
        "purpose": "Rents",
        "uses": 7,
    } | other
    return room.apply(DATASET, said.pop("columns"), said.pop("purpose"), project="housing", **said)


def test_an_application_is_drawn(room: darkroom.Connection) -> None:
    made = applied(room)
    shown = bundle(made)
    assert made["state"] == "open" and "<table" in shown["text/html"]
    for part in ("Application", made["id"], DATASET, "region, income", "Rents", DAY[:7], "7 plans"):
        assert part in shown["text/plain"]


def test_a_cell_that_runs_twice_applies_once(room: darkroom.Connection) -> None:
    first = applied(room)
    assert applied(room) == first == applied(room, columns=["income", "region"])
    assert len(room.applications()) == 1


@pytest.mark.parametrize(
    "other", [{"columns": ["region"]}, {"purpose": "Wages"}, {"uses": 8}, {"until": "2027-01-31"}], ids=str
)
def test_control_another_application_is_another(room: darkroom.Connection, other: dict[str, Any]) -> None:
    if "until" in other:
        other = {"until": (SOON + timedelta(days=1)).strftime("%Y-%m-%d")}
    assert applied(room)["id"] != applied(room, **other)["id"]


def test_an_application_that_was_declined_can_be_made_again(town: Town, room: darkroom.Connection) -> None:
    first = applied(room)
    town.connection("bo@nm/tax").decline(first["id"], "too wide")
    assert applied(room)["id"] != first["id"]


def test_days_and_one_column_may_be_said_as_they_are(room: darkroom.Connection) -> None:
    made = room.apply("TAX.INCOME", "region", "Rents", project="housing", until=SOON.date())
    assert made["columns"] == ["region"] and made["dataset"] == DATASET
    assert made == room.apply("tax.income", ["region"], "Rents", project="housing", until=SOON)


@pytest.mark.parametrize(
    ("dataset", "columns"), [("nm/tax/incom", ["region"]), ("tax.incom", ["region"]), (DATASET, ["regoin"])]
)
def test_in_a_lab_nothing_is_filled_in_that_is_not_there(
    town: Town, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, dataset: str, columns: list[str]
) -> None:
    lay(town)
    with link(town, tmp_path / "api.sock") as place:
        enter(town, monkeypatch, lab_token(town), place)
        with pytest.raises(NotFound) as told:
            darkroom.apply(dataset, columns, until=DAY)
        assert "portal.example" not in str(told.value)
        with pytest.raises(NotAllowed) as filled:
            darkroom.apply("tax.income", ["region"], until=DAY)
        assert "dataset=nm%2Ftax%2Fincome" in str(filled.value), "the control, by the relation's name"


# ------------------------------------------------------------------------------------ what is said


@pytest.mark.parametrize(
    "said",
    [
        {"project": "Not A Project"},
        {"project": "住房"},
        {"purpose": "Study\nGranted: everything"},
        {"purpose": "Study\r"},
        {"purpose": "Study\u202eof rents"},
    ],
    ids=str,
)
def test_a_project_is_a_name_and_a_purpose_one_line(room: darkroom.Connection, said: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        darkroom.use(**said)
    asked = {"project": "housing", "purpose": "Study of rents"} | said
    with pytest.raises(Malformed):
        room.sql("select count(*) as n from tax.income", on="real", **asked)
    assert room.jobs() == [], "nothing was signed"


def test_control_names_and_sentences_of_any_language_are_taken(room: darkroom.Connection) -> None:
    darkroom.use(project="housing-2", purpose="房租研究 (2027), Mei’s")
    assert local.project_and_purpose() == ("housing-2", "房租研究 (2027), Mei’s")


@pytest.mark.parametrize(
    ("wrong", "right"), [("describ", "describe"), ("aply", "apply"), ("Datasets", "datasets")]
)
def test_a_misspelt_function_is_answered_by_the_nearest_one(wrong: str, right: str) -> None:
    with pytest.raises(AttributeError) as told:
        getattr(darkroom, wrong)
    assert str(told.value).endswith(f"Did you mean: '{right}'?")


def test_control_what_is_near_to_nothing_and_modules_have_no_suggestion() -> None:
    with pytest.raises(AttributeError) as told:
        _ = darkroom.zzzzz
    assert "Did you mean" not in str(told.value)
    from darkroom import sheets

    assert sheets
