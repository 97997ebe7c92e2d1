"""What is written down: events, as lines whose exact bytes are hashed.

A line is the canonical JSON of an `Event`. Its members sort so that salt, sequence and time come last:
whoever appends encodes the rest beforehand, outside the lock, and verification reads number and time from the
end of a line, without parsing it.

An event never holds a value of somebody's data. Personal content (a statement's text, a person's name) is
there as a salted commitment only: SHA-256 over salt, name and text. The salts are kept in a file of their own
(`audit.salts`); once a salt is erased, the commitment can be matched with no guess, and the log still
verifies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from plans import canonical, names
from plans.errors import Malformed, TooLarge
from plans.record import Record

LARGEST_DETAILS = 2_000
LONGEST_WORD = 300
NO_SALT = -1
_ACTION = re.compile(r"[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+")
_TIME_DIGITS = 13
"""Digits of a time in milliseconds, from the year 2001 to 2286: a line's end has a fixed width."""


class Retention(StrEnum):
    """How long an event must be kept, by what it records (RULES-CN, Retention)."""

    NETWORK = "network"
    GRANTS = "grants"
    STATISTICS = "statistics"

    @property
    def least_days(self) -> int:
        """Days that an event must be kept: six months, three years, ten years (statutory; longer is allowed)."""
        return {Retention.NETWORK: 184, Retention.GRANTS: 3 * 366, Retention.STATISTICS: 10 * 366}[self]


@dataclass(frozen=True, slots=True)
class Event(Record):
    """Who did what to which object, under which plan, decision and policy number.

    `time` is Unix milliseconds and never runs backwards within a log; `policy` 0, and empty texts, are
    "none".
    """

    KIND: ClassVar[str] = "event"

    action: str
    actor: str
    commitments: Mapping[str, Any]
    decision: str
    details: Mapping[str, Any]
    domain: str
    object: str
    plan: str
    policy: int
    retention: Retention
    salt: int
    sequence: int
    time: int

    def check(self) -> None:
        if not _ACTION.fullmatch(self.action):
            raise Malformed("an action is words with a dot between, like job.submitted", "event.action")
        if (
            not self.actor
            or max(map(len, (self.actor, self.object, self.decision, self.action))) > LONGEST_WORD
        ):
            raise Malformed(f"actor, object and decision have at most {LONGEST_WORD} characters", "event")
        if self.domain:
            names.require("domain", self.domain, "event.domain")
        for digest in filter(None, (self.plan, *self.commitments.values())):
            names.require("digest", digest, "event")
        if self.policy < 0 or self.salt < NO_SALT or (self.salt == NO_SALT and self.commitments):
            raise Malformed("a policy's number is not negative, and a commitment has a salt", "event")


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before the log has numbered it. `personal` is never written: only commitments to it are.

    Raises:
        Malformed: it can be no event.
        TooLarge: the details are more than a few words.
    """

    actor: str
    domain: str
    action: str
    object: str
    retention: Retention
    plan: str = ""
    decision: str = ""
    policy: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if len(canonical.encode(self.details)) > LARGEST_DETAILS:
            raise TooLarge(f"an event's details have at most {LARGEST_DETAILS} bytes", "event.details")
        self.event({}, NO_SALT)

    def event(self, commitments: Mapping[str, str], salt: int, sequence: int = 0, time: int = 0) -> Event:
        """Return the draft as an event."""
        return Event(
            action=self.action,
            actor=self.actor,
            commitments=commitments,
            decision=self.decision,
            details=self.details,
            domain=self.domain,
            object=self.object,
            plan=self.plan,
            policy=self.policy,
            retention=self.retention,
            salt=salt,
            sequence=sequence,
            time=time,
        )


def commitment(name: str, text: str, salt: bytes) -> str:
    """Return the salted commitment to one personal text."""
    return canonical.digest_bytes("commitment", salt + canonical.encode([name, text]))


def beginning(draft: Draft, commitments: Mapping[str, str]) -> bytes:
    """Return the line of a draft, which was checked when it was made, up to the salt's number; `line` completes it."""
    plain: dict[str, canonical.Plain] = {
        "action": draft.action,
        "actor": draft.actor,
        "commitments": commitments,
        "decision": draft.decision,
        "details": draft.details,
        "domain": draft.domain,
        "object": draft.object,
        "plan": draft.plan,
        "policy": draft.policy,
        "retention": draft.retention.value,
    }
    return canonical.encode(plain)[:-1]


def line(start: bytes, salt: int, sequence: int, time: int) -> bytes:
    """Return the whole line, without its newline: the same bytes as the event's canonical form."""
    return start + b',"salt":%d,"sequence":%d,"time":%d}' % (salt, sequence, time)


def is_numbered(data: bytes, sequence: int) -> bool:
    """Return whether a line ends as the event of this number must."""
    expected = b',"sequence":%d,"time":' % sequence
    return data.endswith(b"}") and data[-_TIME_DIGITS - 1 - len(expected) : -_TIME_DIGITS - 1] == expected


def time_of(data: bytes) -> int:
    """Return the time of a line, in Unix milliseconds.

    Raises:
        Malformed: the line does not end with one.
    """
    digits = data[-_TIME_DIGITS - 1 : -1]
    if len(digits) != _TIME_DIGITS or not digits.isdigit():
        raise Malformed("the line does not end with a time", "event")
    return int(digits)
