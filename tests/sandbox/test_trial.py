"""What is told of a program that failed on data (ATTACKS 20, 21, 90), as a table."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.box import Entry
from plans.errors import Malformed, TooLarge
from plans.plan import PlanKind
from plans.trial import LARGEST_FOLDER, Folder, Place, TrialReport, trial_of, twin_of
from sandbox import telling
from sandbox.telling import Failed, Told, Tried, bucket, place_in, told
from tests.plans import examples

CANARY = "canary-5200"
FOLDER = Folder({"main.py": base64.b64encode(b"a\nb\nc").decode(), "lib/x.py": ""}, "main.py", ())
TABLES = (twin_of(examples.MANIFEST),)
TRIAL = trial_of(FOLDER, TABLES)
OTHER = trial_of(replace(FOLDER, arguments=("other",)), TABLES)
HERE, THERE = Place("main.py", 3, "ValueError"), Place("main.py", 2, "ValueError")
REPORT = TrialReport("python.failed", HERE, "ValueError: made-up 17", "log", ())
FAILED = Failed("python.failed", TRIAL.digest, HERE)
TRIED = Tried(TRIAL.digest, REPORT)


def tried(**changes: object) -> Tried:
    return Tried(TRIAL.digest, replace(REPORT, **changes))


# ------------------------------------------------------------------------------------------------- the line


def test_a_line_is_told_where_the_trial_fails_at_the_same_line_and_the_text_is_the_trials() -> None:
    """The control of all that follow."""
    answer = told(FAILED, TRIED)
    assert (answer.line, answer.text) == (HERE, "ValueError: made-up 17")


@pytest.mark.parametrize(
    ("failed", "trial"),
    [
        (FAILED, None),
        (FAILED, tried(place=THERE)),
        (FAILED, tried(place=Place("lib/x.py", 3, "ValueError"))),
        (FAILED, tried(place=None)),
        (FAILED, tried(code="")),
        (FAILED, tried(code="python.memory")),
        (FAILED, Tried(OTHER.digest, REPORT)),
        (FAILED, Tried(replace(TRIAL, seed=TRIAL.seed + 1).digest, REPORT)),
        (FAILED, Tried(replace(TRIAL, tables=()).digest, REPORT)),
        (replace(FAILED, place=None), TRIED),
        (replace(FAILED, place=None), tried(place=None)),
        (replace(FAILED, code="python.outputs"), TRIED),
        (replace(FAILED, place=THERE), TRIED),
    ],
    ids=[
        "no trial", "another line", "another file", "no line in the trial", "the trial went well", "another end",
        "another folder", "another seed", "other tables", "no line on data", "no line at all", "another code",
        "another line on data",
    ],
)  # fmt: skip
def test_otherwise_nothing_but_code_and_sentence_is_told(failed: Failed, trial: Tried | None) -> None:
    sentence, next_step = telling.SENTENCES[failed.code]
    assert told(failed, trial) == Told(failed.code, sentence, next_step, None, "")


def test_an_error_that_depends_on_data_shows_in_the_type_of_a_real_failure_and_is_not_told() -> None:
    """The same line, another exception: what is told is the trial's own, so the answer does not differ."""
    assert told(replace(FAILED, place=replace(HERE, error="KeyError")), TRIED) == told(FAILED, TRIED)


def test_ten_thousand_raise_lines_tell_no_more_than_one_bit() -> None:
    """A program that raises at the line that a row's value names. Its one trial has failed at some line; that is the
    only question it gets an answer to. The control: were any trial taken, one of these would tell the line.
    """
    lines = range(1, 200)
    answers = {
        asked: [
            told(replace(FAILED, place=replace(HERE, line=line)), tried(place=replace(HERE, line=asked)))
            for line in lines
        ]
        for asked in range(1, 50)
    }
    assert all(len(set(each)) == 2 for each in answers.values())
    others = [
        told(FAILED, Tried(replace(TRIAL, seed=seed).digest, REPORT))
        for seed in range(200)
        if seed != TRIAL.seed
    ]
    assert {answer.line for answer in others} == {None}
    assert trial_of(FOLDER, TABLES) == TRIAL


@pytest.mark.parametrize("bad", ["\x1b[2J", "a\rb", "\u202e", "\x00", "x" * (256 * 2**10 + 1)])
def test_what_a_trial_tells_is_text_that_a_terminal_shows_and_does_not_act_on(bad: str) -> None:
    """44. The box cleans it; whoever reads the report does not have to believe that. The control: lines and tabs."""
    for change in ({"log": bad}, {"text": bad}):
        with pytest.raises(Malformed):
            replace(REPORT, **change)
    assert replace(REPORT, log="东\t1\n").log


