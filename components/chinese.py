"""Words of Chinese text: rjieba, which has the dictionary and the algorithm of jieba."""

from __future__ import annotations

import re
from collections.abc import Iterable

_WORD = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]{2,12}|[A-Za-z]{3,24}")
"""Words of two characters at least. What holds digits is no word: numbers, phones and identifiers stay inside."""

_NAMES = frozenset({"nr", "nrfg", "nrt"})
"""The tags that the dictionary gives to names of persons."""


def tokens(text: str) -> list[tuple[str, str]]:
    """Return the words of a text in their order, each with its part of speech."""
    import rjieba

    return [(word.lower(), tag) for word, tag in rjieba.tag(text)]


def terms(text: str, left_out: Iterable[str] = ()) -> list[str]:
    """Return the words of a text that may be keywords: no names of persons, numbers, single characters."""
    out = set(left_out)
    return [
        word for word, tag in tokens(text) if _WORD.fullmatch(word) and tag not in _NAMES and word not in out
    ]
