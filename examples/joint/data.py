"""Agencies' files about the same made-up persons, one row for each person in each file.

    residents.csv   where each person lives (Civil Affairs)
    patients.csv    chronic diagnoses, one per patient (Health Commission)
    yearly.csv      income of the year, one row per taxpayer (Tax Service)

    students.csv    year of enrolment, field, graduated in nominal time (Department of Education)
    working.csv     mean yearly working income, one row per person with any (Tax Service)

    payroll_*.csv   post and pay of the own staff, one row per person (each of three departments)

A patient need not pay taxes, and a taxpayer need not be ill; some have moved away; a student need not work, and most
who work do not study. Some work for two departments. The same seed and size give the same bytes; nobody in them exists.
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

YEARS = (2015, 2016, 2017, 2018)
FIELDS = ("it", "other")
IN_TIME_OF_FIELD = np.array([0.35, 0.5])
HIGHEST_WORKING = 99_999.99
MOST_OF_STUDENTS = 8
"""There are at least so many persons for each student, for students are young."""

POSTS = ("clerk", "section chief", "division head", "bureau head")
HIGHEST_PAY = 300_000
PAY_OF_POST = (85_000, 120_000, 160_000, 220_000)
DEPARTMENTS = {"payroll_civil": 1.0, "payroll_education": 0.8, "payroll_health": 0.6}
"""Registers of staff, and how large each is beside the first."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many persons the region has, and how many rows the registers of students and of working income have, and the
    largest one of staff.
    """

    persons: int = 20_000
    students: int = 4_000
    records: int = 24_000
    staff: int = 5_000


def make_region(persons: int, seed: int = 11) -> dict[str, pa.Table]:
    """Return residents, patients and yearly incomes of so many persons.

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
    region = named(places.LEAGUE_NAMES, league)
    return {
        "residents": pa.table({"id18": numbers, "region": region}).filter(pa.array(living)),
        "patients": pa.table({"id18": numbers, "diagnosis": named(list(DIAGNOSES), diagnosis)}).filter(
            pa.array(ill)
        ),
        "yearly": pa.table({"id18": numbers, "income": pa.array(income, mask=missing)}).filter(
            pa.array(taxed)
        ),
    }


def make_study(students: int, records: int, seed: int = 11) -> dict[str, pa.Table]:
    """Return so many students, and the working income of so many persons, most students among them.

    Whether a student graduates in time depends on the field and not on the income.

    Raises:
        ValueError: fewer than a hundred students or records, or fewer records than students, are no study.
    """
    if students < 100 or records < students:
        raise ValueError("a study has at least a hundred students, and as many records of income as students")
    rng = np.random.default_rng([seed, 5])
    people = make_people(max(records * 4 // 3, students * MOST_OF_STUDENTS), seed + 1)
    youngest = np.argsort(people.born, kind="stable")[::-1]
    adult = youngest[np.searchsorted(people.age[youngest], 26) :]
    enrolled = np.sort(rng.permutation(adult[: 2 * students])[:students])
    is_student = np.zeros(len(people.born), bool)
    is_student[enrolled] = True
    chance = rng.random(len(people.born)) - np.where(is_student, 0.1, 0)
    working = np.sort(np.argsort(chance, kind="stable")[:records])
    numbers = as_text(people.numbers)
    field = (rng.random(students) >= 0.3).astype(np.int64)
    in_time = rng.random(students) < IN_TIME_OF_FIELD[field]
    income = np.round(np.minimum(rng.lognormal(9.4, 0.8, records), HIGHEST_WORKING), 2)
    return {
        "students": pa.table(
            {
                "id18": numbers.take(pa.array(enrolled)),
                "enrolled": pa.array(rng.choice(YEARS, students)),
                "field": named(list(FIELDS), field),
                "in_time": pa.array(in_time),
            }
        ),
        "working": pa.table(
            {
                "id18": numbers.take(pa.array(working)),
                "income": pa.array(income, mask=rng.random(records) < 0.01),
            }
        ),
    }


def make_payrolls(staff: int, seed: int = 11) -> dict[str, pa.Table]:
    """Return post and pay of the staff of each department; the largest has so many, and a few work for two.

    Raises:
        ValueError: fewer than a hundred have no posts worth asking about.
    """
    if staff < 100:
        raise ValueError("a department has at least a hundred persons")
    rng = np.random.default_rng([seed, 6])
    people = make_people(staff * 4, seed + 2)
    numbers = as_text(people.numbers)
    found = {}
    for name, part in DEPARTMENTS.items():
        chosen = np.sort(rng.permutation(len(people.born))[: int(staff * part)])
        post = rng.choice(len(POSTS), len(chosen), p=(0.7, 0.25, 0.049, 0.001))
        pay = np.array(PAY_OF_POST)[post] * rng.lognormal(0, 0.15, len(chosen))
        found[name] = pa.table(
            {
                "id18": numbers.take(pa.array(chosen)),
                "post": named(list(POSTS), post),
                "pay": pa.array(np.round(np.minimum(pay, HIGHEST_PAY - 0.01), 2)),
            }
        )
    return found


def write(folder: Path, names: tuple[str, ...], sizes: Sizes, seed: int = 11) -> dict[str, Path]:
    """Write the files of these registers; return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, pa.Table] = {}
    if {"residents", "patients", "yearly"} & set(names):
        made |= make_region(sizes.persons, seed)
    if {"students", "working"} & set(names):
        made |= make_study(sizes.students, sizes.records, seed)
    if set(DEPARTMENTS) & set(names):
        made |= make_payrolls(sizes.staff, seed)
    paths = {name: folder / f"{name}.csv" for name in names}
    for name, path in paths.items():
        options = pyarrow.csv.WriteOptions(quoting_style="none", quoting_header="none")
        pyarrow.csv.write_csv(made[name], path, options)
    return paths
