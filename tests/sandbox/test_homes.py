"""Homes of labs: in one place at every moment, whatever breaks off; nothing followed or lost. No box starts here."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from plans.box import Home
from plans.errors import DiskFull, StateConflict
from sandbox import home_looks, homes, reaper
from sandbox.cgroups import Cgroups
from sandbox.home_looks import Use
from sandbox.homes import Homes, Slot

HOME = Home("a" * 32, 8, 100)
FIRST, SECOND = 61_001, 61_002
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives homes to other users")


class Killed(BaseException):
    """Stands for a launcher that is killed: nothing of ours runs after it."""


@pytest.fixture
def kept(open_home: Path) -> Homes:
    found = Homes(open_home / "homes", separate=True)
    found.prepare()
    return found


def settle(slot: Slot, home: Home = HOME) -> Use:
    return asyncio.run(slot.settle(home))


def used(kept: Homes, owner: int) -> Path:
    """A home with something in it, whose box has ended."""
    slot = kept.slot(owner)
    settle(slot)
    place = slot.path(HOME)
    (place / "a" / "b").mkdir(parents=True)
    (place / "a" / "b" / "work.ipynb").write_text("work")
    os.link(place / "a" / "b" / "work.ipynb", place / "same")
    os.symlink("/etc/passwd", place / "link")
    os.symlink("/etc", place / "folder")
    for path in (place / "a", place / "a" / "b", place / "same", place / "link", place / "folder"):
        os.chown(path, owner, owner, follow_symlinks=False)
    slot.release()
    return place


def whole(kept: Homes, owner: int) -> None:
    """Check that the home is there once, with all of it, and belongs to this user alone."""
    place = kept.find(HOME.name)
    assert place is not None and (place / "a" / "b" / "work.ipynb").read_text() == "work"
    assert os.readlink(place / "link") == "/etc/passwd" and place.stat().st_mode & 0o777 == 0o700
    owners = {
        os.lstat(os.path.join(top, name)).st_uid
        for top, below, files in os.walk(place)
        for name in below + files
    }
    assert owners | {place.stat().st_uid} == {owner}
    assert os.stat("/etc/passwd").st_uid == os.stat("/etc").st_uid == 0, "no link was followed"


STEPS = ("fchown", "fchmod", "chown", "rename", "fsync", "mkdir")


@root
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_launcher_killed_at_any_step_loses_nothing(
    kept: Homes, monkeypatch: pytest.MonkeyPatch, step: str, turn: int, when: str
) -> None:
    used(kept, FIRST)
    turns = [turn]
    real: Callable[..., object] = getattr(os, step)

    def killing(*arguments: object, **named: object) -> object:
        turns[0] -= 1
        if turns[0] == -1 and when == "before":
            raise Killed
        found = real(*arguments, **named)
        if turns[0] == -1:
            raise Killed
        return found

    with monkeypatch.context() as patched:
        patched.setattr(os, step, killing)
        with contextlib.suppress(Killed):
            settle(kept.slot(SECOND))
    heir = Homes(kept.folder, separate=True)
    heir.prepare()
    third = heir.slot(SECOND + 1)
    assert settle(third).files == 6
    whole(heir, SECOND + 1)
    third.release()
    assert len(list(heir.folder.iterdir())) == 1, "and no slot is left but the home's"


@root
def test_the_control_an_owner_that_is_not_changed_is_seen(
    kept: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(kept, FIRST)
    monkeypatch.setattr(homes, "given", lambda top, owner: home_looks.walk(top, home_looks.Closed.SKIP))
    settle(kept.slot(SECOND))
    with pytest.raises(AssertionError):
        whole(kept, SECOND)


@root
def test_wiping_and_reaping_boxes_reaches_no_home(open_home: Path, kept: Homes) -> None:
    used(kept, FIRST)
    boxes = open_home / "boxes"
    (boxes / "0123456789abcdef" / "links").mkdir(parents=True)
    reaper.reap(boxes, range(0), Cgroups.none())
    kept.prepare()
    whole(kept, FIRST)


@root
def test_a_home_is_held_until_its_box_is_gone_and_a_slot_without_one_goes(kept: Homes) -> None:
    first, second = kept.slot(FIRST), kept.slot(SECOND)
    settle(first)
    with pytest.raises(StateConflict, match="one lab at a time"):
        settle(second)
    second.release()
    assert not second.folder.exists() and first.path(HOME).is_dir()
    with pytest.raises(StateConflict):  # the one that was refused did not take it away from the other
        settle(kept.slot(SECOND))
    first.release()
    settle(kept.slot(SECOND))


@root
@pytest.mark.parametrize("planted", ["link", "file", "twice", "slot that is a link"])
def test_what_is_not_as_it_was_left_is_refused_and_kept(kept: Homes, open_home: Path, planted: str) -> None:
    elsewhere = open_home / "elsewhere"
    (elsewhere / HOME.name).mkdir(parents=True)
    (elsewhere / HOME.name / "theirs").write_text("theirs")
    slot = kept.folder / "0123456789abcdef"
    if planted == "slot that is a link":
        slot.symlink_to(elsewhere)
        settle(kept.slot(FIRST))
        assert kept.find(HOME.name) != slot / HOME.name
    else:
        slot.mkdir()
        if planted == "link":
            (slot / HOME.name).symlink_to(elsewhere / HOME.name)
        elif planted == "file":
            (slot / HOME.name).write_text("x")
        else:
            used(kept, FIRST)
            (slot / HOME.name).mkdir()
        with pytest.raises(StateConflict, match="administrator|home") as refused:
            settle(kept.slot(FIRST))
        assert "Nothing of it is lost" in refused.value.next_step
    assert (elsewhere / HOME.name / "theirs").stat().st_uid == 0


@root
def test_a_home_on_another_file_system_is_refused_and_kept(kept: Homes) -> None:
    place = used(kept, FIRST)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        (place / "kept").write_text("kept")
        refused = kept.slot(SECOND)
        with pytest.raises(StateConflict, match="another file system"):
            settle(refused)
        refused.release()
        assert (place / "kept").read_text() == "kept"
    finally:
        subprocess.run(["umount", place], check=True)
    settle(kept.slot(SECOND))
    whole(kept, SECOND)


def test_a_full_home_still_starts_and_may_not_grow_by_much(open_home: Path) -> None:
    kept = Homes(open_home / "homes", separate=os.geteuid() == 0)
    kept.prepare()
    slot = kept.slot(FIRST if kept.separate else None)
    settle(slot)
    watch = slot.watch(HOME, Use(10**9, 50))
    assert watch.most == Use(10**9 + home_looks.SLACK_MB * 2**20, 100 + home_looks.LEAST_RESERVE_FILES)
    assert slot.watch(HOME, Use(0, 0)).most.size == (8 + 64) * 2**20

    async def over(size: int) -> bool:
        with (slot.path(HOME) / "large").open("wb") as file:
            file.write(b"x" * size)
        return await slot.watch(HOME, Use(0, 0)).is_over(os.getpid(), lambda: contextlib.nullcontext(True))

    assert not asyncio.run(over(70 * 2**20))
    assert asyncio.run(over(80 * 2**20))


@pytest.mark.skipif(os.geteuid() == 0, reason="root passes everywhere")
@root
def test_where_the_disk_is_nearly_full_no_lab_starts_and_no_home_moves(open_home: Path, kept: Homes) -> None:
    """What is left is for labs that run. The control: with room the same home is brought to the same slot."""
    place = used(kept, FIRST)
    full = Homes(kept.folder, separate=True, least_free_mb=2**40)
    slot = full.slot(SECOND)
    with pytest.raises(DiskFull, match="kept for labs that run"):
        settle(slot)
    assert full.find(HOME.name) == place
    slot.release()
    again = kept.slot(SECOND)
    settle(again)
    whole(kept, SECOND)


def test_what_a_box_with_our_user_id_closes_is_opened_at_rest(open_home: Path) -> None:
    kept = Homes(open_home / "homes", separate=False)
    kept.prepare()
    slot = kept.slot(None)
    settle(slot)
    (slot.path(HOME) / "closed").mkdir(0o000)
    slot.release()
    assert settle(kept.slot(None)).files == 1
