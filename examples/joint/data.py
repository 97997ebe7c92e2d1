"""Three agencies' files about the same made-up persons, one row for each person in each file.

    residents.csv   where each person lives (Civil Affairs)
    patients.csv    chronic diagnoses, one per patient (Health Commission)
    yearly.csv      income of the year, one row per taxpayer (Tax Service)

A patient need not pay taxes, and a taxpayer need not be ill; some have moved away. The same seed and size give the same
bytes; nobody in them exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from examples.region import places
from examples.region.codes import as_text
from examples.region.people import make_people, named

DIAGNOSES = ("E11.0", "E11.9", "I10", "I25.1", "J44.9", "M81.0")
DIABETES = "E11"
HIGHEST = 999_999.99
"""The largest yearly income: nobody's is reported as more. A range as small as that lets cells pass the test of
dominance, which looks at declared ranges and at no person.
"""


@dataclass(frozen=True, slots=True)
class Agencies:
    """The three tables."""

    residents: pa.Table
    patients: pa.Table
    yearly: pa.Table


def make(persons: int, seed: int = 11) -> Agencies:
    """Return the tables of so many persons.

    Raises:
        ValueError: fewer than a hundred persons have no groups worth asking about.
    """
    if persons < 100:
        raise ValueError("a region has at least a hundred persons")
    rng = np.random.default_rng([seed, 4])
    people = make_people(persons, seed)
    ill, taxed = rng.random(persons) < 0.35, rng.random(persons) < 0.6
    living = rng.random(persons) < 0.97
    numbers = as_text(people.numbers)
    league = places.LEAGUE_OF_BANNER[people.banner]
    diagnosis = rng.choice(len(DIAGNOSES), persons, p=(0.15, 0.25, 0.3, 0.1, 0.12, 0.08))
    income = np.round(np.minimum(rng.lognormal(10.9, 0.7, persons), HIGHEST), 2)
    missing = rng.random(persons) < 0.01
    return Agencies(
        pa.table({"id18": numbers, "region": named(places.LEAGUE_NAMES, league)}).filter(pa.array(living)),
        pa.table({"id18": numbers, "diagnosis": named(list(DIAGNOSES), diagnosis)}).filter(pa.array(ill)),
        pa.table({"id18": numbers, "income": pa.array(income, mask=missing)}).filter(pa.array(taxed)),
    )


def write(folder: Path, persons: int, seed: int = 11) -> dict[str, Path]:
    """Write the three files; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made = make(persons, seed)
    paths = {name: folder / f"{name}.csv" for name in ("residents", "patients", "yearly")}
    for name, path in paths.items():
        options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
        pyarrow.csv.write_csv(getattr(made, name), path, options)
    return paths
