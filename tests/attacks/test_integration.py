"""Attacks on the whole: what each room allows by itself, put together to reach one person or one engine's say."""

from __future__ import annotations

import datetime
import hashlib
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from airlock.rules import Judgement, Stamp, judge
from inside import table
from plans import canonical, frames
from plans.box import Entry, Input
from plans.checks import Checks
from plans.errors import BoxFailed, Malformed, NotFound, OutputRefused, SqlUnsupported
from plans.key import BoxKeys, SealedKeys
from plans.plan import Plan, PlanKind
from plans.statements import Signed, StageRecord
from tests.inside.sql_cases import Job, read
from tests.keeper import house
from tests.plans import examples
from tests.sandbox.conftest import check, open_home, probe_image, probe_images
from tests.sandbox.side import WAITS, go_on
from tests.sandbox.test_launcher import HAND_OVER, cancelled, eventually, launched, side, sql_plan

__all__ = ["check", "open_home", "probe_image", "probe_images", "side"]  # fixtures of the tests of sandbox

CANARY = 777_123.0
BORN = datetime.date(1941, 7, 3)
PEOPLE = [
    (person, "西" if person == 1 else "东", 20 + person % 3, CANARY if person == 1 else 1000.0 + person,
     Decimal("12.30"), BORN if person == 1 else datetime.date(1980, 1, 1), person % 3 == 0)
    for person in range(1, 201)
]  # fmt: skip


UNWEIGHED = Checks(dominance_largest=0, p_percent=0)
"""The one person holds nearly the whole total: dominance would withhold it too, and hide what a control shows."""


def asked(folder: Path, statement: str, checks: Checks | None = None) -> Judgement:
    """What a member gets for a statement: read, run, re-encoded and judged with a minimum group of ten."""
    job = Job(folder, {"tax.income": PEOPLE})
    reading = read(statement)
    session = job.session(reading)
    program, decision = session.plan.program, session.plan.decision
    assert program is not None and decision is not None and decision.obligations is not None
    handed = canonical.encode({"tables": job.run_all(reading)})
    (found,) = table.read_tables(handed, program.tables, salted=False).tables
    obligations = decision.obligations if checks is None else replace(decision.obligations, checks=checks)
    return judge(found, program, obligations, Stamp(examples.digest("a"), examples.NONCE))


def shown(judgement: Judgement) -> list[str | None]:
    assert judgement.released is not None
    return [cell.v for row in judgement.released.rows for cell in row]


# --- 24, 30: one figure that is the difference of two large groups --------------------------------------------

WITH, WITHOUT = "urban or region = '西'", "urban"
"""Two conditions that many persons fulfil, and that differ by one person."""

DIFFERENCES = [
    f"sum((case when {WITH} then income else 0 end) - (case when {WITHOUT} then income else 0 end))",
    f"sum((case when {WITH} then 1 else 0 end) - (case when {WITHOUT} then 1 else 0 end))",
    f"sum(-(case when {WITHOUT} then income else 0 end) + (case when {WITH} then income else 0 end))",
    f"avg(income + (case when {WITH} then 1e9 else 0 end) + (case when {WITHOUT} then -1e9 else 0 end))",
    f"stddev((case when {WITH} then 1e9 else 0 end) - (case when {WITHOUT} then 1e9 else 0 end))",
    f"sum(income * (case when {WITH} then 1e6 else 1e-6 end) * (case when {WITHOUT} then 1e-6 else 1 end))",
    f"sum(coalesce(case when {WITH} then income end, 0) - coalesce(case when {WITHOUT} then income end, 0))",
    f"count((case when {WITH} then 1 else 0 end) * (case when {WITHOUT} then null else 1 end))",
]


@pytest.mark.parametrize("figure", DIFFERENCES)
def test_30_no_figure_is_the_difference_of_two_conditions(figure: str) -> None:
    with pytest.raises(SqlUnsupported, match="computed with each other"):
        read(f"select {figure} as f from tax.income")


def test_30_one_case_with_all_combinations_counts_the_one_person(tmp_path: Path) -> None:
    """The control: what is refused can be asked in the form that is counted, and then one person is found out."""
    branches = f"when {WITHOUT} then 0 when {WITH} then income else 0"
    assert shown(asked(tmp_path, f"select sum(case {branches} end) as f from tax.income")) == [None]
    large = "select sum(case when urban then income else 0 end) as f from tax.income"
    (figure,) = shown(asked(tmp_path, large))
    assert figure is not None and Decimal(figure) > 0


