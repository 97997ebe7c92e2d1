"""From a notebook to a job: chosen cells become one program, nothing else of the notebook travels, and what cannot
become one is named by cell and line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from darkroom import cli, notebook
from darkroom import folder as folders
from plans.artifacts import Form
from plans.errors import DarkroomError, Malformed, NotFound, StateConflict, TooLarge, Unreachable

CANARY = "canary-4711"


def cell(source: str, *tags: str, kind: str = "code") -> dict[str, Any]:
    """A cell with a canary in every place that is none of its text."""
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": CANARY},
        {
            "output_type": "display_data",
            "data": {"text/html": CANARY, "image/png": CANARY},
            "metadata": {"x": CANARY},
        },
    ]
    made: dict[str, Any] = {
        "cell_type": kind,
        "id": CANARY,
        "source": source,
        "metadata": {"tags": [*tags, CANARY], "name": CANARY, "jupyter": {CANARY: 1}},
        "attachments": {CANARY: {"image/png": CANARY}},
    }
    return made | ({"outputs": outputs, "execution_count": 4711} if kind == "code" else {})


def written(path: Path, *cells: dict[str, Any], **other: Any) -> Path:
    kernel = {"kernelspec": {"name": CANARY, "display_name": CANARY, "language": "python"}, "title": CANARY}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": list(cells)} | other
    path.write_text(json.dumps(content))
    return path


STUDY = (
    cell("%load_ext darkroom\ndarkroom.datasets()"),
    cell("year = 2023\nrate = 0.5\nwhole: bool = True\nname = '雨'", "parameters"),
    cell("# A study\n%% of rents", "job", kind="markdown"),
    cell("import darkroom", "job"),
    cell('seen = darkroom.table("tax.income", on="twin").to_pandas()\nseen.head()', "job"),
    cell(f"secret = {CANARY!r}\nsecret"),
    cell(
        'made = seen.groupby("league").agg(persons=("person", "nunique"), mean=("income", "mean"))\n'
        'made.to_csv(darkroom.out("by_league.csv"))\ndarkroom.out("by_league.png")\ndarkroom.out("fit.json")',
        "job",
    ),
)


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is signed in on this machine."""
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path / "nobody"))
    for variable in ("DARKROOM_TOKEN", "DARKROOM_LAB", "DARKROOM_PROJECT", "DARKROOM_PURPOSE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return written(tmp_path / "study.ipynb", *STUDY)


class Town:
    """A platform whose answers are known."""

    modules = ("pandas", "darkroom", "json")

    def images(self) -> list[dict[str, Any]]:
        return [
            {"name": "python", "stage": "python", "modules": self.modules, "digest": "sha256:" + "ab" * 32},
            {
                "name": "components",
                "stage": "component",
                "modules": ("torch",),
                "digest": "sha256:" + "cd" * 32,
            },
        ]

    def datasets(self) -> list[dict[str, Any]]:
        return [{"dataset": "nm/tax/income", "relation": "tax.income"}]

    def describe(self, dataset: str) -> dict[str, Any]:
        assert dataset == "nm/tax/income"
        kinds = {"league": "plain", "income": "sensitive", "secret": "identifier", "height": "plain"}
        return {"columns": [{"name": name, "kind": kind} for name, kind in kinds.items()]}


def refusal(path: Path, into: Path, **chosen: Any) -> DarkroomError:
    with pytest.raises(DarkroomError) as caught:
        notebook.job_from(path, into, **chosen)
    assert not into.exists(), "a refused notebook leaves no folder behind"
    return caught.value


# --- what travels -----------------------------------------------------


def test_chosen_cells_become_a_folder_that_can_be_read(study: Path, tmp_path: Path) -> None:
    made = notebook.job_from(study, tmp_path / "job", ask=Town)
    assert made.cells == (2, 3, 4, 5, 7) and made.notes == ()
    work = folders.read(tmp_path / "job")
    assert work.folder.arguments == ("year=2023", "rate=0.5", "whole=true", "name=雨")
    assert [(need.relation, need.columns) for need in work.needs] == [("tax.income", ("league", "income"))]
    assert [(each.name, each.form, each.data) for each in work.artifacts] == [
        ("by_league.csv", Form.TABLE, ""),
        ("by_league.png", Form.FIGURE, "by_league.csv"),
        ("fit.json", Form.METRICS, ""),
    ]
    text = (tmp_path / "job" / "main.py").read_text()
    assert 'darkroom.table("tax.income").to_pandas()' in text, "a program is told by where it runs"
    assert "# # A study\n" in text and "load_ext" not in text


def test_outputs_metadata_and_cells_that_were_not_chosen_stay_where_they_are(
    study: Path, tmp_path: Path
) -> None:
    notebook.job_from(study, tmp_path / "job", ask=Town)
    files = [path for path in (tmp_path / "job").rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        assert CANARY not in path.read_text()
    notebook.job_from(study, tmp_path / "control", cells=[6])
    assert CANARY in (tmp_path / "control" / "main.py").read_text(), (
        "what is chosen does travel, so a leak would show"
    )


def test_the_program_runs_with_other_arguments_and_as_the_notebook_did_without(tmp_path: Path) -> None:
    path = written(
        tmp_path / "n.ipynb",
        cell("year = 2023\nshare = 0.5\non = False\nname = 'a b'", "parameters"),
        cell("print([year, share, on, name])", "job"),
    )
    notebook.job_from(path, tmp_path / "job")
    stub = "import sys\nparameters = dict(word.split('=', 1) for word in sys.argv[1:] if '=' in word)\n"
    (tmp_path / "job" / "darkroom.py").write_text(stub)

    def run(*arguments: str) -> str:
        line = [sys.executable, str(tmp_path / "job" / "main.py"), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()

    assert run() == "[2023, 0.5, False, 'a b']"
    assert run("year=-7", "share=1e3", "on=true", "name=x=y") == "[-7, 1000.0, True, 'x=y']"
    assert run("on=perhaps") == "", "a word that is no truth is an error, and not a no"


def test_a_comment_cannot_choose_another_encoding(tmp_path: Path) -> None:
    """PEP 263: a second line that names an encoding would make Python read another program than a reviewer."""
    hidden = "coding: unicode_escape\n\\u000aprint('hidden')"
    path = written(tmp_path / "n.ipynb", cell(hidden, "job", kind="markdown"), cell("print('seen')", "job"))
    notebook.job_from(path, tmp_path / "job")
    shown = subprocess.run(
        [sys.executable, str(tmp_path / "job" / "main.py")], capture_output=True, text=True, check=False
    )
    assert shown.stdout == "seen\n"
    commented = hidden.replace("\n", "\n# ")
    (tmp_path / "control.py").write_text(f"#\n# {commented}\nprint('seen')\n")
    control = subprocess.run(
        [sys.executable, str(tmp_path / "control.py")], capture_output=True, text=True, check=False
    )
    assert control.stdout == "hidden\nseen\n", "without our first line it would"


@pytest.mark.parametrize(
    "character", ["\u202e", "\u2066", "\x0c", "\x00", "\r", "\u2028", "\ufeff", "\u200b", "\ud800"]
)
@pytest.mark.parametrize("kind", ["code", "markdown"])
def test_a_character_that_is_not_shown_does_not_travel(tmp_path: Path, character: str, kind: str) -> None:
    path = written(
        tmp_path / "n.ipynb", cell("x = 1", "job"), cell(f"y = 2\n# a{character}b", "job", kind=kind)
    )
    problem = refusal(path, tmp_path / "job")
    assert f"U+{ord(character):04X}" in problem.what and problem.where == "n.ipynb, cell 2, line 2"


def test_chinese_text_and_wide_spaces_travel(tmp_path: Path) -> None:
    path = written(
        tmp_path / "n.ipynb",
        cell("说明：\u3000收入\t\u200d", "job", kind="markdown"),
        cell("x = '雨 👩\u200d🔬'", "job"),
    )
    notebook.job_from(path, tmp_path / "job")
    assert "雨 👩" in (tmp_path / "job" / "main.py").read_text(encoding="utf-8")


# --- what cannot become a program -----------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "%matplotlib inline",
        "!ls /",
        "files = !ls",
        "a, b = %time 3",
        "?print",
        "print?",
        "%%darkroom\nselect 1",
        "%%bash\nls",
        "%pip install x",
        "/print 1",
        "    %time x",
    ],
)
def test_magics_and_lines_for_a_shell_are_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "n.ipynb", cell("x = 1", "job"), cell(f"# first\n{line}", "job"))
    problem = refusal(path, tmp_path / "job")
    assert problem.where == "n.ipynb, cell 2, line 2" and line.split("\n")[0].strip() in problem.what


