"""The keeper's memory: an append-only journal of what it believed and did, and a mark that backups do not hold.

Every line is canonical JSON `{"kind", "at", "previous", "entry"}`; `previous` is the digest of the line
before, so lines cannot be dropped or moved inside the file unnoticed. Every append is on disk before it
returns.

The *mark* lives in the keyring folder, which no data backup contains: count and digest of the last line. A
journal that is shorter than its mark, or another one, comes from a backup: it may have forgotten a
revocation, a used grant or an erased key. The keeper then stays locked until the root key signs a newer
roster (ATTACKS 82). A mark may lag one line behind after a crash, never lead: the line is written first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plans import canonical
from plans.errors import DiskFull, EvidenceBroken

START = "sha256:" + "0" * 64


class Journal:
    """One journal file and its mark."""

    def __init__(self, path: Path, mark: Path) -> None:
        self._path, self._mark = path, mark
        self._count, self._last = 0, START
        self.restored = False

    def replay(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield (kind, time, entry) of every line, then compare with the mark; a torn last line is cut off.

        Raises:
            EvidenceBroken: a line was changed, dropped or moved.
        """
        lines, torn = self._lines()
        passed_mark = self._read_mark() is None
        for line in lines:
            record = canonical.decode(line)
            if not isinstance(record, dict) or record.get("previous") != self._last:
                raise EvidenceBroken(
                    "a line does not follow the one before", f"journal line {self._count + 1}"
                )
            self._step(line)
            passed_mark = passed_mark or (self._count, self._last) == self._read_mark()
            yield str(record["kind"]), int(record["at"]), dict(record["entry"])
        if torn:
            os.truncate(self._path, sum(len(line) + 1 for line in lines))
        self.restored = not passed_mark

    def append(self, kind: str, at: int, entry: dict[str, Any]) -> None:
        """Write one line durably, then the mark.

        Raises:
            DiskFull: it cannot be written; nothing was believed.
        """
        line = canonical.encode({"kind": kind, "at": at, "previous": self._last, "entry": entry})
        _durable_append(self._path, line + b"\n")
        self._step(line)
        replace_durably(self._mark, canonical.encode({"count": self._count, "last": self._last}))

    def accept_restored(self) -> None:
        """Take the present journal for the true one, after the owner has signed a new epoch."""
        replace_durably(self._mark, canonical.encode({"count": self._count, "last": self._last}))
        self.restored = False

    def _step(self, line: bytes) -> None:
        self._count, self._last = self._count + 1, canonical.digest_bytes("journal", line)

    def _lines(self) -> tuple[list[bytes], bool]:
        if not self._path.exists():
            return [], False
        content = self._path.read_bytes()
        *lines, rest = content.split(b"\n")
        return lines, bool(rest)

    def _read_mark(self) -> tuple[int, str] | None:
        if not self._mark.exists():
            return None
        mark = canonical.decode(self._mark.read_bytes())
        if not isinstance(mark, dict):
            raise EvidenceBroken("the journal's mark cannot be read", "keyring")
        return int(mark["count"]), str(mark["last"])


def replace_durably(path: Path, content: bytes) -> None:
    """Replace a small private file in one step: either the old or the new content survives a crash."""
    fresh = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise DiskFull(f"the keeper cannot write ({problem.strerror})", path.name) from None
    os.replace(fresh, path)
    _sync_folder(path.parent)


def _durable_append(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "ab", buffering=0) as file:
            size = file.tell()
            if file.write(data) != len(data):
                os.ftruncate(file.fileno(), size)
                raise DiskFull("the keeper's journal cannot grow", path.name)
            os.fsync(file.fileno())
    except OSError as problem:
        raise DiskFull(f"the keeper's journal cannot be written ({problem.strerror})", path.name) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
