"""Attacks on persons by two figures that tell them apart, in one row or by their rows (ATTACKS 24, 25), on the whole
way from the text of a statement over the query box's sets to the owner's ledger. Each has its control, with the ledger
off.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from inside import query
from inside.session import Session
from plans import canonical
from plans.box import Entry
from plans.handover import RESULT, SETS
from plans.key import BoxKeys
from plans.sets import Sets, unpack
from tests.inside.sql_cases import Job, read
from tests.keeper.people import Owner, case

K = 10
TARGET = 7
TOLD = 4_321.0
"""The target's income, or what the target's visit of one day did cost."""


@dataclass
class Side:
    """Two relations under encryption, the query box, and the owner's ledger, which can be off."""

    folder: Path
    rows: dict[str, list[tuple[Any, ...]]]
    differ: int = K
    missing: bool = False
    asked: int = 0
    job: Job = field(init=False)
    owner: Owner = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.job = Job(self.folder, self.rows, minimum_group=K)
        self.owner = Owner(self.folder / "owner")

    def ask(self, statement: str) -> list[dict[str, Any]]:
        """Return the rows that leave, exact; a figure that rests on too few persons is none."""
        self.asked += 1
        reading = read(statement)
        rows, sets = self._counted(statement)
        about = case(
            f"{self.asked} {statement}", differ=self.differ, minimum=K, persons=0, missing=self.missing
        )
        (back,) = self.owner.weigh(about, sets)
        (cells,) = reading.tables
        names = [output.name for output in cells.outputs]
        left = [row for place, row in enumerate(rows) if place not in back]
        return [
            {
                name: value if row[len(names) + output.persons] >= K else None
                for name, value, output in zip(names, row, cells.outputs, strict=False)
            }
            for row in left
        ]

    def _counted(self, statement: str) -> tuple[list[list[Any]], Sets]:
        session = self.job.session(read(statement))
        outputs = {RESULT: "ab" * 32, SETS: "ac" * 32}
        keys = BoxKeys(self.job.keys, outputs, "", signs="5e" * 32)
        assert query.run(replace(session, keys=keys)) == {}
        paths = {name: self.folder / "out" / name for name in outputs}
        handed = Session(session.plan, Entry.PARSE, 1, paths, BoxKeys(outputs, {}, ""))
        content = canonical.decode(handed.read(RESULT))
        assert isinstance(content, dict)
        (table,), (sets,) = content["tables"], unpack(handed.read(SETS))
        for path in paths.values():
            path.unlink()
        return table["rows"], sets


def sides(folder: Path, rows: dict[str, list[tuple[Any, ...]]]) -> tuple[Side, Side]:
    """The same data with the ledger and without."""
    return Side(folder / "on", rows), Side(folder / "off", rows, differ=0)


INCOMES = [
    (p, "east" if p % 3 else "west", 20 + p % 60, TOLD if p == TARGET else 1_000.0 + p, 5, "1980-01-01", p % 2 == 0)
    for p in range(1, 301)
]  # fmt: skip
VISITS = [
    (p, "east", 10.0 + p, f"2024-01-{day:02d} 08:00:00", "E11") for p in range(1, 101) for day in (1, 2)
] + [(TARGET, "east", TOLD, "2024-01-03 08:00:00", "E11")]


def minus(row: dict[str, Any], first: str, second: str) -> float | None:
    """What two figures of a row tell by subtraction, if both were given."""
    if row[first] is None or row[second] is None:
        return None
    return float(row[first]) - float(row[second])


def test_25_two_figures_of_one_row_whose_conditions_differ_in_one_person(tmp_path: Path) -> None:
    """Each condition and its complement hold for many, so each figure may leave; not the two of them."""
    young = "age < 26"
    target = "(age < 26 or (age = 27 and paid = 5 and region = 'east' and income > 4000))"
    statement = (
        f"select sum(case when {target} then income else 0 end) as one,"
        f" sum(case when {young} then income else 0 end) as two from tax.income"
    )

    def attack(at: Side) -> float | None:
        found = at.ask(statement)
        return minus(found[0], "one", "two") if found else None

    on, off = sides(tmp_path, {"tax.income": INCOMES})
    assert attack(off) == TOLD, "the control: the target's income"
    assert attack(on) is None


def test_25_the_same_persons_with_one_row_less(tmp_path: Path) -> None:
    """The target has earlier visits, so the persons of both answers are the same; their rows are not."""
    text = "select region, sum(cost) as s from med.visit where day < timestamp '2024-01-0{} 00:00:00' group by region"

    def attack(at: Side) -> float | None:
        more, less = at.ask(text.format(4)), at.ask(text.format(3))
        return float(more[0]["s"]) - float(less[0]["s"]) if more and less else None

    on, off = sides(tmp_path, {"med.visit": VISITS})
    assert attack(off) == TOLD, "the control: what that visit did cost"
    assert attack(on) is None
