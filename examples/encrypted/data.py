"""Agencies' files about made-up persons, and a model about nobody.

    households_*.csv  occupation and income, one row per person (the league, and each of two of its banners)

    applicants.csv    who applied for a loan, in which application, with income, debt and age (Bank)
    risk_model.csv    one row of coefficients (Tax Service)
    register.csv      district and status, one row per person (Civil Affairs)
    declared.csv      income of the year, one row per taxpayer (Tax Service)

Some live in two banners; a few applicants are in no register. The same seed and size give the same bytes; nobody in
them exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from examples.region.codes import as_text
from examples.region.people import make_people, named

OCCUPATIONS = ("herding", "farming", "wages", "trade", "fishing")
HIGHEST_INCOME = 300_000
INCOME_OF_OCCUPATION = (62_000, 48_000, 71_000, 83_000, 55_000)
PARTS = {"households_hulunbuir": 1.0, "households_ewenki": 0.7, "households_oroqen": 0.5}
"""Parts of one table, and how large each is beside the first."""

DISTRICTS = ("Xincheng", "Huimin", "Yuquan", "Saihan")
STATUSES = ("registered", "moved away", "deceased")
APPLICATION = 17
"""The one that is looked up; a couple applies."""

MODEL = {"base": "-1.350", "income": "-0.00450", "debt": "0.01150", "age": "-0.01200", "children": "0.10500"}
"""A logistic model of arrears: what a thousand yuan of income and of debt, a year of age, and a child change."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Persons in the largest part of the table; who applied; and who is in the register."""

    households: int = 4_000
    applicants: int = 300
    persons: int = 20_000


def make_households(persons: int, seed: int = 11) -> dict[str, pa.Table]:
    """Return the parts of one table; the largest has so many persons, and some are in two parts.

    Raises:
        ValueError: fewer than a hundred have no occupations worth asking about.
    """
    if persons < 100:
        raise ValueError("a part of the table has at least a hundred persons")
    rng = np.random.default_rng([seed, 7])
    people = make_people(persons * 3, seed + 3)
    numbers = as_text(people.numbers)
    found = {}
    for name, part in PARTS.items():
        chosen = np.sort(rng.permutation(len(people.born))[: int(persons * part)])
        occupation = rng.choice(len(OCCUPATIONS), len(chosen), p=(0.34, 0.3, 0.25, 0.109, 0.001))
        income = np.array(INCOME_OF_OCCUPATION)[occupation] * rng.lognormal(0, 0.5, len(chosen))
        found[name] = pa.table(
            {
                "id18": numbers.take(pa.array(chosen)),
                "occupation": named(list(OCCUPATIONS), occupation),
                "income": pa.array(np.minimum(income, HIGHEST_INCOME).astype(np.int64)),
            }
        )
    return found


def make_city(applicants: int, persons: int, seed: int = 11) -> dict[str, pa.Table]:
    """Return who applied, the model, and the registers in which so many persons are.

    Raises:
        ValueError: there are fewer than a hundred persons, or not more of them than who applied.
    """
    if persons < 100 or not 10 <= applicants < persons:
        raise ValueError("a city has at least a hundred persons, and from ten on some of them have applied")
    rng = np.random.default_rng([seed, 8])
    people = make_people((persons + applicants) * 3 // 2 + 100, seed + 4)
    numbers = as_text(people.numbers)
    everybody = rng.permutation(np.flatnonzero(people.age >= 18))[: persons + applicants]
    registered, taxed = np.sort(everybody[:persons]), np.sort(everybody[: persons * 3 // 5])
    strangers = max(1, applicants // 50)
    applied = np.concatenate([everybody[persons : persons + strangers], everybody[: applicants - strangers]])
    income = np.round(np.minimum(rng.lognormal(11, 0.6, len(taxed)), 999_999), 2)
    application = np.arange(applicants) + 1_000
    application[[0, strangers]] = APPLICATION  # one of whom the register knows nothing
    return {
        "applicants": pa.table(
            {
                "id18": numbers.take(pa.array(applied)),
                "application": pa.array(application),
                "income": pa.array(np.round(rng.lognormal(4.2, 0.5, applicants).clip(0, 999.9), 1)),
                "debt": pa.array(np.round(rng.lognormal(4, 1, applicants).clip(0, 4_999.9), 1)),
                "age": pa.array(people.age[applied]),
                "children": pa.array(rng.integers(0, 5, applicants)),
            }
        ),
        "risk_model": pa.table({name: pa.array([value]) for name, value in MODEL.items()}),
        "register": pa.table(
            {
                "id18": numbers.take(pa.array(registered)),
                "district": named(list(DISTRICTS), rng.choice(4, persons, p=(0.4, 0.3, 0.2, 0.1))),
                "status": named(list(STATUSES), rng.choice(3, persons, p=(0.9, 0.07, 0.03))),
            }
        ),
        "declared": pa.table({"id18": numbers.take(pa.array(taxed)), "income": pa.array(income)}),
    }


def write(folder: Path, names: tuple[str, ...], sizes: Sizes, seed: int = 11) -> dict[str, Path]:
    """Write the files of these registers; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, pa.Table] = {}
    if set(PARTS) & set(names):
        made |= make_households(sizes.households, seed)
    if set(names) - set(PARTS):
        made |= make_city(sizes.applicants, sizes.persons, seed)
    paths = {name: folder / f"{name}.csv" for name in names}
    for name, path in paths.items():
        options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
        pyarrow.csv.write_csv(made[name], path, options)
    return paths
