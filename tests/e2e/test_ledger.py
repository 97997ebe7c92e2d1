"""The disclosure ledger through real processes and real boxes: signs of persons, weighing, and what is kept back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from keeper.api import DeskClient
from plans.errors import OutputRefused
from plans.inspection import Inspection
from server.enrolment import sign_policies
from tests.e2e import town as towns

pytestmark = [pytest.mark.box, pytest.mark.ray]

WATCHED, CONTROL, STRICT = "nm/tax/watched", "nm/tax/unwatched", "nm/tax/strict"
POLICY = """
["{dataset}"]
minimum_group = 10
rounding = 1

["{dataset}".checks]
differ = {differ}
missing = {missing}
exact_cells = 60
unsafe_exact_cells = true

["{dataset}".columns]
league = ["group", "filter", "compare"]
income = ["count", "sum", "avg"]
"""
PERSONS = 400
LACKING = (20, 21, 30, 40)


def incomes(path: Path, persons: range) -> Path:
    """Two leagues of about two hundred persons, and three persons who are in none of them; four have no income."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id18", "league", "income"])
        for number in persons:
            league = "阿拉善" if number < 3 else ("包头", "赤峰")[number % 2]
            income = "" if number in LACKING else 30_000 + number
            writer.writerow([f"99999919900101{number:04d}", league, income])
    return path


@pytest.fixture(scope="module")
def watched(town):
    """The town with a dataset that the ledger watches, and a copy of which single persons may be told apart."""
    description = (towns.HERE / "small.toml").read_text()
    for dataset in (WATCHED, CONTROL, STRICT):
        source = incomes(town.folder / f"{dataset.rpartition('/')[2]}.csv", range(PERSONS))
        town.ingest(source, description.replace('"nm/tax/income"', f'"{dataset}"'))
    policy = town.folder / "watched.toml"
    told = [(WATCHED, 0, "false"), (CONTROL, 1, "false"), (STRICT, 0, "true")]
    policies = [POLICY.format(dataset=each, differ=differ, missing=missing) for each, differ, missing in told]
    policy.write_text(towns.POLICY + "".join(policies))
    sign_policies(town.owner, policy, town.people["zhao"].keys)
    for dataset in (WATCHED, CONTROL, STRICT):
        town.give_grant(dataset=dataset)
    return town


def counts(town, dataset: str, condition: str = "") -> list[int]:
    """The one figure of the answer, or nothing where all of it was kept back."""
    where = f"where {condition}" if condition else ""
    statement = f"select count(*) as n from tax.{dataset.rpartition('/')[2]} {where}"
    try:
        return [row[0] for row in town.ask(statement).result().rows]
    except OutputRefused:
        return []


def test_24_the_count_of_all_but_three_is_kept_back_and_without_the_rule_it_leaves(watched):
    answers = {
        dataset: (counts(watched, dataset), counts(watched, dataset, "league <> '阿拉善'"))
        for dataset in (WATCHED, CONTROL)
    }
    assert answers[CONTROL] == ([PERSONS], [PERSONS - 3]), "the control: three persons are in no league"
    assert answers[WATCHED] == ([PERSONS], [])


def test_89_the_next_version_without_one_person_does_not_tell_who_left(watched):
    description = (towns.HERE / "small.toml").read_text()
    for dataset in (WATCHED, CONTROL):
        source = incomes(watched.folder / "next.csv", range(PERSONS - 1))
        watched.ingest(source, description.replace('"nm/tax/income"', f'"{dataset}"'))
    assert counts(watched, CONTROL) == [PERSONS - 1]
    assert counts(watched, WATCHED) == []


def test_the_desk_says_what_was_asked_and_what_each_rule_found(watched):
    desk = DeskClient(watched.owner.desk)
    (lineage,) = [found for found in desk.ledger() if found["dataset"] == WATCHED]
    assert lineage["vectors"] >= 1
    job = watched.ask("select league, avg(income) as m from tax.watched group by league")
    assert job.result().rows
    (after,) = [found for found in desk.ledger() if found["dataset"] == WATCHED]
    assert after["vectors"] > lineage["vectors"]
    assert Inspection.read(desk.record(watched.researcher.connection.plan(job.id).digest)).applied


@pytest.mark.long
def test_24_who_has_no_value_keeps_nothing_back_unless_the_owner_says_so(watched):
    """Three persons of one league and one of the other have no income; how many these are is all that is told.

    Where everybody was counted before, one league stays back for the three persons who are in neither.
    """

    def asked(dataset, figures):
        statement = f"select league, {figures} from tax.{dataset.rpartition('/')[2]} group by league"
        try:
            return len(watched.ask(statement).result().rows)
        except OutputRefused:
            return 0

    told = "avg(income) as m", "count(*) as n, count(income) as known", "sum(income) as s"
    assert [asked(WATCHED, figures) for figures in told] == [1, 1, 1]
    assert [asked(STRICT, figures) for figures in told] == [0, 0, 0]
