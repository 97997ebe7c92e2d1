"""Which images are here, what is in them, and whether they still are what their digest says."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import stat
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plans import canonical, names
from plans.errors import HashMismatch, Malformed, NotFound, SettingsWrong
from sandbox.layout import ORIGIN
from sandbox.own_user import owners_trusted
from sandbox.recipes import CHECKOUT, images_folder, read_recipe

KIND = "image"
LIST = "files.json"
_AGAIN = "Build it again: python -m sandbox.images build --anew NAME."
GONE = (
    "Ask the node's administrator to build it again (python -m sandbox.images build), then submit anew: an image that "
    "was rebuilt can have another digest."
)
"""What to do about an image that a plan names and that has disappeared."""

Known = dict[tuple[int, int], str]
"""Hashes of files that were hashed before, by device and inode: images share files by hard links."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image that is there: its digest and its root."""

    digest: str
    root: Path


def find(name: str, folder: Path | None = None) -> Image:
    """Return the image that was last built under this name.

    Raises:
        NotFound: none was built.
    """
    kept = folder or images_folder()
    digest = record_of(name, kept).get("digest")
    if not isinstance(digest, str):
        advice = f"Build it: python -m sandbox.images build images/{name}"
        raise NotFound(f"there is no image {name!r}", str(kept), advice)
    return by_digest(digest, kept)


def by_digest(digest: str, folder: Path | None = None) -> Image:
    """Return the image of this digest.

    Raises:
        NotFound: it is not on this machine.
    """
    kept = folder or images_folder()
    root = kept / names.require("digest", digest, "image").removeprefix("sha256:") / "root"
    if not root.is_dir():
        raise NotFound("the image that the plan names is not on this machine", digest[:19] + "…", GONE)
    return Image(digest, root)


def named(folder: Path | None = None) -> tuple[Image, ...]:
    """Return the images that were last built under each name."""
    found = []
    for name in image_names(folder or images_folder()):
        with contextlib.suppress(NotFound, Malformed):
            found.append(find(name, folder))
    return tuple(found)


def present(digests: Iterable[str], folder: Path | None = None) -> list[str]:
    """Return those of these images that are on this machine, in order."""
    found = []
    for digest in sorted(digests):
        with contextlib.suppress(NotFound):
            found.append(by_digest(digest, folder).digest)
    return found


def image_names(kept: Path) -> tuple[str, ...]:
    """Return every name under which something was built."""
    return tuple(sorted(path.stem for path in kept.glob("*.json")))


