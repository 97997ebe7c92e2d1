"""Calls that ask too soon or with a wrong value are answered by what to do, in words of Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import darkroom
from components import api as components
from darkroom import advice, local
from darkroom.display import written
from darkroom.wire import Wire
from plans.errors import DarkroomError, Malformed, NotFinished, NotFound, Unreachable
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


# --- values of another type ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: darkroom.describe(None), "dataset"),  # type: ignore[arg-type]
        (lambda: darkroom.sample(5), "dataset"),  # type: ignore[arg-type]
        (lambda: darkroom.sample("tax.income", rows="3"), "rows"),  # type: ignore[arg-type]
        (lambda: darkroom.sql(None, on="twin"), "statement"),  # type: ignore[arg-type]
        (lambda: darkroom.sql(None, on="real", **ABOUT), "statement"),  # type: ignore[arg-type]
        (lambda: darkroom.job(7), "number"),  # type: ignore[arg-type]
        (lambda: darkroom.apply("tax.income", [1], until="2027-06-30", **ABOUT), "columns"),  # type: ignore[list-item]
        (lambda: darkroom.apply("tax.income", "region", until=2027, **ABOUT), "until"),  # type: ignore[arg-type]
        (lambda: darkroom.component("describe", {}, [1], on="twin"), "tables"),  # type: ignore[list-item]
        (lambda: darkroom.component(3, {}, ["tax.income"], on="twin"), "name"),  # type: ignore[arg-type]
        (lambda: darkroom.sql(SQL, on="real", **ABOUT).wait("3"), "timeout"),  # type: ignore[arg-type]
    ],
)
def test_a_value_of_another_type_is_named_and_answered(
    signed_in: Town, call: Callable[[], Any], named: str
) -> None:
    with pytest.raises(Malformed) as caught:
        call()
    assert caught.value.what.startswith(f"{named} is ") and caught.value.where == named
    assert "quotes" in caught.value.next_step or "For example" in caught.value.next_step


def test_one_table_needs_no_list(signed_in: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def post(self: Wire, path: str, body: Any = None, **_: Any) -> Any:
        asked.append((path, body))
        raise NotFound("there is no image for components")

    monkeypatch.setattr(Wire, "post", post)
    with pytest.raises(NotFound):
        darkroom.component("logistic_regression", {}, "tax.income", on="twin")
    assert asked == [
        ("/api/v1/components/logistic-regression", {"parameters": {}, "relations": ["tax.income"]})
    ]


@pytest.mark.parametrize("written_", ["logistic_regresion", "logistic-regresion", "Logistic Regression"])
def test_a_misspelt_component_is_answered_by_the_nearest(written_: str) -> None:
    with pytest.raises(NotFound, match=r"Did you mean logistic-regression\?"):
        components.find(written_)
    with pytest.raises(NotFound) as far:
        components.find("zzz")
    assert "Did you mean" not in str(far.value), "the control"


def test_a_program_outside_of_a_job_is_told_how_to_have_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DARKROOM_LAB", "DARKROOM_OUT", "DARKROOM_TABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(local, "_chosen", [local.Chosen()])
    for read in (darkroom.table, darkroom.batches, darkroom.out):
        with pytest.raises(DarkroomError, match='darkroom.use\\(on="twin"\\)'):
            read("tax.income")  # type: ignore[operator]


def test_a_type_error_within_the_house_is_cut_to_the_members_line(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("import darkroom\ndarkroom.component('describe', 5, 'tax.income', on='twin')")
    told = capsys.readouterr().out
    assert "darkroom.component" in told and "help(darkroom.component)" in told and "not iterable" in told
    assert "tasks.py" not in told and "either.py" not in told
    assert "tasks.py" in repr(darkroom.last_traceback()), "the whole of it stays at hand"


def test_a_type_error_of_the_members_own_stays_as_python_has_it(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: neither a line of theirs, nor a function of theirs that the house calls, is the house's error."""
    shell.run_cell("1 + 'a'")
    told = capsys.readouterr().out
    assert "unsupported operand" in told and "value.malformed" not in told
    shell.run_cell(
        "import darkroom\ndarkroom.sql('select 1 as n', on='twin').wait(progress=lambda job: 1 + 'a')"
    )
    told = capsys.readouterr().out
    assert "unsupported operand" in told and "value.malformed" not in told
