"""A trial through a launcher: without a key, told whole, and run once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from plans.box import Entry, Limits
from plans.errors import BoxFailed, BoxLimit
from plans.trial import Place, trial_of, twin_of
from sandbox import images, recipes
from sandbox.telling import Failed, told
from sandbox.trying import Bench, trial_plan, try_out
from tests.inside.python_cases import folder
from tests.plans import examples
from tests.sandbox.side import Side, launched, side

__all__ = ["side"]
pytestmark = pytest.mark.box
LIMITS = Limits(512, 64, 0, 8, 30, 120, 32, 64, 1)
MEMBER = Path(__file__).parents[1] / "inside" / "member"
TABLES = (twin_of(examples.MANIFEST),)
DRAWS = "import os\nprint(os.urandom(8).hex())\nraise ValueError('made up')"


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench("nm/tax", images.build(MEMBER).digest, LIMITS)


@pytest.fixture
def sql_side(side: Side) -> Side:
    """A side whose launcher has the real images: a trial needs the engine."""
    return replace(side, config=replace(side.config, images_folder=recipes.images_folder()))


def test_a_trial_needs_no_keeper_and_is_told_whole(sql_side: Side, bench: Bench) -> None:
    trial = trial_of(folder("import darkroom\nprint(darkroom.tables())\n1 / 0"), TABLES)
    with launched(sql_side):
        tried = try_out(sql_side.client, bench, trial)
    assert tried.report.place == Place("main.py", 3, "ZeroDivisionError") and "1 / 0" in tried.report.text
    assert tried.report.log.startswith("['tax.income']")
    assert sql_side.keeper.asked == [] and sql_side.boxes == []
    failed = Failed("python.failed", trial.digest, tried.report.place)
    assert told(failed, tried).text == tried.report.text


def test_the_same_trial_is_run_once_also_after_a_restart(sql_side: Side, bench: Bench) -> None:
    """90. A program that fails somewhere else each time cannot be tried until it fits. The control: another folder's
    trial is another run."""
    trial, other = (trial_of(folder(code), TABLES) for code in (DRAWS, DRAWS + "\n# other"))
    with launched(sql_side):
        first, again = try_out(sql_side.client, bench, trial), try_out(sql_side.client, bench, trial)
        different = try_out(sql_side.client, bench, other)
    with launched(sql_side):
        assert try_out(sql_side.client, bench, trial) == first == again
    assert first.report.log != different.report.log


def test_a_trial_that_reaches_a_limit_of_its_box_says_which(sql_side: Side, bench: Bench) -> None:
    short = replace(bench, limits=replace(LIMITS, wall_s=2))
    with launched(sql_side), pytest.raises(BoxLimit) as refused:
        try_out(sql_side.client, short, trial_of(folder("import time; time.sleep(600)"), ()))
    assert refused.value.where == "box.wall"


def test_a_trial_leaves_its_report_and_no_file(sql_side: Side, bench: Bench) -> None:
    """The launcher's own look: a trial's plan allows no output at all."""
    plan = trial_plan(bench, trial_of(folder("print(1)"), ()))
    assert plan.stage(Entry.PYTHON).outputs.files == 0
    leave = "import os\nopen(os.environ['DARKROOM_OUT'] + '/a', 'w').write('x')"
    with launched(sql_side):
        tried = try_out(sql_side.client, bench, trial_of(folder(leave), ()))
        folders = list(Path(sql_side.config.home, "collected").rglob("*"))
    assert [each.name for each in tried.report.left] == ["a"]
    assert not any(path.is_file() for path in folders)


def test_material_that_is_no_trial_is_refused_by_the_box(sql_side: Side, bench: Bench) -> None:
    plan = trial_plan(bench, trial_of(folder("print(1)"), ()))
    broken = replace(plan, material='{"folder":1}')
    with launched(sql_side):
        sql_side.client.put(broken)
        with pytest.raises(BoxFailed):
            sql_side.client.run(broken.digest, Entry.PYTHON, 1)
