"""The connection to a portal: what a member can ask, one method per question.

Nothing here decides anything. Reading is by the portal's word; what the member signs is built in
`darkroom.signing`, what the member receives is checked in `darkroom.result`.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from darkroom import advice, completion, lab_token, signing, taken, trusting, unlocking
from darkroom.applying import Applying
from darkroom.either import Either
from darkroom.files import Files
from darkroom.job import Job, job_id_of
from darkroom.joint_asking import Joint
from darkroom.listing import Applications, Budget, Datasets, Description, Grants, Jobs, Packages
from darkroom.local import in_lab
from darkroom.profile import Home, home
from darkroom.result import Evidence, Result, open_release
from darkroom.tasks import Tasks
from darkroom.twin import Twins
from darkroom.twin_recipes import as_in_catalog
from darkroom.wire import Wire, listed, segment
from keys import api as keys
from keys.keyfile import fingerprint, read_public
from plans import names
from plans.errors import (
    DarkroomError,
    HashMismatch,
    Malformed,
    NotAllowed,
    NotFound,
    NotSignedIn,
    SignatureWrong,
)
from plans.impact import ImpactReport, impact
from plans.manifest import Manifest
from plans.plan import Plan
from plans.request import Request, RequestKind
from plans.statements import Signed, Statement
from plans.trial import Folder

Passphrase = Callable[[], str]

LONGEST_WAIT_S = 15.0
"""How long one call waits for a job to move; the next one goes on waiting."""


class Connection(Either, Applying, Tasks, Joint, Twins):
    """A signed-in member at a portal. Make one with `connect`."""

    def __init__(self, wire: Wire, member: str, folder: Home, passphrase: Passphrase) -> None:
        super().__init__()
        self._wire, self.member, self._home, self._passphrase = wire, member, folder, passphrase
        self._keys: keys.MemberKeys | None = None
        self._of_profile = False

    @property
    def outdated(self) -> bool:
        """Whether the member has signed in again since, by `darkroom login`, so that its token is not the last one."""
        try:
            profile = self._home.profile() if self._of_profile else None
        except DarkroomError:
            return False
        return profile is not None and (profile.url, profile.token) != (self._wire.url, self._wire.token)

    def __repr__(self) -> str:
        return f"Connection({self.member} at {self._wire.url})"

    # --- the catalog -----------------------------------------------------

    def me(self) -> dict[str, Any]:
        """Return the membership: name, domain, roles, scopes, enrolled public keys."""
        return self._wire.get("/api/v1/me")

    def datasets(self) -> Datasets:
        """Return every dataset: id, name in SQL, title, grade, owner, version."""
        found = Datasets(listed(self._wire.get("/api/v1/datasets"), "datasets"))
        completion.keep_datasets(found)
        return found

    def describe(self, dataset: str) -> Description:
        """Return one dataset, such as `nm/tax/income` (or its relation, `tax.income`), with its columns: type, unit,
        kind.

        Raises:
            NotFound: there is none of this id.
        """
        dataset = as_in_catalog(dataset)
        if names.is_a("relation", dataset):
            known = {str(each.get("relation")): str(each.get("dataset")) for each in self.datasets()}
            if dataset not in known:
                raise NotFound(f"there is no relation {dataset}", "dataset", _LISTED)
            dataset = known[dataset]
        found = Description(self._wire.get(f"/api/v1/datasets/{_dataset(dataset)}"))
        completion.keep_description(found)
        return found

    # --- applications and grants -----------------------------------------------------

    def applications(self) -> Applications:
        """Return the member's own applications, and for an approver those that wait for a decision.

        Raises:
            NotAllowed: this is a lab, whose token cannot list them; the error says what can be seen there.
        """
        with lab_token.naming_what_shows("applications"):
            return Applications(listed(self._wire.get("/api/v1/applications"), "applications"))

    def application(self, number: str) -> dict[str, Any]:
        """Return one application."""
        return self._wire.get(f"/api/v1/applications/{segment(number)}")

    def decline(self, number: str, reason: str) -> dict[str, Any]:
        """Decline an application, with a reason that its member will read."""
        return self._wire.post(f"/api/v1/applications/{segment(number)}/decline", {"reason": reason})

    def grants(self) -> Grants:
        """Return the grants that serve this member; for an approver, those of the domain.

        Raises:
            NotAllowed: this is a lab, whose token cannot list them; the error says what can be seen there.
        """
        with lab_token.naming_what_shows("grants"):
            return Grants(listed(self._wire.get("/api/v1/grants"), "grants"))

    def hand_in(self, statement: Statement, application: str | None = None) -> dict[str, Any]:
        """Sign a statement that the member has seen (`signing.shown`) and hand it in; handing it in twice
        changes nothing.
        """
        signed = signing.signed(statement, self.keys().signing)
        body = {"signed": signed.plain(), "application": application}
        return self._wire.post("/api/v1/statements", body, again=True)

    # --- keys -----------------------------------------------------

    def signer(self) -> str:
        """Return the member's public signing key, without needing the passphrase."""
        return read_public(self._home.keys_file)["signing"]

    def keys(self) -> keys.MemberKeys:
        """Return the member's keys, opening their file on first use.

        Raises:
            NotFound: there are none on this machine.
            WrongPassphrase: the passphrase does not open them.
        """
        if self._keys is None:
            self._keys = unlocking.opened(self, self._home.keys_file, self._passphrase)
        return self._keys

    def enrol(self) -> dict[str, Any]:
        """Tell the portal the public halves of the member's keys; possible once."""
        public = read_public(self._home.keys_file)
        try:
            return self._wire.post(
                "/api/v1/me/keys", {"signing_key": public["signing"], "opening_key": public["opening"]}
            )
        except NotAllowed as problem:
            page = unlocking.enrol_page()
            if not page:
                raise
            told = NotAllowed(
                "a lab cannot enrol your keys for you",
                problem.where,
                f"Paste both on {page}: {public['signing']} (signing key) and {public['opening']} (opening key).",
            )
            raise advice.teach(told, advice.Lesson(whom="")) from None

    def budget(self) -> Budget:
        """Return what is left of this member's grants, one line for each that stands: at most how many plans and how
        many are left as far as the centre knows, until when, and the rules that bound the rest. Its attribute `jobs`
        says how many jobs are active, and how many may be.
        """
        told = self._wire.get("/api/v1/budgets")
        return Budget(listed(told, "grants"), dict(told.get("jobs") or {}))

    def packages(self) -> Packages:
        """Return the images that a program may run in, each with the modules that can be imported there."""
        return Packages(self.images())

    def change_password(self, old: str, new: str) -> None:
        """Replace the password; every other session and token of this member ends.

        Raises:
            NotSignedIn: the old one is not right.
            Malformed: the new one is too short.
        """
        self._wire.post("/api/v1/me/password", {"old": old, "new": new})

    # --- jobs -----------------------------------------------------

    def request(
        self,
        statement: str,
        *,
        project: str,
        purpose: str,
        kind: RequestKind = RequestKind.SQL,
        spend_micro: int = 0,
    ) -> Request:
        """Return the request for a statement or task, not yet signed; its nonce makes it one request, however often
        it is sent. `spend_micro` is its price where figures leave with noise (docs/private.md).
        """
        mine = self.keys()
        return Request(
            member=self.member,
            signer=mine.signing.public,
            recipient=mine.opening.public,
            project=project,
            purpose=purpose,
            statement=statement,
            nonce=keys.fresh_nonce(),
            asked_at=int(time.time()),
            kind=kind,
            spend_micro=spend_micro,
        )

    def dry_run(self, statement: str, *, project: str, purpose: str, spend_micro: int = 0) -> dict[str, Any]:
        """Return what would be answered to a statement, with its price and its noise where there is any; nothing runs
        on data. `noise` is null where figures leave without.
        """
        request = self.request(statement, project=project, purpose=purpose, spend_micro=spend_micro)
        signature = signing.signed_dry_run(request, self.keys().signing)
        body = {"request": request.plain(), "signature": signature}
        with advice.teaching(self, statement, project=project, purpose=purpose, spend_micro=spend_micro):
            found: dict[str, Any] = self._wire.post("/api/v1/dry-runs", body, again=True)
        return found

    def hand_over(self, request: Request, folder: Folder | None = None) -> Job:
        """Sign and submit a request, for a task of Python with its folder."""
        body = {"request": request.plain(), "signature": signing.signed_request(request, self.keys().signing)}
        if folder is None:
            view = self._wire.post("/api/v1/jobs", body, again=True)
        else:
            view = self._wire.post("/api/v1/jobs/python", body | {"folder": folder.plain()}, again=True)
        found = Job(self, view)
        if found.id != job_id_of(request):
            raise HashMismatch(
                "the portal made another job than the one that was asked for", f"job {found.id}"
            )
        advice.remember(found.id, request)
        return found

    def jobs(self) -> Jobs:
        """Return the member's jobs, newest first."""
        return Jobs(Job(self, view) for view in listed(self._wire.get("/api/v1/jobs"), "jobs"))

    def jobs_to_approve(self) -> Jobs:
        """Return the jobs that wait for this approver's domain."""
        return Jobs(Job(self, view) for view in listed(self._wire.get("/api/v1/approvals"), "jobs"))

    def job(self, number: str) -> Job:
        """Return one job.

        Raises:
            NotFound: there is none, or it is not this member's.
        """
        return Job(self, self.view(taken.text(number, "number")))

    def view(self, number: str, *, seen: Sequence[str] = (), wait_s: float = 0) -> dict[str, Any]:
        """Return what the portal says about a job; with `wait_s`, once its state is none of `seen`, or that
        time (at most `LONGEST_WAIT_S`) is over.
        """
        path = f"/api/v1/jobs/{segment(number)}"
        if seen and wait_s > 0:
            path += "?" + urlencode({"seen": seen, "wait": f"{min(wait_s, LONGEST_WAIT_S):.3f}"}, doseq=True)
        return self._wire.get(path)

    def cancel(self, number: str) -> dict[str, Any]:
        """Cancel a job."""
        return self._wire.post(f"/api/v1/jobs/{segment(number)}/cancel", again=True)

    def retry(self, number: str) -> dict[str, Any]:
        """Have a job that failed or was cancelled run anew."""
        return self._wire.post(f"/api/v1/jobs/{segment(number)}/retry")

    def plan(self, number: str) -> Plan:
        """Return a job's plan, its digest computed here.

        Raises:
            HashMismatch: the portal names another digest.
        """
        answer = self._wire.get(f"/api/v1/jobs/{segment(number)}/plan")
        return signing.plan_from(answer["plan"], answer["digest"])

    def plan_to_approve(self, number: str) -> tuple[Plan, ImpactReport]:
        """Return a plan and what it means for the people in the data: the report is made here, from the plan's bytes
        and from those manifests whose digests it names.

        Raises:
            HashMismatch: the portal names another digest, or hands over another manifest.
        """
        answer = self._wire.get(f"/api/v1/jobs/{segment(number)}/plan")
        plan = signing.plan_from(answer["plan"], answer["digest"])
        return plan, impact(plan, tuple(map(Manifest.read, answer.get("manifests", []))))

    def evidence(self, number: str) -> Evidence:
        """Return what is needed to open a job's result: plan, signed release, sealed bytes."""
        answer = self._wire.get(f"/api/v1/jobs/{segment(number)}/result")
        try:
            sealed = base64.b64decode(answer["sealed"], validate=True)
        except (binascii.Error, ValueError):
            raise Malformed("the sealed bytes are not base64", "result.sealed") from None
        return Evidence(self.plan(number), Signed.read(answer["release"]), sealed)

    def open(self, evidence: Evidence) -> Result | Files:
        """Check and open a release with the keeper's key that is trusted for its owner (`trust_keeper`).

        Raises:
            StateConflict: none is trusted yet.
            DarkroomError: as `darkroom.result.open_release`.
        """
        key = self._home.keeper(evidence.plan.domain)
        if key is None:
            raise trusting.not_pinned(evidence.plan.domain)
        return open_release(evidence, self.keys(), key)

    def offered_keeper(self, domain: str) -> str:
        """Return the keeper's key that the *portal* names; compare it with the owner's own word."""
        return str(self._wire.get(f"/api/v1/domains/{names.require('domain', domain)}")["keeper_key"])

    def trust_keeper(self, domain: str, key: str) -> None:
        """Trust this key for a domain's releases from now on.

        Raises:
            StateConflict: another one is trusted already.
        """
        self._home.trust(domain, key)

    def trusted_keeper(self, domain: str) -> str | None:
        """Return the keeper's key that is trusted for a domain, or none."""
        return self._home.keeper(domain)

    def grant(self, number: str, stricter: signing.Stricter | None = None) -> Statement:
        """Return the grant that an application asks for, not yet signed, if the keys in it are those of a member
        whom this approver knows. A portal that was taken over could name keys of its own.

        Raises:
            SignatureWrong: nobody has compared these keys with the member's own word yet, or they are others.
        """
        application = self.application(number)
        member, offered = str(application["member"]), offered_fingerprint(application)
        trusted = self._home.fingerprint(member)
        if trusted != offered:
            what = (
                f"you have not compared {member}'s keys yet"
                if trusted is None
                else f"these are not {member}'s keys"
            )
            raise SignatureWrong(
                what,
                offered,
                "Ask the member to read out `darkroom keys show`, then: darkroom approve ID --fingerprint VALUE",
            )
        return signing.grant_statement(application, self.signer(), stricter)

    def trust_member(self, member: str, fingerprint: str) -> None:
        """Trust the keys of this fingerprint to be a member's from now on; the member read it out.

        Raises:
            StateConflict: other keys are trusted already.
        """
        self._home.trust_member(member, fingerprint)

    def trusted_member(self, member: str) -> str | None:
        """Return the fingerprint that is trusted for a member, or none."""
        return self._home.fingerprint(member)

    def sign_out(self) -> None:
        """End the session at the portal."""
        self._wire.post("/api/v1/sign-out")


