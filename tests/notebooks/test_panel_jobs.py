"""The folder that the panel makes of a notebook's cells is that notebook's alone, whatever the notebook is called."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.errors import Unreachable
from tests.notebooks.panel_lab import LAB

Make = Callable[[Path], dict[str, Any]]


class Away:
    """Nobody is asked what images have."""

    def room(self) -> Any:
        raise Unreachable("nobody answers", "portal")


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    """The panel's part that makes jobs."""
    sys.path.insert(0, str(LAB))
    from darkroom_lab import panel_jobs

    yield panel_jobs
    sys.path.remove(str(LAB))
    for name in [each for each in sys.modules if each.partition(".")[0] == "darkroom_lab"]:
        del sys.modules[name]


@pytest.fixture
def make(module: Any) -> Make:
    return lambda notebook: dict(module._make(notebook, [], Away()))


def saved(folder: Path, name: str, table: str) -> Path:
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {"tags": ["job"]},
        "outputs": [],
        "execution_count": None,
    }
    source = f'import darkroom\nt = darkroom.table("{table}")\nopen(darkroom.out("a.csv"), "w").write("x")'
    path = folder / name
    path.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell | {"source": source}]})
    )
    return path


def program(made: dict[str, Any]) -> str:
    return str((made["folder"] / "main.py").read_text())


@pytest.mark.parametrize(
    "names",
    [
        ("收入研究.ipynb", "房租分析.ipynb"),
        ("a b.ipynb", "a-b.ipynb"),
        ("?.ipynb", "!.ipynb"),
        ("é.ipynb", "e\u0301.ipynb"),
    ],
)
def test_no_notebook_takes_another_ones_job(make: Make, tmp_path: Path, names: tuple[str, str]) -> None:
    first, second = (
        saved(tmp_path, name, table) for name, table in zip(names, ("tax.income", "tax.rents"), strict=True)
    )
    one, two = make(first), make(second)
    assert one["folder"] != two["folder"]
    for made, table in ((one, "tax.income"), (two, "tax.rents")):
        assert table in program(made) and table in (made["folder"] / "darkroom.toml").read_text()
    saved(tmp_path, names[1], "tax.wages")
    again = make(second)
    assert again["folder"] == two["folder"] and "tax.wages" in program(again), (
        "the control: its own is renewed"
    )
    assert "tax.income" in program(one)


def test_a_folder_has_the_name_of_its_notebook_in_any_language(make: Make, tmp_path: Path) -> None:
    for name, folder in (
        ("收入研究", "收入研究-job"),
        ("study", "study-job"),
        ("my study, 2", "my-study-2-job"),
    ):
        assert make(saved(tmp_path, f"{name}.ipynb", "tax.income"))["folder"].name == folder


def test_the_head_of_the_program_names_its_notebook(make: Make, tmp_path: Path) -> None:
    made = make(saved(tmp_path, "收入研究.ipynb", "tax.income"))
    assert program(made).splitlines()[2] == "# Notebook: 收入研究.ipynb"


def test_a_folder_made_for_another_notebook_or_by_hand_is_left_alone(make: Make, tmp_path: Path) -> None:
    own, hashed = tmp_path / "study-job", tmp_path / "elsewhere"
    own.mkdir()
    (own / "main.py").write_text("print('mine')\n")
    made = make(saved(tmp_path, "study.ipynb", "tax.income"))
    assert made["folder"] != own and (own / "main.py").read_text() == "print('mine')\n"
    made["folder"].rename(hashed)
    made["folder"].mkdir()
    (made["folder"] / "notes.txt").write_text("mine")
    told = make(tmp_path / "study.ipynb")
    assert "folder" not in told and "there already" in told["sentence"], "and no third place is invented"


@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=2, unique=True))
def test_two_names_lead_to_two_folders_at_the_second_try_at_the_latest(module: Any, stems: list[str]) -> None:
    usable = [stem.replace("/", "_").replace("\0", "_") for stem in stems]
    if usable[0] == usable[1]:
        return
    (_, one), (_, two) = (module._folders(Path("/x", f"{stem}.ipynb")) for stem in usable)
    assert one != two and one.parent == Path("/x") == two.parent
