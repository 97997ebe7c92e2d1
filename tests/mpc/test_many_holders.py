"""Promise: as many holders of one table as there may be, with three servers, fit into all that parties exchange."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.joint_rules import ends_of_links, require_boxes
from keeper.meeting import AttemptName, Meeting, Peer, Shown
from mpc import api as mpc
from mpc.agent.agent import MOST_RUNNING
from mpc.agent.doors import LARGEST_QUESTION, MOST_CARRIED
from mpc.agent.owner import BoxOf
from mpc.agent.table import MOST_TIMES
from mpc.links import LARGEST_MESSAGE, MOST_CONNECTIONS
from plans import canonical
from plans.box import MOST_LINKS, Entry
from plans.errors import PolicyDenied
from plans.joint import MOST_HOLDERS, SERVERS, JointPlan
from plans.joint_rules import JointRules, Matching, Opening
from plans.joint_shadows import JointShadow
from plans.statements import BoxStatement
from tests.keeper import house
from tests.plans import joint_examples as examples
from tests.plans.examples import DECISION, REQUEST
from tests.plans.joint_forms import largest

PARTIES = MOST_HOLDERS + SERVERS
TERMS = JointRules((Matching.NONE,), (Opening.OBLIVIOUS,), cells=100, period_days=90)


@pytest.fixture(scope="module")
def plan() -> JointPlan:
    """The plan with all that code makes of it."""
    drawn = largest(examples.joint_plan(DECISION, REQUEST))
    shadows = tuple(_shadow(each.domain, each.relation) for each in drawn.reading.portions)
    files = tuple(replace(each, files=("attributes", "identifiers")) for each in drawn.decisions)
    made = replace(drawn, shadows=shadows, decisions=files)
    made = replace(made, scheme=mpc.scheme_of(made.reading, [each.decision for each in made.decisions]))
    return replace(made, sights=mpc.sights(made), trust=mpc.trust(made))


def _shadow(domain: str, relation: str) -> JointShadow:
    like = examples.JOINT_SHADOW
    return replace(like, domain=domain, shadow=replace(like.shadow, relation=relation))


def test_all_parties_derive_it_and_their_boxes_pass_the_rules(plan: JointPlan) -> None:
    assert len(plan.parties) == PARTIES
    mpc.require_same(plan, TERMS, plan.parties[0].domain)
    for party in plan.parties:
        own = mpc.party_plan(plan, party.domain, house.LIMITS)
        require_boxes(own, plan, party.domain, house.LIMITS)
        links = own.stage(Entry.PARTY).links
        assert len(links) == PARTIES - 1 + (plan.owns(party.domain) is not None) <= MOST_LINKS


def test_the_terms_of_one_of_sixteen_are_asked_as_those_of_two(plan: JointPlan) -> None:
    with pytest.raises(PolicyDenied, match="opens at most"):
        mpc.require_same(plan, replace(TERMS, cells=5), plan.parties[0].domain)


def test_what_parties_show_each_other_fits_into_messages_and_questions(plan: JointPlan) -> None:
    own = mpc.party_plan(plan, plan.parties[0].domain, house.LIMITS)
    shown = canonical.encode(BoxOf(house.box(own, "6" * 32, Entry.PARTY), own).plain())
    put = canonical.encode(plan.plain())
    assert 2 * len(shown) < LARGEST_MESSAGE and 2 * len(put) < LARGEST_QUESTION, (
        "with room for names twice as long"
    )
    assert PARTIES + 1 <= MOST_TIMES, "each says what is new of every other, its own and the last"
    peers = PARTIES - 1
    assert peers * MOST_RUNNING <= MOST_CARRIED and 2 * peers * MOST_RUNNING <= MOST_CONNECTIONS


def test_the_boxes_of_all_meet(plan: JointPlan) -> None:
    meeting, attempt = Meeting(), AttemptName(plan.digest, 1)
    first, *others = (party.domain for party in plan.parties)
    own = mpc.party_plan(plan, first, house.LIMITS)
    meeting.show(attempt, Shown(house.box(own, "6" * 32, Entry.PARTY), own))
    for domain in others:
        theirs = mpc.party_plan(plan, domain, house.LIMITS)
        told = house.box(theirs, "6" * 32, Entry.PARTY, box_key=house.opening(domain).public)
        meeting.bring(attempt, domain, Peer(BoxStatement.read(told.statement.body), domain))
    met = meeting.wait(attempt, others, 0.0)
    ends = ends_of_links(own, {domain: peer.box for domain, peer in met.items()})
    assert len(set(ends.values())) == len(ends) == PARTIES - 1
