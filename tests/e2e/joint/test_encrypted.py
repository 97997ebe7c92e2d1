"""Computations on ciphertexts and hidden lookups, from a statement to the opened answer, through all processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compute.joint_evidence import looked_up
from darkroom import joint_looked_up
from darkroom.joint_asking import verified
from darkroom.joint_result import JointResult
from examples.encrypted.data import MODEL
from examples.encrypted.stories import BANKER, REGISTRATION, SCORES, STORIES
from examples.encrypted.truth import differing
from examples.joint.stories import OPERATOR, Story
from plans.errors import DarkroomError
from plans.joint_persons import commitment, row_salt
from tests.e2e import hunt
from tests.e2e.joint_more import OF_PERSONS
from tests.e2e.joint_town import JointTown

pytestmark = [pytest.mark.box]

LINEAR = replace(
    SCORES,
    title="How far in arrears, as a sum of points?",
    statement=(
        "select a.person, round(m.base + a.income * m.income + a.debt * m.debt\n"
        "                       + a.age * m.age + a.children * m.children, 3) as points\n"
        "from bank.applicants a cross join tax.risk_model m"
    ),
)
"""The same model without the curve."""

ASKED = STORIES | {"linear": LINEAR}

Answers = dict[str, tuple[str, JointResult]]


@pytest.fixture(scope="module")
def answers(town: JointTown) -> Answers:
    """Every story's number and opened answer."""
    return {name: town.answer(story) for name, story in ASKED.items()}


@pytest.mark.parametrize("name", ASKED)
def test_every_story_answers_as_duckdb_and_is_verified_from_root_keys_on(
    town: JointTown, answers: Answers, name: str
) -> None:
    story, (number, result) = ASKED[name], answers[name]
    files = town.folder / "files"
    assert differing(story, result, files) == 0
    answer = result.answer
    less = replace(result, answer=replace(answer, rows=answer.rows[1:], suppressed=answer.suppressed[1:]))
    assert differing(story, less, files) == 1, "the control: a row that is missing is found"
    assert any(cell is not None for row in result.rows for cell in row[1:]), "the control: something is told"
    asker, opener = town.asker(story), story.task.inspector or story.task.finder
    assert set(asker.joint_results(number)["sealed"]) == {opener}, "nobody else hands anything over"
    receipts = verified(asker.joint_evidence(number), town.roots())
    assert {receipt.party for receipt in receipts if receipt.sealed} == {opener}
    assert {receipt.party for receipt in receipts} == set(story.parties)


def test_the_parameters_of_ciphertexts_and_lookups_are_told_with_their_reasons(
    town: JointTown, answers: Answers
) -> None:
    for name, (number, _) in answers.items():
        reasons = town.asker(ASKED[name]).joint_plan(number).scheme.reasons
        assert reasons and all(reasons), name


def test_nobody_but_the_bank_and_the_register_has_ever_seen_who_was_looked_up(
    town: JointTown, answers: Answers
) -> None:
    _, result = answers["registration"]
    person = next(str(row[0]) for row in result.rows if row[1] is not None)
    site = town.agencies.site
    places = [site.centre, site.run, *(owner.folder for owner in town.agencies.owners)]
    assert hunt.in_files(places, hunt.patterns_of_text(person)) == []
    assert hunt.in_files([town.folder / "files"], hunt.patterns_of_text(person)), (
        "the control: in the sources"
    )


def test_the_log_is_committed_to_whom_the_bank_looked_up_and_tells_nobody_else(
    town: JointTown, answers: Answers
) -> None:
    number, result = answers["registration"]
    evidence = town.asker(REGISTRATION).joint_evidence(number)
    held = looked_up(evidence)
    assert len(held) == 3, "as many as LIMIT says, however few persons there were"
    assert result.judged is not None
    table = result.judged.table
    shown = [
        commitment(str(row[0].v).encode(), row_salt(table, place)) for place, row in enumerate(table.rows)
    ]
    assert shown and set(shown) < set(held)
    every = joint_looked_up.looked_up(result, evidence)
    assert [each.commitment for each in every] == list(held)
    texts = [f"{each.person}={each.salt}" for each in every]
    assert joint_looked_up.checked(evidence, texts) == every, "an auditor is shown every question"
    with pytest.raises(DarkroomError):
        joint_looked_up.checked(evidence, [f"{every[0].person}={every[1].salt}"])
    other = replace(table, salt="0" * 32)
    assert commitment(str(table.rows[0][0].v).encode(), row_salt(other, 0)) not in held, "the control"


def test_no_coefficient_of_the_model_reaches_the_bank_or_the_centre(
    town: JointTown, answers: Answers
) -> None:
    assert answers["scores"][1].rows
    site, bank = town.agencies.site, town.agencies.site.owner("nm/bank")
    for value in (MODEL["income"], MODEL["debt"]):
        patterns = hunt.patterns_of_text(value)
        assert hunt.in_files([site.centre, site.run, bank.folder, bank.data], patterns) == []
        assert hunt.in_files([town.folder / "files"], patterns), "the control: it is in the source"


@pytest.mark.parametrize("story", OF_PERSONS, ids=["scores", "records"])
def test_only_whose_persons_they_are_is_told_of_them(town: JointTown, story: Story) -> None:
    """Else a bureau would have a bank's applicants scored, or ask a register about them."""
    asked = {"project": story.project, "purpose": story.purpose}
    with pytest.raises(DarkroomError, match="no member of it"):
        town.agencies.people[OPERATOR].connection.explain_jointly(story.task, **asked)
    other = story.registers[1].domain
    with pytest.raises(DarkroomError, match="whose persons are scored or looked up"):
        town.agencies.people[BANKER].connection.explain_jointly(replace(story.task, finder=other), **asked)
    told = town.agencies.people[BANKER].connection.explain_jointly(story.task, **asked)
    assert told.sights, "the control: the bank for itself"


def test_more_persons_than_questions_end_it_before_anything_is_asked(town: JointTown) -> None:
    """A couple applied, and one question is asked: who of both would be told must not be chance."""
    number = town.planned(REGISTRATION.statement.replace("limit 3", "limit 1"), REGISTRATION)
    town.approve(number, *REGISTRATION.parties)
    found = town.until(number, "released", "refused", "failed", story=REGISTRATION)
    assert (found["state"], found["problem"]["where"]) == ("refused", "extract@nm/bank"), found["problem"]
    with pytest.raises(DarkroomError):
        town.asker(REGISTRATION).joint_results(number)