def test_what_only_looks_like_a_magic_travels(tmp_path: Path) -> None:
    source = 'text = """\n%matplotlib inline\n!ls\nwhat?\n"""\nx = (7\n%3\n)\n# why?\ny = "?"'
    path = written(tmp_path / "n.ipynb", cell(source, "job"))
    notebook.job_from(path, tmp_path / "job")
    assert source in (tmp_path / "job" / "main.py").read_text()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = = 1", "no Python"),
        ("await thing()", "await"),
        ("return 3", "return"),
        ("(" * 5_000, "Python"),
        ("# %%\nx = 1", "begins a cell"),
        ("x = 1\nfrom __future__ import annotations", "__future__"),
    ],
)
def test_what_is_no_program_is_named(tmp_path: Path, source: str, told: str) -> None:
    path = written(tmp_path / "n.ipynb", cell("y = 1", "job"), cell(source, "job"))
    problem = refusal(path, tmp_path / "job")
    assert told in str(problem) and "cell 2" in problem.where


def test_a_name_of_a_cell_that_was_not_chosen_is_named_with_that_cell(tmp_path: Path) -> None:
    path = written(
        tmp_path / "n.ipynb",
        cell("%matplotlib inline\nimport pandas as pd"),
        cell("base = 3"),
        cell("def f(a):\n    return a + base", "job"),
        cell("print(pd.DataFrame())\nprint(bse)", "job"),
    )
    problem = refusal(path, tmp_path / "job")
    assert "base (cell 2 defines it), pd (cell 1 defines it), bse" in problem.what
    assert problem.where == "n.ipynb, cell 3, line 2" and "Choose cell 1, 2 too" in problem.next_step


