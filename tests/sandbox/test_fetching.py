"""A launcher's folder is the launcher's: whoever fetches from it is not led elsewhere by what lies in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from plans.box import Entry
from plans.errors import EvidenceBroken, NotFound
from sandbox import api
from sandbox.shelf import StageName, output_path

NAME = StageName("sha256:" + "a" * 64, Entry.INGEST, 1)
SECRET = "the keyring"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    place(home).parent.mkdir(parents=True)
    return home


def place(home: Path) -> Path:
    return output_path(home, NAME, "a.parquet")


def secret(home: Path) -> Path:
    """What only the one who fetches may read; it lies under the very name that is fetched."""
    folder = home.parent / "keyring"
    folder.mkdir()
    (folder / "a.parquet").write_text(SECRET)
    return folder / "a.parquet"


def link_to_file(home: Path) -> None:
    place(home).symlink_to(secret(home))


def link_to_folder(home: Path) -> None:
    place(home).parent.rmdir()
    place(home).parent.symlink_to(secret(home).parent)


def link_higher_up(home: Path) -> None:
    target = secret(home)
    plan = place(home).parents[1]
    (target.parent / "ingest").mkdir()
    target.rename(target.parent / "ingest" / "a.parquet")
    place(home).parent.rmdir()
    plan.rmdir()
    plan.symlink_to(target.parent)


def hard_link(home: Path) -> None:
    os.link(secret(home), place(home))


def a_pipe(home: Path) -> None:
    os.mkfifo(place(home))


def a_folder(home: Path) -> None:
    place(home).mkdir()


@pytest.mark.parametrize("trick", [link_to_file, link_to_folder, link_higher_up, hard_link, a_pipe, a_folder])
def test_what_is_no_file_of_the_launchers_own_is_not_fetched(
    home: Path, trick: Callable[[Path], None]
) -> None:
    trick(home)
    if "link" in trick.__name__:
        assert place(home).read_text() == SECRET, "the control: simply opened, it is the secret"
    with pytest.raises(EvidenceBroken), api.open_output(home, NAME, "a.parquet"):
        pass
    with pytest.raises(EvidenceBroken):
        api.move_output(home, NAME, "a.parquet", home.parent / "target")
    assert not os.path.lexists(home.parent / "target")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_not_fetched(home: Path) -> None:
    place(home).write_text(SECRET)
    os.chown(place(home), 62_001, -1)
    with pytest.raises(EvidenceBroken), api.open_output(home, NAME, "a.parquet"):
        pass


def test_a_plain_output_is_read_and_moved(home: Path) -> None:
    place(home).write_text("sealed")
    with api.open_output(home, NAME, "a.parquet") as file:
        assert file.read() == b"sealed"
    target = home.parent / "target"
    api.move_output(home, NAME, "a.parquet", target)
    assert target.read_text() == "sealed" and not place(home).exists()
    with pytest.raises(NotFound), api.open_output(home, NAME, "a.parquet"):
        pass


def test_a_file_that_is_exchanged_while_it_is_moved_does_not_come_in(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(home).write_text("sealed")
    rename, target = os.rename, home.parent / "target"

    def exchanged(source: str, target: Path, *, src_dir_fd: int) -> None:
        place(home).unlink()
        place(home).symlink_to(secret(home))
        rename(source, target, src_dir_fd=src_dir_fd)

    monkeypatch.setattr(os, "rename", exchanged)
    api.move_output(home, NAME, "a.parquet", target)
    assert not target.is_symlink() and target.read_text() == "sealed"
