"""What the owner's reviewers do on the owner's own machine: look at held outputs, and sign what they think of them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keeper.api import DeskClient
from keys import api as keys
from plans.artifacts import ReleasedSet
from plans.errors import Malformed, StateConflict
from plans.inspection import Inspection
from plans.released import SUPPRESSED, Released
from plans.statements import Answer, Duty, Review, Signed, Type
from server.owners import desk_of

MOST_ROWS = 200
"""Rows of a table that are printed; the rest is in the folder (`--into`)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A held output as it is read: the content that was judged, the record of the rules, and what may be seen of
    other opinions.
    """

    summary: dict[str, Any]
    content: Released | ReleasedSet
    record: Inspection


def list_held(home: Path, domain: str) -> list[dict[str, Any]]:
    """Return what waits at a domain's desk, the oldest first."""
    return desk_of(home, domain)[1].held()


def show_held(home: Path, domain: str, plan: str, reviewer: str) -> Shown:
    """Return one held output for a reviewer of the domain.

    Raises:
        NotAllowed: the reader is no reviewer. NotFound: nothing of this plan is held.
    """
    found = desk_of(home, domain)[1].show_held(plan, reviewer)
    content = base64.b64decode(found.pop("shown"))
    record = Inspection.read(found.pop("record"))
    return Shown(found, _content(content), record)


def give_opinion(
    desk: DeskClient, domain: str, plan: str, opinion: tuple[Answer, str, bool], reviewer: keys.MemberKeys
) -> Signed:
    """Sign an opinion about exactly what the desk shows now, and hand it in: (answer, comment, consolidates).

    Raises:
        StateConflict: it comes out of turn, or is not open any more.
    """
    answer, comment, consolidates = opinion
    found = desk.show_held(plan, reviewer.member)
    others = tuple(each["digest"] for each in found["opinions"] if not each["others"])
    if consolidates and not others:
        raise StateConflict(
            "there are no opinions yet that you may see",
            plan,
            "Give your independent one first, without --consolidate.",
        )
    body = Review(
        plan=plan,
        verdict=found["review"]["verdict"],
        shown=found["review"]["shown"],
        answer=answer,
        comment=comment,
        others=others if consolidates else (),
    )
    draft = keys.Draft(Type.REVIEW, domain, Duty.REVIEWER, body, 0, int(time.time()))
    signed = keys.sign(draft, reviewer.signing)
    desk.submit(signed)
    return signed


def write_into(shown: Shown, folder: Path) -> tuple[str, ...]:
    """Write the outputs of a held set into an empty folder, so that a reviewer can open them; return their names.

    Raises:
        Malformed: it is a table, which is printed, or the folder is not empty.
    """
    if not isinstance(shown.content, ReleasedSet):
        raise Malformed("a statement's table is printed, not written", "--into", "Leave the option out.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if any(folder.iterdir()):
        raise Malformed("the folder is not empty", str(folder), "Name a new one.")
    for artifact in shown.content.artifacts:
        (folder / artifact.name).write_bytes(base64.b64decode(artifact.content))
    return tuple(artifact.name for artifact in shown.content.artifacts)


def lines_of(shown: Shown) -> Iterator[str]:
    """Yield a held output as text: who asked for what, the rules with their numbers, the content, the opinions."""
    about = shown.summary
    yield f"{about['plan']}  {about['standing']}, until {about['until']}{' OVERDUE' if about['overdue'] else ''}"
    yield f"asked by {about['member']}, project {about['project']}: {_plain(about['purpose'])}"
    for applied in shown.record.applied:
        numbers = ", ".join(f"{name} {value}" for name, value in sorted(applied.numbers.items()))
        yield f"  {applied.effect:9} {applied.rule:20} {applied.subject}  {numbers}"
    yield from _content_lines(shown.content)
    for opinion in about["opinions"]:
        kind = "together" if opinion["others"] else "alone"
        yield f"{opinion['reviewer']} ({kind}): {opinion['answer']}: {_plain(opinion['comment'])}"


def _plain(text: str) -> str:
    """Return text without what a terminal acts on (ATTACKS 44)."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _content(content: bytes) -> Released | ReleasedSet:
    try:
        return ReleasedSet.decode(content)
    except Malformed:
        return Released.decode(content)


def _content_lines(content: Released | ReleasedSet) -> Iterator[str]:
    if isinstance(content, ReleasedSet):
        for artifact in content.artifacts:
            yield f"  {artifact.form:8} {artifact.name}  {len(artifact.content) * 3 // 4:,} bytes"
        return
    yield " | ".join(column.name for column in content.columns)
    for row in content.rows[:MOST_ROWS]:
        yield " | ".join("‹suppressed›" if cell == SUPPRESSED else _plain(cell.v or "") for cell in row)
    if len(content.rows) > MOST_ROWS:
        yield f"… {len(content.rows) - MOST_ROWS:,} rows more"
