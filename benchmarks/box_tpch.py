"""TPC-H at scale factor 1 in boxes and outside: the same interpreter, engine, threads, settings and files.

Every round is a fresh process that runs all 22 queries once; the kinds take turns, so that a busy machine slows
all of them. What is compared is the sum over queries of the medians over rounds. Starting Python and opening the
engine are left out on all sides; `box.t1_start_over_bare_ms_p95` has them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

from benchmarks import box_yard
from benchmarks.report import Metric
from plans.box import Limits
from sandbox import images

ROUNDS = {"bare": 7, "t1": 7, "t2": 3}
SCALE, THREADS = 1, 2
T1_GOAL, T2_GOAL = 1.05, 2.5
LIMITS = Limits(
    memory_mb=4096,
    temp_mb=64,
    spill_mb=0,
    output_mb=8,
    cpu_s=600,
    wall_s=600,
    processes=64,
    files=256,
    cpus=THREADS,
)
TABLES = ("customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier")

PROGRAM = """
import json, sys, time
packages, data, threads, *tables = sys.argv[1:]
sys.path.append(packages)
import duckdb
settings = {"threads": int(threads), "memory_limit": "2500MiB", "temp_directory": ""}
engine = duckdb.connect(":memory:", config=settings)
engine.execute("SET enable_progress_bar = false")
for table in tables:
    engine.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{data}/{table}.parquet')")
took = {}
for number, query in json.load(open(f"{data}/queries.json")).items():
    began = time.perf_counter()
    engine.execute(query).fetchall()
    took[number] = time.perf_counter() - began
print(json.dumps(took))
"""


def tpch() -> Iterator[Metric]:
    """Generate once, run in turns, compare."""
    with (
        tempfile.TemporaryDirectory(prefix="dr-tpch-") as name,
        box_yard.t1() as first,
        box_yard.t2() as second,
    ):
        data = Path(name)
        data.chmod(0o755)
        write_tables(data)
        runs: dict[str, list[dict[str, float]]] = {kind: [] for kind in ROUNDS}
        kinds = {
            "bare": _bare,
            "t1": lambda data: _boxed(first, data),
            "t2": lambda data: _boxed(second, data),
        }
        for turn in range(max(ROUNDS.values())):
            for kind, run in kinds.items():
                if turn < ROUNDS[kind]:
                    runs[kind].append(run(data))
    took = {kind: _medians(found) for kind, found in runs.items()}
    whole = {kind: sum(times.values()) for kind, times in took.items()}
    peer = f"the same 22 queries in a bare process, {THREADS} threads"
    for kind, goal in (("t1", T1_GOAL), ("t2", T2_GOAL)):
        ratio = whole[kind] / whole["bare"]
        yield Metric(f"box.tpch_{kind}_ratio", ratio, "x", at_most=goal, peer=1.0, peer_is=peer)
        yield Metric(f"box.tpch_{kind}_s", whole[kind], "s", peer=whole["bare"], peer_is=peer)
    worst = max(took["t1"], key=lambda number: took["t1"][number] / took["bare"][number])
    peer = f"query {worst} in the bare process"
    yield Metric("box.tpch_t1_worst_query_s", took["t1"][worst], "s", peer=took["bare"][worst], peer_is=peer)


def write_tables(data: Path) -> None:
    """Write the eight tables as Parquet files, and the 22 queries, readable for everybody."""
    package = importlib.util.find_spec("duckdb_extension_tpch")
    (home,) = package.submodule_search_locations if package and package.submodule_search_locations else ("",)
    extension = Path(home) / "extensions" / f"v{duckdb.__version__}" / "tpch.duckdb_extension"
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"CALL dbgen(sf = {SCALE})")
        for table in TABLES:
            connection.execute(f"COPY {table} TO '{data / table}.parquet' (FORMAT parquet, COMPRESSION zstd)")
        queries = connection.execute("SELECT query_nr, query FROM tpch_queries()").fetchall()
    (data / "queries.json").write_text(json.dumps({str(number): query for number, query in queries}))
    for file in data.iterdir():
        file.chmod(0o444)


def _bare(data: Path) -> dict[str, float]:
    packages = os.fspath(images.find("sql").root / "box")
    command = box_yard.bare(PROGRAM, packages, os.fspath(data), str(THREADS), *TABLES)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=box_yard.ENVIRONMENT)
    return dict(json.loads(done.stdout))


def _boxed(yard: box_yard.Yard, data: Path) -> dict[str, float]:
    inputs = {file.name: file for file in data.iterdir()}
    ran = asyncio.run(yard.run(PROGRAM, "/box", "/in", str(THREADS), *TABLES, limits=LIMITS, inputs=inputs))
    if not ran.told:
        raise RuntimeError(f"the box of {yard.tier} ended without figures: {ran.ending}")
    return dict(json.loads(ran.told))


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {number: statistics.median(run[number] for run in runs) for number in runs[0]}


if __name__ == "__main__":
    for metric in tpch():
        sys.stdout.write(f"{metric.id} {metric.value:.3f} {metric.unit}\n")
