"""Hunting for what must not be anywhere: byte patterns in files, and in environments and command lines of processes."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

CHUNK = 1 << 22


def patterns_of_number(value: int) -> dict[str, bytes]:
    """Return the ways in which a number of somebody's data could lie in a file."""
    return {
        "decimal text": str(value).encode(),
        "little-endian 64 bit": value.to_bytes(8, "little"),
        "big-endian 64 bit": value.to_bytes(8, "big"),
        "double": __import__("struct").pack("<d", float(value)),
    }


def patterns_of_text(value: str) -> dict[str, bytes]:
    """Return the ways in which a text could lie in a file."""
    return {
        "utf-8": value.encode(),
        "utf-16": value.encode("utf-16-le"),
        "escaped": ascii(value)[1:-1].encode(),
    }


def patterns_of_key(key: bytes) -> dict[str, bytes]:
    """Return the ways in which a key could lie in a file."""
    return {"raw": key, "hex": key.hex().encode(), "base64": base64.b64encode(key).rstrip(b"=")}


def in_files(folders: Iterable[Path], patterns: dict[str, bytes]) -> list[str]:
    """Return `file: pattern` for every hit in every regular file below the folders."""
    return [
        f"{path}: {name}"
        for folder in folders
        for path in below(folder)
        if path.is_file() and not path.is_symlink()
        for name in _hits(path, patterns)
    ]


def below(folder: Path) -> list[Path]:
    """Return all that lies below a folder, in order; one that goes meanwhile, as those of boxes do, has nothing."""
    return sorted(Path(at) / name for at, folders, files in os.walk(folder) for name in (*folders, *files))


def in_processes(pids: Iterable[int], patterns: dict[str, bytes]) -> list[str]:
    """Return hits in the environment and command line of processes."""
    found = []
    for pid in pids:
        for part in ("environ", "cmdline"):
            try:
                content = Path(f"/proc/{pid}/{part}").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found += [f"{pid}/{part}: {name}" for name, pattern in patterns.items() if pattern in content]
    return found


def descendants(pid: int) -> Iterator[int]:
    """Yield a process's descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := _parent(int(entry))) is not None:
            children.setdefault(parent, []).append(int(entry))
    waiting = [pid]
    while waiting:
        for child in children.get(waiting.pop(), []):
            yield child
            waiting.append(child)


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _hits(path: Path, patterns: dict[str, bytes]) -> list[str]:
    longest = max(map(len, patterns.values()))
    found: list[str] = []
    try:
        with path.open("rb") as file:
            rest = b""
            while piece := file.read(CHUNK):
                window = rest + piece
                found += [n for n, pattern in patterns.items() if pattern in window and n not in found]
                rest = window[-longest:]
    except (FileNotFoundError, PermissionError):
        return found
    return found
