"""A notebook as it lies on the disk, and of it the cells' text alone: nothing that a kernel wrote is kept.

Outputs, attachments and metadata can hold rows, pictures and names. They are not read into anything here, so nothing
that is made of these cells can carry them. Of a cell's metadata its tags are kept, to choose by.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plans.errors import Malformed, NotFound, TooLarge

LARGEST_NOTEBOOK = 64 * 2**20
"""Bytes of a notebook file, outputs and all; a lab opens no larger one either."""

MOST_CELLS = 10_000
FORMAT = 4
KINDS = ("code", "markdown", "raw")
_DAMAGED = (
    "Open it in JupyterLab; where that fails too, take an older copy of it (File, Revert to Checkpoint)."
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its place from the top (from 1), its kind (one of `KINDS`), its text and its tags."""

    number: int
    kind: str
    source: str
    tags: tuple[str, ...] = ()

    def place(self, file: str, line: int = 0) -> str:
        """Return where a line of the cell is, in words for a person; the line counts from 1, 0 means all of it."""
        return f"{file}, cell {self.number}" + (f", line {line}" if line else "")


def read(path: Path) -> tuple[Cell, ...]:
    """Return a notebook's cells.

    Raises:
        NotFound: there is no such file.
        TooLarge: it has more bytes than `LARGEST_NOTEBOOK`, or too many cells.
        Malformed: it is no notebook of Python in the format of this time; it says what it is.
    """
    content = _parsed(_bytes(path), str(path))
    _require_format(content, str(path))
    _require_python(content.get("metadata"), str(path))
    cells = content.get("cells")
    if not isinstance(cells, list):
        raise Malformed("the notebook holds no list of cells", str(path), _DAMAGED)
    if len(cells) > MOST_CELLS:
        raise TooLarge(f"the notebook has more than {MOST_CELLS:,} cells", str(path), "Split it.")
    return tuple(_cell(number, each, path.name) for number, each in enumerate(cells, 1))


def _bytes(path: Path) -> bytes:
    """Read a plain file within the bound. It is opened so that a pipe of that name does not make us wait."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            kind = os.fstat(file.fileno())
            if not stat.S_ISREG(kind.st_mode):
                raise Malformed("this is no file", str(path), "Name a notebook, such as study.ipynb.")
            content = file.read(LARGEST_NOTEBOOK + 1) if kind.st_size <= LARGEST_NOTEBOOK else None
    except OSError as problem:
        if problem.errno in (errno.ENOENT, errno.ENOTDIR):
            raise NotFound("there is no such notebook", str(path), "Save it first, and name it.") from None
        raise Malformed(f"the notebook cannot be read ({problem.strerror})", str(path)) from None
    if content is None or len(content) > LARGEST_NOTEBOOK:
        raise TooLarge(
            f"the notebook has more than {LARGEST_NOTEBOOK // 2**20} MiB",
            str(path),
            "Clear its outputs (Edit, Clear Outputs of All Cells), save it, and try again.",
        )
    return content


def _parsed(content: bytes, where: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):  # of JSON, of its encoding, of a number or a nesting without end
        raise Malformed("the notebook is damaged: it is no JSON", where, _DAMAGED) from None
    if not isinstance(found, dict):
        raise Malformed("this is JSON, but no notebook", where, "Name a notebook, such as study.ipynb.")
    return found


def _require_format(content: Mapping[str, Any], where: str) -> None:
    number = content.get("nbformat")
    if type(number) is not int:
        raise Malformed("this is JSON, but no notebook", where, "Name a notebook, such as study.ipynb.")
    if number != FORMAT:
        raise Malformed(
            f"the notebook has format {number}, and {FORMAT} is read here",
            where,
            "Open it in JupyterLab and save it: that writes it in the format of this time.",
        )


def _require_python(metadata: object, where: str) -> None:
    """Check that no other language is named; a notebook that names none is taken for Python."""
    said = metadata if isinstance(metadata, dict) else {}
    for part, name in (("kernelspec", "language"), ("language_info", "name")):
        section = said.get(part)
        language = section.get(name) if isinstance(section, dict) else None
        if language is not None and (not isinstance(language, str) or language.lower() != "python"):
            raise Malformed(
                f"the notebook is written in {str(language)[:40]!r}, and a job runs Python",
                where,
                "Choose a Python kernel, or write the program as a folder: docs/jobs.md.",
            )


def _cell(number: int, said: object, file: str) -> Cell:
    where = f"{file}, cell {number}"
    if not isinstance(said, dict) or said.get("cell_type") not in KINDS:
        raise Malformed("a cell of the notebook is damaged", where, _DAMAGED)
    source = said.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Malformed("a cell of the notebook has no text", where, _DAMAGED)
    metadata = said.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    known = tuple(each for each in tags if isinstance(each, str)) if isinstance(tags, list) else ()
    return Cell(number, said["cell_type"], source.replace("\r\n", "\n"), known)
