"""Write `docs/errors.md` from the error tree: `python tools/errors_reference.py`.

A test compares the page with the code, so that a new code without documentation fails the build.
"""

from __future__ import annotations

import sys
from pathlib import Path

from plans.errors import DarkroomError, by_code

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"

HEAD = """\
# Errors

Generated from `plans/errors.py` by `python tools/errors_reference.py`; do not edit.

Every error says what is wrong, where, and what to do next, and ends with its code in brackets. Codes are
stable: scripts may rely on them, and on the exit codes of the command lines. The API sends the same error as a
problem document (RFC 9457) with the members `type`, `title`, `status`, `code`, `where` and `next_step`.

No error holds a value of anybody's data, or the text of an engine that has seen data. An error that a box raises
while it works on real data arrives as its code alone; try the statement on made-up rows of the same columns for the
engine's own message.

## Exit codes

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a defect of ours |
| 2 | the request is wrong |
| 3 | refused by a rule, or ended by a limit |
| 4 | not signed in, or not allowed |
| 5 | there is no such thing, or it is not yours to see |
| 6 | something cannot be reached; try again |
| 7 | evidence does not hold: tampering or damage |

## Codes

| code | status | exit | what it means | what to do |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_row(kind) for kind in by_code().values())


def _row(kind: type[DarkroomError]) -> str:
    meaning = " ".join((kind.__doc__ or "").split())
    return f"| `{kind.code}` | {kind.status} | {kind.exit_code} | {meaning} | {kind.advice} |\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE.parent
    (folder / PAGE.name).write_text(page(), encoding="utf-8")
