"""The keeper's memory: an append-only journal of what it believed and did, and a mark that backups do not hold.

Every line is canonical JSON `{"kind", "at", "previous", "entry"}`; `previous` is the digest of the line
before, so lines cannot be dropped or moved inside the file unnoticed. Every append is on disk before it
returns.

The *mark* lives in the keyring folder, which no data backup contains: count and digest of the last line, and
the highest numbers of roster and bundle that were ever believed. A journal that is shorter than its mark, or
another one, comes from a backup: it may have forgotten a revocation, a used grant or an erased key. The
keeper then stays locked until the root key signs a roster newer than *every* roster before, the forgotten
ones included (ATTACKS 82). A mark may lag one line behind after a crash, never lead: the line is written
first. A mark that lags further comes from a backup of the keyring, which may hold erased keys, and locks as
well.

While the keeper is locked, lines are added and the mark stays, so that another start does not forget the
lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from plans import canonical
from plans.errors import DiskFull, EvidenceBroken, Malformed, StateConflict
from plans.record import Record

START = "sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class Mark(Record):
    """Where the journal stood: how many lines, the digest of the last, the highest numbers ever believed."""

    count: int = 0
    last: str = START
    numbers: Mapping[str, Any] = field(default_factory=dict)


class Journal:
    """One journal file and its mark. `numbers` are the highest that the mark remembers."""

    def __init__(self, path: Path, mark: Path) -> None:
        self._path, self._mark = path, mark
        self._count, self._last = 0, START
        self.restored = False
        self.numbers: Mapping[str, int] = {}

    def replay(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield (kind, time, entry) of every line, then compare with the mark; a torn last line is cut off.

        Raises:
            EvidenceBroken: a line was changed, dropped or moved.
        """
        lines, torn = self._lines()
        mark = self._read_mark()
        marked = (mark.count, mark.last)
        passed_mark = marked == (0, START)
        for line in lines:
            record = self._read_line(line)
            self._step(line)
            passed_mark = passed_mark or (self._count, self._last) == marked
            yield str(record["kind"]), int(record["at"]), dict(record["entry"])
        if torn:
            os.truncate(self._path, sum(len(line) + 1 for line in lines))
        self.numbers = dict(mark.numbers)
        self.restored = not passed_mark or self._count > mark.count + 1

    def append(self, kind: str, at: int, entry: dict[str, Any], numbers: Mapping[str, int]) -> None:
        """Write one line durably, then the mark. `numbers` are the highest numbers once this line is believed.

        Raises:
            DiskFull: it cannot be written; nothing was believed.
        """
        line = canonical.encode({"kind": kind, "at": at, "previous": self._last, "entry": entry})
        size = _durable_append(self._path, line + b"\n")
        count, last = self._count + 1, canonical.digest_bytes("journal", line)
        try:
            if not self.restored:
                self._write_mark(Mark(count, last, dict(numbers)))
        except DiskFull:
            os.truncate(self._path, size)
            raise
        self._count, self._last = count, last

    def accept_restored(self, numbers: Mapping[str, int]) -> None:
        """Take the present journal for the true one, after the owner has signed a new epoch."""
        self._write_mark(Mark(self._count, self._last, dict(numbers)))
        self.restored = False

    def _write_mark(self, mark: Mark) -> None:
        replace_durably(self._mark, mark.canonical())
        self.numbers = mark.numbers

    def _read_line(self, line: bytes) -> dict[str, Any]:
        """Return a line that follows the one before."""
        where = f"journal line {self._count + 1}"
        try:
            record = canonical.decode(line)
        except Malformed:
            raise EvidenceBroken("a line was damaged", where) from None
        if not isinstance(record, dict) or set(record) != {"kind", "at", "previous", "entry"}:
            raise EvidenceBroken("a line is none of a keeper's", where)
        if record["previous"] != self._last:
            raise EvidenceBroken("a line does not follow the one before", where)
        return dict(record)

    def _step(self, line: bytes) -> None:
        self._count, self._last = self._count + 1, canonical.digest_bytes("journal", line)

    def _lines(self) -> tuple[list[bytes], bool]:
        if not self._path.exists():
            return [], False
        content = self._path.read_bytes()
        *lines, rest = content.split(b"\n")
        return lines, bool(rest)

    def _read_mark(self) -> Mark:
        if not self._mark.exists():
            return Mark()
        try:
            return Mark.decode(self._mark.read_bytes())
        except Malformed:
            raise EvidenceBroken("the journal's mark cannot be read", "keyring") from None


def hold(path: Path) -> BinaryIO:
    """Take a folder's lock for this process, until the returned file is closed: two keepers of one journal would each
    spend what is left.

    Raises:
        StateConflict: another process has it.
    """
    lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "r+b")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StateConflict(
            "another process is the keeper of this folder",
            str(path.parent),
            "End it before starting another.",
        ) from None
    return lock


def replace_durably(path: Path, content: bytes) -> None:
    """Replace a small private file in one step: either the old or the new content survives a crash."""
    fresh = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        sync_folder(path.parent)
    except OSError as problem:
        raise DiskFull(f"the keeper cannot write ({problem.strerror})", path.name) from None


def _durable_append(path: Path, data: bytes) -> int:
    """Append and return where the data begin; a line that is only partly on disk is taken back."""
    size = -1
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            size = file.tell()
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        return size
    except OSError as problem:
        if size >= 0:
            os.truncate(path, size)
        raise DiskFull(f"the keeper's journal cannot be written ({problem.strerror})", path.name) from None


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