def _dataset(name: str) -> str:
    try:
        return names.require("dataset", name)
    except Malformed as problem:
        raise Malformed(problem.what, problem.where, _LISTED) from None


_LISTED = "darkroom.datasets() lists what there is."


def offered_fingerprint(application: dict[str, Any]) -> str:
    """Return the fingerprint of the keys that the *portal* says are the applicant's."""
    try:
        return fingerprint(application["member"], application["signing_key"], application["opening_key"])
    except KeyError as missing:
        raise Malformed(
            "the portal's description of this application is not complete", str(missing)
        ) from None


def connect(
    url: str | None = None,
    *,
    token: str | None = None,
    folder: Home | None = None,
    passphrase: Passphrase = unlocking.passphrase,
) -> Connection:
    """Return a connection: with the profile of `darkroom login`, or with an address and token.

    Args:
        url: the portal's address; the profile's, if left out.
        token: a session or scoped token; `DARKROOM_TOKEN` or the profile's, if left out.
        folder: the member's folder; `$DARKROOM_HOME` or `~/.config/darkroom`, if left out.
        passphrase: called when the key file must be opened; `DARKROOM_PASSPHRASE` or a hidden prompt, if left out.

    Raises:
        NotSignedIn: there is neither a profile nor a token, or it has expired.
        Unreachable: the portal does not answer.
    """
    folder = folder or home()
    # Of another portal than the lab's its socket knows nothing, and who the member is there, is asked.
    own = in_lab() and url is None
    socket = os.environ.get("DARKROOM_API_SOCKET", "") if own else ""
    member = os.environ.get("DARKROOM_MEMBER", "") if own else ""
    # A lab's token is for the lab's own portal, and so is a profile's for its own: neither goes to another address.
    token = token or (os.environ.get("DARKROOM_TOKEN") if own or not in_lab() else None)
    url = url or (os.environ.get("DARKROOM_URL") if own else None)
    of_profile = url is None and token is None
    if url is None or token is None:
        profile = folder.profile()
        if url is not None and url.rstrip("/") != profile.url.rstrip("/"):
            raise NotSignedIn(
                "you are not signed in at this portal", url, "Run: darkroom login, or give a token."
            )
        url, token = url or profile.url, token or profile.token
    wire = Wire(url, token, socket)
    made = Connection(wire, member or str(wire.get("/api/v1/me")["name"]), folder, passphrase)
    made._of_profile = of_profile
    return made


def sign_in(url: str, member: str, password: str) -> str:
    """Return a fresh session's token.

    Raises:
        NotSignedIn: the portal does not know this member with this password.
    """
    body = {"member": member, "password": password}
    return str(Wire(url).post("/api/v1/sign-in", body)["token"])
