"""Columns of numbers in a few figures: means, deviations and quantiles, of all or by groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form
from plans.asking import Asking

if TYPE_CHECKING:
    import numpy as np

    from components.evidence import Evidence, Figure
    from components.rows import Rows

COMPONENT = Component(
    name="describe",
    title="Describe columns",
    title_zh="描述统计",
    purpose="Mean, standard deviation and quartiles of columns of numbers, of all persons or by groups.",
    purpose_zh="对数值列计算均值、标准差和四分位数，可以分组。",
    tables=("table",),
    parameters=(
        Parameter(
            name="columns", sort=Sort.COLUMNS, part=Part.FIGURE, least="1", most="40",
            meaning="the columns of numbers that are described", meaning_zh="要描述的数值列",
        ),
        Parameter(
            name="by", sort=Sort.COLUMN, part=Part.KEY, default="",
            meaning="the column whose values are the groups", meaning_zh="分组所用的列",
        ),
    ),
    outputs=(
        Offer(
            Artifact("summary.csv", Form.TABLE, persons="persons"),
            "a row for each column and group", "每列每组一行",
        ),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="A row rests on a group of persons who have a value. A quartile is the mean over the values around it,"
    " as many as belong to a whole group of persons; least and greatest values do not leave. Means, deviations and"
    " quartiles carry the largest contributions of single persons.",
    disclosure_zh="每行须有足够多的人。分位数取其附近一组人的数值的均值；不输出最小值和最大值。均值、"
    "标准差和分位数都附带单人最大贡献，用于支配性检查。",
    example={"columns": ["income"], "by": "banner"},
    asking=Asking(
        keys=("by",), figures=("columns",), cells=False,
        left_out="persons, deviations and quartiles", left_out_zh="人数、标准差和四分位数",
    ),
)  # fmt: skip

QUARTILES = {"p25": 0.25, "p50": 0.5, "p75": 0.75}


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the summary."""
    import numpy as np

    from components import evidence as made
    from components.rows import levels

    (rows,) = tables
    cells, larger, keys, groups = [], [], [], []
    figures: dict[str, list[Figure]] = {}
    for column in values["columns"]:
        numbers = rows.numbers(column)
        place, found = levels(rows, values["by"]) if values["by"] else (np.zeros(len(rows), np.int64), [""])
        larger.append(made.Cells.of(rows, place, len(found)))
        place = np.where(np.isnan(numbers), -1, place)
        cell = made.Cells.of(rows, place, len(found))
        cells.append(cell)
        keys += [column] * len(found)
        groups += found
        for name, figure in _figures(rows, numbers, (cell, place), evidence.minimum_group).items():
            figures.setdefault(name, []).append(figure)
    whole = {
        name: made.Figure(
            parts[0].kind,
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.largest for part in parts if part.largest is not None], axis=1),
        )
        for name, parts in figures.items()
    }
    by = ((values["by"], groups),) if values["by"] else ()
    shown = made.keys(("column", keys), *by)
    together = made.joined(cells)
    named = tuple(made.pattern(rows, column) for column in values["columns"])
    lacking = made.Lacking(made.joined(larger), named, together.parts)
    return {"summary.csv": evidence.table("summary.csv", shown, together, whole, lacking)}


def _figures(rows: Rows, numbers: np.ndarray, where: tuple[Any, np.ndarray], least: int) -> dict[str, Figure]:
    import numpy as np

    from components.evidence import COUNT, MEAN, Figure

    cells, place = where
    count = cells.items
    safe = np.maximum(count, 1)
    mean = cells.sums(np.nan_to_num(numbers)) / safe
    apart = np.nan_to_num(numbers - mean[place]) ** 2
    deviation = np.sqrt(cells.sums(apart) / np.maximum(count - 1, 1))
    found = {
        "rows": Figure(COUNT, count, cells.largest(np.ones(len(rows)))),
        "mean": Figure(MEAN, mean, cells.largest(numbers)),
        "deviation": Figure(MEAN, deviation, cells.largest(apart)),
    }
    around = [
        _quartiles(numbers[place == cell], rows.who[place == cell], least) for cell in range(len(count))
    ]
    for position, name in enumerate(QUARTILES):
        values = np.array([each[position][0] for each in around])
        largest = np.array([each[position][1] for each in around]).reshape(-1, 3).T
        found[name] = Figure(MEAN, values, largest)
    return found


def _quartiles(
    numbers: np.ndarray, who: np.ndarray, least: int
) -> list[tuple[float, tuple[float, float, float]]]:
    """Return for each quartile the mean of the values around it, of `least` persons at least, and who weighs most."""
    import numpy as np

    order = np.argsort(numbers, kind="stable")
    numbers, who = numbers[order], who[order]
    found = []
    for share in QUARTILES.values():
        width, centre = max(least, 1), round(share * (len(numbers) - 1))
        low, high = 0, len(numbers)
        while width < 2 * len(numbers):
            low = max(0, centre - width // 2)
            high = min(len(numbers), low + width)
            if len(np.unique(who[low:high])) >= least:
                break
            width *= 2
        near = numbers[low:high]
        _, person = np.unique(who[low:high], return_inverse=True)
        sizes = np.sort(np.bincount(person, np.abs(near)))[::-1]
        first, second = (float(sizes[each]) if len(sizes) > each else 0.0 for each in (0, 1))
        found.append((float(near.mean()) if len(near) else float("nan"), (float(sizes.sum()), first, second)))
    return found
