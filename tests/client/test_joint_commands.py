"""What `darkroom joint ask` and `result` do with what a person types, and say of what comes back."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
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


@pytest.mark.parametrize("option", ["--form", "--format"])
def test_a_word_that_an_option_does_not_know_is_refused_with_those_that_it_knows(
    room: Room, option: str
) -> None:
    made = ask("", option, "bogus")
    assert made.exit_code == 2 and room.asked == []
    assert f"Invalid value for '{option}': 'bogus' is not one of '" in made.output, "and nothing before it"


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


def form(*options: str) -> Result:
    return typed("ask", "--project", "p", "--purpose", "q", *options)


SIZE = ("--form", "intersection-size", "--of", "tax.income,health.visits", "--servers", "nm/a,nm/b,nm/c")


def test_a_form_shows_its_statement_and_asks_it_only_after_a_yes(room: Room) -> None:
    silent = form(*SIZE)
    assert silent.exit_code != 0 and room.asked == [], "nobody said yes"
    assert "FROM tax.income t1 JOIN health.visits t2 USING (person)" in " ".join(silent.stderr.split())
    made = form(*SIZE, "--yes")
    assert made.exit_code == 0, made.output
    (task,) = room.asked
    assert task.statement in made.stderr
    assert (task.matching, task.opening) == (Matching.DIFFIE_HELLMAN, Opening.OBLIVIOUS)


def test_the_plan_of_a_form_is_shown_without_a_yes_and_nothing_is_asked(room: Room) -> None:
    made = form(*SIZE, "--dry-run")
    assert made.exit_code == 0, made.output
    assert "Nobody was asked" in made.stderr


def test_the_example_on_the_page_of_forms_can_be_typed(room: Room) -> None:
    page = (Path(__file__).parents[2] / "docs" / "joint-forms.md").read_text("utf-8")
    (example,) = re.findall(r"^darkroom joint (ask --form .*?)^```", page, re.MULTILINE | re.DOTALL)
    made = typed(*shlex.split(example.replace("\\\n", "")), "--yes")
    assert made.exit_code == 0, made.output
    assert 'GROUP BY t1."region"' in room.asked[0].statement


def test_a_lookup_is_asked_without_sql(room: Room) -> None:
    made = form(
        "--form", "lookup", "--of", "own.cases,civil.register", "--columns", "region,status", "--limit", "5",
        "--where", "case_no = 17", "--where", "kind = 'A'", "--finder", "nm/own", "--yes",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    (task,) = room.asked
    assert (task.opening, task.finder) == (Opening.RECORDS, "nm/own")
    assert """WHERE t1."case_no" = 17 AND t1."kind" = 'A' LIMIT 5""" in task.statement


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--form", "nonsense"), "nonsense"),
        (("--of", "a.x,b.y", "--servers", "nm/a,nm/b,nm/c"), "blanks of a form, and none is named"),
        (("select 1", *SIZE), "Leave the SQL out"),
        ((*SIZE, "--finder", "nm/a"), "Leave --finder out"),
        ((*SIZE, "--columns", "tax.income.tax"), "Leave --columns out"),
        (("--form", "common", "--of", "a.x,b.y", "--servers", "nm/a,nm/b,nm/c"), "as finder"),
    ],
)
def test_words_that_do_not_fit_a_form_are_named_and_nothing_is_asked(
    room: Room, options: tuple[str, ...], told: str
) -> None:
    made = form(*options, "--yes")
    assert made.exit_code != 0 and room.asked == []
    assert told in " ".join(made.output.split())


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
