"""Record linkage: how many persons of one table are found in another by names and words that are spelt alike."""

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
    name="record-linkage",
    title="Record linkage",
    title_zh="记录链接",
    purpose="Compares rows of two tables that agree in one column, by how alike others are spelt (normalised edit"
    " distance), and says how many persons of the first find a match of which likeness in the second.",
    purpose_zh="在某一列相同的前提下，按其余列的拼写相似度（归一化编辑距离）比对两表，统计第一张表中各相似度段找到"
    "匹配的人数。",
    tables=("first table", "second table"),
    parameters=(
        Parameter(
            name="left", sort=Sort.COLUMNS, part=Part.FEATURE, least="1", most="10",
            meaning="columns of the first table that are compared", meaning_zh="第一张表中比对的列",
        ),
        Parameter(
            name="right", sort=Sort.COLUMNS, part=Part.FEATURE, table=1, least="1", most="10",
            meaning="columns of the second table, in the same order", meaning_zh="第二张表中对应的列，次序相同",
        ),
        Parameter(
            name="left_block", sort=Sort.COLUMN, part=Part.FEATURE,
            meaning="the column of the first table that must agree", meaning_zh="第一张表中必须相同的列",
        ),
        Parameter(
            name="right_block", sort=Sort.COLUMN, part=Part.FEATURE, table=1,
            meaning="the column of the second table that must agree", meaning_zh="第二张表中必须相同的列",
        ),
    ),
    outputs=(
        Offer(
            Artifact("matches.csv", Form.TABLE, persons="persons"), "a row for each band of likeness",
            "每个相似度段一行"
        ),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="Neither rows nor pairs leave, only how many persons of the first table have their best match in which"
    " band. A band of fewer persons than a group does not appear, however many rows they have.",
    disclosure_zh="不输出行和配对，只输出第一张表中最佳匹配落在各段的人数。人数不足的段不出现，不论行数。",
    example={"left": ["company"], "right": ["company"], "left_block": "banner", "right_block": "banner"},
)  # fmt: skip

BANDS = ("no candidate", "below 0.70", "0.70 to 0.80", "0.80 to 0.90", "0.90 to 0.99", "0.99 or above")
LARGEST_BLOCK = 20_000
CHUNK = 500
"""Rows of a block in either table, and rows that are compared with it at a time."""


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the bands."""
    import numpy as np

    from components.evidence import COUNT, Cells, Figure
    from plans.errors import Malformed

    if len(values["left"]) != len(values["right"]):
        raise Malformed(
            "left and right name another number of columns",
            "parameter right",
            "Name as many, in the same order.",
        )
    left, right = tables
    best = _best(left, right, values)
    scored = np.full(left.persons, -1.0)
    np.maximum.at(scored, left.who, best)
    band = np.searchsorted(np.array((0.0, 0.70, 0.80, 0.90, 0.99)), scored, side="right")
    cells = Cells.of(left, band[left.who], len(BANDS))
    figures = {"rows": Figure(COUNT, cells.items, cells.largest(np.ones(len(left))))}
    return {"matches.csv": evidence.table("matches.csv", {"likeness": BANDS}, cells, figures)}


def _best(left: Rows, right: Rows, values: Mapping[str, Any]) -> np.ndarray:
    """Return for each row of the first table how alike its best match is, -1 where there is no candidate."""
    import numpy as np

    from components.errors import NoFit

    blocks: dict[str, list[int]] = {}
    for row, key in enumerate(right.words(values["right_block"])):
        if key is not None:
            blocks.setdefault(key, []).append(row)
    asked: dict[str, list[int]] = {}
    for row, key in enumerate(left.words(values["left_block"])):
        if key in blocks:
            asked.setdefault(key, []).append(row)
    if any(max(len(rows), len(blocks[key])) > LARGEST_BLOCK for key, rows in asked.items()):
        raise NoFit
    ours = [_spelt(left, column) for column in values["left"]]
    theirs = [_spelt(right, column) for column in values["right"]]
    best = np.full(len(left), -1.0)
    for key, rows in asked.items():
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            best[some] = _likeness(ours, theirs, some, blocks[key]).max(axis=1)
    return best


def _likeness(
    ours: list[np.ndarray], theirs: list[np.ndarray], left: list[int], right: list[int]
) -> np.ndarray:
    """Return the mean likeness of the columns, rows of the one by rows of the other."""
    import numpy as np
    from rapidfuzz import process
    from rapidfuzz.distance import Levenshtein

    found = [
        process.cdist(mine[left], yours[right], scorer=Levenshtein.normalized_similarity, dtype=np.float64)
        for mine, yours in zip(ours, theirs, strict=True)
    ]
    return np.asarray(np.mean(found, axis=0))


def _spelt(rows: Rows, column: str) -> np.ndarray:
    """Return a column as texts without blanks and case; what is missing is like nothing but itself."""
    import numpy as np

    return np.array(["".join((word or "").casefold().split()) for word in rows.words(column)], object)
