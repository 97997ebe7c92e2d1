"""Linear regression by least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="linear-regression",
    title="Linear regression",
    title_zh="线性回归",
    purpose="Least squares with an intercept: coefficients with errors, and how well they fit. Where persons have"
    " several rows, errors are clustered by person.",
    purpose_zh="带截距的最小二乘回归：系数及其误差、拟合优度。一人有多行时，误差按人聚类。",
    tables=("table",),
    parameters=(
        Parameter(
            name="outcome", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of numbers that is explained", meaning_zh="被解释的数值列",
        ),
        Parameter(
            name="features", sort=Sort.COLUMNS, part=Part.FEATURE, least="1", most="30",
            meaning="columns of numbers that explain it", meaning_zh="解释变量（数值列）",
        ),
        Parameter(
            name="categories", sort=Sort.COLUMNS, part=Part.KEY, default=(), least="0", most="10",
            meaning="columns of words that explain it; their values show as names of terms",
            meaning_zh="解释变量（分类列），其取值会作为项的名称出现",
        ),
    ),
    outputs=(
        Offer(Artifact("coefficients.csv", Form.TABLE, persons="persons"), "a row for each term", "每项一行"),
        Offer(Artifact("fit.csv", Form.TABLE, persons="persons"), "how well it fits", "拟合优度"),
    ),
    rules=("small-group", "dominance", "degrees", "rounding"),
    disclosure="Persons less terms are at least the residual degrees of freedom of the policy. Each term needs a group"
    " of persons who differ in it, and carries the largest weights of single persons. A fit without residuals is"
    " refused. Neither residuals nor fitted values leave. Levels of a category that fewer persons have are left out.",
    disclosure_zh="人数减去项数不少于策略要求的剩余自由度。每一项须有足够多的人在该项上取值不同，并附带单人最大权重。"
    "残差为零的拟合不给出结果。不输出残差和拟合值。人数不足的类别不参与拟合。",
    example={"outcome": "income", "features": ["age"], "categories": ["banner"]},
)  # fmt: skip

PERFECT = 1e-12
"""A fit that leaves less than this share of the outcome's variation tells every row."""


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return coefficients and fit."""
    import numpy as np
    import statsmodels.api as sm

    from components.errors import NoFit
    from components.fitting import coefficients, design, measures

    made = design(tables[0], values, (values["outcome"],), evidence)
    fitted = sm.OLS(made.rows.numbers(values["outcome"]), made.matrix).fit(**made.clustered)
    if fitted.ssr <= PERFECT * max(fitted.centered_tss, PERFECT):
        raise NoFit
    low, high = fitted.conf_int().T
    columns = {
        "coefficient": fitted.params, "standard_error": fitted.bse, "t": fitted.tvalues, "p": fitted.pvalues,
        "low": low, "high": high,
    }  # fmt: skip
    found = {
        "r_squared": fitted.rsquared,
        "adjusted_r_squared": fitted.rsquared_adj,
        "residual_deviation": float(np.sqrt(fitted.ssr / (len(made.rows) - len(made.terms)))),
        "residual_degrees": made.rows.persons - len(made.terms),
    }
    return {
        "coefficients.csv": coefficients("coefficients.csv", made, columns, evidence),
        "fit.csv": measures("fit.csv", made.rows, found, evidence),
    }
