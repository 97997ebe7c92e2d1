"""Promise: who looked persons up can show an auditor each of them, and cannot show others, or fewer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from darkroom import cli_looked_up
from darkroom.cli import app
from darkroom.joint_judged import Judged
from darkroom.joint_looked_up import checked, looked_up
from darkroom.joint_result import JointResult
from keeper.config import KeeperConfig
from plans.errors import EvidenceBroken, Malformed, NotFound
from plans.joint import JointPlan
from plans.joint_answer import JointAnswer
from plans.joint_evidence import JointEvidence
from plans.joint_persons import commitments, shown
from plans.released import Cell, Released, ReleasedColumn
from tests.attacks.test_joint_forms import evidence_of, roots_of
from tests.attacks.test_joint_persons import LOOKED_UP_THERE, saying
from tests.keeper import house
from tests.keeper.joint_house import OWN
from tests.keeper.joint_persons_house import ASKED, plan_of, side_of

PERSONS = ("15010219800101002X", "150102198001010028")
STRANGER = "150102197501010036"


@dataclass
class Ended:
    """A computation that looked two persons up, as its member has it: its connection, too."""

    plan: JointPlan
    table: Released
    evidence: JointEvidence

    def open_jointly(self, _: str) -> JointResult:
        answer = JointAnswer(("person",), tuple((person,) for person in PERSONS), ((False,),) * 2)
        return JointResult(answer, self.plan, judged=Judged(answer, self.table))

    def joint_evidence(self, _: str) -> JointEvidence:
        return self.evidence


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """All sides ended well."""
    settings: KeeperConfig = house.config(tmp_path_factory.mktemp("keeper"))
    plan = plan_of(side_of(settings), LOOKED_UP_THERE)
    rows = tuple((Cell(person, False),) for person in PERSONS)
    table = Released(plan.digest, (ReleasedColumn("person", "VARCHAR"),), rows, (), "7" * 32)
    return Ended(plan, table, saying(evidence_of(plan), OWN, looked_up=commitments(table, ASKED)))


def told(ended: Ended, *persons: str) -> list[str]:
    """What a member tells an auditor."""
    found = {each.person: each.salt for each in shown(ended.table, ASKED)}
    return [f"{person}={found[person]}" for person in persons]


def test_a_member_shows_one_person_or_every_question(ended: Ended) -> None:
    result = ended.open_jointly("")
    (one,) = looked_up(result, ended.evidence, " 15010219800101002x ")
    assert one.person == PERSONS[0]
    every = looked_up(result, ended.evidence)
    assert [each.person for each in every] == [*PERSONS, "", "", ""]
    assert checked(ended.evidence, [f"{one.person}={one.salt}"]) == (one,)
    assert checked(ended.evidence, [f"{each.person}={each.salt}" for each in every]) == every


@pytest.mark.parametrize("person", [STRANGER, "", " "])
def test_who_was_not_looked_up_cannot_be_shown(ended: Ended, person: str) -> None:
    with pytest.raises(NotFound):
        looked_up(ended.open_jointly(""), ended.evidence, person)


def test_of_another_table_than_the_box_left_nothing_is_shown(ended: Ended) -> None:
    """The recipient would show an auditor what nobody was committed to; it hears of it first."""
    other = saying(ended.evidence, OWN, looked_up=commitments(ended.table, ASKED)[::-1])
    with pytest.raises(EvidenceBroken, match="committed to other persons"):
        looked_up(ended.open_jointly(""), other)


LIES: dict[str, Any] = {
    "somebody else": lambda good: [f"{STRANGER}={good[0].partition('=')[2]}"],
    "nobody in place of a person": lambda good: [f"={good[0].partition('=')[2]}"],
    "a person with the salt of another": lambda good: [f"{PERSONS[0]}={good[1].partition('=')[2]}"],
    "one question twice": lambda good: [good[0], good[0]],
    "a salt of its own": lambda _: [f"{PERSONS[0]}={'7' * 64}"],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_member_cannot_show_an_auditor_other_persons_than_it_asked_about(ended: Ended, lie: Any) -> None:
    """The control: the truth."""
    good = told(ended, *PERSONS)
    with pytest.raises(EvidenceBroken, match="not what the finder"):
        checked(ended.evidence, lie(good))
    assert len(checked(ended.evidence, good)) == len(PERSONS)


@pytest.mark.parametrize("text", ["", PERSONS[0], f"{PERSONS[0]}=", f"{PERSONS[0]}=77", f"{PERSONS[0]}=salt"])
def test_what_is_no_person_and_salt_is_refused_in_words(ended: Ended, text: str) -> None:
    with pytest.raises(Malformed, match="PERSON=SALT"):
        checked(ended.evidence, [text])


def test_where_nobody_was_looked_up_there_is_nothing_to_show(ended: Ended, tmp_path: Path) -> None:
    scored = evidence_of(plan_of(side_of(house.config(tmp_path)), "own rows scored"))
    with pytest.raises(Malformed, match="nobody was looked up"):
        checked(scored, told(ended, PERSONS[0]))


def test_commands_show_and_check_it_and_say_how_many_questions_were_not_shown(
    ended: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_looked_up, "room", lambda: ended)
    words = ["joint", "show-looked-up", "0" * 20, PERSONS[1], "--format", "json"]
    made = CliRunner().invoke(app, words)
    assert made.exit_code == 0, made.output
    (one,) = json.loads(made.stdout)
    assert one["person"] == PERSONS[1] and "darkroom joint verify" in made.stderr
    file = tmp_path / "evidence"
    file.write_bytes(ended.evidence.canonical())
    roots = [word for domain, key in roots_of(ended.plan).items() for word in ("--root", f"{domain}={key}")]
    verify = ["joint", "verify", "--file", str(file), *roots, "--looked-up"]
    good = CliRunner().invoke(app, [*verify, f"{PERSONS[1]}={one['salt']}"])
    assert good.exit_code == 0, good.output
    assert PERSONS[1] in good.stderr and f"1 of the {ASKED} questions" in good.stderr
    bad = CliRunner().invoke(app, [*verify, f"{STRANGER}={one['salt']}"])
    assert bad.exit_code != 0 and STRANGER not in bad.stderr
