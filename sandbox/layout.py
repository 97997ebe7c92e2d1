"""How a root for boxes is laid out: the interpreter, the locked packages, our modules, and nothing else.

    /python/bin/python3          the interpreter
    /python/lib/python3.x        what it needs of its library
    /lib64, /lib/…               the loader, and the shared libraries that `ldd` names
    /box                         packages and our modules; `python3 -I -S /box <entry>` runs an entry
    /in /out /tmp /proc /dev     empty; the runner mounts there

There is no shell, no package installer, no configuration. Python runs without `site`, so neither a `.pth`
file nor a `sitecustomize` means anything in a box. Byte code is compiled beforehand and never checked against
sources (PEP 552, unchecked hashes); it is compiled in one process with a fixed hash seed, so that the same
sources give the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from plans.errors import NotFound, SettingsWrong, Unreachable

PYTHON, BOX = Path("python"), Path("box")
LIBRARY = PYTHON / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
MOUNTS = ("in", "out", "tmp", "proc", "dev")

_MAIN = """import os

from inside.__main__ import main

os._exit(main())  # the last frame is flushed; taking down engine and interpreter would cost 0.1 s and more
"""
_LEFT_OUT = {
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "ensurepip", "tkinter", "turtledemo",
    "lib2to3", "pydoc_data", "venv", "distutils", "turtle.py", "sitecustomize.py",
}  # fmt: skip
_EXTENSION_LEFT_OUT = re.compile(
    r"(_tkinter|_curses.*|readline|_sqlite3|_dbm|_gdbm|_ssl|nis|ossaudiodev|_test.*|_ctypes_test|_xxtestfuzz|xx.*)\."
)
_METADATA_LEFT_OUT = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"}
_LDD_LINE = re.compile(r"^\s*(?:(?P<name>\S+) => )?(?P<path>/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_LDD_MISSING = re.compile(r"^\s*(\S+) => not found$", re.MULTILINE)


def lay_base(root: Path, lock: Path) -> None:
    """Fill an empty root with interpreter, libraries and packages, compiled.

    Raises:
        Unreachable: the locked packages cannot be had.
        NotFound: a shared library is missing on this machine.
    """
    for name in MOUNTS:
        (root / name).mkdir(parents=True)
    _copy_interpreter(root)
    _install(root / BOX, lock)
    _copy_libraries(root)
    compile_below(root, (LIBRARY, BOX))


def lay_house(root: Path, sources: Iterable[tuple[str, Path]]) -> None:
    """Put our own modules into a root whose base is there, compiled."""
    places = {"__main__.py"}
    (root / BOX / "__main__.py").write_text(_MAIN)
    for place, source in sources:
        target = root / BOX / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        places.add(place.split("/")[0])
    compile_below(root, tuple(BOX / place for place in sorted(places)))


def compile_below(root: Path, places: tuple[Path, ...]) -> None:
    """Compile modules to byte code whose bytes depend on the sources only."""
    targets = [str(root / place) for place in places]
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", "/"]
    command = [sys.executable, "-P", "-s", "-S", "-B", "-m", "compileall", *options, *targets]
    done = subprocess.run(command, env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    if done.returncode != 0:
        raise SettingsWrong("a module of the image does not compile", done.stdout.strip()[:200])


def settle_modes(root: Path) -> None:
    """Give every file one of two modes, so that nothing but the builder's umask is forgotten: 0755 or 0644."""
    for folder, _, files in os.walk(root):
        os.chmod(folder, 0o755)
        for name in files:
            path = os.path.join(folder, name)
            executable = os.stat(path).st_mode & 0o100
            os.chmod(path, 0o755 if executable else 0o644)


def _copy_interpreter(root: Path) -> None:
    binary = root / PYTHON / "bin" / "python3"
    binary.parent.mkdir(parents=True)
    shutil.copyfile(os.path.realpath(sys.executable), binary)
    binary.chmod(0o755)
    shutil.copytree(sysconfig.get_path("stdlib"), root / LIBRARY, ignore=_unneeded)
    dynamic = root / LIBRARY / "lib-dynload"
    for extension in dynamic.iterdir():
        if _EXTENSION_LEFT_OUT.match(extension.name):
            extension.unlink()


def _unneeded(folder: str, names: list[str]) -> set[str]:
    """Name what is not copied: tests, tools, links out of the library (Debian has some), static libraries."""

    def leave(name: str) -> bool:
        special = name.startswith("config-") or name.endswith((".a", ".exe", "-config.py"))
        return name in _LEFT_OUT or special or os.path.islink(os.path.join(folder, name))

    return {name for name in names if leave(name)}


def _install(target: Path, lock: Path) -> None:
    """Install the locked packages, hashes checked, wheels only: nothing of a package runs while it is installed."""
    common = [
        "--require-hashes",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(target),
        "-r",
        str(lock),
    ]
    beside = Path(sys.executable).parent / "uv"
    by_uv = [str(beside), "pip", "install", "-q", "--no-config", "--system-certs", "--link-mode", "copy"]
    by_pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-compile"]
    tries = [[*by_uv, "--python", sys.executable, *common]] if beside.exists() else []
    for command in [*tries, [*by_pip, *common]]:
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0:
            break
    else:
        raise Unreachable(
            "the image's packages could not be installed", lock.name, "Is there a way to the registry?"
        )
    _trim(target)


def _trim(target: Path) -> None:
    """Remove scripts and the installer's notes, which name folders and times of this machine."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for note in target.glob("*.dist-info/*"):
        if note.name in _METADATA_LEFT_OUT:
            note.unlink()
    for cache in list(target.rglob("__pycache__")):
        shutil.rmtree(cache)


def _copy_libraries(root: Path) -> None:
    """Copy the loader to its fixed place, and every other library to where the loader looks without being told."""
    binaries = [root / PYTHON / "bin" / "python3", *sorted(root.rglob("*.so")), *sorted(root.rglob("*.so.*"))]
    needed = {path.name: path for binary in binaries for path in _libraries_of(binary)}
    default = next(path for name, path in needed.items() if name.startswith("libc.so")).parent
    for name, path in sorted(needed.items()):
        if path.is_relative_to(root):
            continue
        target = root / (path if name.startswith("ld-linux") else default / name).relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755)


def _libraries_of(binary: Path) -> list[Path]:
    """Return the shared libraries of one of our own binaries, as the loader finds them on this machine."""
    told = subprocess.run(["ldd", str(binary)], capture_output=True, text=True).stdout
    if missing := _LDD_MISSING.search(told):
        raise NotFound("a shared library is missing on this machine", missing[1], f"{binary.name} needs it.")
    return [Path(line["path"]) for line in _LDD_LINE.finditer(told)]
