"""The rules for metrics, reports, pictures and models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

from airlock.outputs import identifiers, wording
from airlock.outputs.cells import holds_exact, is_perfect
from airlock.outputs.ground import Book, Ground
from airlock.outputs.models import DIGITS, dumped, reread
from airlock.outputs.rules import OutputRule
from airlock.outputs.sheet import Shown
from airlock.outputs.values import Unfit, require_name
from airlock.rules import count, digits, plain
from plans.inspection import Effect

_WHOLE_TEXT = re.compile(r"-?[0-9]{1,16}")
_DOUBLE_TEXT = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?")

_NUMBER = re.compile(
    r"(?<![\w.])[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
)
_COUNTED = re.compile(
    r"(?:\bn\s*=\s*|\bonly )([0-9]+)"
    r"|\b([0-9]+)\s*(?:of\b|persons?|people|patients?|cases?|women|men|households?|firms?|人|户|例|名|家)",
    re.IGNORECASE,
)
_SPELLED = re.compile(r"[一二三四五六七八九十百千万两零〇]{3,}")
_PARTS = re.compile(r"[\s,，、;；:：。|（）()\"'“”]+")
_QUOTED = re.compile(
    r"\"[^\"\n]{40,}\"|“[^”\n]{40,}”|“(?=[^”\n]*[\u4e00-\u9fff])[^”\n]{12,}”|[「『][^」』\n]{12,}[」』]|^\s*>\s*\S.{20,}",
    re.MULTILINE,
)
"""What somebody said, word for word: it is one person's, and no number in it says so."""

MOST_PLAIN = 100
"""Metrics from which on they could be rows; people look at more."""

MOST_NUMBERS, LARGEST_PLAIN, LONGEST_WORD = 40, 100, 40
"""Numbers that a text may have; up to where whole ones need no rounding; how long a word may be."""


# --- metrics ------------------------------------------------------------------------------------------------


def judge_metrics(found: Mapping[str, Any], name: str, ground: Ground, book: Book) -> dict[str, Shown]:
    """Return metrics as they may leave; the book says by which rules they do not.

    Raises:
        Unfit: these are not metrics as the first box writes them.
    """
    numbers = {require_name(each): _number(value) for each, value in found.items()}
    if any(map(holds_exact, numbers)):
        raise Unfit(OutputRule.COLUMN_NAMES)
    many = ground.members_code and len(numbers) > MOST_PLAIN
    single = ground.members_code and any(map(wording.numbers_person, numbers))
    book.note(OutputRule.ROW_LEVEL, name, Effect.HELD if many or single else Effect.PASSED, len(numbers))
    persons = _persons(numbers)
    _look_at_fit(numbers, persons, name, (ground, book))
    hits = sum(map(identifiers.holds_identifier, numbers)) + identifiers.numbers_identify(
        map(str, found.values())
    )
    book.note(OutputRule.IDENTIFIERS, name, Effect.REFUSED if hits else Effect.PASSED, hits)
    small = {each for each, value in numbers.items() if _is_small(each, found[each], value, ground.minimum)}
    extremes = {each for each in numbers if wording.says_extreme(each)}
    book.withheld(OutputRule.SMALL_GROUP, name, len(small), minimum=ground.minimum)
    book.withheld(OutputRule.EXTREMES, name, len(extremes))
    book.note(OutputRule.ROUNDING, name, Effect.REPAIRED, len(numbers), base=ground.base)
    return {
        each: False if each in small | extremes else _rounded(each, found[each], persons, ground.base)
        for each in sorted(numbers)
    }


def _number(value: Any) -> Decimal:
    if not isinstance(value, str) or not (_WHOLE_TEXT.fullmatch(value) or _DOUBLE_TEXT.fullmatch(value)):
        raise Unfit(OutputRule.UNREADABLE)
    return Decimal(value)


def _is_count(name: str, text: str) -> bool:
    whole = bool(_WHOLE_TEXT.fullmatch(text)) or Decimal(text) == Decimal(text).to_integral_value()
    return (
        whole
        and not wording.says_setting(name)
        and not wording.says_measure(name)
        and not wording.says_fit(name)
    )


def _is_small(name: str, text: str, value: Decimal, minimum: int) -> bool:
    return bool(_WHOLE_TEXT.fullmatch(text)) and _is_count(name, text) and 0 < abs(value) < minimum


def _rounded(name: str, text: str, persons: int | None, base: int) -> str:
    value = Decimal(text)
    if _WHOLE_TEXT.fullmatch(text):
        if wording.says_setting(name):
            return str(int(value))
        if _is_count(name, text):
            return str(count(int(value), base))
    kept = DIGITS if persons is None else min(DIGITS, digits(persons, base))
    return plain(Context(prec=kept, rounding=ROUND_HALF_EVEN).plus(value))


def _persons(numbers: Mapping[str, Decimal]) -> int | None:
    """Return the smallest of the metrics that say on how many persons the others rest."""
    found = [int(value) for each, value in numbers.items() if wording.says_size(each)]
    return max(min(found), 0) if found else None


