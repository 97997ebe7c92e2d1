"""Attacks on what runs after a statement was read: what the order and the number of rows tell (ATTACKS B), rows that
met nothing, and a view that changes between two looks at the clock (59). Each has a control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inside import query, relations
from inside.evidence import Wish
from keeper import keeper as keepers
from keeper.keeper import Keeper
from plans.constraints import ANY, Constraint, Effect, Mask, MaskKind, Reveal, Use
from plans.decision import Outcome
from plans.errors import EvidenceBroken, StateConflict
from plans.plan import Plan
from plans.reading import Level, Reading
from policies.api import short
from tests.keeper import house
from tests.spec.town import Answer, Town

SHOWS = """
["nm/tax/income"]
minimum_group = 10

[["nm/tax/income".access]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
actions = ["query", "read-rows"]

["nm/tax/income".columns]
region = ["select", "group", "filter"]
{more}
"""


def cells(answer: Answer) -> list[list[str | None]]:
    assert answer.released is not None, answer
    return [[cell.v for cell in row] for row in answer.released.rows]


# --- the order of rows -----------------------------------------------------

SORTED = "person | region | income\n" + "".join(
    f"{person} | r{person:02} | {1000 * person}\n" for person in range(1, 41)
)
"""As it came: sorted by what the asker may not see. Each region is one person's."""

PLACES = [
    "select region from tax.income",
    "select region, row_number() over () as n from tax.income",
    "select region from tax.income limit 5 offset 10",
    "select region, lag(region) over () as before from tax.income",
]


def orders(folder: Path, statement: str) -> list[list[list[str | None]]]:
    """What three runs of a statement yield."""
    found = []
    for number in range(3):
        (folder / str(number)).mkdir()
        town = Town(folder / str(number), {"tax.income": SORTED}, SHOWS.format(more='income = ["sum"]'))
        found.append(cells(town.ask(statement)))
    return found


@pytest.mark.parametrize("statement", PLACES)
def test_the_place_of_a_row_does_not_tell_the_hidden_column_by_which_the_file_is_sorted(
    tmp_path: Path, statement: str
) -> None:
    first, second, third = orders(tmp_path, statement)
    assert first != second != third


@pytest.mark.parametrize("statement", PLACES)
def test_control_in_the_order_of_the_file_it_would(
    tmp_path: Path, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relations, "SHUFFLED", "")
    first, second, third = orders(tmp_path, statement)
    assert first == second == third and [row[0] for row in first] == sorted(str(row[0]) for row in first)


TWO = SHOWS + SHOWS.replace("income", "property").replace("region", "age")
SAME_ORDER = {
    "tax.income": "person | region\n" + "".join(f"{n} | r{n:02}\n" for n in range(1, 41)),
    "tax.property": "person | age\n" + "".join(f"{n} | {n}\n" for n in range(1, 41)),
}
"""The same persons in the same order; the owner has not consented to linking them."""

LINKING = (
    "select region, age from (select region, row_number() over () as n from tax.income) i"
    " join (select age, row_number() over () as n from tax.property) p using (n)"
)


def linked(folder: Path) -> int:
    """How many of forty rows stand beside the row of the same person."""
    town = Town(folder, SAME_ORDER, TWO.format(more=""))
    return sum(region == f"r{int(age or 0):02}" for region, age in cells(town.ask(LINKING)))


def test_rows_of_two_files_are_not_linked_by_their_places(tmp_path: Path) -> None:
    assert linked(tmp_path) < 15


def test_control_in_the_order_of_the_files_each_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relations, "SHUFFLED", "")
    assert linked(tmp_path) == 40


# --- the number of rows -----------------------------------------------------

AFTER_JOIN = """
[["nm/tax/income".columns.{column}]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = ["select"]
reveal = "after-join"
"""
PEOPLE = "person | region | age\n1-40 | east | 30\n"


@pytest.mark.parametrize("statement", [
    "select count(*) as n from tax.income",
    "select 1 as one from tax.income",
    "select count(*) as n, count(distinct one) as m from (select 1 as one from tax.income) t",
])  # fmt: skip
def test_rows_that_are_shown_after_a_join_are_not_counted_without_one(tmp_path: Path, statement: str) -> None:
    policy = SHOWS.replace('region = ["select", "group", "filter"]', "") + AFTER_JOIN.format(column="region")
    answer = Town(tmp_path, {"tax.income": PEOPLE}, policy.format(more="")).ask(statement)
    assert answer.case.reading.level is Level.ROWS and answer.decision.outcome is Outcome.DENY
    assert [reason.rule for reason in answer.decision.reasons] == ["after-join"]


def test_control_rows_of_which_a_column_is_shown_are_counted(tmp_path: Path) -> None:
    policy = SHOWS + AFTER_JOIN.format(column="age")
    answer = Town(tmp_path, {"tax.income": PEOPLE}, policy.format(more="")).ask(
        "select count(*) as n from tax.income"
    )
    assert cells(answer) == [["40"]]


SMALL = "person | region\n1-12 | east\n" + "".join(f"{n} | r{n}\n" for n in range(13, 31))
ONE_MORE = SMALL + "31 | r31\n"
GROUPS = "select region, count(*) as n from tax.income group by region"


