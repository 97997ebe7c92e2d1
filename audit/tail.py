"""The end of the log, as one process last saw it, and how it grows.

Several processes append (API, dispatcher). There is no writer process to be down: whoever appends takes the
log's lock (`flock`, which the system releases when its holder dies), reads what others have added since, adds
a batch of its own and makes it durable, all before anybody is told. One lock and one `fdatasync` carry as
many events as were waiting.

**What a crash can leave behind.** A batch is written, then made durable, then its leaf hashes are written,
then its callers are told. So:

* bytes after the last newline were never acknowledged: an acknowledged event's newline was durable first.
  They are cut off, unless there is evidence that the event was complete once: a leaf hash at its place, or a
  head that counts it. Then it was no crash, and the log refuses to go on;
* complete lines beyond the leaf hashes may or may not have been acknowledged. They stay, and their hashes are
  added;
* leaf hashes beyond the lines, or of other lines, are never the work of a crash.
"""

from __future__ import annotations

import os

from audit import events, files, merkle
from audit.files import Layout
from plans.errors import LogBroken, Malformed


class Tail:
    """Size, frontier and time of the log, and the open files of its last segment. Use it under the log's lock
    only.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.frontier = merkle.Frontier()
        self.size = 0
        self.time = 0
        self._segment = -1
        self._offset = 0
        self._lines = self._leaves = -1

    def refresh(self, counted: int) -> None:
        """Take in what other processes have added, and remove what a crash has left of an event.

        Args:
            counted: the size in the newest signed head; the log must not be smaller.

        Raises:
            LogBroken: the files are not what a crash can leave behind.
            Unreachable, DiskFull: they cannot be read or written.
        """
        if self.size == 0:
            self._skip_full_segments()
        while self._take_segment(counted):
            pass
        if self.size < counted:
            raise LogBroken("the log is shorter than its signed head says", f"event {self.size}")

    def extend(self, lines: list[bytes]) -> None:
        """Write lines durably; there must be `room` for them.

        Raises:
            DiskFull, Unreachable: they are not in the log.
        """
        data = b"\n".join(lines) + b"\n"
        with files.writing(self._layout.events(self._segment)):
            try:
                files.write_at(self._lines, data, self._offset)
                os.fdatasync(self._lines)
            except OSError:
                os.ftruncate(self._lines, self._offset)
                raise
        self._accept(lines, len(data))

    @property
    def room(self) -> int:
        """How many events the last segment can still take; the next segment is begun when there is none."""
        return (self._segment + 1) * self._layout.segment_events - self.size

    def begin_segment(self) -> None:
        """Begin the next segment when the last one is full.

        Raises:
            DiskFull, Unreachable: its files cannot be made.
        """
        if self.room == 0:
            self._open(self._segment + 1)

    def close(self) -> None:
        """Close the files."""
        for descriptor in (self._lines, self._leaves):
            if descriptor >= 0:
                os.close(descriptor)
        self._lines = self._leaves = -1

    def _skip_full_segments(self) -> None:
        """Start at the last segment: of those before it the leaf hashes are enough to go on. `verify` reads
        it all.
        """
        for segment in range(self._layout.segments() - 1):
            data = self._layout.leaves(segment).read_bytes() if self._layout.leaves(segment).exists() else b""
            if len(data) != self._layout.segment_events * merkle.HASH_BYTES:
                raise LogBroken(
                    "the leaf hashes of a full segment are not complete", self._layout.leaves(segment).name
                )
            self.frontier.push(merkle.levels(merkle.split_hashes(data))[-1][0], self._layout.segment_height)
            self.size += self._layout.segment_events
            self._segment = segment

    def _take_segment(self, counted: int) -> bool:
        """Read the last segment from where we were; return whether another one follows."""
        if self._segment < 0 or self.room == 0:
            if self._segment >= 0 and not self._layout.events(self._segment + 1).exists():
                return False
            self._open(self._segment + 1)
        with files.writing(self._layout.events(self._segment)):
            if os.fstat(self._lines).st_size < self._offset:
                raise LogBroken("the log became shorter", self._layout.events(self._segment).name)
            data = files.read_at(self._lines, self._offset)
        lines, torn = files.whole_lines(data)
        if len(lines) > self.room:
            raise LogBroken("a segment holds too many lines", self._layout.events(self._segment).name)
        self._check_numbers(lines)
        self._accept(lines, len(data) - len(torn))
        if torn:
            self._cut(counted)
        self._check_leaves()
        return self.room == 0

    def _open(self, segment: int) -> None:
        self.close()
        with files.writing(self._layout.folder):
            self._lines = files.open_file(self._layout.events(segment))
            self._leaves = files.open_file(self._layout.leaves(segment))
            files.sync_folder(self._layout.folder)
        self._segment, self._offset = segment, 0

    def _check_numbers(self, lines: list[bytes]) -> None:
        for position, line in enumerate(lines):
            if not events.is_numbered(line, self.size + position):
                where = f"event {self.size + position}"
                raise LogBroken(
                    "a line is not the event that belongs there", where, "Run `darkroom-server audit verify`."
                )
        try:
            self.time = max(self.time, events.time_of(lines[-1])) if lines else self.time
        except Malformed:
            raise LogBroken(
                "a line does not end with a time", f"event {self.size + len(lines) - 1}"
            ) from None

    def _accept(self, lines: list[bytes], length: int) -> None:
        """Count durable lines: add their leaf hashes to the file, where they are missing, and to the
        frontier.
        """
        if not lines:
            return
        leaves = merkle.leaf_hashes(lines)
        first = (self.size - self._segment * self._layout.segment_events) * merkle.HASH_BYTES
        with files.writing(self._layout.leaves(self._segment)):
            known = files.read_at(self._leaves, first)
            data = b"".join(leaves)
            if not data.startswith(known[: len(data)]):
                raise LogBroken(
                    "lines and leaf hashes differ", f"events {self.size} to {self.size + len(lines) - 1}"
                )
            files.write_at(self._leaves, data[len(known) :], first + len(known))
        for leaf in leaves:
            self.frontier.push(leaf)
        self.size += len(lines)
        self._offset += length

    def _cut(self, counted: int) -> None:
        """Remove a torn line that nobody was told of."""
        self._check_leaves()
        if self.size < counted:
            raise LogBroken("the end of an acknowledged event is missing", f"event {self.size}")
        with files.writing(self._layout.events(self._segment)):
            os.ftruncate(self._lines, self._offset)
            os.fdatasync(self._lines)

    def _check_leaves(self) -> None:
        expected = (self.size - self._segment * self._layout.segment_events) * merkle.HASH_BYTES
        if os.fstat(self._leaves).st_size > expected:
            raise LogBroken("acknowledged events are missing at the end of the log", f"event {self.size}")
