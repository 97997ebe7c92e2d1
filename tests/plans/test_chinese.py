"""What the house says has Chinese: nothing missing, nothing that nobody says; values are carried over as they are.

Sentences are read from the source of the modules that say them (`said`, `sentences`), so that a new one without Chinese
fails here, and names itself.
"""

from __future__ import annotations

import contextlib
import re
import string
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans.chinese import (
    CATALOGUE,
    LONGEST,
    MOST_SENTENCES,
    MOST_STEPS,
    NEXT_SENTENCE,
    PHRASE,
    Said,
    Search,
    StepsSpentError,
    catalogue,
    entries,
    in_chinese,
)
from plans.errors import BoxFailed, BoxLimit, DarkroomError, Refused, from_problem
from sandbox.stage import KILLED
from tests.plans import said
from tests.plans.sentences import Module

ENTRIES = list(entries(CATALOGUE.read_text(encoding="utf-8")))
SENTENCES = {english: told for context, english, told in ENTRIES if context != PHRASE}
PHRASES = {english: told for context, english, told in ENTRIES if context == PHRASE}
PLACE = re.compile(r"\{\d+[^}]*\}")
HAN = re.compile(r"[\u4e00-\u9fff]")
CODE = re.compile(r"[A-Z_]{4,}|\(|chmod")
"""Text to copy, which is the same in every language."""

WORDS = st.text(string.ascii_letters + string.digits + "_/<>&'\"{}%", min_size=1, max_size=12)


TEMPLATES = {each: Said.of(each, told) for each, told in SENTENCES.items() if PLACE.search(each)}


def wider(sentence: str) -> set[str]:
    """Return entries with a value where a sentence has one word: `there is no {1}` for `there is no age`."""
    filled = PLACE.sub("v", sentence)
    fits = ((each, entry.values(filled)) for each, entry in TEMPLATES.items())
    return {
        each
        for each, apart in fits
        if apart is not None and all(len(value.split()) == 1 for value in apart[0])
    }


def missing(sentences: Iterable[tuple[str, str]]) -> list[str]:
    """Return what has no Chinese, with where it is said; of a text of several sentences each counts."""
    return sorted(
        {
            f"{where}: {each}"
            for each, where in sentences
            if each not in SENTENCES
            and not all(part in SENTENCES for part in said.parts(each))
            and not wider(each)
        }
    )


def test_every_sentence_that_a_researcher_can_meet_has_chinese() -> None:
    found = said.sentences()
    assert len(found) > 2000, "the sentences were found at all"
    assert missing(found) == [], "add them to plans/chinese.po"


def test_every_phrase_that_stands_in_a_sentence_has_chinese() -> None:
    assert [f"{where}: {each}" for each, where in said.phrases() if each not in PHRASES] == []


def test_nothing_is_translated_that_nobody_says() -> None:
    known = {each for each, _ in said.sentences()}
    known |= {part for each in known if each not in SENTENCES for part in said.parts(each)}
    known |= {entry for each in known if each not in SENTENCES for entry in wider(each)}
    assert sorted(set(SENTENCES) - known) == []
    assert sorted(set(PHRASES) - {each for each, _ in said.phrases()}) == []


def test_no_sentence_is_there_twice() -> None:
    assert len(ENTRIES) == len(SENTENCES) + len(PHRASES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise Malformed("one")', {"one"}),
        ('raise Malformed(f"no {name!r} in {place}", "where", "Do it.")', {"no {1} in {2}", "Do it."}),
        ('raise Malformed("one" if x else f"two {c}")', {"one", "two {1}"}),
        ('TOLD = {1: ("first", "Then.")}\nraise BoxFailed(TOLD[k][0], "", TOLD[k][1])', {"first", "Then."}),
        ("def f(what):\n    raise Malformed(what)\n\nf('said there')", {"said there"}),
        ("def f():\n    a, b = 'it is', 'It helps.'\n    raise Malformed(a, '', b)", {"it is", "It helps."}),
        ('raise (BoxLimit if x else BoxFailed)("it ended")', {"it ended"}),
        ('raise Malformed(problem.what, "", "Go on.")', {"Go on."}),
        ('raise ValueError("not for people")', set()),
    ],
)  # fmt: skip
def test_what_a_module_says_is_read_from_its_source(source: str, expected: set[str]) -> None:
    """The control of all above: what is not found could not be missing."""
    assert {each for each, _ in Module.of(source).sentences()} == expected


def test_a_sentence_without_chinese_is_named() -> None:
    """The control: the check can fail."""
    new = [("the moon is in the way", "x.py:1"), ("Use the moon", "x.py:2")]
    there = [("the box was cancelled", "x.py:3"), ("there is no column income", "x.py:4")]
    assert missing(new + there) == ["x.py:1: the moon is in the way", "x.py:2: Use the moon"]


