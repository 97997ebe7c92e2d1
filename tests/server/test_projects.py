"""Projects as an operator makes them: who is in, with which profiles, until when; and every change is in the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audit import api as audit
from plans.errors import DarkroomError, Malformed, NotFound, StateConflict
from server import enrolment
from server.cli import app
from server.projects import end_of, last_day
from server.site import open_site

MEI, BO = "mei@nm/centre", "bo@nm/tax"
SAID = ("--title", "Rents", "--title-zh", "租金", "--purpose", "Study of rents")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    site = enrolment.found_site(tmp_path / "home", 8470)
    enrolment.add_member(site, MEI, ["researcher"], "a password of mei")
    enrolment.add_member(site, BO, ["approver"], "a password of bo")
    return site.home


def typed(home: Path, *words: str) -> Any:
    return CliRunner().invoke(app, ["project", *words, "--home", str(home)])


def refused(home: Path, *words: str) -> DarkroomError:
    answer = typed(home, *words)
    assert isinstance(answer.exception, DarkroomError), answer.output
    return answer.exception


def listed(home: Path) -> list[dict[str, Any]]:
    return json.loads(typed(home, "list", "--json").stdout)


def test_a_project_is_made_listed_and_changed(home: Path) -> None:
    made = typed(
        home, "add", "housing", *SAID, "--member", MEI, "--profile", "small", "--until", "2099-12-31"
    )
    assert made.exit_code == 0 and "1 member" in made.stdout
    (project,) = listed(home)
    assert project == {
        "project": "housing", "title": "Rents", "title_zh": "租金", "purpose": "Study of rents", "members": [MEI],
        "profiles": ["small"], "until": "2099-12-31",
    }  # fmt: skip
    typed(home, "change", "housing", "--add", BO, "--remove", MEI, "--profile", "strong", "--until", "never")
    (project,) = listed(home)
    assert (project["members"], project["profiles"], project["until"]) == ([BO], ["strong"], "never")
    assert project["purpose"] == "Study of rents", "what is not said stays"
    assert "housing  Rents" in typed(home, "list").stdout


def test_a_member_who_cannot_work_in_labs_is_pointed_out(home: Path) -> None:
    answer = typed(home, "add", "housing", *SAID, "--member", MEI, "--member", BO)
    assert answer.exit_code == 0 and f"{BO} is neither" in answer.stderr and MEI not in answer.stderr
    assert set(listed(home)[0]["profiles"]) == {"small", "strong"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--member", "nobody@nm"), NotFound), (("--profile", "huge"), Malformed), (("--until", "soon"), Malformed),
        (("--until", "9999-12-31"), Malformed), (("--purpose", "two\nlines"), Malformed), (("--title", ""), Malformed),
        (("--purpose", "x" * 501), Malformed), (("--title-zh", " 租"), Malformed),
    ],
)  # fmt: skip
def test_a_project_that_says_something_impossible_is_not_made(
    home: Path, words: tuple[str, ...], error: type[DarkroomError]
) -> None:
    assert type(refused(home, "add", "housing", *SAID, *words)) is error
    assert listed(home) == []


def test_names_are_plain_and_taken_once(home: Path) -> None:
    assert type(refused(home, "add", "../housing", *SAID)) is Malformed
    typed(home, "add", "housing", *SAID)
    assert type(refused(home, "add", "housing", *SAID)) is StateConflict
    assert type(refused(home, "change", "other", "--title", "x")) is NotFound
    assert type(refused(home, "change", "housing", "--remove", MEI)) is Malformed


def test_every_change_is_in_the_log_with_who_came_and_went(home: Path) -> None:
    typed(home, "add", "housing", *SAID, "--member", MEI)
    typed(home, "change", "housing", "--remove", MEI)
    refused(home, "change", "housing", "--remove", MEI)
    log = audit.Log.open(open_site(home).audit)
    events = [each for each in log.events(0, log.size) if each.action.startswith("project.")]
    log.close()
    assert [event.action for event in events] == ["project.added", "project.changed"]
    assert events[0].details["added"] == MEI and events[1].details["removed"] == MEI


@pytest.mark.parametrize("day", ["2024-02-29", "2099-12-31"])
def test_a_day_ends_with_the_day(day: str) -> None:
    assert last_day(end_of(day)) == day and end_of(day) % 86_400 == 0


def test_without_an_end_there_is_none() -> None:
    assert end_of("never") == 0 and last_day(0) == "never"
