"""`ls` and `stat` for labs in strong boxes (T2), where Debian's fail.

Debian's two ask the kernel about a file with a flag (AT_NO_AUTOMOUNT) that gVisor's release in Debian does not know,
and end with "Invalid argument"; all the other programs of the image do without the flag. `inside.lab` puts these two
before Debian's where Debian's fail, and nowhere else. They know what people type; of other options they say so.
"""

from __future__ import annotations

import argparse
import contextlib
import grp
import os
import pwd
import shutil
import signal
import stat as modes
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable
from typing import NoReturn

SAID = "this is Darkroom's small {}, since Debian's does not run in a strong box (T2); `find` and Python do"
HALF_YEAR_S = 182 * 86_400
TYPES = {
    modes.S_IFDIR: "directory", modes.S_IFLNK: "symbolic link", modes.S_IFIFO: "fifo", modes.S_IFSOCK: "socket",
    modes.S_IFCHR: "character special file", modes.S_IFBLK: "block special file",
}  # fmt: skip


class Options(argparse.ArgumentParser):
    """Options, and one sentence about what is not known."""

    def error(self, message: str) -> NoReturn:
        """End with the sentence."""
        self.exit(2, f"{self.prog}: {message} ({SAID.format(self.prog)})\n")


def program(run: Callable[[list[str]], int]) -> NoReturn:
    """Be one of the two: what only a whole process may change is changed here, and not where tests call them."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `ls | head` ends without a word
    sys.exit(run(sys.argv[1:]))


def ls(arguments: list[str]) -> int:
    """List files as `ls` does; return its exit status."""
    known = Options("ls", add_help=False, allow_abbrev=False)
    for letter in "laA1hRdtrSFinC":
        known.add_argument(f"-{letter}", dest=f"is_{letter}", action="store_true")
    for word, letter in (("all", "a"), ("almost-all", "A"), ("human-readable", "h"), ("recursive", "R")):
        known.add_argument(f"--{word}", dest=f"is_{letter}", action="store_true")
    known.add_argument("--color", nargs="?")
    known.add_argument("paths", nargs="*")
    chosen = known.parse_intermixed_args(arguments)
    listing = Listing(chosen)
    paths = chosen.paths or ["."]
    is_folder = [os.path.isdir(each) and not chosen.is_d for each in paths]
    listing.show("", [path for path, folder in zip(paths, is_folder, strict=True) if not folder])
    for path in [path for path, folder in zip(paths, is_folder, strict=True) if folder]:
        listing.folder(path, titled=len(paths) > 1 or chosen.is_R)
    return listing.status


class Listing:
    """One run of `ls`."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen, self.status, self._begun = chosen, 0, False

    def folder(self, path: str, titled: bool) -> None:
        """Show what is in a folder, and with -R what is below it."""
        try:
            names = os.listdir(path)
        except OSError as problem:
            return self._failed("cannot open directory", path, problem)
        if not (self.chosen.is_a or self.chosen.is_A):
            names = [name for name in names if not name.startswith(".")]
        if titled:
            _say(("\n" if self._begun else "") + f"{_shown(path)}:")
        self.show(path, [".", "..", *names] if self.chosen.is_a else names)
        self._begun = True
        if self.chosen.is_R:
            for name in sorted(names):
                below = os.path.join(path, name)
                if os.path.isdir(below) and not os.path.islink(below):
                    self.folder(below, titled=True)
        return None

    def show(self, folder: str, names: list[str]) -> None:
        """Show files by name; those that are not there are told."""
        found: list[tuple[str, os.stat_result]] = []
        for name in names:
            try:
                found.append((name, os.lstat(os.path.join(folder, name))))
            except OSError as problem:
                self._failed("cannot access", name, problem)
        by_time, by_size = self.chosen.is_t, self.chosen.is_S
        found.sort(key=lambda pair: pair[0])
        if by_time or by_size:
            found.sort(key=lambda pair: -(pair[1].st_mtime_ns if by_time else pair[1].st_size))
        if self.chosen.is_r:
            found.reverse()
        self._begun = self._begun or bool(found)
        if self.chosen.is_l or self.chosen.is_n:
            if folder:
                _say(f"total {sum(facts.st_blocks for _, facts in found) // 2}")
            _print_rows([self._long(folder, name, facts) for name, facts in found])
        else:
            _print_names([self._name(name, facts) for name, facts in found], self.chosen.is_1)

    def _name(self, name: str, facts: os.stat_result) -> str:
        mode = facts.st_mode
        sign = "/" if modes.S_ISDIR(mode) else "@" if modes.S_ISLNK(mode) else "*" if mode & 0o111 else ""
        number = f"{facts.st_ino} " if self.chosen.is_i else ""
        return number + _shown(name) + (sign if self.chosen.is_F else "")

    def _long(self, folder: str, name: str, facts: os.stat_result) -> list[str]:
        owner, group = str(facts.st_uid), str(facts.st_gid)
        if not self.chosen.is_n:
            owner, group = _user(facts.st_uid), _group(facts.st_gid)
        age = time.time() - facts.st_mtime
        clock = "%b %e %H:%M" if 0 <= age < HALF_YEAR_S else "%b %e  %Y"
        size = _human(facts.st_size) if self.chosen.is_h else str(facts.st_size)
        shown = self._name(name, facts)
        if modes.S_ISLNK(facts.st_mode):
            shown += f" -> {_shown(os.readlink(os.path.join(folder, name)))}"
        changed = time.strftime(clock, time.localtime(facts.st_mtime))
        return [modes.filemode(facts.st_mode), str(facts.st_nlink), owner, group, size, changed, shown]

    def _failed(self, what: str, path: str, problem: OSError) -> None:
        self.status = 2
        sys.stdout.flush()
        sys.stderr.write(f"ls: {what} {_shown(path)!r}: {problem.strerror}\n")