# --- what is translated, and what never is -----------------------------------------------------


def numbers(text: str) -> list[int]:
    return sorted(int(re.sub(r"\D", "", found)) for found in PLACE.findall(text))


def test_every_value_is_carried_over_once() -> None:
    for english, told in SENTENCES.items():
        assert numbers(english) == numbers(told) == list(range(1, len(numbers(english)) + 1)), english


def test_chinese_is_chinese_and_ends_as_the_english_does() -> None:
    for english, told in SENTENCES.items():
        assert HAN.search(told) or (told == english and CODE.search(english)), english
        assert not english.endswith(".") and not told.endswith(("。", ".")), english


def test_commands_and_code_are_the_same_in_both() -> None:
    """What a reader copies must not be changed: commands, options, names of files and settings."""
    copied = re.compile(
        r"darkroom-server [a-z]+|docs/[\w.-]+\w|images/[a-z]+|%%?[a-z]+|[a-z]+\.toml|chmod \S*[+=]\S*"
    )
    for english, told in SENTENCES.items():
        for text in copied.findall(english.replace("`", "")):
            assert text in told, english


@given(st.data())
def test_values_are_never_changed_and_never_translated(data: st.DataObject) -> None:
    english = data.draw(st.sampled_from(sorted(each for each in SENTENCES if PLACE.search(each))))
    values = data.draw(st.lists(WORDS, min_size=len(numbers(english)), max_size=len(numbers(english))))
    sentence = PLACE.sub(lambda found: values[int(found[0][1:-1]) - 1], english)
    told = in_chinese(sentence)
    if told == sentence:
        return  # two ways to take it apart, or a heavier entry that fits: then it stays English
    for value in values:
        assert told.count(value) >= 1, (english, sentence, told)


def test_most_templates_are_filled_in() -> None:
    """The control of the property above, which a translator that does nothing would have."""
    values = iter(f"v{number}" for number in range(100_000))
    filled = [PLACE.sub(lambda _: next(values), english) for english in SENTENCES]
    assert sum(in_chinese(each) != each for each in filled) > 0.97 * len(filled)


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("there is no column the box was cancelled", "没有列 the box was cancelled"),
        ("there is no column <script>alert(1)</script>", "没有列 <script>alert(1)</script>"),
        ("there is no column {1}", "没有列 {1}"),
        ("No grant on nm/tax/income fits li@nm/tax, project jobs and this purpose.",
         "nm/tax/income 上没有适合 li@nm/tax、项目 jobs 与此用途的授权。"),
        ("tax.income.amount is the person token; it joins relations and counts persons, nothing else.",
         "tax.income.amount 是个人代号；只用于关联关系表与计人数。"),
    ],
)  # fmt: skip
def test_what_people_wrote_stays_what_they_wrote(sentence: str, told: str) -> None:
    assert in_chinese(sentence) == told


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "nobody says this",
        "Binder Error: column x is no column y",
        "the box reached its limit of memory and then some",
        "No grant on a fits b, project c, project d and this purpose.",
        "the box was cancelled. Nobody says this.",
        "there is no " * 2000,
    ],
)
def test_what_is_not_known_or_not_settled_stays_english(sentence: str) -> None:
    assert in_chinese(sentence) == sentence


def test_a_sentence_within_a_sentence_is_translated_where_the_catalogue_says_so() -> None:
    denied = "tax.income.id identifies people directly; no statement may use it, and 2 more: see `darkroom explain`"
    assert (
        in_chinese(denied)
        == "tax.income.id 可直接识别个人；任何语句都不能使用，另有 2 项：见 darkroom explain"
    )
    assert in_chinese("a window is not in the subset") == "窗口 不在可用子集内"
    assert in_chinese("a window") == "a window", "a phrase by itself is nobody's sentence"


def test_several_sentences_are_translated_one_by_one_or_not_at_all() -> None:
    both = "The output does not leave. The result has more cells than may leave at once."
    assert in_chinese(both) == "产出不能出域。结果的单元格超过一次可以出域的数量。"


@pytest.mark.parametrize("cause", KILLED, ids=str)
def test_why_a_box_ended_is_said_in_chinese_and_recorded_in_english(cause: str) -> None:
    kind = BoxLimit if "limit" in KILLED[cause][0] else BoxFailed
    problem = kind(KILLED[cause][0], cause, KILLED[cause][1])
    assert HAN.search(in_chinese(problem.what)) and HAN.search(in_chinese(problem.next_step))
    sent = from_problem(problem.problem())
    assert not HAN.search(str(sent)) and str(sent) == str(problem), (
        "an error itself is English, on its way too"
    )


