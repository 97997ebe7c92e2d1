"""Verification from files alone: the exact bytes, every head, every cosignature, and the first event that is
wrong.

Lines are hashed as they are; nothing is parsed on the way. Number and time are read from the fixed end of
each line. The tree is built twice where it must be, over the lines and over the stored leaf hashes, and both
are compared with every signed claim:

* line and leaf hash differ, and the signed heads confirm the leaf hashes: the event is known exactly;
* both were changed to fit each other: the first bad event lies between the last head that holds and the first
  that does not. If that first one is only a witness's, whoever did it could make the log's own signatures, so
  only witnesses' heads count below it;
* nothing in the files shows that the end was cut off *together with* heads and cosignatures: bring along the
  heads that the witnesses remember (`remembered`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from audit import claims, files, merkle
from audit.claims import Claim, Claims
from audit.heads import CLOCK_TOLERANCE_S
from audit.report import Finding, Kind, Report, in_order
from audit.walk import Checked, walk
from plans.statements import Head


def verify(
    folder: Path, log_key: str, witnesses: Mapping[str, str] | None = None, remembered: Iterable[Head] = ()
) -> Report:
    """Check a log from its files.

    Args:
        log_key: the log's public key, enrolled out of band.
        witnesses: the keepers' public keys by domain; cosignatures by others are counted and ignored.
        remembered: heads that witnesses remember.

    Raises:
        NotFound: there is no log in the folder.
        LogBroken: its description cannot be read; everything else that is wrong is in the report.
    """
    layout = files.read_layout(folder)
    claimed = claims.collect(layout, log_key, witnesses or {}, remembered)
    checked = walk(layout, claimed.claims)
    findings = [
        *claimed.findings,
        *checked.findings,
        *_clocks(claimed, checked),
        *_against_claims(claimed, checked),
    ]
    holding = [claim for claim in claimed.claims if checked.holds(claim)]
    return Report(
        events=checked.events,
        root=merkle.root_of_peaks(checked.peaks).hex(),
        heads=len(claimed.of_log()),
        cosignatures=len(claimed.of_witnesses()),
        ignored=claimed.ignored,
        signed=max((claim.size for claim in holding), default=0),
        cosigned=max((claim.size for claim in holding if claim.independent), default=0),
        findings=in_order(findings),
    )


def _against_claims(claimed: Claims, checked: Checked) -> list[Finding]:
    """Return what the signed claims say about the lines."""
    findings = _missing(claimed.claims, checked)
    broken = [claim for claim in claimed.claims if claim.size <= checked.events and not checked.holds(claim)]
    if checked.differs is not None:
        findings.append(_difference(checked.differs, claimed.claims, checked))
    if broken and not _explained(findings + checked.findings, broken[0]):
        findings.append(_between(broken[0], claimed.claims, checked))
    return findings


def _missing(claimed: list[Claim], checked: Checked) -> list[Finding]:
    """More events were signed than there are lines. If no head holds close to the end, the report says so."""
    beyond = next((claim for claim in claimed if claim.size > checked.events), None)
    if beyond is None:
        return []
    held = max((claim.size for claim in claimed if checked.holds(claim)), default=0)
    detail = (
        f"{beyond.by or 'the log'} signed {beyond.size} events; no signed head confirms those from {held} on"
    )
    return [checked.at(Kind.MISSING, checked.events, detail)]


def _difference(first: int, claimed: list[Claim], checked: Checked) -> Finding:
    """Lines and leaf hashes differ from event `first` on: say which of them is wrong."""
    covering = [claim for claim in claimed if claim.size > first]
    if covering and all(checked.holds(claim) for claim in covering):
        return checked.at(Kind.LEAVES, first)
    if not covering:
        return checked.at(Kind.CHANGED, first, "behind the last signed head: the event or its leaf hash")
    return checked.at(Kind.CHANGED, first)


def _explained(findings: list[Finding], broken: Claim) -> bool:
    """Return whether an exactly known event already explains why a claim does not hold."""
    return any(each.exact and each.first < broken.size and each.kind is not Kind.LEAVES for each in findings)


def _between(worst: Claim, claimed: list[Claim], checked: Checked) -> Finding:
    """The leaf hashes were changed to fit: say between which heads."""
    believed = [
        claim for claim in claimed if checked.holds(claim) and (claim.independent or not worst.independent)
    ]
    first = max((claim.size for claim in believed if claim.size < worst.size), default=0)
    detail = f"against the head of size {worst.size} signed by {worst.by or 'the log'}"
    exact = checked.at(Kind.REWRITTEN, first, detail)
    return Finding(Kind.REWRITTEN, first, max(worst.size, first + 1), exact.segment, exact.offset, detail)


def _clocks(claimed: Claims, checked: Checked) -> list[Finding]:
    """The log's heads and the events beside them agree about the time."""
    findings = []
    for claim in claimed.of_log():
        before, after = checked.times.get(claim.size - 1), checked.times.get(claim.size)
        if before is not None and before > (claim.made_at + CLOCK_TOLERANCE_S) * 1000:
            findings.append(checked.at(Kind.CLOCK, claim.size - 1, "later than the head that counts it"))
        if after is not None and after < (claim.made_at - CLOCK_TOLERANCE_S) * 1000:
            findings.append(checked.at(Kind.CLOCK, claim.size, "earlier than the head before it"))
    return findings[:1]
