"""The fixed cost of a job: from submitting a signed request to the opened result, less the engine's own time.

A small town of one owner is founded and started, as in the end-to-end tests; the statement reads a few
hundred rows, so what remains is the path itself. Every job asks something new, so that no reading is answered
from a record.

`sql.fixed_ms` is of jobs with a moment between them, in which the pool of warm boxes is filled again, as it is for
people who read one answer before they ask the next; `sql.fixed_in_a_row_ms` of jobs that follow each other at once,
so that filling it again falls into the next job. `sql.finish_fixed_ms` is as the first, of statements whose outer
part runs on protected figures, which takes two boxes more.
"""

from __future__ import annotations

import importlib.util
import json
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.report import Metric
from plans.box import Entry
from sandbox import api as sandbox
from server.running import address, started

JOBS, PAUSE_S = 15, 1.5
GOAL_MS = 500
PLAIN = "select league as g{number}, count(*) as n from tax.income group by league"
FINISHED = "select g{number}, n / sum(n) over () as share from (" + PLAIN + ") as groups"
_TOWN = Path(__file__).resolve().parent.parent / "tests" / "e2e" / "town.py"


def path() -> Iterator[Metric]:
    """Yield the median of the whole path, and of each stage's box as its launcher timed it."""
    towns = _load_town()
    with tempfile.TemporaryDirectory(prefix="dr-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        site = towns.found_town(folder / "site", _free_port())
        with started(site) as supervisor:
            town = towns.Town(site, supervisor, folder, address(site))
            towns.settle(town)
            row = [_one(town, number) for number in range(JOBS + 1)][1:]
            runs = [_one(town, JOBS + 1 + number, PAUSE_S) for number in range(JOBS)]
            finished = [_one(town, number, PAUSE_S, FINISHED) for number in range(JOBS + 1)][1:]
    yield Metric("sql.fixed_ms", _fixed(runs), "ms", at_most=GOAL_MS)
    yield Metric("sql.fixed_in_a_row_ms", _fixed(row), "ms")
    yield Metric("sql.finish_fixed_ms", _fixed(finished), "ms")
    for name, kind in (("fixed", runs), ("finish_fixed", finished)):
        for step in sorted({step for run in kind for step in run} - {"whole"}):
            yield Metric(f"sql.{name}.{step}_ms", statistics.median(run.get(step, 0) for run in kind), "ms")


def _fixed(runs: list[dict[str, float]]) -> float:
    """Return the median of what jobs took without their engines."""
    return statistics.median(run["whole"] - run["engine"] for run in runs)


def _one(town: Any, number: int, pause_s: float = 0, asked: str = PLAIN) -> dict[str, float]:
    """Run one job after a pause and return milliseconds by step."""
    time.sleep(pause_s)
    statement = asked.format(number=number)
    began = time.monotonic()
    job = town.ask(statement)
    submitted = time.monotonic()
    job.result()
    found: dict[str, float] = {
        "whole": (time.monotonic() - began) * 1000,
        "submit": (submitted - began) * 1000,
    }
    launcher = sandbox.LauncherClient(town.owner.launcher_owner_socket)
    plan = town.researcher.connection.plan(job.id)
    for stage in (spec.entry for spec in plan.stages):
        timings = launcher.run(plan.digest, stage, 1).timings
        found[f"{stage.value}_box"] = float(timings["collected"])
        if stage is Entry.QUERY:
            found["engine"] = float(timings["done"] - timings["keys"])
            found["keeper"] = float(timings["keys"] - timings["hello"])
    return found


def _load_town() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_town", _TOWN)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(_TOWN)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    for metric in path():
        print(json.dumps({metric.id: round(metric.value)}))
