"""Time series: figures by period, and how they may go on (exponential smoothing)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    import numpy as np

    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="time-series-forecast",
    title="Time series forecast",
    title_zh="时间序列预测",
    purpose="A figure by period, and its forecast by exponential smoothing with additive errors and trend, and seasons"
    " if they are asked for, with intervals of 95 percent.",
    purpose_zh="按期汇总某一指标，并用指数平滑（加法误差和趋势，可含季节项）预测，给出 95% 区间。",
    tables=("table",),
    parameters=(
        Parameter(
            name="period", sort=Sort.COLUMN, part=Part.KEY,
            meaning="the column of days, or of texts and whole numbers that sort like time",
            meaning_zh="日期列，或可按时间排序的文本、整数列",
        ),
        Parameter(
            name="unit", sort=Sort.WORD, default="value", choices=("value", "day", "month", "year"),
            meaning="days are cut to this length; value takes them as they are",
            meaning_zh="日期截取到的单位；value 表示原样",
        ),
        Parameter(
            name="figure", sort=Sort.COLUMN, part=Part.FIGURE, default="",
            meaning="the column of numbers; without one, persons are counted", meaning_zh="数值列；不给则统计人数",
        ),
        Parameter(
            name="measure", sort=Sort.WORD, default="total", choices=("total", "mean"),
            meaning="what is made of the figure in each period", meaning_zh="每期的合计或均值",
        ),
        Parameter(
            name="season", sort=Sort.WHOLE, default=0, least="0", most="53",
            meaning="how many periods a season has; 0 or 1 for none",
            meaning_zh="季节周期的期数；0 或 1 表示无季节",
        ),
        Parameter(
            name="horizon", sort=Sort.WHOLE, default=6, least="1", most="60",
            meaning="how many periods are forecast", meaning_zh="预测的期数",
        ),
    ),
    outputs=(
        Offer(Artifact("history.csv", Form.TABLE, persons="persons"), "a row for each period", "每期一行"),
        Offer(Artifact("forecast.csv", Form.TABLE, persons="persons"), "a row for each step", "每个预测步一行"),
    ),
    rules=("small-group", "dominance", "degrees", "rounding"),
    disclosure="A period of fewer persons than a group does not appear, and the forecast is made of the periods after"
    " the last such one alone. Periods less parameters are at least the residual degrees of freedom.",
    disclosure_zh="人数不足的期不出现，且只用最后一个此类期之后的各期预测。期数减去参数个数不少于要求的剩余自由度。",
    example={"period": "day", "unit": "month", "figure": "income", "measure": "mean", "horizon": 3},
)  # fmt: skip

_CUT = {"value": None, "day": 10, "month": 7, "year": 4}
_PARAMETERS = 4
"""Smoothing of level and trend, and where both begin; a season adds one and its periods."""


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return history and forecast."""
    import numpy as np

    from components.evidence import COUNT, MEAN, TOTAL, Cells, Figure
    from components.rows import complete

    figure = (values["figure"],) if values["figure"] else ()
    rows = complete(tables[0], figure, (values["period"],))
    periods, place = _periods(rows, values)
    cells = Cells.of(rows, place, len(periods))
    if figure:
        numbers = rows.numbers(values["figure"])
        series, largest = cells.sums(numbers), cells.largest(numbers)
        kind = TOTAL
        if values["measure"] == "mean":
            series, kind = series / np.maximum(cells.items, 1), MEAN
    else:
        series, kind = cells.persons.astype(float), COUNT
        largest = np.stack([series, np.minimum(series, 1), np.minimum(series, 1)])
    shown = {values["figure"] or "count": Figure(kind, series if figure else cells.persons, largest)}
    small = np.flatnonzero(cells.persons < evidence.minimum_group)
    first = int(small[-1]) + 1 if len(small) else 0
    forecast, low, high = _forecast(series[first:], values, evidence)
    used = place >= first
    behind = Cells.of(rows, np.where(used, 0, -1), 1)
    weighed = np.repeat(behind.largest(numbers if figure else np.ones(len(rows))), values["horizon"], axis=1)
    steps = {"step": [str(step + 1) for step in range(values["horizon"])]}
    ahead = {
        name: Figure(MEAN, found, weighed)
        for name, found in (("forecast", forecast), ("low", low), ("high", high))
    }
    return {
        "history.csv": evidence.table("history.csv", {values["period"]: periods}, cells, shown),
        "forecast.csv": evidence.table("forecast.csv", steps, behind.times(values["horizon"]), ahead),
    }


def _periods(rows: Rows, values: Mapping[str, Any]) -> tuple[list[str], np.ndarray]:
    """Return the periods in their order, and for each row the place of its period."""
    import numpy as np

    cut = [word[: _CUT[values["unit"]]] for word in rows.words(values["period"])]
    try:
        periods = sorted(set(cut), key=int)
    except ValueError:
        periods = sorted(set(cut))
    places = {period: place for place, period in enumerate(periods)}
    return periods, np.array([places[word] for word in cut], np.int64)


def _forecast(
    series: np.ndarray, values: Mapping[str, Any], evidence: Evidence
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import numpy as np
    import pandas as pd
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    from components.errors import NoFit

    season = values["season"] if values["season"] > 1 else 0
    parameters = _PARAMETERS + (season + 1 if season else 0)
    if len(series) - parameters < evidence.degrees or len(series) < max(8, 2 * season):
        raise NoFit
    scale = np.abs(series).max() or 1.0
    model = ETSModel(
        pd.Series(series / scale),
        error="add",
        trend="add",
        seasonal="add" if season else None,
        seasonal_periods=season or None,
    )
    fitted = model.fit(disp=False, maxiter=500)
    ahead = fitted.get_prediction(start=len(series), end=len(series) + values["horizon"] - 1).summary_frame(
        alpha=0.05
    )
    found = ahead[["mean", "pi_lower", "pi_upper"]].to_numpy().T * scale
    if not np.isfinite(found).all():
        raise NoFit
    return found[0], found[1], found[2]