@pytest.mark.parametrize("source", ["display(1)", "get_ipython()", "print(_)", "print(Out[3])", "quit()"])
def test_what_only_a_notebook_has_is_told(tmp_path: Path, source: str) -> None:
    problem = refusal(written(tmp_path / "n.ipynb", cell(source, "job")), tmp_path / "job")
    assert "defines" in problem.what and "notebook" not in problem.next_step
    assert any(word in problem.next_step for word in ("program", "raise"))


def test_names_are_looked_up_as_python_does(tmp_path: Path) -> None:
    source = (
        "import os.path, json as j\nfrom math import pi\n"
        "class A:\n    z = 1\n    def m(self): return __class__, super(), self\n"
        "def f(a, *b, c=pi, **d):\n    global kept\n    kept = a\n    return [x for x in b if (y := x)], locals()\n"
        "try: pass\nexcept OSError as wrong: print(wrong)\n"
        "with open(__file__) as file: print(file, kept)\n"
        "for n, (m, *o) in []: print(n, m, o, os, j)\n"
        "print([last := q for q in [1]], last, A, f, lambda r: r)\n"
        "match [1]:\n    case [first, *rest]: print(first, rest)\n"
    )
    notebook.job_from(written(tmp_path / "n.ipynb", cell(source, "job")), tmp_path / "job")


@pytest.mark.parametrize(
    "source",
    [
        'import darkroom\ndarkroom.sql("select 1", project="p", purpose="q")',
        'import darkroom as d\nd.sample("nm/tax/income")',
        "from darkroom import sql",
        "from darkroom.connection import connect",
        "import darkroom.connection",
        'import darkroom\ndarkroom.use(on="twin")',
    ],
)
def test_what_asks_the_platform_is_no_part_of_a_program(tmp_path: Path, source: str) -> None:
    problem = refusal(written(tmp_path / "n.ipynb", cell(source, "job")), tmp_path / "job")
    assert "is not there where a program runs" in problem.what and "cell 1, line" in problem.where


