"""What it costs to stream a table into a job's box.

    python benchmarks/loader.py [--json]

`loader.speed_ratio`: the speed of the whole way of a table of 1,000,000 rows and 20 columns (and the person token)
from the owner's encrypted file into a `pyarrow.Table` of the member's program, over the speed of pyarrow's `read_table`
on the same table in plain Parquet with as many threads. The way is: the loader's program, sealed records, the
launcher's copying between two sockets, the runner that opens them, a pipe, and the program. Each end is a process of
its own, started and imported before the clock runs. It runs from the word to begin until the first rows are there, and
from the program's first read until it has the table: what a program imports in between is its own affair, as it is the
peer's. Meanwhile at most 3 MiB of 168 wait in buffers.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import loader_runs  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402
from sandbox import links  # noqa: E402

GOAL, ROUNDS = 0.5, 5


def begun(kind: str, folder: Path, number: int = 0) -> subprocess.Popen[str]:
    """Start a process of the way and wait until it is ready."""
    command = [sys.executable, "-P", loader_runs.__file__, kind, str(folder), str(number)]
    passed = (number,) if number else ()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=passed
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def ended(process: subprocess.Popen[str]) -> dict[str, float]:
    """Return the times that a process said, once it has ended."""
    told, _ = process.communicate()
    found = [json.loads(line) for line in told.splitlines()]
    return {each["what"]: each["seconds"] for each in found}


def streamed(folder: Path) -> dict[str, float]:
    """Bring the table all the way once."""
    pairs = [socket.socketpair() for _ in range(2)]
    processes = [
        begun(kind, folder, pair[1].fileno()) for kind, pair in zip(("loader", "feeder"), pairs, strict=True)
    ]
    for pair in pairs:
        pair[1].close()
        pair[0].setblocking(False)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    asyncio.run(links._join(pairs[0][0], pairs[1][0]))
    return {**ended(processes[0]), **ended(processes[1])}


def read(folder: Path) -> float:
    """Read the plain table once."""
    process = begun("plain", folder)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return ended(process)["plain"]


def measure() -> Iterator[Metric]:
    """Measure both in turns."""
    with tempfile.TemporaryDirectory(prefix="dr-loader-") as name:
        folder = Path(name)
        loader_runs.write(folder)
        runs, plain = [], []
        for _ in range(ROUNDS):
            runs.append(streamed(folder))
            plain.append(read(folder))
    wholes = [run["first"] + run["job"] for run in runs]
    whole, bare = statistics.median(wholes), statistics.median(plain)
    peer = "pyarrow.parquet.read_table, plain Parquet"
    yield Metric("loader.speed_ratio", bare / whole, "x", at_least=GOAL, peer=1.0, peer_is=peer)
    yield Metric("loader.s_1m_20", whole, "s", peer=bare, peer_is=peer)


if __name__ == "__main__":
    sys.exit(main("loader", "What it costs to stream a table into a job's box.", measure))