def test_30_control_uncounted_the_difference_is_one_persons_income(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from policies.reading import operators

    monkeypatch.setattr(operators, "chooses", lambda _: False)
    (figure,) = shown(asked(tmp_path, f"select {DIFFERENCES[0]} as f from tax.income", UNWEIGHED))
    assert figure is not None and abs(Decimal(figure) - Decimal(CANARY)) < 100_000


# --- 30: a condition inside a function ------------------------------------------------------------------------

HIDDEN = [
    "sum(date_diff('day', date '1900-01-01', case when region = '西' then born else date '1900-01-02' end))",
    "avg(year(case when region = '西' then date '9000-01-01' else born end))",
    "count(distinct date_trunc('year', case when region = '西' then date '9000-01-01' else born end))",
    "sum(month(coalesce(case when region = '西' then born end, date '2000-01-01')))",
    "count(distinct region = '西')",
    "count(case when region = '西' then 1 end is null)",
]


@pytest.mark.parametrize("figure", HIDDEN)
def test_30_no_function_hides_the_branches_of_a_case_from_the_count(figure: str) -> None:
    with pytest.raises(SqlUnsupported):
        read(f"select {figure} as f from tax.income")


def test_30_a_function_in_each_branch_is_counted(tmp_path: Path) -> None:
    """The control: in that form the branch of one person is seen, and of many persons allowed."""
    branch = "select sum(case when {} then year(born) else 0 end) as f from tax.income"
    assert shown(asked(tmp_path, branch.format("region = '西'"))) == [None]
    assert shown(asked(tmp_path, branch.format("urban"))) != [None]


def test_30_dates_and_plain_columns_in_functions_are_allowed() -> None:
    assert read("select avg(year(born + interval 3 month)) as f, count(urban) as n from tax.income")
    assert read("select avg(date_diff('day', born, date '2020-01-01') / 365.25) as age from tax.income")
    assert read("select sum(income - case when urban then 10 else 0 end) as f from tax.income")


# --- 30: a condition made of powers -----------------------------------------------------------------------------

POWERS = [
    "sum(income * (age - 20.001) * (age - 21.001) * (age - 22.001))",
    "sum(income * income * income * income)",
    "avg((year(born) - 1980.1) * (year(born) - 1980.2))",
    "sum((income + paid) * (income - paid))",
    "sum(income / income * 21 - age)",
]


@pytest.mark.parametrize("figure", POWERS)
def test_30_no_power_of_a_column_makes_one_row_outweigh_all(figure: str) -> None:
    with pytest.raises(SqlUnsupported, match="itself"):
        read(f"select {figure} as f from tax.income")


def test_30_no_power_comes_from_joining_a_relation_with_itself() -> None:
    with pytest.raises(SqlUnsupported, match="itself"):
        read("select sum(a.age * b.age) as f from tax.income a join tax.income b using (person)")


def test_30_control_uncounted_a_power_shows_the_one_birth_year(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from policies.reading import operators

    monkeypatch.setattr(operators, "_is_power", lambda _: False)
    one_of_many = "sum(income * (year(born) - 1980.001) * (year(born) - 1980.001) * (year(born) - 1980.001))"
    (figure,) = shown(asked(tmp_path, f"select {one_of_many} as f from tax.income", UNWEIGHED))
    assert figure is not None and abs(Decimal(figure) / Decimal(-(39.001**3) * CANARY) - 1) < Decimal("0.1")


def test_30_products_of_different_columns_are_allowed() -> None:
    assert read("select sum(income * paid) as f, sum(paid * (1 - income)) as g from tax.income")


# --- the centre at a launcher's socket, and a box that was taken over -------------------------------------------

NAMED = """
def run(session):
    (session.out / {name!r}).write_bytes(b"")
    return {{}}
"""


@pytest.mark.box
@pytest.mark.parametrize("name", ["zhang-san-777123-li-si-1002", "table"])
def test_a_taken_over_query_box_tells_nothing_by_names_of_its_outputs(side, probe_image, name: str) -> None:
    """Names, hashes and sizes of outputs stand in the record, which the centre reads."""
    plan = sql_plan(probe_image.digest, NAMED.format(name=name))
    with launched(side):
        side.client.put(plan)
        with pytest.raises(OutputRefused) as refusal:
            side.client.run(plan.digest, Entry.QUERY, 1)
    assert "zhang" not in str(refusal.value.problem())


@pytest.mark.box
def test_control_the_output_that_the_next_stage_takes_is_collected(side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, NAMED.format(name="rows"))
    with launched(side):
        side.client.put(plan)
        record = StageRecord.read(side.client.run(plan.digest, Entry.QUERY, 1).record.statement.body)
    assert [output.name for output in record.outputs] == ["rows"]


LOOK = """
from pathlib import Path
def run(session):
    return {"saw": [path.read_text() for path in Path("/in").iterdir()]}
"""


@pytest.mark.box
def test_nobody_reads_a_file_that_is_staged_in_clear_with_a_check(side, check) -> None:
    """A check needs no key, so whoever reaches the socket could run one beside the file that is being ingested."""
    folder = side.config.data_folder / "staging"
    folder.mkdir()
    (folder / "source").write_text("the rows")
    (folder / "source").chmod(0o444)
    found = Input("source", "sha256:" + hashlib.sha256(b"the rows").hexdigest())
    plan = check(LOOK)
    with pytest.raises(Malformed):
        replace(plan, stages=(replace(plan.stages[0], inputs=(found,)),))
    curious = plan.plain()
    curious["stages"][0]["inputs"] = [found.plain()]
    with launched(side):
        side.client.put(plan)
        with pytest.raises(Malformed):
            frames.ask(side.config.socket, {"op": "put", "plan": curious})
        record = side.client.run(plan.digest, Entry.CHECK, 1).record  # the control: the check itself does run
    assert StageRecord.read(record.statement.body).report == {"saw": []}


@pytest.mark.box
def test_a_query_is_not_given_what_is_staged_and_an_ingest_is(side, probe_image) -> None:
    folder = side.config.data_folder / "staging"
    folder.mkdir()
    (folder / "source").write_text("the rows")
    (folder / "source").chmod(0o444)
    found = Input("source", "sha256:" + hashlib.sha256(b"the rows").hexdigest())
    query = sql_plan(probe_image.digest, "def run(session): return {}", query_inputs=(found,))
    spec = replace(query.stages[0], entry=Entry.INGEST)
    ingest = Plan(
        PlanKind.INGEST,
        "nm/tax",
        None,
        "",
        None,
        None,
        "def run(session): return {}",
        (spec,),
        query.nonce,
        0,
    )
    with launched(side):
        side.client.put(query)
        side.owner.put(ingest)
        with pytest.raises(NotFound):
            side.client.run(query.digest, Entry.QUERY, 1)
        assert side.owner.run(ingest.digest, Entry.INGEST, 1).record


@pytest.mark.box
def test_a_check_that_was_cancelled_once_can_be_run_again(side, check) -> None:
    """A check is the same plan for everybody: one kill, kept for ever, would end a statement for all."""
    plan = check(WAITS)
    with launched(side):
        side.client.put(plan)
        asking = threading.Thread(target=lambda: pytest.raises(BoxFailed, run_check, side, plan))
        asking.start()
        eventually(lambda: cancelled(side.client, plan))
        asking.join()
        letting = threading.Thread(target=go_on, args=(side,))
        letting.start()
        assert StageRecord.read(run_check(side, plan).statement.body).report == {"went": 1}
        letting.join()


THIRD = HAND_OVER.replace(
    '    assert session.read("rows")',
    "    if session.stage == 'judge':\n"
    "        (session.out / 'release.bin').write_bytes(b'sealed')\n"
    '        return {}\n    assert session.read("rows")',
)


@pytest.mark.box
def test_65_what_stages_hand_over_does_not_outlive_its_use(side, probe_image) -> None:
    """It holds groups that nobody was shown, and its keys come from the keyring even when the version is erased."""
    plan = sql_plan(probe_image.digest, THIRD)
    collected = side.config.home / "collected"
    with launched(side):
        side.client.put(plan)
        for stage in (Entry.QUERY, Entry.PARSE):
            side.client.run(plan.digest, stage, 1)
        assert {file.name for file in collected.rglob("*") if file.is_file()} == {"rows", "table"}, "control"
        judged = side.client.run(plan.digest, Entry.JUDGE, 1).record
        assert {file.name for file in collected.rglob("*") if file.is_file()} == {"release.bin"}
        assert side.client.run(plan.digest, Entry.PARSE, 1).record, "what was answered stays the answer"
        assert side.client.run(plan.digest, Entry.JUDGE, 1).record == judged


@pytest.mark.box
def test_65_a_stage_that_failed_for_good_leaves_nothing_handed_over(side, probe_image) -> None:
    plan = sql_plan(probe_image.digest, THIRD.replace('session.write("table", b"table")', "1 / 0"))
    with launched(side):
        side.client.put(plan)
        side.client.run(plan.digest, Entry.QUERY, 1)
        with pytest.raises(BoxFailed):
            side.client.run(plan.digest, Entry.PARSE, 1)
    assert not [file for file in (side.config.home / "collected").rglob("*") if file.is_file()]


def run_check(side, plan: Plan) -> Signed:
    return side.client.run(plan.digest, Entry.CHECK, 1).record


# --- the centre at a keeper's socket ----------------------------------------------------------------------------


def test_78_an_ordered_ingest_is_run_once(tmp_path: Path) -> None:
    """A launcher's status names the plan; the centre could have it run again, for copies that no manifest knows."""
    settings = house.config(tmp_path)
    house.build(settings)
    keeper = house.start(settings)
    house.believe(keeper, *house.house_statements(house.grant()))
    sql = house.plan(keeper.trusted)
    spec = replace(sql.stages[0], entry=Entry.INGEST)
    order = Plan(PlanKind.INGEST, sql.domain, None, "", None, None, "{}", (spec,), sql.nonce, sql.made_at)
    keeper.expect_ingest(order, BoxKeys({}, {"a": "00" * 32}, "11" * 32))

    def ask(attempt: int) -> SealedKeys:
        challenge = keeper.challenge(order.digest)
        return keeper.unwrap(house.box(order, challenge, Entry.INGEST, attempt=attempt), order)

    with pytest.raises(NotFound):
        ask(2)
    assert ask(1).lease, "control: the one attempt that the desk ordered"
