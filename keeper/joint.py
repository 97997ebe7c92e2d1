"""A keeper's part in joint computations: keys for its own boxes, once it knows the boxes at the other ends.

    own agent ── joint-own ──► own box statement and plan ──► the agents of the peers
    own agent ── joint-peers ─► theirs, each verified ─► the own party box has its keys
    own agent ── joint-receipt ─► a signed receipt ──► the peers ── joint-keep ──► kept there

Who may lie: the centre, the agents and whoever reaches the socket carry all of this, and none is believed. The own
launcher is believed about its own boxes; a peer's launcher, through the roster under the peer's root key, about the
peer's; a peer's data and figures by nobody here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keeper import joint_rules
from keeper.config import KeeperConfig
from keeper.joint_owner import OwnPart, OwnReading, own_part
from keeper.joint_quota import CHARGED, JointQuotas, Run
from keeper.keyring import Keyring
from keeper.leases import Ground
from keeper.meeting import WAIT_S, AttemptName, Meeting, Peer, Shown
from keeper.peers import Peers
from keeper.trust import TrustedSet
from keys import api as keys
from mpc import api as mpc
from plans import joint as joints
from plans.box import Entry
from plans.constraints import MaskKind
from plans.errors import HashMismatch, NotFound, Outdated, PolicyDenied, SignatureWrong, StateConflict
from plans.joint import MOST_ATTEMPTS, JointPlan, JointReading, Receipt
from plans.key import BoxKeys
from plans.plan import Plan
from plans.reading import Reading, Shadow
from plans.statements import BoxStatement, Duty, Signed, Type

BEGUN, RECEIPT = "joint-begun", "joint-receipt"
"""Kinds of lines of the journal: a stage of an attempt has its keys; a receipt, of this party or of a peer."""


@dataclass(frozen=True, slots=True)
class Side:
    """What of its keeper this part uses. `note` writes a line of the journal durably and has it taken in."""

    config: KeeperConfig
    trusted: TrustedSet
    keyring: Keyring
    peers: Peers
    lock: threading.RLock
    note: Callable[[str, dict[str, Any]], None]
    now: Callable[[], int]
    require_unlocked: Callable[[], None]


Reader = Callable[[JointPlan], JointReading]
"""Has a joint statement read in the own checker box (`keeper.joint_reading`)."""

StandInReader = Callable[[JointPlan, int], tuple[Reading, tuple[Shadow, ...]]]
"""Has the statement on which the own decision rests (of the portion at this place) read in the own checker box, and
returns on which likenesses.
"""


class JointDesk:
    """The joint computations of one keeper; safe under threads. Readers and waiting are outside the keeper's lock."""

    def __init__(self, side: Side, reader: Reader, stand_in: StandInReader) -> None:
        self._side, self._reader, self._stand_in = side, reader, stand_in
        self.quotas = JointQuotas()
        self.meeting = Meeting()
        self.wait_s = WAIT_S
        self._begun: dict[tuple[str, Entry], int] = {}
        self._receipts: dict[AttemptName, dict[str, Signed]] = {}
        self._ran: dict[AttemptName, tuple[dict[str, Any], list[dict[str, Any]]]] = {}

    def take_in(self, kind: str, entry: Mapping[str, Any], at: int) -> None:
        """Remember a line of the journal; lines of other kinds are not about joint computations."""
        if kind == CHARGED:
            self.quotas.take_in(entry, at)
        elif kind == BEGUN:
            self._begun[entry["joint"], Entry(entry["stage"])] = entry["attempt"]
        elif kind == RECEIPT:
            signed = Signed.read(entry["signed"])
            body = Receipt.read(signed.statement.body)
            attempt = AttemptName(body.joint, body.attempt)
            self._receipts.setdefault(attempt, {})[body.party] = signed
            if "plan" in entry:
                self._ran[attempt] = entry["plan"], entry["records"]

    # --- keys -----------------------------------------------------

    def keys_of(self, plan: Plan, box: BoxStatement, signed: Signed) -> tuple[BoxKeys, Ground]:
        """Return the keys of a box of this party, and all that its right to run rests on.

        Raises:
            DarkroomError: any rule of `keeper.joint_rules` or `keeper.joint_owner` that does not hold.
            BudgetSpent: there is no room for the answer.
            StateConflict: a box of this stage and attempt has its keys already, or the plan is over.
            PeerLost: the box of a peer did not come in time.
        """
        side, until = self._side, time.monotonic() + self.wait_s
        joint = joint_rules.require_joint(plan, side.now())
        with side.lock:  # nothing is read for plans that nobody here has approved
            self._require(plan, joint, side.now())
        read = self._read(joint)
        with side.lock:
            now = side.now()
            approvals = self._require(plan, joint, now)
            own = own_part(joint, read, side.trusted, now) if read is not None else None
            rests_on = (*approvals, *(own.rests_on if own else ()))
            self._begin(joint, box, own, now)
        ground = Ground(plan.digest, signed.statement.signer, rests_on)
        if box.stage is Entry.EXTRACT and own is not None:
            return self._extract_keys(plan, box, own), ground
        found = self._met(joint, box, Shown(signed, plan), until)
        with side.lock:
            now = side.now()
            if not side.trusted.standing(rests_on, now):
                raise PolicyDenied(
                    "what the attempt rests on was revoked while it waited for its peers", "keeper"
                )
            for domain, peer in found.items():
                if not side.peers.holds(domain, peer.launcher, Duty.LAUNCHER, now):
                    raise SignatureWrong(
                        f"the launcher of {domain} has left its roster meanwhile", "box statement"
                    )
        ends = joint_rules.ends_of_links(plan, {domain: peer.box for domain, peer in found.items()})
        vouched = tuple((domain, peer.launcher) for domain, peer in sorted(found.items()))
        return BoxKeys({}, {}, "", links=self._links(plan, box), peers=ends), replace(ground, peers=vouched)

    def _read(self, joint: JointPlan) -> OwnReading | None:
        """Return what the own checker box finds in the statements of a joint plan; nothing for who owns nothing."""
        place = joint.owns(self._side.config.domain)
        if place is None:
            return None
        return OwnReading(self._reader(joint), *self._stand_in(joint, place))

    def _require(self, plan: Plan, joint: JointPlan, now: int) -> tuple[str, ...]:
        """Return the own approvals of a joint plan, if this party's plan follows from it and its parties are known."""
        side, domain = self._side, self._side.config.domain
        joint.party(domain)
        approvals = joint_rules.require_approved(side.trusted, joint, now)  # before any work on its content
        side.peers.require_parties(joint, now)
        mpc.require_same(joint)
        joint_rules.require_images(joint, domain, side.config.work_images)
        joint_rules.require_boxes(plan, joint, domain, side.config.limits)
        return approvals

    def _begin(self, joint: JointPlan, box: BoxStatement, own: OwnPart | None, now: int) -> None:
        """Write down that a box has its keys, and charge for the answer, before it has them."""
        begun = self._begun.get((joint.digest, box.stage), 0)
        if box.attempt <= begun or self._signed(AttemptName(joint.digest, box.attempt)) is not None:
            raise StateConflict(
                "a box of this attempt has its keys already, or the attempt is over",
                f"attempt {box.attempt}",
                "Order the next attempt; every attempt has keys of its own.",
            )
        _require_number(box.attempt)
        self._require_open(joint.digest)
        if box.stage is Entry.EXTRACT and own is not None:
            self._charge(Run(joint, own.place, own.dataset, box.attempt), own, first=begun == 0, now=now)
        self._side.note(BEGUN, {"joint": joint.digest, "stage": box.stage.value, "attempt": box.attempt})

    def _charge(self, run: Run, own: OwnPart, *, first: bool, now: int) -> None:
        side, joint = self._side, run.joint
        if first:
            side.trusted.require_run(joint.request.digest)
        line = self.quotas.charge(run, own.rules, now)
        if line is not None:
            side.note(CHARGED, line | {"columns": self.quotas.of_columns(own.columns, now)})
        if first:
            side.note("use", {"grants": list(own.grants), "request": joint.request.digest})

    def _require_open(self, joint: str) -> None:
        """Refuse a joint plan that ended well here: another attempt would have other noise, or another input of a
        peer that swaps its own, and its answer would tell more, for the one charge.

        A good end of which a peer has signed that it failed there is none: that receipt is kept, so its good one is
        refused for ever, and without all of them nothing is handed over here (`sandbox.opening`).
        """
        kept = [receipts for attempt, receipts in self._receipts.items() if attempt.joint == joint]
        if any(_good_end(receipts, self._side.config.domain) for receipts in kept):
            raise StateConflict(
                "this joint plan has ended well here, and is answered once",
                "attempt",
                "Fetch what that end left, or ask anew.",
            )

    def _extract_keys(self, plan: Plan, box: BoxStatement, own: OwnPart) -> BoxKeys:
        """Return the keys of both files of the own relation: identifiers too, which no other box of a member has."""
        ring = self._side.keyring
        files = {item.name: ring.data_key(item.name).hex() for item in plan.stage(box.stage).inputs}
        masked = any(mask.kind is MaskKind.PSEUDONYM for mask in own.relation.masks)
        pseudonyms = {own.relation.name: ring.pseudonym_key(own.dataset).hex()} if masked else {}
        return BoxKeys(files, {}, "", pseudonyms, self._links(plan, box))

    def _met(self, joint: JointPlan, box: BoxStatement, own: Shown, until: float) -> Mapping[str, Peer]:
        """Return the boxes of all other parties, once they are there; the own one is shown to them.

        `until` counts from the launcher's question, so that its patience covers what was read before.
        """
        attempt = AttemptName(joint.digest, box.attempt)
        self.meeting.show(attempt, own)
        others = [party.domain for party in joint.parties if party.domain != self._side.config.domain]
        return self.meeting.wait(attempt, others, max(0.0, until - time.monotonic()))

    def _links(self, plan: Plan, box: BoxStatement) -> dict[str, str]:
        """Return the keys of links between own boxes. Those to other parties have keys that only the boxes know."""
        return {
            link.name: self._side.keyring.stage_key(plan.digest, box.attempt, f"link/{link.name}").hex()
            for link in plan.stage(box.stage).links
            if link.peer.startswith("stage:")
        }

    def left(self, dataset: str) -> list[dict[str, Any]]:
        """Return what is left of the quotas of a dataset together with others: for the owner."""
        policy = self._side.trusted.in_force()[1].policy(dataset)
        return self.quotas.status(dataset, policy.joint if policy else None, self._side.now())

    # --- what agents carry -----------------------------------------------------

    def require_approved(self, joint: JointPlan) -> None:
        """Say whether own approvers have signed a joint plan, before the own agent dials anybody whom it names.

        Raises:
            PolicyDenied: no approval by them stands.
        """
        with self._side.lock:
            joint_rules.require_approved(self._side.trusted, joint, self._side.now())

    def own(self, joint: str, attempt: int, wait_s: float = 0.0) -> Shown:
        """Return the own party box's statement, and its plan, for the peers.

        Raises:
            NotFound: the own box has not asked for its keys (yet).
        """
        found = self.meeting.own(AttemptName(joint, attempt), wait_s)
        if found is None:
            raise NotFound(
                "the own box of this attempt has not asked for its keys yet", "attempt", "Ask again."
            )
        return found

    def bring(self, joint: str, attempt: int, told: Sequence[Shown]) -> None:
        """Take what the peers' sides say of their boxes.

        Raises:
            DarkroomError: one is not the box of its party in this attempt (`joint_rules.require_peer_box`).
            PolicyDenied: nobody here has approved the joint plan.
        """
        side = self._side
        _require_number(attempt)
        for each in told:
            plan = self._approved(each.plan, joint)
            with side.lock:
                domain = each.signed.statement.domain
                box = joint_rules.require_peer_box(each, plan, attempt, side.peers, side.now())
            launcher = each.signed.statement.signer
            self.meeting.bring(AttemptName(joint, attempt), domain, Peer(box, launcher))

    def _approved(self, plan: Plan, joint: str) -> JointPlan:
        """Return the joint plan behind a plan, if it is the one that is meant and stands approved here."""
        found = joints.joint_of(plan.material)
        if found.digest != joint:
            raise HashMismatch("a peer's box is of another joint plan", "box statement")
        self.require_approved(found)
        return found

    # --- receipts -----------------------------------------------------

    def receipt(self, receipt: Receipt, plan: Plan, records: Sequence[Signed]) -> Signed:
        """Sign what the own side did in an attempt; asked again, the same. An attempt has one end.

        Raises:
            DarkroomError: the launcher's records do not say so (`joint_rules.require_receipt`).
            StateConflict: another receipt of this attempt was signed before.
        """
        side, attempt = self._side, AttemptName(receipt.joint, receipt.attempt)
        side.require_unlocked()  # a keeper from a backup may have signed another end, and forgotten it
        joint = joints.joint_of(plan.material)
        with side.lock:
            known = self._signed(attempt)
            if known is not None and known.statement.body == receipt.plain():
                return known
            if known is not None:
                raise StateConflict(
                    "another end of this attempt was signed already", f"attempt {attempt.number}"
                )
            self._require_known(receipt)
            if not receipt.code:  # attempts may have had keys before the first of them had its end
                self._require_open(receipt.joint)
            if (receipt.joint, receipt.party) != (joint.digest, side.config.domain):
                raise StateConflict("the receipt is about another joint plan or party", "receipt")
            joint_rules.require_boxes(plan, joint, side.config.domain, side.config.limits)
            joint_rules.require_receipt(receipt, plan, tuple(records), side.trusted)
            draft = keys.Draft(Type.RECEIPT, side.config.domain, Duty.KEEPER, receipt, not_before=side.now())
            signed = keys.sign(draft, side.keyring.signer)
            ran = [record.plain() for record in records]
            side.note(RECEIPT, {"signed": signed.plain(), "plan": plan.plain(), "records": ran})
            return signed

    def keep(self, signed: Signed) -> None:
        """Keep a peer's receipt; the first of an attempt counts.

        Raises:
            SignatureWrong: no keeper of that peer signed it.
            StateConflict: it says something else than the one that is kept; both together show that the peer lies.
        """
        side = self._side
        with side.lock:
            receipt = joint_rules.require_peer_receipt(signed, side.peers, side.now())
            self._require_known(receipt)
            kept = self._receipts.get(AttemptName(receipt.joint, receipt.attempt), {}).get(receipt.party)
            if kept is None:
                side.note(RECEIPT, {"signed": signed.plain()})
            elif kept.statement.body != signed.statement.body:
                raise StateConflict(f"{receipt.party} has signed two ends of one attempt", "receipt")

    def receipts(self, joint: str, attempt: int) -> tuple[Signed, ...]:
        """Return the receipts of an attempt that are kept here, the own one included, by party."""
        with self._side.lock:
            kept = self._receipts.get(AttemptName(joint, attempt), {})
            return tuple(kept[party] for party in sorted(kept))

    def ran(self, joint: str, attempt: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the plan of the own boxes and its launcher's records, in plain form, on which the own receipt rests.

        Raises:
            NotFound: the attempt has no end yet.
        """
        with self._side.lock:
            found = self._ran.get(AttemptName(joint, attempt))
        if found is None:
            raise NotFound("this keeper has signed no receipt of this attempt", f"attempt {attempt}")
        return found

    def _signed(self, attempt: AttemptName) -> Signed | None:
        return self._receipts.get(attempt, {}).get(self._side.config.domain)

    def _require_known(self, receipt: Receipt) -> None:
        """Keep receipts only of what own approvers once approved: else anybody could fill the journal."""
        if receipt.joint not in self._side.trusted.approvals or not 1 <= receipt.attempt <= MOST_ATTEMPTS:
            raise PolicyDenied("nobody here has approved the joint plan of this receipt", "receipt")


def _require_number(attempt: int) -> None:
    if not 1 <= attempt <= MOST_ATTEMPTS:
        raise Outdated(f"a joint plan has at most {MOST_ATTEMPTS} attempts", "attempt", "Ask anew.")


def _good_end(kept: Mapping[str, Signed], own: str) -> bool:
    """Return whether an attempt ended well at the own side, and no receipt that is kept says that it failed."""
    return own in kept and not any(Receipt.read(each.statement.body).code for each in kept.values())
