"""The tax office's records: what persons earned in 2024 or 2025, and from whom.

Wages are log-normal, and one record in eighty comes from a Pareto tail (exponent 1.9), as incomes do: a few records
hold much of a small cell. Some persons have two employers, so that records are more than persons.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from examples.region import places
from examples.region.codes import as_text, credit_codes
from examples.region.people import People, falling, named

_SECTORS = [
    "农牧业",
    "采矿业",
    "制造业",
    "电力热力",
    "建筑业",
    "批发零售",
    "交通运输",
    "金融业",
    "教育",
    "卫生",
    "公共管理",
    "航天",
]
_SECTOR_WEIGHTS = [0.16, 0.07, 0.12, 0.04, 0.09, 0.15, 0.07, 0.03, 0.09, 0.06, 0.119985, 0.000015]
_SECTOR_LEVEL = np.log([38, 105, 72, 98, 62, 48, 70, 130, 88, 86, 82, 140]) + np.log(1000)
_BRACKETS = np.array([0, 36_000, 144_000, 300_000, 420_000, 660_000, 960_000])
_RATES = np.array([0.03, 0.10, 0.20, 0.25, 0.30, 0.35, 0.45])
_ALLOWANCE = 60_000

AWAY, AWAY_PERSONS = "区外", 7
"""A few persons live outside the region, at every scale: a group too small to be told."""


def make_incomes(people: People, count: int, seed: int) -> pa.Table:
    """Return `count` records of adults; about one person in twenty has two."""
    rng = np.random.default_rng([seed, 3])
    adults = rng.permutation(np.flatnonzero(people.age >= 18))
    once = adults[: min(len(adults), int(count * 0.95))]
    who = rng.permutation(np.concatenate([once, rng.choice(once, count - len(once))]))
    sector = rng.choice(len(_SECTORS), count, p=_SECTOR_WEIGHTS)
    income = _incomes(rng, people, who, sector)
    tax = np.round(_tax(income), 2)
    league = places.LEAGUE_OF_BANNER[people.banner[who]]
    away = np.isin(who, once[:AWAY_PERSONS])
    return pa.table(
        {
            "id18": as_text(people.numbers[who]),
            "year": pa.array(np.where(away, 2025, rng.integers(2024, 2026, count))),
            "region": named([*places.LEAGUE_NAMES, AWAY], np.where(away, len(places.LEAGUE_NAMES), league)),
            "banner": named(places.BANNERS, people.banner[who]),
            "sector": named(_SECTORS, sector),
            "employer": _employers(rng, count),
            "income": pa.array(income, mask=rng.random(count) < 0.005),
            "tax": pa.array(tax, mask=rng.random(count) < 0.02),
        }
    )


def _incomes(rng: np.random.Generator, people: People, who: np.ndarray, sector: np.ndarray) -> np.ndarray:
    age = people.age[who]
    level = _SECTOR_LEVEL[sector] + 0.10 * people.male[who] - 0.0004 * (age - 46.0) ** 2
    income = np.exp(rng.normal(level, 0.45))
    tail = rng.random(len(who)) < 1 / 80
    income[tail] = 250_000 * (1 + rng.pareto(1.9, int(tail.sum())))
    return np.round(np.minimum(income, 90_000_000), 2)


def _tax(income: np.ndarray) -> np.ndarray:
    """The seven brackets on what lies above the allowance."""
    above = np.maximum(income - _ALLOWANCE, 0)
    tops = np.append(_BRACKETS[1:], np.inf)
    parts = (np.clip(above, low, top) - low for low, top in zip(_BRACKETS, tops, strict=True))
    return sum((part * rate for part, rate in zip(parts, _RATES, strict=True)), np.zeros(len(income)))


def _employers(rng: np.random.Generator, count: int) -> pa.Array:
    """A few employers are very large, and the self-employed have none."""
    codes = as_text(credit_codes(20_000))
    chosen = rng.choice(len(codes), count, p=falling(len(codes), 1.0))
    return codes.take(pa.array(chosen, mask=rng.random(count) < 0.08))
