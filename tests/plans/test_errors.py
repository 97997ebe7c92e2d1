"""Errors address a person, have one code each, and survive the way through an API."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.api import refusal
from airlock.outputs.rules import OutputRule
from airlock.rules import Rule
from plans import errors
from plans.errors import LONGEST_TOLD, DarkroomError, by_code, from_problem
from tools import errors_reference

ROOT = Path(__file__).resolve().parents[2]
KINDS = sorted(by_code().values(), key=lambda kind: kind.code)
EXIT_CODES = range(1, 8)


def declared() -> list[type[DarkroomError]]:
    return [
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type) and issubclass(thing, DarkroomError) and thing is not DarkroomError
    ]


def test_no_two_errors_share_a_code() -> None:
    codes = [kind.code for kind in declared()]
    assert len(codes) == len(set(codes)) == len(by_code())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_an_error_has_a_code_a_status_an_exit_code_advice_and_a_meaning(kind: type[DarkroomError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", kind.code)
    assert 400 <= kind.status <= 599 and kind.exit_code in EXIT_CODES
    assert kind.advice.endswith(".") and (kind.__doc__ or "").strip().endswith(".")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_an_error_survives_the_way_through_a_problem_document(kind: type[DarkroomError]) -> None:
    sent = kind("the file has no header", "line 1", "Add one.")
    received = from_problem(sent.problem())
    assert type(received) is kind
    assert (received.what, received.where, received.next_step) == (sent.what, sent.where, sent.next_step)
    assert sent.problem()["status"] == kind.status and kind.code in sent.problem()["type"]


def test_an_error_says_what_where_and_the_next_step() -> None:
    text = str(errors.IngestRefused("the column `age` holds text", "row 7"))
    assert text == f"the column `age` holds text (row 7). {errors.IngestRefused.advice} [ingest.refused]"


@pytest.mark.parametrize(
    "problem", [{}, {"code": "no.such"}, {"code": 7}, {"code": "darkroom"}, {"code": ["a"]}]
)
def test_a_problem_that_nobody_knows_still_reads_as_a_refusal(problem: dict[str, object]) -> None:
    assert from_problem(problem).exit_code != 0


# --- texts that others wrote have an end -----------------------------------------------------

TEXTS = ("title", "where", "next_step")
SIGNS = st.sampled_from(["a", " ", ". ", "\x1b", "\u202e", "\U0001f512", "\U000e0001", "列", "\n", "\\"])


def told(problem: DarkroomError) -> tuple[str, str, str]:
    return problem.what, problem.where, problem.next_step


@given(st.lists(SIGNS, min_size=1, max_size=5), st.integers(1, 20_000))
def test_no_text_of_an_answer_is_longer_than_an_error_may_be(signs: list[str], length: int) -> None:
    text = ("".join(signs) * length)[:length]
    received = from_problem({"code": "rule.refused"} | dict.fromkeys(TEXTS, text))
    assert all(len(each) <= LONGEST_TOLD for each in told(received))
    if length > LONGEST_TOLD:
        assert all(each.endswith(f"… (cut; it had {length:,} characters)") for each in told(received))
    assert told(from_problem(received.problem())) == told(received), "the next on its way cuts nothing more"


@pytest.mark.parametrize("length", [1, LONGEST_TOLD - 1, LONGEST_TOLD])
def test_a_text_that_is_not_too_long_is_whole(length: int) -> None:
    assert told(from_problem(dict.fromkeys(TEXTS, "x" * length))) == ("x" * length,) * 3


def test_the_longest_that_the_house_says_is_whole() -> None:
    """A list of many columns, and an output that every rule refuses."""
    columns = ", ".join(f"a_column_of_some_{number}" for number in range(150))
    problems = [errors.PolicyDenied(f"The grant on nm/tax/income does not include: {columns}.")]
    for rules in (Rule, OutputRule):
        problems.append(refusal(_Refused(tuple(rule.value for rule in rules))))  # type: ignore[arg-type]
    for problem in problems:
        assert max(map(len, told(problem))) > 300 and told(from_problem(problem.problem())) == told(problem)


class _Refused:
    """What `refusal` reads of a verdict."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        self.reasons = reasons


def test_the_reference_of_errors_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == errors_reference.page(), (
        "run `.venv/bin/python tools/errors_reference.py`"
    )


def test_the_reference_names_every_code_and_exit_code() -> None:
    page = errors_reference.page()
    assert all(f"`{code}`" in page for code in by_code())
    assert all(f"| {number} |" in page for number in range(8))
