"""Survival: the Kaplan-Meier curve at grouped times, and Cox regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    import numpy as np

    from components.evidence import Cells, Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="survival",
    title="Survival",
    title_zh="生存分析",
    purpose="How long until an event: the Kaplan-Meier curve of all or by groups, and with features a Cox regression"
    " (ties by Efron). Of a person with several rows the longest time counts.",
    purpose_zh="事件发生前的时间：全体或分组的 Kaplan-Meier 曲线；给出解释变量时另做 Cox 回归（Efron 法处理结）。"
    "一人有多行时取最长时间。",
    tables=("table",),
    parameters=(
        Parameter(
            name="time", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of times until the event, or until nobody looked any more",
            meaning_zh="到事件或删失为止的时间列",
        ),
        Parameter(
            name="event", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of truths, or of 0 and 1: whether the event came",
            meaning_zh="是否发生事件（真假或 0/1 列）",
        ),
        Parameter(
            name="width", sort=Sort.REAL, default="1", least="0.001", most="1000000",
            meaning="the curve has steps at multiples of this time only",
            meaning_zh="时间分组的宽度，曲线只在其整数倍处有台阶",
        ),
        Parameter(
            name="by", sort=Sort.COLUMN, part=Part.KEY, default="",
            meaning="the column whose values are the groups", meaning_zh="分组所用的列",
        ),
        Parameter(
            name="features", sort=Sort.COLUMNS, part=Part.FEATURE, default=(), least="0", most="30",
            meaning="columns of numbers for the Cox regression", meaning_zh="Cox 回归的解释变量（数值列）",
        ),
    ),
    outputs=(
        Offer(Artifact("curve.csv", Form.TABLE, persons="persons"), "a row for each step", "每个台阶一行"),
        Offer(
            Artifact("hazards.csv", Form.TABLE, persons="persons"),
            "a row for each feature of the Cox regression", "Cox 回归每个变量一行", when="features",
        ),
    ),
    rules=("small-group", "dominance", "degrees", "rounding"),
    disclosure="Between two steps a whole group of persons has the event, and nobody or a whole group is lost from"
    " sight: steps are joined until it is so, and the end of the curve is left out. Times of single persons do"
    " not leave. In the Cox regression persons with the event, less features, are at least the degrees of freedom.",
    disclosure_zh="相邻台阶之间发生事件的须足够成组，删失的须为零或成组，否则合并；曲线尾部不输出。不输出个人的时间。"
    "Cox 回归中发生事件的人数减去变量数不少于要求的剩余自由度。",
    example={"time": "months", "event": "left", "width": "6"},
)  # fmt: skip


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the curve, and hazards if features are named."""
    import numpy as np

    from components.errors import NoFit
    from components.evidence import COUNT, OTHER, Figure, joined, keys
    from components.rows import complete, levels

    time, event, by = values["time"], values["event"], values["by"]
    rows = _longest(complete(tables[0], (time, event, *values["features"]), (by,) if by else ()), time)
    times, events = rows.numbers(time), rows.numbers(event)
    if not np.isin(events, (0, 1)).all() or times.min() < 0:
        raise NoFit
    place, found = levels(rows, by) if by else (np.zeros(len(rows), np.int64), [""])
    steps = [
        (found[level], *step)
        for level in range(len(found))
        for step in _curve((times, events, place == level), float(values["width"]), evidence.minimum_group)
    ]
    if not steps:
        raise NoFit
    groups, ends, alive, came, at_risk = zip(*steps, strict=True)
    shown = keys(("time", [f"{end:.12g}" for end in ends]), *(((by, list(groups)),) if by else ()))
    cells: list[Cells] = [cell_of(rows, chosen) for chosen in at_risk]
    share = np.array([came, np.minimum(came, 1), np.minimum(came, 1)], float)
    figures = {"survival": Figure(OTHER, alive), "events": Figure(COUNT, came, share)}
    files = {"curve.csv": evidence.table("curve.csv", shown, joined(cells), figures)}
    if values["features"]:
        files["hazards.csv"] = _hazards(rows, times, events, values["features"], evidence)
    return files


def cell_of(rows: Rows, chosen: np.ndarray) -> Cells:
    """Return the one cell of the chosen rows."""
    import numpy as np

    from components.evidence import Cells

    return Cells.of(rows, np.where(chosen, 0, -1), 1)


def _longest(rows: Rows, time: str) -> Rows:
    """Return one row of each person, the one of the longest time."""
    import numpy as np

    order = np.lexsort((-rows.numbers(time), rows.who))
    chosen = np.zeros(len(rows), bool)
    chosen[order[np.unique(rows.who[order], return_index=True)[1]]] = True
    return rows.where(chosen)


def _curve(
    what: tuple[np.ndarray, np.ndarray, np.ndarray], width: float, least: int
) -> list[tuple[float, float, int, np.ndarray]]:
    """Return the steps of one group: end, survival there, events since the step before, who was at risk since then."""
    import numpy as np

    times, events, chosen = what
    moments = np.unique(times[chosen & (events == 1)])
    dead = np.array([(chosen & (events == 1) & (times == moment)).sum() for moment in moments], float)
    risk = np.array([(chosen & (times >= moment)).sum() for moment in moments], float)
    product = np.cumprod(1 - dead / risk) if len(moments) else np.ones(0)
    ends = np.unique(np.ceil(times[chosen] / width)) * width
    steps, since = [], -1.0
    for end in ends:
        between = chosen & (times > since) & (times <= end)
        came = int((between & (events == 1)).sum())
        lost = int(between.sum()) - came
        if came >= least and (lost == 0 or lost >= least):
            reached = np.searchsorted(moments, end, side="right")
            steps.append((float(end), float(product[reached - 1]), came, chosen & (times > since)))
            since = float(end)
    return steps


def _hazards(
    rows: Rows, times: np.ndarray, events: np.ndarray, features: tuple[str, ...], evidence: Evidence
) -> bytes:
    import numpy as np
    from statsmodels.duration.hazard_regression import PHReg

    from components.errors import NoFit
    from components.fitting import Design, coefficients, require_carried

    matrix = rows.matrix(features)
    evidence.require(int(events.sum()), len(features))
    for position in range(len(features)):
        require_carried(rows, matrix[:, position], evidence)
    centred = matrix - matrix.mean(axis=0)
    if np.linalg.matrix_rank(centred) < len(features):
        raise NoFit
    fitted = PHReg(times, centred, status=events, ties="efron").fit(disp=0)
    if not np.isfinite(fitted.params).all() or not np.isfinite(fitted.bse).all():
        raise NoFit
    columns = {
        "coefficient": fitted.params, "hazard_ratio": np.exp(fitted.params), "standard_error": fitted.bse,
        "z": fitted.tvalues, "p": fitted.pvalues,
    }  # fmt: skip
    return coefficients("hazards.csv", Design(rows, list(features), centred), columns, evidence)
