"""The query box answers the counted statement over the owner's filtered relations, and says nothing else."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from decimal import Decimal
from pathlib import Path

import pytest

from inside import query, table
from inside.session import BoxFailure
from plans import canonical
from plans.errors import HashMismatch, Malformed
from plans.plan import Program
from tests.inside.sql_cases import Job, read

BORN = datetime.date(1980, 2, 29)
CANARY = "CANARY-OF-QUERY"
PEOPLE = [
    (person, "东" if person % 2 else "西", 20 + person % 3, None if person == 7 else 1000.5 * person,
     Decimal("12.30"), BORN, person % 3 == 0)
    for person in range(1, 31)
]  # fmt: skip
VISITS = [
    (
        person,
        "东",
        10.0,
        f"2024-01-0{1 + person % 5} 08:00:00",
        None if person % 2 else CANARY,
    )
    for person in range(1, 21)
]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, {"tax.income": PEOPLE, "med.visit": VISITS})


def counting(program: Program, counted: str) -> Program:
    """The program, with another statement in its one table."""
    (cells,) = program.tables
    return dataclasses.replace(program, tables=(dataclasses.replace(cells, counted=counted),))


def by_key(content: dict) -> dict:
    return {row[0]: row[1:] for row in content["rows"]}


def test_figures_come_with_the_persons_that_they_rest_on(job: Job) -> None:
    reading = read(
        "select region, count(*) as n, sum(income) as total, avg(paid) from tax.income group by region"
    )
    content = job.run(reading)
    assert content["columns"] == [
        {"name": "region", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"},
        {"name": "total", "type": "DOUBLE"}, {"name": "avg_paid", "type": "DOUBLE"},
        {"name": "_persons_0", "type": "BIGINT"}, {"name": "_persons_1", "type": "BIGINT"},
        {"name": "_total_0", "type": "DOUBLE"}, {"name": "_net_0", "type": "DOUBLE"},
        {"name": "_first_0", "type": "DOUBLE"}, {"name": "_second_0", "type": "DOUBLE"},
        {"name": "_total_1", "type": "DOUBLE"}, {"name": "_net_1", "type": "DOUBLE"},
        {"name": "_first_1", "type": "DOUBLE"}, {"name": "_second_1", "type": "DOUBLE"},
    ]  # fmt: skip
    odd = [row[3] for row in PEOPLE if row[1] == "东" and row[3]]
    found = by_key(content)["东"]
    assert found[:5] == [15, repr(sum(odd)), "12.3", 15, 14]
    assert [float(each) for each in found[5:9]] == [sum(odd), sum(odd), *sorted(odd)[:-3:-1]]
    assert by_key(content)["西"][0] == 15


def test_the_parse_box_accepts_every_type_that_comes_out(job: Job) -> None:
    """The two boxes are written apart; this is where their forms meet."""
    reading = read(
        "select region, urban, born, date_trunc('month', born) as m, age, paid, sum(age) as s, stddev(income) as d,"
        " sum(paid) as p, count(*) as n from tax.income group by 1, 2, 3, 4, 5, 6"
    )
    job.minimum_group = 1
    content = job.run(reading)
    program = job.session(reading).plan.program
    assert program is not None
    (found,) = table.read_tables(canonical.encode({"tables": [content]}), program.tables, salted=False).tables
    assert len(found.rows) == len(content["rows"]) == 6


def test_groups_of_too_few_persons_stay_in_the_box(job: Job) -> None:
    reading = read("select age, region, count(*) as n from tax.income group by age, region")
    assert job.run(reading)["rows"] == []
    job.minimum_group = 5
    assert len(job.run(reading)["rows"]) == 6


def test_joins_on_the_person_token_count_each_person_once(job: Job) -> None:
    reading = read(
        "select i.region, count(*) as n from tax.income i join med.visit v using (person) group by 1"
    )
    assert by_key(job.run(reading)) == {"东": [10, 10], "西": [10, 10]}


def test_the_owners_filter_comes_before_the_members_statement(tmp_path: Path) -> None:
    rows = {"tax.income": PEOPLE}
    reading = read("select count(*) as n from tax.income where age > 0")
    assert Job(tmp_path, rows).run(reading)["rows"] == [[30, 30]]
    filtered = Job(tmp_path, rows, {"tax.income": "region = '东' and born < date '2000-01-01'"})
    assert filtered.run(reading)["rows"] == [[15, 15]]


def test_a_filter_that_is_no_condition_stops_the_box(tmp_path: Path) -> None:
    job = Job(
        tmp_path,
        {"tax.income": PEOPLE},
        {"tax.income": "true) union all (select * from tax.income where true"},
    )
    with pytest.raises(Malformed):
        job.run(read("select count(*) as n from tax.income"))


def test_more_cells_than_the_inspectors_read_end_in_one_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = read("select age, count(*) as n from tax.income group by age")
    rows = {"tax.income": PEOPLE}
    monkeypatch.setattr(query, "MOST_CELLS", 9)
    assert len(Job(tmp_path, rows).run(reading)["rows"]) == 3
    monkeypatch.setattr(query, "MOST_CELLS", 8)
    with pytest.raises(BoxFailure) as failure:
        Job(tmp_path, rows).run(reading)
    assert (failure.value.code, failure.value.facts) == ("result.too-large", {})


def test_whatever_stops_the_engine_looks_the_same(job: Job) -> None:
    """No statement of the subset does; so a broken counted form stands in for a full disk or a lost file."""
    session = job.session(read("select sum(age) as s from tax.income"))
    assert session.plan.program is not None
    broken = counting(session.plan.program, "SELECT age * 2000000000 FROM tax.income")
    with pytest.raises(BoxFailure) as failure:
        query.run(dataclasses.replace(session, plan=dataclasses.replace(session.plan, program=broken)))
    assert (failure.value.code, failure.value.facts) == ("query.failed", {})
    assert failure.value.__cause__ is None and failure.value.__suppress_context__


def test_a_wrong_key_and_another_file_stop_the_box(job: Job) -> None:
    reading = read("select count(*) as n from tax.income")
    job.keys["tax.income.attributes"] = "00" * 32
    with pytest.raises(BoxFailure, match=r"query\.failed"):
        job.run(reading)
    session = job.session(reading)
    program = session.plan.program
    assert program is not None
    other = dataclasses.replace(program.relations[0], file="sha256:" + hashlib.sha256(b"other").hexdigest())
    plan = dataclasses.replace(session.plan, program=dataclasses.replace(program, relations=(other,)))
    with pytest.raises(HashMismatch):
        query.run(dataclasses.replace(session, plan=plan))


def test_nothing_in_clear_is_left_in_the_boxes_folders(job: Job) -> None:
    reading = read("select kind, count(*) as n from med.visit group by kind")
    assert any(CANARY in row for row in job.run(reading)["rows"]), (
        "the control: the result itself holds the canary"
    )
    files = [
        path
        for folder in ("out", "temp", "in")
        for path in (job.folder / folder).rglob("*")
        if path.is_file()
    ]
    assert files and not any(CANARY.encode() in path.read_bytes() for path in files)


def test_a_column_that_the_program_does_not_name_is_not_there(job: Job) -> None:
    """The statement is vetted; should it ever not be, the relation still holds only what the plan says."""
    session = job.session(read("select region, count(*) as n from tax.income group by region"))
    program = session.plan.program
    assert program is not None
    greedy = counting(program, 'SELECT avg("income") AS n, 1 AS _persons_0 FROM "tax"."income"')
    with pytest.raises(BoxFailure, match=r"query\.failed"):
        query.run(dataclasses.replace(session, plan=dataclasses.replace(session.plan, program=greedy)))
