"""Sides that are played: a keeper and a launcher of threads and real sockets, so that agents can be tested cheaply.

A played box of the protocol speaks with the boxes at the other ends of its links, through both agents: each sends a
block that names sender and receiver, ends its stream, and expects the other's to the last byte. What is wrong there it
reports as a real box does, by its code.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from keys.signing import Draft, SigningKey, sign, verify
from mpc.agent.owner import BoxOf, Side
from plans import frames
from plans.box import BoxSpec, BoxState, Entry, Link, Outputs
from plans.decision import Tier
from plans.errors import BoxFailed, DarkroomError, LinkBroken, NotFound, PeerLost, SignatureWrong
from plans.handover import OPENED
from plans.joint import JointPlan, Receipt
from plans.plan import Plan, PlanKind
from plans.statements import BoxStatement, Duty, Signed, StageOutput, StageRecord, Type
from sandbox.client import StageResult
from tests.plans.examples import LIMITS, NONCE, OPENING, digest

WALL = replace(LIMITS, memory_mb=4_096, wall_s=600)
BLOCK = 50_000
"""Bytes that played boxes send each other, by default."""


def plan_of(joint: JointPlan, domain: str) -> Plan:
    """A party's plan, as `mpc.api.party_plan` derives it in its form."""
    domains = [party.domain for party in joint.parties]
    links = tuple(
        Link(f"peer-{place}", f"party:{peer}") for place, peer in enumerate(domains) if peer != domain
    )
    stages: tuple[BoxSpec, ...] = ()
    if joint.owns(domain) is not None:
        stages = (
            BoxSpec(
                Entry.EXTRACT, joint.extract_image, (), WALL, Tier.T1,
                links=(Link("rows-0", "stage:party"),), outputs=Outputs(0),
            ),
        )  # fmt: skip
        links = (Link("rows-0", "stage:extract"), *links)
    left = Outputs(1, (OPENED,)) if domain in joint.handing else Outputs(0)
    party = BoxSpec(Entry.PARTY, joint.party_image, (), WALL, Tier.T1, links=links, outputs=left)
    return Plan(
        PlanKind.JOINT, domain, None, "", None, None, joint.canonical().decode(), (*stages, party),
        joint.nonce, joint.made_at,
    )  # fmt: skip


@dataclass(slots=True)
class PlayedKeeper:
    """A keeper that gives no keys, but waits and signs as one does."""

    domain: str
    key: SigningKey = field(default_factory=SigningKey.fresh)
    known: dict[str, str] = field(default_factory=dict)
    """The keepers' public keys of all parties, as rosters would say them."""
    shown: dict[int, BoxOf] = field(default_factory=dict)
    brought: dict[int, set[str]] = field(default_factory=dict)
    kept: list[Receipt] = field(default_factory=list)
    signed: dict[int, Signed] = field(default_factory=dict)
    letters: dict[int, dict[str, Signed]] = field(default_factory=dict)
    """The receipts of an attempt by party, the own one included."""
    plans: dict[int, Plan] = field(default_factory=dict)
    refuses: dict[str, DarkroomError] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    delay_s: float = 0.0
    """How long it takes to sign a receipt."""

    def approved(self, joint: JointPlan) -> None:
        self._perhaps("approved")

    def own(self, joint: str, attempt: int) -> BoxOf | None:
        self._perhaps("own")
        with self.changed:
            self.changed.wait_for(lambda: attempt in self.shown, 0.5)
            return self.shown.get(attempt)

    def bring(self, joint: str, attempt: int, peers: list[BoxOf]) -> None:
        self._perhaps("bring")
        with self.changed:
            for each in peers:
                statement = verify(each.signed)
                if BoxStatement.read(statement.body).attempt != attempt:
                    raise SignatureWrong("a box of another attempt", statement.domain)
                self.brought.setdefault(attempt, set()).add(statement.domain)
            self.changed.notify_all()

    def receipt(self, receipt: Receipt, plan: Plan, records: list[Signed]) -> Signed:
        self._perhaps("receipt")
        time.sleep(self.delay_s)
        draft = Draft(Type.RECEIPT, self.domain, Duty.KEEPER, receipt, not_before=int(time.time()))
        self.plans[receipt.attempt] = plan
        found = self.signed.setdefault(receipt.attempt, sign(draft, self.key))
        self.letters.setdefault(receipt.attempt, {})[self.domain] = found
        return found

    def keep(self, receipt: Signed) -> None:
        statement = verify(receipt)
        if self.known.get(statement.domain) != statement.signer:
            raise SignatureWrong("no keeper of that party signed it", statement.domain)
        body = Receipt.read(statement.body)
        self.kept.append(body)
        self.letters.setdefault(body.attempt, {})[body.party] = receipt

    def ended(self, joint: str, attempt: int) -> tuple[Plan, tuple[Signed, ...]]:
        if attempt not in self.plans:
            raise NotFound("no receipt of this attempt was signed", f"attempt {attempt}")
        return self.plans[attempt], tuple(self.letters[attempt].values())

    def _perhaps(self, what: str) -> None:
        if what in self.refuses:
            raise self.refuses[what]


