"""Errors in IPython as one card, and tracebacks cut to the member's own lines, without local variables.

A `TypeError` that comes up in the house is such an error, too: a call was given a value of another type. Of an error of
the house only the lines that the member wrote are shown: cells and files of their own, not this
package, HTTP, or IPython itself. The whole of it stays at hand, again without variables: `darkroom.last_traceback()`.
What IPython keeps for `%tb` is cut, too, since some of its modes print variables, and ours may hold a secret.
"""

from __future__ import annotations

import linecache
import os
import re
import site
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from darkroom.display import Shown, show, written
from darkroom.display_text import plain
from darkroom.display_words import say
from plans.errors import DarkroomError, Malformed

_CELL = re.compile(r"<ipython-input-|ipykernel_\d+[/\\]|<stdin>|<string>|<console>")
_HIDDEN = ("darkroom", "plans", "keys")
LONGEST = 200
"""Frames of a whole traceback that are kept."""

LONGEST_LINE = 100
"""Characters of a line of the member's that a card shows."""

_last: list[list[str]] = []
_before: list[Any] = []


def frames(tb: TracebackType | None) -> Iterator[tuple[TracebackType, bool]]:
    """Yield the steps of a traceback, each with whether it is the member's own."""
    while tb is not None:
        yield tb, is_own(tb.tb_frame.f_code.co_filename)
        tb = tb.tb_next


def is_own(file: str) -> bool:
    """Return whether a file, or the name of a cell, is one that the member wrote: not installed, not of the house."""
    if _CELL.search(file):
        return True
    if file.startswith("<"):
        return False
    return not any(file.startswith(folder + os.sep) for folder in _folders())


def _folders() -> tuple[str, ...]:
    """Return the folders of Python, of what is installed, and of the house."""
    found = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [*site.getsitepackages(), site.getusersitepackages()]
    for name in _HIDDEN:
        module = sys.modules.get(name)
        if module is not None and module.__file__:
            found.append(os.path.dirname(module.__file__))
    return tuple({os.path.abspath(each) for each in found} | set(found))


