"""Kept models in the box of a job: what its task names, no more and no less, as files that its program reads."""

from __future__ import annotations

import base64
import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from inside import python
from inside.session import Session
from plans.box import Entry
from plans.errors import Malformed
from plans.key import BoxKeys
from plans.trial import Folder
from tests.attacks.test_kept_models import SCORES, Office, model, office
from tests.plans import examples

__all__ = ["model", "office"]

MEMBER = Path(__file__).parents[2] / "client" / "darkroom" / "program.py"
WEIGHTS = base64.b64encode(b"weights").decode()


def imported() -> ModuleType:
    """The module that members' programs import, as it is in their image."""
    spec = importlib.util.spec_from_file_location("member_darkroom", MEMBER)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_a_program_finds_the_kept_model_before_what_stands_in_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands_in = base64.b64encode(b"made up").decode()
    folder = Folder({"main.py": stands_in, "models/fit": stands_in}, "main.py", ())
    places = python.Places.make(tmp_path, folder)
    program = places.program(folder, 1)
    monkeypatch.chdir(places.work)
    monkeypatch.setenv("DARKROOM_MODELS", program.environment["DARKROOM_MODELS"])
    darkroom = imported()
    assert darkroom.model("fit").read_bytes() == b"made up", "in a trial"
    places.lay_models({"fit": WEIGHTS})
    assert darkroom.model("fit").read_bytes() == b"weights", "in a job"
    assert darkroom.model("fit").stat().st_mode & 0o222 == 0
    for name in ("other", "../work/main.py", "/etc/passwd"):
        with pytest.raises(FileNotFoundError, match=r"\[models\]"):
            darkroom.model(name)


@pytest.mark.parametrize("given", [{}, {"other": WEIGHTS}, {"fit": WEIGHTS, "more": WEIGHTS}])
def test_a_job_with_other_models_than_its_task_names_does_not_begin(
    office: Office, model: object, given: dict[str, str], tmp_path: Path
) -> None:
    plan = office.plan(replace(SCORES, models=(model,)), 2)  # type: ignore[arg-type]
    keys = BoxKeys({}, {}, "", models=given)
    session = Session(plan, Entry.PYTHON, 1, {}, keys, temp=tmp_path)
    with pytest.raises(Malformed, match="kept models"):
        python.job(session, replace(examples.FOLDER, main="main.py", arguments=()))
    assert not (tmp_path / "models").exists()
