"""Attacks by who has no value in a column (ATTACKS 24, 25, 89), on the whole way from the text of a statement over the
query box's sets to the owner's ledger; and what leaves all the same, since nobody chose it.

Each attack subtracts two figures that differ in the target's alone. Its control is the same with the ledger off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.attacks.test_figures_beside import TARGET, TOLD, Side, sides

LACKING = (TARGET, 90, 91)
INCOMES = [
    (p, "east" if p % 3 else "west", 20 + p % 60, None if p in LACKING else 1_000.0 + p,
     TOLD if p == TARGET else 5 + p % 7, "1980-01-01", p % 2 == 0)
    for p in range(1, 301)
]  # fmt: skip
"""Three have no income, among them the target, whose payments are to be told; those of the other two are known."""
KNOWN = sum(float(row[4]) for row in INCOMES if row[0] in LACKING[1:])
VISITS = [
    (p, "east", 10.0 + p, "2024-01-01 08:00:00", None if p in (5, 150) else "E11") for p in range(1, 301)
]
ROWS: dict[str, list[tuple[Any, ...]]] = {"tax.income": INCOMES, "med.visit": VISITS}


def first(at: Side, statement: str) -> float | None:
    """The figure of a statement that has one, if it left."""
    found = at.ask(statement)
    (value,) = found[0].values() if found else (None,)
    return None if value is None else float(value)


def together(at: Side, *asked: tuple[int, str]) -> float | None:
    """What several figures make, each with its sign, if all of them left."""
    told = [(sign, first(at, statement)) for sign, statement in asked]
    values = [sign * value for sign, value in told if value is not None]
    return sum(values) if len(values) == len(told) else None


# --- what leaves ----------------------------------------------------------------------------------------------


def test_figures_about_the_same_groups_leave_one_after_another_as_they_do_at_once(tmp_path: Path) -> None:
    """Any order, any column as it stands, groups, their union and everybody: as in one statement."""
    at = Side(tmp_path / "on", ROWS)
    asked = (
        "select region, avg(income) as m from tax.income group by region",
        "select region, count(*) as n, avg(age) as a from tax.income group by region",
        "select region, stddev(income) as d, count(income) as n from tax.income group by region",
        "select count(income) as n, median(age) as a from tax.income",
        "select avg(age) as a, avg(income) as m from tax.income where region = 'west'",
        "select max(income) as a from tax.income where region <> 'west'",
        "select region, sum(case when age > 40 then paid else 0 end) as s from tax.income group by region",
    )
    for statement in asked:
        found = at.ask(statement)
        assert len(found) == (2 if "group by" in statement else 1), statement
        assert None not in [value for row in found for value in row.values()], statement


def test_control_an_owner_to_whom_it_matters_who_has_no_value_has_them_kept_back(tmp_path: Path) -> None:
    at = Side(tmp_path / "on", ROWS, missing=True)
    assert at.ask("select region, avg(income) as m from tax.income group by region") == []
    known = "select region, avg(income) as m from tax.income where income is not null group by region"
    assert len(at.ask(known)) == 2, "those with a value are a group like any other"
    assert at.ask("select region, count(*) as n from tax.income group by region") == []


# --- what does not --------------------------------------------------------------------------------------------

PAID = "select sum(paid) as s from tax.income"
ATTACKS = {
    "a condition": [(1, PAID), (-1, f"{PAID} where income is not null")],
    "a comparison that nobody fails": [(1, f"{PAID} where age > 0"), (-1, f"{PAID} where income > 0")],
    "those who lack it, and others": [
        (1, f"{PAID} where income is null or age < 40"),
        (-1, f"{PAID} where income is not null and age < 40"),
    ],
    "a sum of two columns": [
        (1, PAID),
        (1, "select sum(income) as s from tax.income"),
        (-1, "select sum(income + paid) as s from tax.income"),
    ],
}


@pytest.mark.parametrize("name", ATTACKS)
def test_24_a_column_that_few_lack_is_no_way_to_choose_them(tmp_path: Path, name: str) -> None:
    """Payments of all, less those of everybody who has an income: those of three, and two of these tell theirs."""
    on, off = sides(tmp_path, ROWS)
    lacking = [
        row for row in INCOMES if row[3] is None and (name != "those who lack it, and others" or row[2])
    ]
    known = sum(float(row[4]) for row in lacking if row[0] != TARGET)

    def attack(at: Side, order: int) -> float | None:
        told = together(at, *ATTACKS[name][::order])
        return None if told is None else told - known

    assert attack(off, 1) == TOLD, "the control"
    assert attack(on, 1) is None
    other = Side(tmp_path / "turned", ROWS)
    assert attack(other, -1) is None


def test_24_nor_is_it_in_one_row(tmp_path: Path) -> None:
    """The three figures of the sum of two columns, in one statement; and what remains of it that may leave."""
    on, off = sides(tmp_path, ROWS)

    def attack(at: Side, figures: str) -> float | None:
        found = at.ask(f"select {figures} from tax.income")
        row = found[0] if found else {"p": None}
        return None if None in row.values() else float(row["p"]) + float(row["i"]) - float(row["b"]) - KNOWN

    every = "sum(paid) as p, sum(income) as i, sum(income + paid) as b"
    assert attack(off, every) == TOLD, "the control"
    assert attack(on, every) is None
    assert attack(on, "sum(paid) as p, sum(income) as i, sum(paid + 0 * age + income) as b") is None
    harmless = (
        "avg(age) as a, sum(income + paid) as b",
        "avg(paid) as a, avg(case when age > 40 then paid end) as c",
    )
    for number, figures in enumerate(harmless):
        assert len(Side(tmp_path / f"{number}", ROWS).ask(f"select {figures} from tax.income")) == 1


def test_24_who_has_no_partner_in_a_left_join_is_chosen_by_its_condition(tmp_path: Path) -> None:
    """Costs of all visits, and of those by the condition of the join: the persons of the left side are the same."""
    every = "select sum(v.cost) as s from tax.income i left join med.visit v on i.person = v.person"
    same = f"{every} and i.region = v.region"
    visits = [(p, "east" if p % 3 and p != 8 else "west", *rest) for p, _, *rest in VISITS]
    on, off = sides(tmp_path, {"tax.income": INCOMES, "med.visit": visits})
    assert together(off, (1, every), (-1, same)) == 10.0 + 8, "the control: what that visit did cost"
    assert together(on, (1, every), (-1, same)) is None


def test_89_the_value_that_a_person_has_in_the_next_version(tmp_path: Path) -> None:
    """The same persons in both versions; between them the target's income came to be known."""
    later = [(*row[:3], TOLD, *row[4:]) if row[0] == TARGET else row for row in INCOMES]
    statement = "select sum(income) as s from tax.income"
    asked = f"{statement} where age > 0"

    def attack(before: Side, after: Side) -> float | None:
        after.owner = before.owner
        told = first(before, asked), first(after, statement)
        return None if None in told else told[1] - told[0]  # type: ignore[operator]

    (on, off), (on_later, off_later) = (
        sides(tmp_path / name, {"tax.income": rows}) for name, rows in (("first", INCOMES), ("second", later))
    )
    assert attack(off, off_later) == TOLD, "the control"
    assert attack(on, on_later) is None
    assert first(on_later, "select count(*) as n from tax.income") == 300, (
        "nothing is told by a number of persons"
    )
