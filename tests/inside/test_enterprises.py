"""Figures rest on as many enterprises as their owner asks for: what is kept is what DuckDB keeps of the plain data."""

from __future__ import annotations

import datetime
import random
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from inside.bound import bind, shadow_engine
from inside.check import _checked
from inside.contributed import require_contributions, require_enterprises
from plans.checks import Checks
from plans.errors import Malformed, SqlUnsupported
from plans.reading import Cells, Output, Role
from plans.verdict import Finding
from tests.inside.enterprise_cases import SHADOWS, judged, program, rules, went
from tests.inside.sql_cases import INCOME, VISIT, Job, create, read
from tests.inside.whole_way import Way
from tests.plans.examples import NO_DOMINANCE

BORN = datetime.date(1980, 2, 29)
REGIONS = ("东", "西", "北", "南")
LEAST, ENTERPRISES = 3, 2


def data(seed: int) -> dict[str, list[tuple[Any, ...]]]:
    """Persons in four regions, most of them with few enterprises; some visits name none."""
    drawn = random.Random(seed)
    few = drawn.sample(REGIONS, 2)
    income = [
        (
            person,
            region,
            REGIONS.index(region) + drawn.choice((0, 0, 1)),
            100.0 * person,
            Decimal(person),
            BORN,
            True,
        )
        for person in range(1, 61)
        for region in [drawn.choice(REGIONS)]
    ]
    visits = [
        (drawn.randrange(1, 61), region, float(drawn.randrange(100)), "2024-01-01 08:00:00",
         drawn.choice((None, f"E{region}", "F" if region in few else f"E{region}")))
        for _ in range(90)
        for region in [drawn.choice(REGIONS)]
    ]  # fmt: skip
    return {"tax.income": income, "med.visit": visits}


