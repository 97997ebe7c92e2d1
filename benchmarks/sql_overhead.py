"""What a checked SQL job costs beyond the query itself.

    python benchmarks/sql_overhead.py [--json]

`sql.engine_ratio`: TPC-H at scale factor 1, the queries that the subset allows, in the query box's program from
keys to written result (encrypted files, locked engine, encrypted output), against DuckDB alone that runs the same
counted statements on the same data in plain Parquet. Each run is a fresh process with the same threads, the kinds
in turns; the ratio is of the sums over queries of the medians over rounds. Left out on both sides: starting Python
and importing; left out of the box: opening its engine, which it does while the keeper is asked. Both belong to the
path. `sql.engine_cpu_ratio` is the same of processor time, which a busy machine disturbs less.
`sql.evidence_ratio`: the same box against the counted statements alone: what the evidence for dominance and the ledger
costs beside the figures; for information.
`sql.bare_ratio`: the same box against the members' own statements, which count no persons; for information.
`sql.fixed_ms`: the whole path of a job, less the engine's time (`benchmarks/sql_path.py`).
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
from benchmarks.sql_path import path  # noqa: E402
from benchmarks.sql_queries import QUERIES  # noqa: E402

GOAL = 1.2
SCALE, ROUNDS = 1.0, 3
KINDS = ("box", "counted", "figures", "asked")


def measured(kind: str, folder: Path, number: int) -> dict[str, float]:
    """Run one query in a process of its own and return what it took."""
    command = [sys.executable, "-P", sql_runs.__file__, kind, str(folder), str(number)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def engine(folder: Path, rounds: int) -> Iterator[Metric]:
    """Measure the three kinds in turns, so that a busy machine slows all of them."""
    runs: dict[tuple[str, int], list[dict[str, float]]] = {(k, n): [] for k in KINDS for n in QUERIES}
    for _ in range(rounds):
        for number in QUERIES:
            for kind in KINDS:
                runs[kind, number].append(measured(kind, folder, number))

    def took(kind: str, number: int, what: str = "seconds") -> float:
        return statistics.median(run[what] for run in runs[kind, number])

    box, counted, figures, asked = (sum(took(kind, number) for number in QUERIES) for kind in KINDS)
    cpu, counted_cpu, *_ = (sum(took(kind, number, "cpu_seconds") for number in QUERIES) for kind in KINDS)
    peer = "DuckDB, plain Parquet, same counts and contributions"
    yield Metric("sql.engine_ratio", box / counted, "x", at_most=GOAL, peer=1.0, peer_is=peer)
    yield Metric("sql.engine_cpu_ratio", cpu / counted_cpu, "x", peer=1.0, peer_is=peer)
    yield Metric("sql.engine_s", box, "s", peer=counted, peer_is=peer)
    alone = "DuckDB, plain Parquet, counted statements alone"
    yield Metric("sql.evidence_ratio", box / figures, "x", peer=1.0, peer_is=alone)
    bare = "DuckDB, plain Parquet, no counts"
    yield Metric("sql.bare_ratio", box / asked, "x", peer=1.0, peer_is=bare)
    for number in QUERIES:
        yield Metric(f"sql.q{number}_s", took("box", number), "s", peer=took("counted", number), peer_is=peer)


def measure() -> Iterator[Metric]:
    """Generate, measure, and clean up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sql_runs.write_relations(folder, SCALE)
        yield from engine(folder, ROUNDS)
    yield from path()


if __name__ == "__main__":
    sys.exit(main("sql_overhead", "What a checked SQL job costs beyond the query itself.", measure))
