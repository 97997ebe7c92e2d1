"""What the command line writes: results on standard output, narration on standard error, and the one place
that asks.

Text from the portal is shown with control and direction characters escaped, and never as markup: a purpose or
a column's name cannot move the cursor, colour a line or reverse its order.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text as Plain

from darkroom.signing import Text, visible
from plans.errors import DarkroomError, Malformed, NotSignedIn

WIDE = 240

_SET_BEFORE = "Value error, "
"""What pydantic, by which Typer reads values, sets before a sentence that is whole without it."""


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    JSON = "json"


class SpeakingGroup(typer.core.TyperGroup):
    """A group of commands that ends with a sentence and its exit code where a rule or the world says no, or a value of
    an option is none.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error of the house becomes one line on standard error."""
        try:
            return super().invoke(ctx)
        except DarkroomError as problem:
            problem.next_step = getattr(getattr(problem, "lesson", None), "command", "") or problem.next_step
            say(f"darkroom: {problem}")
            raise typer.Exit(problem.exit_code) from None
        except typer.BadParameter as problem:
            problem.message = problem.message.removeprefix(_SET_BEFORE)
            raise


def say(text: str) -> None:
    """Tell the person something, beside the result."""
    typer.echo(visible(text), err=True)


def write(value: Any, form: Format, table: Callable[[], None]) -> None:
    """Write a result: as JSON, or as the table that `table` draws."""
    if form is Format.JSON:
        typer.echo(json.dumps(value, ensure_ascii=False, indent=1))
    else:
        table()


def rows(heads: Sequence[str], lines: Sequence[Sequence[object]], *, to_person: bool = False) -> None:
    """Draw a table; what a person is asked about goes to standard error, beside the question."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(_cell(head), overflow="fold")
    for line in lines:
        table.add_row(*(_cell(value) for value in line))
    _console(stderr=to_person).print(table)


def lines(text: str) -> None:
    """Write a text of several lines, each shown as it is and none as a command to the terminal."""
    for line in text.splitlines():
        typer.echo(visible(line.expandtabs()))


def facts(texts: Sequence[Text], *, to_person: bool = False) -> None:
    """Draw labelled lines; those that a person is asked about go to standard error, beside the question."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for text in texts:
        table.add_row(_cell(text.label), _cell(text.value))
    _console(stderr=to_person).print(table)


def confirm(question: str, *, yes: bool, instead: str = "Add --yes once you have read it.") -> None:
    """Ask; anything but a typed yes ends the command. Without a terminal only `yes` will do; `instead` says how.

    Raises:
        Malformed: there is nobody to ask, or the answer was no.
    """
    if yes:
        return
    if not _answers_can_be_typed():
        raise Malformed("nobody is there to say yes", "standard input", instead)
    if not typer.confirm(question, default=False, err=True):
        raise Malformed("you did not say yes, so nothing was done", "", "Run it again when you are sure.")


def password(*, from_stdin: bool) -> str:
    """Return the password from standard input, `DARKROOM_PASSWORD`, or a prompt.

    Raises:
        NotSignedIn: there is none.
    """
    if from_stdin:
        given = sys.stdin.readline().rstrip("\n")
    else:
        given = os.environ.get("DARKROOM_PASSWORD") or _hidden("Password: ")
    if not given:
        raise NotSignedIn(
            "no password was given", "", "Type it, set DARKROOM_PASSWORD, or use --password-stdin."
        )
    return given


def passphrase() -> str:
    """Return the key file's passphrase from `DARKROOM_PASSPHRASE`, or a prompt."""
    return os.environ.get("DARKROOM_PASSPHRASE") or _hidden("Passphrase of your key file: ")


def old_and_new_password(*, from_stdin: bool) -> tuple[str, str]:
    """Return the password so far and the new one, typed twice; or two lines of standard input.

    Raises:
        Malformed: the two new ones differ.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\n"), sys.stdin.readline().rstrip("\n")
    old, new = _hidden("Your password so far: "), _hidden("A new one: ")
    if new != _hidden("The same again: "):
        raise Malformed("the two new passwords differ", "password", "Run it again.")
    return old, new


def new_passphrase() -> str:
    """Return a passphrase that was typed twice, or `DARKROOM_PASSPHRASE`.

    Raises:
        Malformed: the two differ.
    """
    given = os.environ.get("DARKROOM_PASSPHRASE")
    if given:
        return given
    first = _hidden("A passphrase for your key file: ")
    if first != _hidden("The same again: "):
        raise Malformed("the two passphrases differ", "passphrase", "Run it again.")
    return first


def _hidden(prompt: str) -> str:
    if not _answers_can_be_typed():
        raise NotSignedIn(
            "nobody is there to type a secret",
            prompt.strip(": "),
            "Set DARKROOM_PASSWORD or DARKROOM_PASSPHRASE.",
        )
    return getpass.getpass(prompt)


def _answers_can_be_typed() -> bool:
    """Return whether somebody can answer. What a notebook's kernel starts (`!darkroom …`) has a terminal of its own,
    at which nobody sits; Jupyter sets this variable in kernels alone.
    """
    return sys.stdin.isatty() and "JPY_PARENT_PID" not in os.environ


def _cell(value: object) -> Plain:
    return Plain(visible(", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)))


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDE, highlight=False, markup=False)
