"""Why an ingest failed, as its owner reads it: the box's own finding, or the limit at which it was killed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from keeper import ingest
from plans.errors import BoxFailed, BoxLimit, DarkroomError, DiskFull, TypeConflict
from tests.plans import examples


def told(failure: BoxFailed, **facts: Any) -> DarkroomError:
    """What the desk answers when the launcher says this."""

    def run(*_: object) -> None:
        failure.facts = facts  # type: ignore[attr-defined]
        raise failure

    keeper: Any = SimpleNamespace(launcher=SimpleNamespace(put=lambda plan: None, run=run))
    with pytest.raises(DarkroomError) as caught:
        ingest._run(keeper, examples.PLAN)
    return caught.value


def test_what_the_box_found_is_a_sentence_with_its_place() -> None:
    found = told(
        BoxFailed("the box ended without a result", "ingest.type"), column="born", row=7, expected="DATE"
    )
    assert isinstance(found, TypeConflict) and found.where == "column born, row 7"
    assert isinstance(told(BoxFailed("the box ended without a result", "disk.full")), DiskFull)


def test_a_box_that_was_killed_at_a_limit_says_which() -> None:
    found = told(BoxLimit("the box reached its limit of memory", "box.memory"))
    assert (
        isinstance(found, BoxLimit) and "limit of memory" in found.what and "higher limit" in found.next_step
    )


def test_a_limit_that_the_box_met_itself_is_named_by_the_box() -> None:
    found = told(BoxLimit("the box ended without a result", "box.limit"), limit="temporary space")
    assert isinstance(found, BoxLimit) and "temporary space" in found.what