def stat(arguments: list[str]) -> int:
    """Tell of files what `stat` tells; return its exit status."""
    known = Options("stat", add_help=False, allow_abbrev=False)
    known.add_argument("-c", "--format")
    known.add_argument("-L", "--dereference", dest="follows", action="store_true")
    known.add_argument("paths", nargs="+")
    chosen, status = known.parse_intermixed_args(arguments), 0
    for path in chosen.paths:
        try:
            facts = os.stat(path, follow_symlinks=chosen.follows)
        except OSError as problem:
            sys.stderr.write(f"stat: cannot stat {_shown(path)!r}: {problem.strerror}\n")
            status = 1
            continue
        told = _told(path, facts)
        _say(_filled(chosen.format, told) if chosen.format is not None else _filled(WHOLE, told))
    return status


WHOLE = (
    "  File: %n\n  Size: %s\tBlocks: %b\tIO Block: %o\t%F\nDevice: %d\tInode: %i\tLinks: %h\n"
    "Access: (%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nAccess: %x\nModify: %y\nChange: %z"
)


def _told(path: str, facts: os.stat_result) -> dict[str, str]:
    kind = TYPES.get(modes.S_IFMT(facts.st_mode), "regular file" if facts.st_size else "regular empty file")
    told = {
        "n": _shown(path), "s": facts.st_size, "b": facts.st_blocks, "o": facts.st_blksize, "F": kind,
        "d": facts.st_dev, "i": facts.st_ino, "h": facts.st_nlink, "u": facts.st_uid, "g": facts.st_gid,
        "a": f"{modes.S_IMODE(facts.st_mode):o}", "A": modes.filemode(facts.st_mode), "f": f"{facts.st_mode:x}",
        "U": _user(facts.st_uid), "G": _group(facts.st_gid), "%": "%",
        "X": int(facts.st_atime), "Y": int(facts.st_mtime), "Z": int(facts.st_ctime),
        "x": _moment(facts.st_atime), "y": _moment(facts.st_mtime), "z": _moment(facts.st_ctime),
    }  # fmt: skip
    return {sign: str(value) for sign, value in told.items()}


def _filled(form: str, told: dict[str, str]) -> str:
    text, at = "", 0
    while at < len(form):
        sign = form[at + 1 : at + 2]
        known = form[at] == "%" and sign in told
        text += told[sign] if known else form[at]
        at += 2 if known else 1
    return text


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


def _user(number: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _group(number: int) -> str:
    with contextlib.suppress(KeyError):
        return grp.getgrgid(number).gr_name
    return str(number)


def _human(size: float) -> str:
    for unit in ("", "K", "M", "G"):
        if size < 1024:
            return f"{size:.1f}{unit}" if unit and size < 10 else f"{size:.0f}{unit}"
        size /= 1024
    return f"{size:.1f}T"


def _shown(name: str) -> str:
    """Return a name as it may be printed: signs that steer a terminal are spelled out."""
    if not sys.stdout.isatty():
        return os.fsencode(name).decode(errors="surrogateescape")
    return "".join(sign if sign.isprintable() else "?" for sign in name)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def _print_rows(rows: list[list[str]]) -> None:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    right = (1, 4)  # how many links, and the size
    for row in rows:
        cells = []
        for place, (cell, width) in enumerate(zip(row[:-1], widths, strict=False)):
            room = " " * (width - _width(cell))
            cells.append(room + cell if place in right else cell + room)
        _say(" ".join([*cells, row[-1]]))


def _print_names(names: Iterable[str], one_by_one: bool) -> None:
    names = list(names)
    if one_by_one or not sys.stdout.isatty() or not names:
        for name in names:
            _say(name)
        return
    width = max(map(_width, names)) + 2
    columns = max(1, shutil.get_terminal_size().columns // width)
    rows = -(-len(names) // columns)
    for row in range(rows):
        line = [name + " " * (width - _width(name)) for name in names[row::rows]]
        _say("".join(line).rstrip())
