"""From what a person types to a joint task: which form of joint computation it is, and what is missing for it.

| what is asked | who is named |
|---|---|
| figures over rows that are joined by persons | three servers; a helper or none; an inspector or none |
| the same of two owners alone, on ciphertexts | one of them as inspector, the other as collector |
| figures over one table in parts (UNION ALL) | three servers; an inspector or none |
| the same, added up as ciphertexts | a collector and an inspector |
| which persons are at all owners | a finder; a helper or none |
| scores of own rows by another's model (CROSS JOIN) | a finder |
| what another's register has of own persons (LEFT JOIN) | a finder |

How rows find each other follows: by the helper if one is named; not at all in one table, by a model, or in a register
where persons are looked up; else by Diffie-Hellman.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from plans.errors import Malformed
from plans.joint import JointTask
from plans.joint_rules import Matching, Opening

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_STACKED = re.compile(r"\bunion\s+all\b", re.IGNORECASE)
_SCORED = re.compile(r"\bcross\s+join\b", re.IGNORECASE)
_LOOKUP = re.compile(r"\bleft\s+(outer\s+)?join\b", re.IGNORECASE)


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
    opening = Opening.INSPECTED if named.inspector else Opening.OBLIVIOUS
    if named.finder:
        opening = finding_of(statement)
        _require_finding(named, opening, stacked=stacked)
    else:
        _require_adding(named, stacked=stacked)
    return JointTask(
        statement=statement,
        matching=_matching(named, unmatched=stacked or opening in (Opening.SCORES, Opening.RECORDS)),
        opening=opening,
        servers=named.servers,
        helper=named.helper,
        inspector=named.inspector,
        finder=named.finder,
        collector=named.collector,
    )


_OPTION = re.compile(r"--([a-z]+)(?:-([a-z]+))?")


@contextmanager
def in_python() -> Iterator[None]:
    """Have errors inside this block name arguments of a call where they name options of a command."""
    try:
        yield
    except Malformed as problem:
        what, where, step = (
            _OPTION.sub(_argument, text) for text in (problem.what, problem.where, problem.next_step)
        )
        raise Malformed(what, where, step) from None


def _argument(option: re.Match[str]) -> str:
    return "_".join(filter(None, option.groups()))


def is_stacked(statement: str) -> bool:
    """Return whether a statement is over one table in parts; what stands in quotes or comments does not count."""
    return _has(_STACKED, statement)


def finding_of(statement: str) -> Opening:
    """Return what a statement tells a finder of its own persons: their scores, what a register has of them, or which
    of them all others have, too.
    """
    if _has(_SCORED, statement):
        return Opening.SCORES
    return Opening.RECORDS if _has(_LOOKUP, statement) else Opening.INTERSECTION


def _has(words: re.Pattern[str], statement: str) -> bool:
    return words.search(_QUOTED.sub(" ", statement)) is not None


def _matching(named: Named, *, unmatched: bool) -> Matching:
    if unmatched:
        return Matching.NONE
    return Matching.HELPER if named.helper else Matching.DIFFIE_HELLMAN


def _require_finding(named: Named, opening: Opening, *, stacked: bool) -> None:
    """Check who is named beside a finder."""
    if named.servers or named.inspector or named.collector:
        raise Malformed(
            "what is told of single persons is told to the finder alone, and nothing is computed on shares",
            "--finder",
            "Leave --servers, --inspector and --collector out.",
        )
    if stacked:
        raise Malformed(
            "persons in common are found by joining registers, and this is one table in parts",
            "--finder",
            "Write: select person from a.x join b.y using (person).",
        )
    if named.helper and opening is not Opening.INTERSECTION:
        raise Malformed(
            "persons are scored and looked up between two owners, so nobody helps",
            "--helper",
            "Leave --helper out.",
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
        _require_collecting(named)
    elif not named.servers:
        raise Malformed(
            "nobody is named who computes",
            "--servers",
            "Name a collector and an inspector, or three servers."
            if stacked
            else "Name three servers; a finder, if the question is who is in all registers, what a model says of each "
            "person, or what a register has; of two owners alone, an inspector and a collector.",
        )


def _require_collecting(named: Named) -> None:
    if named.servers or named.helper or not named.inspector:
        raise Malformed(
            "beside a collector there are neither servers nor a helper, and an inspector has the key",
            "--collector",
            "Name an inspector, and leave --servers and --helper out.",
        )
