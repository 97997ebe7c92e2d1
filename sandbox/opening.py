"""Handing over what a box leaves for the recipient of a joint computation, by the launcher's open door.

The own agent asks for it, which has no right to look into the launcher's folders. It is sealed to the recipient: of
answers on shares, who needs what two of three servers leave; or a judged table, by who opened first. But whoever
carries plans reaches this door too, and could end an attempt at one party, take what others left, and order the next: a
partial result, and of noise as many draws as there are attempts. So it is handed over once the own keeper holds
receipts of a good end by all parties, each of which it has verified (`keeper.joint`). Of any other stage nothing is
handed over here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plans.box import Entry
from plans.errors import Malformed, NotFound, StateConflict
from plans.handover import OPENED
from plans.joint import Receipt, joint_of
from plans.plan import Plan, PlanKind
from plans.statements import Signed
from sandbox.lease import Keeper
from sandbox.shelf import Shelf, StageName

BLOCK = 2**20
"""Bytes that go into one frame."""

KEEPER_S = 30.0
"""Seconds in which the keeper says which receipts it holds."""


async def require_ended_well(shelf: Shelf, keeper: Keeper | None, question: dict[str, Any]) -> None:
    """Check that the attempt that is asked for ended well at all parties, as the own keeper knows.

    Raises:
        StateConflict: it did not, or not yet.
        NotFound: there is no such plan.
        Malformed: the plan is none of a joint computation.
        Unreachable: the keeper does not answer.
    """
    name = _named(question)
    joint = joint_of(_joint_plan(shelf, name).material)
    asked = {"op": "joint-receipts", "joint": joint.digest, "attempt": name.attempt}
    held = (await keeper.ask(asked, KEEPER_S)).get("receipts") if keeper else None
    said = [
        Receipt.read(Signed.read(each).statement.body) for each in (held if isinstance(held, list) else ())
    ]
    about = [each for each in said if (each.joint, each.attempt) == (joint.digest, name.attempt)]
    if {each.party for each in about if not each.code} != {party.domain for party in joint.parties}:
        raise StateConflict(
            "the attempt has not ended well at all parties, so nothing of it is handed over",
            f"attempt {name.attempt}",
            "Order the next attempt.",
        )


def frames_of(shelf: Shelf, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the frames that answer who asks for what the own box sealed to the recipient.

    Raises:
        NotFound: there is no such plan, or its stage has not ended well.
        Malformed: the plan is none of a joint computation.
    """
    name = _named(question)
    _joint_plan(shelf, name)
    if OPENED not in [output.name for output in shelf.record(name).outputs]:
        raise NotFound("this party's box leaves nothing for the recipient", name.stage.value)
    with shelf.collected(name, OPENED) as file:
        while block := file.read(BLOCK):
            yield {"sealed": block.hex()}
    yield {"ok": {}}


def _named(question: dict[str, Any]) -> StageName:
    return StageName.read({**question, "stage": Entry.PARTY.value})


def _joint_plan(shelf: Shelf, name: StageName) -> Plan:
    plan = shelf.plan(name.plan)
    if plan.kind is not PlanKind.JOINT:
        raise Malformed("only the part of a joint computation is handed over by this door", "launcher")
    return plan
