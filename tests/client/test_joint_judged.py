"""Opening what somebody else opened first: an inspector's table, a finder's list; each with one thing that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from darkroom import joint_asking as asking
from darkroom.joint_result import ABSENT, UNDEFINED, WITHHELD
from keys import api as keys
from keys import sealing
from plans.errors import DarkroomError, EvidenceBroken, HashMismatch
from plans.handover import padded
from plans.joint import Field, JointPlan, JointReading, JointTask, Score, ScoreFunction, Shape
from plans.joint_answer import JUDGED_INFO, OPENED_INFO, judged_bound
from plans.joint_rules import Matching, Opening
from plans.released import SUPPRESSED, Cell, Note, Released, ReleasedColumn
from tests.client.test_joint_result import World, receipt_of, world
from tests.plans.joint_examples import JOINT_SQL, JOINT_TASK

INSPECTOR, FINDER = "nm/tax", "nm/health"
INSPECTED = replace(JOINT_TASK, opening=Opening.INSPECTED, inspector=INSPECTOR)
COMMON = JointTask(JOINT_SQL, Matching.HELPER, Opening.INTERSECTION, (), helper="nm/office", finder=FINDER)
SCORED = replace(COMMON, matching=Matching.NONE, opening=Opening.SCORES, helper="")
LOOKUP = replace(SCORED, opening=Opening.RECORDS)
TABLE = (("east", "100000", "30"), ("west", "125000.5", "25"), ("north", None, None))
PERSONS = (("15010219800101001X",), ("150102198001010028",))


def planned(made: World, task: JointTask) -> JointPlan:
    """The plan of this task, asked for and signed by the member."""
    plan = made.plan
    request = replace(plan.request, statement=task.canonical().decode())
    changes: dict[str, Any] = {
        "task": task,
        "request": request,
        "request_signature": keys.sign_bytes("request", request.canonical(), made.ring.signing),
    }
    if task.finder:
        changes["reading"] = told_of_persons(plan.reading, task.opening)
        owners = {FINDER, INSPECTOR, *filter(None, (task.helper,))}
        changes["parties"] = tuple(party for party in plan.parties if party.domain in owners)
    if task.opening is Opening.SCORES:
        own, model = plan.decisions
        changes["decisions"] = (own, replace(model, identifiers="", files=model.files[:1]))
    return replace(plan, **changes)


def told_of_persons(reading: JointReading, opening: Opening) -> JointReading:
    """A reading of the same two relations that tells something of single persons."""
    own, other = (replace(portion, groups=(), operands=()) for portion in reading.portions)
    number = replace(reading.portions[1].operands[0], nullable=False)
    bare = replace(
        reading, portions=(own, other), sums=(), figures=(), outputs=("person",), shape=Shape.COMMON
    )
    if opening is Opening.SCORES:
        model = replace(other, key="", operands=(number,), bound=1)
        return replace(
            bare,
            portions=(replace(own, operands=(number,)), model),
            outputs=("person", "risk"),
            shape=Shape.SCORED,
            score=Score("risk", ScoreFunction.LOGISTIC, ((0, 0),), 4),
        )
    if opening is Opening.RECORDS:
        register = replace(other, fields=(Field("region", "region", "VARCHAR", 4),))
        return replace(bare, portions=(own, register), outputs=("person", "region"), shape=Shape.LOOKUP)
    return bare


def table(plan: JointPlan, rows: tuple[tuple[str | None, ...], ...]) -> Released:
    """A judged table; what has no value is withheld."""
    cells = tuple(tuple(SUPPRESSED if each is None else Cell(each, False) for each in row) for row in rows)
    columns = tuple(ReleasedColumn(name, "VARCHAR") for name in plan.reading.outputs)
    return Released(plan.digest, columns, cells, (Note("rounding", "Counts are multiples of 5."),), "7" * 32)


def handed(made: World, released: Released, opener: str, info: bytes = JUDGED_INFO, attempt: int = 1) -> None:
    """Let the opener's side hand a table over, and vouch for it."""
    bound = judged_bound(made.plan.digest, attempt, opener)
    content = sealing.seal(made.ring.opening.public, padded(released.canonical()), info, bound)
    opener = made.plan.handing[0]
    made.sealed = {opener: content}
    made.receipts = {
        party.domain: receipt_of(made.plan, party.domain, content if party.domain == opener else b"")
        for party in made.plan.parties
    }


