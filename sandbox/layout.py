"""How a root for boxes is laid out: the interpreter, the locked packages, our modules, and nothing else.

    /python/bin/python3          the interpreter
    /python/lib/python3.x        what it needs of its library
    /lib64, /lib/…               the loader, and the shared libraries that `ldd` names
    /box                         packages and our modules; `python3 -I -S /box <entry>` runs an entry
    /etc/passwd, /etc/group      a few names, so that programs that ask who they are get an answer
    /usr/share/zoneinfo          time zones of the locked package tzdata, where the lock has it
    /etc/built-on                the digest of the image below, where there is one
    /usr/bin, /bin/sh            commands of this machine, where a recipe names some; /usr/share/terminfo, /etc/hosts
    /in /out /spill /links /gpu /home /mirror /tmp /proc /dev     empty; the runner mounts there

There is no shell unless a recipe names one, and no configuration. Python runs without `site`, so neither a `.pth`
file nor a `sitecustomize` means anything in a box. Byte code is compiled beforehand and never checked against
sources (PEP 552, unchecked hashes); it is compiled in one process with a fixed hash seed, so that the same
sources give the same bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path

from plans.errors import NotFound, SettingsWrong
from sandbox import packages

PYTHON, BOX = Path("python"), Path("box")
LIBRARY = PYTHON / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
ORIGIN = Path("etc", "built-on")
MOUNTS = ("in", "out", "spill", "links", "gpu", "home", "mirror", "tmp", "proc", "dev")

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
_USERS = "root:x:0:0:box:/tmp:\nbox:x:1000:1000:box:/tmp:\nprogram:x:1001:1001:box:/tmp:\n"
_GROUPS = "root:x:0:\nbox:x:1000:\nprogram:x:1001:\n"
_TERMINALS = ("xterm", "xterm-256color", "xterm-color", "vt100", "linux", "dumb", "ansi", "screen")
_TERMINFO = (Path("/lib/terminfo"), Path("/usr/share/terminfo"))
_LDD_LINE = re.compile(r"^\s*(?:(?P<name>\S+) => )?(?P<path>/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
_LDD_MISSING = re.compile(r"^\s*(\S+) => not found$", re.MULTILINE)


def lay_base(
    root: Path, lock: Path, extensions: Iterable[str], programs: Iterable[str] = ()
) -> tuple[Path, ...]:
    """Fill an empty root with interpreter, libraries and packages, compiled; return what it took from this machine.

    Raises:
        Unreachable: the locked packages cannot be had.
        NotFound: a shared library or a program is missing on this machine.
    """
    for name in MOUNTS:
        (root / name).mkdir(parents=True)
    _lay_names(root)
    _copy_interpreter(root)
    _copy_extensions(root, extensions)
    packages.install(root / BOX, packages.pins(lock), root.parent)
    _lay_time_zones(root)
    commands, taken = lay_programs(root, programs)
    libraries = _copy_libraries(root, [root / PYTHON / "bin" / "python3", *_shared_objects(root), *commands])
    compile_below(root, (LIBRARY, BOX))
    return Path(os.path.realpath(sys.executable)), *libraries, *taken


def lay_above(
    root: Path, lock: Path, below: Path, extensions: Iterable[str], programs: Iterable[str] = ()
) -> tuple[Path, ...]:
    """Add to the root of another base what `lock` pins beyond the lock `below`, parts of the library, and programs.

    Nothing that is there is changed.

    Raises:
        Unreachable, NotFound: as above.
        SettingsWrong: the lock does not hold the other one, or a package would change a file that is there.
    """
    with tempfile.TemporaryDirectory(prefix="above-", dir=root.parent) as folder:
        above = Path(folder, "packages")
        packages.install(above, packages.added(lock, below), Path(folder))
        compile_below(Path(folder), (Path("packages"),), shown_as=BOX)
        new = [root / BOX / path.relative_to(above) for path in _shared_objects(above)]
        packages.merge(above, root / BOX)
    new += _copy_extensions(root, extensions)
    commands, taken = lay_programs(root, programs)
    return *_copy_libraries(root, [*new, *commands]), *taken


def lay_programs(root: Path, names: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """Copy programs of this machine and what terminals need; return where they went, and what was taken.

    Raises:
        NotFound: this machine has no such program.
    """
    names = tuple(names)
    if not names:
        return [], []
    laid, taken = [], []
    for name in names:
        found = shutil.which(name, path="/usr/bin:/bin")
        if found is None:
            raise NotFound(
                "a program is missing on this machine", name, "Install the Debian package that has it."
            )
        source = Path(os.path.realpath(found))
        taken.append(source)
        for folder in ("usr/bin", "bin") if name == "sh" else ("usr/bin",):  # what others call by its path
            laid.append(root / folder / name)
            laid[-1].parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, laid[-1])
            laid[-1].chmod(0o755)
    _lay_new(root / "etc" / "hosts", b"127.0.0.1 localhost box\n")
    return laid, [*taken, *_lay_terminals(root)]


def _lay_terminals(root: Path) -> list[Path]:
    """Copy the descriptions of common terminals to one place where programs look; return what was taken."""
    taken = []
    for name in _TERMINALS:
        for folder in _TERMINFO:
            source = folder / name[0] / name
            if source.is_file():
                _lay_new(root / "usr" / "share" / "terminfo" / name[0] / name, source.read_bytes())
                taken.append(Path(os.path.realpath(source)))
                break
    return taken


def lay_house(root: Path, sources: Iterable[tuple[str, Path]], below: Path | None = None) -> None:
    """Put our own modules into a root whose base is there, compiled.

    What the image of the root `below` has is taken from there with its byte code: compiled once more, among other
    modules, the same source can give other bytes.

    Raises:
        SettingsWrong: a package has a module of the same name, or a module does not compile.
    """
    places, alone = {"__main__.py"}, []
    if below is None or not _link_module(
        below / BOX / "__main__.py", root / BOX / "__main__.py", _MAIN.encode()
    ):
        _lay_new(root / BOX / "__main__.py", _MAIN.encode())
    for place, source in sources:
        content = source.read_bytes()
        if below is not None and _link_module(below / BOX / place, root / BOX / place, content):
            continue
        _lay_new(root / BOX / place, content)
        if source.stat().st_mode & 0o100:
            (root / BOX / place).chmod(0o755)
        places.add(place.split("/")[0])
        alone += [place] if place.endswith(".py") else []
    targets = sorted(places) if below is None else sorted(alone)
    compile_below(root, tuple(BOX / place for place in targets))


def _link_module(source: Path, target: Path, content: bytes) -> bool:
    """Link a file of the image below, and its byte code, if it has this content; return whether it has."""
    if not source.is_file() or source.read_bytes() != content:
        return False
    compiled = Path("__pycache__", f"{source.stem}.{sys.implementation.cache_tag}.pyc")
    for place in (Path(source.name), compiled if source.suffix == ".py" else Path(source.name)):
        there = target.parent / place
        there.parent.mkdir(parents=True, exist_ok=True)
        if not there.exists():
            os.link(source.parent / place, there)
    return True


def lay_origin(root: Path, digest: str) -> None:
    """Say in an image on which other one it was built, where whoever is in the box can read it."""
    _lay_new(root / ORIGIN, f"{digest}\n".encode())


def compile_below(root: Path, places: tuple[Path, ...], shown_as: Path | None = None) -> None:
    """Compile modules to byte code whose bytes depend on the sources only, all of them together.

    Tracebacks name a module by its place below `root`, or below `shown_as` if its tree will be moved there.
    """
    if not places:
        return
    targets = [str(root / place) for place in places]
    strip, prepend = (root / places[0], f"/{shown_as}") if shown_as else (root, "/")
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(strip), "-p", prepend]
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
            mode = stat.S_IMODE(os.lstat(path).st_mode)
            wanted = 0o755 if mode & 0o100 else 0o644
            if mode != wanted:  # files that other images share are right already, and are left alone
                os.chmod(path, wanted, follow_symlinks=False)


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


def _copy_extensions(root: Path, extensions: Iterable[str]) -> list[Path]:
    """Copy compiled modules of the library that are left out otherwise; return where they went."""
    source, target = Path(sysconfig.get_path("stdlib"), "lib-dynload"), root / LIBRARY / "lib-dynload"
    found = sorted(path for name in extensions for path in source.glob(f"{name}.*.so"))
    return [shutil.copyfile(path, target / path.name) for path in found if not (target / path.name).exists()]


def _unneeded(folder: str, names: list[str]) -> set[str]:
    """Name what is not copied: tests, tools, links out of the library (Debian has some), static libraries."""

    def leave(name: str) -> bool:
        special = name.startswith("config-") or name.endswith((".a", ".exe", "-config.py"))
        return name in _LEFT_OUT or special or os.path.islink(os.path.join(folder, name))

    return {name for name in names if leave(name)}


def _lay_new(path: Path, content: bytes) -> None:
    """Write a file that is not there: one that is there may be shared with the base, which must not change."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise SettingsWrong("a package of the lock has a module of the same name", path.name) from None


