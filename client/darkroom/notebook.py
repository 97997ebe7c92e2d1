"""From a notebook to a job: chosen cells become a folder with one program, and the text that runs is the text that
people review.

    made = darkroom.job_from("study.ipynb", into="study")          # the cells that are tagged `job`
    darkroom.job_from("study.ipynb", into="study", cells=[3, 4])   # the third and the fourth from the top

Outputs, attachments and metadata stay where they are (`darkroom.notebook_file`). A cell tagged `parameters` becomes
arguments with its values. What the cells read and leave is written into `darkroom.toml`, for a person to complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from darkroom import notebook_calls, notebook_code, notebook_file, notebook_text
from darkroom.folder import FILE, is_gone
from darkroom.notebook_file import Cell
from darkroom.notebook_parameters import parameters, reading
from darkroom.notebook_settings import settings
from plans.errors import DarkroomError, Malformed, StateConflict
from plans.imports import missing

MAIN = "main.py"
TAG = "job"
_LONGEST_HEAD = 4096


class Catalogue(Protocol):
    """Whoever knows what images have and what tables hold: a connection to the portal."""

    def images(self) -> Sequence[Mapping[str, Any]]:
        """Return the images, with the modules that a program can import."""
        ...

    def datasets(self) -> Sequence[Mapping[str, Any]]:
        """Return the catalog's lines, each with `dataset` and `relation`."""
        ...

    def describe(self, dataset: str) -> Mapping[str, Any]:
        """Return a dataset with its `columns`, each with `name` and `kind`."""
        ...


@dataclass(frozen=True, slots=True)
class JobFolder:
    """What was made: the folder, the cells that it holds, what it reads and leaves, and what a person should know."""

    folder: Path
    cells: tuple[int, ...]
    arguments: tuple[str, ...]
    tables: tuple[str, ...]
    outputs: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.cells))
        lines = [f"{self.folder / MAIN} holds cell {numbers}.", *self.notes]
        return "\n".join([*lines, f"Complete {self.folder / FILE}, then: darkroom try {self.folder}"])


def connected() -> Catalogue:
    """Return the connection of the profile, or of the lab."""
    from darkroom.connection import connect

    return connect()


def job_from(  # noqa: PLR0913 - what is chosen, where it goes, and whom to ask
    notebook: Path | str,
    into: Path | str,
    *,
    cells: Collection[int] = (),
    tags: Collection[str] = (TAG,),
    beside: Collection[Path | str] = (),
    replace: bool = False,
    ask: Callable[[], Catalogue] | None = connected,
) -> JobFolder:
    """Make a folder of chosen cells of a saved notebook, and return what was made. Nothing is run, and nothing sent.

    Args:
        notebook: the notebook's file.
        into: the folder to make.
        cells: the places of the chosen cells, from 1 at the top; if left out, `tags` choose.
        tags: cells with one of these tags are chosen. Cells tagged `parameters` always come along.
        beside: files of Python that the cells import, which come along.
        replace: write the program anew into a folder that was made so; `darkroom.toml` stays as it is there.
        ask: gives a connection, by which imports are compared with the image and columns are proposed. Where nobody
            answers, a note says so; None asks nobody.

    Raises:
        NotFound, TooLarge, Malformed: the notebook or a cell cannot become a program; it says which line, and why.
        StateConflict: the folder is there already.
    """
    path, place = Path(notebook), Path(into)
    every = notebook_file.read(path)
    chosen = _chosen(every, cells, tags, path.name)
    program = _program(chosen, path.name)
    text = notebook_text.script(program, path.name, path.name)
    found = _required_calls(program, every, path.name)
    files = {Path(each).name: _content(Path(each)) for each in beside}
    columns, notes = _asked(ask, found, (text, files), program)
    given = tuple(each for cell in chosen for each in parameters(cell, path.name))
    said = settings(given, found, columns)
    notes += [
        f"{each} has a name that is no plain text: write it into {FILE} yourself." for each in found.unclear
    ]
    notes += _write(place, {MAIN: text.encode(), **files}, said, replace=replace)
    return JobFolder(
        place,
        tuple(cell.number for cell in chosen),
        tuple(each.argument for each in given),
        tuple(found.tables),
        tuple(found.outputs),
        tuple(notes),
    )


def is_made_of(folder: Path, notebook: Path) -> bool:
    """Whether the program in a folder was made of a notebook of this name."""
    main = folder / MAIN
    if main.is_symlink() or not main.is_file():
        return False
    with main.open(encoding="utf-8", errors="replace") as file:
        begins = file.read(_LONGEST_HEAD)
    return notebook_text.head(notebook.name) == notebook_text.head(notebook_text.made_of(begins))


