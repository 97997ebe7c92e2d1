"""What was signed about the log: heads, cosignatures, and heads that a witness remembers, each a claim about
a size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from audit import files, heads
from audit.files import Layout
from audit.report import Finding, Kind
from plans.errors import EvidenceBroken, LogBroken, SignatureWrong
from plans.statements import Duty, Head

REMEMBERED = "a witness from memory"


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody's signed word that the first `size` events have this root. `by` is empty for the log itself."""

    size: int
    root: bytes
    made_at: int
    by: str

    @property
    def independent(self) -> bool:
        """Whether it is a witness's word, which the log's key cannot make."""
        return bool(self.by)


@dataclass(slots=True)
class Claims:
    """Everything that is claimed, and what is wrong with the claims themselves."""

    claims: list[Claim] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    ignored: int = 0

    def of_log(self) -> list[Claim]:
        """Return the log's own heads."""
        return [claim for claim in self.claims if not claim.independent]

    def of_witnesses(self) -> list[Claim]:
        """Return the witnesses' claims that are in the files."""
        return [claim for claim in self.claims if claim.by not in ("", REMEMBERED)]


def collect(layout: Layout, log_key: str, witnesses: Mapping[str, str], remembered: Iterable[Head]) -> Claims:
    """Read and check all signatures over heads.

    Args:
        witnesses: public keys by the domain of the keeper.
        remembered: heads that somebody trusted brings along, for instance a keeper's own last one.
    """
    found = Claims()
    for line in files.read_lines(layout.heads):
        _take(found, line, layout.name, {"": log_key}, Duty.CENTRE)
    for line in files.read_lines(layout.cosignatures):
        _take(found, line, layout.name, witnesses, Duty.KEEPER)
    for head in remembered:
        found.claims.append(Claim(head.size, bytes.fromhex(head.root), head.made_at, REMEMBERED))
    _check_order(found)
    _check_forks(found)
    found.claims.sort(key=lambda claim: (claim.size, claim.independent))
    return found


def _take(found: Claims, line: bytes, log: str, signers: Mapping[str, str], duty: Duty) -> None:
    """Add the claim of one line, or what is wrong with it."""
    kind = Kind.HEAD if duty is Duty.CENTRE else Kind.COSIGNATURE
    last = found.claims[-1].size if found.claims else 0
    try:
        signed = heads.parse(line)
        by = "" if duty is Duty.CENTRE else signed.statement.domain
        if by and signers.get(by) is None:
            found.ignored += 1
            return
        head = heads.read_head(signed, signers[by], duty)
    except (LogBroken, SignatureWrong, EvidenceBroken) as problem:
        found.findings.append(Finding(kind, last, last + 1, detail=problem.what))
        return
    if head.log != log:
        found.findings.append(Finding(kind, last, last + 1, detail="the head of another log"))
        return
    found.claims.append(Claim(head.size, bytes.fromhex(head.root), head.made_at, by))


def _check_order(found: Claims) -> None:
    """The log's own heads grow, in size and in time."""
    own = found.of_log()
    for before, after in zip(own, own[1:], strict=False):
        if after.size < before.size:
            found.findings.append(
                Finding(Kind.HEAD, after.size, after.size + 1, detail="smaller than the one before")
            )
        if after.made_at < before.made_at:
            found.findings.append(
                Finding(Kind.CLOCK, after.size, after.size + 1, detail="head older than the one before")
            )


def _check_forks(found: Claims) -> None:
    """No two claims about one size differ: that needs two signatures by the log's key."""
    seen: dict[int, Claim] = {}
    for claim in found.claims:
        other = seen.setdefault(claim.size, claim)
        if other.root != claim.root:
            who = " and ".join(sorted({each.by or "the log" for each in (other, claim)}))
            found.findings.append(
                Finding(Kind.FORK, 0, max(claim.size, 1), detail=f"two roots of size {claim.size}: {who}")
            )