def test_a_choice_between_twin_and_real_that_nobody_can_read_is_refused(tmp_path: Path) -> None:
    source = 'import darkroom\nwhere = "twin"\ndarkroom.table("tax.income", on=where)'
    problem = refusal(written(tmp_path / "n.ipynb", cell(source, "job")), tmp_path / "job")
    assert "on=" in problem.what and problem.where.endswith("line 3")


@pytest.mark.parametrize(
    "source",
    [
        "x = [1]",
        "x = f()",
        "x += 1",
        "x, y = 1, 2",
        "print(1)",
        "x = 'a\\nb'",
        "_x = 1",
        "x = 1\nx = 2",
        f"x = 0x{'f' * 5000}",
        "str = 'a'",
        "int = 1",
        "float = 1.5",
        "print = 'a'",
    ],
)
def test_a_parameter_is_a_plain_value_with_a_name(tmp_path: Path, source: str) -> None:
    path = written(tmp_path / "n.ipynb", cell(source, "parameters"), cell("y = 1", "job"))
    assert "parameter" in refusal(path, tmp_path / "job").what


def test_a_parameter_with_a_plain_name_is_taken(tmp_path: Path) -> None:
    """The control."""
    path = written(
        tmp_path / "n.ipynb", cell("strength = 'a'\nmatch = 1", "parameters"), cell("y = 1", "job")
    )
    assert notebook.job_from(path, tmp_path / "job", ask=None).arguments == ("strength=a", "match=1")


@pytest.mark.parametrize(
    "content", ["x = 1  # \u202e", "x = '\u200b'", "# coding: utf-7\nx = 1", "x = 1\ry = 2", "x = '\x00'"]
)
def test_files_beside_and_folders_hold_what_a_reader_sees(tmp_path: Path, content: str) -> None:
    path = written(tmp_path / "n.ipynb", cell("import helper", "job"))
    helper = tmp_path / "helper.py"
    helper.write_bytes(content.encode())
    with pytest.raises(Malformed) as told:
        notebook.job_from(path, tmp_path / "job", beside=[helper], ask=None)
    assert "helper.py:1" in told.value.where
    helper.write_bytes("\ufeffx = '电'\r\n".encode())
    folder = notebook.job_from(path, tmp_path / "job", beside=[helper], ask=None).folder
    settings = '[tables]\n"tax.income" = ["region"]\n[outputs]\n"m.json" = "metrics"\n'
    (folder / "darkroom.toml").write_text(f'entry = "main.py"\n{settings}')
    assert folders.read(folder), "the control"
    (folder / "helper.py").write_bytes(content.encode())
    with pytest.raises(Malformed) as again:
        folders.read(folder)
    assert "helper.py:1" in again.value.where


# --- which cells, which image -----------------------------------------------------


def test_nothing_chosen_says_how_to_choose(study: Path, tmp_path: Path) -> None:
    assert "tag" in refusal(study, tmp_path / "job", tags=["work"]).what
    assert "there is no cell 99" in refusal(study, tmp_path / "job", cells=[4, 99]).what
    assert "no cell of code" in refusal(study, tmp_path / "job", cells=[3]).what


def test_a_module_that_the_image_lacks_is_named_with_its_cell(tmp_path: Path) -> None:
    path = written(tmp_path / "n.ipynb", cell("import json", "job"), cell("x = 1\nimport torch", "job"))
    problem = refusal(path, tmp_path / "job", ask=Town)
    assert "'torch'" in problem.what and problem.where == "cell 2, line 2"


def test_a_file_of_ones_own_comes_along(tmp_path: Path) -> None:
    path = written(tmp_path / "n.ipynb", cell("import helper", "job"))
    assert "beside" in refusal(path, tmp_path / "job", ask=Town).next_step
    (tmp_path / "helper.py").write_text("import json\n")
    notebook.job_from(path, tmp_path / "job", beside=[tmp_path / "helper.py"], ask=Town)
    assert (tmp_path / "job" / "helper.py").read_text() == "import json\n"


def test_a_platform_that_does_not_answer_stops_nothing_and_is_told(study: Path, tmp_path: Path) -> None:
    def nobody() -> Town:
        raise Unreachable("the portal does not answer")

    made = notebook.job_from(study, tmp_path / "job", ask=nobody)
    assert "the portal does not answer" in made.notes[0] and (tmp_path / "job" / "main.py").exists()


