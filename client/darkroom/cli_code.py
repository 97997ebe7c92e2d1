"""The command with which an approver reads code before it meets data: what changed, and what came of its trial."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from darkroom import terminal
from darkroom.cli_access import FormatOption, room
from darkroom.signing import Text
from darkroom.tasks import Reviewed
from darkroom.terminal import Format
from plans.errors import StateConflict
from plans.trial import Folder


def add_to(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(code)


def code(
    number: Annotated[str, typer.Argument(metavar="ID", help="A job whose plan waits for you.")],
    into: Annotated[Path | None, typer.Option(help="A new folder to write the files into.")] = None,
    whole: Annotated[bool, typer.Option(help="Show all of it, not only what changed.")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show the code of a plan that waits for you: against the last one that was approved, and how its trial went."""
    found = room().code(number)

    def draw() -> None:
        compared = (
            "the whole of it"
            if whole or found.before is None
            else "what changed since " + found.before.digest
        )
        terminal.facts([Text("folder", found.folder.digest), Text("starts", found.folder.main)])
        terminal.facts([Text("shown", compared), Text("trial", _told(found))])
        for line in changes(None if whole else found.before, found.folder):
            terminal.lines(line)

    terminal.write(found.plain(), form, draw)
    if into is not None:
        _write(found.folder, into)
        terminal.say(f"Written into {into}. Nothing of it was run.")


def changes(before: Folder | None, now: Folder) -> Iterator[str]:
    """Yield a unified diff from one folder to another, file by file; files that are no text are named only."""
    old, new = before.content() if before else {}, now.content()
    for path in sorted(set(old) | set(new)):
        if old.get(path) == new.get(path):
            continue
        lines = [_lines(side.get(path)) for side in (old, new)]
        if None in lines:
            yield f"binary file {path}: {len(old.get(path, b'')):,} bytes before, {len(new.get(path, b'')):,} now"
            continue
        yield from difflib.unified_diff(
            lines[0] or [], lines[1] or [], f"before/{path}", f"now/{path}", lineterm=""
        )


def _lines(content: bytes | None) -> list[str] | None:
    try:
        return (content or b"").decode().splitlines()
    except UnicodeDecodeError:
        return None


def _told(found: Reviewed) -> str:
    if found.trial is None:
        return "still runs; ask again"
    place = found.trial.place
    return f"{found.trial.code or 'ended well'}{f' at {place.file}:{place.line}' if place else ''}"


def _write(folder: Folder, into: Path) -> None:
    try:
        into.mkdir(parents=True)
    except FileExistsError:
        raise StateConflict("the folder is there already", str(into), "Name a new one.") from None
    for path, content in folder.content().items():
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        (into / path).write_bytes(content)
