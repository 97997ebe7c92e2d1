"""What it takes to read and decide a SQL statement, on the 99 queries of TPC-DS.

    python benchmarks/sql_guard.py [--json]

`sql_guard.p95_ms_tpcds`: from the member's text to a decision, in one warm process as in a checker box: parsing, the
first reader, the engine's binder on empty relations and once more on them as they will be made, the agreement of
both, `policies.decide`. Every column is granted plainly, so that every query is read at the level of rows. Making the
views of all 24 relations comes before, in the centre, and has a figure of its own. The box's engine is opened before
there is a statement, as it is in the box (`inside.check.warm`); starting a box is measured in `benchmarks/box.py`.
Each query counts with the median of the rounds. The peer is DuckDB's own EXPLAIN of the same query on the same empty
relations in an open connection: parsing, binding and optimising, and nobody asks who may see what.

`sql_guard.cpu_p95_ms_tpcds` is the same of processor time, which a busy machine disturbs less; the other figures
say where the time goes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import duckdb  # noqa: E402

from benchmarks.report import Metric, main  # noqa: E402
from inside.bound import empty_engine, planned, shadow_engine  # noqa: E402
from inside.check import check  # noqa: E402
from inside.plan_columns import read_plan  # noqa: E402
from plans.decision import Outcome  # noqa: E402
from plans.reading import Shadow  # noqa: E402
from policies import api as policies  # noqa: E402
from policies.reading.bounds import parse  # noqa: E402
from policies.reading.rows import read_rows  # noqa: E402
from tests.inside import tpc_cases  # noqa: E402
from tests.inside.tpc_cases import Suite  # noqa: E402

ROUNDS, GOAL_MS, MEMORY_MB = 7, 50, 512

Clock = Callable[[], float]
Times = dict[str, dict[int, list[float]]]


def measure() -> Iterator[Metric]:
    """Read and decide every query, several times."""
    with duckdb.connect() as connection:
        tpc_cases.generate(connection, "tpcds", 0)
        suite = tpc_cases.suite(connection, "tpcds")
    took: Times = {}
    with shadow_engine(suite.shadows, MEMORY_MB) as bare:
        for _ in range(ROUNDS):
            for number, statement in suite.queries.items():
                _one(took, number, statement, suite)
                _time(
                    took, "explain", number, lambda text=statement: bare.execute(f"EXPLAIN {text}").fetchall()
                )
                _parts(took, number, statement, (suite.shadows, bare))
    peer = "DuckDB's EXPLAIN of the same query"
    yield Metric(
        "sql_guard.p95_ms_tpcds",
        _p95(took["whole"]),
        "ms",
        at_most=GOAL_MS,
        peer=_p95(took["explain"]),
        peer_is=peer,
    )
    yield Metric(
        "sql_guard.p50_ms_tpcds", _p50(took["whole"]), "ms", peer=_p50(took["explain"]), peer_is=peer
    )
    yield Metric(
        "sql_guard.cpu_p95_ms_tpcds",
        _p95(took["whole cpu"]),
        "ms",
        peer=_p95(took["explain cpu"]),
        peer_is=peer,
    )
    for part in ("parse", "first reader", "bind", "second reader", "decide", "views"):
        name = f"sql_guard.{part.replace(' ', '_')}_ms"
        yield Metric(f"{name}_p50", _p50(took[part]), "ms")
        yield Metric(f"{name}_p95", _p95(took[part]), "ms")


def _one(took: Times, number: int, statement: str, suite: Suite) -> None:
    """Time a whole decision with an engine that is open, and see that it allows."""
    shadows, opened = _time(took, "views", number, lambda: suite.shadows), empty_engine(MEMORY_MB)

    def whole() -> policies.Case:
        case = suite.case(statement, check(statement, shadows, MEMORY_MB, opened))
        assert policies.decide(case).outcome is Outcome.ALLOW
        return case

    case = _time(took, "whole", number, whole)
    _time(took, "decide", number, lambda: policies.decide(case))


def _parts(
    took: Times, number: int, statement: str, at: tuple[tuple[Shadow, ...], duckdb.DuckDBPyConnection]
) -> None:
    """Time the steps alone."""
    shadows, engine = at
    root = _time(took, "parse", number, lambda: parse(statement))
    _time(took, "first reader", number, lambda: read_rows(root, statement, shadows))
    plan = _time(took, "bind", number, lambda: planned(engine, statement))
    _time(took, "second reader", number, lambda: read_plan(plan))


def _time(took: Times, what: str, number: int, run: Callable[[], Any]) -> Any:
    began, before = time.perf_counter(), time.process_time()
    answer = run()
    spent, worked = time.perf_counter() - began, time.process_time() - before
    took.setdefault(what, {}).setdefault(number, []).append(spent * 1000)
    took.setdefault(f"{what} cpu", {}).setdefault(number, []).append(worked * 1000)
    return answer


def _p50(times: dict[int, list[float]]) -> float:
    return statistics.median(statistics.median(each) for each in times.values())


def _p95(times: dict[int, list[float]]) -> float:
    """The 95th percentile over the queries."""
    return statistics.quantiles((statistics.median(each) for each in times.values()), n=20)[18]


if __name__ == "__main__":
    sys.exit(main("sql_guard", "What it takes to read and decide a SQL statement.", measure))