def _look_at_fit(
    numbers: Mapping[str, Decimal], persons: int | None, name: str, judged: tuple[Ground, Book]
) -> None:
    ground, book = judged
    least = ground.obligations.checks.degrees
    low = sum(wording.says_degrees(each) and value < least for each, value in numbers.items())
    fitted = [value for each, value in numbers.items() if wording.says_parameters(each)]
    low += persons is not None and bool(fitted) and persons - max(fitted) < least
    perfect = sum(is_perfect(each, [value]) for each, value in numbers.items())
    few = persons is not None and persons < ground.minimum
    for rule, struck in (
        (OutputRule.DEGREES, low),
        (OutputRule.SATURATED, perfect),
        (OutputRule.SMALL_GROUP, few),
    ):
        book.note(rule, name, Effect.REFUSED if struck else Effect.PASSED, int(struck))


# --- reports ------------------------------------------------------------------------------------------------


def judge_report(text: str, name: str, ground: Ground, book: Book) -> str:
    """Return a report's text; the book says whether it is refused, or whether people have to look at it."""
    plain = identifiers.normal(text)
    hits = identifiers.holds_identifier(text)
    book.note(OutputRule.IDENTIFIERS, name, Effect.REFUSED if hits else Effect.PASSED, int(hits))
    numbers = _NUMBER.findall(plain)
    unrounded = sum(_is_unrounded(each, ground.base) for each in numbers)
    small = sum(0 < int(a or b) < ground.minimum for a, b in _COUNTED.findall(plain))
    spelled = len(_SPELLED.findall(plain))
    look = bool(unrounded or small or spelled or len(numbers) > MOST_NUMBERS or _extreme_value(plain))
    book.note(
        OutputRule.UNROUNDED_TEXT,
        name,
        Effect.HELD if look else Effect.PASSED,
        unrounded + small,
        numbers=len(numbers),
    )
    rows = sum(1 for line in plain.splitlines() if len(_NUMBER.findall(line)) >= 3) >= 3
    words = [word for word in _PARTS.split(text) if word]
    named = sum(map(identifiers.is_name, words)) >= 3
    book.note(OutputRule.ROW_LEVEL, name, Effect.HELD if rows or named else Effect.PASSED)
    packed = any(len(word) > LONGEST_WORD and word.isascii() for word in words)
    quoted = ground.members_code and bool(_QUOTED.search(text))
    book.note(OutputRule.FREE_TEXT, name, Effect.HELD if packed or quoted else Effect.PASSED)
    return text


def _is_unrounded(text: str, base: int) -> bool:
    """Return whether a number in a text is a count that is no multiple of the base, or has more digits than four."""
    value = Decimal(text.replace(",", ""))
    if value == value.to_integral_value() and "." not in text:
        year = 1900 <= value <= 2100
        return abs(value) >= LARGEST_PLAIN and not year and int(value) % base != 0
    return len(value.normalize().as_tuple().digits) > DIGITS


def _extreme_value(text: str) -> bool:
    """Return whether a text names a smallest or largest value."""
    return bool(
        re.search(
            r"\b(?:min|max|minimum|maximum|highest|lowest|largest|smallest)\b[^.\n]{0,20}[0-9]|最[大小高低][^。\n]{0,10}[0-9]",
            text,
            re.IGNORECASE,
        )
    )


# --- models -------------------------------------------------------------------------------------------------


def judge_model(found: Mapping[str, Any], name: str, ground: Ground, book: Book) -> bytes:
    """Return a model in JSON as it may leave, its counts rounded; the book says whether it holds small parts.

    Raises:
        Unfit: this is not a model as the first box writes it.
    """
    model = reread(found)
    parts = _parts(model)
    few = sum(1 for persons in parts if persons < ground.minimum)
    book.note(
        OutputRule.STRUCTURE,
        name,
        Effect.REFUSED if few else Effect.PASSED,
        few,
        parts=len(parts),
        smallest=min(parts),
    )
    left = min(parts) - len(model["features"]) - 1 if model["kind"] == "linear" else None
    low = left is not None and left < ground.obligations.checks.degrees
    book.note(OutputRule.DEGREES, name, Effect.REFUSED if low else Effect.PASSED, int(low))
    hits = sum(map(identifiers.holds_identifier, model["features"]))
    book.note(OutputRule.IDENTIFIERS, name, Effect.REFUSED if hits else Effect.PASSED, hits)
    return dumped(_counts_rounded(model, ground.base))


def _parts(model: Mapping[str, Any]) -> list[int]:
    """Return how many persons every part of a model rests on."""
    if model["kind"] == "centres":
        return list(model["persons"])
    leaves = [
        persons
        for tree in model.get("trees", [])
        for persons, feature in zip(tree["persons"], tree["feature"], strict=True)
        if feature == -1
    ]
    return [model["persons"], *leaves]


def _counts_rounded(value: Any, base: int, counted: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {key: _counts_rounded(each, base, key == "persons") for key, each in value.items()}
    if isinstance(value, list):
        return [_counts_rounded(each, base, counted) for each in value]
    return count(value, base) if counted and isinstance(value, int) else value
