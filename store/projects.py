"""Projects: who works together on what. Only a project's members may have a lab in it."""

from __future__ import annotations

from dataclasses import dataclass

from plans.errors import NotFound
from store import tables
from store.database import Session
from store.lines import Lines, values


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project: titles, purpose, its members and the profiles of labs that they may choose from, by name.

    `until` is its end in Unix seconds, 0 for none.
    """

    name: str
    title: str
    title_zh: str
    purpose: str
    members: tuple[str, ...]
    profiles: tuple[str, ...]
    until: int


_lines = Lines(tables.projects, ProjectRow, "name", "project")
add, get, find = _lines.add, _lines.get, _lines.find


def all(session: Session) -> tuple[ProjectRow, ...]:
    """Return every project, by name."""
    return _lines.rows(session, _lines.query().order_by(tables.projects.c.name))


def of_member(session: Session, member: str) -> tuple[ProjectRow, ...]:
    """Return the projects that name this member, by name; whether they still run is for others to ask."""
    return tuple(row for row in all(session) if member in row.members)


def change(session: Session, row: ProjectRow) -> None:
    """Replace what is known of a project.

    Raises:
        NotFound: there is none of this name.
    """
    if not _lines.change(session, values(row), tables.projects.c.name == row.name):
        raise NotFound("there is no such project", row.name, "See: darkroom-server project list")
