"""The files of a log, and how they are written so that they survive a crash.

    log.json                        the log's name and how many events a segment holds
    00000000000000000000.events     a segment: one line per event, named by its first event's number
    00000000000000000000.leaves     the segment's leaf hashes, 32 bytes each, in order
    heads                           signed heads, one line each
    cosignatures                    the same heads signed by witnesses, one line each
    salts                           the salts of commitments, 32 bytes each (see `audit.salts`)
    lock                            locked (flock) by whoever appends

A segment holds a power of two of events, so that a full one is a perfect subtree.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plans import canonical, names
from plans.errors import DarkroomError, DiskFull, LogBroken, Malformed, NotFound, Unreachable

SEGMENT_EVENTS = 1 << 16
LONGEST_LINE = 1 << 16
"""Bytes from the end of a file of signatures in which a whole line is certain to be found."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """A log's folder, name and segment size."""

    folder: Path
    name: str
    segment_events: int = SEGMENT_EVENTS

    def __post_init__(self) -> None:
        names.require("domain", self.name, "log.name")
        if self.segment_events < 1 or self.segment_events & (self.segment_events - 1):
            raise Malformed("a segment holds a power of two of events", "log.segment_events")

    @property
    def segment_height(self) -> int:
        """The height of a full segment as a subtree."""
        return self.segment_events.bit_length() - 1

    def events(self, segment: int) -> Path:
        """Return the path of a segment's lines."""
        return self.folder / f"{segment * self.segment_events:020d}.events"

    def leaves(self, segment: int) -> Path:
        """Return the path of a segment's leaf hashes."""
        return self.folder / f"{segment * self.segment_events:020d}.leaves"

    @property
    def heads(self) -> Path:
        """The path of the signed heads."""
        return self.folder / "heads"

    @property
    def cosignatures(self) -> Path:
        """The path of the witnesses' signatures."""
        return self.folder / "cosignatures"

    def segments(self) -> int:
        """Return how many segments there are, counting up to the last, whether or not one between is missing."""
        last = max((path.stem for path in self.folder.glob("*.events")), default="")
        return int(last) // self.segment_events + 1 if last.isdigit() else 0


def read_layout(folder: Path) -> Layout:
    """Return the layout of an existing log.

    Raises:
        NotFound: there is no log in this folder.
        LogBroken: its description cannot be read.
    """
    try:
        plain = canonical.decode((folder / "log.json").read_bytes())
    except FileNotFoundError:
        raise NotFound("there is no audit log here", str(folder)) from None
    except Malformed:
        raise LogBroken("the log's description was changed", str(folder / "log.json")) from None
    match plain:
        case {"format": 1, "name": str(name), "segment_events": int(count)}:
            return Layout(folder, name, count)
    raise LogBroken("the log's description was changed", str(folder / "log.json"))


def make_layout(layout: Layout) -> None:
    """Write the description of a new log.

    Raises:
        DiskFull, Unreachable: it cannot be written.
    """
    plain: dict[str, canonical.Plain] = {
        "format": _FORMAT,
        "name": layout.name,
        "segment_events": layout.segment_events,
    }
    with writing(layout.folder):
        descriptor = open_file(layout.folder / "log.json")
        os.pwrite(descriptor, canonical.encode(plain), 0)
        os.fsync(descriptor)
        os.close(descriptor)
        sync_folder(layout.folder)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into our errors."""
    try:
        yield
    except OSError as problem:
        raise _ours(problem, path) from None


def _ours(problem: OSError, path: Path) -> DarkroomError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("the audit log cannot grow: the disk is full", str(path))
    return Unreachable(
        "the audit log cannot be written", str(path), "Look at the folder, its disk and its owner."
    )


def open_file(path: Path) -> int:
    """Open a file of the log to read and write, made if it is not there, for its owner only."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of `data`, however many calls it takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def read_at(descriptor: int, offset: int) -> bytes:
    """Return everything from `offset` to the end."""
    parts = []
    while part := os.pread(descriptor, 1 << 24, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def whole_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the complete lines without their newlines, and what stands after the last newline."""
    lines = data.split(b"\n")
    return lines, lines.pop()


def read_lines(path: Path) -> list[bytes]:
    """Return a file's complete lines; a torn last one, which no one was told of, is left out."""
    try:
        return whole_lines(path.read_bytes())[0]
    except FileNotFoundError:
        return []


def last_line(path: Path) -> bytes | None:
    """Return a file's last complete line, or none, reading only the end of the file."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_LINE))
            lines, _ = whole_lines(file.read())
    except FileNotFoundError:
        return None
    return lines[-1] if lines else None


def append_line(path: Path, data: bytes) -> None:
    """Add one line durably; a torn line at the end is removed first. The caller holds the log's lock.

    Raises:
        DiskFull, Unreachable: it cannot be written; the file is as it was.
    """
    with writing(path):
        new = not path.exists()
        descriptor = open_file(path)
        try:
            end = _end_of_lines(descriptor)
            os.ftruncate(descriptor, end)
            write_at(descriptor, data + b"\n", end)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            sync_folder(path.parent)


def _end_of_lines(descriptor: int) -> int:
    """Return the offset behind the last newline."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    return read_at(descriptor, 0).rfind(b"\n") + 1