def record_of(name: str, kept: Path) -> dict[str, object]:
    """Return what is noted under a name (`digest`, `stamp`, `base`); empty when there is nothing to be read."""
    try:
        content = json.loads((kept / f"{name}.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def outdated(folder: Path | None = None, recipes: Path = CHECKOUT / "images") -> tuple[str, ...]:
    """Return the names of the images here that were not built from these recipes, modules and locks as they are now.
    Their boxes may not understand what the launcher of this checkout and its plans say.
    """
    kept, found = folder or images_folder(), []
    for path in sorted(recipes.glob("*/image.toml")):
        noted = record_of(path.parent.name, kept)
        with contextlib.suppress(SettingsWrong):  # whoever builds it is told what is wrong with a recipe
            if noted and noted.get("stamp") != read_recipe(path.parent).stamp:
                found.append(path.parent.name)
    return tuple(found)


def verify(image: Image) -> None:
    """Hash every file of an image anew.

    Raises:
        HashMismatch: something was changed, added or removed, or belongs to a user who could change it.
    """
    for _ in verify_stepwise(image):
        pass


def verify_stepwise(image: Image, known: Known | None = None) -> Iterator[None]:
    """Do the same in steps of one file, for a caller that has other things to do in between.

    Whoever checks several images at once can give one `known` to all of them: what they share is hashed once.
    """
    for folder in (image.root, image.root.parent, image.root.parent.parent):
        status = os.lstat(folder)
        _require(status, stat.S_ISDIR, image.digest)
        if status.st_mode & 0o022:
            raise HashMismatch(
                "others could change the folder of the image", str(folder)[-60:], f"chmod 755 {folder}"
            )
    files = []
    for entry in each_file(image.root, {} if known is None else known):
        files.append(entry)
        yield
    if digest_of(files) != image.digest:
        raise HashMismatch("the image was changed after it was built", _short(image.digest), _AGAIN)


def each_file(root: Path, known: Known | None = None) -> Iterator[list[str]]:
    """Yield path, mode and SHA-256 of every file, and path and mode of every folder; in no certain order.

    Raises:
        HashMismatch: there is something else than files and folders, a file that carries privileges of the kernel, or
            something that belongs to a user who is neither root nor this process.
    """
    known = {} if known is None else known
    for folder, folders, file_names in os.walk(root, onerror=_unreadable):
        place = os.path.relpath(folder, root)
        yield [place + "/", f"{os.lstat(folder).st_mode:o}", ""]
        for name in folders:
            _require(os.lstat(os.path.join(folder, name)), stat.S_ISDIR, os.path.join(place, name))
        for name in file_names:
            path, shown = os.path.join(folder, name), os.path.normpath(os.path.join(place, name))
            status = os.lstat(path)
            _require(status, stat.S_ISREG, shown)
            if "security.capability" in _attributes(path):
                raise HashMismatch("a file of the image carries privileges", shown, _AGAIN)
            key = status.st_dev, status.st_ino
            if key not in known:
                known[key] = _sha256(path)
            yield [shown, f"{status.st_mode:o}", known[key]]


def digest_of(files: Iterable[list[str]]) -> str:
    """Return the digest of an image with these files, given in any order."""
    return canonical.digest(KIND, sorted(files))


def listed(image: Image) -> list[list[str]]:
    """Return the list behind an image's digest, which proves the list; no file is hashed.

    Raises:
        HashMismatch: the list is not there, or is not the one behind the digest.
    """
    try:
        files = json.loads((image.root.parent / LIST).read_text())
        if digest_of(files) == image.digest:
            return list(files)
    except (OSError, ValueError, TypeError, Malformed):
        pass
    raise HashMismatch(
        "the list of the image's files is not the one behind its digest", _short(image.digest), _AGAIN
    )


def lacking(image: Image) -> str:
    """Return a file of the image that is not there any more, or the name of its list; empty if all are there.

    It is a quick look at an image that was removed by half. Whether its files are what they were is for `verify`.
    """
    try:
        files = listed(image)
    except HashMismatch:
        return LIST
    return next((place for place, _, _ in files if not os.path.lexists(image.root / place)), "")


def contains(outer: Image, inner: Image) -> bool:
    """Whether everything in `inner` is in `outer` as well, with the same path, mode and bytes.

    That is what lets a notebook and a job be called the same: the notebook's image contains the job's. It rests on
    the two digests alone; whether the files are still those of the digests is for `verify`.

    Raises:
        HashMismatch: a list is not the one behind its digest.
    """
    return {tuple(entry) for entry in listed(inner)} <= {tuple(entry) for entry in listed(outer)}


def origin(image: Image) -> str:
    """Return the digest of the image on which this one says that it was built, or an empty word.

    The saying is a file of the image, so the digest covers it; `contains` proves it.
    """
    try:
        return (image.root / ORIGIN).read_text().strip()
    except FileNotFoundError:
        return ""


class Hold:
    """Keeps an image from being pruned for as long as this object lives, or until the process ends."""

    def __init__(self, image: Image) -> None:
        """Hold an image.

        Raises:
            NotFound: it was removed, or is being removed right now.
        """
        try:
            lock = os.open(image.root.parent / LIST, os.O_RDONLY | os.O_CLOEXEC)
            self.release = weakref.finalize(self, os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.stat(image.root)
        except OSError:
            told = "the image was removed, or is being removed"
            raise NotFound(told, _short(image.digest), GONE) from None


def _require(status: os.stat_result, right_kind: Callable[[int], bool], shown: str) -> None:
    if not right_kind(status.st_mode):
        raise HashMismatch("an image holds plain files and folders, and nothing else", shown, _AGAIN)
    _require_ours(status, shown)


def _require_ours(status: os.stat_result, shown: str) -> None:
    """Refuse what another user could change."""
    if status.st_uid not in owners_trusted():
        raise HashMismatch("the image belongs to another user, who could change it", _short(shown), _AGAIN)


def _attributes(path: str) -> list[str]:
    try:
        return os.listxattr(path, follow_symlinks=False)
    except OSError as problem:
        if problem.errno in (errno.ENOTSUP, errno.ENOSYS):
            return []  # this file system keeps none
        raise


def _unreadable(problem: OSError) -> None:
    raise HashMismatch("a folder of the image cannot be read", str(problem.filename)[-60:], _AGAIN)


def _sha256(path: str) -> str:
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _short(digest: str) -> str:
    return digest[:19] + "…" if digest.startswith("sha256:") else digest
