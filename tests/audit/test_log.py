"""The log: acknowledged means durable, for threads, for processes, and after a crash."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from audit import api as audit
from audit import files, heads
from plans.errors import DiskFull, LogBroken, NotFound, StateConflict, Unreachable
from plans.statements import Duty

ROOT = Path(__file__).resolve().parents[2]
Drafts = Callable[..., audit.Draft]

APPENDER = """
import sys, threading
from pathlib import Path
from audit import api as audit
from keys import api as keys

folder, secret, name, threads, count = sys.argv[1:]
log = audit.Log.open(Path(folder), keys.SigningKey.from_bytes(bytes.fromhex(secret)), segment=64)

def work(thread):
    for n in range(int(count)):
        thing = f"{name}-{thread}-{n}"
        draft = audit.Draft("li@nm", "nm", "job.submitted", thing, audit.Retention.GRANTS, personal={"x": thing})
        receipt = log.append(draft)
        sys.stdout.write(f"{receipt.sequence} {thing}\\n")
        sys.stdout.flush()

workers = [threading.Thread(target=work, args=(n,)) for n in range(int(threads))]
[each.start() for each in workers]
[each.join() for each in workers]
"""


def appender(
    place: Any, name: str, threads: int, count: int, told: int | IO[str] = subprocess.PIPE
) -> subprocess.Popen[str]:
    arguments = [str(place.folder), place.key.unsafe_secret().hex(), name, str(threads), str(count)]
    return subprocess.Popen([sys.executable, "-c", APPENDER, *arguments], cwd=ROOT, stdout=told, text=True)


def acknowledged(output: str) -> dict[int, str]:
    """What the process was told; its last line may be cut by its death."""
    lines = output.split("\n")[:-1]
    return {int(line.split()[0]): line.split()[1] for line in lines}


def test_what_is_appended_is_read_back_in_order(place: Any, make_draft: Drafts) -> None:
    log = place.filled(40, heads_at=(7, 33))
    assert [event.details["n"] for event in log.events(0, 100)] == list(range(40))
    assert [event.sequence for event in log.events(14, 4)] == [14, 15, 16, 17]
    assert log.events(40) == () and log.events(1000) == ()
    assert log.append(make_draft()).sequence == 40
    assert place.verify().ok


def test_a_reopened_log_goes_on_where_it_was(place: Any, make_draft: Drafts) -> None:
    for size in (1, 16, 17, 32, 50):
        log = place.open()
        while log.size < size:
            log.append(make_draft(log.size))
        log.head()
        log.close()
    report = place.verify()
    assert (report.ok, report.events, report.signed, report.heads) == (True, 50, 50, 5)


def test_a_log_answers_to_its_name_only(place: Any) -> None:
    place.open().close()
    with pytest.raises(StateConflict):
        place.open(name="nm/other")


def test_a_process_without_the_key_appends_but_signs_no_head(place: Any, make_draft: Drafts) -> None:
    log = audit.Log.open(place.folder)
    log.append(make_draft())
    with pytest.raises(StateConflict):
        log.head()


def test_an_idle_log_does_not_sign_the_same_head_again(place: Any, make_draft: Drafts) -> None:
    log = place.filled(3)
    assert log.head() == log.head()
    log.append(make_draft())
    assert log.head().statement.body["size"] == 4


def test_only_the_owner_can_read_the_files(place: Any) -> None:
    place.filled(1, heads_at=(1,))
    assert {path.stat().st_mode & 0o077 for path in [place.folder, *place.folder.iterdir()]} == {0}


def test_every_event_is_proved_under_a_head(place: Any) -> None:
    log = place.filled(37)
    head = heads.read_head(log.head(), place.key.public, Duty.CENTRE)
    for event in log.events(0, 100):
        proof = [bytes.fromhex(each) for each in log.inclusion(event.sequence, head.size)]
        leaf = audit.leaf_hash(event.canonical())
        audit.verify_inclusion(leaf, event.sequence, head.size, proof, bytes.fromhex(head.root))
    with pytest.raises(NotFound):
        log.inclusion(37, 37)
    with pytest.raises(NotFound):
        log.consistency(3, 38)


def test_time_never_runs_backwards_in_the_log(
    place: Any, make_draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = place.open()
    later = log.append(make_draft()).time
    monkeypatch.setattr(time, "time", lambda: later / 1000 - 100)
    assert log.append(make_draft()).time == later
    monkeypatch.undo()
    log.close()
    assert place.open().append(make_draft()).time >= later


# ------------------------------------------------------------------------------- several writers at a time


def test_many_threads_get_different_numbers_and_share_their_fsyncs(
    place: Any, make_draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, receipts, syncs, sync = place.open(), [], [], os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: (syncs.append(file), time.sleep(0.02), sync(file)))

    def work() -> None:
        receipts.extend(log.append(make_draft(n)).sequence for n in range(10))

    threads = [threading.Thread(target=work) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(receipts) == list(range(160))
    assert len(syncs) < 160 / 2
    assert place.verify().ok


def test_nobody_is_told_before_the_event_is_durable(
    place: Any, make_draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, order = place.open(), []
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda file: (sync(file), order.append("durable")))
    log.append(make_draft())
    order.append("told")
    assert order == ["durable", "told"]


def test_three_processes_with_threads_write_one_log(place: Any) -> None:
    processes = [appender(place, name, 4, 50) for name in "abc"]
    told: dict[int, str] = {}
    for process in processes:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        told |= acknowledged(output)
    log = place.open()
    assert {event.sequence: event.object for event in log.events(0, 1000)} == told
    assert sorted(told) == list(range(600))
    assert all(log.matches(event, "x", event.object) for event in log.events(0, 1000))
    log.head()
    assert place.verify().ok


@pytest.mark.parametrize("pause", [0.15, 0.4, 0.7])
def test_killed_writers_leave_every_acknowledged_event_and_a_log_that_verifies(
    place: Any, pause: float, tmp_path: Path
) -> None:
    files = [tmp_path / f"told-{name}" for name in "ab"]
    with files[0].open("w") as one, files[1].open("w") as other:
        processes = [appender(place, "a", 8, 100_000, one), appender(place, "b", 8, 100_000, other)]
        while not all(acknowledged(file.read_text()) for file in files):
            assert processes[0].poll() is None and processes[1].poll() is None
            time.sleep(0.01)
        time.sleep(pause)
        processes[0].send_signal(signal.SIGKILL)
        time.sleep(0.1)
        processes[1].send_signal(signal.SIGKILL)
        assert [process.wait(60) for process in processes] == [-signal.SIGKILL] * 2
    told = {**acknowledged(files[0].read_text()), **acknowledged(files[1].read_text())}
    log = place.open()
    written = {event.sequence: event.object for event in log.events(0, 10**6)}
    assert told and told.items() <= written.items()
    log.head()
    assert place.verify().require().events == len(written)


# ---------------------------------------------------------------------------------------- what a crash leaves


def last_segment(place: Any) -> Path:
    return sorted(place.folder.glob("*.events"))[-1]


def leaves_of(segment: Path) -> Path:
    return segment.with_suffix(".leaves")


@pytest.mark.parametrize("torn", [b"{", b'{"action":"job.sub', b"\0" * 100])
def test_a_torn_line_that_nobody_was_told_of_is_removed(place: Any, make_draft: Drafts, torn: bytes) -> None:
    place.filled(20, heads_at=(20,)).close()
    with last_segment(place).open("ab") as file:
        file.write(torn)
    assert place.verify().ok
    log = place.open()
    assert log.append(make_draft(20)).sequence == 20
    assert place.verify().ok and place.verify().events == 21


def test_another_process_removes_the_torn_line_of_one_that_died(place: Any, make_draft: Drafts) -> None:
    log = place.filled(5)
    with last_segment(place).open("ab") as file:
        file.write(b"torn")
    assert log.append(make_draft(5)).sequence == 5
    assert place.verify().ok


def test_whole_lines_whose_leaf_hashes_are_missing_stay(place: Any, make_draft: Drafts) -> None:
    """Power went after the events were durable and before their leaf hashes were."""
    place.filled(10).close()
    with leaves_of(last_segment(place)).open("r+b") as file:
        file.truncate(4 * 32 + 7)
    log = place.open()
    assert log.append(make_draft()).sequence == 10
    assert place.verify().ok


def test_a_cut_that_looks_like_a_crash_is_not_taken_for_one(place: Any) -> None:
    """The end of an acknowledged event is gone: its leaf hash, or a head, remembers that it was whole."""
    place.filled(10).close()
    segment = last_segment(place)
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 5)
    before = segment.read_bytes()
    with pytest.raises(LogBroken):
        place.open()
    assert segment.read_bytes() == before


def test_a_cut_is_not_taken_for_a_crash_even_without_leaf_hashes(place: Any) -> None:
    place.filled(10, heads_at=(10,)).close()
    segment = last_segment(place)
    with segment.open("r+b") as file:
        file.truncate(segment.stat().st_size - 5)
    leaves_of(segment).unlink()
    with pytest.raises(LogBroken):
        place.open()


def test_a_torn_head_is_left_out_and_replaced(place: Any, make_draft: Drafts) -> None:
    log = place.filled(4, heads_at=(4,))
    with (place.folder / "heads").open("ab") as file:
        file.write(b'{"signature":"12')
    log.append(make_draft())
    log.head()
    assert place.verify().ok and place.verify().heads == 2


def test_the_last_head_is_found_at_the_end_of_a_long_file(tmp_path: Path) -> None:
    file = tmp_path / "heads"
    assert files.last_line(file) is None
    for lines, torn in ((0, b""), (0, b"torn"), (1, b""), (1, b"torn"), (200, b""), (200, b"torn")):
        file.write_bytes(b"".join(b"%06d" % n + b"x" * 900 + b"\n" for n in range(lines)) + torn)
        found = files.last_line(file)
        assert found == (files.read_lines(file)[-1] if lines else None)


def test_a_log_that_was_rewritten_is_not_continued(place: Any) -> None:
    place.filled(10, heads_at=(10,)).close()
    segment = last_segment(place)
    segment.write_bytes(segment.read_bytes().replace(b"job-3", b"job-4"))
    with pytest.raises(LogBroken):
        place.open()
    leaves_of(segment).unlink()
    with pytest.raises(LogBroken):
        place.open()


def test_a_log_that_shrinks_under_an_open_process_is_noticed(place: Any, make_draft: Drafts) -> None:
    log = place.filled(10)
    last_segment(place).write_bytes(b"")
    with pytest.raises(LogBroken):
        log.append(make_draft())


# -------------------------------------------------------------------------------------------- what goes wrong


def test_a_full_disk_is_said_to_everyone_in_the_batch_and_leaves_nothing_behind(
    place: Any, make_draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, write = place.filled(3), os.pwrite

    def full(file: int, data: bytes, offset: int) -> int:
        if len(data) > 40:
            write(file, bytes(data)[:40], offset)
            raise OSError(errno.ENOSPC, "no space")
        return write(file, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(DiskFull):
        log.append(make_draft())
    monkeypatch.undo()
    assert log.append(make_draft()).sequence == 3
    assert place.verify().ok and place.verify().events == 4


def test_a_lock_that_is_never_given_back_is_said(
    place: Any, make_draft: Drafts, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, other = place.open(), place.open()
    monkeypatch.setattr("audit.log.LOCK_PATIENCE_S", 0.05)
    with other._locked(), pytest.raises(Unreachable):
        log.append(make_draft())
    assert log.append(make_draft()).sequence == 0


def test_a_log_in_a_folder_that_cannot_be_made_is_unreachable(place: Any) -> None:
    place.folder.write_text("a file")
    with pytest.raises(Unreachable):
        place.open()


def test_a_torn_salt_is_used_again(place: Any, make_draft: Drafts) -> None:
    log = place.open()
    log.append(make_draft(personal={"x": "1"}))
    with (place.folder / "salts").open("ab") as file:
        file.write(b"torn")
    log.append(make_draft(personal={"x": "2"}))
    assert [log.matches(event, "x", str(n + 1)) for n, event in enumerate(log.events(0))] == [True, True]


def test_lines_are_json_that_any_reader_can_read(place: Any) -> None:
    place.filled(3)
    lines = files.read_lines(last_segment(place))
    assert [json.loads(line)["sequence"] for line in lines] == [0, 1, 2]


def test_several_events_are_written_together_and_in_order(place: Any, make_draft: Drafts) -> None:
    log = place.filled(10)
    receipts = log.append_all([make_draft(n) for n in range(40)])
    assert [receipt.sequence for receipt in receipts] == list(range(10, 50))
    assert [event.details["n"] for event in log.events(10)] == list(range(40))
    assert log.append_all([]) == ()
    assert place.verify().ok


def test_enough_events_are_put_under_a_head_without_being_asked(place: Any, make_draft: Drafts) -> None:
    log = place.open(segment=2048)
    log.append_all([make_draft(n) for n in range(1100)])
    assert place.verify().signed == 1100
