"""What the notebooks are about: three small registers of made-up persons, their descriptions, and their owner's rules.

`python -m examples.notebooks.data FOLDER` writes the files; `examples/notebooks/README.md` says how they are ingested.
"""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
DOMAIN, PROJECT, PURPOSE = "nm/tax", "study", "A study of incomes"
GRANTED = {
    "earnings": ("league", "age", "school", "income"),
    "wages": ("league", "income"),
    "letters": ("league", "letter", "licence"),
}
"""The registers, each with the columns that the notebooks' project is granted."""

LEAGUES = ("呼和浩特", "包头", "赤峰")
SMALL = "阿拉善"
"""Three persons live there: a group that never leaves."""

PERSONS, LETTERS = 900, 240
SUBJECTS = ("供暖不足，室内温度太低", "物业收费不合理", "公交线路太少，候车时间太长", "道路积水，出行困难")


def write(folder: Path, seed: int = 8) -> dict[str, Path]:
    """Write the registers' files, and return their paths by name."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    paths = {name: folder / f"{name}.csv" for name in GRANTED}
    _write(paths["earnings"], ("id18", "league", "age", "school", "income"), _earnings(chance))
    _write(paths["wages"], ("id18", "league", "income"), _wages(chance))
    _write(paths["letters"], ("id18", "league", "letter", "licence"), _letters(chance))
    return paths


def description(name: str) -> str:
    """Return the description of a register, as its owner ingests it."""
    return (HERE / f"{name}.toml").read_text(encoding="utf-8")


def policy() -> str:
    """Return the owner's rules for all of them."""
    return (HERE / "policy.toml").read_text(encoding="utf-8")


def _earnings(chance: np.random.Generator) -> Iterable[Sequence[object]]:
    for number in range(PERSONS):
        age, school = int(chance.integers(20, 65)), int(chance.integers(6, 20))
        income = 12_000 + 350 * age + 2_400 * school + int(chance.normal(0, 6_000))
        yield _id(number), SMALL if number < 3 else LEAGUES[number % 3], age, school, max(income, 1_000)


def _wages(chance: np.random.Generator) -> Iterable[Sequence[object]]:
    for number in range(PERSONS):
        yield _id(number), LEAGUES[number % 3], int(chance.integers(30_000, 60_000))


def _letters(chance: np.random.Generator) -> Iterable[Sequence[object]]:
    pictures = [
        base64.b64encode((HERE / name).read_bytes()).decode() for name in ("licence.png", "licence_dated.png")
    ]
    for number in range(LETTERS):
        first, second = chance.choice(len(SUBJECTS), 2, replace=False)
        league = LEAGUES[number % 3]
        yield _id(number), league, f"{SUBJECTS[first]}。{SUBJECTS[second]}。", pictures[number % 2]


def _id(number: int) -> str:
    return f"99999919900101{number:04d}"


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
