"""The audit log: durable appends with group commit, and verification from files alone.

audit.append_per_s    64 threads, each waits until its own event is durable;
                      peer: the same threads with one fsync per event
audit.verify_per_s    every line's bytes, number, time, tree, and a signed head every 1,024 events;
                      peer: parse each line and encode it canonically again before hashing
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# This file is named like a room: run as a script, its own folder must not stand in the room's way.
sys.path[:] = [str(ROOT), *(each for each in sys.path if Path(each or ".").resolve() != ROOT / "benchmarks")]

from audit import api as audit  # noqa: E402
from audit import files, merkle  # noqa: E402
from benchmarks import report  # noqa: E402
from benchmarks.report import Metric  # noqa: E402
from keys import api as keys  # noqa: E402
from plans import canonical  # noqa: E402

THREADS, EACH, NAIVE_EACH = 64, 200, 15
EVENTS, ROUNDS = 262_144, 3


def draft(n: int) -> audit.Draft:
    """Return an event as jobs make them."""
    return audit.Draft(
        actor="li.wei@nm/hohhot",
        domain="nm/tax",
        action="keeper.key-sealed",
        object=f"job-{n:08d}",
        retention=audit.Retention.GRANTS,
        plan=f"sha256:{n:064x}",
        decision="allow",
        policy=17,
        details={"stage": "query", "attempt": 1},
    )


def in_threads(work: Callable[[], None]) -> float:
    """Run `work` in all threads; return the seconds until the last one is done."""
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def append_per_s(folder: Path) -> float:
    """Durable events per second through the log."""
    log = audit.Log.open(folder, keys.SigningKey.fresh())

    def work() -> None:
        for n in range(EACH):
            log.append(draft(n))

    seconds = in_threads(work)
    log.close()
    return THREADS * EACH / seconds


def naive_append_per_s(path: Path) -> float:
    """Durable events per second with one fsync for each."""
    lock, tree = threading.Lock(), merkle.Frontier()
    with path.open("ab", buffering=0) as file:

        def work() -> None:
            for n in range(NAIVE_EACH):
                with lock:
                    line = draft(n).event({}, -1, tree.size, int(time.time() * 1000)).canonical()
                    file.write(line + b"\n")
                    os.fsync(file.fileno())
                    tree.push(merkle.leaf_hash(line))

        return THREADS * NAIVE_EACH / in_threads(work)


def fill(folder: Path, key: keys.SigningKey) -> None:
    """Write the log that is then verified, with a head every 1,024 events."""
    log = audit.Log.open(folder, key)
    for start in range(0, EVENTS, 1024):
        log.append_all([draft(n) for n in range(start, start + 1024)])
    log.close()


def verify_per_s(folder: Path, key: keys.SigningKey) -> float:
    """Events verified per second; the best of some rounds, so that files are in memory for all."""
    best = 0.0
    for _ in range(ROUNDS):
        start = time.perf_counter()
        found = audit.verify(folder, key.public).require()
        best = max(best, found.events / (time.perf_counter() - start))
    return best


def parsing_verify_per_s(folder: Path) -> float:
    """Events per second when each line is parsed and encoded again before it is hashed."""
    layout, tree = files.read_layout(folder), merkle.Frontier()
    start = time.perf_counter()
    for line in files.read_lines(layout.events(0)):
        tree.push(merkle.leaf_hash(canonical.encode(canonical.decode(line))))
    tree.root()
    return tree.size / (time.perf_counter() - start)


def measure() -> Iterator[Metric]:
    """Measure both, each beside its peer."""
    with tempfile.TemporaryDirectory(prefix="darkroom-bench-") as name:
        folder, key = Path(name), keys.SigningKey.fresh()
        yield Metric(
            "audit.append_per_s",
            append_per_s(folder / "append"),
            "events/s",
            at_least=2000,
            peer=naive_append_per_s(folder / "naive"),
            peer_is="one fsync per event",
        )
        fill(folder / "verify", key)
        yield Metric(
            "audit.verify_per_s",
            verify_per_s(folder / "verify", key),
            "events/s",
            at_least=150_000,
            peer=parsing_verify_per_s(folder / "verify"),
            peer_is="parse and encode each line again",
        )


if __name__ == "__main__":
    sys.exit(report.main("audit", __doc__ or "", measure))
