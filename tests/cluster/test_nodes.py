"""Ray's session lies where only we can enter, and what a killed driver left is gone at the next start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cluster import nodes
from plans.errors import StateConflict


def test_the_folder_is_ours_alone_and_what_was_left_in_it_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    folder.mkdir()
    (folder / "token").write_text("of a driver that was killed")
    nodes._fresh(folder)
    assert list(folder.iterdir()) == [] and folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_leads_elsewhere_is_refused_and_nothing_there_is_wiped(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("x")
    (tmp_path / "ray").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateConflict):
        nodes._fresh(tmp_path / "ray")
    assert (tmp_path / "elsewhere" / "precious").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "ray"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(StateConflict):
        nodes._fresh(folder)