def cut(tb: TracebackType | None) -> TracebackType | None:
    """Return a traceback of the member's own steps alone; none if there is none of them."""
    kept: TracebackType | None = None
    for step, own in reversed(list(frames(tb))):
        if own:
            kept = TracebackType(kept, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return kept


def house_of(value: BaseException, tb: TracebackType | None) -> DarkroomError | None:
    """Return what is told of an error: one of the house itself; of a `TypeError` that came up in a call of the house,
    an error that names the call. None of any other, and of one that came up in the member's own lines.
    """
    if isinstance(value, DarkroomError):
        return value
    steps = list(frames(tb))
    last = max((at for at, (_, own) in enumerate(steps) if own), default=-1)
    called = steps[last + 1][0].tb_frame if last + 1 < len(steps) else None
    if not isinstance(value, TypeError) or called is None or not _is_house(called.f_code.co_filename):
        return None
    call = called.f_code.co_qualname
    call = f"darkroom.{call}" if called.f_globals.get("__name__") == "darkroom" else call
    problem = Malformed(
        f"a value has another type than {call} takes: {value}",
        call,
        f"Compare it with help({call}). If it is right, this is a defect: send darkroom.last_traceback().",
    )
    return problem.with_traceback(tb)


def _is_house(file: str) -> bool:
    found = (getattr(sys.modules.get(name), "__file__", None) for name in _HIDDEN)
    return any(file.startswith(os.path.dirname(each) + os.sep) for each in found if each)


def own_lines(tb: TracebackType | None) -> list[str]:
    """Return the member's own lines, each with its place, the innermost last."""
    told = []
    for step, own in frames(tb):
        if own:
            file = step.tb_frame.f_code.co_filename
            source = _shortened(linecache.getline(file, step.tb_lineno).strip())
            place = say("error.cell") if _CELL.search(file) else file
            told.append(
                say("error.line", file=place, line=step.tb_lineno) + (f": {source}" if source else "")
            )
    return told


def _shortened(source: str) -> str:
    """Return a line as it is shown: cut where it is long, and not what IPython makes of a magic."""
    if source.startswith("get_ipython().run_"):
        return ""
    return source if len(source) <= LONGEST_LINE else source[: LONGEST_LINE - 1] + "…"


def keep(kind: type[BaseException], value: BaseException, tb: TracebackType | None) -> None:
    """Keep the whole traceback as text, without variables."""
    told = traceback.TracebackException(kind, value, tb, limit=LONGEST, capture_locals=False, compact=True)
    _last[:] = [list(told.format())]


def last_traceback() -> Shown:
    """Return the whole of the last error, frames of Darkroom included, to look at or to send to a maintainer."""
    from darkroom.display import Code, Lines, sheet

    text = "".join(_last[0]) if _last else ""
    return Shown(sheet(Code(text) if text else Lines(("–",))))


# --- IPython -----------------------------------------------------


def install(ip: Any) -> None:
    """Show errors of the house as cards in this shell, and say in a lab how to ask for a missing module."""
    ip.set_custom_exc((DarkroomError, ModuleNotFoundError, TypeError), _in_shell)


def uninstall(ip: Any) -> None:
    """Show errors as IPython does."""
    ip.set_custom_exc((), None)


def _in_shell(
    ip: Any, kind: type[BaseException], value: BaseException, tb: Any, tb_offset: Any = None
) -> list[str]:
    keep(kind, value, tb)
    problem = house_of(value, tb)
    if problem is None:
        ip.showtraceback((kind, value, tb), tb_offset=tb_offset)
        there = os.path.isfile(__file__)  # the image may have been removed: then nothing more can be imported
        if there and os.environ.get("DARKROOM_LAB") and isinstance(value, ModuleNotFoundError):
            from darkroom.advice import missing_module

            sys.stdout.write(missing_module(value) + "\n")
        return []
    sys.last_type, sys.last_value, sys.last_traceback = kind, value, cut(tb)
    if sys.version_info >= (3, 12):
        sys.last_exc = value
    value.__traceback__ = cut(tb)
    _drop_context(value)
    lines = _show(ip, problem, tb)
    ip._showtraceback(kind, plain(value), lines)
    return lines


def _drop_context(value: BaseException) -> None:
    """Forget what the error came from: its frames are the house's own, and `%tb` would walk them."""
    value.__cause__, value.__context__, value.__suppress_context__ = None, None, True


def _show(ip: Any, value: DarkroomError, tb: Any) -> list[str]:
    """Show the card where there is a notebook, and return the lines of the plain traceback."""
    shown = card_of(value, tb)
    if not hasattr(ip, "kernel"):
        return written(shown)["text/plain"].split("\n")
    show(shown)
    return [plain(f"{type(value).__name__}: {value}")]


def card_of(value: DarkroomError, tb: TracebackType | None) -> Any:
    """Return the card of an error that came up at this traceback."""
    from darkroom.advice import Lesson, card, teach

    own: Sequence[str] = own_lines(tb)
    line = own[-1] if own else ""
    try:
        return card(value, line)
    except (TypeError, ValueError, LookupError, AttributeError):
        # A portal's view in a form that nobody knows. IPython would drop what cuts tracebacks if this failed.
        return card(teach(value, Lesson()), line)


# --- scripts -----------------------------------------------------


def short_tracebacks(on: bool = True) -> None:
    """Show errors of the house as their card and your own lines; other errors stay as they are. In IPython that is so
    already after `%load_ext darkroom`. With `on=False` everything is as before.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        (install if on else uninstall)(shell)
        return
    if on and not _before:
        _before.append(sys.excepthook)
        sys.excepthook = _in_script
    elif not on and _before:
        sys.excepthook = _before.pop()


def _in_script(kind: type[BaseException], value: BaseException, tb: TracebackType | None) -> None:
    keep(kind, value, tb)
    problem = house_of(value, tb)
    if problem is None:
        (_before[0] if _before else sys.__excepthook__)(kind, value, tb)
        return
    lines = [f"  {line}" for line in own_lines(tb)]
    sys.stderr.write("\n".join([*lines, written(card_of(problem, tb))["text/plain"], ""]))
