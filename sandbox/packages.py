"""The locked packages of an image: what a lock file pins, how it is installed, and what of a wheel is left out.

Wheels come from where uv and pip of this machine find them: first uv's cache, without any network, then the registry.
A machine that never has a network takes them from a folder, by uv's own variables: `UV_NO_INDEX=1
UV_FIND_LINKS=FOLDER`; `pip download --no-deps --only-binary :all: --require-hashes -r LOCK -d FOLDER` fills it
elsewhere. Wherever a wheel comes from, its SHA-256 must be in the lock. Only wheels are installed: nothing of a
package runs.

Left out, in every image alike, is what no box runs:

* tests, headers, and sources and stubs of compiled modules: a fifth of the bytes and half of the modules;
* scripts, and the installer's notes, which name folders and times of this machine;
* files that only `site` would read (`.pth`);
* the parts of pyarrow that do nothing but speak to a network;
* the parts of numba that share work among threads by libraries of others, which are not in its wheel.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plans.errors import SettingsWrong, Unreachable

_TEST_FOLDERS = {"test", "tests"}
_HEADER_FOLDERS = {"include"}
_SOURCES = (
    ".a", ".c", ".cc", ".cmake", ".cpp", ".cu", ".cuh", ".f", ".f90", ".h", ".hpp", ".lib", ".pc", ".pth", ".pxd",
    ".pxi", ".pyi", ".pyx",
)  # fmt: skip
_NEEDED_SOURCES = {"third_party"}
"""Folders whose stubs are read when code runs: jedi completes names by those that it carries."""

_UNUSED = re.compile(
    r"pyarrow/(_flight\.|_s3fs\.|libarrow_flight|libarrow_python_flight|libarrow_s3|libarrow_flight_sql)"
    r"|numba/np/ufunc/(tbbpool|omppool)\."
)
_NOTES = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"}
_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;]+)(?: ; (?P<marker>.+))?")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock: a package of one version, for the machines of its marker, and the wheels that may be used."""

    name: str
    version: str
    marker: str
    hashes: frozenset[str]

    def line(self) -> str:
        """Return the pin as a line of a lock."""
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}=={self.version}{marker} " + " ".join(
            f"--hash={each}" for each in sorted(self.hashes)
        )


def pins(lock: Path) -> tuple[Pin, ...]:
    """Return what a lock file pins.

    Raises:
        SettingsWrong: a line is neither a pin with hashes nor a comment.
    """
    found = []
    for line in re.sub(r"\\\n\s*", "", lock.read_text()).splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pin, hashes = _PIN.fullmatch(line.split("--hash")[0].strip()), frozenset(_HASH.findall(line))
        if pin is None or not hashes:
            raise SettingsWrong(
                "a line of the lock pins nothing by hash", f"{lock}: {line[:60]}", "Run `make lock`."
            )
        found.append(Pin(pin["name"], pin["version"], pin["marker"] or "", hashes))
    return tuple(found)


def added(lock: Path, base: Path) -> tuple[Pin, ...]:
    """Return what `lock` pins beyond `base`, all of whose pins it must hold unchanged: version, marker and hashes.

    Raises:
        SettingsWrong: a pin of the base is missing or another one.
    """
    below, all_pins = set(pins(base)), pins(lock)
    if missing := sorted(pin.name for pin in below - set(all_pins)):
        raise SettingsWrong(
            "the lock does not hold every pin of the image below it, unchanged",
            f"{lock}: {missing[0]}",
            "Run `make lock`.",
        )
    return tuple(pin for pin in all_pins if pin not in below)


def install(target: Path, wanted: Iterable[Pin], work: Path) -> None:
    """Install pinned packages into a new folder and leave out what no box runs; `work` is for passing things.

    Raises:
        Unreachable: they cannot be had.
    """
    lock = work / "wanted.txt"
    lock.write_text("".join(f"{pin.line()}\n" for pin in wanted))
    options = [
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(target),
        "-r",
        str(lock),
    ]
    problem = ""
    for command in _installers():
        shutil.rmtree(target, ignore_errors=True)
        done = subprocess.run([*command, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode == 0:
            break
        problem = done.stderr.strip()
    else:
        sys.stderr.write(problem[-2000:] + "\n")
        raise Unreachable(
            "the image's packages could not be installed",
            "",
            "Is there a way to the registry? Without one, name a folder of wheels: UV_NO_INDEX=1 UV_FIND_LINKS=FOLDER.",
        )
    lock.unlink()
    trim(target)


def trim(target: Path) -> None:
    """Remove from a folder of packages what no box runs; see the top of this module."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for path in list(_unneeded(target)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def merge(source: Path, target: Path) -> None:
    """Move a tree of packages above another one. A file that is in both must be the same in both.

    Raises:
        SettingsWrong: a package would change a file of the image below.
    """
    for folder, _, names in os.walk(source):
        place = Path(folder).relative_to(source)
        (target / place).mkdir(exist_ok=True)
        for name in names:
            here, there = Path(folder, name), target / place / name
            if not there.exists():
                os.rename(here, there)
            elif here.read_bytes() != there.read_bytes():
                raise SettingsWrong("a package would change a file of the image below", str(place / name))


def _installers() -> Iterator[list[str]]:
    """Yield what can install, in the order in which it is tried."""
    uv = Path(sys.executable).parent / "uv"
    if uv.exists():
        common = [
            str(uv),
            "pip",
            "install",
            "-q",
            "--no-config",
            "--link-mode",
            "copy",
            "--python",
            sys.executable,
        ]
        yield [*common, "--offline"]
        yield [*common, "--system-certs"]
    yield [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile"]


def _unneeded(target: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(target):
        place, here = Path(folder).relative_to(target), Path(folder)
        for name in list(folders):
            header = name in _HEADER_FOLDERS and "share" not in place.parts
            if name in _TEST_FOLDERS or name == "__pycache__" or header:
                folders.remove(name)
                yield here / name
        keep_sources = not _NEEDED_SOURCES.isdisjoint(place.parts)
        for name in names:
            note = place.name.endswith(".dist-info") and name in _NOTES
            source = name.endswith(_SOURCES) and not keep_sources
            if note or source or _UNUSED.match((place / name).as_posix()):
                yield here / name
