"""Topic counts: how many persons' texts speak of what, by lists of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.description import Component, Offer, Parameter, Part, Sort
from plans.artifacts import Artifact, Form

if TYPE_CHECKING:
    from components.evidence import Evidence
    from components.rows import Rows

COMPONENT = Component(
    name="topic-counts",
    title="Topic counts",
    title_zh="主题计数",
    purpose="How many persons' texts speak of each topic; a topic is a list of words. Texts are cut into words by the"
    " dictionary of jieba, so that a word is not found inside another.",
    purpose_zh="统计各主题涉及的人数；主题由一组词定义。用结巴词典分词，因此不会在别的词内部误中。",
    tables=("table",),
    parameters=(
        Parameter(
            name="text", sort=Sort.COLUMN, part=Part.KEY,
            meaning="the column of texts; which topics are in it shows",
            meaning_zh="文本列，其涉及的主题会出现在结果里",
        ),
        Parameter(
            name="topics", sort=Sort.WORDS, least="1", most="100",
            meaning="topics, each written as name=word|word", meaning_zh="主题，写作 名称=词|词",
        ),
    ),
    outputs=(
        Offer(Artifact("topics.csv", Form.TABLE, persons="persons"), "a row for each topic", "每个主题一行"),
    ),
    rules=("small-group", "dominance", "rounding"),
    disclosure="A topic of fewer persons than a group does not appear, however many texts one person wrote. No text"
    " leaves. A topic has at least one word of two characters, and no digits.",
    disclosure_zh="人数不足的主题不出现，不论单人有多少文本。不输出原文。主题词至少两个字，且不含数字。",
    example={"text": "complaint", "topics": ["housing=供暖|物业", "roads=道路|公交"]},
)  # fmt: skip


def run(tables: Sequence[Rows], values: Mapping[str, Any], evidence: Evidence) -> dict[str, bytes]:
    """Return the topics."""
    import numpy as np

    from components import chinese
    from components.errors import NoFit
    from components.evidence import COUNT, Cells, Figure
    from components.rows import complete

    topics = [_topic(written) for written in values["topics"]]
    rows = complete(tables[0], (), (values["text"],))
    found, items = [], []
    for row, text in enumerate(rows.words(values["text"])):
        words = {word for word, _ in chinese.tokens(text)}
        for place, (_, wanted) in enumerate(topics):
            if words & wanted:
                found.append(place)
                items.append(row)
    if not found:
        raise NoFit
    cells = Cells.of(rows, np.array(found), len(topics), np.array(items))
    figures = {"texts": Figure(COUNT, cells.items, cells.largest(np.ones(len(rows))))}
    return {
        "topics.csv": evidence.table("topics.csv", {"topic": [name for name, _ in topics]}, cells, figures)
    }


def _topic(written: str) -> tuple[str, frozenset[str]]:
    """Return a topic's name and words.

    Raises:
        Malformed: it is not written so, or a word is one that could be an identifier.
    """
    from plans.errors import Malformed

    name, _, words = written.partition("=")
    wanted = frozenset(word.strip().lower() for word in words.split("|"))
    if not name.strip() or any(len(word) < 2 or any(map(str.isdigit, word)) for word in wanted):
        raise Malformed(
            "a topic is written as name=word|word, with words of two characters at least and no digits",
            "parameter topics",
            'Write it as in "housing=供暖|物业".',
        )
    return name.strip(), wanted
