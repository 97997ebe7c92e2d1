"""The first steps of a program that runs here on look-alike data, in a process of its own: the twin of a box's
`inside.bootstrap`, without walls, since whose program it is owns the machine.

    python -I -B -X utf8 twin_start.py TOLD PACKAGES MEMORY FOLDER MAIN ARGUMENT…

The program finds its folder, the module `darkroom` as a job has it (`darkroom/program.py`, and not the client), and
packages: in a lab those below PACKAGES, which are the image's, elsewhere those of this interpreter. Modules of ours
that a job cannot import cannot be imported here. It has MEMORY bytes, if that is not 0. Where it failed is written to
TOLD.

The process ends with the one that started it, also where that is killed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import signal
import site
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType, TracebackType

LONGEST_TOLD = 48 * 2**10
_HOUSE = frozenset({"airlock", "darkroom_lab", "inside", "keys", "plans", "policies"})
_PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "program.py")
_END_WITH_PARENT = 1  # prctl(2), PR_SET_PDEATHSIG


class Room:
    """Finds what a job finds: `darkroom` is its module of that name, and our own modules are not there."""

    def __init__(self, folder: str) -> None:
        self._own = {
            name
            for name in (*_HOUSE, "darkroom")
            if os.path.isdir(os.path.join(folder, name)) or os.path.isfile(os.path.join(folder, f"{name}.py"))
        }

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if path is not None or name in self._own:
            return None
        if name == "darkroom":
            return importlib.util.spec_from_file_location(name, _PROGRAM)
        if name in _HOUSE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def main(told: str, packages: str, memory: str, folder: str, start: str, *arguments: str) -> None:
    """Run a program; what it ends with is this process's end."""
    _end_with_parent()
    _bound(int(memory))
    os.chdir(folder)
    site.setquit()  # a Python without `site`, as in a lab, lacks `exit` and `quit`
    sys.path[:] = [folder, *(place for place in sys.path if place != os.path.dirname(_PROGRAM))]
    sys.path += [packages] if packages else []
    sys.meta_path.insert(0, Room(folder))
    path = os.path.join(folder, start)
    sys.argv = [path, *arguments]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.excepthook = lambda _, problem, __: _print(_tell(problem, folder, told))
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as ending:
        if ending.code not in (None, 0):
            _tell(ending, folder, told)
        raise


def _end_with_parent() -> None:
    if not sys.platform.startswith("linux"):
        return
    try:
        import ctypes

        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return


def _bound(memory: int) -> None:
    """Let this process, and each that it starts, have so many bytes of data; 0 leaves it as it is."""
    if memory:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def _tell(problem: BaseException, folder: str, told: str) -> str:
    """Write where and what, and return the error's text from the program's own first line on."""
    own = problem.__traceback__
    while own is not None and not _is_of(folder, own):
        own = own.tb_next
    text = "".join(traceback.format_exception(type(problem), problem, own))
    file, line = _place(problem, own, folder)
    name = type(problem).__name__
    error = name if name.isascii() and name.isidentifier() and len(name) <= 60 else "Exception"
    found = {"file": file, "line": line, "error": error, "text": text[-LONGEST_TOLD // 4 :]}
    with open(told, "w", encoding="utf-8") as place:
        json.dump(found, place)
    return text


def _print(text: str) -> None:
    sys.stderr.write(text)


def _place(problem: BaseException, own: TracebackType | None, folder: str) -> tuple[str, int]:
    """Return the innermost line of the folder's own that led to the problem."""
    if isinstance(problem, SyntaxError) and str(problem.filename).startswith(folder + os.sep):
        return os.path.relpath(str(problem.filename), folder), problem.lineno or 0
    file, line = "", 0
    while own is not None:
        if _is_of(folder, own):
            file, line = own.tb_frame.f_code.co_filename, own.tb_lineno
        own = own.tb_next
    return (os.path.relpath(file, folder) if file else ""), line


def _is_of(folder: str, step: TracebackType) -> bool:
    return step.tb_frame.f_code.co_filename.startswith(folder + os.sep)


if __name__ == "__main__":
    main(*sys.argv[1:])
