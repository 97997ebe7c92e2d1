"""A release of what people looked at, cut off at every step that a disk sees: signed once, and its key follows it.

The keeper takes what is held over, believes each opinion, signs the release and gives the centre one key, with which
the centre keeps the sealed bytes. Whoever was cut off goes the way again. The control is the way that nothing cuts off.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from compute.delivering import Shelf
from compute.service import result_name
from plans.errors import StateConflict
from plans.release import Release
from plans.statements import Signed
from tests.keeper import house
from tests.keeper.test_reviewing import ONE, SEALED, TWO, Desk

MODULES = {
    "open": "keeper.journal.os.open",
    "fsync": "keeper.journal.os.fsync",
    "replace": "keeper.journal.os.replace",
}


class Killed(BaseException):
    """The process is gone."""


@contextlib.contextmanager
def killed_at(place: str, step: int) -> Iterator[None]:
    """Let the process end just before the n-th call of a kind."""
    name = place.rpartition(".")[2]
    real, calls = getattr(os, name), itertools.count(1)

    def dies(*words: Any, **more: Any) -> Any:
        if next(calls) == step:
            raise Killed
        return real(*words, **more)

    with mock.patch(place, dies):
        yield


class Way:
    """One held plan and the opinions about it, each signed once, whoever hands them in how often."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        settings = house.config(folder)
        house.build(settings)
        self.desk = Desk(settings)
        one, two = self.desk.review(ONE), self.desk.review(TWO)
        self.said = (one, two, self.desk.review(ONE, others=(one, two)))

    def go(self) -> Signed:
        """All of it; what is done already is no error."""
        desk, plan = self.desk, self.desk.plan.digest
        with contextlib.suppress(StateConflict):  # it is held now, and people look at it
            desk.release()
        believed = {statement.digest for statement in desk.keeper.trusted.reviews.get(plan, ())}
        for each in self.said:
            if each.statement.digest not in believed:
                house.believe(desk.keeper, each)
        return desk.keeper.release(desk.plan, desk.records())

    def restart(self) -> None:
        self.desk.keeper = house.start(self.desk.settings, self.desk.clock)


CALLS = [pytest.param("open", marks=pytest.mark.long), "fsync", "replace"]


@pytest.mark.parametrize("call", CALLS)
def test_33_killed_at_every_step_of_a_held_release_it_leaves_once_and_as_it_was_read(
    tmp_path: Path, call: str
) -> None:
    for step in range(1, 80):
        way = Way(tmp_path / str(step))
        digest, ended = way.desk.plan.digest, False
        with killed_at(MODULES[call], step), contextlib.suppress(Killed):
            way.go()
            ended = True
        way.restart()
        signed_before = digest in way.desk.keeper._released
        assert bool(way.desk.keeper.held_key(digest)) == signed_before, "no key before its release is signed"
        first = way.go()
        body = Release.read(first.statement.body)
        assert (body.content, body.sealed) == (way.desk.verdict.content, way.desk.verdict.sealed)
        assert len(way.desk.keeper.trusted.reviews[digest]) == 3, "each opinion counts once"
        way.restart()
        assert way.go() == first and way.desk.keeper.held_key(digest)
        if ended:
            break
    assert ended and step > 4


# --- between the key and the stored result ------------------------------------------------------------------


def centre(way: Way, folder: Path) -> Shelf:
    folder.mkdir()
    shelf = Shelf(folder, lambda _: way.desk.settings.launcher_home)
    shelf.hold(way.desk.plan, 1)
    return shelf


@pytest.mark.parametrize("place", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.unlink", "after"])
def test_33_killed_between_the_key_and_the_stored_result_the_centre_stores_it_when_it_asks_again(
    tmp_path: Path, place: str
) -> None:
    way = Way(tmp_path / "way")
    shelf, plan, release = centre(way, tmp_path / "results"), way.desk.plan, way.go()
    result = tmp_path / "results" / result_name(plan.digest)
    if place == "after":  # all of it is done, and nobody has noted it
        shelf.let_go(plan, 1, release, way.desk.keeper.held_key(plan.digest))
    else:
        with mock.patch(place, side_effect=Killed), pytest.raises(Killed):
            shelf.let_go(plan, 1, release, way.desk.keeper.held_key(plan.digest))
        assert result.exists() == (place == "pathlib.Path.unlink"), "the control: it was cut off there"
    way.restart()
    again = way.go()
    assert again == release
    shelf.let_go(plan, 1, again, way.desk.keeper.held_key(plan.digest))
    assert result.read_bytes() == SEALED
    assert [path.name for path in (tmp_path / "results").iterdir()] == [result.name]
