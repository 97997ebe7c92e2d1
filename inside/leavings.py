"""What a member's program leaves: looked at as somebody else's work, and packed into one file.

By the time of looking every process of the program is gone, so nothing changes any more. Only plain files with plain
names, within the plan's rules, are taken; nothing is followed; one entry against the rules and nothing leaves
(ATTACKS 50, 51, 52). All of them travel as one packed file: how many there are, what they are called and how large each
is, is said inside, where only the inspecting box reads it.

    4 bytes   length of the list, big-endian
    list      canonical JSON: [{"name": …, "size": …}, …], by name, each name once
    contents  one after the other, in the order of the list, and nothing after them
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Iterator, Mapping

from inside.session import BoxFailure
from plans import canonical, names
from plans.box import Outputs
from plans.errors import DarkroomError, Malformed, OutputRefused

MOST_FOLDERS, DEEPEST = 32, 4
_LENGTH = struct.Struct(">I")
_LARGEST_LIST = 2**20


def gather(folder: str, rules: Outputs, most_bytes: int) -> dict[str, bytes]:
    """Return the files below a folder by their path in it, and remove each once it is read, since it lies in memory.

    Raises:
        BoxFailure: `python.outputs` when an entry is against the rules; the fact `rule` says which.
    """
    found: dict[str, bytes] = {}
    left = most_bytes
    for name, path in _files(folder, rules.files):
        if rules.names and name not in rules.names:
            raise _against("the plan does not name a file that was left")
        found[name] = _content(path, left)
        left -= len(found[name])
        with contextlib.suppress(
            OSError
        ):  # in a folder of the program's own user nothing can be removed (T2)
            os.unlink(path)
    return found


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return files as one."""
    listed = _listed(files)
    return b"".join([_LENGTH.pack(len(listed)), listed, *(files[name] for name in sorted(files))])


def packed_size(files: Mapping[str, bytes]) -> int:
    """Return how many bytes `pack` makes of these files."""
    return _LENGTH.size + len(_listed(files)) + sum(len(content) for content in files.values())


def unpack(packed: bytes) -> dict[str, bytes]:
    """Return the files that were packed.

    Raises:
        OutputRefused: these bytes are not what `pack` writes.
    """
    view = memoryview(packed)
    if len(view) < _LENGTH.size or (length := _LENGTH.unpack(view[: _LENGTH.size])[0]) > _LARGEST_LIST:
        raise _not_packed()
    listed = _read_list(bytes(view[_LENGTH.size : _LENGTH.size + length]))
    files, start = {}, _LENGTH.size + length
    for name, size in listed:
        files[name] = bytes(view[start : start + size])
        start += size
    if start != len(view) or list(files) != sorted(files) or len(files) != len(listed):
        raise _not_packed()
    return files


def require_path(path: str) -> str:
    """Return a path of plain names; raises `Malformed` for another."""
    parts = path.split("/")
    if len(parts) > DEEPEST + 1:
        raise Malformed("an output lies too deep", "box outputs")
    for part in parts:
        names.require("file", part, "box outputs")
    return path


def _listed(files: Mapping[str, bytes]) -> bytes:
    return canonical.encode([{"name": name, "size": len(files[name])} for name in sorted(files)])


def _files(folder: str, most: int) -> Iterator[tuple[str, str]]:
    """Yield name and path of every file; a tree beyond the limits is refused before it is walked to its end."""
    waiting, count, folders = [""], 0, 0
    while waiting:
        below = waiting.pop()
        for entry in _entries(os.path.join(folder, below)):
            name = _plain(f"{below}/{entry.name}" if below else entry.name)
            kind = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(kind):
                folders += 1
                waiting.append(name)
            elif stat.S_ISREG(kind):
                count += 1
                yield name, entry.path
            else:
                raise _against("an output is a link or no plain file")
            if count > most or folders > MOST_FOLDERS:
                raise _against(f"at most {most} files in {MOST_FOLDERS} folders may be left")


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            yield from listing
    except OSError:
        raise _against("a folder of the outputs cannot be read, or is none") from None


def _plain(name: str) -> str:
    try:
        return require_path(name)
    except (Malformed, UnicodeEncodeError):
        raise _against("names are lower-case letters, digits, dot, dash, underscore") from None


def _content(path: str, most: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise _against("an output cannot be opened as a plain file") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            raise _against("an output is a link or no plain file")
        if status.st_size > most:
            raise _against("the outputs are larger than the plan allows")
        return file.read(most)


def _read_list(listed: bytes) -> list[tuple[str, int]]:
    try:
        content = canonical.decode(listed)
        if not isinstance(content, list):
            raise _not_packed()
        return [_read_entry(entry) for entry in content]
    except DarkroomError:
        raise _not_packed() from None


def _read_entry(entry: object) -> tuple[str, int]:
    if not isinstance(entry, dict) or set(entry) != {"name", "size"}:
        raise _not_packed()
    name, size = entry["name"], entry["size"]
    if not isinstance(name, str) or type(size) is not int or size < 0:
        raise _not_packed()
    return require_path(name), size


def _against(rule: str) -> BoxFailure:
    return BoxFailure("python.outputs", rule=rule)


def _not_packed() -> OutputRefused:
    return OutputRefused("the output is not a packed set of files", "box outputs")
