"""Logistic regression by maximum likelihood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="logistic-regression",
    title="Logistic regression",
    title_zh="逻辑回归",
    purpose="Maximum likelihood with an intercept: coefficients, odds ratios and errors, and how well they tell the"
    " two outcomes apart. Where persons have several rows, errors are clustered by person.",
    purpose_zh="带截距的极大似然逻辑回归：系数、优势比及误差、区分能力。一人有多行时，误差按人聚类。",
    tables=("table",),
    parameters=(
        Parameter(
            name="outcome", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of truths, or of 0 and 1, that is explained",
            meaning_zh="被解释的真假列（或 0/1 列）",
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
        Offer(Artifact("fit.csv", Form.TABLE, persons="persons"), "how well it fits", "拟合情况"),
    ),
    rules=("small-group", "dominance", "degrees", "rounding"),
    disclosure="Both outcomes are those of a group of persons, and the rarer one's persons less terms are at least the"
    " residual degrees of freedom of the policy. Terms are as in linear regression. Nothing is fitted where the terms"
    " tell the outcomes apart completely. Neither residuals nor scores leave.",
    disclosure_zh="两种结果都须有足够多的人；较少一方的人数减去项数不少于策略要求的剩余自由度。各项要求同线性回归。"
    "完全可分时不给出结果。不输出残差和得分。",
    example={"outcome": "insured", "features": ["age", "income"]},
)  # fmt: skip


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return coefficients and fit."""
    import numpy as np
    import statsmodels.api as sm
    from sklearn.metrics import roc_auc_score

    from components.errors import NoFit
    from components.fitting import coefficients, design, measures

    made = design(tables[0], values, (values["outcome"],), evidence)
    outcome = made.rows.numbers(values["outcome"])
    if not np.isin(outcome, (0, 1)).all():
        raise NoFit
    for value in (0, 1):
        evidence.require(len(np.unique(made.rows.who[outcome == value])), len(made.terms))
    fitted = sm.Logit(outcome, made.matrix).fit(disp=0, maxiter=100, **made.clustered)
    scores = made.matrix @ fitted.params
    if not fitted.mle_retvals["converged"] or scores[outcome == 1].min() > scores[outcome == 0].max():
        raise NoFit
    low, high = fitted.conf_int().T
    columns = {
        "coefficient": fitted.params, "odds_ratio": np.exp(fitted.params), "standard_error": fitted.bse,
        "z": fitted.tvalues, "p": fitted.pvalues, "low": low, "high": high,
    }  # fmt: skip
    found = {
        "auc": roc_auc_score(outcome, scores),
        "pseudo_r_squared": fitted.prsquared,
        "log_likelihood": fitted.llf,
        "residual_degrees": made.rows.persons - len(made.terms),
    }
    return {
        "coefficients.csv": coefficients("coefficients.csv", made, columns, evidence),
        "fit.csv": measures("fit.csv", made.rows, found, evidence),
    }
