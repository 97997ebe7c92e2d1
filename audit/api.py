"""What other rooms use of `audit`.

log = audit.Log.open(folder, key)
receipt = log.append(audit.Draft(actor, domain, "job.submitted", job_id, audit.Retention.GRANTS, plan=digest))
signed = log.head()                                    # to every witness, with log.consistency(old, new)
head = audit.witness(last, signed, proof, log_key, now)    # a keeper's side: raises, or returns what to sign
log.add_cosignature(audit.cosign(head, domain, keeper_key))
audit.verify(folder, log_key, {domain: keeper_key.public}).require()
"""

from __future__ import annotations

from audit.events import Draft, Event, Retention
from audit.heads import contradict, cosign, find_fork, read_head, witness
from audit.log import Log, Receipt
from audit.merkle import leaf_hash, verify_consistency, verify_inclusion
from audit.report import Finding, Kind, Report
from audit.verify import verify

__all__ = [
    "Draft",
    "Event",
    "Finding",
    "Kind",
    "Log",
    "Receipt",
    "Report",
    "Retention",
    "contradict",
    "cosign",
    "find_fork",
    "leaf_hash",
    "read_head",
    "verify",
    "verify_consistency",
    "verify_inclusion",
    "witness",
]
