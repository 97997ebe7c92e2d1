"""Presets of the disclosure rules, read from `presets.toml`, where every number has its source."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from plans.checks import Checks
from plans.errors import Malformed

_FILE = Path(__file__).with_name("presets.toml")
_OWN = ("minimum_group", "rounding", "largest_result")


@dataclass(frozen=True, slots=True)
class Preset:
    """The numbers of one preset: those of the rules, and what it proposes for the dataset's own obligations."""

    checks: Checks
    minimum_group: int
    rounding: int
    largest_result: int


def names() -> tuple[str, ...]:
    """Return the names of all presets, the default first."""
    return ("region", *sorted(set(_all()) - {"region"}))


def load(name: str) -> Preset:
    """Return a preset.

    Raises:
        Malformed: there is none of this name.
    """
    found = _all().get(name)
    if found is None:
        raise Malformed("there is no preset of this name", name, f"Name one of {', '.join(names())}.")
    rules = {key: value for key, value in found.items() if key not in _OWN}
    return Preset(Checks(preset=name, **rules), *(found[key] for key in _OWN))


@cache
def _all() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
