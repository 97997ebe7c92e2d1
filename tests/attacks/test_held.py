"""Attacks on what is held for people: seen after its data were erased, outrun by another attempt, judged after looking.

Each is made at a real keeper; the control is the same step where nothing was done against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keeper import ingest
from plans.errors import NotFound, PolicyDenied, StateConflict
from plans.statements import Answer, Duty, RosterEntry, Signed
from plans.verdict import Finding
from tests.keeper import house
from tests.keeper.test_reviewing import ENTRIES, ONE, TWO, Desk

THIRD = "tao@nm/tax"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    settings = house.config(tmp_path)
    house.build(settings)
    return Desk(settings)


def take_in(desk: Desk) -> None:
    with pytest.raises(StateConflict):
        desk.release()


def kept(desk: Desk) -> Iterator[Path]:
    return (path for path in (desk.settings.home / "held").rglob("*") if path.is_file())


# --- erasure ------------------------------------------------------------------------------------------------


def test_what_is_held_of_an_erased_version_is_erased_with_it(desk: Desk) -> None:
    take_in(desk)
    assert desk.keeper.reviews.held.shown(desk.plan.digest) == desk.shown, (
        "the control: until then it is read"
    )
    assert list(kept(desk))
    ingest.erase(desk.keeper, house.INCOME, 1)
    assert not list(kept(desk))
    assert desk.keeper.reviews.list(int(desk.clock.now)) == []
    with pytest.raises(NotFound):
        desk.keeper.reviews.show(desk.plan.digest, ONE, int(desk.clock.now))


def test_what_a_launcher_still_has_of_an_erased_version_is_not_taken_in_again(desk: Desk) -> None:
    take_in(desk)
    ingest.erase(desk.keeper, house.INCOME, 1)
    with pytest.raises(PolicyDenied):
        desk.release()
    assert not list(kept(desk))


def test_an_erasure_that_was_cut_off_is_finished_when_the_keeper_starts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in(desk)
    with monkeypatch.context() as cut:
        cut.setattr(type(desk.keeper.reviews), "erase", lambda *_: None)
        ingest.erase(desk.keeper, house.INCOME, 1)
        assert list(kept(desk)), "the control: whoever does nothing keeps it"
    desk.keeper = house.start(desk.settings, desk.clock)
    assert not list(kept(desk))


# --- another attempt ----------------------------------------------------------------------------------------


def passing(desk: Desk) -> tuple[Signed, ...]:
    """The records of a second attempt, whose program left something that no rule holds."""
    return house.chain(house.records(desk.plan, house.verdict(desk.plan), attempt=2))


def test_a_plan_that_people_look_at_does_not_leave_by_another_attempt(desk: Desk) -> None:
    take_in(desk)
    with pytest.raises(StateConflict):
        desk.keeper.release(desk.plan, passing(desk))
    desk.agree(Answer.REFUSE)
    with pytest.raises(StateConflict):
        desk.keeper.release(desk.plan, passing(desk))


def test_a_plan_whose_held_output_was_deleted_does_not_leave_by_another_attempt(desk: Desk) -> None:
    take_in(desk)
    desk.agree(Answer.REFUSE)
    desk.keeper.delete_model(desk.plan.digest)
    with pytest.raises(PolicyDenied):
        desk.keeper.release(desk.plan, passing(desk))
    desk.keeper = house.start(desk.settings, desk.clock)
    with pytest.raises(PolicyDenied):
        desk.keeper.release(desk.plan, passing(desk))


def test_the_control_of_which_nothing_is_held_leaves(desk: Desk) -> None:
    assert desk.keeper.release(desk.plan, passing(desk))
    assert desk.verdict.finding is Finding.HELD


# --- independent opinions -----------------------------------------------------------------------------------


def test_nobody_gives_an_independent_opinion_after_reading_the_others(desk: Desk) -> None:
    entries = (*ENTRIES, RosterEntry(THIRD, Duty.REVIEWER, house.key(THIRD).public))
    house.believe(desk.keeper, house.roster(3, entries))
    take_in(desk)
    house.believe(desk.keeper, desk.review(ONE, Answer.REFUSE), desk.review(TWO, Answer.REFUSE))
    read = desk.keeper.reviews.show(desk.plan.digest, THIRD, int(desk.clock.now))["opinions"]
    assert len(read) == 2, "the third reads both, to consolidate them"
    with pytest.raises(StateConflict, match="independent"):
        desk.keeper.believe(desk.review(THIRD))
    (listed,) = desk.keeper.reviews.list(int(desk.clock.now))
    assert listed["opinions"] == 2
