"""The text form of cells: one Python file that runs as it is, that people review, and that cells are made of again.

    # -*- coding: utf-8 -*-
    # Cells of a notebook in the percent format. …

    # %% [markdown]
    # What this does.

    # %% tags=["parameters"]
    year = 2023

    # %%
    import darkroom

The first line settles the encoding: without it a comment in the second one could (PEP 263), and Python would read
another program than a person does. For the same reason no character goes in that is not shown or that turns the
order of others around. Code stands letter by letter; a line of code that would begin a cell is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from darkroom.notebook_file import Cell
from plans.errors import Malformed

HEADER = (
    "# -*- coding: utf-8 -*-\n"
    "# Cells of a notebook in the percent format, without outputs. Made by darkroom; edit it as you like.\n"
)
_MADE_OF = "# Notebook: "
PARAMETERS, GIVEN = "parameters", "darkroom-parameters"
"""Tags: of cells whose values become arguments, and of the cells made here that read these arguments."""

_MARKS = {
    ("code", ""): "# %%",
    ("code", PARAMETERS): f'# %% tags=["{PARAMETERS}"]',
    ("code", GIVEN): f'# %% tags=["{GIVEN}"]',
    ("markdown", ""): "# %% [markdown]",
    ("raw", ""): "# %% [raw]",
}
_MEANT = {mark: meaning for meaning, mark in _MARKS.items()}
_MARK = re.compile(r"# ?%%(?=\s|$)")
_ESCAPED = re.compile(r"\\*%%")
_JOINERS = "\u200c\u200d"
"""Signs that are not shown and belong to words and pictures all the same."""


def head(made_of: str = "") -> str:
    """Return the lines before the first cell; with the name of the notebook's file, where there is one."""
    name = made_of if made_of.isprintable() else ascii(made_of)[1:-1]
    return HEADER + (f"{_MADE_OF}{name}\n" if name else "")


def made_of(text: str) -> str:
    """Return the name of the notebook that a text form was made of, as its head shows it; nothing if it does not."""
    first = text.removeprefix(HEADER).partition("\n")[0]
    return first.removeprefix(_MADE_OF) if text.startswith(HEADER + _MADE_OF) else ""


def script(cells: Sequence[Cell], file: str = "notebook", made_of: str = "") -> str:
    """Return cells as text. Of tags only `PARAMETERS` and `GIVEN` go along; numbers, and all other tags, do not.

    Raises:
        Malformed: a line holds a character that is not shown, or a line of code would begin a cell; it says which.
    """
    return head(made_of) + "".join(f"\n{_MARKS[meaning(cell)]}\n{_body(cell, file)}\n" for cell in cells)


def cells_of(text: str) -> tuple[Cell, ...]:
    """Return the cells of a text form, numbered from 1; what stands before the first mark is a cell of code.

    Raises:
        Malformed: a cell of text holds a line of code, which would run and be shown as text.
    """
    rest = text.removeprefix(head(made_of(text))).removeprefix(HEADER)
    found: list[Cell] = []
    lines: list[str] = []
    here: tuple[str, str] | None = None
    for line in [*rest.split("\n"), "# %%"]:
        if not _MARK.match(line):
            lines.append(line)
            continue
        if here is not None or any(lines):
            found.append(_unwritten(here or ("code", ""), lines, len(found) + 1))
        lines, here = [], _meant(line)
    return tuple(found)


def meaning(cell: Cell) -> tuple[str, str]:
    """Return what of a cell's kind and tags the text form keeps."""
    tag = next((each for each in (GIVEN, PARAMETERS) if each in cell.tags), "")
    return (cell.kind, tag) if cell.kind == "code" else (cell.kind, "")


def first_lines(cells: Sequence[Cell], made_of: str = "") -> tuple[int, ...]:
    """Return for each cell the number of the line in the text form on which its own first line stands."""
    at, found = head(made_of).count("\n") + 1, []
    for cell in cells:
        found.append(at + 2)
        at += 2 + len(cell.source.split("\n"))
    return tuple(found)


def _body(cell: Cell, file: str) -> str:
    lines = cell.source.split("\n")
    for number, line in enumerate(lines, 1):
        _require_shown(line, cell.place(file, number))
        if cell.kind == "code" and _MARK.match(line):
            raise Malformed(
                "a line of code begins with # %%, which begins a cell in the text form",
                cell.place(file, number),
                "Write that comment, or that line of a text, in another way.",
            )
    return "\n".join(lines if cell.kind == "code" else map(_comment, lines))


_COOKIE = re.compile(r"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


def require_shown(content: bytes, where: str) -> None:
    """Check that a file of Python is what whoever reads it sees: UTF-8, and no character that is not shown or that
    turns the order of others around.

    Raises:
        Malformed: it is not; it says in which line.
    """
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError:
        raise Malformed("a file of Python is written in UTF-8", where, "Save it in UTF-8.") from None
    for number, line in enumerate(lines, 1):
        cookie = _COOKIE.match(line) if number <= 2 else None
        if cookie and cookie[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
            raise Malformed(
                f"the line says that the file is written in {cookie[1][:40]}",
                f"{where}:{number}",
                "Save it in UTF-8, and remove that line: Python would read another program than a person does.",
            )
        _require_shown(line, f"{where}:{number}")


def _require_shown(line: str, where: str) -> None:
    for character in line:
        if character.isprintable() or character == "\t" or character in _JOINERS:
            continue
        if unicodedata.category(character) != "Zs":
            raise Malformed(
                f"the line holds a character that is not shown (U+{ord(character):04X})",
                where,
                "Remove it, or write it as an escape in a text: whoever reviews the program must see all of it.",
            )


def _comment(line: str) -> str:
    escaped = "\\" + line if _ESCAPED.match(line) else line
    return f"# {escaped}" if escaped else "#"


def _meant(line: str) -> tuple[str, str]:
    """Return what a mark means; one that somebody else wrote (a title, other tags) begins a cell of its kind."""
    kinds = ("markdown", "raw")
    kind = next(
        (each for each in kinds if f"[{each}]" in line or (each == "markdown" and "[md]" in line)), "code"
    )
    return _MEANT.get(line.strip(), (kind, ""))


def _unwritten(here: tuple[str, str], lines: Iterable[str], number: int) -> Cell:
    kind, tag = here
    body = list(lines)
    if body and not body[-1]:
        body.pop()  # the empty line before the next mark
    if kind != "code":
        if hidden := next((line for line in body if line.strip() and not line.startswith("#")), ""):
            raise Malformed(
                f"a line of code stands in a cell of text: {hidden.strip()[:60]}",
                f"cell {number}",
                "Begin a cell of code before it: # %%",
            )
        body = [_uncommented(line) for line in body]
    return Cell(number, kind, "\n".join(body), (tag,) if tag else ())


def _uncommented(line: str) -> str:
    text = line.removeprefix("# ") if line.startswith("# ") else line.removeprefix("#")
    return text[1:] if text.startswith("\\") and _ESCAPED.match(text) else text
