"""Stages that are linked run together or not at all, and why a batch failed is told by the one who knows."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster import placing
from cluster.placing import Batch, Wanted
from plans.box import BoxSpec, Entry, Limits
from plans.decision import Tier
from plans.errors import BoxFailed, DarkroomError, NotFound, Unreachable

PLAN = "sha256:" + "a" * 64
PAIR = Batch(Path("node"), PLAN, (Entry.LOAD, Entry.PYTHON), 1)


class Launcher:
    """A launcher whose stages do as they are told; `ended` are those that were cancelled."""

    def __init__(self, **stages):
        self.stages, self.ended, self.began = stages, [], threading.Barrier(len(stages))
        self.stop = threading.Event()

    def __call__(self, _path):
        return self

    def run(self, _plan, stage, _attempt, timeout_s):
        self.began.wait(120)
        what = self.stages[stage.value]
        if what == "waits":
            assert self.stop.wait(120)
            raise BoxFailed("the box was cancelled", "box.cancelled")
        if isinstance(what, DarkroomError):
            raise what
        return SimpleNamespace(record=SimpleNamespace(plain=lambda: {"stage": what}), timings={})

    def cancel(self, _plan, stage, _attempt):
        if self.stages[stage.value] != "waits":
            raise NotFound("no such stage is running", stage.value)
        self.ended.append(stage)
        self.stop.set()


@pytest.fixture
def launched(monkeypatch):
    def make(**stages):
        launcher = Launcher(**stages)
        monkeypatch.setattr(placing.sandbox, "LauncherClient", launcher)
        monkeypatch.setattr(placing, "PATIENCE_S", 0.1)
        return launcher

    return make


def test_linked_stages_are_asked_for_at_the_same_time(launched):
    launched(load="rows", python="output")  # each waits until the other one has begun
    answers = placing.ask_launcher(PAIR, 120)
    assert [answer["record"]["stage"] for answer in answers] == ["rows", "output"]


def test_what_is_beside_a_failed_stage_is_ended_even_if_its_launcher_forgot_it(launched):
    launcher = launched(load="waits", python=BoxFailed("it failed", "python.failed"))
    answers = placing.ask_launcher(PAIR, 120)
    assert launcher.ended == [Entry.LOAD] and all("problem" in answer for answer in answers)


@pytest.mark.parametrize(
    ("load", "python", "told"),
    [
        (BoxFailed("x", "box.peer-ended"), BoxFailed("x", "python.failed"), "python.failed"),
        (BoxFailed("x", "load.failed"), BoxFailed("x", "python.inputs"), "load.failed"),
        (BoxFailed("x", "load.failed"), BoxFailed("x", "box.peer-ended"), "load.failed"),
        (BoxFailed("x", "load.failed"), BoxFailed("x", "python.failed"), "python.failed"),
        (BoxFailed("x", "box.cancelled"), BoxFailed("x", "box.cancelled"), "box.cancelled"),
    ],
)
def test_a_batch_fails_for_the_reason_of_the_stage_that_knows_it(launched, load, python, told):
    launched(load=load, python=python)
    with pytest.raises(BoxFailed) as failure:
        placing._settled(PAIR.stages, placing.ask_launcher(PAIR, 120))
    assert failure.value.where == told and len(failure.value.seconds) == 2


def test_a_lost_launcher_is_worth_another_attempt_whatever_the_other_stage_says(launched):
    launched(load=Unreachable("gone"), python=BoxFailed("x", "box.peer-ended"))
    with pytest.raises(Unreachable):
        placing._settled(PAIR.stages, placing.ask_launcher(PAIR, 120))


def test_a_batch_wants_what_all_of_its_boxes_want():
    limits = [Limits(1024, 64, 0, 16, 20, 30, 64, 128, 1), Limits(4096, 64, 0, 16, 20, 30, 64, 128, 2)]
    boxes = [BoxSpec(Entry.LOAD, PLAN, (), each, Tier.T1) for each in limits]
    assert Wanted.of(boxes) == Wanted(cpus=3, memory_mb=5120)
