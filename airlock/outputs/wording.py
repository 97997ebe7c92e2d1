"""What names of columns, metrics and rows say about what stands under them.

A member's table comes without a description, so the words that people use are looked for in its names. Whoever
hides something will use others; for that there are the bit budget and the reading of code.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SPLIT = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])|(?<=[a-zA-Z])(?=[0-9])")
_SUBTOTALS = frozenset({"total", "subtotal", "totals", "overall", "合计", "总计", "小计", "共计"})
_FALLING = [
    "年龄",
    "年份",
    "年度",
    "季度",
    "月份",
    "日期",
    "代码",
    "编码",
    "等级",
    "类别",
    "分组",
    "年",
    "月",
    "周",
    "日",
]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEYS = _words(
    "year month quarter week day hour age ages band code codes level grade class cluster fold lag bin step rank period "
    "topic horizon threshold decile quartile quintile percentile group category cohort"
)
TOTALS = _words(
    "total totals all sum overall subtotal everything everyone margin both 合计 总计 全部 小计 总数 全区 共计"
)
EXTREMES = _words(
    "min max minimum maximum smallest largest lowest highest range worst 最小 最大 最小值 最大值 最高 最低 极差"
)
_ENDS = _words("first last latest earliest newest oldest 最早 最晚 最近 最后 首次 末次")
_MADE = _words(
    "sum total mean avg average median std sd var variance n count counts number persons "
    "平均 均值 中位数 标准差 方差 总额 合计 人数"
)
"""Words for what is made of many values; no group is named by it."""

_AMOUNTS = _words("age ages hour day 年龄 日")
"""Words for keys under which a figure may stand as well: a group's age may be that of one person."""

MEASURES = _words(
    "mean avg average median rate ratio share percent pct proportion std sd var variance stdev coef coefficient "
    "estimate beta se stderr p pvalue z t score auc index quantile percentile q sum amount value log odds hazard gini "
    "total income ci lower upper weight importance 平均 均值 中位数 比例 占比 率 比率 标准差 方差 系数 金额 收入 总额"
)
_SETTINGS = _words(
    "depth iter iterations epochs folds bins trees estimators clusters components features leaves leaf seed lags "
    "version"
)
_OF_PERSONS = _words(
    "persons person people patients households members age ages income amount 人数 年龄 收入 金额"
)
"""Words with which a metric is about persons, whatever stands beside them."""

PROPORTIONS = _words("rate share ratio proportion percent pct percentage 比例 占比 比率 率")
_DEGREES = frozenset({"df_resid", "dof", "residual_df", "df_residual", "resid_df", "degrees_of_freedom", "dof_resid",
                      "degrees", "residual_degrees", "residual_dof", "残差自由度", "自由度"})  # fmt: skip
_FITS = frozenset({"r2", "r_squared", "rsquared", "r2_score", "r2_adj", "rsquared_adj", "r_square", "adj_r2",
                   "pseudo_r2", "train_r2", "r2_train"})  # fmt: skip
_RESIDUALS = frozenset({"rss", "ssr", "sse", "mse_resid", "residual_sum_of_squares", "deviance_resid"})
_SIZES = frozenset({"n", "nobs", "n_obs", "observations", "persons", "n_persons", "count"})
_PARAMETERS = frozenset(
    {"df_model", "params", "n_params", "parameters", "n_parameters", "coefficients", "k_params"}
)
_COEFFICIENTS = _words("coef coefs coefficient coefficients beta estimate 系数 loading")
_NAMES = _words(
    "姓名 名字 xingming fullname surname 身份证 身份证号 手机号 电话 银行卡 地址 住址 phone mobile idcard email address"
)
_ROWS = _words("rowid uuid guid")
_SURVIVAL = _words("survival surv survived 生存")
_LEFT_OUT = (
    _words("left out"), _words("leave out"), _words("leaving out"), _words("jackknife"), _words("loo"), _words("留一")
)  # fmt: skip
_LEVELS = frozenset({"n", "n_level", "level_n", "nobs", "n_obs", "frequency", "freq", "频数"})
_NUMBERED = re.compile(
    r"(?:^|[\W_]|(?<=[a-z]))(?:person|patient|individual|subject|respondent|participant|farmer|worker|pupil|student"
    r"|household)[\W_]*[0-9]+(?![^\W_])"
    r"|第[0-9]+(?:人|户|位)",
    re.IGNORECASE,
)
"""One person by a number; `persons_2024` are many."""

