"""`darkroom-server project …`: projects, whose members may have labs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from server.options import DEFAULT_HOME, AsJson, Home

app = typer.Typer(
    help="Projects: whose members may have labs, what for, and until when.", no_args_is_help=True
)

Project = Annotated[str, typer.Argument(metavar="PROJECT", help="Name in small letters, such as housing.")]
Until = Annotated[str | None, typer.Option(help="Last day, YYYY-MM-DD, or never.")]


@app.command("add")
def add(  # noqa: PLR0913 - a command has as many options as it has
    project: Project,
    title: Annotated[str, typer.Option(help="Name in English.")],
    title_zh: Annotated[str, typer.Option(help="Name in Chinese.")],
    purpose: Annotated[
        str, typer.Option(help="What it is for, in a sentence; labs and applications say it.")
    ],
    member: Annotated[
        list[str] | None, typer.Option(help="A member, such as li@nm/tax; may be repeated.")
    ] = None,
    profile: Annotated[list[str] | None, typer.Option(help="A profile of labs; may be repeated.")] = None,
    until: Until = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Make a project. Without --profile it has all profiles of the settings."""
    from server import projects

    profiles = tuple(profile) if profile else projects.every_profile(home)
    changes = projects.Changes(title, title_zh, purpose, profiles, until, tuple(member or ()))
    _told(home, projects.add(home, project, changes).name)


@app.command("list")
def list_projects(home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """List projects with their members, profiles and last day."""
    from server import projects

    found = projects.shown(projects.listed(home))
    if as_json:
        _out(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for each in found:
        members, profiles = (", ".join(map(str, each[name])) for name in ("members", "profiles"))
        _out(f"{each['project']}  {each['title']}  until {each['until']}  {profiles}  {members or 'nobody'}")
    if not found:
        _say("There is none yet: darkroom-server project add …")


@app.command("change")
def change(  # noqa: PLR0913 - a command has as many options as it has
    project: Project,
    add: Annotated[list[str] | None, typer.Option(help="A member who comes; may be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A member who goes; may be repeated.")] = None,
    title: Annotated[str | None, typer.Option(help="Name in English.")] = None,
    title_zh: Annotated[str | None, typer.Option(help="Name in Chinese.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What it is for, in a sentence.")] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="A profile of labs, in place of those so far; may be repeated.")
    ] = None,
    until: Until = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Change a project. Whoever goes has a lab no longer; the files stay."""
    from server import projects

    profiles = tuple(profile) if profile else None
    people = tuple(add or ()), tuple(remove or ())
    _told(
        home,
        projects.change(
            home, project, projects.Changes(title, title_zh, purpose, profiles, until, *people)
        ).name,
    )


def _told(home: Path, name: str) -> None:
    from server import projects

    row = next(each for each in projects.listed(home) if each.name == name)
    _out(f"{row.name}: {len(row.members)} member(s), until {projects.last_day(row.until)}")
    for warning in projects.warnings(home, row):
        _say(warning)


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
