"""The house's sentences in Chinese, for whoever shows them: said in English, translated when they are looked at.

Errors, reasons, records, logs and what programs read are English, and stay so. A display, a panel or a page that a
person reads in Chinese asks here, by the sentence itself. The catalogue, `chinese.po` beside this module, has a line
for every sentence that a researcher can meet; a test reads the modules that say them and fails where one is missing.

    msgid "there is no column {1}"      values are numbered in the order in which they stand in English
    msgstr "没有列 {1}"                   each comes once; `{1:sentence}` is itself a sentence of the house

Values are people's text, names and numbers. They are carried over letter by letter and never looked up, but where the
catalogue says that a sentence of the house stands there. A sentence that is not in the catalogue, or that can be taken
apart in two ways that would read differently, stays English as it is. What comes back is text like what went in: who
writes HTML escapes it as before.

Others may have written the text (a false launcher, keeper or agent), and taking it apart can need very many tries. So
a text may be no longer than `LONGEST`, and has `MOST_STEPS` tries; if they do not suffice, all of it stays English.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CATALOGUE = Path(__file__).with_suffix(".po")
LONGEST = 2_000
"""Characters of a text that is looked up; a longer one stays as it is. The longest advice of a dozen rules of the
airlock has about 1,300.
"""

MOST_STEPS = 200
"""Sentences that are tried for one text, those within sentences too. What the house says needs far fewer (tests)."""

DEEPEST = 3
"""Sentences within sentences."""

MOST_SENTENCES = 12
"""Sentences that one text is taken apart into."""

WEAK = 12
"""Letters; a template with fewer, and none before its first value, is believed where every value is one word."""

_LINE = re.compile(r'^(msgctxt|msgid|msgstr) ("(?:[^"\\]|\\.)*")$')
_VALUE = re.compile(r"\{(\d+)(:sentence)?\}")
NEXT_SENTENCE = re.compile(r"\. (?=[A-Z`'\"{(])")
PHRASE = "phrase"
"""The context of words that are looked up where they stand in a sentence, and never by themselves."""


@dataclass(frozen=True, slots=True)
class Said:
    """An entry of the catalogue: what stands around the values in English, and the parts of the Chinese sentence.

    Of `chinese` a text is a text, and a number is the place of a value; a negative one of a value that is a sentence.
    """

    around: tuple[str, ...]
    chinese: tuple[str | int, ...]

    @classmethod
    def of(cls, english: str, chinese: str) -> Said:
        """Read an entry."""
        parts: list[str | int] = []
        last = 0
        for found in _VALUE.finditer(chinese):
            parts += [chinese[last : found.start()], -int(found[1]) if found[2] else int(found[1])]
            last = found.end()
        return cls(tuple(_VALUE.split(english)[::3]), (*parts, chinese[last:]))

    @property
    def weight(self) -> int:
        """How much of a sentence is the house's own; of two entries that fit, the heavier is meant."""
        return sum(map(len, self.around))

    @property
    def weak(self) -> bool:
        """Whether this would fit much that the house never said."""
        letters = sum(sign.isalpha() for text in self.around for sign in text)
        return letters < WEAK and not any(sign.isalpha() for sign in self.around[0])

    def values(self, text: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        """Return the values of a text that fits, the first ones as short as they can be, and then as long; or none.

        Both are the same where there is but one way to take the text apart. The time it takes is linear.
        """
        first, last = self.around[0], self.around[-1]
        if not (text.startswith(first) and text.endswith(last) and len(first) + len(last) <= len(text)):
            return None
        middle, between = text[len(first) : len(text) - len(last)], self.around[1:-1]
        short = _apart(middle, between)
        if short is None:
            return None
        back = _apart(middle[::-1], tuple(each[::-1] for each in reversed(between)))
        return short, tuple(each[::-1] for each in reversed(back or ()))


def _apart(text: str, between: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return what stands beside `between`, each text of which is found as early as it can be; none if one is not."""
    found, at = [], 0
    for each in between:
        place = text.find(each, at)
        if place < 0:
            return None
        found.append(text[at:place])
        at = place + len(each)
    return (*found, text[at:])


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All entries: those without a value by their text, the others by weight, the heaviest first."""

    plain: dict[str, str]
    phrases: dict[str, str]
    templates: tuple[Said, ...]

    def text(self, text: str) -> str | None:
        """Return a text of one or several sentences in Chinese, or none."""
        if len(text) > LONGEST:
            return None
        try:
            return Search(self).text(text)
        except StepsSpentError:
            return None


class StepsSpentError(Exception):
    """A text had its tries, and is not settled yet."""


@dataclass(slots=True)
class Search:
    """The search for one text in the catalogue; every sentence that is tried is a step of `most`."""

    catalogue: Catalogue
    most: int = MOST_STEPS
    taken: int = 0

    def text(self, text: str, deep: int = DEEPEST, *, inner: bool = False) -> str | None:
        """Return a text of one or several sentences in Chinese, or none.

        Raises:
            StepsSpentError: it needs more steps than it has. Then nothing of it is believed: to go on as if a sentence
                within were not known would settle what is not settled.
        """
        return (self._each(text, deep, MOST_SENTENCES) or self._one(text, deep, inner)) if deep else None

    def _each(self, text: str, deep: int, most: int) -> str | None:
        """Return a text of several sentences, of which each is known by itself."""
        for found in NEXT_SENTENCE.finditer(text):
            if most <= 1:
                return None
            head, rest = text[: found.start() + 1], text[found.end() :]
            first = self._one(head, deep, False)
            if first is not None:
                after = self._each(rest, deep, most - 1) or self._one(rest, deep, False)
                return None if after is None else first + after
        return None

    def _one(self, text: str, deep: int, inner: bool) -> str | None:
        if self.taken >= self.most:
            raise StepsSpentError
        self.taken += 1
        body, end = (text[:-1], "。") if text.endswith(".") and not text.endswith("..") else (text, "")
        known = self.catalogue.plain.get(body) or (self.catalogue.phrases.get(text) if inner else None)
        if known is None:
            known = next((told for told in self._filled(body, deep)), None)
        return None if not known else known if known.endswith(("。", "？")) and end else known + end

    def _filled(self, body: str, deep: int) -> Iterator[str]:
        """Yield the heaviest entry that fits, filled in; an empty text where its values are not settled."""
        for said in self.catalogue.templates:
            apart = said.values(body)
            if apart is None or not all(_fits(said, values) for values in apart):
                continue
            short, long = apart
            told = self._written(said, short, deep)
            yield told if short == long or told == self._written(said, long, deep) else ""

    def _written(self, said: Said, values: tuple[str, ...], deep: int) -> str:
        told = []
        for part in said.chinese:
            if isinstance(part, str):
                told.append(part)
            elif part > 0:
                told.append(values[part - 1])
            else:
                value = values[-part - 1]
                told.append(self.text(value, deep - 1, inner=True) or value)
        return "".join(told)


def _fits(said: Said, values: tuple[str, ...]) -> bool:
    """Return whether these can be values of an entry: no second sentence, unless it may be one of the house."""
    whole = {-part - 1 for part in said.chinese if isinstance(part, int) and part < 0}
    for place, value in enumerate(values):
        if place not in whole and (NEXT_SENTENCE.search(value) or (said.weak and len(value.split()) > 1)):
            return False
    return True


def entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield context, English and Chinese of every entry of a catalogue: the part of gettext's form that it needs.

    Raises:
        ValueError: a line is neither an entry's, empty nor a comment; a defect, which tests find.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        said = _LINE.match(line)
        if said is None:
            raise ValueError(f"line {number} of the catalogue is no line of an entry")
        found[said[1]] = json.loads(said[2]) if "\\" in said[2] else said[2][1:-1]
        if said[1] == "msgstr":
            if found["msgid"]:  # the entry of the empty text is the file's head
                yield found.get("msgctxt", ""), found["msgid"], found["msgstr"]
            found = {}


@cache
def catalogue() -> Catalogue:
    """Return the catalogue, read once."""
    plain, phrases, templates = {}, {}, []
    for context, english, chinese in entries(CATALOGUE.read_text(encoding="utf-8")):
        if context == PHRASE:
            phrases[english] = chinese
        elif _VALUE.search(english):
            templates.append(Said.of(english, chinese))
        else:
            plain[english] = chinese
    return Catalogue(plain, phrases, tuple(sorted(templates, key=lambda said: -said.weight)))


def in_chinese(sentence: str) -> str:
    """Return a sentence of the house in Chinese, or the sentence itself where it is not in the catalogue."""
    return catalogue().text(sentence) or sentence
