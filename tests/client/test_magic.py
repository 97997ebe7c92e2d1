"""`%%darkroom`: the same job as `darkroom.sql`, watched in place; an interrupt ends the watching, not the job."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import darkroom
from darkroom import magic
from darkroom.job import Job
from plans.errors import Malformed
from tests.client.conftest import Town
from tests.client.shells import MEI, as_notebook, shell, signed_in
from tests.portal.region import refuse, release

__all__ = ["shell", "signed_in"]

SQL = "select region, count(*) as n from tax.income group by region"
ASK = '--on real --project housing --purpose "Study of rents"'


def later(act: Any, town: Town) -> threading.Thread:
    """Act on the first job that is submitted."""

    def work() -> None:
        room = town.connection(MEI)
        while not (found := room.jobs()):
            time.sleep(0.02)
        act(town.region, found[0].id)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_statement_is_submitted_watched_and_opened(shell: Any, signed_in: Town) -> None:
    as_notebook(shell)
    mover = later(release, signed_in)
    done = shell.run_cell(f"%%darkroom {ASK} --as by_region\n{SQL}")
    mover.join()
    assert done.success and done.result.rows[0] == ("Baotou", 1250)
    assert shell.user_ns["by_region"] is done.result
    assert shell.sheets.updates >= 1 and "released" in shell.sheets.text


def test_the_line_magic_does_the_same(shell: Any, signed_in: Town) -> None:
    mover = later(release, signed_in)
    done = shell.run_cell(f"%darkroom {ASK} {SQL}")
    mover.join()
    assert done.success and done.result.columns == ("region", "n")


def test_braces_and_dollars_stay_as_they_are_written(
    shell: Any, signed_in: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(magic, "_answered", lambda statement, chosen: heard.append(statement))
    shell.run_cell("secret = 'x'")
    shell.run_cell("%darkroom select '{secret} $secret' from tax.income")
    assert heard == ["select '{secret} $secret' from tax.income"]


def test_an_interrupt_leaves_the_job_running_and_says_how_to_come_back(
    shell: Any, signed_in: Town, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Job, *args: Any, **kwargs: Any) -> Job:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "wait", interrupted)
    done = shell.run_cell(f"%%darkroom {ASK}\n{SQL}")
    [job] = signed_in.connection(MEI).jobs()
    assert not done.success and isinstance(done.error_in_exec, KeyboardInterrupt)
    assert job.state == "submitted" and f"darkroom.job('{job.id}')" in shell.sheets.text
    assert "Traceback" not in capsys.readouterr().out


def test_a_refusal_in_a_cell_is_a_card_with_what_would_help(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    mover = later(refuse, signed_in)
    done = shell.run_cell(f"%%darkroom {ASK}\n{SQL}")
    mover.join()
    told = capsys.readouterr().out
    assert not done.success and "policy.denied" in told and "no-grant" in told and "darkroom apply" in told
    assert "wire.py" not in told and "Traceback" not in told


def test_a_dry_run_shows_the_answer_and_submits_nothing(
    shell: Any, signed_in: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = {"rho_micro": 10_000, "datasets": ["nm/tax/income"], "errors": [{"output": "n", "error": "12"}]}
    reason = {"rule": "no-grant", "subject": "x", "sentence": "No grant fits.", "help": "Apply."}
    asked: list[Any] = []

    def dry_run(self: Any, statement: str, **rest: Any) -> dict[str, Any]:
        asked.append((statement, rest))
        return {"outcome": "deny", "reasons": [reason], "noise": noise}

    monkeypatch.setattr(darkroom.Connection, "dry_run", dry_run)
    done = shell.run_cell(f"%%darkroom --dry-run {ASK}\n{SQL}")
    shown = repr(done.result)
    assert asked == [(SQL, {"project": "housing", "purpose": "Study of rents", "spend_micro": 0})]
    assert "no grant fits" in shown and "10000" in shown and "± 12" in shown
    assert signed_in.connection(MEI).jobs() == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", magic.Options()),
        ("--on=twin", magic.Options(on="twin")),
        ("--purpose='Study of rents' --dry-run", magic.Options(purpose="Study of rents", dry=True)),
        ("--spend 7 --as x", magic.Options(spend=7, name="x")),
    ],
)
def test_options(line: str, expected: magic.Options) -> None:
    assert magic.options(line) == (expected, "")
    assert magic.options(f"{line} select '--on' -- x") == (expected, "select '--on' -- x")


@pytest.mark.parametrize(
    "line",
    ["--om twin", "--on", "--on both", "--as a.b", "--spend x", "--purpose 'x", "--as __import__('os')"],
)
def test_wrong_options_are_refused(line: str) -> None:
    with pytest.raises(Malformed):
        magic.options(line)


def test_a_statement_behind_the_cell_magic_and_an_empty_one_are_refused(shell: Any) -> None:
    for cell in ("%%darkroom select 1\nselect 2", "%%darkroom\n  "):
        done = shell.run_cell(cell)
        assert isinstance(done.error_in_exec, Malformed) or isinstance(done.error_before_exec, Exception)


def test_loading_twice_and_unloading(shell: Any) -> None:
    from darkroom import comfort

    comfort.load(shell)
    assert len([each for each in shell.Completer.custom_matchers if hasattr(each, "of_darkroom")]) == 1
    comfort.unload(shell)
    assert "darkroom" not in shell.magics_manager.magics["cell"]
    assert not shell.Completer.custom_matchers
    comfort.load(shell)
