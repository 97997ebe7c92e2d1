"""Removing images that nothing needs: every change of a module of ours makes a new image, and old ones would pile up.

An image goes when no name points to it, no name has pointed to it for some days, and nothing uses it: no running
process has it mounted, and no launcher holds it (`listing.Hold`). Plans and sites that pin it by digest keep working
until then. Bases go by the same rule, and whatever an interrupted build left goes at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.images.building import WORK, alone, names_built, naming_troubles
from sandbox.images.listing import LIST, Image, origin

DAYS = 14
"""For how long an image that lost its name stays, unless another number is given."""

_HEX = re.compile(r"[0-9a-f]{64}")
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, and what would have gone if it were not in use."""

    images: tuple[str, ...]
    bases: tuple[str, ...]
    leftovers: tuple[str, ...]
    in_use: tuple[str, ...]


def prune(kept: Path, days: float = DAYS) -> Pruned:
    """Remove what nothing has needed for so many days, and what interrupted builds left.

    Raises:
        SettingsWrong: the folder cannot be written.
    """
    with alone(kept), naming_troubles(kept):
        leftovers = [*_below(kept, WORK + "*"), *_below(kept, "*.new")]
        for path in leftovers:
            _remove(path)
        notes = names_built(kept).values()
        wanted = _wanted(kept, {str(note.get("digest")) for note in notes})
        old = [path for path in _without_name(kept, wanted) if _age_s(path) >= days * _DAY_S]
        used = [path for path in old if not _removed(path)]
        needed = {str(note.get("base")) for note in notes}
        bases = [path for path in _below(kept, "base-*") if path.name not in needed]
        bases = [path for path in bases if _age_s(path) >= days * _DAY_S]
        for path in bases:
            _remove(path)  # images over it have links of their own
    gone = [path for path in old if path not in used]
    return Pruned(*(tuple(path.name for path in paths) for paths in (gone, bases, leftovers, used)))


def in_use(whole: Path) -> bool:
    """Whether a process holds an image, or has it mounted; `whole` is the folder named by its digest."""
    with contextlib.suppress(OSError), _locked(whole):
        return _mounted(whole)
    return True


@contextlib.contextmanager
def _locked(whole: Path) -> Iterator[None]:
    """Lock an image against those who would hold it; OSError if somebody does."""
    lock = os.open(whole / LIST, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _removed(whole: Path) -> bool:
    """Remove an image, unless it is in use; under another name first, so that half of one is never found."""
    if not (whole / LIST).exists():
        _remove(whole)
        return True
    with contextlib.suppress(BlockingIOError), _locked(whole):
        if not _mounted(whole):
            away = whole.with_name(f"{WORK}pruned-{whole.name}")
            os.rename(whole, away)
            _remove(away)
            return True
    return False


def _mounted(whole: Path) -> bool:
    """Whether any process that this one may look at has the image among its mounts.

    A mount of a folder shows the folder's path within its file system, which ends like its path here.
    """
    mark = f"/{whole.name}/"
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        with contextlib.suppress(OSError):
            if mark in table.read_text(errors="replace"):
                return True
    return False


def _wanted(kept: Path, digests: set[str]) -> set[str]:
    """Return the folders of images that have a name, and of those that they were built on, which prove it."""
    roots = {digest: kept / digest.removeprefix("sha256:") / "root" for digest in digests}
    origins = {origin(Image(digest, root)) for digest, root in roots.items()}
    return {digest.removeprefix("sha256:") for digest in digests | origins}


def _without_name(kept: Path, wanted: set[str]) -> list[Path]:
    return [path for path in _below(kept, "*") if _HEX.fullmatch(path.name) and path.name not in wanted]


def _below(kept: Path, pattern: str) -> list[Path]:
    return sorted(kept.glob(pattern))


def _age_s(path: Path) -> float:
    return time.time() - path.lstat().st_mtime


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
