"""What it takes to let an output out.

    python benchmarks/airlock.py [--json]

`airlock.inspect_s_100k_cells`: a table of 10,000 rows and 10 columns in CSV, from the bytes that a job left to the
canonical release, through everything that both boxes do but starting, decrypting and sealing: reading it without
belief, writing values, reading these with the same distrust, every rule on every cell, rounding, the record. The
peer is pandas reading the same bytes and rounding every number, and nobody judges anything.
`airlock.inspect_cpu_s_100k_cells` is the same in processor time, which a busy machine disturbs less.

`airlock.ledger_ms_100k`: the disclosure ledger weighs a cell (`benchmarks/ledger.py`, which has more about it).
"""

from __future__ import annotations

import io
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pandas as pd  # noqa: E402

from airlock.outputs import values  # noqa: E402
from airlock.outputs.ground import Ground  # noqa: E402
from airlock.outputs.judging import judge_outputs  # noqa: E402
from airlock.outputs.reading import read_outputs  # noqa: E402
from airlock.rules import Stamp  # noqa: E402
from benchmarks import ledger  # noqa: E402
from benchmarks.report import Metric, main  # noqa: E402
from plans.artifacts import Artifact, Form  # noqa: E402
from plans.decision import Obligations, Tier  # noqa: E402
from plans.verdict import Finding  # noqa: E402

ROUNDS, ROWS, GOAL_S = 5, 10_000, 2
DECLARED = (Artifact("t.csv", Form.TABLE, persons="persons"),)
GROUND = Ground(Obligations(10, 5, 200_000, Tier.T1), members_code=True)
STAMP = Stamp("sha256:" + "a" * 64, "b" * 32)


def measure() -> Iterator[Metric]:
    """Inspect one table several times."""
    content = table()
    yield Metric(
        "airlock.inspect_s_100k_cells",
        _median(lambda: inspected(content)),
        "s",
        at_most=GOAL_S,
        peer=_median(lambda: rounded(content)),
        peer_is="pandas reads the same CSV, rounds it and writes JSON",
    )
    cpu = [_processor(lambda: inspected(content)) for _ in range(ROUNDS)]
    yield Metric("airlock.inspect_cpu_s_100k_cells", statistics.median(cpu), "s")
    yield ledger.cell()


def _processor(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def table() -> bytes:
    """Return a table of 100,000 cells: two keys, four counts, three figures, persons."""
    chance = random.Random(7)
    lines = ["region,year,employed,insured,enrolled,retired,mean_income,rate,total_tax,persons"]
    for row in range(ROWS):
        persons = chance.randint(5, 5_000)
        counts = ",".join(str(chance.randint(0, persons)) for _ in range(4))
        figures = f"{chance.random() * 1e5},{chance.random()},{chance.random() * 1e7}"
        lines.append(f"region {row % 500:03},{2000 + row // 500},{counts},{figures},{persons}")
    return "\n".join(lines).encode() + b"\n"


def inspected(content: bytes) -> None:
    """Do what both boxes do with a table."""
    handed = values.write(read_outputs({"files/t.csv": content}, DECLARED, False, "c" * 32))
    judged = judge_outputs(values.read(handed, DECLARED), DECLARED, GROUND, STAMP)
    if judged.finding is not Finding.REPAIRED or judged.released is None:
        raise RuntimeError("the table should leave, repaired")
    judged.released.canonical()
    judged.record.canonical()


def rounded(content: bytes) -> None:
    """Do what somebody does who trusts the table."""
    pd.read_csv(io.BytesIO(content)).round(-1).to_json()


def _median(work: Callable[[], None]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


if __name__ == "__main__":
    sys.exit(main("airlock", __doc__.splitlines()[0], measure))