def test_the_advice_of_every_error_has_chinese() -> None:
    waiting: list[type[DarkroomError]] = [DarkroomError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__ == Refused.__module__:
            assert HAN.search(in_chinese(kind.advice)), kind


# --- attacks on the matching -----------------------------------------------------


# Each `. A` is a place where a sentence may end, and the prefixes fit in two ways, on three levels. Steps are counted,
# and never seconds.
STATES = "the job is a; the job is b; the job is c; "
PARTS = " does not allow its part of the statement: "
WITHIN = sorted(english for english, told in SENTENCES.items() if ":sentence}" in told)
PREFIXES = sorted({part for english in WITHIN for part in PLACE.split(english) if part.strip()})
HOSTILE = [
    *(STATES + "x. A" * number for number in (16, 32, 64, 450, 4900)),
    STATES + STATES + PARTS * 8 + "x. A" * 64,
    PARTS + "x. A" * 92,
    PARTS * 2 + "x. A" * 240,
    "There is no column , and . is are in of to than: " * 380,
    "There is no column , and . is are in of to than. A" * 380,
]


def steps(text: str, most: int = MOST_STEPS) -> int:
    """Return how many sentences are tried for a text of any length, `most` at the most."""
    search = Search(catalogue(), most)
    with contextlib.suppress(StepsSpentError):
        search.text(text)
    return search.taken


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: f"{text[:12]}-{len(text)}")
def test_a_hostile_text_costs_a_fixed_number_of_steps(hostile: str) -> None:
    taken, told = steps(hostile), in_chinese(hostile)
    assert taken <= MOST_STEPS
    assert told == hostile or (taken < MOST_STEPS and told.endswith(hostile.removeprefix(PARTS))), (
        "what is not settled in time stays English"
    )


def test_without_the_budget_the_steps_explode() -> None:
    """The control: what the texts above would take; they grow as the cube of their length."""
    few, more = (steps(STATES + "x. A" * number, 10**6) for number in (8, 32))
    assert more > 10_000 > few > MOST_STEPS and more > 4**2 * few


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([*PREFIXES, STATES, PARTS]), min_size=1, max_size=12),
    st.sampled_from(["x. A", "x. The job is a; ", "; the job is. A", ". `", " and "]),
    st.integers(1, 20_000),
)
def test_any_composition_of_prefixes_costs_a_fixed_number_of_steps(
    prefixes: list[str], tail: str, length: int
) -> None:
    hostile = ("".join(prefixes) + tail * length)[:length]
    assert steps(hostile) <= MOST_STEPS


def test_a_text_without_its_steps_is_not_believed_in_part() -> None:
    """Were the inner sentence merely not known then, half of a text would be told, and as if it were settled."""
    denied = "tax.income.id identifies people directly; no statement may use it, and 2 more: see `darkroom explain`"
    needed = steps(denied)
    assert Search(catalogue(), needed).text(denied)
    for most in range(needed):
        with pytest.raises(StepsSpentError):
            Search(catalogue(), most).text(denied)


def test_every_sentence_of_the_house_needs_few_steps() -> None:
    """The other side of the budget: it never keeps a sentence from a reader, nor a dozen together."""
    plain = [PLACE.sub("v", english) for english in SENTENCES]
    assert max(map(steps, plain)) < MOST_STEPS / 20
    apart = [each for each in plain if NEXT_SENTENCE.match(f". {each}") and ". " not in each]
    told = [". ".join(apart[at : at + MOST_SENTENCES]) for at in range(0, len(apart), MOST_SENTENCES)]
    assert len(told) > 20 and all(HAN.search(in_chinese(each)) for each in told)
    assert max(map(steps, told)) < MOST_STEPS / 2 and max(map(len, told)) < LONGEST


def test_a_text_is_looked_up_to_its_longest() -> None:
    column = "x" * (LONGEST - len("there is no column "))
    assert in_chinese("there is no column " + column) == "没有列 " + column
    longer = "there is no column x" + column
    assert in_chinese(longer) == longer


def test_an_entry_that_fits_in_two_ways_says_so() -> None:
    entry = Said.of("{1} of {2}", "{2} 的 {1}")
    assert entry.values("a of b") == (("a", "b"), ("a", "b"))
    assert entry.values("a of b of c") == (("a", "b of c"), ("a of b", "c"))
    assert entry.values("a or b") is None


def test_a_damaged_catalogue_is_noticed() -> None:
    with pytest.raises(ValueError, match="line 2"):
        list(entries('msgid "a"\nmsgstr a\n'))
    assert list(entries('# c\n\nmsgid ""\nmsgstr "head"\nmsgid "a"\nmsgstr "甲"\n')) == [("", "a", "甲")]
    assert catalogue() is catalogue()