PERCENTILES = re.compile(r"(?:p|q|pct|percentile)_?(?:0|00|100|0\.0|1\.0)\b", re.IGNORECASE)


def words(name: str) -> frozenset[str]:
    """Return the words in a name, in lower case; of Chinese names the known words that they hold."""
    found = {word.lower() for word in _SPLIT.split(name) if word}
    if not name.isascii():
        known = (
            *_FALLING,
            *(
                w
                for group in (
                    TOTALS,
                    EXTREMES,
                    MEASURES,
                    PROPORTIONS,
                    _NAMES,
                    _ENDS,
                    _MADE,
                    _OF_PERSONS,
                    _SURVIVAL,
                    *_LEFT_OUT,
                )
                for w in group
            ),
        )
        found |= {word for word in known if not word.isascii() and word in name}
    return frozenset(found)


def says_key(name: str) -> bool:
    """Return whether whole numbers under this name name groups."""
    found = words(name)
    return bool(found & KEYS) or any(each in found for each in _FALLING)


def names_groups(name: str) -> bool:
    """Return whether whole numbers under this name tell groups apart: `age`, `age_group`. What is counted for one group
    (`age_0_17`), or made of its values (`max_age`, `total_age`), is a figure.
    """
    made = bool(words(name) & (_MADE | _ENDS)) or says_extreme(name)
    return says_key(name) and not made and not any(each.isdigit() for each in name)


def says_label(name: str) -> bool:
    """Return whether a name is only that of a key which is no amount, such as `year` and `code`."""
    found = words(name)
    return bool(found) and found <= (KEYS | frozenset(_FALLING)) - _AMOUNTS


def says_amount(name: str) -> bool:
    """Return whether a name that can be a key's can be that of an amount as well."""
    return bool(words(name) & _AMOUNTS)


def says_single(name: str) -> bool:
    """Return whether a value under this name is that of one person: the largest, the last."""
    return says_extreme(name) or bool(words(name) & _ENDS)


def says_total(text: str) -> bool:
    """Return whether a key says that its row is a total of others."""
    return text.strip().casefold() in TOTALS


def mentions_total(text: str) -> bool:
    """Return whether a key speaks of a total, but not so that its parts are known: `Chifeng, total`, 赤峰合计."""
    return not says_total(text) and bool(words(text) & _SUBTOTALS)


def says_extreme(name: str) -> bool:
    """Return whether a figure is the smallest or largest value of somebody."""
    return (bool(words(name) & EXTREMES) and not says_setting(name)) or bool(PERCENTILES.search(name))


def says_setting(name: str) -> bool:
    """Return whether a metric is a setting of the program, and says nothing about the data."""
    found = words(name)
    return bool(found & _SETTINGS) and not found & _OF_PERSONS


def says_proportion(name: str) -> bool:
    """Return whether a figure says that it is a share of the persons of its row."""
    return bool(words(name) & PROPORTIONS)


def says_measure(name: str) -> bool:
    """Return whether a figure of whole numbers is no count."""
    return bool(words(name) & MEASURES)


def says_coefficient(name: str) -> bool:
    """Return whether a figure is a parameter of a fit."""
    return bool(words(name) & _COEFFICIENTS)


def says_person(name: str) -> bool:
    """Return whether a column says that it identifies persons."""
    return bool(words(name) & (_NAMES | _ROWS))


def says_survival(name: str) -> bool:
    """Return whether a figure is the share of persons to whom nothing has happened yet."""
    return bool(words(name) & _SURVIVAL)


def says_left_out(name: str) -> bool:
    """Return whether a key names who was left out of a row."""
    found = words(name)
    return any(each <= found for each in _LEFT_OUT)


def numbers_person(name: str) -> bool:
    """Return whether a name is that of one person by a number, such as `score_person_17`."""
    return bool(_NUMBERED.search(name))


def _spelled(names: frozenset[str]) -> Callable[[str], bool]:
    return lambda name: re.sub(r"[\W_]+", "_", name.strip().lower()) in names


says_degrees = _spelled(_DEGREES)
says_fit = _spelled(_FITS)
says_residual = _spelled(_RESIDUALS)
says_size = _spelled(_SIZES)
says_parameters = _spelled(_PARAMETERS)
says_level = _spelled(_LEVELS)
