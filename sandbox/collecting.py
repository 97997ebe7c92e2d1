"""Collecting a box's outputs: what it left in `/out` is somebody else's work, and is looked at as such.

Only plain files with plain names, in the folder itself, within the limits of count and size, come out.
Nothing is followed: every entry is looked at with `lstat` and opened with `O_NOFOLLOW`, and what was opened
is looked at again, so that an entry that changes in between gains nothing (the box is gone by then anyway). A
hard link shows a link count above one and is refused too. Refusals name the rule, never the entry: a file
name is a channel (ATTACKS 50, 51).
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plans import names
from plans.box import MOST_OUTPUTS, Outputs
from plans.errors import Malformed, OutputRefused
from plans.statements import StageOutput


@dataclass(frozen=True, slots=True)
class Rules:
    """What may come out: how many files, of which names, and how many bytes together."""

    outputs: Outputs
    largest: int


_BLOCK = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """What lies in a folder of a running box: entries, bytes, and whether that is all of it.

    It is not all when there are more than `MOST_OUTPUTS` entries, or some that cannot be looked at: too deep, or
    closed to us. A box that makes those hides what it uses, and nothing of the house does.
    """

    entries: int
    size: int
    whole: bool


def usage(folder: Path) -> Usage:
    """Return what a running box has in a folder, as far as `MOST_OUTPUTS` + 1 entries."""
    entries = size = 0
    waiting = [os.fspath(folder)]
    try:
        while waiting:
            for entry in _looked_at(waiting.pop()):
                entries += 1
                if entries > MOST_OUTPUTS:
                    return Usage(entries, size, False)
                try:
                    status = os.lstat(entry)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(entry)
                else:
                    size += status.st_blocks * 512
    except OSError:
        return Usage(entries, size, False)
    return Usage(entries, size, True)


def collect(out: Path, target: Path, rules: Rules) -> tuple[StageOutput, ...]:
    """Copy the outputs to the empty folder `target`, readable and not writable, and return them hashed, by
    name.

    Raises:
        OutputRefused: an entry is no plain file, has no plain name, or the limits do not hold.
    """
    if len(entries := sorted(_entries(os.fspath(out)))) > rules.outputs.files:
        raise _refused(f"this box leaves at most {rules.outputs.files} files")
    outputs, left = [], rules.largest
    for entry in entries:
        if rules.outputs.names and os.path.basename(entry) not in rules.outputs.names:
            raise _refused("a box left a file that its plan does not name")
        output = _take(entry, target, left)
        left -= output.size
        outputs.append(output)
    return tuple(outputs)


def _take(entry: str, target: Path, left: int) -> StageOutput:
    name = os.path.basename(entry)
    try:
        names.require("file", name)
    except (Malformed, UnicodeEncodeError):
        raise _refused(
            "an output's name is not plain: lower-case letters, digits, dot, dash, underscore"
        ) from None
    descriptor = _open_plain(entry)
    with os.fdopen(descriptor, "rb") as source:
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise _refused("an output is a link or no plain file")
        if status.st_size > left:
            raise _refused("the outputs are larger than the plan allows")
        return _copy(source.fileno(), target / name, left)


def _copy(source: int, target: Path, left: int) -> StageOutput:
    """Copy at most `left` bytes and hash what was copied, so that hash and file cannot differ."""
    total, size = hashlib.sha256(), 0
    with open(target, "xb") as file:
        while block := os.read(source, _BLOCK):
            size += len(block)
            if size > left:
                raise _refused("the outputs are larger than the plan allows")
            total.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(target, 0o444)
    return StageOutput(target.name, "sha256:" + total.hexdigest(), size)


def _open_plain(entry: str) -> int:
    if (status := _lstat(entry)) is None or not stat.S_ISREG(status.st_mode):
        raise _refused("an output is a link or no plain file")
    try:
        return os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise _refused("an output cannot be opened as a plain file") from None


def _entries(folder: str) -> list[str]:
    """List a folder that a box writes, one entry more than it may have at the most.

    Raises:
        OutputRefused: it cannot be listed.
    """
    try:
        return list(_looked_at(folder))
    except OSError:
        raise _refused("the folder of outputs cannot be listed") from None


def _looked_at(folder: str) -> Iterator[str]:
    """Yield the entries of a folder, one more than a box may have at the most; one that is gone has none."""
    try:
        listing = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with listing:
        yield from (entry.path for entry in itertools.islice(listing, MOST_OUTPUTS + 1))


def _lstat(entry: str) -> os.stat_result | None:
    try:
        return os.lstat(entry)
    except OSError:
        return None


def _refused(rule: str) -> OutputRefused:
    return OutputRefused(rule, "box outputs", "The box's program must leave plain files within its limits.")
