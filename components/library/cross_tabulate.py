"""Numbers of persons by one or two keys, and the total and mean of a figure if one is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form
from plans.asking import Asking

if TYPE_CHECKING:
    import numpy as np

    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="cross-tabulate",
    title="Cross-tabulate",
    title_zh="交叉表",
    purpose="Numbers of persons by one or two keys; with a figure, its total and mean as well.",
    purpose_zh="按一个或两个分类列统计人数；可同时给出某一数值列的合计和均值。",
    tables=("table",),
    parameters=(
        Parameter(
            name="row", sort=Sort.COLUMN, part=Part.KEY,
            meaning="the column whose values are the rows", meaning_zh="作为行的分类列",
        ),
        Parameter(
            name="column", sort=Sort.COLUMN, part=Part.KEY, default="",
            meaning="the column whose values are the columns", meaning_zh="作为列的分类列",
        ),
        Parameter(
            name="figure", sort=Sort.COLUMN, part=Part.FIGURE, default="",
            meaning="the column of numbers that is added up", meaning_zh="求合计和均值的数值列",
        ),
    ),
    outputs=(
        Offer(
            Artifact("cells.csv", Form.TABLE, persons="persons"),
            "a row for each pair of keys that enough persons share", "每个人数足够的分类组合一行",
        ),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="A cell of fewer persons than a group does not appear, however many rows they have. There are no margins"
    " from which it could be computed; ask for a margin by itself, and the ledger compares it with what has left. Where"
    " the owner asks that margins do not tell, further cells stay back; people look if a person stands in several.",
    disclosure_zh="人数不足的单元格不出现，无论有多少行。不输出合计行列，因此无法反推；合计须另行请求，"
    "由披露账本比对。所有者要求边际合计不得泄露时，会另外保留部分单元格；如有人员属于多个单元格，则由人工审查。",
    example={"row": "banner", "column": "sex", "figure": "income"},
    asking=Asking(keys=("row", "column"), figures=("figure",), cells=True),
)  # fmt: skip


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the cells; rows without a value in a key are in cells that have no row, but count for margins."""
    import numpy as np

    from components import evidence as made
    from components.errors import NoFit

    by = tuple(filter(None, (values["row"], values["column"])))
    figure = (values["figure"],) if values["figure"] else ()
    (rows,) = tables
    chosen = np.ones(len(rows), bool)
    for column in figure:
        chosen = ~np.isnan(rows.numbers(column))
    if not chosen.any():
        raise NoFit
    places, found = zip(*(_levels(rows, column) for column in by), strict=True)
    width = len(found[-1]) if len(by) > 1 else 1
    place = places[0] * width + (places[1] if len(by) > 1 else 0)
    there = np.unique(place[chosen])
    place = np.where(np.isin(place, there), np.searchsorted(there, place), -1)
    columns = [(by[0], [found[0][cell // width] for cell in there])]
    if len(by) > 1:
        columns.append((by[1], [found[1][cell % width] for cell in there]))
    keys = made.keys(*columns)
    cells = made.Cells.of(rows, np.where(chosen, place, -1), len(there))
    figures = {"rows": made.Figure(made.COUNT, cells.items, cells.largest(np.ones(len(rows))))}
    for column in figure:
        numbers = rows.numbers(column)
        total, largest = cells.sums(numbers), cells.largest(numbers)
        figures[f"{column}_total"] = made.Figure(made.TOTAL, total, largest)
        figures[f"{column}_mean"] = made.Figure(made.MEAN, total / np.maximum(cells.items, 1), largest)
    named = tuple(made.pattern(rows, column) for column in figure)
    larger = made.Cells.of(rows, place, len(there)) if figure else cells
    lacking = made.Lacking(larger, named, np.zeros(len(there), np.int64) if figure else None)
    return {"cells.csv": evidence.table("cells.csv", keys, cells, figures, lacking)}


def _levels(rows: Rows, column: str) -> tuple[np.ndarray, list[str | None]]:
    """Return for each row the place of its key in the list of all keys, of which None is the last."""
    import numpy as np

    from components.rows import levels

    place, found = levels(rows, column)
    return np.where(place < 0, len(found), place), [*found, None]