def inspected() -> World:
    """An inspector's table, as it should be."""
    made = world()
    made.plan = planned(made, INSPECTED)
    handed(made, table(made.plan, TABLE), INSPECTOR)
    return made


def common() -> World:
    """A finder's list, as it should be."""
    made = world()
    made.plan = planned(made, COMMON)
    handed(made, table(made.plan, PERSONS), FINDER)
    return made


def test_an_inspected_answer_opens_with_what_was_withheld_and_rounded() -> None:
    opened = inspected().opened()
    assert opened.rows == [("east", 100_000.0, 30), ("west", 125_000.5, 25), ("north", None, None)]
    assert opened.texts()[2] == ["north", WITHHELD, WITHHELD]
    told = " ".join(opened.notes)
    for part in (
        "2 figures are withheld by the airlock of nm/tax",
        "Counts are multiples of 5.",
    ):
        assert part in told
    assert "are exact" not in told


def test_that_figures_are_withheld_is_said_only_where_some_are() -> None:
    made = inspected()
    handed(made, table(made.plan, (*TABLE[:2], ("north", "9", "10"))), INSPECTOR)
    told = " ".join(made.opened().notes)
    assert "No figure is withheld" in told and "0 figures" not in told


def test_a_figure_that_is_not_defined_is_not_called_withheld() -> None:
    made = inspected()
    released = table(made.plan, TABLE)
    rows = (*released.rows[:2], (Cell("north", False), Cell(None, False), Cell("10", False)))
    handed(made, replace(released, rows=rows), INSPECTOR)
    opened = made.opened()
    assert opened.texts()[2] == ["north", UNDEFINED, "10"]
    assert opened.answer.withheld == 0


def test_a_finder_reads_the_persons_in_common_and_nothing_is_said_of_figures() -> None:
    opened = common().opened()
    assert opened.rows == list(PERSONS)
    told = " ".join(opened.notes)
    assert "The list is exact" in told
    assert "withheld" not in told and "rounded" not in told


def told(task: JointTask, *values: str | None) -> World:
    """What a finder was told of two persons, as it should be."""
    made = world()
    made.plan = planned(made, task)
    rows = tuple((*person, value) for person, value in zip(PERSONS, values, strict=True))
    released = table(made.plan, rows)
    cells = tuple(tuple(Cell(each, False) for each in row) for row in rows)
    handed(made, replace(released, rows=cells), FINDER)
    return made


def test_scores_are_decimal_numbers_and_records_texts_or_nothing() -> None:
    scored = told(SCORED, "0.1371", "1.0000").opened()
    assert [row[1] for row in scored.answer.rows] == [Decimal("0.1371"), Decimal(1)]
    assert [row[1] for row in scored.rows] == [0.1371, 1.0], "doubles, as on look-alike data"
    assert scored.texts()[1][1] == "1.0000"
    records = told(LOOKUP, "east", None).opened()
    assert [row[1] for row in records.rows] == ["east", None]
    assert records.texts()[1][1] == ABSENT, "who is absent is not called withheld or undefined"
    for opened in (scored, records):
        assert "withheld" not in " ".join(opened.notes)
        assert opened.answer.withheld == 0


@pytest.mark.parametrize("wrong", ["0.13710", "0.137", "1.0001", "-0.0001", "NaN", "1e-4", "", None])
def test_a_score_that_is_none_of_the_statements_decimals_opens_nothing(wrong: str | None) -> None:
    assert told(SCORED, "0.1371", "0.5000").opened().rows, "the control"
    with pytest.raises(EvidenceBroken):
        told(SCORED, "0.1371", wrong).opened()


