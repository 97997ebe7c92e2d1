"""`darkroom-server labs …`: members' homes in their labs, on the machine on which labs run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from server.options import DEFAULT_HOME, AsJson, Home

if TYPE_CHECKING:
    from server.lab_homes import MembersHome

app = typer.Typer(help="Members' homes in their labs: list them, and erase one.", no_args_is_help=True)


@app.command("homes")
def homes(home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """List homes: whose, how large, whether a lab has it now. Looks at every file, and may take long."""
    from server import lab_homes

    found = lab_homes.listed(home)
    if as_json:
        _out(json.dumps([each.plain() for each in found], ensure_ascii=False, indent=1))
        return
    for line in lines(found):
        _out(line)
    if not found:
        sys.stderr.write("There is none yet: a member's first lab makes one.\n")


@app.command("erase-home")
def erase_home(
    whose: Annotated[
        str, typer.Argument(metavar="WHOSE", help="A member, or a home's name as the list says it.")
    ],
    home: Home = DEFAULT_HOME,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Erase a home with all files in it, for good; not while a lab has it. The next lab begins with an empty one."""
    from server import lab_homes

    if not yes:
        typer.confirm(f"Erase the home of {whose} for ever, with every file in it?", abort=True, err=True)
    lab_homes.erase(home, whose)
    sys.stderr.write("Erased. What was copied from it, to backups for one, is still there.\n")


def lines(found: Sequence[MembersHome]) -> Iterator[str]:
    """Yield homes as text."""
    for each in found:
        size = f"{each.mb:,} MiB, {each.files:,} files" if each.counted else "not counted"
        whose = each.member or "of nobody who has an account"
        projects = ", ".join(each.projects) or "in no project"
        yield f"{each.name}  {whose}  {size}  {projects}{'  in a lab now' if each.in_use else ''}"


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")
