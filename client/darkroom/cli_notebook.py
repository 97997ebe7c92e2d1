"""Commands between notebooks and jobs: chosen cells become a folder, and its text becomes a notebook again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from darkroom import notebook, terminal
from darkroom.cli_access import FormatOption, room
from darkroom.signing import Text
from darkroom.terminal import Format
from plans.errors import Malformed, StateConflict


def add_to(app: typer.Typer) -> None:
    """Add these commands, below `notebook`."""
    group = typer.Typer(
        cls=terminal.SpeakingGroup,
        help="From a notebook to a job, and back.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command()(job)
    group.command()(back)
    app.add_typer(group, name="notebook")


def job(  # noqa: PLR0913 - each is an option that a person may type
    file: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="A saved notebook, such as study.ipynb.")],
    into: Annotated[Path, typer.Option(help="The folder to make.")],
    tag: Annotated[list[str] | None, typer.Option(help="Cells with this tag are the job; else: job.")] = None,
    cell: Annotated[
        list[int] | None, typer.Option(help="A cell's place, from 1 at the top; several in turn.")
    ] = None,
    beside: Annotated[
        list[Path] | None, typer.Option("--with", help="A file of Python that comes along.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write the program anew; darkroom.toml stays as it is.")
    ] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Make a job's folder of chosen cells; outputs and metadata stay where they are, and nothing is run or sent."""
    made = notebook.job_from(
        file,
        into,
        cells=cell or (),
        tags=tag or (notebook.TAG,),
        beside=beside or (),
        replace=replace,
        ask=room,
    )
    plain = {
        "folder": str(made.folder),
        "cells": list(made.cells),
        "arguments": list(made.arguments),
        "tables": list(made.tables),
        "outputs": list(made.outputs),
        "notes": list(made.notes),
    }
    terminal.write(
        plain, form, lambda: terminal.facts([Text(name, _told(value)) for name, value in plain.items()])
    )
    terminal.say(f"Complete {into}/darkroom.toml, then: darkroom try {into}")


def back(
    text: Annotated[Path, typer.Argument(help="A program that was made of cells, such as study/main.py.")],
    into: Annotated[Path, typer.Option(help="The notebook to write.")],
) -> None:
    """Make a notebook of a program's text, so that it can be worked on in JupyterLab."""
    try:
        content = notebook.notebook_of(text.read_text(encoding="utf-8"))
        with into.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise StateConflict("there is such a file already", str(into), "Name a new one.") from None
    except UnicodeDecodeError:
        raise Malformed("the program is not UTF-8 text", str(text)) from None
    except OSError as problem:
        raise Malformed(f"that does not work ({problem.strerror})", str(problem.filename)) from None
    terminal.say(f"Wrote {into}.")


def _told(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
