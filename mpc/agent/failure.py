"""How a joint attempt failed, as every party says it: a stable code, the party, the step. Pure.

A party tells the others nothing else. What it was exactly could depend on its data, or be nobody's business: that
stays with its owner (`Told.detail`).

All parties end with the same failure by flooding the least (Lynch, Distributed Algorithms, 1996, section 6.2): in two
rounds everybody tells everybody the least failure that it knows of, by `Failure.rank`. That agrees while at most one
party dies in between, and whoever comes back later takes what the others ended with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from plans import names
from plans.box import Entry
from plans.errors import (
    BoxFailed,
    DarkroomError,
    LinkBroken,
    Malformed,
    PartyFailed,
    PartyStopped,
    PeerLost,
    PreflightFailed,
    SharesDisagree,
    Unreachable,
    by_code,
)
from plans.joint import Step
from plans.record import Record

CODES = (PreflightFailed, PartyStopped, PartyFailed, SharesDisagree, LinkBroken, PeerLost)
"""All that may be said of a failure; a peer that says anything else does not speak as an agent."""

_STEPS = tuple(Step)

STOPPED = ("box.revoked", "box.cancelled", "box.lease-lost", "box.launcher-stopped")
"""How a launcher says that nothing was wrong with the box itself (`sandbox.contract.Cause`)."""

PEER_ENDED = "box.peer-ended"
"""How it says so of a box that was ended because the one beside it was."""

_SAY = {
    PreflightFailed.code: "{party} cannot take part in the joint computation",
    PartyStopped.code: "{party} stopped the joint computation",
    PartyFailed.code: "a box of {party} ended without a result",
    SharesDisagree.code: "two servers say different things of a share, noticed by {party}",
    LinkBroken.code: "what passed on a link of {party} was not what the plan says",
    PeerLost.code: "{party} stopped answering",
}


@dataclass(frozen=True, slots=True)
class Failure(Record):
    """What all parties say: code, party and step."""

    KIND: ClassVar[str] = "joint-failure"

    code: str
    party: str
    step: Step

    def check(self) -> None:
        if self.code not in [kind.code for kind in CODES]:
            raise Malformed("a joint attempt does not fail with this code", "failure.code")
        names.require("domain", self.party, "failure.party")

    @property
    def rank(self) -> tuple[bool, int, str, str]:
        """Where it stands among the failures of one attempt; the first one is the one that counts.

        That somebody is gone is mostly the consequence of what made it go, so it stands last. Then the earlier step
        counts, and then the party's name.
        """
        return self.code == PeerLost.code, _STEPS.index(self.step), self.party, self.code

    @property
    def failed_at(self) -> str:
        """Where it failed, as receipts say it: `extract@nm/tax`."""
        return f"{self.step}@{self.party}"

    def error(self) -> DarkroomError:
        """Return it as an error for people."""
        return by_code()[self.code](_SAY[self.code].format(party=self.party), self.failed_at)


@dataclass(frozen=True, slots=True)
class Told:
    """A failure of this side, and why, for its owner alone. It is `uncertain` where a link was lost, and why is not
    known: the party at its other end may have lost another one first.
    """

    failure: Failure
    detail: str
    uncertain: bool = False


def least(failures: Iterable[Failure]) -> Failure:
    """Return the one that counts; there is at least one."""
    return min(failures, key=lambda failure: failure.rank)


OF_ITSELF = (PreflightFailed.code, PartyStopped.code, PartyFailed.code, SharesDisagree.code)
"""What a party can say of itself alone, once versions and clocks have been compared."""


def first_hand(
    plain: Mapping[str, object], teller: str, parties: Collection[str], step: Step
) -> Failure | None:
    """Return what a peer says failed at itself or was noticed by it; none if it only heard of a failure.

    A peer that says nothing sensible, or of another party what only that one could say, is what failed, at this `step`.
    """
    if plain == HEARD_OF:
        return None
    found = relayed(plain, teller, parties, step)
    of_another = found.code in OF_ITSELF and found.party != teller and found.step is not Step.CHECK
    return Failure(LinkBroken.code, teller, step) if of_another else found


def relayed(plain: Mapping[str, object], teller: str, parties: Collection[str], step: Step) -> Failure:
    """Return what a peer knows from anybody; a peer that says nothing sensible is what failed."""
    try:
        failure = Failure.read(dict(plain))
    except Malformed:
        return Failure(LinkBroken.code, teller, step)
    return failure if failure.party in parties else Failure(LinkBroken.code, teller, step)


HEARD_OF: Mapping[str, object] = {"heard": True}
"""What a party says in the first round that has no failure of its own to tell."""


def of_box(stage: Entry, problem: DarkroomError, own: str, parties: Collection[str]) -> Told:
    """Return what a stage of this side's own failed with, as the others hear it.

    That the box that reads rows gave up depends on the rows (a value out of range, a repeated key), and so does
    nothing else before it: peers hear one code for all of that, and for everything that the keeper refuses.
    """
    detail = f"{stage}: {problem}"
    if isinstance(problem, PeerLost):  # the keeper names the party whose box did not come
        lost = problem.where if problem.where in parties else own
        return Told(Failure(PeerLost.code, lost, Step.EXTRACT), detail)
    if isinstance(problem, Unreachable):
        return Told(Failure(PartyStopped.code, own, _step(stage)), detail)
    if not isinstance(problem, BoxFailed):
        return Told(Failure(PreflightFailed.code, own, Step.EXTRACT), detail)
    if problem.where in STOPPED:
        return Told(Failure(PartyStopped.code, own, _step(stage)), detail)
    if problem.where in _OWN_ROWS or (stage is Entry.EXTRACT and problem.where != PEER_ENDED):
        return Told(Failure(PreflightFailed.code, own, Step.EXTRACT), detail)
    code = problem.where if problem.where in _FROM_BOX else PartyFailed.code
    return Told(Failure(code, own, Step.COMPUTE), detail, uncertain=code == PeerLost.code)


_OWN_ROWS = ("extract.keys", "party.rows")
"""How the box of the protocol says, before it speaks to others, that the own rows cannot be matched or did not come."""

_FROM_BOX = (SharesDisagree.code, LinkBroken.code, PeerLost.code)
"""What a box of the protocol says of others; every other reason of it is its owner's."""


def _step(stage: Entry) -> Step:
    return Step.EXTRACT if stage is Entry.EXTRACT else Step.COMPUTE
