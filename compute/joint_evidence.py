"""Gathering what all parties signed about a finished joint attempt, for whoever wants to check it again.

The centre only carries: every signature is checked by whoever verifies, from root keys on (`plans.joint_evidence`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from keeper.api import KeeperClient
from plans.errors import NotFound
from plans.joint import JointPlan, Receipt, Shape
from plans.joint_evidence import JointEvidence, PartyEvidence, boxes_of, require_receipt_of
from plans.joint_reports import commitments_of, require_one_table
from plans.statements import Roster, Signed, Type
from store import api as store


def gathered(
    database: store.Database,
    joint: JointPlan,
    attempt: int,
    receipts: Sequence[Signed],
    sealed: Mapping[str, bytes],
) -> JointEvidence:
    """Return what the parties signed: rosters and approvals of the letter box, plans and records of their keepers.

    Raises:
        NotFound: a party has no roster here, or its keeper or receipt is missing.
        Unreachable: a keeper does not answer.
    """
    with database.reading() as session:
        known = {
            party.domain: (
                _roster(session, party.domain),
                _approvals(session, party.domain, joint.digest),
                Path(store.domains.get(session, party.domain).keeper_socket),
            )
            for party in joint.parties
        }
    by_party = {Receipt.read(signed.statement.body).party: signed for signed in receipts}
    parties = []
    for domain, (roster, approvals, socket) in known.items():
        if domain not in by_party:
            raise NotFound("there is no receipt of this party", domain)
        plan, records = KeeperClient(socket).ran(joint.digest, attempt)
        parties.append(PartyEvidence(roster, approvals, plan, tuple(records), by_party[domain]))
    hashes = {domain: "sha256:" + hashlib.sha256(content).hexdigest() for domain, content in sealed.items()}
    return JointEvidence(joint, tuple(parties), hashes)


def looked_up(evidence: JointEvidence) -> tuple[str, ...]:
    """Return the salted commitments to persons who were looked up, those that stand for nobody included.

    They stand in the records that the finder's receipt names, which all parties have: a finder's side that hands over
    others would have its answer, and nobody in the log. Both sides' boxes must have been at one table.

    Raises:
        HashMismatch: the records are not those of the receipts, or do not commit to as many persons as were asked for;
            or the sides speak of different tables.
    """
    joint = evidence.joint
    if joint.reading.shape is not Shape.LOOKUP:
        return ()
    for each in evidence.parties:
        records = [record.statement for record in each.records]
        require_receipt_of(Receipt.read(each.receipt.statement.body), each.plan, records)
    told = boxes_of(evidence)
    require_one_table(told, joint)
    return commitments_of(told[joint.task.finder])


def _roster(session: store.Session, domain: str) -> Signed:
    rows = store.statements.of_type(session, domain, Type.ROSTER.value)
    found = [Signed.decode(row.signed.encode()) for row in rows]
    if not found:
        raise NotFound("this party has published no roster", domain)
    return max(found, key=lambda signed: Roster.read(signed.statement.body).number)


def _approvals(session: store.Session, domain: str, digest: str) -> tuple[Signed, ...]:
    rows = store.statements.about(session, digest, Type.APPROVAL.value)
    return tuple(Signed.decode(row.signed.encode()) for row in rows if row.domain == domain)
