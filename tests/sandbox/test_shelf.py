"""The shelf does not grow for ever, and forgets nothing that is in use."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from keys.sealing import OpeningKey
from plans.artifacts import Artifact, Form
from plans.box import Entry, Link
from plans.errors import DiskFull, Malformed, NotFound, SettingsWrong
from plans.plan import FINISHED_STAGES, Plan
from sandbox import shelf
from sandbox.shelf import Shelf, StageName, _before
from tests.inside import output_cases as cases
from tests.plans import examples

NOW = time.time()


@pytest.fixture
def kept(tmp_path: Path) -> Shelf:
    found = Shelf(tmp_path)
    found.prepare()
    return found


def put(kept: Shelf, folder: Path, plan: Plan, age_s: float, with_result: bool = False) -> StageName:
    name = StageName(plan.digest, Entry.QUERY, 1)
    kept.put(plan)
    if with_result:
        kept.keep_result(name, {"error": {}})
        (kept.fresh_collection(name) / "rows").write_text("x")
    path = folder / "plans" / f"{plan.digest.removeprefix('sha256:')}.json"
    os.utime(path, (NOW - age_s, NOW - age_s))
    return name


def test_what_is_old_goes_with_all_that_came_of_it(kept: Shelf, tmp_path: Path) -> None:
    old = put(kept, tmp_path, examples.PLAN, shelf.KEPT_S + 60, with_result=True)
    kept.sweep(frozenset(), NOW)
    with pytest.raises(NotFound):
        kept.plan(old.plan)
    assert kept.result(old) is None and not list((tmp_path / "collected").iterdir())


def test_what_is_young_or_in_use_stays(kept: Shelf, tmp_path: Path) -> None:
    young = put(kept, tmp_path, examples.PLAN, shelf.KEPT_S - 60, with_result=True)
    kept.sweep(frozenset(), NOW)
    assert kept.plan(young.plan) == examples.PLAN and kept.result(young)
    put(kept, tmp_path, examples.PLAN, shelf.KEPT_S + 60)
    kept.sweep({young.plan}, NOW)
    assert kept.plan(young.plan) == examples.PLAN


def test_beyond_the_bytes_plans_without_a_result_go_first(
    kept: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = put(kept, tmp_path, examples.PLAN, 500, with_result=True)
    idle = [put(kept, tmp_path, replace(examples.PLAN, nonce=f"{n:032x}"), 100 - n) for n in range(4)]
    size = len(examples.PLAN.canonical())
    monkeypatch.setattr(shelf, "MOST_BYTES", 3 * size)
    kept.sweep(frozenset(), NOW)
    left = [name for name in (done, *idle) if (tmp_path / "plans" / f"{name.plan[7:]}.json").exists()]
    assert left == [done, *idle[2:]]


def test_a_new_put_keeps_a_plan_longer(kept: Shelf, tmp_path: Path) -> None:
    name = put(kept, tmp_path, examples.PLAN, shelf.KEPT_S + 60)
    kept.put(examples.PLAN)
    kept.sweep(frozenset(), NOW)
    assert kept.plan(name.plan) == examples.PLAN


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(SettingsWrong):
        Shelf(tmp_path / "home").prepare()


def test_a_plan_that_cannot_be_written_leaves_nothing_behind(
    kept: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match="No space"):
        kept.put(examples.PLAN)
    assert list((tmp_path / "plans").iterdir()) == []


def test_what_was_handed_over_goes_with_its_attempt_and_those_before(kept: Shelf, tmp_path: Path) -> None:
    stages = FINISHED_STAGES
    names = [StageName(examples.PLAN.digest, stage, n) for n in (1, 2, 3) for stage in stages]
    for name in names:
        (kept.fresh_collection(name) / "rows").write_text("x")
    kept.forget_handed_over(StageName(examples.PLAN.digest, Entry.JUDGE, 2))
    left = [path.relative_to(tmp_path / "collected").parts[1:3] for path in tmp_path.glob("collected/*/*/*")]
    third = sorted(("3", stage.value) for stage in stages)
    assert sorted(left) == [("1", "judge"), ("2", "judge"), *third]


def test_of_a_tasks_stages_what_the_judging_box_left_stays(kept: Shelf, tmp_path: Path) -> None:
    """A held output and what its reviewers read; the sealed output of the job and the re-encoded one go."""
    stages = (Entry.LOAD, Entry.PYTHON, Entry.COMPONENT, Entry.REENCODE, Entry.RELOAD, Entry.INSPECT)
    for stage in stages:
        (kept.fresh_collection(StageName(examples.PLAN.digest, stage, 1)) / "x.bin").write_text("x")
    kept.forget_handed_over(StageName(examples.PLAN.digest, Entry.INSPECT, 1))
    assert {path.parent.name for path in tmp_path.glob("collected/*/*/*/x.bin")} == {
        "load",
        "reload",
        "inspect",
    }


def test_the_number_of_an_attempt_costs_nobody_time_or_space(kept: Shelf) -> None:
    question = {"plan": examples.PLAN.digest, "stage": "judge"}
    for attempt in (0, -1, shelf.MOST_ATTEMPTS + 1, 2**53 - 1, True, "1", None):
        with pytest.raises(Malformed):
            StageName.read({**question, "attempt": attempt})
    assert StageName.read({**question, "attempt": shelf.MOST_ATTEMPTS})
    began = time.monotonic()
    kept.forget_handed_over(StageName(examples.PLAN.digest, Entry.JUDGE, 2**53 - 1))
    assert time.monotonic() - began < 30, "one look for each of so many attempts would take years"


@pytest.mark.parametrize("in_use", [True, False])
def test_a_flood_of_plans_pushes_out_none_that_is_in_use(
    kept: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_use: bool
) -> None:
    monkeypatch.setattr(shelf, "SWEEP_AFTER", 1)
    running = put(kept, tmp_path, examples.PLAN, 500)
    monkeypatch.setattr(shelf, "MOST_BYTES", len(examples.PLAN.canonical()))
    kept.put(replace(examples.PLAN, nonce="1" * 32), {running.plan} if in_use else ())
    assert (tmp_path / "plans" / f"{running.plan[7:]}.json").exists() is in_use


def test_a_stage_reads_what_ended_before_it_and_waits_for_nothing_beside_it() -> None:
    """A reloader runs beside the box that inspects a model, so it has no result when that box begins."""
    task = cases.python_task(Artifact("m.json", Form.MODEL))
    plan = cases.plan_of(task, OpeningKey.fresh())
    linked = {
        Entry.LOAD: Entry.PYTHON,
        Entry.PYTHON: Entry.LOAD,
        Entry.RELOAD: Entry.INSPECT,
        Entry.INSPECT: Entry.RELOAD,
    }
    stages = tuple(
        replace(spec, links=(Link("x-0", f"stage:{linked[spec.entry]}"),) if spec.entry in linked else ())
        for spec in plan.stages
    )
    plan = replace(plan, stages=stages)
    assert list(_before(plan, plan.stage(Entry.INSPECT))) == [Entry.LOAD, Entry.PYTHON, Entry.REENCODE]
    assert list(_before(plan, plan.stage(Entry.PYTHON))) == []
