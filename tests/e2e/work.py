"""What the tests of tasks have in common: a dataset that code may read, and folders that read it."""

from __future__ import annotations

from pathlib import Path

from server.enrolment import sign_policies
from tests.e2e import town as towns

PANEL = "nm/tax/panel"
POLICY = """
["nm/tax/panel"]
minimum_group = 10
rounding = 5

[["nm/tax/panel".access]]
parties = ["any"]
roles = ["researcher"]
actions = ["query", "train"]
purposes = ["any"]

["nm/tax/panel".columns]
league = ["group", "model"]
income = ["model", "sum", "avg"]
"""
SETTINGS = """
entry = "main.py"
project = "study"
purpose = "A study of incomes"

[tables]
"tax.panel" = ["league", "income"]

[outputs]
"by_league.csv" = { form = "table", persons = "persons" }
"""
MAIN = """
import darkroom

panel = darkroom.table("tax.panel").to_pandas()
made = panel.groupby("league").agg(persons=("person", "nunique"), mean=("income", "mean")).reset_index()
made.to_csv(darkroom.out("by_league.csv"), index=False)
"""


def prepare(town: towns.Town) -> None:
    """Ingest the dataset, put it into the policies beside what is there, and grant it to the researcher."""
    description = (towns.HERE / "small.toml").read_text().replace('"nm/tax/income"', f'"{PANEL}"')
    town.ingest(towns.write_incomes(town.folder / "panel.csv"), description)
    policy = town.folder / "with_panel.toml"
    policy.write_text(towns.POLICY + POLICY)
    sign_policies(town.owner, policy, town.people["zhao"].keys)
    town.give_grant(dataset=PANEL)


def folder(place: Path, main: str = MAIN, settings: str = SETTINGS) -> Path:
    """Write a folder."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "main.py").write_text(main)
    (place / "darkroom.toml").write_text(settings)
    return place
