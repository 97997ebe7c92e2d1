"""Every specification holds, and the page shows all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.spec.page import CHAPTERS, PAGE, page
from tests.spec.specs import Chapter, Spec, holds, outcome

ALL = [(chapter, spec) for chapter in CHAPTERS for spec in chapter.specs]
NAMES = [f"{chapter.title}: {spec.title}" for chapter, spec in ALL]


@pytest.mark.parametrize(("chapter", "spec"), ALL, ids=NAMES)
def test_specification(tmp_path: Path, chapter: Chapter, spec: Spec) -> None:
    came = outcome(chapter, spec, tmp_path)
    assert holds(spec, came), came


def test_each_specification_says_one_outcome_under_a_title_of_its_own() -> None:
    for _, spec in ALL:
        assert sum(map(bool, (spec.result, spec.denied, spec.refused, spec.held))) == 1
    assert len(set(NAMES)) == len(NAMES) >= 30


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.spec.page"


@pytest.mark.parametrize(
    "wrong",
    [
        {"result": "region | n\nwest | 49"},
        {"denied": {"column-use": "tax.income.region"}},
        {"refused": "west"},
        {"held": ("small-group",)},
    ],
)
def test_control_a_specification_that_says_something_else_does_not_hold(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    chapter, spec = ALL[0]
    assert not holds(replace(spec, **{"result": "", **wrong}), outcome(chapter, spec, tmp_path))
