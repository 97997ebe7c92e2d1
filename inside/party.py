"""The party box: one domain's part in a joint computation, spoken with the boxes of the other parties.

It has no file of the data and no key of one. An owner's rows come from the extracting box beside it, over a link that
only these two can read; to the boxes of others it sends what the visibility table of the plan says, and nothing before
all of its own rows are there and can be matched. The computation itself is pure (`mpc.protocols.computation`).

Who has something for the recipient leaves one file, `opened.bin` (`JointPlan.handing`, `inside.party_leaving`): a
server its shares of what may be opened, an inspector the judged table, a finder what it learned of its persons; sealed
to the recipient that the request names, bound to joint plan, attempt and who left it. The report says how many bytes it
sent, which is public, how often a key of this box decrypted, which table was asked, and has a salted commitment to each
person who was looked up, for the owner's log (`plans.joint_reports`).

What others encrypted is read behind the wall of this box, which does one job (`mpc.encrypted.crypto_box`).
"""

from __future__ import annotations

from typing import Any

from inside.party_leaving import sealed
from inside.party_links import PartyLinks, link_keys
from inside.party_rows import read_rows
from inside.session import BoxFailure, Session
from inside.streams import receive
from mpc.encrypted import crypto_box
from mpc.protocols import planning
from mpc.protocols.computation import Work, reads_ciphertexts, take_part
from mpc.protocols.joint_rows import OwnRows
from plans.errors import Defect, EvidenceBroken, KeyMissing, KeyRepeated, Malformed
from plans.handover import OPENED, OWN_ROWS
from plans.joint import JointPlan, Shape, joint_of
from plans.joint_reports import DECRYPTIONS, LOOKED_UP, TABLE

PATIENCE_S = 900.0
"""How long nothing may come from another box where something is due: longer than the longest step of anybody's on
shares. Where ciphertexts are computed with, or a table for lookups is made, what the plan predicts is added, doubled.
"""

_PARTY = "party:"


def run(session: Session) -> dict[str, Any]:
    """Do this domain's part, and leave what it has for the recipient.

    Raises:
        BoxFailure: `party.rows`: the own rows did not come to their end; `extract.keys`: they cannot be matched.
        LinkBroken, PeerLost: another party's box said something else than the plan makes it say, or is gone.
        SharesDisagree: two servers say different things of a share to this box, which inspects.
        OutputRefused, PolicyDenied: what was opened here may not leave.
        Refused, StateConflict: ciphertexts are to be read, and this process is no box, or did another job before.
        Malformed: the plan is of another kind, or the keeper vouched for no box at the end of a link.
    """
    joint, domain = joint_of(session.plan.material), session.plan.domain
    if reads_ciphertexts(joint) or joint.reading.shape is Shape.LOOKUP:
        crypto_box.enter(f"{joint.digest}/{session.attempt}")
    rows = _own_rows(session, joint)
    links = _links(session, joint)
    work = Work(joint, domain, session.attempt, links)
    try:
        handed = take_part(work, rows)
    finally:
        links.close()
    if (handed is not None) != (domain in joint.handing):
        raise Defect("a box has something to hand over that is not its own to hand over, or nothing", domain)
    report: dict[str, Any] = {"sent_bytes": sum(each.sent_bytes for each in links.traffic().values())}
    if work.account.decryptions:
        report[DECRYPTIONS] = work.account.decryptions
    if work.account.table:
        report[TABLE] = work.account.table
    if handed is not None:
        left = sealed(joint, session.attempt, handed, rows)
        (session.out / OPENED).write_bytes(left.sealed)
        if left.commitments:
            report[LOOKED_UP] = list(left.commitments)
    return report


def _own_rows(session: Session, joint: JointPlan) -> OwnRows | None:
    """Return the rows that the extracting box sends; none for a domain that owns nothing in this plan."""
    place = joint.owns(session.plan.domain)
    if place is None:
        return None
    try:
        with (
            session.links[OWN_ROWS].open() as stream,
            receive(stream, session.keys.links[OWN_ROWS], OWN_ROWS) as source,
        ):
            return read_rows(source, joint.reading.portions[place])
    except EvidenceBroken:
        raise BoxFailure("party.rows") from None
    except (KeyMissing, KeyRepeated, Malformed):
        raise BoxFailure("extract.keys") from None


def _links(session: Session, joint: JointPlan) -> PartyLinks:
    """Open the links to the other parties, under keys that only the boxes at both ends have."""
    if session.secret is None:
        raise Defect("a party's box has a key of its own", "party")
    ends = {}
    for link in session.plan.stage(session.stage).links:
        if not link.peer.startswith(_PARTY):
            continue
        peer, vouched = link.peer.removeprefix(_PARTY), session.keys.peers.get(link.name)
        if vouched is None:
            raise Malformed("no keeper vouched for the box at the other end of a link", link.name)
        between = (session.plan.domain, peer)
        keys = link_keys(session.secret, vouched, between, joint.digest, session.attempt)
        ends[peer] = (session.links[link.name].open(), keys)
    return PartyLinks(ends, patience(joint))


def patience(joint: JointPlan) -> float:
    """Return how many seconds nothing may come from another box of a plan; the same at all parties."""
    if joint.reading.shape is Shape.LOOKUP:
        plan = planning.lookups(joint.reading)
        return PATIENCE_S + 2 * (plan.build_ms + joint.reading.portions[0].bound * plan.answer_ms) / 1000
    made = planning.ciphertexts(joint.task, joint.reading)
    return PATIENCE_S + (2 * made.milliseconds / 1000 if made else 0)
