"""ATTACKS A: statements of a member who wants more than figures about groups.

Every statement goes through the checker box's program, both readers; the ones that could only be tried on data
run in the query box's program over files with canaries, and every channel that leaves the box is searched.
"""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
import pytest

from airlock.rules import Table, protect
from inside import __main__ as program
from inside import check, finish, query
from inside.evidence import Wish, gather
from inside.session import BoxFailure
from plans import frames
from plans.box import Entry, Limits
from plans.decision import Obligations, Tier
from plans.errors import Malformed, SqlUnsupported
from plans.reading import Clause, Role, Shadow, ShadowColumn
from tests.attacks.sql_attacks import ATTACKS, CANARY, CANARY_NUMBER
from tests.drawn import without_drawn
from tests.inside.sql_cases import INCOME, SHADOWS, VISIT, Job, create, read
from tests.inside.test_check import session


def attacks() -> list[object]:
    """One case for each line, named by the attack's number in the list and its place among them."""
    lines = [line.partition("|") for line in ATTACKS.strip().splitlines()]
    return [
        pytest.param(statement.strip().replace("\\n", "\n"), id=f"{number.strip()}-{n}")
        for n, (number, _, statement) in enumerate(lines)
    ]


@pytest.mark.parametrize("statement", attacks())
def test_statement_is_refused_before_anything_runs(statement: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(statement)
    assert CANARY not in str(refused.value) and "Error:" not in str(refused.value)
    report = check.run(session(statement))
    assert set(report) == {"refused"}


HARMLESS = """
select count(*) from tax.income
select region, count(*) from tax.income group by region
select avg(income) from tax.income where region = 'read_csv; drop table' and age > 3
select region as "Region", sum(income) from tax.income group by 1 -- a comment
select i.region, avg(v.cost) from tax.income i join med.visit v using (person) group by 1
SELECT COUNT(*) FROM TAX.INCOME;
"""


@pytest.mark.parametrize("statement", HARMLESS.strip().splitlines())
def test_control_a_harmless_statement_passes(statement: str) -> None:
    report = check.run(session(statement))
    assert set(report) == {"reading"}
    assert read(statement).outputs


# ------------------------------------------------------------------------------------------ on data


def people(secret: str = CANARY) -> list[tuple[object, ...]]:
    """Thirty persons; one of them has a region that nobody else has, and the canary number as income."""
    rows: list[tuple[object, ...]] = [
        (n, "east", 30, 1000.0 + n, 1, "1980-01-01", True) for n in range(2, 31)
    ]
    return [(1, secret, 97, float(CANARY_NUMBER), 1, "1980-01-01", False), *rows]


def channels(job: Job, statement: str) -> bytes:
    """All that a query box lets out in clear: its frames, and the names and bytes of its files."""
    out = io.BytesIO()
    try:
        frames.write(out, {"report": query.run(job.session(read(statement)))})
    except BoxFailure as failure:
        frames.write(out, {"failure": {"code": failure.code, "facts": dict(failure.facts)}})
    files = [path for path in job.folder.rglob("*") if path.is_file()]
    return out.getvalue() + b"".join(str(path).encode() + path.read_bytes() for path in files)


ERRORS = [
    "select sum(age * 2000000000) as s from tax.income",
    "select count(*) as n from tax.income where cast(income * 1e300 as integer) = 1",
    "select count(*) as n from tax.income where cast(income as smallint) = 1",
    "select cast(income as decimal(4, 1)) as k, count(*) as n from tax.income group by 1",
    "select count(*) as n from tax.income where born + interval 999999 year > born",
    "select count(*) as n from tax.income where age = 'x'",
    "select sum(cast(income * 1e308 * 1e308 as double)) / 0 as s from tax.income where region = 'CANARY-OF-SQL'",
]


@pytest.mark.parametrize("statement", ERRORS)
def test_20_an_engines_error_carries_no_value(tmp_path: Path, statement: str) -> None:
    seen = channels(Job(tmp_path, {"tax.income": people()}), statement)
    assert CANARY.encode() not in seen and str(CANARY_NUMBER).encode() not in seen


def raw(statement: str, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """What the engine answers to the member's own statement."""
    with duckdb.connect(":memory:") as connection:
        connection.execute(query.NO_INFINITIES)
        create(connection, INCOME, rows)
        return connection.execute(statement).fetchall()


def test_20_control_the_engine_itself_tells_the_value() -> None:
    """What the box swallows is there to be swallowed."""
    with pytest.raises(duckdb.Error, match=str(CANARY_NUMBER)):
        raw(ERRORS[2], people())


def crowd(age: int, income: float = 1000.0, paid: float = 1.0) -> list[tuple[object, ...]]:
    """Thirty persons alike, and one of another age, income and tax."""
    rows = [(n, "east", 30, 1000.0, 1, "1980-01-01", True) for n in range(2, 32)]
    return [(1, "east", age, income, paid, "1980-01-01", True), *rows]


RICH = crowd(2_000_000_000, 1e200)
FAIL = [
    "select sum(age * 2) as f from tax.income",
    "select sum(- (age + 2000000000)) as f from tax.income",
    "select sum(age * 3 + 1) as f, avg(age * 3 + 2) as g from tax.income",
    "select count(age * 2) as f from tax.income where age * 2 > 5",
    "select count(*) as f from tax.income where cast(age as smallint) % 7 >= 0",
    "select count(*) as f from tax.income where region = 'east' and not cast(income as bigint) = 3",
    "select sum(case when cast(age as smallint) % 7 > 3 then 1 end) as f from tax.income",
    "select sum(case when age > 3 then age * 2 else 1 end) as f from tax.income where cast(age as smallint) > 0",
    "select age * 2 as k, count(*) as f from tax.income where cast(age as smallint) > 1 group by 1",
    "select count(*) as f from tax.income where born + interval 3 month > born and age * 2 % 7 >= 0",
    "select stddev(income) as f from tax.income",
    "select sum(age * 2 / paid) as f from tax.income",
]


@pytest.mark.parametrize("statement", FAIL[:3])
def test_21_one_person_who_makes_a_row_fail_is_one_person_fewer_and_no_failure(
    tmp_path: Path, statement: str
) -> None:
    with pytest.raises(duckdb.Error):
        raw(statement, RICH)
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    reading = read(statement)
    with_them = Job(tmp_path / "a", {"tax.income": RICH}).run(reading)["rows"]
    without = Job(tmp_path / "b", {"tax.income": RICH[1:]}).run(reading)["rows"]
    position = len(reading.outputs) + reading.outputs[0].persons
    assert with_them[0][: len(reading.outputs)] == without[0][: len(reading.outputs)]
    assert with_them[0][position] == without[0][position]


@pytest.mark.parametrize("statement", FAIL)
def test_21_no_row_stops_the_counted_statement(tmp_path: Path, statement: str) -> None:
    with pytest.raises(duckdb.Error):
        raw(statement, RICH)
    assert Job(tmp_path, {"tax.income": RICH}).run(read(statement))["rows"]


def test_21_control_what_the_engine_shares_is_computed_outside_the_attempt() -> None:
    """Why the query box switches this part of the engine's optimiser off."""
    counted = read(FAIL[2]).counted
    with pytest.raises(duckdb.Error):
        raw(counted, RICH)


def test_21_a_key_that_fails_is_null_like_any_unknown_key(tmp_path: Path) -> None:
    reading = read("select age * 2 as k, count(*) as f from tax.income group by 1")
    rows = Job(tmp_path, {"tax.income": RICH}, minimum_group=1).run(reading)["rows"]
    assert sorted(rows, key=str) == [[60, 30, 30], [None, 1, 1]]


def test_21_infinity_tells_no_more_than_a_failure(tmp_path: Path) -> None:
    """DOUBLE overflows to infinity: it would mark a figure in which one person is rich."""
    statement = "select sum(income * 1e200) as f from tax.income"
    assert raw(statement, RICH) == [(float("inf"),)]
    reading = read("select sum(income * 1e90) as f from tax.income")
    assert Job(tmp_path, {"tax.income": RICH}).run(reading)["rows"][0][1:3] == [31, 30]


@pytest.mark.parametrize(
    "statement",
    [
        "select sum(age) * sum(age) as f from tax.income",
        "select 1000000000000000000 * count(*) as f from tax.income",
        "select sum(income) * 1e250 as f from tax.income",
        "select sum(cast(paid as decimal(38, 2))) as f from tax.income",
        "select count(*) as f from tax.income where cast(age as decimal(30, 2)) > 3",
    ],
)
def test_21_figures_that_could_overflow_are_refused(statement: str) -> None:
    with pytest.raises(SqlUnsupported, match="overflow|disguise"):
        read(statement)


@pytest.mark.parametrize("figure", ["100 * sum(age) / count(*)", "sum(age) / sum(paid)", "100.0 * count(*)"])
def test_21_control_shares_and_percentages_are_read(figure: str) -> None:
    assert read(f"select {figure} as f from tax.income").outputs


def test_22_a_statement_of_ten_megabytes_costs_nothing() -> None:
    report = check.run(session("select count(*) from tax.income where region = '" + "x" * 10_000_000 + "'"))
    assert report["refused"]["code"] == "value.too-large"


def test_23_the_result_carries_no_name_that_a_member_could_fill() -> None:
    reading = read("select region, count(*) as n, avg(income) from tax.income group by 1")
    assert [output.name for output in reading.outputs] == ["region", "n", "avg_income"]
    assert {output.type for output in reading.outputs if output.role is Role.FIGURE} == {"BIGINT", "DOUBLE"}


# ------------------------------------------------------------- B: one person, isolated inside a figure

ISOLATED = [
    "select sum(case when region = 'CANARY-OF-SQL' then income else 0 end) as f from tax.income",
    "select sum(case when region = 'CANARY-OF-SQL' then 0 else income end) as f from tax.income",
    "select avg(case when region = 'CANARY-OF-SQL' then income end) as f from tax.income",
    "select count(case when region = 'CANARY-OF-SQL' then 1 end) as f from tax.income",
    "select count(distinct case when region = 'CANARY-OF-SQL' then age end) as f from tax.income",
    "select sum(income * case when age = 97 then 1 else 0 end) as f from tax.income",
    "select sum(income + case when age = 97 then 1000000 else 0 end) as f from tax.income",
    "select sum(age - 30) * 2 as f from tax.income where age = 97",
    "select sum((age - 30) * income) as f from tax.income",
    "select sum((age - 30) * income + 1) as f from tax.income",
    "select stddev(case when urban then 1 else 0 end) as f from tax.income",
    "select 100 * sum(case when not urban then 1 else 0 end) / count(*) as f from tax.income",
    "select sum(coalesce(case when urban then null else income end, 0)) as f from tax.income",
]


@pytest.mark.parametrize("statement", ISOLATED)
def test_30_a_figure_that_isolates_one_person_says_that_it_rests_on_one(
    tmp_path: Path, statement: str
) -> None:
    reading = read(statement)
    row = Job(tmp_path, {"tax.income": people()}, minimum_group=1).run(reading)["rows"][0]
    assert row[1 + reading.outputs[0].persons] == 1


@pytest.mark.parametrize("figure", ["sum(income)", "avg(income)", "count(*)", "sum(age)", "stddev(paid)"])
def test_30_control_a_figure_about_all_rests_on_all(tmp_path: Path, figure: str) -> None:
    reading = read(f"select {figure} as f from tax.income")
    row = Job(tmp_path, {"tax.income": people()}).run(reading)["rows"][0]
    assert row[1 + reading.outputs[0].persons] == 30


def test_28_rows_of_one_person_are_one_person(tmp_path: Path) -> None:
    rows = [(1, "east", 30, 1000.0, 1, "1980-01-01", True)] * 500
    reading = read("select region, count(*) as n, avg(paid) as p from tax.income group by 1")
    ((*found, total, _net, first, second),) = Job(tmp_path, {"tax.income": rows}, minimum_group=1).run(
        reading
    )["rows"]
    assert found == ["east", 500, "1.0", 1]
    assert (total, first, second) == ("500.0", "500.0", "0.0")  # and one person dominates


# ------------------------------------------------------------------- statements of several SELECTs, on data

TEN = Obligations(10, 5, 1_000, Tier.T1)


def answer(statement: str, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """What a split statement gives: its tables over the rows, the airlock's rules, its finish over what is left."""
    reading = read(statement)
    with duckdb.connect(":memory:") as connection, duckdb.connect(":memory:") as outside:
        connection.execute(query.NO_INFINITIES)
        create(connection, INCOME, rows)
        create(connection, VISIT, [])
        tables = []
        for cells in reading.tables:
            found = gather(connection, cells, Wish(TEN.minimum_group, 1_000, "")).rows
            values = tuple(tuple(repr(v) if isinstance(v, float) else v for v in row) for row in found)
            tables.append(protect(Table(values), cells, TEN))
        finish.create_tables(outside, tables, [cells.outputs for cells in reading.tables])
        return outside.execute(reading.finish).fetchall()


def test_19_an_extreme_is_read_by_name_for_its_owner_to_refuse() -> None:
    """Only a constraint that names the aggregate allows it (tests/policies/test_constraints.py)."""
    for figure, name in (
        ("min(income)", "min"),
        ("max(income)", "max"),
        ("median(income)", "median"),
        ("quantile_disc(income, 0.5)", "quantile_disc"),
        ("quantile_cont(income, 0.95)", "quantile_cont"),
    ):
        for statement in (
            f"select {figure} from tax.income",
            f"select {figure} + 0 as f from tax.income",
            f"with x as (select person, income from tax.income) select {figure} as f from x",
            f"select count(*) n from tax.income having {figure} > 3",
        ):
            uses = {(use.column, use.clause, use.function) for use in read(statement).uses}
            assert ("income", Clause.AGGREGATE, name) in uses, statement


def test_19_an_extreme_that_few_have_says_that_it_rests_on_them(tmp_path: Path) -> None:
    reading = read("select max(age - 30) as f, max(case when urban then 0 else 1 end) as g from tax.income")
    row = Job(tmp_path, {"tax.income": people()}).run(reading)["rows"][0]
    assert [row[2 + output.persons] for output in reading.outputs] == [30, 1]


SEVERAL = [
    "with x as (select person, case when region = 'CANARY-OF-SQL' then income else 0 end as v from tax.income)"
    " select sum(v) + 0 as f from x",
    "select sum(income) filter (where age = 97) + 0 as f from tax.income",
    "with a as (select sum(income) s from tax.income), b as (select sum(income) s from tax.income where age < 97)"
    " select a.s - b.s - 0 as f from a, b where a.s - b.s > 987654000",
    "select region, sum(income) s from tax.income group by rollup (region) having count(*) < 5",
    "select region, count(*) n from tax.income group by region having count(*) = 1",
    "select region, n from (select region, count(*) n from tax.income group by region) order by n limit 1",
    "select region from tax.income group by region except select 'east'",
    "select string_agg(region, ',') as f from (select region, count(*) n from tax.income group by region)"
    " having string_agg(region, ',') like '%CANARY%'",
    "select region, first_value(region) over (order by count(*)) as f from tax.income group by region"
    " qualify f like 'CANARY%'",
    "select (select sum(income) from tax.income where age = 97) as f, count(*) n from tax.income group by 'x'",
]


@pytest.mark.parametrize("statement", SEVERAL)
def test_25_no_outer_part_finds_what_is_suppressed_inside(statement: str) -> None:
    """Whatever it compares, orders, subtracts or collects: it looks at what could have been released."""
    try:
        found = answer(statement, people())
    except Malformed:
        return
    text = without_drawn(repr(found))
    assert CANARY not in text and "9876" not in text


def test_25_control_the_engine_itself_finds_it() -> None:
    found = [repr(raw(statement, people())) for statement in SEVERAL[:8]]
    assert all(CANARY in text or "9876" in text for text in found)


def test_27_a_margin_uncovers_no_suppressed_cell() -> None:
    """The canary is alone in its region: all others' sum and the total would give its income by subtraction."""
    statement = "select region, sum(income) s, count(*) n, grouping(region) g from tax.income group by rollup (region)"
    total = next(row for row in answer(statement, people()) if row[3] == 1)
    others = next(row for row in answer(statement, people()) if row[3] == 0)
    assert total[1:3] == others[1:3]
    honest = {row[3]: row[1] for row in raw(statement, people()) if row[0] != CANARY}
    assert honest[1] - honest[0] == CANARY_NUMBER  # the control: what the engine gives without protection


def test_28_rows_of_one_person_are_one_person_in_every_table() -> None:
    rows = [(1, "east", 30, 1000.0, 1, "1980-01-01", True)] * 500
    statement = "with c as (select region, count(*) n from tax.income group by 1) select n + 1 as m from c"
    assert answer(statement, rows) == []
    crowd_of_eleven = [(n, *rows[0][1:]) for n in range(11)]
    assert answer(statement, crowd_of_eleven) == [(11,)]  # the control


def test_data_about_nobody_make_no_table() -> None:
    codes = Shadow(
        "geo.region", (ShadowColumn("code", "VARCHAR", False), ShadowColumn("name", "VARCHAR", False))
    )
    for statement in (
        "with c as (select name, count(*) n from geo.region group by 1) select n + 1 as m from c",
        "select region, count(*) n from tax.income group by 1 having count(*) > (select count(*) from geo.region)",
    ):
        with pytest.raises(SqlUnsupported, match="about persons"):
            read(statement, INCOME, codes)


LIMITS = Limits(1024, 64, 0, 16, 20, 30, 64, 128, 1)


def test_the_box_speaks_codes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole program of a box, with a launcher that talks nonsense: a code comes out, and nothing else."""
    answer = io.BytesIO()
    said = io.BytesIO()
    frames.write(said, {"start": {"plan": CANARY, "stage": CANARY}})
    said.seek(0)
    streams = type("S", (), {})
    monkeypatch.setattr(program.sys, "argv", ["inside", Entry.CHECK.value, LIMITS.canonical().decode()])
    monkeypatch.setattr(program.sys, "stdin", type("In", (streams,), {"buffer": said}))
    monkeypatch.setattr(program.sys, "stdout", type("Out", (streams,), {"buffer": answer}))
    assert program.main() == 3
    assert CANARY.encode() not in answer.getvalue()


def test_every_shadow_of_these_tests_has_a_person() -> None:
    assert all(shadow.columns[0].name == "person" for shadow in SHADOWS)
