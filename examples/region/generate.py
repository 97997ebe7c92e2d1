"""Write the region's files: `python -m examples.region.generate --out DIR [--scale 1.0] [--seed 7]`.

    population.csv   1,000,000 persons × scale
    income.csv         800,000 records × scale
    visits.csv       3,000,000 visits  × scale

The same seed and scale give the same bytes. The descriptions lie beside this file, as TOML.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from examples.region.incomes import make_incomes
from examples.region.people import make_people, register
from examples.region.visits import make_visits

PERSONS, INCOMES, VISITS = 1_000_000, 800_000, 3_000_000
DESCRIPTIONS = Path(__file__).parent
"""Where the descriptions lie: population.toml, income.toml, visits.toml, wage.toml."""


def tables(scale: float, seed: int) -> Iterator[tuple[str, pa.Table]]:
    """Yield each file's name and rows, one at a time."""
    people = make_people(max(1000, int(PERSONS * scale)), seed)
    yield "population", register(people, seed)
    yield "income", make_incomes(people, max(800, int(INCOMES * scale)), seed)
    yield "visits", make_visits(people, max(3000, int(VISITS * scale)), seed)


def generate(folder: Path, scale: float = 1.0, seed: int = 7) -> dict[str, Path]:
    """Write the three files and return their paths by name.

    Raises:
        ValueError: the scale is not above 0 and at most 10.
    """
    if not 0 < scale <= 10:
        raise ValueError("the scale is above 0 and at most 10")
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for name, table in tables(scale, seed):
        paths[name] = folder / f"{name}.csv"
        pyarrow.csv.write_csv(
            table, paths[name], pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
        )
    return paths


def main() -> None:
    """Generate, and say what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    started = time.perf_counter()
    for path in generate(options.out, options.scale, options.seed).values():
        print(f"{path}  {path.stat().st_size / 2**20:,.1f} MiB")
    print(f"{time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
