"""What an ingest costs beyond a bare conversion, and how much memory a file of any size takes.

    python benchmarks/ingest.py [--json]

`ingest.ratio`: the box's program, from keys to both encrypted files, with hashing the source as a session does, all
checks and the tokens, against DuckDB alone that turns the same CSV into one plain Parquet file with the same types and
compression. Both run in fresh processes with the same threads, in turns; the ratio is of the medians.
`ingest.peak_mb`: the largest resident size of the program on a file ten times as large, which must stay below the box's
limit.
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

from benchmarks import ingest_runs  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402

GOAL = 2.0
SCALE, ROUNDS = 1.0, 5
"""Three million visits, and how often each side runs."""


def measured(kind: str, folder: Path) -> dict[str, float]:
    """Run one measurement in a process of its own and return what it printed."""
    command = [sys.executable, "-P", ingest_runs.__file__, kind, str(folder)]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(answer.stdout)
    return found


def ratio(folder: Path, rounds: int) -> Iterator[Metric]:
    """Measure program and bare engine in turns, so that a busy machine slows both."""
    runs: dict[str, list[dict[str, float]]] = {"box": [], "bare": []}
    for _ in range(rounds):
        for kind, results in runs.items():
            results.append(measured(kind, folder))
    box, bare = (statistics.median(run["seconds"] for run in runs[kind]) for kind in ("box", "bare"))
    cpu, bare_cpu = (statistics.median(run["cpu_seconds"] for run in runs[kind]) for kind in ("box", "bare"))
    peer = "DuckDB, CSV to Parquet (zstd)"
    yield Metric("ingest.ratio", box / bare, "x", at_most=GOAL, peer=1.0, peer_is=peer)
    yield Metric("ingest.box_s", box, "s", peer=bare, peer_is=peer)
    yield Metric("ingest.box_cpu_s", cpu, "s", peer=bare_cpu, peer_is=peer)
    yield Metric("ingest.rows", runs["box"][0]["rows"], "rows")


def peak(folder: Path) -> Iterator[Metric]:
    """Ingest the large file once."""
    run = measured("box", folder)
    yield Metric("ingest.peak_mb", run["peak_mb"], "MiB", at_most=ingest_runs.LIMITS.memory_mb)
    yield Metric("ingest.large_s", run["seconds"], "s")
    yield Metric("ingest.large_rows", run["rows"], "rows")
    yield Metric("ingest.large_mb", (folder / "visits.csv").stat().st_size / 2**20, "MiB")


def measure() -> Iterator[Metric]:
    """Generate, measure, and clean up."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ingest_runs.write_visits(folder, SCALE, pieces=1)
        yield from ratio(folder, ROUNDS)
        ingest_runs.write_visits(folder, SCALE, pieces=10)
        yield from peak(folder)


if __name__ == "__main__":
    sys.exit(
        main(
            "ingest", "What an ingest costs beyond a bare conversion, and how much memory it takes.", measure
        )
    )
