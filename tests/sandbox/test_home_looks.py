"""Looks at a living home, against the luckiest box there can be: it sees every step of a look. No box starts here.

The box is played by the test: whenever the look has listed a folder it may move what it has behind it, as long as it is
not held still. A real one has to guess the moment, and was seen to guess right for half a minute on end.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from plans.box import Home
from sandbox import home_looks
from sandbox.home_looks import (
    HELD,
    LEAST_RESERVE_MB,
    LONGEST_UNSURE_S,
    MIB,
    SURE_EVERY_S,
    Closed,
    Entry,
    Held,
    Moved,
    Use,
    Watch,
)

HOME = Home("a" * 32, 8, 100)
ROOM = HOME.mb + LEAST_RESERVE_MB
FOLDERS = ("a", "z")
ME = os.getpid()


@dataclass
class Lucky:
    """A box whose every file is where nobody looks: `hide` moves it behind the look, unless the box stands still.

    `others` are the bytes that others have on the same disk.
    """

    home: Path
    stands: bool = False
    holds: int = 0
    obeys: bool = True
    others: int = 0
    files: int = 0

    def write(self, mib: int) -> None:
        """Write a file in a folder of its own."""
        store = self.where() / "store"
        store.mkdir(exist_ok=True)
        self.files += 1
        with (store / str(self.files)).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, mib * MIB)

    def where(self) -> Path:
        return next(
            (self.home / name for name in FOLDERS if (self.home / name / "store").exists()), self.home / "a"
        )

    def disk(self) -> Use:
        """What is used of a disk that only this box and those others write on."""
        found = [path.lstat() for path in self.home.rglob("*")]
        return Use(self.others + sum(each.st_blocks * 512 for each in found), len(found))

    def hide(self, seen: str) -> None:
        """Move the store into the folder that was just seen to be empty of it."""
        store, target = self.where() / "store", self.home / seen / "store"
        may = seen in FOLDERS and not (self.stands and self.obeys)
        if may and store.exists() and not target.exists():
            os.rename(store, target)

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        self.stands = True
        self.holds += 1
        yield self.obeys
        self.stands = False


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lucky:
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    found = Lucky(tmp_path)
    listed = home_looks._listed

    def watched(here: int, device: int) -> Iterator[Entry]:
        below = yield from listed(here, device)
        found.hide(os.path.basename(os.readlink(f"/proc/self/fd/{here}")))
        return sorted(below)  # z is looked at first, whatever the file system says

    monkeypatch.setattr(home_looks, "_listed", watched)
    monkeypatch.setattr(Watch, "_disk", lambda _: found.disk())
    monkeypatch.setattr(home_looks, "SHORTEST_PAUSE_S", 0)
    monkeypatch.setattr(home_looks, "BUSY", 0)
    monkeypatch.setattr(home_looks, "HELD", 0)
    return found


def watch_of(box: Lucky) -> Watch:
    return Watch(box.home, Closed.SKIP, HOME, replace(box.disk(), size=box.disk().size - box.others))


def is_over(watch: Watch, held: Held) -> bool:
    return asyncio.run(watch.is_over(ME, held))


def written(box: Lucky, mib: int, held: Held | None = None) -> int | None:
    """Let the box write so much between two looks; return how many MiB it had when it was seen to be over."""
    watch = watch_of(box)
    for n in range(1, 31):
        box.write(mib)
        if is_over(watch, held or box.held):
            return n * mib
    return None


@pytest.mark.parametrize("mib", [2, 5, 30, 500])
def test_what_is_always_moved_behind_the_look_is_seen_before_it_is_much(box: Lucky, mib: int) -> None:
    """Also where it is written little by little: what the disk has more adds up until a look is sure."""
    seen = written(box, mib)
    if mib == 2:
        assert seen is None and not box.holds, "the control: 60 MiB are within the home and its reserve"
    else:
        assert seen is not None and ROOM < seen <= ROOM + mib


def test_control_looks_that_do_not_hold_the_box_still_never_see_it(box: Lucky) -> None:
    assert written(box, 100, lambda: contextlib.nullcontext(True)) is None
    assert box.disk().size > 40 * ROOM * MIB


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, for tests that go through hours of it."""
    now = [1000.0]
    monkeypatch.setattr(home_looks.time, "monotonic", lambda: now[0])
    return now