def test_a_code_that_a_box_made_up_is_not_passed_on() -> None:
    assert told(replace(FAILED, code=CANARY), TRIED).code == "python.failed"
    assert CANARY not in str(told(replace(FAILED, code=CANARY), TRIED))


def test_the_codes_are_a_handful_and_each_says_what_and_what_to_do() -> None:
    """Three bits of a job at the most, and they are counted (docs/python.md)."""
    assert len(telling.SENTENCES) <= 8
    assert all(what and step.endswith(".") for what, step in telling.SENTENCES.values())


# ---------------------------------------------------------------------------------------- facts from a box


@pytest.mark.parametrize(
    "facts",
    [
        {}, {"file": "main.py"}, {"file": "main.py", "line": 0}, {"file": "main.py", "line": 4}, {"line": 1},
        {"file": "main.py", "line": -1}, {"file": "main.py", "line": "2"}, {"file": "main.py", "line": True},
        {"file": "../main.py", "line": 1}, {"file": "/etc/passwd", "line": 1}, {"file": CANARY, "line": 1},
        {"file": "lib/x.py", "line": 2}, {"file": "lib", "line": 1},
    ],
)  # fmt: skip
def test_a_fact_that_is_no_line_of_the_folder_is_no_place(facts: dict[str, str | int]) -> None:
    assert place_in(facts, FOLDER) is None


def test_of_a_place_nothing_but_file_and_line_is_kept() -> None:
    found = place_in({"file": "main.py", "line": 3, "error": CANARY, "text": CANARY}, FOLDER)
    assert found == Place("main.py", 3, "Error")


# ------------------------------------------------------------------------------------------------- buckets


@given(st.floats(0, 10**9), st.floats(0, 10**9))
def test_a_longer_time_is_never_a_shorter_word_and_there_are_six(one: float, other: float) -> None:
    words = [*(word for _, word in telling.SECONDS), telling.LONGEST]
    assert len(words) == 6 and (words.index(bucket(one)) <= words.index(bucket(other)) or one > other)


def test_the_words_begin_and_end_where_they_say() -> None:
    assert [bucket(each) for each in (0, 0.999, 1, 59.9, 60, 3599, 3600)] == [
        "under 1 s", "under 1 s", "under 10 s", "under 1 min", "under 10 min", "under 1 h", "1 h or more",
    ]  # fmt: skip


# -------------------------------------------------------------------------------------- folders and plans


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "path",
    [
        "../x.py", "a/../x.py", "/x.py", "a//x.py", "a/", "", ".env", "a/.git/x", "-rf", "a b.py", "x\n.py",
        "x\u202e.py",         "é.py", "x" * 101, "a/b/c/d/e/f/g/h/i.py", "~/x.py", "con:x", "a\\b.py", "x\0",
    ],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_or_looks_like_it_is_refused(path: str) -> None:
    with pytest.raises(Malformed):
        Folder({"main.py": "", path: ""}, "main.py", ())


@pytest.mark.parametrize("path", ["x.py", "a/b/__init__.py", "data/TABLE-1.v2.csv", "_a", "a..b"])
def test_ordinary_paths_are_none_of_that(path: str) -> None:
    assert Folder({"main.py": "", path: encoded(b"x")}, "main.py", ()).content()[path] == b"x"


@pytest.mark.parametrize(
    "change",
    [
        {"files": {}}, {"files": {"main.py": "YQ"}}, {"files": {"main.py": "YQ==\n"}}, {"files": {"main.py": "YR=="}},
        {"files": {"main.py": "!"}}, {"files": {"main.py": "", "a": "", "a/b": ""}}, {"main": "none.py"},
        {"main": "lib"},
        {"files": {"main.py": "", "data.txt": ""}, "main": "data.txt"}, {"arguments": ("a\nb",)},
        {"arguments": ("x" * 1025,)}, {"arguments": ("a",) * 65},
    ],
)  # fmt: skip
def test_a_folder_that_contradicts_itself_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        replace(FOLDER, **change)


def test_a_folder_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        Folder({"main.py": "", **{f"f{n}": "" for n in range(500)}}, "main.py", ())
    with pytest.raises(TooLarge):
        Folder({"main.py": "", "big": encoded(b"x" * (LARGEST_FOLDER + 3))}, "main.py", ())


def test_a_trial_is_a_plan_without_key_or_input() -> None:
    box = replace(examples.PLAN.stages[0], entry=Entry.PYTHON, inputs=())
    plan = replace(
        examples.PLAN, kind=PlanKind.TRIAL, request=None, request_signature="", decision=None, program=None,
        material=examples.TRIAL.canonical().decode(), stages=(box,),
    )  # fmt: skip
    assert plan.kind.keyless
    with pytest.raises(Malformed):
        replace(plan, stages=(replace(box, inputs=examples.PLAN.stages[0].inputs),))
