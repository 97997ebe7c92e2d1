"""The health office's records: medical visits in 2024.

Visits per person follow a negative binomial (mean 3, dispersion 0.5): most persons have none or one, few have dozens.
Diagnoses are codes of ICD-10 by rough frequency; the last ones are so rare that a banner has one patient or none.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from examples.region import places
from examples.region.codes import as_text
from examples.region.people import People, named

_DIAGNOSES = {
    "J06.9": 130, "I10": 118, "E11.9": 62, "K29.7": 55, "M54.5": 52, "J20.9": 45, "I25.1": 44, "K02.9": 40, "N39.0": 30,
    "J18.9": 28, "E78.5": 28, "I63.9": 25, "H10.9": 24, "L30.9": 24, "M17.9": 23, "K80.2": 18, "J44.9": 18, "R51": 18,
    "G47.0": 16, "F41.1": 15, "N40": 14, "E11.2": 12, "E11.4": 9, "O80": 12, "S82.2": 9, "D50.9": 9, "F32.9": 9,
    "I50.9": 9, "N18.9": 8, "C34.9": 6, "E10.9": 4, "C50.9": 4, "B18.1": 7, "A15.0": 1.6, "G20": 3, "M32.9": 0.8,
    "B20": 0.25, "G35": 0.06, "G12.2": 0.02, "E75.2": 0.006, "E84.9": 0.002,
}  # fmt: skip
_DEPARTMENTS = ["内科", "外科", "儿科", "妇产科", "急诊科", "口腔科", "眼科", "皮肤科", "中医科", "蒙医科"]
_DEPARTMENT_WEIGHTS = [0.34, 0.16, 0.10, 0.08, 0.09, 0.06, 0.04, 0.04, 0.05, 0.04]
_KINDS = ["门诊", "急诊", "住院"]
_KIND_COST = np.log([180.0, 420.0, 7_500.0])


def make_visits(people: People, count: int, seed: int) -> pa.Table:
    """Return `count` visits, in the order of their dates."""
    rng = np.random.default_rng([seed, 4])
    who = _patients(rng, people, count)
    day = np.sort(rng.integers(0, 366, count))
    kind = rng.choice(3, count, p=[0.86, 0.06, 0.08])
    cost = np.round(np.exp(rng.normal(_KIND_COST[kind], 0.8)), 2)
    paid = np.round(cost * np.clip(rng.normal(0.62, 0.15, count), 0, 0.95), 2)
    days = np.where(kind == 2, 1 + rng.poisson(7, count), 0)
    away = rng.random(count) < 0.12
    banner = np.where(
        away, rng.choice(len(places.BANNERS), count, p=places.banner_weights()), people.banner[who]
    )
    weights = np.array(list(_DIAGNOSES.values()))
    diagnosis = rng.choice(len(weights), count, p=weights / weights.sum())
    return pa.table(
        {
            "id18": as_text(people.numbers[who]),
            "visited": pa.array(np.datetime64("2024-01-01") + day),
            "region": named(places.LEAGUE_NAMES, places.LEAGUE_OF_BANNER[banner]),
            "banner": named(places.BANNERS, banner),
            "department": named(_DEPARTMENTS, rng.choice(len(_DEPARTMENTS), count, p=_DEPARTMENT_WEIGHTS)),
            "kind": named(_KINDS, kind),
            "icd10": named(list(_DIAGNOSES), diagnosis, rng.random(count) < 0.01),
            "days": pa.array(days),
            "cost": pa.array(cost),
            "insured": pa.array(paid, mask=rng.random(count) < 0.04),
        }
    )


def _patients(rng: np.random.Generator, people: People, count: int) -> np.ndarray:
    """A gamma weight for each person, and visits in proportion, are the negative binomial; the old go more often."""
    weights = rng.gamma(0.5, 1.0, len(people.born)) * (0.6 + people.age / 60)
    return rng.permutation(np.searchsorted(np.cumsum(weights), rng.random(count) * weights.sum()))
