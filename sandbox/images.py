"""Images: read-only roots for boxes, named by the hash of their content.

An image's digest is the type-separated SHA-256 over the sorted list of (path, mode, SHA-256) of its files, so
a plan that names a digest names every byte that will run. Images are kept in `recipes.images_folder()`:

    HEX/root        the root itself, HEX being the digest's 64 digits
    HEX/files.json  the list behind the digest
    NAME.json       the digest that was last built under a name
    base-STAMP      interpreter and packages, which images share by hard links

`python -m sandbox.images build images/sql` builds one. Whoever builds owns the files and nobody else can
write them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plans import canonical, names
from plans.errors import DarkroomError, HashMismatch, Malformed, NotFound, SettingsWrong
from sandbox import layout
from sandbox.recipes import Recipe, images_folder, read_recipe

KIND = "image"


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
    try:
        digest = json.loads((kept / f"{name}.json").read_text())["digest"]
    except (OSError, ValueError, KeyError):
        advice = f"Build it: python -m sandbox.images build images/{name}"
        raise NotFound(f"there is no image {name!r}", str(kept), advice) from None
    return by_digest(digest, kept)


def by_digest(digest: str, folder: Path | None = None) -> Image:
    """Return the image of this digest.

    Raises:
        NotFound: it is not on this machine.
    """
    kept = folder or images_folder()
    root = kept / names.require("digest", digest, "image").removeprefix("sha256:") / "root"
    if not root.is_dir():
        raise NotFound(
            "the image that the plan names is not on this machine", digest[:19] + "…", "Build it here."
        )
    return Image(digest, root)


def named(folder: Path | None = None) -> tuple[Image, ...]:
    """Return the images that were last built under each name."""
    found = []
    for path in sorted((folder or images_folder()).glob("*.json")):
        with contextlib.suppress(NotFound):
            found.append(find(path.stem, folder))
    return tuple(found)


def verify(image: Image) -> None:
    """Hash every file of an image anew.

    Raises:
        HashMismatch: something was changed, added or removed, or belongs to a user who could change it.
    """
    for _ in verify_stepwise(image):
        pass


def verify_stepwise(image: Image) -> Iterator[None]:
    """Do the same in steps of one file, for a caller that has other things to do in between."""
    if image.root.stat().st_uid not in (0, os.geteuid()):
        raise HashMismatch("the image belongs to another user, who could change it", image.digest[:19] + "…")
    files = []
    for entry in each_file(image.root):
        files.append(entry)
        yield
    if digest_of(files) != image.digest:
        raise HashMismatch(
            "the image was changed after it was built", image.digest[:19] + "…", "Build it again."
        )


def build(folder: Path, kept: Path | None = None) -> Image:
    """Build the image that `folder/image.toml` describes, or return it at once if nothing has changed.

    Raises:
        SettingsWrong: the recipe or a module of it is wrong.
        Unreachable: the packages cannot be had.
    """
    recipe, kept = read_recipe(folder), kept or images_folder()
    known = _known(kept, recipe)
    if known is not None:
        return known
    _open_to_boxes(kept)
    base = _base(recipe, kept)
    with tempfile.TemporaryDirectory(prefix="build-", dir=kept) as work:
        root = Path(work, "root")
        shutil.copytree(base / "root", root, copy_function=os.link)
        layout.lay_house(root, recipe.sources)
        layout.settle_modes(root)
        image = _keep(root, kept, _base_files(base))
    _write(kept / f"{recipe.name}.json", {"digest": image.digest, "stamp": recipe.stamp})
    return image


def each_file(root: Path, known: dict[tuple[int, int], str] | None = None) -> Iterator[list[str]]:
    """Yield path, mode and SHA-256 of every file, and path and mode of every folder; in no certain order.

    `known` holds the hashes of files that were hashed before, by device and inode: hard links to a base.
    """
    for folder, _, file_names in os.walk(root):
        place = os.path.relpath(folder, root)
        yield [place + "/", f"{os.stat(folder).st_mode:o}", ""]
        for name in file_names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            sha256 = (known or {}).get((status.st_dev, status.st_ino)) or _sha256(path)
            yield [os.path.normpath(os.path.join(place, name)), f"{status.st_mode:o}", sha256]


def digest_of(files: Iterable[list[str]]) -> str:
    """Return the digest of an image with these files, given in any order."""
    return canonical.digest(KIND, sorted(files))


def _open_to_boxes(kept: Path) -> None:
    """Make the folder of images, in which every user may look and only the builder may write."""
    try:
        kept.mkdir(parents=True, exist_ok=True)
        os.chmod(kept, 0o755)
    except OSError as problem:
        advice = "Set DARKROOM_IMAGES to a folder that is yours."
        raise SettingsWrong(f"images cannot be kept here ({problem.strerror})", str(kept), advice) from None


def _known(kept: Path, recipe: Recipe) -> Image | None:
    try:
        content = json.loads((kept / f"{recipe.name}.json").read_text())
        return by_digest(content["digest"], kept) if content["stamp"] == recipe.stamp else None
    except (OSError, ValueError, KeyError, NotFound):
        return None


def _base(recipe: Recipe, kept: Path) -> Path:
    """Return the folder of interpreter and packages, built when it is not there."""
    base = kept / f"base-{recipe.base_stamp[:32]}"
    if base.is_dir():
        return base
    with tempfile.TemporaryDirectory(prefix="build-", dir=kept) as work:
        root = Path(work, "base", "root")
        layout.lay_base(root, recipe.lock)
        layout.settle_modes(root)
        _write(root.parent / "files.json", sorted(each_file(root)))
        _move(root.parent, base)
    return base


def _base_files(base: Path) -> dict[tuple[int, int], str]:
    hashes = {}
    for place, _, sha256 in json.loads((base / "files.json").read_text()):
        if sha256:
            status = os.lstat(base / "root" / place)
            hashes[status.st_dev, status.st_ino] = sha256
    return hashes


def _keep(root: Path, kept: Path, known: dict[tuple[int, int], str]) -> Image:
    files = sorted(each_file(root, known))
    digest = digest_of(files)
    _write(root.parent / "files.json", files)
    os.chmod(root.parent, 0o755)
    _move(root.parent, kept / digest.removeprefix("sha256:"))
    root.parent.mkdir(exist_ok=True)  # what the temporary folder's clean-up expects to find
    return by_digest(digest, kept)


def _move(source: Path, target: Path) -> None:
    """Move a finished folder into place in one step; one that is there already is the same."""
    try:
        os.rename(source, target)
    except OSError:
        if not target.is_dir():
            raise


def _write(path: Path, content: object) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(content))
    new.chmod(0o644)
    os.replace(new, path)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    """`python -m sandbox.images build FOLDER`: build an image and print its digest."""
    try:
        match arguments:
            case ["build", folder]:
                image = build(Path(folder))
            case _:
                raise Malformed("this is not a command", " ".join(arguments)[:60], "Use: build FOLDER")
    except DarkroomError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    sys.stdout.write(f"{image.digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
