"""Taking collected outputs out of a launcher's folder, by those who may have rights that the launcher has not.

The folder is the launcher's, so whatever lies in it is its word. A keeper or a centre that simply opened a path in
there could be led by a link to a file that only it may read, and would then copy, or remove, that. So every folder on
the way is opened without following links, from the launcher's home down, and the file must be a plain one that
belongs to whom the home belongs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from plans.errors import EvidenceBroken, NotFound
from sandbox.shelf import StageName, output_path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextlib.contextmanager
def open_output(home: Path, name: StageName, output: str) -> Iterator[BinaryIO]:
    """Open a stage's collected output for reading.

    Raises:
        NotFound: it is not there.
        EvidenceBroken: there is a link on the way, or no plain file of the launcher's own.
    """
    with _folder(home, name, output) as folder, _file(home, folder, output) as file:
        yield file


def move_output(home: Path, name: StageName, output: str, target: Path) -> None:
    """Move a stage's collected output to `target`, in a folder that is the caller's own; or copy it to another disk.

    Raises:
        NotFound, EvidenceBroken: as `open_output`.
        OSError: it cannot be written there.
    """
    with _folder(home, name, output) as folder, _file(home, folder, output) as file:
        with contextlib.suppress(OSError):
            os.rename(output, target, src_dir_fd=folder)
            if os.path.samestat(os.lstat(target), os.fstat(file.fileno())):
                return
        # Another disk; or another file lay under this name by the time that it was moved.
        target.unlink(missing_ok=True)
        with open(target, "xb") as copy:
            shutil.copyfileobj(file, copy)
        with contextlib.suppress(OSError):
            os.unlink(output, dir_fd=folder)


@contextlib.contextmanager
def _folder(home: Path, name: StageName, output: str) -> Iterator[int]:
    """Open the folder of an output, step by step from the launcher's home."""
    steps = output_path(home, name, output).relative_to(home).parts[:-1]
    with contextlib.ExitStack() as opened:
        folder = _opened(opened, os.fspath(home), _FOLDER & ~os.O_NOFOLLOW, None, output)
        for step in steps:
            folder = _opened(opened, step, _FOLDER, folder, output)
        yield folder


@contextlib.contextmanager
def _file(home: Path, folder: int, output: str) -> Iterator[BinaryIO]:
    with contextlib.ExitStack() as opened:
        descriptor = _opened(opened, output, _FILE, folder, output)
        status = os.fstat(descriptor)
        theirs = status.st_uid == os.stat(home).st_uid
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or not theirs:
            raise _broken(output)
        with os.fdopen(os.dup(descriptor), "rb") as file:
            yield file


def _opened(stack: contextlib.ExitStack, path: str, flags: int, folder: int | None, output: str) -> int:
    try:
        descriptor = os.open(path, flags, dir_fd=folder)
    except FileNotFoundError:
        raise NotFound("what the stage wrote is not in the launcher's folder", output) from None
    except OSError:
        raise _broken(output) from None
    stack.callback(os.close, descriptor)
    return descriptor


def _broken(output: str) -> EvidenceBroken:
    return EvidenceBroken(
        "what the launcher keeps as an output is a link, or no plain file of its own", output
    )
