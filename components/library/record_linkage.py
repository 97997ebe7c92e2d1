"""Record linkage: how many persons of one table are found in another by names and words that are spelt alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    " band. A band of fewer persons than a group does not appear, however many rows they have; nor does one"
    " whose matches are fewer persons of the second.",
    disclosure_zh="不输出行和配对，只输出第一张表中最佳匹配落在各段的人数。人数不足的段不出现（不论行数），匹配到的第二张表人数不足的段也不出现。",
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
    asked = _asked(left, right, values)
    best = np.full(left.persons, -1.0)
    scores = np.full(len(left), -1.0)
    for some, _, alike in _compared(left, right, values, asked):
        scores[some] = alike.max(axis=1)
    np.maximum.at(best, left.who, scores)
    band = np.searchsorted(np.array((0.0, 0.70, 0.80, 0.90, 0.99)), best, side="right")
    found = np.zeros((len(BANDS), right.persons), bool)
    for some, others, alike in _compared(left, right, values, asked):
        row, place = np.nonzero(alike == best[left.who[some]][:, None])
        found[band[left.who[some]][row], right.who[others][place]] = True
    many = found.sum(axis=1) >= evidence.minimum_group
    many[0] = True  # whoever finds nobody says nothing of a person of the second table
    band = np.where(many[band], band, -1)
    cells = Cells.of(left, band[left.who], len(BANDS))
    figures = {"rows": Figure(COUNT, cells.items, cells.largest(np.ones(len(left))))}
    return {"matches.csv": evidence.table("matches.csv", {"likeness": BANDS}, cells, figures)}


def _asked(left: Rows, right: Rows, values: Mapping[str, Any]) -> list[tuple[list[int], list[int]]]:
    """Return the rows of both tables that agree in the block, block by block."""
    from components.errors import NoFit

    blocks: dict[str, tuple[list[int], list[int]]] = {}
    for side, (rows, column) in enumerate(((left, values["left_block"]), (right, values["right_block"]))):
        for row, key in enumerate(rows.words(column)):
            if key is not None:
                blocks.setdefault(key, ([], []))[side].append(row)
    found = [block for block in blocks.values() if all(block)]
    if any(max(map(len, block)) > LARGEST_BLOCK for block in found):
        raise NoFit
    return found


def _compared(
    left: Rows, right: Rows, values: Mapping[str, Any], asked: list[tuple[list[int], list[int]]]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield rows of the first table, those of the second that they are compared with, and how alike they are."""
    import numpy as np

    ours = [_spelt(left, column) for column in values["left"]]
    theirs = [_spelt(right, column) for column in values["right"]]
    for rows, others in asked:
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            yield np.array(some), np.array(others), _likeness(ours, theirs, some, others)


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
