"""What it takes to make a twin with noisy marginals, and rows of it.

    python benchmarks/twin.py [--json]

`twin.s_1m_20`: the box's program on a million persons with twenty columns, from the encrypted file to the recipe and
its owner's report; beside it the time in which DuckDB alone counts the same marginals from the same file, without
binning, noise, dependence or a person's one row. `twin.rows_s_100k`: as many rows of the recipe as a trial takes at
the most. `twin.variation`: how far the column that is furthest off is from the data, as total variation, at rho 1.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.report import Metric, main  # noqa: E402
from inside import engine, twin  # noqa: E402
from plans.manifest import Column  # noqa: E402
from plans.trial import MOST_ROWS  # noqa: E402
from tests.inside.twin_cases import Case, column  # noqa: E402

PERSONS, COLUMNS, RHO = 1_000_000, 20, 1.0
PLACES = [f"place{number}" for number in range(20)]


def table() -> tuple[tuple[Column, ...], str]:
    """Return columns of five kinds in turn, some dependent on each other, and the SQL of their rows."""
    columns, values = [], ["n::UBIGINT AS person"]
    for number in range(COLUMNS):
        name, drawn = f"c{number}", f"hash(n + {number})"
        kind = number % 5
        if kind == 0:
            columns.append(column(name, "BIGINT", "0", "1000000", nulls=1))
            values.append(
                f"CASE WHEN {drawn} % 10 > 0 THEN {drawn} % 1000 * (hash(n) % 1000) END::BIGINT AS {name}"
            )
        elif kind == 1:
            columns.append(column(name, "VARCHAR", "", "", *PLACES))
            values.append(f"'place' || hash(n) % 20 AS {name}")
        elif kind == 2:
            columns.append(column(name, "DOUBLE", "0", "1"))
            values.append(f"({drawn} % 1000 / 1000.0)::DOUBLE AS {name}")
        elif kind == 3:
            columns.append(column(name, "DATE", "1950-01-01", "2020-12-31"))
            values.append(f"DATE '1950-01-01' + (hash(n) % 20)::INTEGER * 1000 AS {name}")
        else:
            columns.append(column(name, "BIGINT", "0", "120"))
            values.append(f"(hash(n) % 120)::BIGINT AS {name}")
    return tuple(columns), f"SELECT {', '.join(values)} FROM range({PERSONS}) AS made(n)"


def counted(case: Case) -> float:
    """Return the seconds in which the engine alone counts every column of the file."""
    path = case.folder / "in" / "attributes.parquet"
    started = time.perf_counter()
    with engine.open_engine(case.folder / "temp", case.limits) as connection:
        engine.add_key(connection, "k", case.key)
        source = f"read_parquet({engine.literal(str(path))}, encryption_config = {engine.encryption('k')})"
        for each in case.columns:
            connection.execute(f"SELECT {each.name}, count(*) FROM {source} GROUP BY 1").fetchall()
    return time.perf_counter() - started


def measure() -> Iterator[Metric]:
    """Write the file, make its twin, and rows of that."""
    columns, rows = table()
    with tempfile.TemporaryDirectory() as name:
        case = Case(Path(name), rows, columns)
        alone = counted(case)
        started = time.perf_counter()
        recipe, report = case.made(RHO)
        took = time.perf_counter() - started
        yield Metric(
            "twin.s_1m_20",
            took,
            "s",
            at_most=60,
            peer=alone,
            peer_is="DuckDB, exact counts of the same columns",
        )
        started = time.perf_counter()
        twin.write(replace(recipe.table, rows=MOST_ROWS), 0, Path(name) / "twin")
        yield Metric("twin.rows_s_100k", time.perf_counter() - started, "s")
        yield Metric("twin.variation", max(each.variation_micro for each in report.columns) / 1_000_000, "")
        yield Metric("twin.recipe_kb", len(recipe.canonical()) / 1024, "KiB")


if __name__ == "__main__":
    sys.exit(main("twin", "What it takes to make a twin with noisy marginals, and rows of it.", measure))
