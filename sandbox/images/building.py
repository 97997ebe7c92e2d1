"""Making images: from a recipe to a root under its digest, or nothing.

An image is put together in a folder `build-…` and renamed into place when it is whole and on the disk, so that
whatever happens before (a crash, a full disk, a power cut) leaves no image, only something for `pruning` to remove.
One builder works at a time; another waits, and then mostly finds its work done.

Interpreter and packages (a *base*) are kept apart and shared by hard links: by the images over one base, by bases
that were laid for other locks, and by an image and those built on it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import filecmp
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from plans.errors import DiskFull, NotFound, SettingsWrong, Unreachable
from sandbox import layout
from sandbox.images.listing import (
    LIST,
    Image,
    Known,
    by_digest,
    digest_of,
    each_file,
    image_names,
    listed,
    record_of,
)
from sandbox.recipes import Recipe, images_folder, read_recipe

HOST = "host.json"
"""In a base's folder: what of this machine is in it, with sizes and times, so that an update makes a new base."""

WORK = "build-"
_SHARED_FROM = 64 * 1024
"""Bytes from which on a file is worth a hard link to another base's."""

_NO_ROOM = 16 * 2**20
"""Bytes below which a disk counts as full."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def build(folder: Path, kept: Path | None = None, *, anew: bool = False) -> Image:
    """Build the image that `folder/image.toml` describes, or return it at once if nothing has changed.

    Args:
        folder: where the recipe lies.
        kept: where images are kept.
        anew: build it although nothing has changed, packages included, because what is there is damaged.

    Raises:
        SettingsWrong: the recipe or a module of it is wrong, or images cannot be kept there.
        Unreachable: the packages cannot be had.
        DiskFull: there is no room.
    """
    recipe, kept = read_recipe(folder), kept or images_folder()
    known = None if anew else _known(kept, recipe)
    if known is not None:
        return known
    with alone(kept), naming_troubles(kept):
        known = None if anew else _known(kept, recipe)  # by whoever was waited for
        return known or _build(recipe, kept, anew)


@contextlib.contextmanager
def alone(kept: Path) -> Iterator[None]:
    """Be the only one who changes the folder of images, and wait for that as long as it takes.

    Raises:
        SettingsWrong: the folder cannot be written.
    """
    try:
        kept.mkdir(parents=True, exist_ok=True)
        os.chmod(
            kept, 0o755
        )  # every user may look, since boxes have users of their own; only the builder may write
        lock = os.open(kept / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as problem:
        raise _named(problem, kept) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that builds or prunes images here")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def naming_troubles(kept: Path) -> Iterator[None]:
    """Turn what the file system says into a sentence."""
    try:
        yield
    except OSError as problem:
        raise _named(problem, kept) from None


@contextlib.contextmanager
def noticing_a_full_disk(kept: Path) -> Iterator[None]:
    """Name the reason of a failure of uv, pip or the compiler when it is that there is no room left.

    To be asked before anything is cleaned up.
    """
    try:
        yield
    except (SettingsWrong, Unreachable):
        if shutil.disk_usage(kept).free < _NO_ROOM:
            raise _named(OSError(errno.ENOSPC, ""), kept) from None
        raise


def say(text: str) -> None:
    """Tell whoever waits at a terminal what is being done."""
    sys.stderr.write(f"images: {text}\n")
    sys.stderr.flush()


def write(path: Path, content: object) -> None:
    """Write a file of notes in one step."""
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(content))
    new.chmod(0o644)
    os.replace(new, path)


def link_tree(source: Path, target: Path) -> None:
    """Make a tree of the same files by hard links."""
    for folder, _, names in os.walk(source):
        place = target / os.path.relpath(folder, source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            os.link(os.path.join(folder, name), place / name, follow_symlinks=False)


def _named(problem: OSError, kept: Path) -> DiskFull | SettingsWrong:
    if problem.errno in _FULL:
        return DiskFull("the disk is full, so the image was not built", str(kept))
    reason = problem.strerror or "the file system refused"
    advice = "Set DARKROOM_IMAGES to a folder that is yours, on a file system with hard links."
    return SettingsWrong(f"images cannot be kept here ({reason})", str(kept), advice)


def _known(kept: Path, recipe: Recipe) -> Image | None:
    """Return the image of this recipe if it is there and neither sources nor this machine have changed since."""
    record = record_of(recipe.name, kept)
    if record.get("stamp") != recipe.stamp or not _is_current(_base_folder(recipe, kept)):
        return None
    try:
        image = by_digest(str(record.get("digest")), kept)
    except NotFound:
        return None
    return image if (image.root.parent / LIST).is_file() else None  # one without was removed by half


def _build(recipe: Recipe, kept: Path, anew: bool) -> Image:
    stamp = recipe.stamp  # before anything is copied: what is edited meanwhile makes another image next time
    below = _known(kept, recipe.base) if recipe.base and not anew else None
    if recipe.base and below is None:
        below = _build(recipe.base, kept, anew)
    base = _base(recipe, kept, anew)
    say(f"building {recipe.name}")
    with tempfile.TemporaryDirectory(prefix=WORK, dir=kept) as work, noticing_a_full_disk(kept):
        root = Path(work, "image", "root")
        link_tree(base / "root", root)
        layout.lay_house(root, recipe.sources, below.root if below else None)
        if below is not None:
            layout.lay_origin(root, below.digest)
        layout.settle_modes(root)
        files = sorted(each_file(root, _base_hashes(base)))
        if below is not None:
            _require_all_of(below, files, recipe.name)
        image = _keep(root.parent, files, kept, anew)
    _note(recipe.name, {"digest": image.digest, "stamp": stamp, "base": base.name}, kept)
    return image


def _require_all_of(below: Image, files: Iterable[list[str]], name: str) -> None:
    """Check that an image changes nothing of the one below it; otherwise what ran in one would differ in the other."""
    held = {tuple(entry) for entry in files}
    for entry in listed(below):
        if tuple(entry) not in held:
            raise SettingsWrong(f"the image {name} would change a file of the image below it", entry[0])


def _base_folder(recipe: Recipe, kept: Path) -> Path:
    return kept / f"base-{recipe.base_stamp[:32]}"


def _base(recipe: Recipe, kept: Path, anew: bool) -> Path:
    """Return the folder of interpreter and packages, built when it is not there or this machine was updated."""
    base = _base_folder(recipe, kept)
    if _is_current(base) and not anew:
        return base
    say(
        f"laying out interpreter and packages of {recipe.name}: once, until its lock or this machine's Python changes"
    )
    with tempfile.TemporaryDirectory(prefix=WORK, dir=kept) as work, noticing_a_full_disk(kept):
        new = Path(work, "base")
        root = new / "root"
        if recipe.base is None:
            taken = layout.lay_base(root, recipe.lock, recipe.extensions, recipe.programs)
        else:
            below = _base_folder(recipe.base, kept)
            link_tree(below / "root", root)
            taken = layout.lay_above(root, recipe.lock, recipe.base.lock, recipe.extensions, recipe.programs)
            taken = (*taken, *map(Path, _host_files(below)))
        layout.settle_modes(root)
        files = sorted(each_file(root))
        _share(root, files, [other for other in kept.glob("base-*") if other != base])
        write(new / LIST, files)
        write(new / HOST, {str(path): _seen(path) for path in sorted(set(taken))})
        _replace(new, base, Path(work, "old"))
    return base


def _is_current(base: Path) -> bool:
    """Whether a base is there and holds what this machine has today: security updates must reach the boxes."""
    taken = _host_files(base)
    return bool(taken) and all(_seen(Path(path)) == seen for path, seen in taken.items())


def _host_files(base: Path) -> dict[str, list[int]]:
    try:
        content = json.loads((base / HOST).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _seen(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _base_hashes(base: Path) -> Known:
    hashes = {}
    for place, _, sha256 in json.loads((base / LIST).read_text()):
        if sha256:
            status = os.lstat(base / "root" / place)
            hashes[status.st_dev, status.st_ino] = sha256
    return hashes


def _share(root: Path, files: list[list[str]], others: Iterable[Path]) -> None:
    """Replace large files by links to the same ones of other bases, on the disk and in memory; bytes are compared."""
    elsewhere: dict[tuple[str, str], Path] = {}
    for other in others:
        with contextlib.suppress(OSError, ValueError, TypeError):
            for place, mode, sha256 in json.loads((other / LIST).read_text()):
                elsewhere[mode, sha256] = other / "root" / place
    for place, mode, sha256 in files:
        here, there = root / place, elsewhere.get((mode, sha256))
        if not sha256 or there is None or here.stat().st_size < _SHARED_FROM or not there.is_file():
            continue
        if not here.samefile(there) and filecmp.cmp(here, there, shallow=False):
            link = here.with_name(here.name + ".link")
            os.link(there, link)
            os.replace(link, here)


def _keep(whole: Path, files: list[list[str]], kept: Path, anew: bool) -> Image:
    """Put a finished image under its digest; one that is there already is the same, unless it is to be replaced, or
    was removed by half.
    """
    digest = digest_of(files)
    target = kept / digest.removeprefix("sha256:")
    if anew or not (target / LIST).is_file() or not (target / "root").is_dir():
        write(whole / LIST, files)
        os.chmod(whole, 0o755)
        _replace(whole, target, whole.with_name("old"))
    return by_digest(digest, kept)


def _replace(new: Path, target: Path, old: Path) -> None:
    """Rename a finished folder into place, once all of it is on the disk; what was there goes to `old`."""
    os.sync()
    if target.exists():
        os.rename(target, old)
    os.rename(new, target)


def _note(name: str, record: dict[str, str], kept: Path) -> None:
    """Let the name point to the image. The one that it pointed to starts to age now."""
    before = record_of(name, kept).get("digest")
    if before != record["digest"] and isinstance(before, str):
        with contextlib.suppress(OSError):
            os.utime(kept / before.removeprefix("sha256:"))
    write(kept / f"{name}.json", record)


def names_built(kept: Path) -> dict[str, dict[str, object]]:
    """Return what is noted under every name."""
    return {name: record_of(name, kept) for name in image_names(kept)}
