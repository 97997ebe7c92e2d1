"""The reference of the `darkroom` command, written from the commands themselves: `docs/commands-darkroom.md`.

A test compares the file with this text, so that it cannot fall behind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from darkroom.cli import EXIT_CODES, app


def text() -> str:
    """Return the whole page."""
    return page("darkroom", app)


def page(name: str, commands: typer.Typer) -> str:
    """Return the reference of a command line whose exit codes are the house's."""
    root = typer.main.get_command(commands)
    lines = [
        f"# The `{name}` command",
        "",
        str(root.help),
        "",
        "## Exit codes",
        "",
        "| code | meaning |",
        "|---|---|",
    ]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    for path, command in _commands(name, root):
        lines += ["", f"## `{path}`", "", " ".join(str(command.help).split()), "", *_parameters(command)]
    return "\n".join(lines).rstrip() + "\n"


def _commands(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(f"{prefix} {name}", command)
        else:
            yield f"{prefix} {name}", command


def _parameters(command: Any) -> list[str]:
    shown = [each for each in command.params if each.name != "help"]
    if not shown:
        return ["It takes nothing."]
    return ["| give | meaning | if left out |", "|---|---|---|", *(_row(each) for each in shown)]


def _row(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    names = [parameter.make_metavar_name()] if hasattr(parameter, "make_metavar_name") else []
    names = names or ([parameter.metavar or parameter.name.upper()] if is_argument else parameter.opts)
    names = names + list(parameter.secondary_opts)
    default = "required" if parameter.required else _default(parameter.default)
    return f"| `{' / '.join(names)}` | {parameter.help or ''} | {default} |"


def _default(value: Any) -> str:
    return {True: "yes", False: "no", None: "none", "": "none"}.get(value, str(value))


if __name__ == "__main__":
    Path(sys.argv[1], "commands-darkroom.md").write_text(text(), encoding="utf-8")
