"""`python3 -I -S /box ENTRY LIMITS`: the only command that an image offers (`sandbox.layout` starts `main`).

Whatever goes wrong leaves as one stable code. Standard error goes nowhere (the launcher discards it), since
engines write values of data into their messages.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from types import ModuleType
from typing import Any, BinaryIO

from inside.session import BoxFailure, Session, begin, rehearse
from plans import frames
from plans.box import Entry, Limits
from plans.errors import DarkroomError, Malformed


def main() -> int:
    """Run one entry and return the exit status: 0 with a report, 3 with a failure.

    Imports, and what a program can make ready from its limits alone, are done before the box says that it is
    ready: a warm box waits there.
    """
    entry, limits = Entry(sys.argv[1]), Limits.decode(sys.argv[2].encode())
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    program = importlib.import_module(f"inside.{entry.value}")
    try:
        warmed = _warmed(program, limits)
        rehearse()
        frames.write(outgoing, {"ready": {}})
        session = _session(incoming, outgoing, limits)
        report = program.run(dataclasses.replace(session, warmed=warmed))
    except BoxFailure as failure:
        frames.write(outgoing, {"failure": {"code": failure.code, "facts": dict(failure.facts)}})
        return 3
    except DarkroomError as problem:
        frames.write(outgoing, {"failure": {"code": problem.code, "facts": {}}})
        return 3
    frames.write(outgoing, {"report": report})
    return 0


def _warmed(program: ModuleType, limits: Limits) -> Any:
    """Return what a program's `warm` makes ready, or none if it has none."""
    warm = getattr(program, "warm", None)
    return warm(limits) if warm else None


def _session(incoming: BinaryIO, outgoing: BinaryIO, limits: Limits) -> Session:
    """Begin, and see that the plan gives this stage the limits under which the box was started."""
    session = begin(incoming, outgoing)
    if session.plan.stage(session.stage).limits != limits:
        raise Malformed("the box was started under other limits than the plan's", "box.limits")
    return session


if __name__ == "__main__":
    sys.exit(main())