def _lay_names(root: Path) -> None:
    """Name the users that a box may be: 0 in T2, 1000 in T1, and 1001 a member's program where it needs its own."""
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text(_USERS)
    (root / "etc" / "group").write_text(_GROUPS)


def _lay_time_zones(root: Path) -> None:
    """Put the locked time zones where libraries written in C look for them."""
    source, target = root / BOX / "tzdata" / "zoneinfo", root / "usr" / "share" / "zoneinfo"
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.py"), copy_function=os.link)


def _shared_objects(folder: Path) -> list[Path]:
    return [*sorted(folder.rglob("*.so")), *sorted(folder.rglob("*.so.*"))]


def _copy_libraries(root: Path, binaries: Iterable[Path]) -> tuple[Path, ...]:
    """Copy the loader to its fixed place, and every other library to where the loader looks without being told.

    What is there already stays. Returns the libraries of this machine that the binaries need.
    """
    bundled = {path.name for path in _shared_objects(root)}
    needed = {path.name: path for binary in binaries for path in _libraries_of(binary, bundled)}
    ours = {name: path for name, path in sorted(needed.items()) if not path.is_relative_to(root)}
    default = next(path for name, path in ours.items() if name.startswith("libc.so")).parent
    for name, path in ours.items():
        target = root / (path if name.startswith("ld-linux") else default / name).relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copyfile(path, target)
            target.chmod(0o755)
    return tuple(ours.values())


def _libraries_of(binary: Path, bundled: set[str]) -> list[Path]:
    """Return the shared libraries of one of our own binaries, as the loader finds them on this machine.

    One that a wheel brings along may be missing when it is asked for alone: whatever needs it has loaded it before.
    """
    told = subprocess.run(["ldd", str(binary)], capture_output=True, text=True).stdout
    for missing in _LDD_MISSING.findall(told):
        if missing not in bundled:
            raise NotFound("a shared library is missing on this machine", missing, f"{binary.name} needs it.")
    return [Path(line["path"]) for line in _LDD_LINE.finditer(told)]
