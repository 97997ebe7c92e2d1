"""Gradient-boosted trees: how well columns foretell an outcome, which of them matter, and the trees if wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    import numpy as np

    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="gradient-boosted-trees",
    title="Gradient-boosted trees",
    title_zh="梯度提升树",
    purpose="Trees that foretell a number or a truth. What leaves is how well they do on persons that they have not"
    " seen (cross-validation, all rows of a person in one part), which columns matter, and the trees if asked for.",
    purpose_zh="用梯度提升树预测数值或真假。输出交叉验证效果（同一人的各行在同一折）、各列重要性；"
    "可另行请求输出模型。",
    tables=("table",),
    parameters=(
        Parameter(
            name="outcome", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column that is foretold: numbers, or truths (0 and 1)",
            meaning_zh="被预测的列：数值，或真假（0/1）",
        ),
        Parameter(
            name="features", sort=Sort.COLUMNS, part=Part.FEATURE, least="1", most="100",
            meaning="columns of numbers that foretell it", meaning_zh="预测所用的数值列",
        ),
        Parameter(
            name="family", sort=Sort.WORD, default="gaussian", choices=("gaussian", "binomial"),
            meaning="gaussian for numbers, binomial for truths", meaning_zh="数值用 gaussian，真假用 binomial",
        ),
        Parameter(
            name="trees", sort=Sort.WHOLE, default=100, least="1", most="300",
            meaning="how many trees are grown", meaning_zh="树的棵数",
        ),
        Parameter(
            name="depth", sort=Sort.WHOLE, default=4, least="1", most="8",
            meaning="how many questions a tree asks in a row at most", meaning_zh="树的最大深度",
        ),
        Parameter(
            name="rate", sort=Sort.REAL, default="0.1", least="0.001", most="1",
            meaning="how much of what is left each tree takes over", meaning_zh="学习率",
        ),
        Parameter(
            name="leaf", sort=Sort.WHOLE, default=20, least="1", most="100000",
            meaning="rows in a leaf at least; of persons there is a whole group in any case",
            meaning_zh="叶节点的最少行数；人数始终不少于一组",
        ),
        Parameter(
            name="folds", sort=Sort.WHOLE, default=5, least="2", most="10",
            meaning="into how many parts persons are put for cross-validation", meaning_zh="交叉验证的折数",
        ),
        Parameter(
            name="model", sort=Sort.TRUTH, default=False,
            meaning="whether the trees are an output; reviewers look at it",
            meaning_zh="是否输出模型（须经审查员审查）",
        ),
    ),
    outputs=(
        Offer(Artifact("fit.csv", Form.TABLE, persons="persons"), "how well it foretells", "预测效果"),
        Offer(Artifact("importance.csv", Form.TABLE, persons="persons"), "a row for each column", "每列一行"),
        Offer(Artifact("model.json", Form.MODEL), "the trees", "模型", when="model"),
    ),
    rules=("small-group", "degrees", "rounding", "model", "structure"),
    disclosure="Every leaf holds a group of persons, however many rows: a question that would set fewer apart is taken"
    " back after the tree is grown. Neither rows nor what is foretold of a person leave. A model waits for reviewers.",
    disclosure_zh="每个叶节点须有足够多的人（不论行数）：分出人数不足的分裂在建树后撤销。不输出行和个人的预测值。"
    "模型须经审查。",
    example={"outcome": "income", "features": ["age", "months"], "trees": 20, "depth": 3, "model": True},
)  # fmt: skip


@dataclass(slots=True)
class Tree:
    """A tree as `docs/outputs.md` writes it: lists by node, children after their parents, -1 for none."""

    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    persons: list[int] = field(default_factory=list)

    def leaf(self, value: float, persons: int) -> int:
        """Add a leaf and return its place."""
        self.feature.append(-1)
        self.threshold.append(0.0)
        self.left.append(-1)
        self.right.append(-1)
        self.value.append(value)
        self.persons.append(persons)
        return len(self.feature) - 1

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return the value of each row's leaf."""
        import numpy as np

        feature, threshold, left, right = map(np.array, (self.feature, self.threshold, self.left, self.right))
        place = np.zeros(len(matrix), np.int64)
        rows = np.arange(len(matrix))
        while (inner := feature[place] >= 0).any():
            here = place[inner]
            goes_left = matrix[rows[inner], feature[here]] <= threshold[here]
            place[inner] = np.where(goes_left, left[here], right[here])
        return np.array(self.value)[place]


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees above a base, and how much each feature gained in the questions that are left."""

    base: float
    trees: list[Tree]
    gains: np.ndarray

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        """Return the raw score of each row."""
        import numpy as np

        return np.asarray(self.base + np.sum([tree.predict(matrix) for tree in self.trees], axis=0))


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return fit, importance, and the model if it is wanted."""
    import numpy as np

    from components.errors import NoFit
    from components.evidence import OTHER, Cells, Figure
    from components.fitting import measures
    from components.rows import complete

    rows = complete(tables[0], (values["outcome"], *values["features"]))
    matrix, outcome = rows.matrix(values["features"]), rows.numbers(values["outcome"])
    evidence.require(rows.persons, values["folds"])
    if values["family"] == "binomial":
        if not np.isin(outcome, (0, 1)).all():
            raise NoFit
        for value in (0, 1):
            evidence.require(len(np.unique(rows.who[outcome == value])), values["folds"])
    forest = grow(matrix, outcome, rows.who, values, evidence.minimum_group)
    whole = Cells.whole(rows)
    share = forest.gains / (forest.gains.sum() or 1.0)
    files = {
        "fit.csv": measures("fit.csv", rows, _validated(matrix, outcome, rows, values, evidence), evidence),
        "importance.csv": evidence.table(
            "importance.csv",
            {"feature": list(values["features"])},
            whole.times(len(share)),
            {"gain": Figure(OTHER, share)},
        ),
    }
    if values["model"]:
        files["model.json"] = _written(forest, rows, values)
        evidence.model("model.json", whole)
    return files


