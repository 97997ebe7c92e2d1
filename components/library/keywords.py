"""Keywords of Chinese text: which words many persons use, and how much they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="keywords",
    title="Keywords",
    title_zh="关键词",
    purpose="The words of a column of texts with the greatest weight (TF-IDF), cut by the dictionary of jieba.",
    purpose_zh="用结巴词典分词，给出文本列中权重（TF-IDF）最大的词。",
    tables=("table",),
    parameters=(
        Parameter(
            name="text", sort=Sort.COLUMN, part=Part.KEY,
            meaning="the column of texts; words of it show", meaning_zh="文本列，其中的词会出现在结果里",
        ),
        Parameter(
            name="top", sort=Sort.WHOLE, default=50, least="1", most="1000",
            meaning="how many words are shown", meaning_zh="输出的词数",
        ),
        Parameter(
            name="left_out", sort=Sort.WORDS, default=(), least="0", most="500",
            meaning="words that are not counted", meaning_zh="不统计的词",
        ),
    ),
    outputs=(Offer(Artifact("words.csv", Form.TABLE, persons="persons"), "a row for each word", "每词一行"),),
    rules=("small-group", "dominance", "rounding"),
    disclosure="A word is there if a group of persons used it, however often one person did. Names of persons, numbers"
    " and single characters are never there, and no text is.",
    disclosure_zh="只有足够多的人用过的词才出现，不论单人用过多少次。人名、数字、单字不出现，更不输出原文。",
    example={"text": "complaint", "top": 20},
)  # fmt: skip


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the words, the weightiest first."""
    import numpy as np

    from components import chinese
    from components.errors import NoFit
    from components.evidence import COUNT, MEAN, Cells, Figure
    from components.rows import complete

    rows = complete(tables[0], (), (values["text"],))
    places: dict[str, int] = {}
    words: list[int] = []
    items: list[int] = []
    for row, text in enumerate(rows.words(values["text"])):
        for term in chinese.terms(text, values["left_out"]):
            words.append(places.setdefault(term, len(places)))
            items.append(row)
    if not places:
        raise NoFit
    # A row counts once for each word in it; how often the word is there is an amount of the pair of both.
    pairs, often = np.unique(np.array([words, items], np.int64), axis=1, return_counts=True)
    cells = Cells.of(rows, pairs[0], len(places), pairs[1])
    kept = np.flatnonzero(cells.persons >= evidence.minimum_group)
    texts = np.bincount(pairs[0], minlength=len(places))
    weight = np.bincount(pairs[0], often, len(places)) * np.log(len(rows) / texts)
    order = sorted(kept, key=lambda word: -weight[word])
    called = list(places)
    ranked = sorted(order[: values["top"]], key=lambda word: (-weight[word], called[word]))
    if not ranked:
        raise NoFit
    rank = np.full(len(places), -1)
    rank[ranked] = np.arange(len(ranked))
    chosen = rank[pairs[0]] >= 0
    shown = Cells.of(rows, rank[pairs[0][chosen]], len(ranked), pairs[1][chosen])
    figures = {
        "texts": Figure(COUNT, texts[ranked], shown.largest(np.ones(len(rows)))),
        "weight": Figure(MEAN, weight[ranked], shown.largest(np.ones(len(rows)))),
    }
    return {"words.csv": evidence.table("words.csv", {"word": [called[w] for w in ranked]}, shown, figures)}