def plainly(rows: dict[str, list[tuple[Any, ...]]], statement: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        for likeness in (INCOME, VISIT):
            create(connection, likeness, rows[likeness.relation])
        return connection.execute(statement).fetchall()


ENOUGH = f"count(distinct v.person) >= {LEAST} and count(distinct v.kind) >= {ENTERPRISES}"
COSTLY = (
    f"count(distinct case when cost > 50 then v.person end) >= {LEAST}"
    f" and count(distinct case when cost > 50 then v.kind end) >= {ENTERPRISES}"
    f" and count(distinct case when cost > 50 then null else v.person end) >= {LEAST}"
    f" and count(distinct case when cost > 50 then null else v.kind end) >= {ENTERPRISES}"
)
JOINED = f"{ENOUGH} and count(distinct i.person) >= {LEAST} and count(distinct i.age) >= {ENTERPRISES}"
KEPT = [
    (
        "select region, count(*) as n from med.visit group by region",
        f"select region, count(*) from med.visit v group by region having {ENOUGH}",
    ),
    (
        "select region, count(*) as n, count(case when cost > 50 then 1 end) as s from med.visit group by region",
        f"select region, count(*), case when {COSTLY} then count(case when cost > 50 then 1 end) end"
        f" from med.visit v group by region having {ENOUGH}",
    ),
    (
        "select region, kind, count(*) as n from med.visit group by region, kind",
        "select region, kind, 1 from med.visit where false",
    ),
    (
        "select v.region, count(*) as n from tax.income i join med.visit v using (person) group by v.region",
        "select v.region, count(*) from tax.income i join med.visit v using (person) group by v.region"
        f" having {JOINED}",
    ),
    (
        "select i.region, count(*) as n from tax.income i left join med.visit v using (person) group by i.region",
        "select i.region, count(*) from tax.income i left join med.visit v using (person) group by i.region"
        f" having count(distinct i.person) >= {LEAST} and count(distinct i.age) >= {ENTERPRISES}"
        f" and count(distinct v.kind) >= {ENTERPRISES}",
    ),
    (
        "select sum(n) as n from (select region, count(*) as n from med.visit group by region) as t",
        f"select sum(n) from (select count(*) as n from med.visit v group by region having {ENOUGH})",
    ),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("statement", "oracle"), KEPT, ids=range(len(KEPT)))
def test_what_leaves_is_what_has_enough_enterprises(
    tmp_path: Path, statement: str, oracle: str, seed: int
) -> None:
    rows = data(seed)
    expected = [tuple(None if v is None else str(int(v)) if not isinstance(v, str) else v for v in row)
                for row in plainly(rows, oracle)]  # fmt: skip
    found = went(tmp_path, rows, statement, rules(ENTERPRISES, least=LEAST))
    if not expected or expected == [(None,)]:
        assert found.released is None or found.rows == [[None]]
    else:
        assert sorted(map(str, map(tuple, found.rows))) == sorted(map(str, expected))
        assert "enterprises" in found.notes and found.verdict.finding is Finding.REPAIRED


def test_the_samples_strike_some_cells_and_not_all() -> None:
    """Else the oracle would agree with whatever withholds everything, or nothing."""
    for statement, oracle in (KEPT[0], KEPT[3]):
        kept = sum(len(plainly(data(seed), oracle)) for seed in range(2))
        asked = sum(len(plainly(data(seed), statement)) for seed in range(2))
        assert 0 < kept < asked


def test_where_no_owner_asks_nothing_is_counted() -> None:
    """The statement that runs is the one of before."""
    asked = "select region, sum(cost) as s from med.visit group by region"
    before = read(asked, INCOME, VISIT)
    assert "_enterprises_0" not in before.counted and before.tables[0].enterprises == 0
    counted = read(asked, *SHADOWS)
    assert '_enterprises_0"' in counted.counted and counted.tables[0].enterprises == counted.tables[0].hidden
    assert counted.uses == before.uses, "the column that is counted is not one that the asker uses"


NOBODY_CAN = {
    "no column is named": (
        "select region, count(*) as n from med.visit group by region",
        (INCOME, replace(VISIT, enterprise="")),
    ),
    "the column is not there": (
        "select region, count(*) as n from med.visit group by region",
        (INCOME, replace(VISIT, enterprise="employer")),
    ),
    "one of two has none": (
        "select v.region, count(*) as n from tax.income i join med.visit v using (person) group by v.region",
        (replace(INCOME, enterprise=""), SHADOWS[1]),
    ),
    "rows in a subquery are not those of the figure": (
        "select region, count(*) as n from tax.income where person in (select person from med.visit) group by region",
        SHADOWS,
    ),
    "of two tables one has none": (
        "select a.n + b.n as n from (select count(*) as n from tax.income) as a,"
        " (select count(*) as n from med.visit) as b",
        (INCOME, SHADOWS[1]),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "shadows"), NOBODY_CAN.values(), ids=NOBODY_CAN.keys())
def test_people_look_where_nobody_can_count(tmp_path: Path, statement: str, shadows: Any) -> None:
    reading = read(statement, *shadows)
    assert not all(table.enterprises for table in reading.tables)
    there = tuple(
        replace(each, enterprise=each.enterprise if each.enterprise == "kind" else None) for each in shadows
    )
    job = Job(tmp_path, data(0))
    verdict = judged(Way(job, program(job, reading, there), rules(ENTERPRISES)))
    assert verdict["finding"] == Finding.HELD and {"enterprises", "by-people"} <= set(verdict["reasons"])


def test_control_rows_that_may_be_shown_rest_on_nobody_else(tmp_path: Path) -> None:
    """At the level of rows nothing is counted, and nobody is asked."""
    shown = replace(SHADOWS[1], columns=tuple(replace(column, shown=True) for column in SHADOWS[1].columns))
    found = went(tmp_path, data(0), "select kind, cost from med.visit", rules(ENTERPRISES), (INCOME, shown))
    assert found.verdict.finding is not Finding.HELD and len(found.rows) == 90


@pytest.mark.parametrize("figure", ["sum(cost)", "avg(cost)", "sum(cost + 1)"])
def test_one_enterprise_dominates_with_all_its_persons(tmp_path: Path, figure: str) -> None:
    """Forty persons of one enterprise, none of whom is large, are all but four in a hundred of a total."""
    big = [(person, "东", 10.0, "2024-01-01 08:00:00", "giant") for person in range(1, 41)]
    small = [(person, "东", 4.0, "2024-01-01 08:00:00", f"E{person}") for person in range(41, 45)]
    even = [
        (100 + n, ("西", "北")[n > 47], 10.0 + n % 5, "2024-01-01 08:00:00", f"E{n % 12}") for n in range(120)
    ]
    rows: dict[str, list[tuple[Any, ...]]] = {"med.visit": [*big, *small, *even]}
    statement = f"select region, {figure} as s from med.visit group by region"
    without = went(tmp_path / "without", rows, statement, rules(0, Checks()), (VISIT,))
    assert [row[0] for row in without.rows if row[1] is None] == []
    found = went(tmp_path / "with", rows, statement, rules(ENTERPRISES, Checks()), SHADOWS[1:])
    assert {row[0] for row in found.rows if row[1] is None} == {"东", "西"}, "and the next one for the margin"
    assert "dominance" in found.notes


@pytest.mark.parametrize("margins", [False, True])
def test_margins_do_not_give_back_the_cell_of_one_enterprise(tmp_path: Path, margins: bool) -> None:
    """Where the owner asks for it; the control without shows eight of nine cells, and a margin tells the last."""
    rows = [
        (40 * place + n, region, f"k{column}", "2024-01-01 08:00:00", "E" if place == 0 else f"E{n % 5}")
        for place, (region, column) in enumerate((r, c) for r in REGIONS[:3] for c in range(3))
        for n in range(20 + place)
    ]
    visits = [(person, kind, 1.0, day, firm) for person, _, kind, day, firm in rows]
    income = [(person, region, 1, 1.0, Decimal(1), BORN, True) for person, region, *_ in rows]
    shadows = (INCOME, SHADOWS[1])
    statement = (
        "select i.region, v.region as k, count(*) as n from tax.income i join med.visit v using (person)"
        " group by i.region, v.region"
    )
    asked = rules(ENTERPRISES, replace(NO_DOMINANCE, margins=margins))
    found = went(tmp_path, {"tax.income": income, "med.visit": visits}, statement, asked, shadows)
    told = {(row[0], row[1]) for row in found.rows}
    assert (REGIONS[0], "k0") not in told
    missing = [(r, f"k{c}") for r in REGIONS[:3] for c in range(3) if (r, f"k{c}") not in told]
    beside = [sum(key[line] == (REGIONS[0], "k0")[line] for key in missing) for line in (0, 1)]
    assert min(beside) > 1 if margins else beside == [1, 1]


MANGLED = [
    (lambda cells: replace(cells, counted=cells.counted.replace('"kind")', '"region")')), "another column"),
    (lambda cells: replace(cells, enterprises=0), "fewer columns than are counted"),
    (
        lambda cells: replace(cells, contributions=replace(cells.contributions, enterprises=())),
        "nobody looks at their totals",
    ),
]


@pytest.mark.parametrize(("mangle", "why"), MANGLED, ids=lambda each: each if isinstance(each, str) else "")
def test_the_second_reader_counts_the_same_enterprises(mangle: Any, why: str) -> None:
    statement = "select region, sum(cost) as s from med.visit group by region"
    (cells,) = read(statement, *SHADOWS).tables
    assert _second_reader(cells) is None
    with pytest.raises(SqlUnsupported):
        _second_reader(mangle(cells))


def _second_reader(cells: Cells) -> None:
    connection = shadow_engine((SHADOWS[1],), 512)
    try:
        counted = bind(connection, cells.counted)
        columns = {"med.visit": "kind"}
        _checked(cells, bind(connection, _bare(cells)), counted, columns)
        require_enterprises(cells, counted, columns)
        require_contributions(connection, cells, counted)
    finally:
        connection.close()


def _bare(cells: Cells) -> str:
    """The counted statement without what is counted."""
    outputs, _, rows = cells.counted.partition(" FROM ")
    return f"{outputs.partition(', count(DISTINCT')[0]} FROM {rows}"


def test_numbers_of_enterprises_stand_beside_all_numbers_of_persons_or_none() -> None:
    output = Output("n", "BIGINT", Role.FIGURE, "count", 0)
    assert Cells("SELECT 1", (output,), 1, enterprises=1).enterprises == 1
    with pytest.raises(Malformed):
        Cells("SELECT 1", (output,), 2, enterprises=1)