@dataclass(slots=True)
class PlayedLauncher:
    """A launcher whose boxes are threads. `before` and `after` run in the box of the protocol, at its begin and end;
    `fails` is what a stage fails with at once.
    """

    domain: str
    keeper: PlayedKeeper
    links: Path
    key: SigningKey = field(default_factory=SigningKey.fresh)
    fails: dict[Entry, DarkroomError] = field(default_factory=dict)
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    block: int = BLOCK
    plans: dict[str, Plan] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    cancelled: dict[int, threading.Event] = field(default_factory=dict)
    ran: list[tuple[Entry, int]] = field(default_factory=list)

    def put(self, plan: Plan) -> None:
        self.plans[plan.digest] = plan

    def status(self) -> dict[str, Any]:
        return {"domain": self.domain, "tiers": [{"tier": "T1"}], "images": self.images, "boxes": []}

    def cancel(self, plan: str, stage: Entry, attempt: int) -> None:
        self._ending(attempt).set()

    def _ending(self, attempt: int) -> threading.Event:
        return self.cancelled.setdefault(attempt, threading.Event())

    def run(
        self, plan: str, stage: Entry, attempt: int, on_state: Callable[[BoxState], None] | None = None
    ) -> StageResult:
        spec = self.plans[plan].stage(stage)
        self.ran.append((stage, attempt))
        if stage in self.fails:
            raise self.fails[stage]
        if stage is Entry.PARTY:
            self._party(self.plans[plan], spec, attempt)
        left = (StageOutput(OPENED, digest("9"), 8),) if spec.outputs.files else ()
        record = StageRecord(plan, stage, attempt, (), left, {})
        draft = Draft(Type.STAGE, self.domain, Duty.LAUNCHER, record, not_before=int(time.time()))
        return StageResult(sign(draft, self.key), {})

    def _party(self, plan: Plan, spec: BoxSpec, attempt: int) -> None:
        """Be the box of the protocol, and its launcher."""
        ends = {
            link.peer.partition(":")[2]: self._link(plan, attempt, link)
            for link in spec.links
            if link.peer.startswith("party:")
        }
        try:
            self._keys(plan, spec, attempt, set(ends))
            if self.before:
                self.before()
            threads = [threading.Thread(target=self._send, args=(peer, end)) for peer, end in ends.items()]
            for thread in threads:
                thread.start()
            for peer, end in ends.items():
                self._expect(peer, end, attempt)
            for thread in threads:
                thread.join(30)
            if self.after:
                self.after()
            if self._ending(attempt).is_set():
                raise BoxFailed("the box was cancelled", "box.cancelled")
        finally:
            for end in ends.values():
                end.close()

    def _link(self, plan: Plan, attempt: int, link: Link) -> socket.socket:
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(0.2)
        end.connect(str(self.links))
        whom = link.peer.partition(":")[2]
        head = {"plan": plan.digest, "stage": "party", "attempt": attempt, "link": link.name, "peer": whom}
        end.sendall(frames.pack(head))
        return end

    def _keys(self, plan: Plan, spec: BoxSpec, attempt: int, peers: set[str]) -> None:
        """Show the own box to the keeper, and wait until it knows all others."""
        body = BoxStatement(
            plan.digest, Entry.PARTY, attempt, spec.digest, spec.image, Tier.T1, (), OPENING, "node1", NONCE
        )
        draft = Draft(Type.BOX, self.domain, Duty.LAUNCHER, body, not_before=int(time.time()))
        with self.keeper.changed:
            self.keeper.shown[attempt] = BoxOf(sign(draft, self.key), plan)
            self.keeper.changed.notify_all()
        end = time.monotonic() + 30
        while not peers <= self.keeper.brought.get(attempt, set()):
            if self._ending(attempt).is_set():
                raise BoxFailed("the box was cancelled", "box.cancelled")
            if time.monotonic() > end:
                missing = min(peers - self.keeper.brought.get(attempt, set()))
                raise PeerLost("the box of a party did not come", missing)
            time.sleep(0.01)

    def _send(self, peer: str, end: socket.socket) -> None:
        try:
            end.settimeout(30)
            end.sendall(_block(self.domain, peer, self.block))
            end.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the other direction says so too

    def _expect(self, peer: str, end: socket.socket, attempt: int) -> None:
        wanted, found = _block(peer, self.domain, self.block), b""
        while True:
            if self._ending(attempt).is_set():
                raise BoxFailed("the box was cancelled", "box.cancelled")
            try:
                piece = end.recv(2**16)
            except TimeoutError:
                continue
            except OSError:
                piece = b""
            if not piece:
                break
            found += piece
        if found != wanted:
            broken = not wanted.startswith(found)
            raise BoxFailed("a link failed", LinkBroken.code if broken else PeerLost.code)


def _block(sender: str, receiver: str, size: int) -> bytes:
    line = f"{sender} to {receiver}\n".encode()
    return (line * (size // len(line) + 1))[:size]


def side_of(domain: str, folder: Path) -> tuple[Side, PlayedKeeper, PlayedLauncher]:
    """A side with its keeper and launcher; sealed shares are eight bytes."""
    keeper = PlayedKeeper(domain)
    launcher = PlayedLauncher(domain, keeper, folder / "links")
    sealed = partial(_sealed, domain)
    return (
        Side(domain, keeper, launcher, lambda joint: plan_of(joint, domain), sealed),
        keeper,
        launcher,
    )


def _sealed(domain: str, plan: str, attempt: int) -> bytes:
    return f"{domain} {attempt}".encode()
