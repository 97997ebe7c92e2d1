"""Small tables of known persons, components run on them, and what they leave as rows of texts."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from components import api as components
from components.api import Rules, Work

RULES = Rules(minimum_group=10, degrees=10)
OFF = Rules(minimum_group=1, degrees=0)
"""The control: nothing is protected."""


def table(who: Any, **columns: Any) -> pa.Table:
    """A table about these persons (numbers), with signs that depend on nothing but the person."""
    persons = np.asarray(who)
    signs = {
        person: np.random.default_rng(int(person)).integers(0, 2**64, dtype=np.uint64)
        for person in set(persons)
    }
    return pa.table(
        {
            "person": pa.array(persons.astype(np.uint64)),
            "_signs": pa.array(np.array([signs[person] for person in persons], np.uint64)),
            **{name: pa.array(values) for name, values in columns.items()},
        }
    )


@dataclass(frozen=True)
class Left:
    """What a component left."""

    work: Work

    def rows(self, name: str) -> list[dict[str, str]]:
        """The rows of a table."""
        return list(csv.DictReader(io.StringIO(self.work.files[name].decode())))

    def column(self, name: str, column: str) -> list[float]:
        """A column of numbers of a table."""
        return [float(row[column]) for row in self.rows(name)]

    def keyed(self, name: str, key: str, column: str) -> dict[str, float]:
        """A column of numbers, by a column of keys."""
        return {row[key]: float(row[column]) for row in self.rows(name)}

    def measure(self, name: str = "fit.csv") -> dict[str, float]:
        """A table of measures."""
        return self.keyed(name, "measure", "value")

    def evidence(self, name: str) -> dict[str, Any]:
        """What stands beside a table."""
        found: dict[str, Any] = json.loads(self.work.evidence[name])
        return found


def run(name: str, *tables: pa.Table, rules: Rules = RULES, **parameters: Any) -> Left:
    """Run a component as its box does."""
    component = components.find(name)
    return Left(components.perform(name, tables, components.checked(component, parameters), rules))


def dominated(evidence: dict[str, Any], figure: str, percent: int = 90) -> list[bool]:
    """Of each row, whether the (n, k) rule withholds the figure: its two largest persons hold so many percent."""
    parts = evidence["figures"][figure]
    return [
        float(total) > 0 and (float(first) + float(second)) * 100 >= percent * float(total)
        for total, first, second in zip(parts["totals"], parts["first"], parts["second"], strict=True)
    ]
