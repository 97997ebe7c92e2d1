"""Calls that ask too soon or with a wrong value are answered by what to do, in words of Python."""

from __future__ import annotations

import pytest

from darkroom import advice
from darkroom.display import written
from plans.errors import DarkroomError, NotFinished, Unreachable
from tests.client.conftest import Town
from tests.client.shells import MEI, shell, signed_in

__all__ = ["shell", "signed_in"]

SQL = "select region, count(*) as n from tax.income group by region"
ABOUT = {"project": "housing", "purpose": "Study of rents"}


def test_a_job_that_runs_on_is_no_service_that_is_away(town: Town) -> None:
    job = town.connection(MEI).sql(SQL, on="real", **ABOUT)
    for ask in (job.wait, job.result):
        with pytest.raises(TimeoutError) as caught:
            ask(timeout=0.1)
        problem = caught.value
        assert isinstance(problem, NotFinished) and not isinstance(problem, Unreachable)
        assert f"darkroom.job({job.id!r}).wait()" in str(problem), "what to do next, in Python"
        shown = written(advice.card(problem))["text/plain"]
        assert "It has not ended yet" in shown and "administrator" not in shown


def test_the_command_line_is_told_its_own_next_step(town: Town) -> None:
    job = town.connection(MEI).sql(SQL, on="real", **ABOUT)
    with pytest.raises(DarkroomError) as caught:
        job.wait(timeout=0.1)
    lesson = advice.lesson_of(caught.value)
    assert lesson is not None and lesson.command.endswith(f"darkroom job {job.id}")
