"""Handing over what a box leaves for the recipient of a joint computation, by the launcher's open door.

The own agent asks for it, which has no right to look into the launcher's folders. It is sealed to the recipient, and
the recipient needs what two of three servers leave; that no server's part leaves before all have ended well is for the
agents to see to (`mpc.agent.attempt`). Of any other stage nothing is handed over here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plans.box import Entry
from plans.errors import Malformed, NotFound
from plans.handover import OPENED
from plans.plan import PlanKind
from sandbox.shelf import Shelf, StageName

BLOCK = 2**20
"""Bytes that go into one frame."""


def frames_of(shelf: Shelf, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the frames that answer who asks for a server's sealed shares.

    Raises:
        NotFound: there is no such plan, or its stage has not ended well.
        Malformed: the plan is none of a joint computation.
    """
    name = StageName.read({**question, "stage": Entry.PARTY.value})
    if shelf.plan(name.plan).kind is not PlanKind.JOINT:
        raise Malformed("only the part of a joint computation is handed over by this door", "launcher")
    if OPENED not in [output.name for output in shelf.record(name).outputs]:
        raise NotFound("this party's box leaves nothing for the recipient", name.stage.value)
    with shelf.collected(name, OPENED) as file:
        while block := file.read(BLOCK):
            yield {"sealed": block.hex()}
    yield {"ok": {}}
