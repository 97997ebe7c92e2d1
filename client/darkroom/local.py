"""Where this client runs, and what holds when a call does not say: project, purpose, and on which data.

In a lab the environment says it: the platform's address and socket, the token, the member, the project and its purpose.
Anywhere else `darkroom login` and the arguments do. `use` decides for the rest of this session.

**Which data a statement is about** is said by `on`, the only difference between look-alike and real. Outside a lab a
call without it is about the real data, as it always was: scripts go on to mean what they meant. In a lab there is no
such habit and both guesses would harm: a trial that spends a grant's uses, or a made-up figure that is believed. So
there it is said, in the call or once by `use(on=…)`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import urlencode

from plans import names
from plans.errors import Malformed


class On(StrEnum):
    """On which data something runs."""

    TWIN = "twin"
    REAL = "real"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What `use` has chosen for this session; an empty text leaves it to the environment."""

    on: str = ""
    project: str = ""
    purpose: str = ""


_chosen: list[Chosen] = [Chosen()]


def choose(on: str | None, project: str | None, purpose: str | None) -> Chosen:
    """Choose for this session; None leaves a choice as it is, an empty text takes it back.

    Raises:
        Malformed: `on` is neither `twin` nor `real`, the project's name is none, or the purpose has several lines.
    """
    if on:
        _known(on)
    _require_said(project or "", purpose or "")
    given = {"on": on, "project": project, "purpose": purpose}
    changes = {name: value for name, value in given.items() if value is not None}
    _chosen[0] = replace(_chosen[0], **changes)
    return _chosen[0]


def in_lab() -> bool:
    """Return whether this is a lab: a member's box without unreleased data."""
    return bool(os.environ.get("DARKROOM_LAB"))


def stands_in() -> bool:
    """Return whether look-alike tables stand in for a program's own: in a lab, and where `use` chose them."""
    return in_lab() or _chosen[0].on == On.TWIN


def on_which(given: str = "") -> On:
    """Return on which data to run: what the call says, what `use` chose, and outside a lab the real data.

    Raises:
        Malformed: it is neither `twin` nor `real`, or in a lab nobody has said it.
    """
    said = given or _chosen[0].on
    if said:
        return _known(said)
    if in_lab():
        raise Malformed(
            "in a lab you say on which data",
            "on",
            'Give on="twin" (look-alike, free) or on="real"; once for all: darkroom.use(on="twin").',
        )
    return On.REAL


def project_and_purpose(project: str = "", purpose: str = "") -> tuple[str, str]:
    """Return for which project and purpose something is asked: as given, as `use` chose, or the lab's.

    Raises:
        Malformed: nobody has said one of them, the project's name is none, or the purpose has several lines.
    """
    found = {
        "project": project or _chosen[0].project or os.environ.get("DARKROOM_PROJECT", ""),
        "purpose": purpose or _chosen[0].purpose or os.environ.get("DARKROOM_PURPOSE", ""),
    }
    for name, value in found.items():
        if not value:
            raise Malformed(
                "a job is for a project and a purpose, as its grant says",
                name,
                f"Give {name}=…, choose it once by darkroom.use({name}=…), or write it into darkroom.toml.",
            )
    _require_said(**found)
    return found["project"], found["purpose"]


def _require_said(project: str, purpose: str) -> None:
    """Check what was said: people read it in grants and logs, where a second line could pass for one of theirs."""
    if project and not names.is_a("project", project):
        raise Malformed(
            f"{str(project)[:60]!r} is no name of a project",
            "project",
            "It has small letters, digits and hyphens, such as housing-2027; your grant names it.",
        )
    if purpose and not (isinstance(purpose, str) and purpose.isprintable()):
        raise Malformed(
            "a purpose is one line, without control characters",
            "purpose",
            "Write it in one sentence, as your grant does.",
        )


def portal_page(path: str, **query: str) -> str:
    """Return the address of a page of the portal, for the member's own browser; empty where none is known.

    A lab's token can neither apply nor enrol keys, so these pages, under the member's own session, do it.
    """
    origin = os.environ.get("DARKROOM_PORTAL_PAGE", "").rstrip("/")
    if not origin:
        return ""
    filled = urlencode({name: value for name, value in query.items() if value})
    return f"{origin}{path}?{filled}" if filled else f"{origin}{path}"


def _known(on: str) -> On:
    if on not in list(On):
        raise Malformed("data are look-alike or real", f"on={on!r}", 'Give on="twin" or on="real".')
    return On(on)
