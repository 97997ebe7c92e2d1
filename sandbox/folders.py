"""The folders of one box on the host: read-only inputs and outputs, open to that box's user alone."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from plans import names
from plans.errors import DiskFull, NotFound, SettingsWrong

MOST_FILES = 64
"""How many files a box may have left for its launcher to remove them itself, between other things that it does."""


@dataclass(frozen=True, slots=True)
class BoxFolders:
    """`inputs`, `outputs` and `spill` lie in `whole`, which is wiped at the end."""

    whole: Path
    inputs: Path
    outputs: Path
    spill: Path


def require_passable(folder: Path) -> None:
    """Check that boxes with user ids of their own can reach a folder through every folder above it.

    Raises:
        SettingsWrong: one of them is closed to others.
    """
    for step in (folder.absolute(), *folder.absolute().parents):
        if step.exists() and not step.stat().st_mode & stat.S_IXOTH:
            advice = f"Allow it (chmod o+x {step}), or choose another place, such as /var/lib/darkroom."
            raise SettingsWrong(
                "boxes have user ids of their own and cannot reach this folder", str(step), advice
            )


def make(parent: Path, owner: int | None) -> BoxFolders:
    """Make a box's folders, empty; `owner` is its user id, or none when it has none of its own.

    Raises:
        DiskFull: they cannot be made.
    """
    whole = parent / secrets.token_hex(8)
    place = BoxFolders(whole, whole / "in", whole / "out", whole / "spill")
    modes = {place.whole: 0o710, place.inputs: 0o750, place.outputs: 0o700, place.spill: 0o700}
    try:
        for folder, mode in modes.items():
            folder.mkdir()
            folder.chmod(mode)
            if owner is not None:
                os.chown(folder, owner if folder in (place.outputs, place.spill) else -1, owner)
    except OSError as problem:
        shutil.rmtree(whole, ignore_errors=True)
        told = problem.strerror
        raise DiskFull(f"the folders of a box could not be made ({told})", parent.name) from None
    return place


def furnish(place: BoxFolders, owner: int | None, inputs: Mapping[str, Path]) -> None:
    """Put inputs before a box, which may be waiting for them already.

    Raises:
        NotFound: an input is not there.
        DiskFull: there is no space for a copy.
    """
    for name, source in inputs.items():
        _provide(source, place.inputs / names.require("file", name, "box input"), owner)


def discard(folder: Path) -> None:
    """Remove a folder in which no box has written yet."""
    shutil.rmtree(folder, ignore_errors=True)


async def wipe(folder: Path) -> None:
    """Remove a folder that a box wrote in, however deep it made it: `rm` and `chmod` need no stack of ours.

    What a box with its launcher's user has closed to that user is opened first. Nearly every box leaves few plain
    files; these are removed here, since to start `rm` takes longer than all else of a box's end.
    """
    path = os.fspath(folder)
    if _removed(path):
        return
    await _quietly("/bin/rm", "-rf", "--one-file-system", "--", path)
    if os.path.lexists(folder):
        await _quietly("/bin/chmod", "-R", "u+rwX", "--", path)
        await _quietly("/bin/rm", "-rf", "--one-file-system", "--", path)


def _removed(folder: str) -> bool:
    """Remove a box's folders if there are few files in them and nothing deeper; return whether they are gone.

    Nothing is followed, at the top neither: a home's first level is its box's. What is no folder is unlinked, and what
    is one below these ends the attempt.
    """
    try:
        with contextlib.ExitStack() as opened:
            whole = _opened(folder, opened)
            parts = {name: _opened(name, opened, whole) for name in _few(whole)}
            left = [(part, name) for part in parts.values() for name in _few(part)]
            if len(left) > MOST_FILES:
                return False
            for part, name in left:
                os.unlink(name, dir_fd=part)
            for name in parts:
                os.rmdir(name, dir_fd=whole)
        os.rmdir(folder)
    except OSError:
        return False
    return True


def _opened(name: str, until: contextlib.ExitStack, within: int | None = None) -> int:
    """Open a folder that is no link."""
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=within)
    until.callback(os.close, opened)
    return opened


def _few(folder: int) -> list[str]:
    """Return the names in an open folder, as far as one more than there may be."""
    with os.scandir(folder) as entries:
        return [entry.name for entry in itertools.islice(entries, MOST_FILES + 1)]


async def _quietly(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(*words, env={}, stderr=asyncio.subprocess.DEVNULL)
    await process.wait()


def _provide(source: Path, target: Path, owner: int | None) -> None:
    """Hard-link an input, or copy it where that cannot be: another file system, or a file that only its owner
    may read.

    A link, not a descriptor: as root, a descriptor opened for reading can be opened again for writing through
    `/proc`.
    """
    try:
        status = os.lstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise NotFound("an input is no plain file", source.name)
        if owner is None or status.st_mode & stat.S_IROTH:
            try:
                os.link(source, target, follow_symlinks=False)
                return
            except (
                OSError
            ):  # another file system, or links to others' files are forbidden (protected_hardlinks)
                pass
        shutil.copyfile(source, target, follow_symlinks=False)
        target.chmod(0o440)
        if owner is not None:
            os.chown(target, -1, owner)
    except FileNotFoundError:
        raise NotFound("an input of the box is not there", source.name) from None
    except OSError as problem:
        raise DiskFull(
            f"an input could not be put before the box ({problem.strerror})", source.name
        ) from None
