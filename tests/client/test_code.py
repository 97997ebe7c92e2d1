"""What an approver is shown of code: what changed, and nothing that would run or move the cursor."""

from __future__ import annotations

import base64

import pytest

from darkroom.cli_code import _write, changes
from plans.errors import StateConflict
from plans.trial import Folder


def folder(**files: bytes) -> Folder:
    named = {name + ".py": base64.b64encode(text).decode() for name, text in files.items()}
    return Folder(named, "main.py", ())


def test_only_what_changed_is_shown_unless_there_is_nothing_to_compare_with():
    before, now = (
        folder(main=b"a = 1\nb = 2\n", same=b"x\n"),
        folder(main=b"a = 1\nb = 3\n", same=b"x\n", new=b"y\n"),
    )
    shown = list(changes(before, now))
    assert "-b = 2" in shown and "+b = 3" in shown and "+y" in shown
    assert not any("same" in line or line in ("+x", "-x") for line in shown)
    assert "+x" in list(changes(None, now))


def test_a_file_that_went_away_shows_too():
    assert "-y" in list(changes(folder(main=b"a\n", gone=b"y\n"), folder(main=b"a\n")))


def test_what_is_no_text_is_named_and_not_printed():
    shown = list(changes(None, folder(main=b"a\n", data=b"\xff\xfe\x1b[2J")))
    assert any("binary file data.py" in line for line in shown) and not any("\x1b" in line for line in shown)


def test_files_are_written_into_a_new_folder_only(tmp_path):
    _write(folder(main=b"a\n"), tmp_path / "new")
    assert (tmp_path / "new" / "main.py").read_bytes() == b"a\n"
    with pytest.raises(StateConflict):
        _write(folder(main=b"b\n"), tmp_path / "new")
