"""Placing the boxes of one batch of stages: a Ray task with what its boxes need together, which asks the launcher.

Stages of one batch are linked and run side by side. They are one task, so that either all of them have their
resources or none: of two jobs that each held half of what they need, neither would ever end. If one fails, its
launcher ends the others too, after a moment in which they may say why themselves.

The task is not retried by Ray: whether an attempt is repeated is the queue's decision, which writes it down.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from plans.box import BoxSpec, Entry
from plans.errors import ClusterLost, DarkroomError, from_problem
from plans.statements import Signed
from sandbox import api as sandbox

PATIENCE_S = 10.0
"""Seconds that the stages beside a failed one have to end, before their launcher is told to end them."""

SERVING = (Entry.LOAD, Entry.RELOAD)
"""Stages that only serve the one beside them: why a batch failed is what the served one says."""

_ENDED_WITH_ANOTHER = ("box.cancelled", "box.peer-ended", "python.inputs")
"""What a box says that was ended with another, and one whose rows stopped coming: the other one knows why."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What came of a batch: the launcher's signed records in the order of its stages, and the seconds that each
    stage took.
    """

    records: tuple[Signed, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Which stages of which plan, at which launcher."""

    launcher: Path
    plan: str
    stages: tuple[Entry, ...]
    attempt: int

    def cancel(self) -> int:
        """End the stages that run, and return how many there were."""
        return sum(_ended(self.launcher, self.plan, stage, self.attempt) for stage in self.stages)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the boxes of a batch may use together."""

    cpus: int
    memory_mb: int

    @classmethod
    def of(cls, boxes: Sequence[BoxSpec]) -> Wanted:
        """Return the sum over boxes that run side by side."""
        return cls(sum(box.limits.cpus for box in boxes), sum(box.limits.memory_mb for box in boxes))


def run_batch(batch: Batch, boxes: Sequence[BoxSpec]) -> Placed:
    """Have stages run where their resources are free, and wait for their records.

    Raises:
        ClusterLost: Ray was lost on the way; the boxes may still run, and their launcher knows them.
        DarkroomError: whatever the launcher says; of several stages, the one that was not merely ended with another.
    """
    wanted = Wanted.of(boxes)
    resources = {"num_cpus": wanted.cpus, "memory": wanted.memory_mb * 2**20, "max_retries": 0}
    patience = max(box.limits.wall_s for box in boxes) + 120
    stages = [stage.value for stage in batch.stages]
    arguments = (str(batch.launcher), batch.plan, stages, batch.attempt, patience)
    try:
        answers = ray.get(_ask_launcher.options(**resources).remote(*arguments))
    except ray.exceptions.RayError as problem:
        raise ClusterLost(f"the cluster lost this task ({type(problem).__name__})", "ray") from None
    return _settled(batch.stages, answers)


def _settled(stages: Sequence[Entry], answers: Sequence[Mapping[str, Any]]) -> Placed:
    """Return what came of a batch, or raise its problem.

    Raises:
        DarkroomError: see `run_batch`; `seconds` is what the batch took all the same.
    """
    seconds = tuple(float(answer["seconds"]) for answer in answers)
    problems = {
        stage: from_problem(answer["problem"])
        for stage, answer in zip(stages, answers, strict=True)
        if "problem" in answer
    }
    if problems:
        problem = _cause(problems)
        problem.seconds = seconds  # type: ignore[attr-defined]
        raise problem
    return Placed(tuple(Signed.read(answer["record"]) for answer in answers), seconds)


def _cause(problems: Mapping[Entry, DarkroomError]) -> DarkroomError:
    """Return the problem of a batch: that of the served stage, unless it was ended, or starved, because of another."""
    ordered = sorted(problems, key=lambda stage: stage in SERVING)
    telling = [stage for stage in ordered if problems[stage].where not in _ENDED_WITH_ANOTHER]
    return problems[(telling or ordered)[0]]


def warm_up() -> None:
    """Start a worker before the first job needs one."""
    ray.get(_ready.options(num_cpus=0).remote())


@ray.remote
def _ask_launcher(
    socket: str, plan: str, stages: list[str], attempt: int, timeout_s: int
) -> list[dict[str, Any]]:
    return ask_launcher(Batch(Path(socket), plan, tuple(map(Entry, stages)), attempt), timeout_s)


def ask_launcher(batch: Batch, timeout_s: float) -> list[dict[str, Any]]:
    """Ask a launcher for all stages of a batch at once; return each one's record or problem, and how long it took."""
    failed: Future[dict[str, Any]] | None = None
    with ThreadPoolExecutor(len(batch.stages)) as pool:
        asked: list[Future[dict[str, Any]]] = [
            pool.submit(_ask, batch, stage, timeout_s) for stage in batch.stages
        ]
        waiting = set(asked)
        while waiting:
            _, waiting = wait(
                waiting, return_when=FIRST_COMPLETED, timeout=None if failed is None else PATIENCE_S
            )
            if failed is not None and waiting:  # the launcher ends them by itself, if it still knows of them
                batch.cancel()
            failed = next((each for each in asked if each.done() and "problem" in each.result()), None)
        return [each.result() for each in asked]


def _ask(batch: Batch, stage: Entry, timeout_s: float) -> dict[str, Any]:
    began = time.monotonic()
    try:
        result = sandbox.LauncherClient(batch.launcher).run(
            batch.plan, stage, batch.attempt, timeout_s=timeout_s
        )
    except DarkroomError as problem:
        return {"problem": problem.problem(), "seconds": time.monotonic() - began}
    return {"record": result.record.plain(), "seconds": time.monotonic() - began}


def _ended(launcher: Path, plan: str, stage: Entry, attempt: int) -> bool:
    """End a stage if it runs; a launcher that cannot be asked has no boxes that live."""
    try:
        sandbox.LauncherClient(launcher).cancel(plan, stage, attempt)
    except DarkroomError:
        return False
    return True


@ray.remote
def _ready() -> bool:
    return True
