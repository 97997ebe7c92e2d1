"""What the chapters of the story share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from darkroom.job import Job
from examples.story.people import Person
from examples.story.region import Region
from examples.story.telling import Teller
from plans.plan import Plan

PROJECT, PURPOSE = "income-study", "Incomes by sector, for the yearbook"


@dataclass(slots=True)
class Story:
    """What has been built up so far."""

    teller: Teller
    region: Region
    folder: Path
    scale: float
    people: dict[str, Person] = field(default_factory=dict)
    grant: str = ""
    plan: Plan | None = None

    @property
    def researcher(self) -> Person:
        """Wang, who asks."""
        return self.people["researcher"]

    def ask(self, statement: str) -> Job:
        """Let Wang submit a statement."""
        return self.researcher.connection.sql(statement, project=PROJECT, purpose=PURPOSE)
