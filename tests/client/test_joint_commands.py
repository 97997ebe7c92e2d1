"""What `darkroom joint ask` and `result` do with what a person types, and say of what comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from darkroom import cli_joint
from darkroom.cli import app
from darkroom.joint_result import JointResult
from plans.joint import JointPlan, JointTask
from plans.joint_rules import Matching, Opening
from plans.statements import Approval, Statement
from tests.client.test_joint_judged import LOOKUP, SCORED, inspected, told
from tests.client.test_joint_result import World

STACKED = "select sum(v) as s from (select v from a.x union all select v from b.y) t"
Typed = Callable[..., Result]


class Room:
    """A connection that remembers what it was asked for, and answers from a world that has ended."""

    def __init__(self, made: World) -> None:
        self.made, self.asked, self.signed = made, list[JointTask](), list[Statement]()

    def explain_jointly(self, task: JointTask, **_: str) -> JointPlan:
        self.asked.append(task)
        return self.made.plan

    def ask_jointly(self, task: JointTask, **_: str) -> dict[str, Any]:
        self.asked.append(task)
        return {"id": "0" * 20}

    def joint_plan(self, _: str) -> JointPlan:
        return self.made.plan

    def trusted_keeper(self, domain: str) -> str:
        return self.made.keepers[domain].public

    def me(self) -> dict[str, Any]:
        return {"domain": "nm/tax", "roles": ["approver"]}

    def signer(self) -> str:
        return "ed25519:" + "1" * 64

    def hand_in(self, statement: Statement) -> None:
        self.signed.append(statement)

    def wait_jointly(self, *_: object) -> dict[str, Any]:
        return {"state": "released"}

    def open_jointly(self, _: str) -> JointResult:
        return self.made.opened()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Room:
    """The connection of whoever types."""
    found = Room(inspected())
    monkeypatch.setattr(cli_joint, "room", lambda: found)
    return found


def typed(*words: str) -> Result:
    return CliRunner().invoke(app, ["joint", *words])


def ask(statement: str, *options: str) -> Result:
    return typed("ask", statement, "--project", "p", "--purpose", "q", *options)


def test_a_person_asks_for_a_table_in_parts_by_its_words_and_two_names(room: Room) -> None:
    made = ask(STACKED, "--collector", "nm/adder", "--inspector", "nm/a")
    assert made.exit_code == 0, made.output
    (task,) = room.asked
    assert (task.matching, task.opening, task.servers) == (Matching.NONE, Opening.INSPECTED, ())
    assert (task.collector, task.inspector) == ("nm/adder", "nm/a")


def test_who_is_missing_is_said_and_nothing_is_asked(room: Room) -> None:
    made = ask("select person from a.x join b.y using (person)")
    assert made.exit_code != 0
    assert "Name three servers; a finder" in made.output
    assert room.asked == []


def test_a_dry_run_shows_who_sees_figures_first_and_asks_nobody(room: Room) -> None:
    made = ask("select 1", "--servers", "nm/a,nm/b,nm/c", "--inspector", "nm/a", "--dry-run")
    assert made.exit_code == 0, made.output
    text = " ".join(made.output.split())
    assert "inspector" in text and "sees every figure" in text
    assert "Nobody was asked" in text


@pytest.mark.parametrize(
    ("statement", "opening"),
    [
        ("select a.person, round(m.w * a.x, 2) as s from a.x a cross join b.m m", Opening.SCORES),
        ("select c.person, r.v from a.x c left join b.y r using (person) limit 3", Opening.RECORDS),
    ],
)
def test_scores_and_lookups_are_asked_with_a_finder_and_nothing_else(
    room: Room, statement: str, opening: Opening
) -> None:
    made = ask(statement, "--finder", "nm/a")
    assert made.exit_code == 0, made.output
    (task,) = room.asked
    assert (task.matching, task.opening, task.finder) == (Matching.NONE, opening, "nm/a")
    assert ask(statement, "--finder", "nm/a", "--helper", "nm/office").exit_code != 0
    assert len(room.asked) == 1


@pytest.mark.parametrize(
    ("made", "shown"),
    [(told(SCORED, "0.1371", "1.0000"), "1.0000"), (told(LOOKUP, "east", None), "(nothing)")],
    ids=["scores", "records"],
)
def test_what_is_told_of_persons_is_shown_and_programs_read_it_too(
    room: Room, made: World, shown: str
) -> None:
    room.made = made
    table, plain = typed("result", "0" * 20), typed("result", "0" * 20, "--format", "json")
    assert (table.exit_code, plain.exit_code) == (0, 0), table.output + plain.output
    assert shown in table.stdout
    rows = json.loads(plain.stdout)["rows"]
    assert rows[1][1] == (None if shown == "(nothing)" else shown)


def test_a_result_marks_what_an_airlock_withheld_and_programs_read_it_too(room: Room) -> None:
    shown = typed("result", "0" * 20)
    assert shown.exit_code == 0, shown.output
    assert "(withheld)" in shown.output and "2 figures are withheld" in shown.output
    plain = CliRunner().invoke(app, ["joint", "result", "0" * 20, "--format", "json"]).stdout
    read = json.loads(plain)
    assert read["rows"][2] == ["north", None, None]
    assert read["suppressed"][2] == [False, True, True]


def test_79_who_approves_reads_who_would_see_what_wherever_the_answer_goes(room: Room) -> None:
    """An approver whose output goes to a program reads the table beside the question, and the program no table."""
    made = typed("approve", "0" * 20, "--yes", "--format", "json")
    assert made.exit_code == 0, made.output
    (statement,) = room.signed
    assert json.loads(made.stdout) == {"digest": statement.digest, "type": "approval"}
    assert Approval.read(statement.body).plan == room.made.plan.digest
    for sight in room.made.plan.sights:
        assert sight.what in made.stderr
