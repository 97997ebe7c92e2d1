"""The walls as values: the command line, the filter's table, user ids, settings, outputs. No box starts here."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.box import BoxSpec, Entry, Limits, Outputs
from plans.decision import Tier
from plans.errors import OutputRefused, SettingsWrong, TierMissing, Unreachable
from sandbox import bubblewrap, collecting, conversation, folders, syscalls
from sandbox.config import LauncherConfig
from sandbox.folders import BoxFolders
from sandbox.identities import Identities

LIMITS = Limits(4096, 2048, 0, 64, 600, 600, 64, 256, 2)
SPEC = BoxSpec(Entry.QUERY, "sha256:" + "0" * 64, (), LIMITS, Tier.T1)
ONE = Path("/boxes/1")
WALLS = bubblewrap.Walls(Path("/image"), BoxFolders(ONE, ONE / "in", ONE / "out", ONE / "spill"), 60001, True)


def words(separate: bool = True) -> list[str]:
    walls = replace(WALLS, separate=separate)
    return bubblewrap.command(SPEC, walls, bubblewrap.Descriptors(7, 8), bubblewrap.entry_program(SPEC))


def test_the_user_id_is_changed_before_bubblewrap_starts() -> None:
    line = words()
    assert line[0] == "/bin/sh" and line[4].endswith("setpriv") and line[line.index("--reuid") + 1] == "60001"
    assert line.index("--no-new-privs") < next(n for n, word in enumerate(line) if word.endswith("bwrap"))
    assert not any(word.endswith("setpriv") for word in words(separate=False)), "only root can"


def test_a_box_can_write_only_its_outputs_and_its_own_memory() -> None:
    line = words()
    assert [line[n + 1] for n, word in enumerate(line) if word == "--bind"] == ["/boxes/1/out"]
    assert "--ro-bind" in line and line[line.index("--ro-bind") + 1 :][:2] == ["/image", "/"]
    sizes = [line[n - 2] for n, word in enumerate(line) if word == "--tmpfs"]
    assert set(sizes) == {"--size"}, "a tmpfs without a size may take half of the memory"


def test_python_runs_without_site_and_without_its_environment() -> None:
    line = words()
    start = line.index("/python/bin/python3")
    assert line[start + 1 : start + 3] == ["-I", "-S"]
    assert line[start + 6 : start + 9] == [bubblewrap.FENCE, "/box", "query"]


def test_every_line_of_the_filter_gives_a_reason_and_no_call_stands_twice() -> None:
    calls = [(call, denial.when) for denial in syscalls.DENIALS for call in denial.calls]
    assert all(len(denial.why.split()) >= 3 for denial in syscalls.DENIALS)
    assert len(calls) == len(set(calls))
    for needed in (
        "memfd_create",
        "shmget",
        "io_uring_setup",
        "keyctl",
        "userfaultfd",
        "ptrace",
        "bpf",
        "setns",
        "socket",
    ):
        assert (needed, None) in calls


def test_a_filter_that_libseccomp_does_not_take_starts_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(syscalls.filter_file())
    monkeypatch.setattr(syscalls, "DENIALS", (syscalls.Denial(("no_such_call",), 1, "a planted line"),))
    with pytest.raises(TierMissing):
        syscalls.filter_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives boxes users of their own")
def test_a_user_id_is_never_given_twice_while_its_box_lives() -> None:
    identities = Identities(60001, 2)
    first, second = identities.take(), identities.take()
    assert first != second
    with pytest.raises(Unreachable):
        identities.take()
    identities.give_back(first)
    assert identities.take() == first


def test_box_users_are_never_those_of_the_system() -> None:
    with pytest.raises(SettingsWrong):
        Identities(0, 10)


def test_a_folder_that_boxes_cannot_reach_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "home").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(SettingsWrong) as wrong:
        folders.require_passable(closed / "home")
    assert "chmod o+x" in wrong.value.next_step


# --- settings -----------------------------------------------------


def settings(folder: Path) -> dict:
    key = folder / "key"
    key.touch(0o600)
    key.write_text("11" * 32)
    paths = {name: str(folder / name) for name in ("home", "socket", "data_folder", "images_folder")}
    numbers = {"first_uid": 60001, "uid_count": 4, "warm_kinds": 0}
    nothing = {
        "keeper_socket": None,
        "owner_socket": None,
        "user": None,
        "askers": [],
        "ceilings": {},
        "images": [],
    }
    return {"domain": "nm/tax", "node": "n1", "key_file": str(key), **nothing, **paths, **numbers}


def load(folder: Path, content: dict) -> LauncherConfig:
    (folder / "c.json").write_text(json.dumps(content))
    return LauncherConfig.load(folder / "c.json")


def test_settings_are_read(tmp_path: Path) -> None:
    config = load(tmp_path, settings(tmp_path))
    assert config.domain == "nm/tax" and config.keeper_socket is None
    assert config.signing_key().public.startswith("ed25519:")


@pytest.mark.parametrize("name", ["domain", "home", "first_uid"])
def test_a_missing_or_wrong_setting_is_refused(tmp_path: Path, name: str) -> None:
    good = settings(tmp_path)
    for wrong in ({k: v for k, v in good.items() if k != name}, {**good, name: []}, {**good, "more": 1}):
        with pytest.raises(SettingsWrong):
            load(tmp_path, wrong)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    config = load(tmp_path, settings(tmp_path))
    config.key_file.chmod(0o640)
    with pytest.raises(SettingsWrong):
        config.signing_key()


# --- what comes from a box -----------------------------------------------------


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "target").mkdir()
    return tmp_path / "out"


def collected(out: Path, names: tuple[str, ...] = ()) -> list[str]:
    rules = collecting.Rules(Outputs(8, names), 1000)
    return [output.name for output in collecting.collect(out, out.parent / "target", rules)]


def test_fifos_and_sockets_and_devices_are_refused_without_waiting_for_them(out: Path) -> None:
    os.mkfifo(out / "a")
    with pytest.raises(OutputRefused):
        collected(out)


def test_a_symbolic_link_is_refused_and_not_followed(out: Path) -> None:
    (out.parent / "secret").write_text("x")
    (out / "a").symlink_to(out.parent / "secret")
    with pytest.raises(OutputRefused):
        collected(out)
    assert list((out.parent / "target").iterdir()) == []


def test_more_than_the_limit_is_refused_in_sum_too(out: Path) -> None:
    (out / "a").write_bytes(b"x" * 600)
    assert collected(out) == ["a"]
    (out.parent / "target" / "a").unlink()
    (out / "b").write_bytes(b"x" * 600)
    with pytest.raises(OutputRefused):
        collected(out)


def test_too_many_files_are_refused(out: Path) -> None:
    for n in range(9):
        (out / f"a{n}").touch()
    with pytest.raises(OutputRefused):
        collected(out)
    assert collecting.usage(out).entries == 9


MEGABYTE = b"x" * 2**20


def deep(out: Path) -> None:
    """Beyond the longest path that the kernel takes; the box itself walks there step by step."""
    here = os.open(out, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=here)
        here, above = os.open("d" * 250, os.O_RDONLY, dir_fd=here), here
        os.close(above)
    with open(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here), "wb") as file:
        file.write(MEGABYTE)
    os.close(here)


def among_many(out: Path) -> None:
    for n in range(collecting.MOST_OUTPUTS + 1):
        (out / f"a{n}").touch()
    (out / "file").write_bytes(MEGABYTE)


def closed(out: Path) -> None:
    (out / "folder").mkdir()
    (out / "folder" / "file").write_bytes(MEGABYTE)
    (out / "folder").chmod(0)


@pytest.mark.parametrize("hide", [deep, among_many, closed])
def test_what_a_box_hides_from_its_watcher_counts_as_too_much(
    out: Path, hide: Callable[[Path], None]
) -> None:
    """46: disk that nobody counts. The control: what is in sight is counted."""
    (out / "seen").write_bytes(MEGABYTE)
    assert collecting.usage(out) == collecting.Usage(1, 2**20, True)
    hide(out)
    if hide is closed and os.geteuid() == 0:
        assert collecting.usage(out) == collecting.Usage(3, 2**21, True), "nothing is closed to root"
    else:
        assert not collecting.usage(out).whole
    asyncio.run(folders.wipe(out))
    assert not out.exists()


def test_a_file_that_the_plan_does_not_name_is_refused(out: Path) -> None:
    (out / "a").touch()
    assert collected(out, ("a", "b")) == ["a"]
    (out.parent / "target" / "a").unlink()
    with pytest.raises(OutputRefused):
        collected(out, ("b",))


def test_what_is_collected_can_no_longer_be_written(out: Path) -> None:
    (out / "a").write_text("x")
    collected(out)
    assert (out.parent / "target" / "a").stat().st_mode & 0o777 == 0o444


@given(
    st.text(max_size=400),
    st.dictionaries(st.text(max_size=300), st.integers() | st.text(max_size=500), max_size=40),
)
def test_a_failure_from_a_box_is_cut_to_plain_words(code: str, facts: dict) -> None:
    failure = conversation.failure_in({"failure": {"code": code, "facts": facts}})
    assert failure.code == "box.failed" or failure.code == code
    assert (
        len(failure.code) <= 60 and failure.code.isascii() and len(failure.facts) <= conversation.MOST_FACTS
    )
    for value in (*failure.facts, *failure.facts.values()):
        assert isinstance(value, int) or (len(value) <= 200 and not any(ord(letter) < 32 for letter in value))
