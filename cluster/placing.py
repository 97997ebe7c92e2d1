"""Placing the box of one stage: a Ray task with the box's own resource request, which asks the node's launcher.

The task is not retried by Ray: whether an attempt is repeated is the queue's decision, which writes it down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray

from plans.box import BoxSpec, Entry
from plans.errors import ClusterLost, DarkroomError, from_problem
from plans.statements import Signed
from sandbox import api as sandbox


@dataclass(frozen=True, slots=True)
class Placed:
    """What came of one stage: the launcher's signed record and the milliseconds of each step."""

    record: Signed
    timings: dict[str, int]


@dataclass(frozen=True, slots=True)
class Task:
    """Which stage of which plan, at which launcher."""

    launcher: Path
    plan: str
    stage: Entry
    attempt: int


def run_stage(task: Task, box: BoxSpec) -> Placed:
    """Have one stage run where its resources are free, and wait for its record.

    Raises:
        ClusterLost: Ray was lost on the way; the box may still run, and its launcher knows it.
        DarkroomError: whatever the launcher says.
    """
    limits = box.limits
    wanted = {"num_cpus": limits.cpus, "memory": limits.memory_mb * 2**20, "max_retries": 0}
    arguments = (str(task.launcher), task.plan, task.stage.value, task.attempt, limits.wall_s + 120)
    try:
        answer = ray.get(_ask_launcher.options(**wanted).remote(*arguments))
    except ray.exceptions.RayError as problem:
        raise ClusterLost(f"the cluster lost this task ({type(problem).__name__})", "ray") from None
    if "problem" in answer:
        raise from_problem(answer["problem"])
    return Placed(Signed.read(answer["record"]), dict(answer["timings"]))


def warm_up() -> None:
    """Start a worker before the first job needs one."""
    ray.get(_ready.options(num_cpus=0).remote())


@ray.remote
def _ask_launcher(socket: str, plan: str, stage: str, attempt: int, timeout_s: int) -> dict[str, Any]:
    launcher = sandbox.LauncherClient(Path(socket))
    try:
        result = launcher.run(plan, Entry(stage), attempt, timeout_s=timeout_s)
    except DarkroomError as problem:
        return {"problem": problem.problem()}
    return {"record": result.record.plain(), "timings": dict(result.timings)}


@ray.remote
def _ready() -> bool:
    return True
