"""Hidden lookup: one record of a million, of which the owner does not learn which.

    python -m benchmarks.lookup [--json]

A table of 1,000,000 rows × 32 bytes is made with its hint; then keys, present and absent in turn, are looked up from
the key to the record: blinding, evaluation, a fresh secret, question, answer, recovery, opening, all counted, both
sides in this process in turn. They are warm (their products are compiled). No network is in it: bytes are told.

* `pir.online_s_1m`: the median of one whole lookup, by the clock on the wall;
* `pir.gb_per_s_core`: the owner's product with the whole table, of one thread and in its processor time, beside numpy's
  `@` in words of 32 bits over a sixteenth of the rows; `pir.of_memory` the same beside numpy's sum over the same bytes,
  which is as fast as memory is read.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.report import Metric, main  # noqa: E402
from mpc.lookup import product  # noqa: E402
from mpc.lookup.owner import Owner  # noqa: E402
from mpc.lookup.plan import Plan, Way, planned  # noqa: E402
from mpc.lookup.seeker import Seeker  # noqa: E402
from mpc.lookup.simple_pir import make_hint  # noqa: E402
from mpc.protocols.shuffling import fresh  # noqa: E402

ROWS, WIDTH, MEMORY_MB = 1_000_000, 32, 2048
LOOKUPS = 20
ROUNDS = 15
PEER_PART = 16


def seconds(
    work: Callable[[], object], rounds: int = 1, clock: Callable[[], float] = time.perf_counter
) -> float:
    """The median time of the work."""
    taken = []
    for _ in range(rounds):
        began = clock()
        work()
        taken.append(clock() - began)
    return statistics.median(taken)


def made(plan: Plan) -> tuple[Owner, list[bytes], list[bytes]]:
    """An owner with a table of that plan, and its rows."""
    keys = [b"150102%012d" % at for at in range(plan.layout.bound)]
    raw = os.urandom(plan.layout.bound * WIDTH)
    records = [raw[at : at + WIDTH] for at in range(0, len(raw), WIDTH)]
    return Owner.of((keys, records), plan, fresh()), keys, records


def lookup(seeker: Seeker, owner: Owner, key: bytes) -> bytes | None:
    """One whole lookup, both sides."""
    asked = seeker.ask(key, fresh())
    evaluation = owner.evaluate(asked.blinded)
    asked.evaluated(evaluation.revealed(asked.opening(evaluation.commitment)))
    return asked.opened(owner.answer(asked.question))


def whole_lookups(owner: Owner, keys: list[bytes], records: list[bytes]) -> list[float]:
    """Seconds of lookups of present and absent keys in turn, each checked; the first, which compiles, left out."""
    seeker, taken = Seeker(owner.record, owner.hint.tobytes()), []
    for at in range(LOOKUPS + 1):
        place = at * 49_999 % len(keys)
        key, record = (keys[place], records[place]) if at % 2 else (b"absent%d" % at, None)
        began = time.perf_counter()
        found = lookup(seeker, owner, key)
        taken.append(time.perf_counter() - began)
        if found != record:
            raise SystemExit("a lookup gave another record")
    return taken[1:]


def measure() -> Iterator[Metric]:
    """Make the table once, and ask it."""
    plan = planned(ROWS, WIDTH, MEMORY_MB)
    if plan.way is not Way.HIDDEN:
        raise SystemExit("this table would be handed out whole")
    began = time.perf_counter()
    owner, keys, records = made(plan)
    built = time.perf_counter() - began
    matrix = owner._sealed.matrix
    vector = np.frombuffer(os.urandom(4 * plan.layout.columns), dtype=np.uint32).copy()
    online = whole_lookups(owner, keys, records)
    yield Metric("pir.online_s_1m", statistics.median(online), "s", at_most=1)
    ours = seconds(lambda: product.times(matrix, vector, 1), ROUNDS, time.thread_time)
    part = np.ascontiguousarray(matrix[::PEER_PART])
    numpy_s = seconds(lambda: product.plain(part, vector), 3, time.thread_time) * len(matrix) / len(part)
    words = matrix.reshape(-1)[: matrix.size // 8 * 8].view(np.uint64)
    memory_s = seconds(lambda: words.sum(), ROUNDS, time.thread_time)
    speed = matrix.nbytes / 1e9
    yield Metric(
        "pir.gb_per_s_core",
        speed / ours,
        "GB/s",
        at_least=8,
        peer=speed / numpy_s,
        peer_is="numpy @ in uint32",
    )
    yield Metric("pir.of_memory", memory_s / ours, "×", peer=speed / memory_s, peer_is="numpy's sum, GB/s")
    hint_s = seconds(lambda: make_hint(owner.record, matrix))
    yield Metric("pir.hint_s_1m", hint_s, "s")
    yield Metric("pir.hint_mb_1m", plan.once / 1e6, "MB")
    yield Metric("pir.question_and_answer_kb_1m", (plan.up + plan.down) / 1e3, "kB")
    yield Metric("pir.build_s_1m", built, "s")


if __name__ == "__main__":
    sys.exit(main("lookup", __doc__ or "", measure))