def notebook_of(text: str) -> bytes:
    """Return the notebook that a text form is: its cells, without outputs, and without the cells that only read
    arguments.
    """
    cells = [cell for cell in notebook_text.cells_of(text) if notebook_text.GIVEN not in cell.tags]
    plain: list[dict[str, object]] = [
        {
            "cell_type": cell.kind,
            "id": f"cell-{number}",
            "metadata": {"tags": list(cell.tags)} if cell.tags else {},
            "source": cell.source,
            **({"outputs": [], "execution_count": None} if cell.kind == "code" else {}),
        }
        for number, cell in enumerate(cells, 1)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": plain}
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def _chosen(every: Sequence[Cell], cells: Collection[int], tags: Collection[str], file: str) -> list[Cell]:
    there = {cell.number for cell in every}
    if wrong := sorted(set(cells) - there):
        raise Malformed(
            f"there is no cell {wrong[0]}; the notebook has {len(every)}",
            file,
            "Cells count from 1 at the top.",
        )
    wanted = set(cells) or {cell.number for cell in every if set(tags) & set(cell.tags)}
    own = [cell for cell in every if cell.number in wanted]
    if not any(cell.kind == "code" for cell in own):
        what = "no cell of code is chosen" if cells else f"no cell of code has the tag {' or '.join(tags)}"
        raise Malformed(
            what, file, f"Tag the cells that are the job {TAG!r} (the cog at the right), and save."
        )
    return [
        cell
        for cell in every
        if cell.number in wanted or (cell.kind == "code" and notebook_text.PARAMETERS in cell.tags)
    ]


def _program(chosen: Sequence[Cell], file: str) -> list[Cell]:
    """Return the cells of the program: the chosen ones as a program knows them, and those that read arguments."""
    notebook_text.script(
        chosen, file
    )  # every character is one that is shown, before anything is parsed or cut
    code = iter(notebook_calls.without_choice([cell for cell in chosen if cell.kind == "code"], file))
    program = []
    for cell in chosen:
        program.append(next(code) if cell.kind == "code" else cell)
        if notebook_text.meaning(cell) == ("code", notebook_text.PARAMETERS):
            program.append(Cell(cell.number, "code", reading(parameters(cell, file)), (notebook_text.GIVEN,)))
    return program


def _required_calls(program: Sequence[Cell], every: Sequence[Cell], file: str) -> notebook_calls.Calls:
    """Return what the cells read and leave, once they are known to be a program that needs no other cell."""
    code = [cell for cell in program if cell.kind == "code"]
    notebook_code.require_program(code, file)
    found = notebook_calls.calls(code, file)
    _require_names(code, every, file)
    return found


def _require_names(code: Sequence[Cell], every: Sequence[Cell], file: str) -> None:
    """Check that the program defines each name that it uses; what defines it in the notebook is named."""
    trees = [notebook_code.parsed(cell, file) for cell in code]
    lacking = notebook_code.undefined(code, trees)
    if not lacking:
        return
    left = [
        cell for cell in every if cell.kind == "code" and cell.number not in {each.number for each in code}
    ]
    binds = {cell.number: notebook_code.bound(_without_magics(cell)) for cell in left}
    told, needed = [], set()
    for each in lacking:
        definers = [number for number, names in binds.items() if each.name in names]
        needed |= set(definers[-1:])
        told.append(f"{each.name} (cell {definers[-1]} defines it)" if definers else each.name)
    first = lacking[0]
    hints = [text for each in lacking if (text := notebook_code.hint(each.name))]
    if needed:
        hints.insert(
            0, f"Choose cell {', '.join(map(str, sorted(needed)))} too, or define them in a chosen cell."
        )
    raise Malformed(
        f"names are used that no chosen cell defines: {', '.join(told[:20])}",
        first.cell.place(file, first.line),
        " ".join(hints) or "Define them in a chosen cell, or correct their spelling.",
    )


def _without_magics(cell: Cell) -> str:
    """Return a cell's text with magics made empty, to see what the rest defines."""
    source = cell.source
    while (found := notebook_code.magic(Cell(cell.number, cell.kind, source))) is not None:
        lines = source.split("\n")
        lines[found[0] - 1] = ""
        source = "\n".join(lines)
    return source


def _asked(
    ask: Callable[[], Catalogue] | None,
    found: notebook_calls.Calls,
    program: tuple[str, Mapping[str, bytes]],
    cells: Sequence[Cell],
) -> tuple[dict[str, list[str]], list[str]]:
    """Compare imports with the image and look columns up; where nobody answers, a note says what was not looked at.

    Raises:
        Malformed: the image lacks a module.
    """
    unseen = "Imports were not compared with the image, and columns not looked up"
    if ask is None:
        return {}, [f"{unseen}: nobody was asked."]
    try:
        catalogue = ask()
        images = [image for image in catalogue.images() if image["stage"] == "python"]
        columns = _columns(catalogue, found)
    except DarkroomError as problem:
        return {}, [f"{unseen}: {problem.what}."]
    if images and is_gone(images[0]):
        return columns, [
            "Imports were not compared: the jobs' image is not on the platform now, so no job would run."
        ]
    if images:
        _require_modules(program, images, cells)
    return columns, []


def _require_modules(
    program: tuple[str, Mapping[str, bytes]], images: Sequence[Mapping[str, Any]], cells: Sequence[Cell]
) -> None:
    text, files = program
    image = images[0]
    for name, where in missing({MAIN: text.encode(), **files}, set(image["modules"])).items():
        having = sorted({str(each["name"]) for each in images if name in each["modules"]})
        advice = f"The image {' and '.join(having)} has it: darkroom images."
        if not having:
            advice = (
                f"If {name}.py is yours, take it along (beside); else do without, or ask the administrator."
            )
        what = f"the image {image['name']} has no module {name!r}"
        starts = notebook_text.first_lines(cells, notebook_text.made_of(text))
        raise Malformed(what, _in_notebook(where, cells, starts), advice)


def _in_notebook(where: str, cells: Sequence[Cell], starts: Sequence[int]) -> str:
    """Return a line of the program as a line of the cell that it came from."""
    file, _, number = where.rpartition(":")
    if file != MAIN:
        return where
    line = int(number)
    at = max(index for index, start in enumerate(starts) if start <= line)
    return f"cell {cells[at].number}, line {line - starts[at] + 1}"


def _columns(catalogue: Catalogue, found: notebook_calls.Calls) -> dict[str, list[str]]:
    """Return for each table those of its columns whose names the cells mention; identifiers never."""
    named = {str(each["relation"]): str(each["dataset"]) for each in catalogue.datasets()}
    columns: dict[str, list[str]] = {}
    for table in found.tables:
        if table in named:
            described = catalogue.describe(named[table])["columns"]
            usable = [str(each["name"]) for each in described if each["kind"] != "identifier"]
            columns[table] = [name for name in usable if name in found.words]
    return columns


def _content(path: Path) -> bytes:
    """Return a file of Python that comes along; its characters are those that cells may have, and what else is wrong
    with it is said when the folder is read.
    """
    if path.suffix != ".py" or path.name == MAIN:
        raise Malformed("only files of Python come along, and none of the program's own name", str(path))
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise Malformed(f"the file cannot be read ({problem.strerror})", str(path)) from None
    notebook_text.require_shown(content, path.name)
    return content


def _write(place: Path, files: Mapping[str, bytes], said: str, *, replace: bool) -> list[str]:
    """Write the folder; return a note where `darkroom.toml` was left as it is.

    Raises:
        StateConflict: the folder is there and is not to be replaced, or holds a program that was not made here.
    """
    try:
        place.mkdir(parents=True)
    except FileExistsError:
        if not place.is_dir() or not (replace or not any(place.iterdir())):
            advice = "Name a new one, or say that its program is to be replaced (--replace)."
            raise StateConflict("the folder is there already", str(place), advice) from None
    except OSError as problem:
        raise Malformed(f"the folder cannot be made ({problem.strerror})", str(place)) from None
    _require_ours(place / MAIN)
    try:
        for name, content in files.items():
            _put(place / name, content)
        if (place / FILE).exists():
            return [f"{FILE} was left as it is: compare its tables and outputs with the program."]
        _put(place / FILE, said.encode())
    except OSError as problem:
        raise Malformed(f"the folder cannot be written ({problem.strerror})", str(place)) from None
    return []


def _require_ours(main: Path) -> None:
    if not os.path.lexists(main):
        return
    head = notebook_text.HEADER.encode()
    if main.is_symlink() or not main.is_file() or not main.read_bytes().startswith(head):
        raise StateConflict("this program was not made of a notebook", str(main), "Name another folder.")


def _put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in place of whatever has its name."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with fresh.open("xb") as file:
        file.write(content)
    fresh.replace(path)
