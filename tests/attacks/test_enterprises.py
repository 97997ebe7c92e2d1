"""ATTACKS 24, 29: fifty persons are one enterprise, about which their figures tell, from file to recipient."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from plans.decision import Obligations, Tier
from plans.verdict import Finding
from tests.inside.enterprise_cases import SHADOWS, rules, went
from tests.inside.whole_way import Went
from tests.plans.examples import NO_DOMINANCE

BORN = datetime.date(1980, 2, 29)
ASKED = rules(3, least=10)
OFF = Obligations(10, 1, 100_000, Tier.T1, NO_DOMINANCE)
WAGE = 5_234.0
"""What the one enterprise of 东 pays each of its fifty persons."""


def data() -> dict[str, list[tuple[Any, ...]]]:
    """Fifty persons of one employer in 东, and as many of five employers in 西 and in 北; the employer is `age`."""
    rows = []
    for person in range(150):
        region = ("东", "西", "北")[person // 50]
        employer = 7 if region == "东" else 10 + person % 5
        wage = WAGE if region == "东" else 4_000.0 + 10 * (person % 50)
        rows.append((person, region, employer, wage, Decimal("1.00"), BORN, True))
    visits = [
        (person, ("东", "西", "北")[person // 50], 1.0, "2024-01-01 08:00:00", f"H{person % 9}")
        for person in range(150)
    ]
    return {"tax.income": rows, "med.visit": visits}  # fmt: skip


ATTACKS = [
    "select region, avg(income) as f from tax.income group by region",
    "select region, min(income) as f from tax.income group by region",
    "select age, avg(income) as f from tax.income group by age",
    "select urban, avg(case when age = 7 then income end) as f from tax.income group by urban",
    "select urban, sum(case when region = '东' then income else 0 end) / 50 as f from tax.income group by urban",
    "select avg(income) as f from tax.income where age = 7",
    "select v.region, avg(income) as f from tax.income i join med.visit v using (person) group by v.region",
    "select v.region, avg(income) as f from med.visit v left join tax.income i using (person) group by 1",
    "select max(f) as f from (select region, avg(income) as f from tax.income group by region) as t",
    "select region, avg(income) as f from tax.income group by region order by f desc limit 1",
]  # fmt: skip


def told(found: Went) -> bool:
    """Whether the wage of the one enterprise is among the figures."""
    return found.released is not None and any(
        value is not None and abs(float(value) - WAGE) <= 50 for *_, value in found.rows
    )


@pytest.mark.parametrize("statement", ATTACKS, ids=range(len(ATTACKS)))
def test_what_fifty_persons_of_one_enterprise_tell_does_not_leave(tmp_path: Path, statement: str) -> None:
    found = went(tmp_path, data(), statement, ASKED)
    assert not told(found) and found.verdict.finding is not Finding.HELD


@pytest.mark.parametrize("statement", ATTACKS, ids=range(len(ATTACKS)))
def test_control_where_no_enterprises_are_asked_for_it_does(tmp_path: Path, statement: str) -> None:
    """Fifty persons are enough for every rule about persons."""
    shadows = tuple(type(each)(each.relation, each.columns) for each in SHADOWS)
    assert told(went(tmp_path, data(), statement, OFF, shadows))


def test_what_rests_on_several_enterprises_leaves_as_ever(tmp_path: Path) -> None:
    found = went(tmp_path, data(), ATTACKS[0], ASKED)
    assert [row[0] for row in found.rows] == ["北", "西"] and "enterprises" in found.notes


def test_nobody_learns_whether_a_group_was_small_in_persons_or_in_enterprises(tmp_path: Path) -> None:
    """Nor whether one was left out: notes and reasons are the same for data in which every group is large."""
    rows = data()
    rows["tax.income"] = [row for row in rows["tax.income"] if row[1] != "东"]
    fewer = went(tmp_path / "fewer", rows, ATTACKS[0], ASKED)
    found = went(tmp_path / "all", data(), ATTACKS[0], ASKED)
    assert (fewer.rows, fewer.notes, fewer.verdict.reasons) == (
        found.rows,
        found.notes,
        found.verdict.reasons,
    )


def test_a_refusal_says_the_same_for_nobody_and_for_one_enterprise(tmp_path: Path) -> None:
    one = went(tmp_path / "one", data(), "select avg(income) as f from tax.income where age = 7", ASKED)
    nobody = went(
        tmp_path / "nobody", data(), "select avg(income) as f from tax.income where age = 99", ASKED
    )
    assert one.verdict.reasons == nobody.verdict.reasons and one.released is None
