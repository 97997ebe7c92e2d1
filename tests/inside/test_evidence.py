"""What the query box finds out about the persons behind each cell is what a count by hand finds."""

from __future__ import annotations

import datetime
import hashlib
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from inside import query
from inside.session import BoxFailure, Session
from inside.table import SHARES
from plans.box import Entry
from plans.checks import Checks
from plans.handover import RESULT, SETS
from plans.key import BoxKeys
from plans.reading import Reading
from plans.sets import SIGNS, Sets, unpack
from tests.inside.sql_cases import Job, read

BORN = datetime.date(1980, 2, 29)
SIGN_KEY, SET_KEY, RESULT_KEY = "5e" * 32, "ac" * 32, "ab" * 32
PEOPLE: list[tuple[Any, ...]] = [
    (1 + row % 40, ("东", "西", "北")[row % 3], 20 + row % 4, None if row % 7 == 0 else 100.0 * (row % 11) - 300.0,
     Decimal(row % 5), BORN, row % 2 == 0)
    for row in range(130)
]  # fmt: skip
VISITS = [
    (person, "东", 10.0 * person, f"2024-01-0{1 + person % 5} 08:00:00", None) for person in range(1, 21)
]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, {"tax.income": PEOPLE, "med.visit": VISITS}, minimum_group=5)


def ran(job: Job, reading: Reading, **changes: Any) -> tuple[list[dict[str, Any]], tuple[Sets, ...]]:
    """The rows of the one table by column, and the sets of persons."""
    session = job.session(reading)
    decision = session.plan.decision
    assert decision is not None and decision.obligations is not None
    obligations = replace(decision.obligations, **changes)
    plan = replace(session.plan, decision=replace(decision, obligations=obligations))
    outputs = {RESULT: RESULT_KEY, SETS: SET_KEY}
    keys = BoxKeys(job.keys, outputs, "", signs=SIGN_KEY)
    assert query.run(replace(session, plan=plan, keys=keys)) == {}
    paths = {name: job.folder / "out" / name for name in outputs}
    handed = Session(plan, Entry.PARSE, 1, paths, BoxKeys(outputs, {}, ""))
    from plans import canonical

    content = canonical.decode(handed.read(RESULT))
    assert isinstance(content, dict)
    (table,) = content["tables"]
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]], unpack(handed.read(SETS))


def signs(person: int) -> list[int]:
    """The signs of a person, by the standard library."""
    return _hashed(f"{SIGN_KEY}:{person}")


def own(person: int) -> int:
    """The hash of a person, whose bits are their signs."""
    return _bits(f"{SIGN_KEY}:{person}")


def _hashed(text: str) -> list[int]:
    bits = _bits(text)
    return [1 if bits >> bit & 1 else -1 for bit in range(SIGNS)]


