"""From what a person types to a joint task: which form of joint computation it is, and what is missing for it.

| what is asked | who is named |
|---|---|
| figures over rows that are joined by persons | three servers; a helper or none; an inspector or none |
| figures over one table in parts (UNION ALL) | three servers; an inspector or none |
| the same, added up as ciphertexts | a collector and an inspector |
| which persons are at all owners | a finder; a helper or none |

How rows find each other follows: by the helper if one is named, not at all in one table, else by Diffie-Hellman.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from plans.errors import Malformed
from plans.joint import JointTask
from plans.joint_rules import Matching, Opening

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_STACKED = re.compile(r"\bunion\s+all\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """The domains that a person names; an empty text for nobody."""

    servers: tuple[str, ...] = ()
    helper: str = ""
    inspector: str = ""
    finder: str = ""
    collector: str = ""


def task_of(statement: str, named: Named) -> JointTask:
    """Return the task that a statement and these parties make.

    Raises:
        Malformed: parties are missing, or some have no part in it; the sentence says which.
    """
    stacked = is_stacked(statement)
    (_require_finding if named.finder else _require_adding)(named, stacked=stacked)
    opening = Opening.INSPECTED if named.inspector else Opening.OBLIVIOUS
    return JointTask(
        statement=statement,
        matching=_matching(named, stacked=stacked),
        opening=Opening.INTERSECTION if named.finder else opening,
        servers=named.servers,
        helper=named.helper,
        inspector=named.inspector,
        finder=named.finder,
        collector=named.collector,
    )


def is_stacked(statement: str) -> bool:
    """Return whether a statement is over one table in parts; what stands in quotes or comments does not count."""
    return _STACKED.search(_QUOTED.sub(" ", statement)) is not None


def _matching(named: Named, *, stacked: bool) -> Matching:
    if stacked:
        return Matching.NONE
    return Matching.HELPER if named.helper else Matching.DIFFIE_HELLMAN


def _require_finding(named: Named, *, stacked: bool) -> None:
    """Check who is named beside a finder."""
    if named.servers or named.inspector or named.collector:
        raise Malformed(
            "persons in common are told to the finder alone, and nothing is computed on shares",
            "--finder",
            "Leave --servers, --inspector and --collector out.",
        )
    if stacked:
        raise Malformed(
            "persons in common are found by joining registers, and this is one table in parts",
            "--finder",
            "Write: select person from a.x join b.y using (person).",
        )


def _require_adding(named: Named, *, stacked: bool) -> None:
    """Check who is named where figures are asked for."""
    if named.helper and stacked:
        raise Malformed(
            "rows of one table in parts are not matched, so nobody helps",
            "--helper",
            "Leave --helper out.",
        )
    if named.collector:
        _require_collecting(named, stacked=stacked)
    elif not named.servers:
        raise Malformed(
            "nobody is named who computes",
            "--servers",
            "Name a collector and an inspector, or three servers."
            if stacked
            else "Name three servers; a finder, if the question is who is in all registers.",
        )


def _require_collecting(named: Named, *, stacked: bool) -> None:
    if not stacked:
        raise Malformed(
            "a collector adds up one table in parts (UNION ALL), and this statement joins registers",
            "--collector",
            "Name three servers instead.",
        )
    if named.servers or not named.inspector:
        raise Malformed(
            "beside a collector there are no servers, and an inspector has the key",
            "--collector",
            "Name an inspector, and leave --servers out.",
        )
