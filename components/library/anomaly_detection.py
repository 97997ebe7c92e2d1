"""Anomaly detection: how many persons stand apart, and in which way bands of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="anomaly-detection",
    title="Anomaly detection",
    title_zh="异常检测",
    purpose="An isolation forest scores every row from 0 (usual) to 1 (apart). A person's score is the highest of the"
    " person's rows. What leaves is how many persons are in each band of scores, and the means of the columns there.",
    purpose_zh="用孤立森林给每行打分（0 为正常，1 为异常），一人取其各行最高分。只输出各分数段的人数和各列均值。",
    tables=("table",),
    parameters=(
        Parameter(
            name="features", sort=Sort.COLUMNS, part=Part.FEATURE, least="1", most="40",
            meaning="the columns of numbers in which rows may stand apart", meaning_zh="用于检测的数值列",
        ),
        Parameter(
            name="bands", sort=Sort.WHOLE, default=20, least="2", most="50",
            meaning="into how many bands of equal width scores are put", meaning_zh="分数段数（等宽）",
        ),
        Parameter(
            name="seed", sort=Sort.WHOLE, default=1, least="0", most="1000000",
            meaning="where chance begins; the same seed gives the same scores",
            meaning_zh="随机种子，相同种子结果相同",
        ),
    ),
    outputs=(
        Offer(Artifact("bands.csv", Form.TABLE, persons="persons"), "a row for each band", "每个分数段一行"),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="Neither rows nor scores of persons leave. A band of fewer persons than a group does not appear; its"
    " persons are counted with the next lower band.",
    disclosure_zh="不输出行和个人分数。人数不足的分数段并入相邻的较低分数段。",
    example={"features": ["age", "income"], "bands": 10},
)  # fmt: skip


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the bands."""
    import numpy as np
    from sklearn.ensemble import IsolationForest

    from components.evidence import COUNT, MEAN, Cells, Figure
    from components.rows import complete

    rows = complete(tables[0], values["features"])
    evidence.require(rows.persons)
    matrix = rows.matrix(values["features"])
    forest = IsolationForest(n_estimators=100, random_state=values["seed"]).fit(matrix)
    scores = -forest.score_samples(matrix)
    highest = np.zeros(rows.persons)
    np.maximum.at(highest, rows.who, scores)
    count = values["bands"]
    band = np.minimum((highest * count).astype(np.int64), count - 1)
    place, lowest = _joined(band, count, evidence.minimum_group)
    cells = Cells.of(rows, place[rows.who], len(lowest))
    figures = {"rows": Figure(COUNT, cells.items, cells.largest(np.ones(len(rows))))}
    for position, feature in enumerate(values["features"]):
        column = matrix[:, position]
        figures[feature] = Figure(
            MEAN, cells.sums(column) / np.maximum(cells.items, 1), cells.largest(column)
        )
    keys = {"score_from": [f"{low / count:.2f}" for low in lowest]}
    return {"bands.csv": evidence.table("bands.csv", keys, cells, figures)}


def _joined(band: Any, count: int, least: int) -> tuple[Any, list[int]]:
    """Return each person's band after small ones were joined with lower ones, and where each of them begins."""
    import numpy as np

    persons = np.bincount(band, minlength=count)
    lowest: list[int] = []
    waiting = 0
    for low in range(count - 1, -1, -1):
        waiting += persons[low]
        if waiting >= least:
            lowest.insert(0, low)
            waiting = 0
    if lowest and waiting:
        lowest[0] = 0
    starts = np.array(lowest or [0])
    return np.searchsorted(starts, band, side="right") - 1, list(starts)