def _bits(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def fingerprint(persons: set[int]) -> list[int]:
    return [sum(column) for column in zip(*map(signs, persons), strict=True)] if persons else [0] * SIGNS


def shares(added: dict[int, float]) -> list[float]:
    """Total without signs, with them, largest and second largest of what persons add."""
    sizes = sorted((abs(value) for value in added.values()), reverse=True)
    return [sum(sizes), abs(sum(added.values())), *(*sizes, 0.0, 0.0)[:2]]


def added(rows: list[tuple[Any, ...]], place: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for row in rows:
        found[row[0]] = found.get(row[0], 0.0) + float(row[place] or 0)
    return found


def test_totals_stand_with_what_their_largest_persons_add(job: Job) -> None:
    rows, _ = ran(
        job, read("select region, sum(income) as s, avg(paid) as m from tax.income group by region")
    )
    assert len(rows) == 3
    for row in rows:
        mine = [person for person in PEOPLE if person[1] == row["region"]]
        for number, place in enumerate((3, 4)):
            found = [float(row[f"_{name}_{number}"]) for name in SHARES]
            assert found == pytest.approx(shares(added(mine, place)))


@pytest.mark.parametrize("figure", ["stddev(income)", "stddev(income + 5000000)", "stddev(age * 2 - 7)"])
def test_a_deviation_stands_with_how_far_persons_lie_from_the_mean(job: Job, figure: str) -> None:
    place = 2 if "age" in figure else 3
    rows, _ = ran(job, read(f"select region, {figure} as f from tax.income group by region"))
    for row in rows:
        mine = [each for each in PEOPLE if each[1] == row["region"] and each[place] is not None]
        mean = sum(each[place] for each in mine) / len(mine)
        far: dict[int, float] = {}
        for each in mine:
            far[each[0]] = far.get(each[0], 0.0) + (each[place] - mean) ** 2
        totals = sum(name.startswith(f"_{SHARES[0]}_") for name in row)
        found = [[float(row[f"_{name}_{number}"]) for name in SHARES] for number in range(totals)]
        assert found[-1] == found[-2] == pytest.approx(shares(far), rel=1e-6)


@pytest.mark.parametrize(
    ("figure", "known"),
    [
        ("stddev(case when urban then income + 1e12 else income + 1e12 end)", False),
        ("stddev(case when urban then income + 1e12 else income end)", True),
    ],
)
def test_what_doubles_do_not_carry_of_a_deviation_counts_as_one_persons(
    job: Job, figure: str, known: bool
) -> None:
    """A constant in branches is no constant to the reader; where it leaves nothing of the squares, nobody is sure."""
    rows, _ = ran(job, read(f"select region, {figure} as f from tax.income group by region"))
    for row in rows:
        totals = sum(name.startswith(f"_{SHARES[0]}_") for name in row)
        largest = [float(row[f"_{SHARES[2]}_{number}"]) for number in range(totals)]
        assert (1e100 in largest) is not known


def test_every_set_of_persons_has_its_number_and_fingerprint(job: Job) -> None:
    """The cell, then each part that a figure tells apart; then all of them anew, by persons and numbers of rows."""
    rows, (sets,) = ran(
        job,
        read(
            "select region, count(*) as n, sum(case when age = 20 then paid end) as s from tax.income group by 1"
        ),
    )
    assert (sets.rows, sets.per_row, sets.weighted, sets.chosen) == (3, 6, 3, 2)
    for number, row in enumerate(rows):
        cell = [person for person in PEOPLE if person[1] == row["region"]]
        young = [person for person in cell if person[2] == 20]
        others = [person for person in cell if person[2] != 20]
        found = [
            (sets.persons[place], list(sets.prints[SIGNS * place : SIGNS * (place + 1)]))
            for place in range(number * sets.per_row, (number + 1) * sets.per_row)
        ]
        for place, part in enumerate((cell, young, others)):
            counted = Counter(person[0] for person in part)
            assert found[place] == (len(counted), fingerprint(set(counted)))
            assert found[place + 3] == (len(counted), weighted(counted))


def weighted(counted: dict[int, int]) -> list[int]:
    """The fingerprint of persons with their numbers of rows: who has several has signs of their own for so many."""
    found = [signs(person) if rows == 1 else _hashed(f":rows:{own(person)}:{rows}")
             for person, rows in counted.items()]  # fmt: skip
    return [sum(column) for column in zip(*found, strict=True)] if found else [0] * SIGNS


def test_where_each_person_has_one_row_no_set_is_weighted(job: Job) -> None:
    _, (sets,) = ran(job, read("select region, count(*) as n, sum(cost) as s from med.visit group by region"))
    assert (sets.per_row, sets.weighted, sets.chosen) == (1, 0, 0)


def test_who_stands_twice_in_a_row_is_looked_at_as_both(job: Job) -> None:
    """Income of patients by the region of another's visit: each person of either sort may dominate."""
    reading = read(
        "select v.region, sum(i.paid) as s from tax.income i join med.visit v on i.region = v.region group by 1"
    )
    ((cells),) = reading.tables
    assert cells.contributions is not None and len(cells.contributions.further) == 1
    rows, (sets,) = ran(job, reading)
    assert (sets.per_row, sets.weighted) == (4, 2)
    assert rows[0]["_persons_0"] == min(sets.persons[:2]) == 20 < max(sets.persons[:2])


def test_a_table_over_no_keys_has_evidence(job: Job) -> None:
    rows, (sets,) = ran(job, read("select sum(paid) as s from tax.income"))
    assert [float(rows[0][f"_{name}_0"]) for name in SHARES] == pytest.approx(shares(added(PEOPLE, 4)))
    assert list(sets.prints[:SIGNS]) == fingerprint({person[0] for person in PEOPLE})


def test_keys_without_a_value_are_matched(tmp_path: Path) -> None:
    visits = [
        (person, "东", 1.0, "2024-01-01 08:00:00", None if person % 2 else "a") for person in range(1, 41)
    ]
    job = Job(tmp_path, {"med.visit": visits}, minimum_group=5)
    rows, _ = ran(job, read("select kind, sum(cost) as s from med.visit group by kind"))
    assert {(row["kind"], float(row["_total_0"])) for row in rows} == {(None, 20.0), ("a", 20.0)}


def test_small_groups_have_no_evidence_outside_the_box(job: Job) -> None:
    job.rows["tax.income"].append((99, "南", 99, 1.0, Decimal(1), BORN, True))
    rows, (sets,) = ran(job, read("select region, sum(income) as s from tax.income group by region"))
    job.rows["tax.income"].pop()
    assert sets.rows == len(rows) == 3


def test_more_sets_than_can_be_looked_at_are_refused(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query, "MOST_PRINTS", SIGNS)
    with pytest.raises(BoxFailure, match=r"result\.too-large"):
        ran(job, read("select region, sum(income) as s from tax.income group by region"))


CROSSED = "select region, urban, count(*) as n from tax.income group by region, urban"


def crossed(tmp_path: Path) -> Job:
    """A cross-table of two by three, in which one cell holds three persons."""
    sizes = {
        ("东", True): 3,
        ("东", False): 12,
        ("西", True): 15,
        ("西", False): 20,
        ("北", True): 30,
        ("北", False): 40,
    }
    cells = [cell for cell, size in sizes.items() for _ in range(size)]
    people = [
        (person, region, 30, 1.0, Decimal(1), BORN, urban) for person, (region, urban) in enumerate(cells, 1)
    ]
    return Job(tmp_path, {"tax.income": people}, minimum_group=10)


def test_27_of_a_cross_table_more_stays_so_that_margins_do_not_give_it_back(tmp_path: Path) -> None:
    rows, _ = ran(crossed(tmp_path), read(CROSSED), checks=Checks(margins=True))
    assert {(row["region"], row["urban"]) for row in rows} == {("北", True), ("北", False)}


def test_control_without_that_rule_the_margins_give_back_the_small_cell(tmp_path: Path) -> None:
    job = crossed(tmp_path)
    shown, _ = ran(job, read(CROSSED))
    margin, _ = ran(job, read("select region, count(*) as n from tax.income group by region"))
    east = next(row["n"] for row in margin if row["region"] == "东")
    assert east - sum(row["n"] for row in shown if row["region"] == "东") == 3


def test_90_whom_a_condition_chose_decides_about_no_other_cell(tmp_path: Path) -> None:
    """Else a condition about one person would be answered by a large cell that is missing."""
    asked = "select region, urban, count(*) as n from tax.income where age > 3 group by region, urban"
    rows, _ = ran(crossed(tmp_path), read(asked), checks=Checks(margins=True))
    assert len(rows) == 5
