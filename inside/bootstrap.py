"""The first steps of a member's program, in its own process: ours, until its first line is reached.

    python3 -I -S -B -X utf8 /box/inside/bootstrap.py HOW FOLDER MAIN ARGUMENT…

Descriptor 3 is a pipe to the runner (`inside.python`). What this process does before it runs the member's code:

1. it parts from the runner for good. The runner holds the stage's keys and is the only one who may write to `/out`,
   which lies on the node's disk, so this process gets a fence of its own (Landlock) without `/out` and `/in`, or
   (HOW is `user`, where a tier has no Landlock) another user id;
2. it tries the wall: if a file can be made in `/out` all the same, it ends without running anything;
3. it tells the runner that it is fenced. Only what comes after this byte could be the member's doing.

The member's code finds the folder and the image's packages. Our own modules are in the image too, for the runner;
importing them fails here, so that nobody builds on what may change. That is a courtesy and no wall: they hold no
secret, and anybody can read them.

An exception that reaches the end is printed, and told to the runner with its line. The runner believes none of it:
the code that ran in this process could have said the same.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import site
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, TracebackType

TOLD = 3
FENCED = b"F"
NOT_FENCED = 77
"""Exit status of a process that found no fence around itself; it has run nothing."""

OWN = ("/tmp", "/dev/shm")
"""Where a member's program may write."""

OTHER_USER = 1001
LONGEST_TOLD = 48 * 2**10
_HOUSE = frozenset({"airlock", "inside", "keys", "plans", "policies"})
_PACKAGES = "/box"


class House:
    """Finds nothing, and says of our own modules that they are not there."""

    def __init__(self, folder: str) -> None:
        self._hidden = {name for name in _HOUSE if not _is_in(folder, name)}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if path is None and name in self._hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def main(how: str, folder: str, start: str, *arguments: str) -> None:
    """Part, tell, and run; what the program ends with is this process's end."""
    part(how)
    os.write(TOLD, FENCED)
    os.set_inheritable(TOLD, False)
    for table in os.environ["DARKROOM_TABLES"].split(
        ","
    ):  # "tax.income=4": for this process, and not for its children
        if table:
            os.set_inheritable(int(table.rpartition("=")[2]), False)
    os.chdir(folder)
    site.setquit()  # `exit()` and `quit()`, which a Python without `site` lacks
    sys.path[:0] = [folder]
    sys.path.append(_PACKAGES)
    sys.meta_path.insert(0, House(folder))  # type: ignore[arg-type]
    path = os.path.join(folder, start)
    sys.argv = [path, *arguments]
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.excepthook = lambda _, problem, __: _print(_tell(problem, folder))
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as ending:
        if ending.code not in (None, 0):
            _tell(ending, folder)
        raise


def part(how: str) -> None:
    """Leave the runner's side; end the process if that cannot be."""
    if how == "user":
        os.setgroups([])
        os.setresgid(OTHER_USER, OTHER_USER, OTHER_USER)
        os.setresuid(OTHER_USER, OTHER_USER, OTHER_USER)
    elif how == "landlock":
        fence = _module(os.path.join(os.path.dirname(__file__), "fence.py"))
        fence.put_on(OWN, ("/proc",))
    if how != "unsafe" and _can_write("/out"):
        os._exit(NOT_FENCED)


def _can_write(folder: str) -> bool:
    try:
        probe = os.open(os.path.join(folder, "probe"), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError:
        return False
    os.close(probe)
    os.unlink(os.path.join(folder, "probe"))
    return True


def _module(path: str) -> ModuleType:
    """Load a file as a module that nobody else can import."""
    spec = importlib.util.spec_from_file_location("fence", path)
    if spec is None or spec.loader is None:
        os._exit(NOT_FENCED)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is_in(folder: str, name: str) -> bool:
    return os.path.isdir(os.path.join(folder, name)) or os.path.isfile(os.path.join(folder, f"{name}.py"))


def _tell(problem: BaseException, folder: str) -> str:
    """Tell the runner where and what, and return the error's text from the member's own first line on."""
    own = problem.__traceback__
    while own is not None and not _of(folder, own):
        own = own.tb_next
    text = "".join(traceback.format_exception(type(problem), problem, own))
    file, line = _place(problem, own, folder)
    name = type(problem).__name__
    error = name if name.isascii() and name.isidentifier() and len(name) <= 60 else "Exception"
    told = {"file": file, "line": line, "error": error, "text": text[-LONGEST_TOLD // 4 :]}
    os.write(TOLD, json.dumps(told).encode()[:LONGEST_TOLD])
    return text


def _print(text: str) -> None:
    sys.stderr.write(text)


def _place(problem: BaseException, own: TracebackType | None, folder: str) -> tuple[str, int]:
    """Return the innermost line of the folder's own that led to the problem."""
    file, line = "", 0
    if isinstance(problem, SyntaxError) and str(problem.filename).startswith(folder + "/"):
        file, line = str(problem.filename), problem.lineno or 0
    while own is not None:
        if not isinstance(problem, SyntaxError) or not file:
            file, line = (
                (own.tb_frame.f_code.co_filename, own.tb_lineno) if _of(folder, own) else (file, line)
            )
        own = own.tb_next
    return str(Path(file).relative_to(folder)) if file else "", line


def _of(folder: str, step: TracebackType) -> bool:
    return step.tb_frame.f_code.co_filename.startswith(folder + "/")


if __name__ == "__main__":
    main(*sys.argv[1:])
