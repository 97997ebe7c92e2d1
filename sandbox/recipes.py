"""What an image is made of: `image.toml` beside its lock file, and where images are kept.

name        what plans' makers ask for (`images.find`)
lock        the packages, with versions and hashes
house       our own packages and modules, by path without `.py`
without     files of those packages that the box does not need, by how their path begins: with what people read (the
            sentences in Chinese) there would be another image, to be trusted anew, whenever a word of it changes
base        the name of another recipe beside this one: its image is kept byte for byte, and this one only adds to it
extensions  parts of the interpreter's library that boxes have only if they are named here (`layout`)
placed      files of ours under a name of their own, place = "path" (`python`: the module that members import, which is
            a file of the client)
programs    commands of this machine, with the libraries and the terminal descriptions that they need
overlay     a folder copied over the house's modules: what only this image has (`notebook`: our part of its server;
            images for tests: probes where programs are)

A file of ours that may be executed where it lies may be executed in the box.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from plans.errors import SettingsWrong

CHECKOUT = Path(__file__).resolve().parent.parent
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")
_EXTENSION = re.compile(r"_[a-z][a-z0-9]{0,39}")
_PROGRAM = re.compile(r"[a-z\[][a-z0-9.+_-]{0,39}")
_PLACE = re.compile(r"[a-z][a-z0-9_]*(/[a-z][a-z0-9_]*)*\.[a-z]+")


@dataclass(frozen=True, slots=True)
class Recipe:
    """An image that is to be built: its name, its lock file, our own sources by their place in the box."""

    name: str
    lock: Path
    sources: tuple[tuple[str, Path], ...]
    base: Recipe | None = None
    extensions: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()

    @property
    def base_stamp(self) -> str:
        """Names what changes rarely: the interpreter, the locked packages, and the code that lays them out."""
        parts = [sys.version.encode(), sys.base_prefix.encode(), self.lock.read_bytes()]
        parts += [Path(__file__).with_name(name).read_bytes() for name in ("layout.py", "packages.py")]
        parts += [word.encode() for word in (*self.extensions, *self.programs)]
        return _hash([*parts, self.base.base_stamp.encode()] if self.base else parts)

    @property
    def stamp(self) -> str:
        """Names everything that goes into the image."""
        parts = [self.base_stamp.encode(), self.base.stamp.encode() if self.base else b""]
        for place, source in self.sources:
            parts += [
                place.encode(),
                source.read_bytes(),
                *([b"executable"] if is_executable(source) else []),
            ]
        return _hash(parts)


def is_executable(source: Path) -> bool:
    """Whether a file of ours may be executed in the box, too."""
    return bool(source.stat().st_mode & 0o100)


def read_recipe(folder: Path) -> Recipe:
    """Read `image.toml` of a folder.

    Raises:
        SettingsWrong: the file is missing or says something else than described above.
    """
    return _read(folder, above=())


def _read(folder: Path, above: tuple[str, ...]) -> Recipe:
    path = folder / "image.toml"
    try:
        content = tomllib.loads(path.read_text())
        name, lock, house = content["name"], folder / content["lock"], content["house"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        advice = "Name one of the folders of images/, such as images/sql."
        raise SettingsWrong("there is no image.toml with name, lock and house", str(path), advice) from None
    extensions, programs = content.get("extensions", []), content.get("programs", [])
    placed = content.get("placed", {})
    named = ((_EXTENSION, extensions), (_PROGRAM, programs), (_PLACE, placed), (_NAME, [name]))
    if not all(pattern.fullmatch(word) for pattern, words in named for word in words):
        raise SettingsWrong("a name in the recipe is not well-formed", str(path))
    if not lock.is_file():
        raise SettingsWrong("the image's lock file is missing", str(path))
    base = _read_base(folder, content.get("base", ""), (*above, name))
    sources = dict(base.sources) if base else {}
    without = content.get("without", [])
    if not isinstance(without, list) or not all(isinstance(each, str) and each for each in without):
        raise SettingsWrong("what an image does without is a list of paths", str(path))
    brought = (pair for item in house for pair in _house_files(item))
    sources.update((place, source) for place, source in brought if not place.startswith(tuple(without)))
    sources.update((place, _house_file(item)) for place, item in placed.items())
    if content.get("overlay"):
        sources.update(_files_below(folder / content["overlay"]))
    return Recipe(name, lock, tuple(sorted(sources.items())), base, tuple(extensions), tuple(programs))


def _read_base(folder: Path, name: str, above: tuple[str, ...]) -> Recipe | None:
    if not name:
        return None
    if name in above or not _NAME.fullmatch(name):
        raise SettingsWrong("an image cannot be built on itself, nor on a folder that is not beside it", name)
    return _read(folder.parent / name, above)


def images_folder() -> Path:
    """Return where images are kept: `DARKROOM_IMAGES`, or the place that fits the user.

    Boxes have user ids of their own, so for root every folder above must be open to pass through.
    """
    named = os.environ.get("DARKROOM_IMAGES")
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/darkroom/images")
    for variable, below in (("XDG_DATA_HOME", ""), ("HOME", ".local/share")):
        if os.environ.get(variable):
            return Path(os.environ[variable], below, "darkroom", "images")
    return CHECKOUT / "build" / "images"


def _house_files(item: str) -> Iterator[tuple[str, Path]]:
    """Yield the files of a package or module of ours; both forms of a name are tried."""
    candidates = [CHECKOUT / item, CHECKOUT / f"{item}.py"]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        raise SettingsWrong("a module that the image needs is not there", item)
    if found.is_dir():
        yield from ((f"{item}/{place}", source) for place, source in _files_below(found))
    else:
        yield str(found.relative_to(CHECKOUT)), found


def _house_file(item: str) -> Path:
    """Return the one file of ours with this path."""
    if not (CHECKOUT / item).is_file():
        raise SettingsWrong("a file that the image needs is not there", item)
    return CHECKOUT / item


def _files_below(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path


def _hash(parts: list[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()
