"""A lineage in the mode `private`, through real processes and real boxes: noise arrives, and the budget ends."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from keeper.api import DeskClient
from plans.errors import DarkroomError
from server.enrolment import sign_policies
from tests.e2e import town as towns

pytestmark = [pytest.mark.box, pytest.mark.ray]

DATASET, LEAGUES = "nm/tax/noised", ("呼和浩特", "包头", "赤峰")
POLICY = """
["nm/tax/noised"]
mode = "private"

["nm/tax/noised".privacy]
rho_micro = 4000000
period_days = 30

[["nm/tax/noised".columns.league]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = ["group", "filter"]
reveal = "noised"

[["nm/tax/noised".columns.income]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
functions = ["sum", "avg"]
reveal = "noised"
"""
BY_LEAGUE = (
    "select league, count(*) as n, avg(income) as mean from tax.noised group by league order by league"
)


@pytest.fixture(scope="module")
def noised(town):
    """The town with a dataset in this mode: declared leagues and bounds, and a grant."""
    description = (towns.HERE / "small.toml").read_text().replace('"nm/tax/income"', f'"{DATASET}"')
    listed = ", ".join(f'"{league}"' for league in (*LEAGUES, "阿拉善"))
    description = description.replace('title = "League"', f'categories = [{listed}]\ntitle = "League"')
    description = description.replace('title = "Income"', 'range = [0, 100000]\ntitle = "Income"')
    town.ingest(_incomes(town.folder / "noised.csv"), description)
    policy = town.folder / "noised.toml"
    policy.write_text(towns.POLICY + POLICY)
    sign_policies(town.owner, policy, town.people["zhao"].keys)
    town.give_grant(dataset=DATASET)
    return town


def _incomes(path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id18", "league", "income"])
        for number in range(600):
            writer.writerow([f"99999919900101{number:04d}", LEAGUES[number % 3], 30_000 + 10 * number])
    return path


def ask(town, statement: str, spend_micro: int):
    connection = town.researcher.connection
    return connection.sql(statement, project=towns.PROJECT, purpose=towns.PURPOSE, spend_micro=spend_micro)


def test_figures_arrive_with_noise_and_error_bars_until_the_budget_is_spent(noised):
    job = ask(noised, BY_LEAGUE, 1_500_000)
    result = job.result()
    assert result.columns == ("league", "n", "n_error", "mean", "mean_error")
    assert [row[0] for row in result.rows] == sorted((*LEAGUES, "阿拉善")), (
        "also the league in which nobody is"
    )
    assert all(abs(int(row[1]) - (0 if row[0] == "阿拉善" else 200)) <= 8 for row in result.rows)
    assert "rho = 1.5" in " ".join(result.notes)
    (left,) = [each for each in DeskClient(noised.owner.desk).budgets() if each["dataset"] == DATASET]
    assert (left["dataset"], left["left_micro"]) == (DATASET, 2_500_000)
    with pytest.raises(DarkroomError) as spent:
        ask(noised, BY_LEAGUE, 1_000_000).result()
    assert spent.value.code == "budget.spent" and "00" not in str(spent.value)
    again = ask(noised, "select count(*) as n from tax.noised", 400_000).result()
    assert abs(int(again.rows[0][0]) - 600) <= int(again.rows[0][1]) * 4


def test_a_dry_run_says_price_and_noise_and_spends_nothing(noised):
    connection = noised.researcher.connection
    before = DeskClient(noised.owner.desk).budgets()
    asked = {"project": towns.PROJECT, "purpose": towns.PURPOSE}
    found = connection.dry_run(BY_LEAGUE, **asked, spend_micro=1_500_000)
    assert (found["outcome"], found["reasons"]) == ("allow", [])
    assert found["noise"] == {
        "rho_micro": 1_500_000, "datasets": [DATASET], "errors": [{"output": "n", "error": "2"}],
    }  # fmt: skip
    refused = connection.dry_run(BY_LEAGUE.replace("avg", "max"), **asked)
    assert refused["outcome"] == "deny" and refused["reasons"]
    exact = connection.dry_run("select league, count(*) as n from tax.income group by league", **asked)
    assert exact == {"outcome": "allow", "reasons": [], "noise": None}
    assert DeskClient(noised.owner.desk).budgets() == before


def test_what_cannot_be_private_is_refused_by_name(noised):
    with pytest.raises(DarkroomError) as refusal:
        ask(noised, "select league, max(income) as m from tax.noised group by league", 1_000).result()
    assert refusal.value.code == "policy.denied"


def test_the_control_exact_figures_leave_the_other_dataset_of_the_same_owner(noised):
    result = noised.ask(
        "select league, count(*) as n from tax.income group by league order by league"
    ).result()
    assert {row[1] for row in result.rows} == {200}