def test_a_box_that_cannot_be_made_to_stand_still_for_long_is_over(box: Lucky, clock: list[float]) -> None:
    """And one that has no more than it may is not held before it is time: the control."""
    box.obeys = False
    watch = watch_of(box)
    box.write(ROOM - 10)
    assert not is_over(watch, box.held) and box.holds == 0
    box.write(20)
    assert not is_over(watch, box.held) and box.holds == 1
    clock[0] += SURE_EVERY_S + LONGEST_UNSURE_S - 1
    assert not is_over(watch, box.held)
    clock[0] += 1
    assert is_over(watch, box.held)


def test_a_box_that_comes_to_a_stand_now_and_then_goes_on(box: Lucky, clock: list[float]) -> None:
    """Whoever waits for the disk stands still only afterwards. Nothing is hidden here, and others write."""
    watch = watch_of(box)
    for n in range(100):
        clock[0] += 60
        box.others += 100 * MIB
        box.obeys = n % 14 == 0
        assert not is_over(watch, box.held)


def test_a_home_is_looked_at_surely_now_and_then_whatever_the_disk_shows(
    box: Lucky, clock: list[float]
) -> None:
    """Others delete as much as the box writes, each time, so that the disk stays as it is."""
    box.others = 5000 * MIB
    watch = watch_of(box)
    for _ in range(10):
        box.write(100)
        box.others -= 100 * MIB
        assert not is_over(watch, box.held), "the control: the disk shows nothing"
    clock[0] += SURE_EVERY_S
    assert is_over(watch, box.held)


def test_what_others_write_holds_a_box_for_some_moments_and_ends_it_never(box: Lucky) -> None:
    watch = watch_of(box)
    for _ in range(20):
        box.others += 30 * MIB
        assert not is_over(watch, box.held)
    assert box.holds == 20 // 3  # of every three the third is beyond the room


@pytest.mark.parametrize("freed", [0, 1000])
def test_what_others_delete_makes_no_room_to_hide_in(box: Lucky, freed: int) -> None:
    """A job's space is wiped, or another lab of the same member makes room. The control: nobody deletes anything."""
    box.others = 5000 * MIB
    watch = watch_of(box)
    box.write(1)
    assert not is_over(watch, box.held)
    box.others -= freed * MIB
    assert not is_over(watch, box.held)
    box.write(ROOM)
    assert is_over(watch, box.held)


def test_a_box_is_not_held_again_before_it_had_some_time_for_itself(
    box: Lucky, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home_looks, "HELD", HELD)
    watch = watch_of(box)
    monkeypatch.setattr(watch, "_look", slow(watch._look, clock))
    held_at = []
    for _ in range(100):
        box.others += 100 * MIB
        before = box.holds
        assert not is_over(watch, box.held)
        if box.holds > before:
            held_at.append(clock[0])
        clock[0] += 1
    assert len(held_at) >= 3
    assert all(b - a >= 1 + HELD for a, b in zip(held_at, held_at[1:], strict=False)), held_at


def slow(look: Callable[[int], Use], clock: list[float]) -> Callable[[int], Use]:
    """A look that takes a second."""

    def looked(first: int) -> Use:
        clock[0] += 1
        return look(first)

    return looked


def test_whoever_moves_folders_all_day_long_is_looked_at_once_more_and_goes_on(
    box: Lucky, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a build does: every quick look is broken off."""
    watch = watch_of(box)
    look = watch._look

    def broken_off(first: int) -> Use:
        if box.stands:
            return look(first)
        raise Moved

    monkeypatch.setattr(watch, "_look", broken_off)
    assert not any(is_over(watch, box.held) for _ in range(30))
    box.write(ROOM + 10)
    assert is_over(watch, box.held), "the control"


@pytest.mark.parametrize(("code", "over"), [(errno.EMFILE, False), (errno.EACCES, True)])
def test_what_this_launcher_lacks_ends_no_lab_and_what_a_box_closes_does(
    box: Lucky, monkeypatch: pytest.MonkeyPatch, code: int, over: bool
) -> None:
    watch = watch_of(box)

    def failing(first: int) -> Use:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(watch, "_look", failing)
    assert is_over(watch, box.held) is over
