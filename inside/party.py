"""The party box: one domain's part in a joint computation, spoken with the boxes of the other parties.

It has no file of the data and no key of one. An owner's rows come from the extracting box beside it, over a link that
only these two can read; to the boxes of others it sends what the visibility table of the plan says, and nothing before
all of its own rows are there and can be matched. The computation itself is pure (`mpc.protocols.computation`).

A server leaves one file, `opened.bin`: its shares of what may be opened, padded and sealed to the recipient that the
request names, bound to joint plan, attempt and server. The report says how many bytes it sent, which is public.
"""

from __future__ import annotations

from typing import Any

from inside.party_links import PartyLinks, link_keys
from inside.party_rows import read_rows
from inside.session import BoxFailure, Session
from inside.streams import receive
from keys import sealing
from mpc.protocols.computation import Work, take_part
from mpc.protocols.joint_rows import OwnRows
from plans.errors import Defect, EvidenceBroken, KeyMissing, KeyRepeated, Malformed
from plans.handover import OPENED, OWN_ROWS, padded
from plans.joint import JointPlan, Opened, joint_of
from plans.joint_answer import OPENED_INFO, opened_bound
from plans.joint_rules import Opening

PATIENCE_S = 900.0
"""How long nothing may come from another box where something is due: longer than the longest step of anybody's."""

_PARTY = "party:"


def run(session: Session) -> dict[str, Any]:
    """Do this domain's part and leave what a server has to open.

    Raises:
        BoxFailure: `party.rows`: the own rows did not come to their end; `extract.keys`: they cannot be matched.
        LinkBroken, PeerLost: another party's box said something else than the plan makes it say, or is gone.
        Malformed: the plan is of another kind, or the keeper vouched for no box at the end of a link.
    """
    joint = joint_of(session.plan.material)
    if joint.task.opening is not Opening.OBLIVIOUS:
        raise Malformed("this box opens to the recipient alone", "joint-plan.task.opening")
    rows = _own_rows(session, joint)
    links = _links(session, joint)
    try:
        opened = take_part(Work(joint, session.plan.domain, session.attempt, links), rows)
    finally:
        links.close()
    if opened is not None:
        (session.out / OPENED).write_bytes(sealed(joint, opened))
    return {"sent_bytes": sum(traffic.sent_bytes for traffic in links.traffic().values())}


def sealed(joint: JointPlan, opened: Opened) -> bytes:
    """Return a server's shares as only the recipient can read them."""
    bound = opened_bound(joint.digest, opened.attempt, opened.server)
    return sealing.seal(joint.request.recipient, padded(opened.canonical()), OPENED_INFO, bound)


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
    return PartyLinks(ends, PATIENCE_S)