def test_a_record_that_is_longer_than_its_field_opens_nothing() -> None:
    with pytest.raises(EvidenceBroken):
        told(LOOKUP, "east", "\u5317\u4eac").opened()  # two characters, six bytes


@pytest.mark.parametrize("task", [SCORED, LOOKUP], ids=["scores", "records"])
def test_of_a_person_who_is_there_twice_or_withheld_nothing_opens(task: JointTask) -> None:
    made = told(task, "0.13", "0.13") if task is LOOKUP else told(task, "0.1300", "0.1300")
    rows = tuple((*PERSONS[0], None) for _ in PERSONS)
    for spoilt in (rows, tuple((*person, None) for person in PERSONS)):
        handed(made, table(made.plan, spoilt), FINDER)
        with pytest.raises(EvidenceBroken):
            made.opened()


def of_another_plan(made: World) -> None:
    handed(made, replace(table(made.plan, TABLE), plan="sha256:" + "e" * 64), INSPECTOR)


def of_another_opener(made: World) -> None:
    handed(made, table(made.plan, TABLE), FINDER)


def of_another_attempt(made: World) -> None:
    handed(made, table(made.plan, TABLE), INSPECTOR, attempt=2)


def sealed_as_a_servers_shares(made: World) -> None:
    handed(made, table(made.plan, TABLE), INSPECTOR, info=OPENED_INFO)


def other_bytes_than_vouched_for(made: World) -> None:
    vouched = made.receipts
    handed(made, table(made.plan, TABLE), INSPECTOR)
    made.receipts = vouched


def a_row_less(made: World) -> None:
    handed(made, table(made.plan, TABLE[:2]), INSPECTOR)


def rows_that_changed_places(made: World) -> None:
    handed(made, table(made.plan, (TABLE[1], TABLE[0], TABLE[2])), INSPECTOR)


def a_figure_that_is_no_number(made: World) -> None:
    handed(made, table(made.plan, (("east", "NaN", "30"), *TABLE[1:])), INSPECTOR)


def a_figure_of_more_digits_than_can_be_read(made: World) -> None:
    """An inspector's side made it up; Python's own reader of whole numbers would end in an error of its own."""
    handed(made, table(made.plan, (("east", "1", "3" * 5_000), *TABLE[1:])), INSPECTOR)


def a_count_that_is_not_whole(made: World) -> None:
    handed(made, table(made.plan, (("east", "1", "30.5"), *TABLE[1:])), INSPECTOR)


def another_column(made: World) -> None:
    released = table(made.plan, TABLE)
    columns = (*released.columns[:2], ReleasedColumn("m", "BIGINT"))
    handed(made, replace(released, columns=columns), INSPECTOR)


def a_servers_bytes_in_place_of_the_inspectors(made: World) -> None:
    made.sealed = {"nm/civil": next(iter(made.sealed.values()))}


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (of_another_plan, EvidenceBroken),
        (of_another_opener, EvidenceBroken),
        (of_another_attempt, EvidenceBroken),
        (sealed_as_a_servers_shares, EvidenceBroken),
        (other_bytes_than_vouched_for, HashMismatch),
        (a_row_less, EvidenceBroken),
        (rows_that_changed_places, EvidenceBroken),
        (a_figure_that_is_no_number, EvidenceBroken),
        (a_figure_of_more_digits_than_can_be_read, EvidenceBroken),
        (a_count_that_is_not_whole, EvidenceBroken),
        (another_column, EvidenceBroken),
        (a_servers_bytes_in_place_of_the_inspectors, HashMismatch),
    ],
)
def test_one_thing_that_is_wrong_with_a_table_opens_nothing(
    spoil: Callable[[World], None], expected: type[DarkroomError]
) -> None:
    made = inspected()
    assert made.opened().rows, "the control: before it is spoilt it opens"
    spoil(made)
    with pytest.raises(expected):
        made.opened()


