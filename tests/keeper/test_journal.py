"""The keeper's memory survives a crash at any moment, and does not take a backup for the truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper import journal as journals
from keeper.journal import Journal
from plans.errors import DarkroomError, DiskFull, EvidenceBroken

Line = tuple[str, int, dict[str, Any]]


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "home").mkdir()
    (tmp_path / "keyring").mkdir()
    return tmp_path / "home" / "journal", tmp_path / "keyring" / "mark"


def write(paths: tuple[Path, Path], count: int, first: int = 0) -> Journal:
    journal = Journal(*paths)
    list(journal.replay())
    for n in range(first, first + count):
        journal.append("note", n, {"n": n}, {"roster": n})
    return journal


def read(paths: tuple[Path, Path]) -> tuple[Journal, list[Line]]:
    journal = Journal(*paths)
    return journal, list(journal.replay())


def test_what_was_written_is_read_again_in_order(paths: tuple[Path, Path]) -> None:
    write(paths, 3)
    journal, lines = read(paths)
    assert lines == [("note", n, {"n": n}) for n in range(3)]
    assert not journal.restored and dict(journal.numbers) == {"roster": 2}


def test_the_journal_and_its_mark_are_private(paths: tuple[Path, Path]) -> None:
    write(paths, 1)
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600, 0o600]


def test_it_goes_on_where_it_stopped(paths: tuple[Path, Path]) -> None:
    write(paths, 2)
    write(paths, 2, first=2)
    assert [line[1] for line in read(paths)[1]] == [0, 1, 2, 3]


# --- crashes -----------------------------------------------------


@pytest.mark.parametrize("rest", [1, 5, 40])
def test_a_torn_last_line_was_never_answered_for_and_is_cut_off(paths: tuple[Path, Path], rest: int) -> None:
    write(paths, 2)
    whole = paths[0].read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    paths[0].write_bytes(whole + last[:rest])
    journal, lines = read(paths)
    assert len(lines) == 2 and not journal.restored
    journal.append("note", 9, {}, {})
    assert [line[1] for line in read(paths)[1]] == [0, 1, 9]


def test_a_crash_between_line_and_mark_keeps_the_line(paths: tuple[Path, Path]) -> None:
    write(paths, 2)
    mark = paths[1].read_bytes()
    write(paths, 1, first=2)
    paths[1].write_bytes(mark)
    journal, lines = read(paths)
    assert len(lines) == 3 and not journal.restored


def test_a_crash_before_the_first_mark_keeps_the_first_line(paths: tuple[Path, Path]) -> None:
    write(paths, 1)
    paths[1].unlink()
    journal, lines = read(paths)
    assert len(lines) == 1 and not journal.restored


@pytest.mark.parametrize("step", ["_durable_append", "replace_durably"])
def test_a_full_disk_leaves_nothing_behind(
    paths: tuple[Path, Path], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = write(paths, 2)
    before = [path.read_bytes() for path in paths]

    def full(*_: object) -> None:
        raise DiskFull("full")

    monkeypatch.setattr(journals, step, full)
    with pytest.raises(DiskFull):
        journal.append("note", 7, {}, {})
    monkeypatch.undo()
    assert [path.read_bytes() for path in paths] == before
    journal.append("note", 8, {}, {})
    again, lines = read(paths)
    assert [line[1] for line in lines] == [0, 1, 8] and not again.restored


def test_a_line_that_the_disk_did_not_take_is_taken_back(
    paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = write(paths, 2)

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(DiskFull):
        journal.append("note", 7, {}, {})
    monkeypatch.undo()
    journal.append("note", 8, {}, {})
    assert [line[1] for line in read(paths)[1]] == [0, 1, 8]


# --- tampering -----------------------------------------------------


def lines_of(paths: tuple[Path, Path]) -> list[bytes]:
    return paths[0].read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("attack", ["change", "drop", "swap", "double", "garbage", "reencode"])
def test_a_changed_dropped_moved_or_doubled_line_is_found_and_located(
    paths: tuple[Path, Path], attack: str
) -> None:
    write(paths, 5)
    lines = lines_of(paths)
    changed = {
        "change": [*lines[:2], lines[2].replace(b'"n":2', b'"n":7'), *lines[3:]],
        "drop": lines[:2] + lines[3:],
        "swap": [*lines[:2], lines[3], lines[2], lines[4]],
        "double": lines[:3] + lines[2:],
        "garbage": [*lines[:2], b"\xff\n", *lines[3:]],
        "reencode": [*lines[:2], lines[2].replace(b'{"n"', b'{ "n"'), *lines[3:]],
    }[attack]
    paths[0].write_bytes(b"".join(changed))
    with pytest.raises(EvidenceBroken, match="line") as found:
        read(paths)
    assert "journal line" in found.value.where


def test_lines_of_another_form_are_refused(paths: tuple[Path, Path]) -> None:
    paths[0].write_bytes(b"[]\n")
    with pytest.raises(EvidenceBroken):
        read(paths)
    paths[0].write_bytes(b"{}\n")
    with pytest.raises(EvidenceBroken):
        read(paths)


def test_a_changed_last_line_is_taken_for_a_backup(paths: tuple[Path, Path]) -> None:
    write(paths, 3)
    lines = lines_of(paths)
    paths[0].write_bytes(b"".join([*lines[:2], lines[2].replace(b'"n":2', b'"n":7')]))
    assert read(paths)[0].restored


# --- backups (ATTACKS 82) -----------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_an_older_copy_of_the_journal_is_noticed(paths: tuple[Path, Path], kept: int) -> None:
    write(paths, 3)
    paths[0].write_bytes(b"".join(lines_of(paths)[:kept]))
    journal, _ = read(paths)
    assert journal.restored and dict(journal.numbers) == {"roster": 2}, "what was forgotten stays known"


def test_an_older_copy_that_was_continued_is_noticed(paths: tuple[Path, Path], tmp_path: Path) -> None:
    write(paths, 3)
    mark = paths[1].read_bytes()
    paths[0].write_bytes(b"".join(lines_of(paths)[:1]))
    elsewhere = tmp_path / "elsewhere"
    write((paths[0], elsewhere), 4, first=7)
    assert paths[1].read_bytes() == mark
    assert read(paths)[0].restored


def test_an_older_keyring_is_noticed_too_for_it_may_hold_erased_keys(paths: tuple[Path, Path]) -> None:
    write(paths, 2)
    mark = paths[1].read_bytes()
    write(paths, 2, first=2)
    paths[1].write_bytes(mark)
    assert read(paths)[0].restored


def test_a_lost_mark_is_noticed(paths: tuple[Path, Path]) -> None:
    write(paths, 3)
    paths[1].unlink()
    assert read(paths)[0].restored


def test_a_damaged_mark_is_refused(paths: tuple[Path, Path]) -> None:
    write(paths, 3)
    paths[1].write_bytes(b"{}")
    with pytest.raises(EvidenceBroken):
        read(paths)


def test_writing_on_while_locked_does_not_make_the_next_start_forget_the_lock(
    paths: tuple[Path, Path],
) -> None:
    write(paths, 3)
    paths[0].write_bytes(b"".join(lines_of(paths)[:1]))
    journal, _ = read(paths)
    journal.append("head", 9, {}, {"roster": 0})
    again, lines = read(paths)
    assert again.restored and len(lines) == 2
    assert dict(again.numbers) == {"roster": 2}
    again.accept_restored({"roster": 8})
    after, _ = read(paths)
    assert not after.restored and dict(after.numbers) == {"roster": 8}


@given(st.data())
def test_no_cut_and_no_flipped_byte_is_read_as_another_history(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    paths = folder / "journal", folder / "mark"
    write(paths, 4)
    honest = read(paths)[1]
    content = bytearray(paths[0].read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    paths[0].write_bytes(bytes(content))
    try:
        journal, lines = read(paths)
    except DarkroomError:
        return
    assert journal.restored or lines == honest
