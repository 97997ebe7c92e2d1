"""What a launcher needs is not there: a folder, an image, its keeper, room on its disk.

Each ends in a named state with a sentence, nothing is half kept, and once it is there again the same stage runs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plans.box import Entry
from plans.errors import (
    BoxFailed,
    DarkroomError,
    DiskFull,
    HashMismatch,
    NotFound,
    SettingsWrong,
    Unreachable,
)
from sandbox.images import Image
from tests.sandbox.side import (
    HAND_OVER,
    ROOT,
    USER,
    Side,
    answers,
    begun,
    eventually,
    launched,
    of_boxes,
    run_query,
    side,
    sql_plan,
)

__all__ = ["side"]
pytestmark = pytest.mark.box
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives boxes users of their own")


def starts(side: Side) -> subprocess.CompletedProcess[str]:
    settings = side.config.home.parent / "launcher.json"
    side.config.save(settings)
    return subprocess.run(
        [sys.executable, "-P", "-m", "sandbox.launcher", str(settings)],
        cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@needs_root
@pytest.mark.parametrize("where", ["home", "socket"])
def test_a_folder_that_cannot_be_written_is_named_and_nothing_starts(side: Side, where: str) -> None:
    folder = side.config.home if where == "home" else side.config.socket.parent
    os.chown(folder, 0, 0)
    done = starts(side)
    assert done.returncode == SettingsWrong.exit_code
    assert str(folder) in done.stderr and "Traceback" not in done.stderr
    os.chown(folder, USER, USER)
    with launched(side):
        assert answers(side), "the control: with its folder back it starts"


def test_an_image_that_is_missing_is_refused(side: Side, probe_image: Image) -> None:
    missing = "sha256:" + "0" * 64
    plan = sql_plan(missing, HAND_OVER)
    with launched(replace(side, config=replace(side.config, images=(missing,)))):
        side.client.put(plan)
        with pytest.raises(NotFound, match="image") as told:
            run_query(side, plan)
        assert "administrator" in told.value.next_step and "submit anew" in told.value.next_step
        assert side.boxes == []


def test_an_image_that_was_changed_is_refused(side: Side, probe_image: Image) -> None:
    """One added file: nothing that was there is touched, since images share files."""
    with tempfile.TemporaryDirectory(prefix="images-", dir=probe_image.root.parents[1].parent) as folder:
        Path(folder).chmod(0o755)
        copy = Path(folder) / probe_image.root.parent.name
        subprocess.run(["/bin/cp", "-al", str(probe_image.root.parent), str(copy)], check=True)
        trusted = (probe_image.digest,)
        changed = replace(side, config=replace(side.config, images_folder=Path(folder), images=trusted))
        plan = sql_plan(probe_image.digest, HAND_OVER)
        with launched(changed):
            side.client.put(plan)
            assert run_query(side, plan).outputs, "the control: the copy itself is right"
        planted = copy / "root" / "box" / "planted.py"
        planted.write_text("")
        planted.chmod(0o644)
        with launched(changed):
            with pytest.raises(HashMismatch):
                side.client.run(plan.digest, Entry.QUERY, 2)
            assert side.boxes == []


def test_a_stage_whose_keeper_is_gone_ends_with_a_sentence(side: Side, probe_image: Image) -> None:
    plan = sql_plan(probe_image.digest, HAND_OVER)
    lonely = replace(side.config, keeper_socket=side.config.home.parent / "nobody")
    with launched(replace(side, config=lonely)):
        side.client.put(plan)
        with pytest.raises(Unreachable, match="keeper"):
            run_query(side, plan)
        assert side.boxes == []
        eventually(lambda: of_boxes() == [])
    with launched(side):
        assert run_query(side, plan).outputs, "asked again, with a keeper, it is run"


# --- disks that fill ----------------------------------------------


@pytest.fixture
def small_disk(side: Side) -> Iterator[Path]:
    """The launcher's home on a disk of two MiB; filling it is writing a file."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    options = f"size=2m,mode=0711,uid={USER},gid={USER}"
    done = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", options, "small", str(side.config.home)], check=False
    )
    if done.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield side.config.home
    subprocess.run(["/bin/umount", "-l", str(side.config.home)], check=True)


def fill(home: Path) -> Path:
    ballast = home / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb") as file:
        while True:
            file.write(b"x" * 4096)
            file.flush()
    return ballast


def test_a_full_disk_is_a_sentence_at_every_step_and_nothing_is_half_kept(
    side: Side, small_disk: Path, probe_image: Image
) -> None:
    plan = sql_plan(probe_image.digest, HAND_OVER)
    with launched(side):
        ballast = fill(small_disk)
        with pytest.raises(DiskFull):
            side.client.put(plan)
        ballast.unlink()
        side.client.put(plan)
        ballast = fill(small_disk)
        with pytest.raises((DiskFull, BoxFailed)):
            run_query(side, plan)
        assert side.boxes == []
        eventually(lambda: of_boxes() == [])
        ballast.unlink()
        assert run_query(side, plan).outputs, "with space again the same stage is run"


FILLS_LATE = """
import os, time
def run(session):
    session.write("rows", b"x" * 1000)
    while os.stat(session.out / "rows").st_mtime > 1:
        time.sleep(0.02)
    return {}
"""
"""Ends when its output is made out to be old, which takes no room on any disk."""


def written(side: Side) -> int:
    """Bytes of the one output, or none."""
    return sum(path.stat().st_size for box in side.boxes for path in (box / "out").glob("rows"))


def made_old(side: Side) -> None:
    (box,) = side.boxes
    os.utime(box / "out" / "rows", (1, 1))


def test_a_disk_that_fills_while_a_box_runs_leaves_no_half_result(
    side: Side, small_disk: Path, probe_image: Image
) -> None:
    plan = sql_plan(probe_image.digest, FILLS_LATE)
    with launched(side):
        side.client.put(plan)
        begun(side, plan, Entry.QUERY)
        eventually(lambda: written(side) > 1000)
        ballast = fill(small_disk)
        made_old(side)
        with pytest.raises(DarkroomError) as full:
            run_query(side, plan)
        assert not isinstance(full.value, Unreachable), "it says what happened"
        assert side.boxes == []
        eventually(lambda: of_boxes() == [])
        ballast.unlink()
        again = threading.Thread(target=lambda: (eventually(lambda: written(side) > 1000), made_old(side)))
        again.start()
        assert [output.name for output in run_query(side, plan).outputs] == ["rows"]
        again.join()