def grow(
    matrix: np.ndarray, outcome: np.ndarray, who: np.ndarray, values: Mapping[str, Any], least: int
) -> Forest:
    """Return trees without a leaf of fewer persons than `least`."""
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingClassifier if values["family"] == "binomial" else HistGradientBoostingRegressor
    fitted = kind(
        max_iter=values["trees"], max_depth=values["depth"], learning_rate=float(values["rate"]), max_leaf_nodes=None,
        min_samples_leaf=max(values["leaf"], least), early_stopping=False, random_state=0,
    ).fit(matrix, outcome)  # fmt: skip
    gains = np.zeros(matrix.shape[1])
    trees = []
    for (grown,) in fitted._predictors:
        tree = Tree()
        _copied(tree, grown.nodes, 0, (matrix, who, np.arange(len(who)), least, gains))
        trees.append(tree)
    return Forest(float(np.ravel(fitted._baseline_prediction)[0]), trees, gains)


def _copied(tree: Tree, nodes: np.ndarray, place: int, data: tuple[Any, ...]) -> int:
    """Copy a node and what is below it; a question that would set too few persons apart becomes a leaf."""
    matrix, who, chosen, least, gains = data  # the rows that reach this node, and what is the same for all
    node = nodes[place]
    persons = _persons(who[chosen])
    if node["is_leaf"]:
        return tree.leaf(float(node["value"]), persons)
    goes_left = matrix[chosen, node["feature_idx"]] <= node["num_threshold"]
    sides = chosen[goes_left], chosen[~goes_left]
    if min(_persons(who[side]) for side in sides) < least:
        return tree.leaf(_mean(nodes, place), persons)
    here = tree.leaf(0.0, persons)
    gains[node["feature_idx"]] += node["gain"]
    tree.feature[here], tree.threshold[here] = int(node["feature_idx"]), float(node["num_threshold"])
    tree.left[here] = _copied(tree, nodes, int(node["left"]), (matrix, who, sides[0], least, gains))
    tree.right[here] = _copied(tree, nodes, int(node["right"]), (matrix, who, sides[1], least, gains))
    return here


def _persons(who: np.ndarray) -> int:
    """Return how many persons there are among rows."""
    import numpy as np

    return int(np.count_nonzero(np.bincount(who)))


def _mean(nodes: np.ndarray, place: int) -> float:
    """Return the mean of the leaves below a node, weighted by their rows."""
    node = nodes[place]
    if node["is_leaf"]:
        return float(node["value"])
    left, right = nodes[int(node["left"])], nodes[int(node["right"])]
    total = float(left["count"]) + float(right["count"])
    return (
        _mean(nodes, int(node["left"])) * float(left["count"])
        + _mean(nodes, int(node["right"])) * float(right["count"])
    ) / total


def _validated(
    matrix: np.ndarray, outcome: np.ndarray, rows: Rows, values: Mapping[str, Any], evidence: Evidence
) -> dict[str, float]:
    """Return how well trees do on persons that they were not grown on."""
    import numpy as np
    from sklearn.metrics import log_loss, r2_score, roc_auc_score
    from sklearn.model_selection import GroupKFold

    scores = np.zeros(len(outcome))
    parts = GroupKFold(values["folds"], shuffle=True, random_state=0).split(matrix, outcome, rows.who)
    for train, test in parts:
        scores[test] = grow(
            matrix[train], outcome[train], rows.who[train], values, evidence.minimum_group
        ).predict(matrix[test])
    if values["family"] == "binomial":
        chance = 1 / (1 + np.exp(-scores))
        return {"auc": roc_auc_score(outcome, scores), "log_loss": log_loss(outcome, chance)}
    deviation = float(np.sqrt(np.mean((outcome - scores) ** 2)))
    return {"r_squared": r2_score(outcome, scores), "residual_deviation": deviation}


def _written(forest: Forest, rows: Rows, values: Mapping[str, Any]) -> bytes:
    trees = [
        {
            "feature": tree.feature, "threshold": tree.threshold, "left": tree.left, "right": tree.right,
            "value": tree.value, "persons": tree.persons,
        }
        for tree in forest.trees
    ]  # fmt: skip
    model = {
        "kind": "trees", "family": values["family"], "features": list(values["features"]), "base": forest.base,
        "persons": rows.persons, "trees": trees,
    }  # fmt: skip
    return json.dumps(model, sort_keys=True, allow_nan=False).encode()
