"""What a checked SQL job costs beyond the query itself.

    python benchmarks/sql_overhead.py [--json]

`sql.engine_ratio`: TPC-H at scale factor 1, the queries that the subset allows, in the query box's program from keys to
written result (encrypted files, locked engine, encrypted output), against DuckDB alone that runs the same counted
statements on the same data in plain Parquet. Each run is a fresh process with the same threads, box and bare in turns;
the ratio is of the sums over queries of the medians over rounds. Starting Python and importing are left out on both sides:
they belong to the path.
`sql.bare_ratio`: the same box against the members' own statements, which count no persons; for information.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import sql_runs  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402
from benchmarks.sql_queries import QUERIES  # noqa: E402

GOAL = 1.2
SCALE, ROUNDS = 1.0, 3
KINDS = ("box", "counted", "asked")


def measured(kind: str, folder: Path, number: int) -> float:
    """Run one query in a process of its own and return its seconds."""
    command = [sys.executable, "-P", sql_runs.__file__, kind, str(folder), str(number)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(json.loads(answer.stdout)["seconds"])


def engine(folder: Path, rounds: int) -> Iterator[Metric]:
    """Measure the three kinds in turns, so that a busy machine slows all of them."""
    runs = {(kind, number): [] for kind in KINDS for number in QUERIES}
    for _ in range(rounds):
        for number in QUERIES:
            for kind in KINDS:
                runs[kind, number].append(measured(kind, folder, number))
    medians = {key: statistics.median(seconds) for key, seconds in runs.items()}
    sums = {kind: sum(medians[kind, number] for number in QUERIES) for kind in KINDS}
    peer = "DuckDB, plain Parquet, same counts"
    yield Metric("sql.engine_ratio", sums["box"] / sums["counted"], "x", at_most=GOAL, peer=1.0, peer_is=peer)
    yield Metric("sql.engine_s", sums["box"], "s", peer=sums["counted"], peer_is=peer)
    bare = "DuckDB, plain Parquet, no counts"
    yield Metric("sql.bare_ratio", sums["box"] / sums["asked"], "x", peer=1.0, peer_is=bare)
    for number in QUERIES:
        seconds, other = medians["box", number], medians["counted", number]
        yield Metric(f"sql.q{number}_s", seconds, "s", peer=other, peer_is=peer)


def path() -> Iterator[Metric]:
    """Measure a job's whole path, `sql.fixed_ms`; it needs the platform up, and is filled in where that is known."""
    yield from ()


def measure() -> Iterator[Metric]:
    """Generate, measure, and clean up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sql_runs.write_relations(folder, SCALE)
        yield from engine(folder, ROUNDS)
    yield from path()


if __name__ == "__main__":
    sys.exit(main("sql_overhead", "What a checked SQL job costs beyond the query itself.", measure))
