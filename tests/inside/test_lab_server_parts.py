"""Parts of a lab's server and kernel that need no box: which language a browser asks for, and what `pip` says."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from sandbox.recipes import CHECKOUT

LAB = CHECKOUT / "images" / "notebook" / "lab"


@pytest.fixture(scope="module", autouse=True)
def lab_in_path() -> Iterator[None]:
    """What an image has in `/box`."""
    sys.path.insert(0, str(LAB))
    yield
    sys.path.remove(str(LAB))


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh_CN"), ("zh", "zh_CN"), ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        ("zh;q=0.3,en;q=0.9", "en"), ("de-DE,zh-CN;q=0.5,en;q=0.4", "zh_CN"), ("fr,*;q=0.5", "en"), ("", "en"),
        ("zh;q=much", "en"), (",;;q=,", "en"),
    ],
)  # fmt: skip
def test_a_browser_s_first_language_that_there_is_counts(header: str, language: str) -> None:
    from darkroom_lab.languages import asked_for

    assert asked_for(header) == language


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`pip` before a folder of packages that has one, which is no good."""
    from darkroom_lab import mirror as found

    (tmp_path / "other-1.0-py3-none-any.whl").write_bytes(b"")
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(tmp_path))):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(found, "FOLDER", tmp_path)
    return found


def test_what_the_folder_of_packages_lacks_is_said_with_whom_to_ask(
    mirror: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pip")
    assert mirror.main(["install", "--dry-run", "nothing-of-this-name"]) != 0
    said = capfd.readouterr().err
    assert "No matching distribution" in said
    assert said.rstrip().endswith(mirror.ASK) and "ask the operator" in said and "联系运营方" in said
    assert mirror.main(["list"]) == 0
    assert mirror.ASK not in capfd.readouterr().err, "the control: what installs nothing asks nobody"


def test_without_a_folder_nothing_is_tried(
    mirror: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mirror, "FOLDER", tmp_path / "none")
    assert mirror.main(["install", "numpy"]) == 1
    assert capfd.readouterr().err.strip() == mirror.NONE


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The kernel's part, in a lab whose runner has told nothing of the home."""
    from darkroom_lab import home
    from darkroom_lab import kernel as found

    monkeypatch.setattr(home, "STATE", tmp_path / "home.json")
    monkeypatch.setattr(home.look, "__defaults__", (tmp_path / "home.json",))
    return found


def ended(problem: BaseException | None) -> SimpleNamespace:
    return SimpleNamespace(error_in_exec=problem)


def test_what_a_cells_error_does_not_say_about_room_is_said(
    kernel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from darkroom_lab import home

    monkeypatch.setattr(home.resource, "getrlimit", lambda _: (256 << 20, 256 << 20))
    kernel.after_cell(ended(OSError(errno.EFBIG, "File too large")))
    said = capsys.readouterr().err
    assert "One file can have at most 256 MB" in said and "单个文件最多 256 MB" in said
    full = os.statvfs_result((4096, 4096, 65536, 0, 0, 9, 9, 9, 0, 255))
    monkeypatch.setattr(home.os, "statvfs", lambda _: full)
    kernel.after_cell(ended(OSError(errno.ENOSPC, "No space left on device")))
    said = capsys.readouterr().err
    assert "/tmp is full (256 MB" in said and "临时目录" in said
    (tmp_path / "home.json").write_text(
        '{"used_mb": 300, "limit_mb": 256, "reserve_mb": 64, "files": 3, "files_limit": 9, "full": true}'
    )
    kernel.after_cell(ended(OSError(errno.EFBIG, "File too large")))
    assert "Your home is full" in capsys.readouterr().err, "where the home is full, that is the reason"
    kernel.after_cell(ended(OSError(errno.ENOENT, "No such file")))
    kernel.after_cell(ended(None))
    assert capsys.readouterr().err == "", "the control: other errors speak for themselves"


def test_an_image_that_was_removed_under_a_lab_is_said_after_the_error(
    kernel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel.after_cell(ended(ModuleNotFoundError("No module named 'scipy'")))
    assert capsys.readouterr().err == "", "the control: with its image there is nothing to add"
    monkeypatch.setattr(kernel, "PART", tmp_path / "gone.py")
    kernel.after_cell(ended(ModuleNotFoundError("No module named 'scipy'")))
    said = capsys.readouterr().err
    assert "image of this lab has disappeared" in said and "镜像已从节点上消失" in said
    kernel.after_cell(ended(None))
    assert capsys.readouterr().err == "", "a cell that ran well is left in peace"


def test_small_ls_and_stat_say_of_options_that_they_do_not_know_them(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What they do know is tried in a strong box (`test_lab_boxes`)."""
    from darkroom_lab import listing

    (tmp_path / "实验").mkdir()
    (tmp_path / "实验" / "a\x1b[31m").write_text("1")
    assert listing.ls(["-R", str(tmp_path)]) == 0
    assert "实验:" in capfd.readouterr().out
    with pytest.raises(SystemExit) as ended:
        listing.ls(["--dired"])
    assert ended.value.code == 2 and "small ls" in capfd.readouterr().err
    assert listing.stat(["-c", "%s %n %%", str(tmp_path / "none")]) == 1
    assert listing.stat(["-c", "%s bytes %q %%", str(tmp_path / "实验" / "a\x1b[31m")]) == 0
    assert capfd.readouterr().out == "1 bytes %q %\n"
