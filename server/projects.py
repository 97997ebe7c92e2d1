"""Projects, as an operator makes and changes them: who may have a lab, what for, with which profiles and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from plans import names
from plans.errors import Malformed, NotFound
from plans.labs import LONGEST_PURPOSE
from portal.api import ASKERS
from server.enrolment import open_store
from server.events import OPERATOR, record
from server.site import open_site
from store import api as store

LONGEST_TITLE = 80


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed; what is none stays. `add` and `remove` are members."""

    title: str | None = None
    title_zh: str | None = None
    purpose: str | None = None
    profiles: tuple[str, ...] | None = None
    until: str | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def add(home: Path, name: str, changes: Changes) -> store.ProjectRow:
    """Make a project.

    Raises:
        Malformed: a name, a title, the purpose, a profile or the day is not as it must be.
        NotFound: there is no such member.
        StateConflict: there is a project of this name.
    """
    blank = store.ProjectRow(names.require("project", name, "project"), "", "", "", (), (), 0)
    return _keep(home, blank, changes, "project.added")


def change(home: Path, name: str, changes: Changes) -> store.ProjectRow:
    """Change a project. Whoever is taken off it, or whose project ends, has a lab no longer; files stay.

    Raises:
        NotFound: there is no such project or member.
        Malformed: as `add`; or a member who is to be removed is not in it.
    """
    with open_store(open_site(home)).reading() as session:
        row = store.projects.get(session, name)
    return _keep(home, row, changes, "project.changed")


def every_profile(home: Path) -> tuple[str, ...]:
    """Return the profiles of the settings."""
    return tuple(store.load_settings(open_site(home).settings).labs.profiles)


def listed(home: Path) -> tuple[store.ProjectRow, ...]:
    """Return every project."""
    with open_store(open_site(home)).reading() as session:
        return store.projects.all(session)


def warnings(home: Path, row: store.ProjectRow) -> tuple[str, ...]:
    """Return why some of its members could not have a lab all the same, a sentence each."""
    with open_store(open_site(home)).reading() as session:
        found = [store.members.find(session, name) for name in row.members]
    return tuple(
        f"{member.name} is neither {' nor '.join(sorted(ASKERS))}, so labs stay closed to them."
        for member in found
        if member and not ASKERS & set(member.roles)
    )


def end_of(day: str) -> int:
    """Return the moment (Unix seconds) at which the day `YYYY-MM-DD` has ended, in UTC; 0 for `never`.

    Raises:
        Malformed: it is no day.
    """
    if day == "never":
        return 0
    try:
        following = date.fromisoformat(day) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise Malformed("a day is written YYYY-MM-DD, or never", "until") from None
    return int(datetime(following.year, following.month, following.day, tzinfo=UTC).timestamp())


def last_day(until: int) -> str:
    """Return the day that `end_of` was asked for, or `never`."""
    return datetime.fromtimestamp(until - 1, UTC).date().isoformat() if until else "never"


def _keep(home: Path, row: store.ProjectRow, changes: Changes, action: str) -> store.ProjectRow:
    site = open_site(home)
    profiles = store.load_settings(site.settings).labs.profiles
    changed = _changed(row, changes)
    _require(changed, profiles)
    with open_store(site).session() as session:
        for name in changes.add:
            if store.members.find(session, name) is None:
                raise NotFound(
                    "there is no such member", name, "Make the account: darkroom-server member add"
                )
        (store.projects.add if action == "project.added" else store.projects.change)(session, changed)
        details = {
            "members": len(changed.members),
            "added": " ".join(changes.add),
            "removed": " ".join(changes.remove),
        }
        record(site, action, changed.name, OPERATOR, until=changed.until, **details)
    return changed


def _changed(row: store.ProjectRow, changes: Changes) -> store.ProjectRow:
    missing = [name for name in changes.remove if name not in row.members]
    if missing:
        raise Malformed(f"{missing[0]} is not in the project", row.name)
    kept = tuple(name for name in row.members if name not in changes.remove)
    return replace(
        row,
        title=_or(changes.title, row.title),
        title_zh=_or(changes.title_zh, row.title_zh),
        purpose=_or(changes.purpose, row.purpose),
        profiles=row.profiles if changes.profiles is None else tuple(dict.fromkeys(changes.profiles)),
        until=row.until if changes.until is None else end_of(changes.until),
        members=tuple(dict.fromkeys((*kept, *changes.add))),
    )


def _require(row: store.ProjectRow, profiles: Mapping[str, store.Profile]) -> None:
    for what in ("title", "title_zh"):
        _require_line(getattr(row, what), LONGEST_TITLE, what.replace("_", "-"))
    _require_line(row.purpose, LONGEST_PURPOSE, "purpose")
    unknown = [name for name in row.profiles if name not in profiles]
    if unknown or not row.profiles:
        known = ", ".join(profiles)
        what = f"there is no profile {unknown[0]!r:.80}" if unknown else "a project has at least one profile"
        raise Malformed(what, "profile", f"The settings have these: {known}.")


def _require_line(text: str, most: int, where: str) -> None:
    if not 1 <= len(text) <= most or not text.isprintable() or text != text.strip():
        raise Malformed(f"this is one line of at most {most} printable characters", where)


def _or(said: str | None, present: str) -> str:
    return present if said is None else said


def shown(rows: Sequence[store.ProjectRow]) -> list[dict[str, object]]:
    """Return projects as plain values."""
    return [
        {
            "project": row.name,
            "title": row.title,
            "title_zh": row.title_zh,
            "purpose": row.purpose,
            "members": list(row.members),
            "profiles": list(row.profiles),
            "until": last_day(row.until),
        }
        for row in rows
    ]