def test_a_gap_that_a_person_must_fill_is_refused_in_its_own_words(study: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "n.ipynb", cell('import darkroom\ndarkroom.out("a.csv")', "job"))
    notebook.job_from(path, tmp_path / "job")
    with pytest.raises(Malformed, match=r"\[tables\]|numbers of persons"):
        folders.read(tmp_path / "job")


def test_the_program_is_written_anew_and_the_settings_stay(study: Path, tmp_path: Path) -> None:
    place = tmp_path / "job"
    notebook.job_from(study, place)
    (place / "darkroom.toml").write_text("mine")
    with pytest.raises(StateConflict, match="there already"):
        notebook.job_from(study, place)
    (place / "main.py").write_text((place / "main.py").read_text() + "# edited\n")
    made = notebook.job_from(study, place, replace=True)
    assert (place / "darkroom.toml").read_text() == "mine" and "as it is" in made.notes[-1]
    assert "edited" not in (place / "main.py").read_text()
    (place / "main.py").write_text("print('somebody wrote this by hand')")
    with pytest.raises(StateConflict, match="not made of a notebook"):
        notebook.job_from(study, place, replace=True)


# --- bad input -----------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00",
        b"not json",
        b"[1]",
        b"{}",
        b'{"nbformat": 4}',
        b'{"nbformat": 4, "cells": [3]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}',
        b'{"nbformat": 4, "cells": [{"cell_type": "other", "source": ""}]}',
        b'{"nbformat": true, "cells": []}',
        b'{"nbformat": ' + b"9" * 5_000 + b"}",
        b'{"nbformat": 4, "metadata": ' + b"[" * 100_000,
        b'{"nbformat": 3, "worksheets": []}',
        b'{"nbformat": 5, "cells": []}',
        b'{"nbformat": 4, "metadata": {"kernelspec": {"language": "R"}}, "cells": []}',
        b'{"nbformat": 4, "metadata": {"language_info": {"name": "julia"}}, "cells": []}',
        b'{"nbformat": 4, "metadata": {"language_info": {"name": []}}, "cells": []}',
    ],
)
def test_a_damaged_or_foreign_notebook_is_told_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "n.ipynb"
    path.write_bytes(content)
    problem = refusal(path, tmp_path / "job")
    assert isinstance(problem, Malformed) and problem.where and problem.next_step != Malformed.advice


def test_a_notebook_of_two_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    with path.open("wb") as file:
        file.truncate(2 * 2**30)  # sparse: it takes no room
    problem = refusal(path, tmp_path / "job")
    assert isinstance(problem, TooLarge) and "outputs" in problem.next_step


def test_what_is_no_file_does_not_make_anybody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "n.ipynb")
    assert "no file" in refusal(tmp_path / "n.ipynb", tmp_path / "job").what
    assert isinstance(refusal(tmp_path / "none.ipynb", tmp_path / "job"), NotFound)
    assert isinstance(refusal(tmp_path, tmp_path / "job"), Malformed)


# --- the command line -----------------------------------------------------


def test_the_command_makes_a_folder_and_the_way_back_a_notebook(study: Path, tmp_path: Path) -> None:
    place = tmp_path / "job"
    run = CliRunner().invoke(
        cli.app, ["notebook", "job", str(study), "--tag", "job", "--into", str(place), "--format", "json"]
    )
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told["cells"] == [2, 3, 4, 5, 7] and told["tables"] == ["tax.income"]
    assert "not compared" in told["notes"][0], "nobody is signed in, and the folder is made all the same"
    again = tmp_path / "again.ipynb"
    back = CliRunner().invoke(cli.app, ["notebook", "back", str(place / "main.py"), "--into", str(again)])
    assert back.exit_code == 0, back.output
    notebook.job_from(again, tmp_path / "second", cells=range(1, 6))
    second = (tmp_path / "second" / "main.py").read_text()
    assert (
        second.replace("# Notebook: again.ipynb", "# Notebook: study.ipynb")
        == (place / "main.py").read_text()
    )
    refused = CliRunner().invoke(cli.app, ["notebook", "job", str(study), "--into", str(place)])
    assert refused.exit_code == 3 and "there already" in refused.stderr
