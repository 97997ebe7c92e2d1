"""What somebody new does first, with the usual mistakes: each is understood, or answered by what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import darkroom
from darkroom import chart, display_draw, magic, session
from darkroom.advice import Asked, Lesson, teach, try_it
from darkroom.display import Shown, sheet
from darkroom.listing import Applications, Budget, Datasets, Description, Grants, Jobs
from darkroom.profile import Home, Profile
from darkroom.twin_result import MadeUp, TwinResult
from plans.errors import Malformed, NotFound, OutputRefused, SqlSyntax
from plans.released import Cell, ReleasedColumn
from tests.client.conftest import Town
from tests.client.shells import MEI, shell, signed_in
from tests.client.test_magic import ASK, SQL, later
from tests.portal.region import release

__all__ = ["shell", "signed_in"]


@pytest.fixture
def printed(shell: Any) -> Any:
    """Return what a terminal prints of a value."""

    def printed_(thing: Any) -> str:
        return str(shell.display_formatter.format(thing, include={"text/plain"})[0]["text/plain"])

    return printed_


def test_lists_are_tables_in_a_terminal_too(printed: Any, shell: Any) -> None:
    one = {
        "dataset": "nm/tax/income",
        "relation": "tax.income",
        "title": "Incomes",
        "columns": ["region"],
        "signed": {},
    }
    for thing in (
        Datasets([one]),
        Grants([one]),
        Applications([one]),
        Description(one | {"columns": []}),
        Jobs(),
    ):
        assert "'" not in printed(thing).replace("describe('nm/tax/income')", "").replace(
            "'nm/tax/income'", ""
        )
    assert "───" in printed(Datasets([one])) and "left" not in printed(Budget())
    assert printed([one]).startswith("[{"), "the control: a list of the member's own"
    shell.run_line_magic("unload_ext", "darkroom")
    assert printed(Datasets([one])).startswith("[{")
    shell.run_line_magic("load_ext", "darkroom")


def test_a_dataset_is_described_by_either_of_its_names(signed_in: Town) -> None:
    assert darkroom.describe("tax.income") == darkroom.describe("nm/tax/income")
    for wrong in ("tax.incomes", "income", "Tax Income"):
        with pytest.raises((NotFound, Malformed)) as caught:
            darkroom.describe(wrong)
        assert "darkroom.datasets()" in str(caught.value)


def test_a_rewrite_of_a_statement_on_twins_is_tried_for_the_sessions_project(signed_in: Town) -> None:
    asked: list[Any] = []

    class Room:
        def dry_run(self, statement: str, **said: Any) -> dict[str, Any]:
            asked.append(said)
            return {"outcome": "allow", "reasons": []}

    what = 'Binder Error: Referenced column "regoin" not found! Candidate bindings: "region"'
    wrong = SqlSyntax(what, "statement, on look-alike data")
    lesson = Lesson(Asked("select regoin, count(*) from tax.income group by regoin"), connection=Room())
    darkroom.use(project="housing", purpose="Study of rents")
    try:
        assert try_it(teach(wrong, lesson)).passing
    finally:
        darkroom.use(project="", purpose="")
    assert asked == [{"project": "housing", "purpose": "Study of rents", "spend_micro": 0}]


def test_a_dry_run_does_not_promise_that_groups_are_large_enough() -> None:
    class Room:
        def dry_run(self, statement: str, **said: Any) -> dict[str, Any]:
            return {"outcome": "allow", "reasons": []}

    asked = Asked(
        "select region, age, count(*) from tax.income group by region, age", "housing", "Study of rents"
    )
    small = teach(OutputRefused("no group can be shown"), Lesson(asked, connection=Room()))
    assert "may still be too small" in repr(try_it(small))


def test_a_key_is_shown_by_its_own_characters() -> None:
    assert display_draw.short("ed25519:" + "ab" * 32, 8) == "ed25519:abababab"
    assert display_draw.short("sha256:" + "cd" * 32) == "cd" * 6


def test_who_signs_in_again_goes_on_in_the_same_session(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_HOME", str(town.home(MEI).folder))
    session.forget()
    first = session.connection()
    assert session.connection() is first
    fresh = darkroom.connection.sign_in(town.url, MEI, town.region.password(MEI))
    Home(town.home(MEI).folder).save(Profile(town.url, MEI, fresh))
    second = session.connection()
    assert second is not first and second.me()["name"] == MEI
    session.forget()


def test_in_a_terminal_a_job_is_a_line_for_each_state(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    mover = later(release, signed_in)
    done = shell.run_cell(f"%%darkroom {ASK}\n{SQL}")
    mover.join()
    assert done.success and shell.sheets.shown == []
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2 and all(len(line) < 80 for line in lines)


def test_a_card_shows_the_members_line_short_and_no_call_of_ipython(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%%darkroom --one twin\nselect 1")
    shell.run_cell(f"import darkroom; darkroom.describe('nm/tax/nothing'); {'0' * 500}")
    told = capsys.readouterr().out + shell.sheets.text
    assert "get_ipython" not in told and "0" * 200 not in told and "nm/tax/nothing" in told


def test_bars_stand_below_each_other_whatever_the_script(tmp_path: Path) -> None:
    columns = (ReleasedColumn("city", "VARCHAR"), ReleasedColumn("n", "BIGINT"))
    rows = tuple((Cell(name, False), Cell("10", False)) for name in ("包头", "呼和浩特", "Baotou"))
    _, *bars = chart.chart(TwinResult(MadeUp(columns, rows))).text.splitlines()
    from darkroom.display_text import width

    assert len({width(bar.partition("█")[0]) for bar in bars}) == 1


def test_a_budget_is_told_in_words() -> None:
    grant = {"dataset": "nm/tax/income", "uses": 100, "uses_left": 97, "mode": "rules", "private": None}
    exact = grant | {"exact": {"cells": 20_000, "period_days": 30}}
    noisy = grant | {"exact": None, "private": {"rho_micro": 500, "own_micro": 20, "period_days": 30}}
    told = Budget([exact, noisy])._repr_mimebundle_()["text/plain"]
    assert "97 of 100 plans" in told and "20000 cells in 30 days" in told and "yours: 20" in told
    assert "{" not in told and "uses_left" not in told


def test_a_sentence_that_helps_is_not_cut_in_a_terminal() -> None:
    reason = {
        "rule": "column-use",
        "sentence": "The owner does not allow it " + "for reasons " * 20 + "that end.",
    }
    shown = Shown(
        sheet(*magic.dry_blocks({"outcome": "deny", "reasons": [reason | {"help": "Use another."}]}))
    )
    assert "that end." in repr(shown) and "Use another." in repr(shown)
