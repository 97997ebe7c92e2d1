"""What other rooms use of the airlock: checking that a release is the one that was judged, and saying why
none is.

The judging itself happens inside a box (`airlock.rules`); the platform sees verdicts, signed releases and
sealed bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from airlock.outputs.rules import OutputRule
from airlock.rules import Rule
from keys import api as keys
from plans.errors import HashMismatch, OutputRefused, SignatureWrong
from plans.release import RELEASE_INFO, Release
from plans.released import Released
from plans.statements import Duty, Signed, Type
from plans.verdict import Finding, Verdict

__all__ = ["Expected", "Rule", "check_release", "open_release", "refusal"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a release must be about: the owner's domain and its keeper's key, the plan's digest, the
    recipient's key.
    """

    domain: str
    keeper: str
    plan: str
    recipient: str


def check_release(signed: Signed, verdict: Verdict, sealed: bytes, expected: Expected) -> Release:
    """Return the release if statement, verdict, sealed bytes and recipient are all of one piece (ATTACKS 56,
    84).

    Raises:
        SignatureWrong: it is not the release statement of the keeper that was expected.
        HashMismatch: it is about another plan, verdict, recipient or about other bytes.
        OutputRefused: the verdict was no.
    """
    release = _signed_release(signed, expected)
    if verdict.finding is Finding.REFUSED:
        raise refusal(verdict)
    chain = {
        "plan": (release.plan == verdict.plan == expected.plan),
        "recipient": release.recipient == expected.recipient,
        "verdict": release.verdict == verdict.digest,
        "content": release.content == verdict.content,
        "sealed": release.sealed == verdict.sealed == _sha256(sealed),
    }
    for member, holds in chain.items():
        if not holds:
            raise HashMismatch(f"the release's {member} is not the one that was judged", f"release.{member}")
    return release


def open_release(sealed: bytes, key: keys.OpeningKey, release: Release) -> Released:
    """Return the table inside a release that was checked.

    Raises:
        EvidenceBroken: the bytes were not sealed to this key for this plan, or were changed.
        HashMismatch: inside is not the content that was judged.
    """
    released = Released.decode(key.open(sealed, RELEASE_INFO, release.plan.encode()))
    if released.plan != release.plan or released.digest != release.content:
        raise HashMismatch("the content is not the one that was judged", "release.content")
    return released


def refusal(verdict: Verdict) -> OutputRefused:
    """Return the error for a refused output: the rule and what would help, which do not depend on the
    data.
    """
    known = [words for reason in verdict.reasons if (words := _words(reason))]
    if not known:
        return OutputRefused(verdict.finding.sentence, ", ".join(verdict.reasons))
    what = " ".join(sentence for sentence, _ in known)
    return OutputRefused(what, ", ".join(verdict.reasons), " ".join(advice for _, advice in known))


def _words(reason: str) -> tuple[str, str] | None:
    """Return the sentence and the help of a rule about a statement's table, or else of one about typed outputs."""
    for rules in (Rule, OutputRule):
        for rule in rules:
            if rule.value == reason and rule.sentence:
                return rule.sentence, rule.help
    return None


def _signed_release(signed: Signed, expected: Expected) -> Release:
    statement = keys.verify(signed)
    found = (statement.type, statement.duty, statement.domain, statement.signer)
    if found != (Type.RELEASE, Duty.KEEPER, expected.domain, expected.keeper):
        raise SignatureWrong("this is not a release of the owner's keeper", "release")
    return Release.read(dict(statement.body))


def _sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
