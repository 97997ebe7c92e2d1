"""Private matching beside `spu`: 1M × 1M identifiers of 18 digits, half of them in both lists.

    SPU_PYTHON=… python -m benchmarks.matching [--json]

`SPU_PYTHON` is the Python of an environment with `spu==0.9.5` (a gigabyte; it needs Python 3.10 or 3.11, and cannot
share ours); without it nothing is compared. Each party is a process of its own on this machine: ours two owners, who
are servers too, the third server, and with a helper that one; theirs two parties. Links are sockets, ours encrypted
from end to end. The clock runs from the word to begin, all imports done, until the last party ends: from a file of
identifiers to shares of the aligned rows, and there from a file to a file of the intersection, which its receiver sees
in clear. What is compared is time, not what is promised: nobody here learns who matched.

* `psi.helper_speedup_rr22`: RR22 (fast mode) over matching with a helper;
* `psi.ecdh_ratio_spu`: matching with Diffie–Hellman over ECDH-25519.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import combinations
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.matching_runs import HELPER, SERVERS  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402

ROWS = 1_000_000
ROUNDS = 3
PATIENCE_S = 600
HERE = Path(__file__).resolve().parent


def write(path: Path, first: int, count: int) -> Path:
    """Write identifiers of 18 digits from a number on, in an order of their own."""
    order = np.random.default_rng(first).permutation(np.arange(first, first + count))
    path.write_text("id\n" + "".join(f"{150102190000000000 + number}\n" for number in order.tolist()))
    return path


def begun(commands: dict[str, list[str]], ends: dict[str, dict[str, int]]) -> dict[str, dict[str, float]]:
    """Run processes at once, from their `ready` on; return what each told."""
    with ExitStack() as stack:
        playing = {
            name: stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    pass_fds=tuple(ends.get(name, {}).values()),
                )
            )
            for name, command in commands.items()
        }
        for process in playing.values():
            while (line := process.stdout.readline() if process.stdout else "") != "ready\n":
                if not line:
                    raise SystemExit("a party of the benchmark ended before it began")
        for process in playing.values():
            if process.stdin:
                process.stdin.write("go\n")
                process.stdin.flush()
        told = {name: process.communicate(timeout=PATIENCE_S)[0] for name, process in playing.items()}
    lines = {
        name: [line for line in text.splitlines() if line.startswith("{")] for name, text in told.items()
    }
    if not all(lines.values()):
        raise SystemExit(f"{[name for name, found in lines.items() if not found]} ended without a result")
    return {name: json.loads(found[-1]) for name, found in lines.items()}


def ours(way: str, files: dict[str, Path], rows: int) -> float:
    """One run of ours, in seconds, checked: the components of the servers add up to the number of matches."""
    names = [*SERVERS, HELPER] if way == "helper" else list(SERVERS)
    ends: dict[str, dict[str, int]] = {name: {} for name in names}
    sockets = []
    for one, other in combinations(names, 2):
        pair = socket.socketpair()
        sockets += pair
        ends[one][other], ends[other][one] = (end.fileno() for end in pair)
    script = os.fspath(HERE / "matching_runs.py")
    commands = {
        name: [
            sys.executable,
            script,
            name,
            way,
            str(rows),
            os.fspath(files.get(name, "")),
            json.dumps(ends[name]),
        ]
        for name in names
    }
    told = begun(commands, ends)
    for end in sockets:
        end.close()
    matched = sum(int(told[name]["component"]) for name in SERVERS) % 2**64
    if matched != rows // 2:
        raise SystemExit(f"{way}: {matched} rows matched, not {rows // 2}")
    return max(one["seconds"] for one in told.values())


def theirs(python: str, protocol: str, files: dict[str, Path], rows: int) -> float:
    """One run of `spu`, in seconds, checked."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            ports.append(str(free.getsockname()[1]))
    script = os.fspath(HERE / "matching_peer.py")
    commands = {
        name: [python, script, str(rank), protocol, os.fspath(files[name]), f"{files[name]}.out", *ports]
        for rank, name in enumerate(("north", "south"))
    }
    told = begun(commands, {})
    if told["north"]["matched"] != rows // 2:
        raise SystemExit(f"spu found {told['north']['matched']} rows")
    return max(one["seconds"] for one in told.values())


def measure() -> Iterator[Metric]:
    """Run both sides in turn."""
    python = os.environ.get("SPU_PYTHON", "")
    rows = int(os.environ.get("MATCHING_ROWS", ROWS))
    with tempfile.TemporaryDirectory() as folder:
        files = {
            "north": write(Path(folder) / "north.csv", 0, rows),
            "south": write(Path(folder) / "south.csv", rows // 2, rows),
        }
        helped, rr22 = [], []
        for _ in range(ROUNDS):
            helped.append(ours("helper", files, rows))
            if python:
                rr22.append(theirs(python, "PROTOCOL_RR22", files, rows))
        alone = ours("diffie-hellman", files, rows)
        ecdh = theirs(python, "PROTOCOL_ECDH", files, rows) if python else None
    ours_s = statistics.median(helped)
    yield Metric(
        "psi.helper_s", ours_s, "s", peer=statistics.median(rr22) if rr22 else None, peer_is="spu RR22"
    )
    yield Metric("psi.ecdh_s", alone, "s", peer=ecdh, peer_is="spu ECDH-25519")
    if python and ecdh:
        yield Metric("psi.helper_speedup_rr22", statistics.median(rr22) / ours_s, "×", at_least=3)
        yield Metric("psi.ecdh_ratio_spu", alone / ecdh, "×", at_most=3.5)


if __name__ == "__main__":
    sys.exit(main("matching", __doc__ or "", measure))
