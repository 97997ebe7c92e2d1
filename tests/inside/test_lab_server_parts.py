"""Parts of a lab's server and kernel that need no box: which language a browser asks for, and what `pip` says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

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