@pytest.mark.parametrize("rows", [(PERSONS[0], PERSONS[0]), (PERSONS[0], (None,))], ids=["twice", "nobody"])
def test_a_list_in_which_somebody_is_twice_or_nobody_opens_nothing(
    rows: tuple[tuple[str | None, ...], ...],
) -> None:
    made = common()
    handed(made, table(made.plan, rows), FINDER)
    with pytest.raises(EvidenceBroken):
        made.opened()


def test_a_plan_says_who_opens_first_and_what_each_party_is() -> None:
    told = {line.label: line.value for line in asking.plan_lines(inspected().plan)}
    assert told["nm/tax"].startswith("owner, server 2, inspector;")
    assert "airlock of nm/tax sees every figure" in told["opening"]
    assert "nm/office compares pseudonyms" in told["matching"]

    told = {line.label: line.value for line in asking.plan_lines(common().plan)}
    assert told["nm/health"].startswith("owner, finder;")
    assert "nm/health learns which of its own persons" in told["opening"]
    assert "1,000 persons" in told["at most"]
    assert "at most 3, if some fail: of each nm/health may" in told["attempts"]
    assert "attempts" not in {line.label for line in asking.plan_lines(world().plan)}, (
        "of shares nobody has anything"
    )
    assert not {"smallest group", "dominance", "ring"} & set(told), "nothing is said of figures"


def test_a_plan_says_who_has_the_key_and_what_is_asked_in_secret() -> None:
    lines = {line.label: line.value for line in asking.plan_lines(told(SCORED, "0.1", "0.1").plan)}
    assert (
        "ciphertexts of 1,000 rows" in lines["nm/health computes"]
        and "has the key" in lines["nm/health computes"]
    )
    assert "has no key" in lines["nm/tax computes"]
    assert "an equation about its coefficients" in lines["opening"] and lines["opening"].startswith("scores:")
    assert "about nobody" in lines["matching"]
    assert "1,000 persons are scored" in lines["at most"]

    lines = {line.label: line.value for line in asking.plan_lines(told(LOOKUP, "a", "b").plan)}
    assert "never says for whom" in lines["nm/health computes"]
    assert "answers from at most" in lines["nm/tax computes"]
    assert lines["opening"].startswith("records:")
    assert "as many questions asked" in lines["at most"]


def test_79_an_approver_reads_who_finds_out_who_is_in_common_on_the_way() -> None:
    """Figures are all that two owners open; that one of them learns whom both have stands beside the matching, too."""
    plan = inspected().plan
    two = replace(INSPECTED, matching=Matching.DIFFIE_HELLMAN, servers=(), helper="", collector=FINDER)
    parties = tuple(each for each in plan.parties if each.domain in (FINDER, INSPECTOR))
    lines = {line.label: line.value for line in asking.plan_lines(replace(plan, task=two, parties=parties))}
    assert f"{FINDER} learns which of its own rows match, 1,000 at the most" in lines["matching"]
    assert "learns" not in {line.label: line.value for line in asking.plan_lines(plan)}["matching"]


def test_holders_of_one_table_say_what_they_send_and_who_adds_it_up() -> None:
    made = inspected()
    reading = made.plan.reading
    parts = tuple(
        replace(reading.portions[1], domain=portion.domain, relation=portion.relation)
        for portion in reading.portions
    )
    sums = tuple(
        replace(total, operands=tuple((0, operand) for _, operand in total.operands))
        for total in reading.sums
    )
    stacked = replace(reading, portions=parts, sums=sums, outputs=("mean", "n"), shape=Shape.STACKED)
    task = replace(INSPECTED, matching=Matching.NONE, servers=(), helper="", collector="nm/office")
    parties = tuple(party for party in made.plan.parties if party.domain != "nm/civil")
    plan = replace(made.plan, reading=stacked, task=task, parties=parties)
    told = {line.label: line.value for line in asking.plan_lines(plan)}
    assert told["nm/office"].startswith("collector;")
    assert "adds up at most 2,000 rows, and sends ciphertexts" in told["nm/health computes"]
    assert told["matching"].startswith("none: owners hold one table in parts")
    assert "ring" not in told
