"""`python3 -I -S /box <entry>`: the only command that an image offers (`sandbox.layout` starts `main`).

Whatever goes wrong leaves as one stable code. Standard error goes nowhere (the launcher discards it), since
engines write values of data into their messages.
"""

from __future__ import annotations

import importlib
import sys

from inside.session import BoxFailure, begin
from plans import frames
from plans.box import Entry
from plans.errors import DarkroomError


def main() -> int:
    """Run one entry and return the exit status: 0 with a report, 3 with a failure."""
    entry = Entry(sys.argv[1])
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    program = importlib.import_module(f"inside.{entry.value}")
    try:
        session = begin(incoming, outgoing, prepare=getattr(program, "prepare", lambda _: None))
        report = program.run(session)
    except BoxFailure as failure:
        frames.write(outgoing, {"failure": {"code": failure.code, "facts": dict(failure.facts)}})
        return 3
    except DarkroomError as problem:
        frames.write(outgoing, {"failure": {"code": problem.code, "facts": {}}})
        return 3
    frames.write(outgoing, {"report": report})
    return 0


if __name__ == "__main__":
    sys.exit(main())
