"""What other rooms use of `mpc`."""

from __future__ import annotations

from mpc.agent.client import AgentClient, Left, PartyEnd
from mpc.compile import Making, Owner, SignedRequest, compile_joint
from mpc.derive import (
    opened_numbers,
    party_plan,
    require_own_shadow,
    require_same,
    require_terms,
    told_persons,
)
from mpc.joint_shadow import identifiers_file, joint_shadow
from mpc.protocols.planning import told_by_score, unknowns
from mpc.scheme import scheme_of, tier_of
from mpc.visibility import sights
from mpc.visibility_trust import trust

__all__ = [
    "AgentClient",
    "Left",
    "Making",
    "Owner",
    "PartyEnd",
    "SignedRequest",
    "compile_joint",
    "identifiers_file",
    "joint_shadow",
    "opened_numbers",
    "party_plan",
    "require_own_shadow",
    "require_same",
    "require_terms",
    "scheme_of",
    "sights",
    "tier_of",
    "told_by_score",
    "told_persons",
    "trust",
    "unknowns",
]
