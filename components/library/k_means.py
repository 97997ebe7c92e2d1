"""k-means: persons in a few clusters, and the centre of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="k-means",
    title="k-means clusters",
    title_zh="K 均值聚类",
    purpose="Rows in clusters that are close together, in columns brought to the same scale, and the centre of each"
    " cluster.",
    purpose_zh="将各列标准化后聚类，给出每类的中心。",
    tables=("table",),
    parameters=(
        Parameter(
            name="features", sort=Sort.COLUMNS, part=Part.FEATURE, least="1", most="40",
            meaning="the columns of numbers by which rows are close", meaning_zh="用于聚类的数值列",
        ),
        Parameter(
            name="clusters", sort=Sort.WHOLE, default=5, least="2", most="50",
            meaning="how many clusters are made", meaning_zh="类别数",
        ),
        Parameter(
            name="seed", sort=Sort.WHOLE, default=1, least="0", most="1000000",
            meaning="where chance begins; the same seed gives the same clusters",
            meaning_zh="随机种子，相同种子结果相同",
        ),
    ),
    outputs=(
        Offer(Artifact("centres.csv", Form.TABLE, persons="persons"), "a row for each cluster", "每类一行"),
        Offer(Artifact("fit.csv", Form.TABLE, persons="persons"), "how much clusters explain", "聚类解释的比例"),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="A cluster of fewer persons than a group does not appear. Centres are means, with the largest"
    " contributions of single persons. Who is in which cluster does not leave.",
    disclosure_zh="人数不足的类不出现。中心为均值，附带单人最大贡献。不输出谁属于哪一类。",
    example={"features": ["age", "income"], "clusters": 4},
)  # fmt: skip


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return centres, in the order of their clusters' sizes, and fit."""
    import numpy as np
    from sklearn.cluster import KMeans

    from components.errors import NoFit
    from components.evidence import MEAN, Cells, Figure
    from components.fitting import measures
    from components.rows import complete

    rows = complete(tables[0], values["features"])
    matrix = rows.matrix(values["features"])
    spread = matrix.std(axis=0)
    if rows.persons < values["clusters"] * evidence.minimum_group or not spread.all():
        raise NoFit
    scaled = (matrix - matrix.mean(axis=0)) / spread
    fitted = KMeans(values["clusters"], n_init=5, random_state=values["seed"]).fit(scaled)
    order = np.argsort(-np.bincount(fitted.labels_, minlength=values["clusters"]), kind="stable")
    place = np.argsort(order)[fitted.labels_]
    cells = Cells.of(rows, place, values["clusters"])
    figures = {}
    for position, feature in enumerate(values["features"]):
        column = matrix[:, position]
        figures[feature] = Figure(
            MEAN, cells.sums(column) / np.maximum(cells.items, 1), cells.largest(column)
        )
    keys = {"cluster": [str(number + 1) for number in range(values["clusters"])]}
    explained = 1 - fitted.inertia_ / float((scaled**2).sum())
    return {
        "centres.csv": evidence.table("centres.csv", keys, cells, figures),
        "fit.csv": measures("fit.csv", rows, {"explained": explained}, evidence),
    }
