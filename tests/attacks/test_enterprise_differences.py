"""Attacks on an enterprise by two harmless answers (ATTACKS 24, 29, 91): fifty persons of one employer are enough for a
group, and all that two answers differ in.

The sets are those of a query box over made-up visits, `kind` is the employer; the ledger is a real one. The control is
the same owner who does not ask for enterprises: whatever differs in ten persons leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from plans.reading import Clause, ColumnUse
from plans.sets import Sets
from tests.inside.enterprise_cases import SHADOWS
from tests.inside.sql_cases import Job, read
from tests.inside.test_evidence import ran
from tests.keeper.people import Owner, case

FIRMS, PERSONS = 12, 50
TARGET = "E3"
VISITS: list[tuple[Any, ...]] = [
    (1 + place, ("东", "西")[place % 2], float(place % 97), "2024-01-01 08:00:00", f"E{place // PERSONS}")
    for place in range(FIRMS * PERSONS)
]
NOBODYS = [(5_000 + place, "东", 1.0, "2024-01-01 08:00:00", None) for place in range(30)]
WHOLE = "select count(*) as n, sum(cost) as s from med.visit"
OTHERS = f"{WHOLE} where kind <> '{TARGET}'"
ALL_BUT_A_FEW = f"{WHOLE} where kind <> '{TARGET}' or cost < 20"


@dataclass
class Region:
    """An owner's data, in versions, and ledger."""

    folder: Path
    enterprises: int = 3
    asked: int = 0

    def __post_init__(self) -> None:
        self.owner = Owner(self.folder)

    def sets(self, statement: str, rows: list[tuple[Any, ...]]) -> Sets:
        """What a query box leaves for the owner; without enterprises where the owner asks for none."""
        self.asked += 1
        folder = self.folder / f"{self.asked}"
        folder.mkdir()
        shadows = SHADOWS[1:] if self.enterprises else ()
        job = Job(folder, {"med.visit": rows, "tax.income": []}, minimum_group=10)
        reading = read(statement, *shadows)
        counted = ColumnUse("med.visit", "kind", Clause.GROUP, "")
        (found,) = ran(job, replace(reading, uses=(*reading.uses, counted)))[1]
        return found

    def leaves(self, statement: str, rows: list[tuple[Any, ...]] = VISITS, question: str = "") -> bool:
        """Return whether every row of an answer leaves."""
        table = self.sets(statement, rows)
        about = case(
            f"{self.asked}", question=question or case(f"{self.asked}").question, persons=len(rows),
            enterprises=self.enterprises,
        )  # fmt: skip
        return self.owner.weigh(about, table) == ((),)


@pytest.fixture
def region(tmp_path: Path) -> Region:
    return Region(tmp_path / "on")


@pytest.fixture
def bare(tmp_path: Path) -> Region:
    """The control: the owner asks for no enterprises."""
    return Region(tmp_path / "off", enterprises=0)


SECOND = {
    "one enterprise less": (OTHERS, VISITS),
    "most persons of it less": (ALL_BUT_A_FEW, VISITS),
    "two of them less, where three are asked for": (f"{OTHERS} and kind <> 'E4'", VISITS),
    "the next version, without it": (WHOLE, [row for row in VISITS if row[4] != TARGET]),
    "the next version, with another one": (WHOLE, [*VISITS, *((9_000 + n, *row[1:4], "new") for n, row in
                                                             enumerate(VISITS[:40]))]),
}  # fmt: skip


@pytest.mark.parametrize(("statement", "rows"), SECOND.values(), ids=SECOND.keys())
def test_29_two_answers_that_differ_by_an_enterprise(
    region: Region, bare: Region, statement: str, rows: list[tuple[Any, ...]]
) -> None:
    for at, both in ((bare, True), (region, False)):
        assert at.leaves(WHOLE)
        assert at.leaves(statement, rows) is both


def test_what_differs_in_more_enterprises_leaves(region: Region) -> None:
    """The promise is no more: else nothing could be asked of a part of the data."""
    assert region.leaves(WHOLE)
    assert region.leaves(f"{WHOLE} where kind in ('E1', 'E2', 'E3', 'E4', 'E5', 'E6')")


def test_29_a_tracker_by_rests_and_totals(region: Region, bare: Region) -> None:
    """Everything, one half, and the other half without an enterprise; in rows of one table, too."""
    half = "kind in ('E0', 'E1', 'E2', 'E3', 'E4', 'E5')"
    other = f"{WHOLE} where not {half} and kind is not null"
    first = f"{WHOLE} where {half} and kind <> '{TARGET}'"
    for at, leave in ((bare, True), (region, False)):
        assert at.leaves(WHOLE) and at.leaves(other)
        assert at.leaves(first) is leave
    by_region = f"select region, count(*) as n from med.visit where kind <> '{TARGET}' group by region"
    for at, leave in ((bare, True), (region, False)):
        assert at.leaves(by_region) is leave


def test_29_after_a_restart_and_for_the_same_question(region: Region) -> None:
    assert region.leaves(WHOLE)
    same = case("1").question
    region.owner.start()
    assert not region.leaves(OTHERS)
    region.owner.start()
    assert region.leaves(WHOLE, question=same), "the same question has the same answer"
    assert not region.leaves(OTHERS), "and what was kept back stays so"


def test_two_figures_of_one_row_do_not_differ_by_an_enterprise(region: Region, bare: Region) -> None:
    """Both CASE leave out some three enterprises, and one of them the target as well."""
    left = ("('E5', 'E6', 'E7')", "('E5', 'E6', 'E7', 'E3')")
    figures = ", ".join(
        f"sum(case when kind in {names} then cost end) as s{n}" for n, names in enumerate(left)
    )
    statement = f"select count(*) as n, {figures} from med.visit"
    assert bare.leaves(statement)
    assert not region.leaves(statement)


def test_rows_without_an_enterprise_belong_to_none(region: Region) -> None:
    """What differs only in them differs in no enterprise; persons are weighed as ever."""
    assert region.leaves(WHOLE)
    assert region.leaves(f"{WHOLE} where kind is null or cost >= 0", [*VISITS, *NOBODYS])


def test_an_enterprise_and_a_person_of_one_name_share_no_hash(region: Region) -> None:
    rows = [(1 + n, "东", 1.0, "2024-01-01 08:00:00", str(1 + n)) for n in range(20)]
    table = region.sets("select count(*) as n from med.visit", rows)
    assert (table.per_row, table.enterprises, list(table.persons)) == (2, 1, [20, 20])
    buckets = {number for number in table.prints[64:] if number}
    assert 10 < len(buckets) <= 20
