"""The keeper: what it does with a question, step by step.

Sockets are elsewhere (`keeper.server`), and so are the rules (`keeper.trust`, `keeper.evidence`,
`keeper.rederive`).

Everything that changes what the keeper believes is written to the journal first, and believed then; so a
keeper that is killed at any moment starts again with all that it ever answered for.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any

from audit import api as audit
from keeper.config import KeeperConfig
from keeper.evidence import require_box, require_chain
from keeper.journal import Journal
from keeper.keyring import Keyring
from keeper.leases import Leases
from keeper.rederive import House, require_request, require_same
from keeper.trust import TrustedSet
from keys import api as keys
from plans.box import Entry
from plans.errors import NotFound, OutputRefused, StateConflict
from plans.key import BoxKeys, SealedKeys
from plans.manifest import Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Reading
from plans.release import KEYS_INFO, Release
from plans.statements import BoxStatement, Duty, Head, Roster, Signed, Type
from plans.verdict import Finding
from policies import api as policies
from sandbox import api as sandbox


class Keeper:
    """One domain's keeper. Its methods are safe under threads; checker boxes run outside the lock."""

    def __init__(self, config: KeeperConfig) -> None:
        self.config = config
        self.keyring = Keyring(config.keyring)
        self.trusted = TrustedSet(config.domain, config.root)
        self.leases = Leases()
        self.lock = threading.RLock()
        self.ingesting = threading.Lock()
        self._journal = Journal(config.home / "journal", config.keyring / "mark")
        self._challenges: dict[str, str] = {}
        self._ingests: dict[str, BoxKeys] = {}
        self._released: dict[str, Signed] = {}
        self._readings: dict[str, Reading] = {}
        self._house = House(config.images, config.limits)
        self._replay()

    # --- memory -----------------------------------------------------

    def believe(self, signed: Signed) -> None:
        """Verify a statement, write it down, and believe it. Offering it again changes nothing."""
        with self.lock:
            now = self.now()
            if self._known(signed):
                return
            trial = TrustedSet(self.config.domain, self.config.root, self.trusted.roster, self.trusted.bundle)
            trial.manifests = {name: list(versions) for name, versions in self.trusted.manifests.items()}
            trial.add(signed, now)
            is_roster = signed.statement.type is Type.ROSTER
            if self._journal.restored and not is_roster:
                self._require_unlocked()
            self._journal.append("statement", now, {"signed": signed.plain()})
            self.trusted.add(signed, now)
            if is_roster and self._journal.restored:
                self._journal.accept_restored()

    def note(self, kind: str, entry: dict[str, Any]) -> None:
        """Write a fact down, and take it in."""
        with self.lock:
            now = self.now()
            self._journal.append(kind, now, entry)
            self._take_in(kind, now, entry)

    def now(self) -> int:
        """Return the time in Unix seconds, unless the clock was set back."""
        now = int(time.time())
        self.trusted.tick(now)
        return now

    def _replay(self) -> None:
        for kind, at, entry in self._journal.replay():
            self._take_in(kind, at, entry)
        for versions in self.trusted.manifests.values():
            for manifest in versions:
                if manifest.digest in self.trusted.erased:
                    self._finish_erasure(manifest)

    def _finish_erasure(self, manifest: Manifest) -> None:
        """Destroy what an erasure that was cut off may have left."""
        for file in manifest.files:
            self.keyring.erase_data_key(file.name)
            (self.config.data / file.name).unlink(missing_ok=True)

    def _take_in(self, kind: str, at: int, entry: dict[str, Any]) -> None:
        self.trusted.latest = max(self.trusted.latest, at)
        if kind == "statement":
            self.trusted.add(Signed.read(entry["signed"]), at)
        elif kind == "use":
            self.trusted.use(tuple(entry["grants"]), entry["request"])
        elif kind == "head":
            self.trusted.head = Signed.read(entry["signed"])
        elif kind == "release":
            self._released[entry["plan"]] = Signed.read(entry["signed"])

    def _known(self, signed: Signed) -> bool:
        subject, kind = signed.statement.subject, signed.statement.type
        if kind is Type.ROSTER and self.trusted.roster:
            return subject == self.trusted.roster.digest and not self._journal.restored
        if kind is Type.BUNDLE and self.trusted.bundle:
            return subject == self.trusted.bundle.digest
        return kind is Type.GRANT and signed.statement.digest in self.trusted.grants

    def _require_unlocked(self) -> None:
        if self._journal.restored:
            raise StateConflict(
                "this keeper was restored from a backup and may have forgotten revocations",
                self.config.domain,
                "Offer it every revocation again and a newer roster signed by the root key.",
            )

    # --- keys for boxes -----------------------------------------------------

    def challenge(self, plan: str) -> str:
        """Return a nonce that the launcher's next box statement about this plan must carry."""
        with self.lock:
            if len(self._challenges) > 10_000:
                self._challenges.clear()
            nonce = secrets.token_hex(16)
            self._challenges[nonce] = plan
            return nonce

    def unwrap(self, signed: Signed, plan: Plan) -> SealedKeys:
        """Seal to a box the keys of its stage, if this owner comes to the same plan by itself.

        Raises:
            DarkroomError: any rule of `keeper.evidence` or `keeper.rederive` that does not hold.
        """
        self._require_unlocked()
        with self.lock:
            now = self.now()
            offered = str(signed.statement.body.get("challenge"))
            issued = self._challenges.pop(offered, None)
            challenge = offered if issued == plan.digest else None
            box = require_box(self.trusted, signed, plan, challenge, now)
        if plan.kind is PlanKind.INGEST:
            box_keys, rests_on = self._ingest_keys(plan), tuple[str, ...]()
        else:
            box_keys, rests_on = self._stage_keys(plan, box)
        sealed = keys.seal(box.box_key, box_keys.canonical(), KEYS_INFO, box.canonical())
        lease, expires = self.leases.give(plan.digest, rests_on, now)
        return SealedKeys(sealed.hex(), lease, expires)

    def _stage_keys(self, plan: Plan, box: BoxStatement) -> tuple[BoxKeys, tuple[str, ...]]:
        request = require_request(plan, self.now())
        reading = self._reading(request.statement, plan.digest)
        with self.lock:
            decision, approvals = require_same(plan, reading, self.trusted, self._house, self.now())
            if box.stage is Entry.QUERY:
                self.note("use", {"grants": list(decision.grants), "request": request.digest})
        return self._keys_of(plan, box), decision.grants + approvals

    def _keys_of(self, plan: Plan, box: BoxStatement) -> BoxKeys:
        def between(name: str) -> dict[str, str]:
            return {name: self.keyring.stage_key(plan.digest, box.attempt, name).hex()}

        if box.stage is Entry.QUERY:
            files = [item.name for item in plan.stage(Entry.QUERY).inputs]
            return BoxKeys(
                {name: self.keyring.data_key(name).hex() for name in files}, between(policies.RESULT), ""
            )
        if box.stage is Entry.PARSE:
            return BoxKeys(between(policies.RESULT), between(policies.TABLE), "")
        return BoxKeys(between(policies.TABLE), {}, "")

    def _reading(self, statement: str, plan: str) -> Reading:
        known = self._readings.get(plan)
        if known is not None:
            return known
        shadows = tuple(manifest.shadow() for manifest in self.trusted.current_manifests())
        launcher = sandbox.LauncherClient(self.config.launcher_socket)
        limits = self.config.limits[Entry.CHECK]
        check = sandbox.check_plan(self.config.domain, self.config.images[0], limits, statement, shadows)
        reading = sandbox.read_statement(launcher, check, statement)
        if len(self._readings) > 1_000:
            self._readings.clear()
        self._readings[plan] = reading
        return reading

    def renew(self, lease: str) -> bool:
        """Return whether the box that holds this lease may go on."""
        with self.lock:
            return self.leases.renew(lease, self.trusted.revoked, self.now())

    # --- ingest (see keeper.ingest) -----------------------------------------------------

    def expect_ingest(self, plan: Plan, box_keys: BoxKeys) -> None:
        """Let one ingest plan, made at this keeper's own desk, have these keys."""
        self._ingests[plan.digest] = box_keys

    def forget_ingest(self, plan: Plan) -> None:
        """Take that back."""
        self._ingests.pop(plan.digest, None)

    def _ingest_keys(self, plan: Plan) -> BoxKeys:
        if plan.digest not in self._ingests:
            raise NotFound("nobody ordered this ingest at this owner's desk", "ingest")
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
            verdict, _ = require_chain(self.trusted, tuple(records), plan)
        if verdict.finding is Finding.REFUSED:
            raise OutputRefused("the airlock does not let this output leave", ", ".join(verdict.reasons))
        request = require_request(plan, self.now())
        reading = self._reading(request.statement, plan.digest)
        with self.lock:
            require_same(plan, reading, self.trusted, self._house, self.now())
            body = Release(
                plan.digest, verdict.digest, request.recipient, verdict.sealed, verdict.content, self.now()
            )
            signed = self.sign(Type.RELEASE, body)
            self.note("release", {"plan": plan.digest, "signed": signed.plain()})
            return signed

    def cosign(self, offered: Signed, proof: Sequence[str]) -> Signed:
        """Witness a head of the centre's log: sign it if it continues the last one that this keeper saw (85)."""
        with self.lock:
            last = Head.read(self.trusted.head.statement.body) if self.trusted.head else None
            head = audit.witness(last, offered, tuple(proof), self.config.log_key)
            self.note("head", {"signed": offered.plain()})
            return self.sign(Type.HEAD, head)

    def sign(self, kind: Type, body: Any) -> Signed:
        """Sign a statement in the keeper's own name."""
        draft = keys.Draft(kind, self.config.domain, Duty.KEEPER, body, not_before=self.now())
        return keys.sign(draft, self.keyring.signer)

    def status(self) -> dict[str, Any]:
        """Return what anyone may know of this keeper: numbers, no secrets."""
        roster: Roster | None = self.trusted.roster
        return {
            "domain": self.config.domain,
            "key": self.keyring.signer.public,
            "roster": roster.number if roster else 0,
            "bundle": self.trusted.bundle.number if self.trusted.bundle else 0,
            "datasets": [m.dataset for m in self.trusted.current_manifests()],
            "leases": self.leases.count(),
            "locked": self._journal.restored,
        }
