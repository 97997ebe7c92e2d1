"""The civil register: who lives where, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from examples.region import places
from examples.region.codes import as_text, citizen_numbers

TODAY = np.datetime64("2025-01-01")

_SURNAMES = (
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛包白乌云"
)
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂英华玉红梅志建国文斌鹏飞雪琴宇晨阳佳欣怡浩然子涵梓轩其木格巴图"
_ETHNICITIES = ["汉", "蒙古", "满", "回", "达斡尔", "鄂温克", "鄂伦春", "其他"]
_ETHNICITY_WEIGHTS = [0.7870, 0.1720, 0.0200, 0.0090, 0.0032, 0.0011, 0.00017, 0.00753]
_EDUCATION = ["小学及以下", "初中", "高中", "专科", "本科", "研究生"]
_EDUCATION_WEIGHTS = [0.30, 0.34, 0.15, 0.11, 0.09, 0.01]


@dataclass(frozen=True)
class People:
    """Who there is, as arrays over persons: number as ASCII bytes, banner by position, date of birth, is a man."""

    numbers: np.ndarray
    banner: np.ndarray
    born: np.ndarray
    male: np.ndarray

    @property
    def age(self) -> np.ndarray:
        """Whole years, about."""
        return (TODAY - self.born).astype(np.int64) // 365


def make_people(count: int, seed: int) -> People:
    """Return `count` persons, every one with a number of their own."""
    rng = np.random.default_rng([seed, 1])
    banner = rng.choice(len(places.BANNERS), count, p=places.banner_weights())
    age_days = (np.clip(rng.normal(41, 21, count), 0, 99) * 365.25).astype(np.int64) + rng.integers(
        0, 365, count
    )
    born = TODAY - np.minimum(age_days, 99 * 365).astype("timedelta64[D]")
    male = rng.random(count) < 0.512
    sequence = 2 * _rank(banner, born, male) + np.where(male, 1, 2)
    return People(citizen_numbers(places.BANNER_CODES[banner], born, sequence), banner, born, male)


def register(people: People, seed: int) -> pa.Table:
    """Return the register as a table, one row for each person."""
    rng = np.random.default_rng([seed, 2])
    count = len(people.born)
    education = rng.choice(len(_EDUCATION), count, p=_EDUCATION_WEIGHTS)
    unknown = (rng.random(count) < 0.03) | (people.age < 6)
    return pa.table(
        {
            "id18": as_text(people.numbers),
            "name": _names(rng, count),
            "sex": named(["女", "男"], people.male.astype(np.int64)),
            "born": pa.array(people.born),
            "region": named(places.LEAGUE_NAMES, places.LEAGUE_OF_BANNER[people.banner]),
            "banner": named(places.BANNERS, people.banner),
            "ethnicity": named(_ETHNICITIES, _ethnicity(rng, people)),
            "education": named(_EDUCATION, education, unknown),
        }
    )


def named(words: list[str], positions: np.ndarray, missing: np.ndarray | None = None) -> pa.Array:
    """Return the words at these positions, with no value where `missing` says so."""
    return pc.take(pa.array(words), pa.array(positions, mask=missing))


def falling(count: int, exponent: float) -> np.ndarray:
    """Return probabilities that fall with a power of the place, as sizes of surnames and of enterprises do."""
    weights = np.arange(1, count + 1) ** -exponent
    return weights / weights.sum()


def _rank(*keys: np.ndarray) -> np.ndarray:
    """Return each element's place among those with the same keys."""
    order = np.lexsort(keys)
    changed = np.ones(len(order), bool)
    changed[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    starts = np.flatnonzero(changed)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    return rank


def _names(rng: np.random.Generator, count: int) -> pa.Array:
    surname = rng.choice(len(_SURNAMES), count, p=falling(len(_SURNAMES), 0.9))
    first, second = rng.integers(0, len(_GIVEN), (2, count))
    given = [""] + list(_GIVEN)
    second = np.where(rng.random(count) < 0.18, 0, second + 1)
    parts = [named(list(_SURNAMES), surname), named(list(_GIVEN), first), named(given, second)]
    return pc.binary_join_element_wise(*parts, "")


def _ethnicity(rng: np.random.Generator, people: People) -> np.ndarray:
    """Small peoples live mostly in their own banners, so that a cell elsewhere holds very few persons."""
    found = rng.choice(len(_ETHNICITIES), len(people.born), p=_ETHNICITY_WEIGHTS)
    for name, share in (("鄂伦春", 0.05), ("鄂温克", 0.25)):
        home = people.banner == places.BANNERS.index(name)
        found[home & (rng.random(len(found)) < share)] = _ETHNICITIES.index(name)
    return found
