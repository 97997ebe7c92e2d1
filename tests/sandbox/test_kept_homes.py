"""Homes at rest are counted and erased: whole, no other one, nothing followed, whatever breaks off."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from plans.box import Home
from plans.errors import NotFound, StateConflict
from sandbox import folders, kept_homes
from sandbox.homes import Homes, Slot
from sandbox.kept_homes import Kept

ONE, OTHER = Home("a" * 32, 8, 100), Home("b" * 32, 8, 100)


class Killed(BaseException):
    """Stands for a launcher that is killed: nothing of ours runs after it."""


@pytest.fixture
def kept(tmp_path: Path) -> Homes:
    found = Homes(tmp_path / "homes", separate=False)
    found.prepare()
    for home in (ONE, OTHER):
        slot = settled(found, home)
        (slot.path(home) / "work").write_bytes(b"x" * 3 * 2**20)
        slot.release()
    return found


def settled(kept: Homes, home: Home) -> Slot:
    slot = kept.slot(None)
    asyncio.run(slot.settle(home))
    return slot


def erase(kept: Homes, home: Home = ONE) -> None:
    asyncio.run(kept_homes.erase(kept, home.name))


def names(kept: Homes) -> list[str]:
    return [each.name for each in kept_homes.listed(kept)]


def test_homes_are_listed_with_their_size_and_who_has_them(kept: Homes) -> None:
    slot = settled(kept, OTHER)
    assert kept_homes.listed(kept) == (Kept(ONE.name, 3, 1, False), Kept(OTHER.name, 3, 1, True))
    slot.release()
    assert not any(each.in_use for each in kept_homes.listed(kept))


def test_names_alone_are_told_without_a_look_at_files(kept: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(*_: object) -> None:
        raise AssertionError("a file was looked at")

    monkeypatch.setattr(kept_homes, "walk", looked)
    assert [each.counted for each in kept_homes.listed(kept, count=False)] == [False, False]
    with pytest.raises(AssertionError):
        kept_homes.listed(kept)


def test_a_home_that_is_there_twice_is_told_and_the_others_are_counted(kept: Homes) -> None:
    (kept.folder / "c" / ONE.name).mkdir(parents=True)
    assert [each.counted for each in kept_homes.listed(kept)] == [False, True]


def test_one_home_is_erased_and_the_next_lab_begins_with_an_empty_one(kept: Homes) -> None:
    erase(kept)
    assert names(kept) == [OTHER.name] and len(list(kept.folder.iterdir())) == 1, "its slot is gone, too"
    slot = settled(kept, ONE)
    assert list(slot.path(ONE).iterdir()) == []


def test_a_home_that_a_lab_has_or_that_is_not_there_is_not_erased(kept: Homes) -> None:
    slot = settled(kept, ONE)
    with pytest.raises(StateConflict):
        erase(kept)
    assert (slot.path(ONE) / "work").exists()
    slot.release()
    erase(kept)
    with pytest.raises(NotFound):
        erase(kept)
    settled(kept, ONE).release()  # whoever asked in vain holds nothing


def test_nothing_outside_is_followed_and_no_depth_or_mode_saves_a_file(kept: Homes, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("still here")
    place = kept.find(ONE.name)
    assert place is not None
    os.symlink(outside, place / "folder")
    os.symlink(outside / "precious", place / "file")
    (place / "closed").mkdir()
    (place / "closed" / "in").write_text("x")
    (place / "closed").chmod(0)
    here = os.getcwd()
    try:
        os.chdir(place)
        for _ in range(1500):  # deeper than a path may be long
            os.mkdir("deeper" * 10)
            os.chdir("deeper" * 10)
    finally:
        os.chdir(here)
    erase(kept)
    assert names(kept) == [OTHER.name] and len(list(kept.folder.iterdir())) == 1
    assert (outside / "precious").read_text() == "still here"


def test_what_breaks_off_is_no_home_any_more_and_is_removed_later(
    kept: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(_: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(folders, "wipe", killed)
        erase(kept)
    again = Homes(kept.folder, separate=False)
    again.prepare()
    assert names(again) == [OTHER.name]
    assert len(list(kept.folder.glob("*/*"))) == 2, "the control: its files are still there"
    slot = settled(again, ONE)
    assert list(slot.path(ONE).iterdir()) == []
    asyncio.run(kept_homes.finish(again))
    assert len(list(kept.folder.glob("*/*"))) == 2 and names(again) == [ONE.name, OTHER.name]


@pytest.mark.parametrize("way", ["a folder", "a file", "a chain"])
def test_a_home_of_links_alone_leads_nowhere(kept: Homes, tmp_path: Path, way: str) -> None:
    """A member who leaves replaces all work by a link, and waits for the administrator."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "key").write_text("a key")
    place = kept.find(ONE.name)
    assert place is not None
    (place / "work").unlink()
    os.symlink(victim / "key" if way == "a file" else victim, place / "x")
    if way == "a chain":
        os.symlink("x", place / "y")
    erase(kept)
    assert names(kept) == [OTHER.name] and (victim / "key").read_text() == "a key"
