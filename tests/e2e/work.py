"""What the tests of tasks have in common: a dataset that code may read, and folders that read it."""

from __future__ import annotations

from pathlib import Path

from examples.story.people import arrive
from keeper.api import DeskClient
from plans.statements import Answer, Duty, RosterEntry
from server.enrolment import enrol, sign_policies
from server.reviewing import give_opinion
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

["nm/tax/panel".checks]
unsafe_exact_cells = true
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


def enrol_reviewers(town: towns.Town) -> None:
    """Put two reviewers on the owner's roster."""
    for name in ("sun", "zhou"):
        person = arrive(town.site, town.url, town.folder / "people", f"{name}@{towns.DOMAIN}", ("reviewer",))
        town.people[name] = person
    enrol(
        town.owner,
        [
            RosterEntry(town.people[name].name, Duty.REVIEWER, town.people[name].keys.signing.public)
            for name in ("sun", "zhou")
        ],
    )


def review(town: towns.Town, plan: str, *opinions: tuple[str, Answer, bool]) -> None:
    """Let reviewers give their opinions about a held output, in this order: who, what, and whether for both."""
    for name, answer, consolidates in opinions:
        about = (answer, "Looked at.", consolidates)
        give_opinion(DeskClient(town.owner.desk), towns.DOMAIN, plan, about, town.people[name].keys)
