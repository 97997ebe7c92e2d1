"""The keeper: what it does with a question, step by step.

Sockets are elsewhere (`keeper.server`), and so are the rules (`keeper.trust`, `keeper.evidence`,
`keeper.rederive`).

Everything that changes what the keeper believes is written to the journal first, and believed then; so a
keeper that is killed at any moment starts again with all that it ever answered for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from audit import api as audit
from keeper import ledger_desk, models
from keeper.budgets import REFUNDED, Budgets
from keeper.challenges import Challenges
from keeper.config import KeeperConfig
from keeper.evidence import require_box, require_chain, require_record
from keeper.fitting import require_fitting
from keeper.held import HeldNote, HeldOutputs
from keeper.joint import JointDesk, Side
from keeper.joint import Reader as Joint
from keeper.joint_reading import JointReader
from keeper.journal import Journal, hold
from keeper.keyring import Keyring
from keeper.launcher import OwnLauncher
from keeper.leases import Ground, Leases
from keeper.ledger import BEGUN, CLOSED, PAGE, Ledger
from keeper.ledger_book import Book
from keeper.ledger_case import Case, asking_stages, case_of
from keeper.peers import PEER, Peers
from keeper.readings import Reader, Readings
from keeper.rederive import House, require_request, require_same
from keeper.reviewing import ReviewDesk, files_of
from keeper.stage_keys import stage_keys
from keeper.telling import told_of
from keeper.trust import TrustedSet
from keeper.twin_memory import Twins
from keys import api as keys
from plans.decision import Decision
from plans.errors import NotFound, OutputRefused, StateConflict
from plans.joint import JointPlan
from plans.key import BoxKeys, SealedKeys
from plans.manifest import Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Reading, Shadow
from plans.release import KEYS_INFO, Release
from plans.request import Request, RequestKind
from plans.statements import BoxStatement, Duty, Erasure, Head, Refund, Signed, Type
from plans.verdict import Finding, Verdict
from policies import api as policies
from sandbox import api as sandbox

_TAKEN_WHILE_LOCKED = (Type.ROSTER, Type.REVOCATION, Type.ERASURE)

CLOCK_NOTE_S = 600
"""Seconds after which the time is written down anew, so that a clock set back shows after a restart as well."""


class Keeper:
    """One domain's keeper. Its methods are safe under threads; checker boxes run outside the lock."""

    def __init__(
        self,
        config: KeeperConfig,
        reader: Reader | None = None,
        clock: Callable[[], float] = time.time,
        joint_reader: Joint | None = None,
    ) -> None:
        self.config = config
        self.launcher = OwnLauncher(config.launcher_socket, self._require_record)
        self.readings = Readings(config, reader or partial(sandbox.read_statement, self.launcher))
        self._clock = clock
        self.keyring = Keyring(config.keyring)
        self.trusted = TrustedSet(config.domain, config.root)
        self.leases = Leases()
        self.reviews = ReviewDesk(HeldOutputs(config.home / "held", self.keyring), self.trusted)
        self.twins = Twins()
        self.budgets = Budgets(self.note)
        self.lock = threading.RLock()
        self.peers = Peers(config.domain, {**config.peers, config.domain: config.root})
        self.ingesting = threading.Lock()
        self.weighing = threading.Lock()
        self._hold = hold(config.home / "lock")
        self._journal = Journal(config.home / "journal", config.keyring / "mark")
        self.ledger = Ledger(Book(config.home / "ledger", self.keyring), self.note)
        self._challenges = Challenges()
        self._ingests: dict[str, BoxKeys] = {}
        self._released: dict[str, Signed] = {}
        self._house = House(config.images, config.limits, config.work_images)
        knows = config, self.trusted, self.keyring, self.peers, self.lock
        side = Side(*knows, self.note, self.now, self._require_unlocked)
        self.joint = JointDesk(side, joint_reader or JointReader(config, self.launcher), self._own_reading)
        self._noted = 0
        self._replay()

    # --- memory -----------------------------------------------------

    def believe(self, signed: Signed) -> None:
        """Verify a statement, write it down, and believe it. Offering it again changes nothing."""
        with self.lock:
            now = self.now()
            if self._known(signed):
                return
            numbers = self.trusted.after(signed, now)
            if signed.statement.type is Type.REVIEW:
                self.reviews.require_open(signed.statement)
            if signed.statement.type not in _TAKEN_WHILE_LOCKED:
                self._require_unlocked()
            require_fitting(signed.statement, self.trusted.current_manifests())
            numbers |= self.peers.numbers()
            self._journal.append("statement", now, {"signed": signed.plain()}, numbers)
            self.trusted.add(signed, now)
            if signed.statement.type is Type.ERASURE:
                self.reviews.erase(Erasure.read(signed.statement.body).manifest)
            if signed.statement.type is Type.ROSTER and self._journal.restored:
                self._journal.accept_restored(numbers)

    def meet(self, signed: Signed) -> None:
        """Take a statement of another domain, or the own description as a party, if it is newer than what is held."""
        with self.lock:
            now = self.now()
            if self.peers.require_new(signed, now):
                entry = {"signed": signed.plain()}
                numbers = self._numbers() | self.peers.numbers_after(signed)
                self._journal.append(PEER, now, entry, numbers)
                self._take_in(PEER, now, entry)

    def note(self, kind: str, entry: dict[str, Any]) -> None:
        """Write a fact down, and take it in."""
        with self.lock:
            now = self.now()
            self._journal.append(kind, now, entry, self._numbers())
            self._take_in(kind, now, entry)

    def _numbers(self) -> dict[str, int]:
        return self.trusted.numbers() | self.peers.numbers()

    def now(self) -> int:
        """Return the time in Unix seconds, unless the clock was set back."""
        now = int(self._clock())
        with self.lock:
            self.trusted.tick(now)
            if now - self._noted >= CLOCK_NOTE_S:
                self._journal.append("clock", now, {}, self._numbers())
                self._noted = now
        return now

    def _replay(self) -> None:
        for kind, at, entry in self._journal.replay():
            self._take_in(kind, at, entry)
        self.trusted.floor = dict(self._journal.numbers)
        self.peers.remember(self._journal.numbers)
        for versions in self.trusted.manifests.values():
            for manifest in versions:
                if manifest.digest in self.trusted.erased:
                    self._finish_erasure(manifest)

    def _finish_erasure(self, manifest: Manifest) -> None:
        """Destroy what an erasure that was cut off may have left."""
        self.reviews.erase(manifest.digest)
        for file in manifest.files:
            self.keyring.erase_data_key(file.name)
            (self.config.data / file.name).unlink(missing_ok=True)

    def _take_in(self, kind: str, at: int, entry: dict[str, Any]) -> None:
        self.trusted.latest = max(self.trusted.latest, at)
        self._noted = self.trusted.latest
        if kind == "statement":
            self.trusted.add(Signed.read(entry["signed"]), at)
        elif kind == "use":
            self.trusted.use(tuple(entry["grants"]), entry["request"])
        elif kind == PAGE:
            self.ledger.take_in(entry["plan"], entry["page"], at)
        elif kind == BEGUN:
            self.ledger.take_in_begun(entry, at)
        elif kind == CLOSED:
            self.ledger.take_in_closed(entry["plan"])
        elif kind == "head":
            self.trusted.head = Signed.read(entry["signed"])
        elif kind == "release":
            self._released[entry["plan"]] = Signed.read(entry["signed"])
            self.ledger.settle(entry["plan"], entry.get("bits"))
        elif kind == models.DELETED:
            self.reviews.delete(entry["plan"])
        elif kind == PEER:
            self.peers.take_in(Signed.read(entry["signed"]))
        self.joint.take_in(kind, entry, at)
        self.twins.take_in(kind, entry)
        self.budgets.take_in(kind, at, entry)

    def _known(self, signed: Signed) -> bool:
        subject, kind = signed.statement.subject, signed.statement.type
        if kind is Type.ROSTER and self.trusted.roster:
            return subject == self.trusted.roster.digest and not self._journal.restored
        if kind is Type.BUNDLE and self.trusted.bundle and subject != self.trusted.bundle.digest:
            return False
        return signed.statement.digest in self.trusted.believed

    def _require_unlocked(self) -> None:
        if self._journal.restored:
            raise StateConflict(
                "this keeper was restored from a backup and may have forgotten revocations",
                self.config.domain,
                "Offer it every revocation and erasure again, then a newer roster signed by the root key.",
            )

    # --- keys for boxes -----------------------------------------------------

    def challenge(self, plan: str) -> str:
        """Return a nonce that the launcher's next box statement about this plan must carry."""
        return self._challenges.issue(plan, self.now())

    def unwrap(self, signed: Signed, plan: Plan) -> SealedKeys:
        """Seal to a box the keys of its stage, if this owner comes to the same plan by itself.

        Raises:
            DarkroomError: any rule of `keeper.evidence` or `keeper.rederive` that does not hold.
        """
        self._require_unlocked()
        with self.lock:
            now = self.now()
            offered = str(signed.statement.body.get("challenge"))
            challenge = self._challenges.take(offered, plan.digest, now)
            box = require_box(self.trusted, signed, plan, challenge, now)
        ground = Ground(plan.digest, signed.statement.signer)
        if plan.kind in (PlanKind.INGEST, PlanKind.TWIN):
            box_keys = self._ingest_keys(plan, box)
        elif plan.kind is PlanKind.JOINT:
            box_keys, ground = self.joint.keys_of(plan, box, signed)
        else:
            box_keys, rests_on = self._stage_keys(plan, box)
            ground = replace(ground, rests_on=rests_on)
        sealed = keys.seal(box.box_key, box_keys.canonical(), KEYS_INFO, box.canonical())
        lease, expires = self.leases.give(ground, self.now())
        return SealedKeys(sealed.hex(), lease, expires)

    def _stage_keys(self, plan: Plan, box: BoxStatement) -> tuple[BoxKeys, tuple[str, ...]]:
        request = require_request(plan, self.now())
        reading, shadows = self._reading(request)
        withheld = self._withheld(plan, (reading, shadows), box)
        with self.lock:
            now = self.now()
            self._require_read_on(request, shadows, now)
            decision, approvals = self._require_same(plan, reading, now)
            if box.stage is plan.reads_data:
                ledger_desk.require_room(self.ledger, self._case(plan, reading), now)
                self.trusted.require_run(request.digest)
                self.budgets.reserve(plan, self.trusted.in_force()[1], now)
                self.note("use", {"grants": list(decision.grants), "request": request.digest})
                self.budgets.open(plan)
            if box.stage is plan.ends:
                self.budgets.draw(plan)
            kept = models.contents(self.reviews.held, plan, box.stage)
            box_keys = stage_keys(self.keyring, plan, box, self.trusted.current_manifests())
            box_keys = replace(box_keys, withheld=withheld, models=kept)
            manifests = tuple(sorted(models.made_of(plan, self.reviews.held)))
        return box_keys, decision.grants + approvals + manifests

    def _require_same(self, plan: Plan, reading: Reading, now: int) -> tuple[Decision, tuple[str, ...]]:
        """Derive the plan again, over the kept models that it names as they lie here (`keeper.rederive`)."""
        request = plan.request
        kept = models.plans_behind(self.reviews.held, request) if request else ()
        return require_same(plan, reading, self.trusted, self._house, now, kept)

    def _withheld(
        self, plan: Plan, read: tuple[Reading, tuple[Shadow, ...]], box: BoxStatement
    ) -> tuple[tuple[int, ...], ...]:
        """Return the rows that a box which protects or judges keeps back, and charge for what it will let out.

        A large table takes seconds against a large ledger. So this is outside the keeper's lock, or every box would
        miss its lease meanwhile; one plan is weighed at a time.
        """
        if box.stage not in asking_stages(plan) or plan.request is None:
            return ()
        with self.lock:
            now = self.now()
            self._require_read_on(plan.request, read[1], now)
            self._require_same(plan, read[0], now)
            case = self._case(plan, read[0])
        with self.weighing:
            found = self.config.launcher_home, self.keyring
            return ledger_desk.kept_back(self.ledger, case, (plan, box), found, now)

    def _case(self, plan: Plan, reading: Reading) -> Case | None:
        return case_of(plan, reading, self.trusted.current_manifests())

    def _reading(self, request: Request) -> tuple[Reading, tuple[Shadow, ...]]:
        """Return what the owner's checker box finds in a statement, and the likenesses on which it was read.

        A task is not read by anybody: what it uses is said in it.

        Two members, or one in two roles, may see different likenesses, and what was read on the one counts for
        that one only: they are part of the check plan, by whose digest readings are kept.
        """
        if request.kind is not RequestKind.SQL:
            return policies.reading_of_task(request), ()
        shadows = self._shadows(request, self.now())
        return self.readings.read(request.statement, shadows), shadows

    def _own_reading(self, joint: JointPlan, place: int) -> tuple[Reading, tuple[Shadow, ...]]:
        """Return what the own checker box finds in the statement on which the own decision about a portion rests."""
        shadows, portion = self._shadows(joint.request, self.now()), joint.reading.portions[place]
        own = policies.reading_of_model(portion) or self.readings.read(portion.stand_in, shadows)
        return own, shadows

    def refund(self, plan: str) -> Signed:
        """Give back what was reserved for a plan of which no box was given a key, and sign that none was.

        Raises:
            NotFound, StateConflict: nothing was reserved, or keys were given (`keeper.budgets`).
        """
        self._require_unlocked()
        with self.lock:
            body = Refund(plan, self.budgets.refundable(plan))
            signed = self.sign(Type.REFUND, body)
            self.note(REFUNDED, {"plan": plan, "signed": signed.plain()})
            return signed

    def _require_record(self, signed: Signed) -> None:
        with self.lock:
            require_record(self.trusted, signed)

    def _shadows(self, request: Request, now: int) -> tuple[Shadow, ...]:
        """Return what the asker sees of every dataset now, by policies and grants as they stand."""
        with self.lock:
            _, bundle = self.trusted.in_force()
            manifests, grants = self.trusted.current_manifests(), self.trusted.granted(request.digest)
            return policies.shadows(request, bundle, manifests, grants, now)

    def _require_read_on(self, request: Request, shadows: tuple[Shadow, ...], now: int) -> None:
        """Refuse a reading of other versions or another view: types and nulls decide how persons are counted, and
        what is shown decides whether rows may leave. `now` is the moment of the decision, or a rule could end between.
        """
        if request.kind is RequestKind.SQL and shadows != self._shadows(request, now):
            raise StateConflict(
                "a dataset, a policy or a grant changed while the statement was read",
                "keeper",
                "Submit the job again.",
            )

    def renew(self, lease: str) -> bool:
        """Return whether the box that holds this lease may go on."""
        with self.lock:
            now = self.now()
            return self.leases.renew(lease, partial(self._stands, now), now)

    def _stands(self, now: int, ground: Ground) -> bool:
        roster = self.trusted.roster
        in_office = roster is not None and roster.holds(ground.launcher, Duty.LAUNCHER)
        vouched = self.peers.vouching(ground.peers, now)
        return in_office and vouched and self.trusted.standing(ground.rests_on, now)

    # --- ingest (see keeper.ingest) -----------------------------------------------------

    def expect_ingest(self, plan: Plan, box_keys: BoxKeys) -> None:
        """Let one plan of an ingest or a twin, made at this keeper's own desk, have these keys."""
        self._ingests[plan.digest] = box_keys

    def forget_ingest(self, plan: Plan) -> None:
        """Take that back."""
        self._ingests.pop(plan.digest, None)

    def _ingest_keys(self, plan: Plan, box: BoxStatement) -> BoxKeys:
        """Return the keys of an ordered ingest for its one attempt: a second would leave copies nobody knows of."""
        if plan.digest not in self._ingests or box.attempt != 1:
            raise NotFound("nobody ordered this at this owner's desk", plan.kind.value)
        return self._ingests[plan.digest]

    # --- release, witness -----------------------------------------------------

    def release(self, plan: Plan, records: Sequence[Signed]) -> Signed:
        """Sign the release of a plan's output, if the judge box of one of our launchers let it pass.

        Raises:
            OutputRefused: the verdict is no.
            PolicyDenied: the grant was revoked, or has ended, since.
        """
        self._require_unlocked()
        with self.lock:
            if plan.digest in self._released:
                return self._released[plan.digest]
            verdict, attempt = require_chain(self.trusted, tuple(records), plan)
        if verdict.finding is Finding.REFUSED:
            raise OutputRefused("the airlock does not let this output leave", ", ".join(verdict.reasons))
        if verdict.finding is Finding.HELD or self.reviews.looks_at(plan.digest):
            return self._release_held(plan, verdict, attempt)  # what people look at has one attempt
        request = require_request(plan, self.now())
        reading, shadows = self._reading(request)
        with self.lock:
            if plan.digest in self._released:
                return self._released[plan.digest]
            now = self.now()
            self._require_read_on(request, shadows, now)
            self._require_same(plan, reading, now)
            if self.reviews.looks_at(plan.digest):  # since it was read
                return self._release_held(plan, verdict, attempt)
            return self._signed_release(plan, verdict, request.recipient, attempt)

    def _release_held(self, plan: Plan, verdict: Verdict, attempt: int) -> Signed:
        """Sign the release of a held output once reviewers let it out; until then keep it, and say what is missing.

        The plan was derived again before its judging box had a key. People take days, in which rosters and policies
        change for other reasons, so what is asked again is whether all that it ran under still stands.
        """
        name = sandbox.StageName(plan.digest, plan.ends, attempt)
        with self.lock:
            if plan.request is None:
                raise OutputRefused("a plan without a recipient lets nothing leave", "plan")
            self.reviews.require_kept(plan)
            if self.reviews.held.find(plan.digest) is None:
                files = files_of(self.config.launcher_home, name)
                self.reviews.take_in(HeldNote(plan, verdict, attempt, self.now()), files)
            self.reviews.require_released(plan, verdict)
            return self._signed_release(plan, verdict, plan.request.recipient, attempt)

    def _signed_release(self, plan: Plan, verdict: Verdict, recipient: str, attempt: int) -> Signed:
        ledger_desk.require_weighed(self.ledger, plan)
        body = Release(plan.digest, verdict.digest, recipient, verdict.sealed, verdict.content, self.now())
        signed = self.sign(Type.RELEASE, body)
        bits = ledger_desk.bits_of(self.config.launcher_home, self.keyring, plan, attempt)
        self.note("release", {"plan": plan.digest, "signed": signed.plain(), "bits": bits})
        return signed

    def held_key(self, plan: str) -> str:
        """Return the key, in hex, of the sealed bytes of a held output that was released; empty for any other plan.

        What it opens is sealed to the recipient; whoever carries it reads nothing.
        """
        with self.lock:
            note = self.reviews.held.find(plan)
            if note is None or plan not in self._released:
                return ""
            return self.keyring.stage_key(plan, note.attempt, policies.HELD).hex()

    def delete_model(self, plan: str) -> None:
        """Delete what a plan has left here, its models among it, for good: the owner's own word, at the desk.

        Raises:
            NotFound: nothing of the plan is held.
        """
        with self.lock:
            self.reviews.held.get(plan)
            self.note(models.DELETED, {"plan": plan})

    def cosign(self, offered: Signed, proof: Sequence[str]) -> Signed:
        """Witness a head of the centre's log: sign it if it continues the last one that this keeper saw (85)."""
        with self.lock:
            self._require_unlocked()
            last = Head.read(self.trusted.head.statement.body) if self.trusted.head else None
            head = audit.witness(last, offered, tuple(proof), self.config.log_key, self.now())
            self.note("head", {"signed": offered.plain()})
            return audit.cosign(head, self.config.domain, self.keyring.signer)

    def sign(self, kind: Type, body: Any) -> Signed:
        """Sign a statement in the keeper's own name."""
        draft = keys.Draft(kind, self.config.domain, Duty.KEEPER, body, not_before=self.now())
        return keys.sign(draft, self.keyring.signer)

    def ledger_status(self) -> list[dict[str, Any]]:
        """Return what is left of every quota: for the owner, since it says how much was asked."""
        with self.lock:
            found = ledger_desk.status(self.ledger, self.trusted, self.now())
            return [each | {"quotas": each["quotas"] + self.joint.left(each["dataset"])} for each in found]

    def record(self, plan: str) -> dict[str, Any]:
        """Return every rule that was applied to a plan's output, with its numbers: for the owner."""
        with self.lock:
            if self.reviews.held.find(plan) is not None:
                return self.reviews.held.record(plan).plain()
        return ledger_desk.record_of(self.config.launcher_home, self.keyring, plan).plain()

    def status(self) -> dict[str, Any]:
        """Return what anyone may know of this keeper: numbers, no secrets."""
        return told_of(self.config.domain, self.trusted, self.peers) | {
            "key": self.keyring.signer.public,
            "leases": self.leases.count(),
            "locked": self._journal.restored,
        }
