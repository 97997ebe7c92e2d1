"""Every failure of an ingest box becomes a sentence that says what, where and what next."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from catalog.api import ingest_problem
from plans.errors import BoxFailed, BoxLimit, DiskFull, IngestRefused, by_code

INSIDE = Path(__file__).parents[2] / "inside"
DEFECTS = {"ingest.lost-rows"}


def codes_in_the_box() -> set[str]:
    text = "".join(path.read_text() for path in INSIDE.glob("ingest*.py"))
    return set(re.findall(r'"(ingest\.[a-z-]+|disk\.full|box\.limit)"', text)) - DEFECTS


def test_every_code_of_the_box_is_in_the_tree_and_has_its_sentence() -> None:
    assert len(codes_in_the_box()) > 15
    for code in codes_in_the_box():
        problem = ingest_problem(code, {})
        assert problem.code == code and code in by_code()
        assert "without a result" not in problem.what and problem.next_step


def test_a_sentence_says_where() -> None:
    problem = ingest_problem("ingest.type", {"column": "born", "row": 123456, "expected": "DATE"})
    assert isinstance(problem, IngestRefused)
    assert (problem.what, problem.where) == ("a value is no DATE", "column born, row 123,456")
    assert ingest_problem("ingest.encoding", {"row": 0, "found": "gb18030"}).where == "header"
    assert "GBK" in ingest_problem("ingest.encoding", {"row": 0, "found": "gb18030"}).what


def test_what_a_box_invents_is_not_repeated() -> None:
    assert "secret" not in str(ingest_problem("ingest.encoding", {"row": 1, "found": "secret"}))
    assert "secret" not in str(ingest_problem("secret.code", {}))


@pytest.mark.parametrize(
    ("code", "kind"), [("disk.full", DiskFull), ("box.limit", BoxLimit), ("ingest.lost-rows", BoxFailed)]
)
def test_failures_of_the_machine_keep_their_kind(code: str, kind: type) -> None:
    assert type(ingest_problem(code, {"limit": "memory"})) is kind
