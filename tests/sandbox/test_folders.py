"""What a box leaves behind is gone with it, however it left it; and nothing outside is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import folders


def few(place: folders.BoxFolders) -> None:
    (place.outputs / "result").write_text("rows")
    (place.inputs / "table").write_text("rows")


def many(place: folders.BoxFolders) -> None:
    for number in range(folders.MOST_FILES + 1):
        (place.outputs / f"part-{number}").touch()


def deep(place: folders.BoxFolders) -> None:
    whole = place.outputs
    for _ in range(200):
        whole = whole / "deeper"
        whole.mkdir()
    (whole / "hidden").write_text("rows")


def closed(place: folders.BoxFolders) -> None:
    (place.outputs / "result").write_text("rows")
    place.outputs.chmod(0o000)


@pytest.mark.parametrize("leave", [few, many, deep, closed])
def test_whatever_a_box_leaves_is_removed(
    leave: Callable[[folders.BoxFolders], None], tmp_path: Path
) -> None:
    place = folders.make(tmp_path, None)
    leave(place)
    asyncio.run(folders.wipe(place.whole))
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_a_box_leaves_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    """50: neither a file nor a folder of the launcher's is reached through what a box made."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "key").write_text("secret")
    place = folders.make(tmp_path, None)
    (place.outputs / "file").symlink_to(mine / "key")
    (place.outputs / "folder").symlink_to(mine)
    asyncio.run(folders.wipe(place.whole))
    assert not place.whole.exists() and (mine / "key").read_text() == "secret"


def test_few_plain_files_need_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def started(*words: str) -> None:
        raise AssertionError(words)

    monkeypatch.setattr(folders, "_quietly", started)
    place = folders.make(tmp_path, None)
    few(place)
    asyncio.run(folders.wipe(place.whole))
    assert not place.whole.exists()
