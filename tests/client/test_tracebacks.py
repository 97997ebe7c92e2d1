"""Errors of the house show the member's own lines and no variable; everything else stays as it was."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import darkroom
from darkroom import advice, tracebacks
from plans.errors import Malformed
from tests.client.conftest import Town
from tests.client.shells import as_notebook, shell, signed_in
from tests.portal.region import DATASET

__all__ = ["shell", "signed_in"]

SECRET = "canary-3f1b"
HOUSE = ("wire.py", "connection.py", "httpx", "session.py", "plans/errors.py")


def cell(text: str) -> str:
    return textwrap.dedent(text).strip()


DEEP = cell(
    f"""
    import darkroom
    def ask(dataset):
        hidden = {SECRET!r}
        return darkroom.describe(dataset)
    ask("nm/tax/nothing")
    """
)


def test_the_card_names_the_members_line_and_nothing_of_the_house(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell(DEEP)
    told = capsys.readouterr().out
    assert "thing.not-found" in told and "return darkroom.describe(dataset)" in told and "line 4" in told
    assert not any(name in told for name in HOUSE) and "Traceback" not in told


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose"])
def test_no_mode_of_ipython_shows_a_variable_of_the_house(
    shell: Any, signed_in: Town, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_line_magic("xmode", mode)
    shell.run_cell(DEEP)
    shell.run_line_magic("tb", "")
    told = capsys.readouterr().out
    assert not any(name in told for name in HOUSE)


def test_the_control_a_cell_without_the_extension_shows_the_house(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    tracebacks.uninstall(shell)
    shell.run_line_magic("xmode", "Verbose")
    shell.run_cell(DEEP)
    told = capsys.readouterr().out
    assert "connection.py" in told and SECRET in told
    tracebacks.install(shell)


def test_the_whole_of_it_stays_at_hand_without_variables(shell: Any, signed_in: Town) -> None:
    shell.run_cell(DEEP)
    whole = repr(darkroom.last_traceback())
    assert "connection.py" in whole and "wire.py" in whole and "darkroom.describe(dataset)" in whole
    assert f"= {SECRET!r}" not in whole.replace(f"hidden = {SECRET!r}", "")


def test_in_a_notebook_it_is_one_card_and_the_error_is_an_error(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    as_notebook(shell)
    done = shell.run_cell("import darkroom\ndarkroom.describe('nm/tax/nothing')")
    assert not done.success and len(shell.sheets.shown) == 1
    assert "text/html" in shell.sheets.shown[0] and "thing.not-found" in shell.sheets.text
    assert str(done.error_in_exec) in capsys.readouterr().out


def test_str_of_an_error_is_what_it_was(signed_in: Town) -> None:
    with pytest.raises(darkroom.DarkroomError) as caught:
        darkroom.describe("nm/tax/nothing")
    error = caught.value
    assert str(error) == f"{error.what} ({error.where}). {error.next_step} [{error.code}]"


def test_other_errors_are_shown_as_ipython_shows_them(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("{}['missing']")
    told = capsys.readouterr().out
    assert "Traceback" in told and "KeyError" in told


def test_a_missing_module_says_in_a_lab_how_to_ask(
    shell: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("import no_such_module_here.inner")
    assert "darkroom.packages()" not in capsys.readouterr().out
    monkeypatch.setenv("DARKROOM_LAB", "1")
    monkeypatch.setenv("DARKROOM_ADMINISTRATOR", "wang@nm/centre")
    shell.run_cell("import no_such_module_here.inner")
    told = capsys.readouterr().out
    assert "ModuleNotFoundError" in told and "darkroom.packages()" in told and "wang@nm/centre" in told
    assert "no_such_module_here is not in this image" in told


@pytest.mark.parametrize(
    ("there", "offered"),
    [
        ("no_such_module_here-1.0-py3-none-any.whl", True),
        ("No-Such.Module_here-1.0.tar.gz", True),
        ("torch-2.0.whl", False),
    ],
)
def test_installing_is_advised_where_the_mirror_has_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, offered: bool
) -> None:
    (tmp_path / there).touch()
    monkeypatch.setattr(advice, "MIRROR", str(tmp_path))
    told = advice.missing_module(ModuleNotFoundError(name="no_such_module_here"))
    assert ("%pip install no_such_module_here" in told) is offered
    assert "darkroom.packages()" in told


def test_what_is_the_members_own() -> None:
    own = ["<ipython-input-3-ab>", "/tmp/ipykernel_71/1.py", "<stdin>", "/srv/mei/study.py"]
    not_own = [
        "<frozen importlib>",
        darkroom.__file__,
        pytest.__file__,
        textwrap.__file__,
        Malformed.__module__,
    ]
    assert all(map(tracebacks.is_own, own))
    assert not any(map(tracebacks.is_own, not_own[:4]))


def test_a_script_that_opts_in_shows_its_own_lines(tmp_path: Path) -> None:
    script = tmp_path / "study.py"
    script.write_text(
        cell(
            f"""
            import darkroom
            darkroom.short_tracebacks()
            hidden = {SECRET!r}
            darkroom.use(on="nowhere")
            """
        )
    )
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": f"{root / 'client'}:{root}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert ended.returncode == 1 and "study.py, line 4" in ended.stderr
    assert "value.malformed" in ended.stderr and "local.py" not in ended.stderr and SECRET not in ended.stderr


def test_a_shell_can_have_ipythons_own_tracebacks_back(
    shell: Any, signed_in: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("import darkroom\ndarkroom.short_tracebacks(False)")
    shell.run_cell("darkroom.describe('nm/tax/nothing')")
    assert "connection.py" in capsys.readouterr().out
    shell.run_cell("darkroom.short_tracebacks()")
    shell.run_cell("darkroom.describe('nm/tax/nothing')")
    assert "connection.py" not in capsys.readouterr().out


def test_opting_out_again() -> None:
    before = sys.excepthook
    tracebacks.short_tracebacks()
    tracebacks.short_tracebacks()
    assert sys.excepthook is not before
    tracebacks.short_tracebacks(on=False)
    assert sys.excepthook is before


def test_the_error_of_a_statement_carries_its_lesson(signed_in: Town) -> None:
    from darkroom import advice
    from tests.portal.region import refuse

    job = darkroom.sql(
        "select region from tax.income", on="real", project="housing", purpose="Study of rents"
    )
    refuse(signed_in.region, job.id)
    with pytest.raises(darkroom.DarkroomError) as caught:
        job.result()
    lesson = advice.lesson_of(caught.value)
    assert lesson is not None and lesson.asked is not None
    assert lesson.asked.statement == "select region from tax.income" and DATASET in str(lesson.reasons)
