"""Errors address a person, have one code each, and survive the way through an API."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plans import errors
from plans.errors import DarkroomError, by_code, from_problem
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


def test_the_reference_of_errors_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == errors_reference.page(), (
        "run `.venv/bin/python tools/errors_reference.py`"
    )


def test_the_reference_names_every_code_and_exit_code() -> None:
    page = errors_reference.page()
    assert all(f"`{code}`" in page for code in by_code())
    assert all(f"| {number} |" in page for number in range(8))