def outcome(folder: Path, people: str) -> str:
    folder.mkdir()
    answer = Town(folder, {"tax.income": people}, SHOWS.replace('"select", ', "").format(more="")).ask(GROUPS)
    return answer.failure or str(cells(answer))


@pytest.fixture
def just_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inspectors read as many cells as there are without the one person: 19 groups of 3 columns."""
    monkeypatch.setattr(query, "MOST_CELLS", 57)


@pytest.mark.usefixtures("just_enough")
def test_90_one_person_more_is_not_the_cell_too_many(tmp_path: Path) -> None:
    assert outcome(tmp_path / "without", SMALL) == outcome(tmp_path / "with", ONE_MORE) == "[['east', '10']]"


@pytest.mark.usefixtures("just_enough")
def test_90_control_with_small_groups_counted_it_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "Wish", lambda _least, *rest: Wish(0, *rest))
    assert outcome(tmp_path / "without", SMALL) == "[['east', '10']]"
    assert outcome(tmp_path / "with", ONE_MORE) == "result.too-large"


FILTERED = """
["nm/tax/income"]
{filter}
["nm/tax/income".columns]
region = ["group", "filter"]
income = ["avg", "count"]
"""
EVERYBODY = "person | region | income\n1-40 | east | 1000\n41 | hidden | {}\n"


def plans_of(folder: Path, policy: str) -> set[bytes]:
    """What the asker reads of two plans: with and without a value in the last row. The file's hash is another."""
    found = set()
    for number, income in enumerate(("1000", "")):
        (folder / str(number)).mkdir()
        town = Town(folder / str(number), {"tax.income": EVERYBODY.format(income)}, policy)
        case = town.case(
            "select region, avg(income) as m, count(income) as n from tax.income group by region"
        )
        found.add(b"".join(table.canonical() for table in case.reading.tables))
    return found


def test_90_a_plan_does_not_tell_whether_a_hidden_row_has_a_value(tmp_path: Path) -> None:
    policy = FILTERED.format(filter="row_filter = \"region <> 'hidden'\"")
    assert len(plans_of(tmp_path, policy)) == 1


def test_90_control_of_rows_that_are_not_hidden_it_would(tmp_path: Path) -> None:
    assert len(plans_of(tmp_path, FILTERED.format(filter=""))) == 2


# --- between two looks at the clock -----------------------------------------------------

END = house.NOW + 30
"""When the rule that masks the region ends; from then on it is seen as it is."""


class Ticking(house.Clock):
    """Time passes with every look."""

    def __call__(self) -> float:
        self.now += 1
        return self.now


class Reads(house.Checker):
    """Notes on which likeness it was last asked."""

    material = ""

    def __call__(self, check: Plan, statement: str) -> Reading:
        self.material = check.material
        return super().__call__(check, statement)


def ending() -> Any:
    """A bundle under which the region is masked until the end."""
    mask = Mask("region", MaskKind.LAST, "2")
    who = ((ANY,), (ANY,), (ANY,))
    rule = Constraint("region", Effect.ALLOW, *who, END, (Use.GROUP,), (), Reveal.MASKED, 0, mask)
    rules = (short("income", ("avg", "sum")), short("region", ("group", "filter")), rule)
    return house.bundle(2, (replace(house.INCOME_POLICY, constraints=rules, row_filter=""),))


def given(folder: Path, begin: int) -> tuple[str, Any]:
    """On what was read, and what a query box got, for a plan as it is after the end; the clock begins at a moment."""
    settings = house.config(folder)
    house.build(settings)
    clock, checker = house.Clock(), Reads()
    keeper = house.start(settings, clock, checker)
    house.believe(keeper, *house.house_statements(house.grant()), ending())
    plan = after(keeper)
    challenge = keeper.challenge(plan.digest)
    keeper._clock = Ticking(begin)
    try:
        sealed = keeper.unwrap(house.box(plan, challenge), plan)
    except (StateConflict, EvidenceBroken):
        sealed = None
    return checker.material, sealed


def after(keeper: Keeper) -> Plan:
    """The plan that an honest centre makes after the end."""
    rules = tuple(
        replace(policy, constraints=policy.constraints[:-1])
        for policy in (keeper.trusted.bundle.policies if keeper.trusted.bundle else ())
    )
    assert keeper.trusted.bundle is not None
    later = replace(keeper.trusted, bundle=replace(keeper.trusted.bundle, policies=rules))
    return house.plan(later)


def mixed(folder: Path) -> list[int]:
    """The beginnings of the clock at which a plan got keys whose statement was read on the masked column."""
    found = []
    for begin in range(END - 12, END + 2):
        material, sealed = given(folder / str(begin), begin)
        if sealed is not None and '"name":"region","nullable":true' in material:
            found.append(begin)
    return found


def test_59_a_mask_that_ends_while_the_keeper_decides_is_one_view_or_the_other(tmp_path: Path) -> None:
    assert mixed(tmp_path) == []


def test_59_control_with_two_looks_at_the_clock_it_would_be_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides twice, first about what is counted and then about the keys, so both of its second looks are late."""
    honest: Callable[..., Any] = keepers.require_same

    def late(plan: Plan, reading: Any, trusted: Any, where: Any, now: int, *kept: Any) -> Any:
        return honest(plan, reading, trusted, where, now + 3, *kept)

    monkeypatch.setattr(keepers, "require_same", late)
    assert mixed(tmp_path)
