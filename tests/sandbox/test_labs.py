"""Labs at a launcher: their links, their homes, their line, and what else runs there."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from plans.box import Entry, Home, Limits, Link
from plans.decision import Tier
from plans.errors import (
    BoxFailed,
    BoxLimit,
    DarkroomError,
    NotAllowed,
    NotFound,
    StateConflict,
    TierMissing,
)
from plans.labs import home_of
from plans.plan import Plan
from sandbox.sites import Labs
from tests.sandbox.labs_side import API, HUB, MEMBER, OTHER, Beside, LabSide, lab_plan, labs, run
from tests.sandbox.side import eventually, launched, of_boxes, side

__all__ = ["labs", "side"]
pytestmark = pytest.mark.box

NOTHING = "def run(session):\n    return {}\n"
STAY = """
import os, time
def run(session):
    open(HOME + "/here", "w").close()
    while not os.path.exists(HOME + "/go"):
        time.sleep(0.05)
    return {}
"""
TIERS = (Tier.T1, Tier.T2)


def needs(labs: LabSide, tier: Tier) -> None:
    if tier.value not in [offer["tier"] for offer in labs.client.status()["tiers"]]:
        pytest.skip(f"this machine has no {tier}")


def up(labs: LabSide, plan: Plan, member: str = MEMBER) -> Beside:
    """Start a lab that stays, and wait until it is there."""
    beside = Beside(labs.client, labs.put(plan, STAY))
    eventually(lambda: bool(list((labs.config.home / "homes").glob(f"*/{home_of(member)}/here"))))
    return beside


# --- links to services ------------------------------------------

LINKS = """
import socket
def ask(link, message):
    with link.open() as stream:
        stream.sendall(message)
        stream.shutdown(1)
        answer = b""
        while block := stream.recv(65536):
            answer += block
    return answer
def run(session):
    many = [ask(session.links["api"], b"x%d" % n)[::-1].decode() for n in range(20)]
    large = ask(session.links["hub"], b"y" * 3_000_000)
    return {"many": many, "large": len(large), "places": [link.place for link in session.links.values()]}
"""


@pytest.mark.parametrize("tier", TIERS)
def test_a_link_to_a_service_is_opened_many_times_and_says_whose_it_is(
    labs: LabSide, probe_image, tier: Tier
) -> None:
    plan = lab_plan(probe_image.digest, tier=tier)
    with launched(labs.side):
        needs(labs, tier)
        told = labs.run(plan, LINKS)
        assert told["many"] == [f"x{n}" for n in range(20)]
        assert told["large"] == 3_000_000
        assert sorted(told["places"]) == ["/links/api", "/links/hub"]
    assert {(head["plan"], head["link"]) for head, _ in labs.api.heard} == {(plan.digest, "api")}
    assert {(head["plan"], head["link"]) for head, _ in labs.hub.heard} == {(plan.digest, "hub")}
