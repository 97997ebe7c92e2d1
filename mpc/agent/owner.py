"""What an agent asks of its own side: the keeper and the launcher.

Both are reached by their sockets and block; an attempt asks them from threads. The keeper lies above this room, so it
is known here by what it answers (`keeper.joint`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from plans import frames
from plans.box import BoxState, Entry
from plans.errors import NotFound
from plans.joint import JointPlan, Receipt
from plans.plan import Plan
from plans.statements import Signed
from sandbox import api as sandbox

OWN_WAIT_S = 5.0
"""Seconds for which the keeper is asked to wait for the own box's statement; then it is asked again."""

ASK_S = 60.0


@dataclass(frozen=True, slots=True)
class BoxOf:
    """What a side says of its box of the protocol: the statement that its launcher signed, and its plan."""

    signed: Signed
    plan: Plan

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {"signed": self.signed.plain(), "plan": self.plan.plain()}

    @classmethod
    def read(cls, plain: Mapping[str, Any]) -> BoxOf:
        """Read it from plain JSON values; raises `Malformed`."""
        return cls(Signed.read(plain.get("signed")), Plan.read(plain.get("plan")))


class Keeper(Protocol):
    """The own keeper, for one agent."""

    def approved(self, joint: JointPlan) -> None:
        """Check that an own approver has signed a joint plan, and that it stands; raises `PolicyDenied`."""
        ...

    def own(self, joint: str, attempt: int) -> BoxOf | None:
        """Return the own box's statement once its launcher has asked for keys; none if that takes some seconds."""
        ...

    def bring(self, joint: str, attempt: int, peers: Sequence[BoxOf]) -> None:
        """Hand over what the peers say of their boxes; raises what the keeper finds wrong with one."""
        ...

    def receipt(self, receipt: Receipt, plan: Plan, records: Sequence[Signed]) -> Signed:
        """Return the own receipt of an attempt, signed; raises what does not fit the launcher's records."""
        ...

    def keep(self, receipt: Signed) -> None:
        """Have a peer's receipt kept; raises `SignatureWrong` and others."""
        ...

    def ended(self, joint: str, attempt: int) -> tuple[Plan, tuple[Signed, ...]]:
        """Return the plan of the own boxes in an attempt whose end was signed, and the receipts that are kept of it.

        Raises:
            NotFound: the keeper has signed no end of it.
        """
        ...


class Launcher(Protocol):
    """The own launcher (`sandbox.api.LauncherClient`)."""

    def put(self, plan: Plan) -> None: ...

    def run(
        self, plan: str, stage: Entry, attempt: int, on_state: Callable[[BoxState], None] | None = None
    ) -> sandbox.StageResult: ...

    def cancel(self, plan: str, stage: Entry, attempt: int) -> None: ...

    def status(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Side:
    """The own side of an agent. `derive` is `mpc.api.party_plan` with this side's limits; `opened` gets what the own
    box left for the recipient, by the plan's digest and the attempt.
    """

    domain: str
    keeper: Keeper
    launcher: Launcher
    derive: Callable[[JointPlan], Plan]
    opened: Callable[[str, int], bytes]


@dataclass(frozen=True, slots=True)
class KeeperSocket:
    """A keeper behind its socket."""

    path: Path

    def approved(self, joint: JointPlan) -> None:
        """Check that an own approver has signed a joint plan."""
        self._ask("joint-approved", joint=joint.plain())

    def own(self, joint: str, attempt: int) -> BoxOf | None:
        """Return the own box's statement, or none if it is not there yet."""
        with contextlib.suppress(NotFound):
            wait_ms = int(OWN_WAIT_S * 1000)
            return BoxOf.read(self._ask("joint-own", joint=joint, attempt=attempt, wait_ms=wait_ms))
        return None

    def bring(self, joint: str, attempt: int, peers: Sequence[BoxOf]) -> None:
        """Hand over what the peers say of their boxes."""
        self._ask("joint-peers", joint=joint, attempt=attempt, peers=[peer.plain() for peer in peers])

    def receipt(self, receipt: Receipt, plan: Plan, records: Sequence[Signed]) -> Signed:
        """Return the own receipt, signed."""
        told = [record.plain() for record in records]
        answer = self._ask("joint-receipt", receipt=receipt.plain(), plan=plan.plain(), records=told)
        return Signed.read(answer.get("receipt"))

    def keep(self, receipt: Signed) -> None:
        """Have a peer's receipt kept."""
        self._ask("joint-keep", receipt=receipt.plain())

    def ended(self, joint: str, attempt: int) -> tuple[Plan, tuple[Signed, ...]]:
        """Return the plan of the own boxes in an attempt that has an end, and its receipts."""
        ran = self._ask("joint-ran", joint=joint, attempt=attempt)
        kept = self._ask("joint-receipts", joint=joint, attempt=attempt).get("receipts")
        receipts = kept if isinstance(kept, list) else ()
        return Plan.read(ran.get("plan")), tuple(Signed.read(each) for each in receipts)

    def _ask(self, operation: str, **members: Any) -> dict[str, Any]:
        return frames.ask(self.path, {"op": operation, **members}, ASK_S)
