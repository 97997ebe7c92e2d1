"""Write `docs/functions.md` from the table of functions: `python tools/functions_reference.py`.

A test compares the page with the table, so that no function is allowed without being documented.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

from policies.reading.functions import FUNCTIONS, LEFT_OUT, Function, FunctionKind

PAGE = Path(__file__).resolve().parent.parent / "docs" / "functions.md"

HEAD = """\
# Functions

Generated from `policies/reading/functions.py` by `python tools/functions_reference.py`; do not edit.

These functions may be called where values may be seen: in a statement all of whose columns are shown to you, and in
what is computed from figures after they were protected. What is said about persons' groups (`docs/sql.md`) may call
fewer. A function that is not listed here is refused, by name, before anything runs.

The examples are over the columns `i` (INTEGER), `x`, `y` (DOUBLE), `s` (VARCHAR), `b` (BOOLEAN), `d` (DATE) and `t`
(TIMESTAMP).
"""

TITLES = {
    FunctionKind.SCALAR: "Functions of one row",
    FunctionKind.AGGREGATE: "Aggregates",
    FunctionKind.REVEALING: "Aggregates that show values of rows",
    FunctionKind.WINDOW: "Window functions",
    FunctionKind.INTERNAL: "Only in the engine's plan",
}

NOTES = {
    FunctionKind.AGGREGATE: "With OVER they look at a window instead of a group.\n",
    FunctionKind.INTERNAL: "No statement may call these; the engine puts them into its plan by itself.\n",
}

LEFT_OUT_HEAD = """
## Left out on purpose

| not listed | why |
|---|---|
"""


def page() -> str:
    """Return the whole page."""
    return HEAD + "".join(_section(kind) for kind in FunctionKind) + LEFT_OUT_HEAD + "".join(_left_out())


def _section(kind: FunctionKind) -> str:
    entries = [entry for entry in FUNCTIONS.values() if entry.kind is kind]
    note = f"\n{NOTES[kind]}" if kind in NOTES else ""
    return f"\n## {TITLES[kind]}\n{note}\n| call | why it is listed |\n|---|---|\n" + "".join(
        map(_row, entries)
    )


def _row(entry: Function) -> str:
    where = "" if entry.finish else "; not over protected figures"
    shown = entry.example if entry.kind is not FunctionKind.INTERNAL else f"{entry.name}, for {entry.example}"
    return f"| `{_cell(shown)}` | {entry.reason}{where} |\n"


def _left_out() -> list[str]:
    return [
        f"| {', '.join(f'`{name}`' for name, _ in names)} | {reason} |\n"
        for reason, names in groupby(LEFT_OUT.items(), key=lambda item: item[1])
    ]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE.parent
    (folder / PAGE.name).write_text(page(), encoding="utf-8")
