"""The rules of asking and granting, each once as "check, or raise with the reason". Values in, nothing out.

The centre applies them so that a mistake is found early and told in a sentence. They protect nobody from the
centre itself: the owner's keeper verifies every statement again, by its own roster.

An application is made by a member with enrolled keys, in a role that the member has and that asks for data, about
columns that exist and identify nobody directly, for a stated purpose, until a day within a year.

A grant

1. answers an open application;
2. is signed by an approver of the domain that owns the dataset, with the key that this approver enrolled;
3. never by the applicant, neither by name nor by key;
4. serves the applicant's enrolled keys, the same role, project, purpose and dataset;
5. names no column that was not asked for, allows no more uses, and ends no later;
6. gives what is there: the dataset has a current version with these columns, and the applicant still has the role.

An approval names the digest of a plan that waits in the approver's own domain, and is not the requester's own.
A revocation ends a grant or approval of the signer's own domain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plans import names
from plans.errors import (
    DarkroomError,
    Malformed,
    NotAllowed,
    Outdated,
    Refused,
    SignatureWrong,
    StateConflict,
)
from plans.manifest import Kind, Manifest
from plans.request import Request
from plans.statements import Approval, Duty, Grant, Revocation, Statement, Type
from policies.api import ASKING_ROLES
from store.api import ApplicationRow, JobRow, JointRow, MemberRow, StatementRow

LONGEST_GRANT_S = 366 * 86_400
MOST_USES = 10_000
LONGEST_PURPOSE = 500
APPROVER, STEWARD = "approver", "steward"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a member applies for. `until` is in Unix seconds, `uses` counts plans; `role` is the one in which the
    member would ask, empty for the first of their own that may (`asking_role`).
    """

    dataset: str
    columns: tuple[str, ...]
    project: str
    purpose: str
    until: int
    uses: int
    role: str = ""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who a grant is between, as the centre knows them, the application that it answers, and the current version of
    its dataset, if there is one.
    """

    application: ApplicationRow
    applicant: MemberRow
    approver: MemberRow
    manifest: Manifest | None


def allowed(check: Callable[..., None], *arguments: Any) -> bool:
    """Return whether a check passes: the yes/no twin of each rule here."""
    try:
        check(*arguments)
    except DarkroomError:
        return False
    return True


# --- applications -------------------------------------------------------------------------------------------


def require_wish(wish: Wish, applicant: MemberRow, manifest: Manifest, now: int) -> None:
    """Check an application before it is taken.

    Raises:
        StateConflict: the applicant has not enrolled keys, without which no grant can be written.
        Malformed: a name, a column, the purpose, the uses or the end is not as the rules say.
        Refused: a column identifies people directly.
        NotAllowed: the role is not one in which this applicant may ask.
    """
    if not applicant.signing_key or not applicant.opening_key:
        raise StateConflict("you have not enrolled keys yet", applicant.name, "Make them: darkroom keys make")
    asking_role(wish.role, applicant)
    names.require("project", wish.project, "project")
    _require_purpose(wish.purpose)
    _require_columns(wish.columns, manifest)
    if not 1 <= wish.uses <= MOST_USES:
        raise Malformed(f"uses are between 1 and {MOST_USES:,}", "uses")
    if not now < wish.until <= now + LONGEST_GRANT_S:
        raise Malformed(
            "the end lies in the past, or more than a year ahead", "until", "Give a day within a year."
        )


def asking_role(said: str, applicant: MemberRow) -> str:
    """Return the role in which a member asks: the one that was said, or the first of their own that may ask.

    Raises:
        Malformed: no data are given to the role that was said.
        NotAllowed: the member does not have it, or none that may ask.
    """
    own = [role for role in ASKING_ROLES if role in applicant.roles]
    if said and said not in ASKING_ROLES:
        raise Malformed(
            "data are given to no such role", "role", f"Apply in one of these: {', '.join(ASKING_ROLES)}."
        )
    if not own or (said and said not in own):
        raise NotAllowed(
            f"you do not have the role {said}" if said else "none of your roles asks for data",
            applicant.name,
            f"Leave --role out to apply as {own[0]}." if own else "Ask an administrator of your domain.",
        )
    return said or own[0]


def gone(columns: tuple[str, ...], manifest: Manifest | None) -> tuple[str, ...]:
    """Return which of these columns cannot be granted any more: the dataset's current version, if there is one, does
    not have them, or they identify people in it.
    """
    return tuple(
        name for name in columns if manifest is None or not allowed(_require_columns, (name,), manifest)
    )


def _require_purpose(purpose: str) -> None:
    if not 1 <= len(purpose) <= LONGEST_PURPOSE or not purpose.isprintable() or purpose != purpose.strip():
        raise Malformed(
            f"a purpose is one line of at most {LONGEST_PURPOSE} printable characters",
            "purpose",
            "Say in a sentence what the data will be used for.",
        )


def _require_columns(columns: tuple[str, ...], manifest: Manifest) -> None:
    if not columns or len(set(columns)) != len(columns):
        raise Malformed("name at least one column, and each once", "columns")
    for name in columns:
        column = manifest.column(names.require("column", name, "columns"))
        if column is None:
            raise Malformed(
                f"{manifest.dataset} has no column {name}",
                "columns",
                f"See: darkroom describe {manifest.dataset}",
            )
        if column.kind is Kind.IDENTIFIER:
            raise Refused(
                f"{name} identifies people directly and is never granted",
                "columns",
                f"Leave it out; statements join on {names.PERSON} instead.",
            )


def require_decider(approver: MemberRow, application: ApplicationRow) -> None:
    """Check that a member may decide an application at all, or look at it in order to.

    Raises:
        NotAllowed: no approver, of another domain than the owner's, or the applicant.
    """
    if APPROVER not in approver.roles:
        raise NotAllowed("only approvers decide applications", approver.name)
    if approver.domain != names.domain_of(application.dataset):
        raise NotAllowed("this dataset belongs to another domain than yours", application.dataset)
    if approver.name == application.member:
        raise NotAllowed("nobody decides their own application", application.id, "Ask another approver.")


# --- grants -------------------------------------------------------------------------------------------------


def require_grant(statement: Statement, parties: Parties, now: int) -> None:
    """Check a grant against the application that it answers, rules 1 to 6.

    Raises:
        StateConflict: the application was decided already, or what it asks for is not there any more.
        NotAllowed: the signer may not decide it.
        SignatureWrong: it is not signed with the approver's enrolled key, or not as a grant by an approver.
        Refused: it says something else, or more, than the application.
        Outdated: it has no end, has ended, or ends later than was asked.
    """
    application, approver = parties.application, parties.approver
    if application.state != "open":
        raise StateConflict(f"this application is {application.state} already", application.id)
    require_decider(approver, application)
    require_signer(statement, Type.GRANT, approver)
    grant = Grant.read(dict(statement.body))
    if statement.signer in (grant.signer, parties.applicant.signing_key):
        raise NotAllowed(
            "nobody grants with the applicant's own key", application.id, "Ask another approver."
        )
    _require_same(grant, parties)
    _require_no_more(grant, application)
    if not now < statement.not_after <= application.until:
        raise Outdated("the grant has no end, has ended, or ends later than was asked", "grant.not_after")
    _require_there(grant, parties)


def _require_same(grant: Grant, parties: Parties) -> None:
    asked, applicant = parties.application, parties.applicant
    pairs = {
        "member": (grant.member, asked.member),
        "signer": (grant.signer, applicant.signing_key),
        "recipient": (grant.recipient, applicant.opening_key),
        "role": (grant.role, asked.role),
        "project": (grant.project, asked.project),
        "purpose": (grant.purpose, asked.purpose),
        "dataset": (grant.dataset, asked.dataset),
    }
    for field, (said, expected) in pairs.items():
        if said != expected:
            raise Refused(
                f"the grant names another {field} than the application",
                f"grant.{field}",
                "Sign it anew with `darkroom approve`.",
            )


def _require_no_more(grant: Grant, asked: ApplicationRow) -> None:
    more = sorted(set(grant.columns) - set(asked.columns))
    if more:
        raise Refused(f"the grant adds the column {more[0]}, which was not asked for", "grant.columns")
    if len(set(grant.columns)) != len(grant.columns):
        raise Refused("the grant names a column twice", "grant.columns")
    if grant.uses > asked.uses:
        raise Refused("the grant allows more uses than were asked for", "grant.uses")


def _require_there(grant: Grant, parties: Parties) -> None:
    """Check that what is granted is there today: an application may have waited long."""
    if grant.role not in ASKING_ROLES or grant.role not in parties.applicant.roles:
        raise StateConflict(
            f"{grant.member} does not have the role {grant.role} any more, or it reads no data",
            "grant.role",
            "Decline the application; its member can apply in another role.",
        )
    if parties.manifest is None:
        raise StateConflict(
            f"{grant.dataset} has no current version any more", "grant.dataset", "Decline the application."
        )
    missing = gone(grant.columns, parties.manifest)
    if missing:
        raise StateConflict(
            f"version {parties.manifest.version} of {grant.dataset} has no column {missing[0]} that can be granted",
            "grant.columns",
            "Decline the application; its member can apply for the columns of the current version.",
        )


# --- approvals and revocations ------------------------------------------------------------------------------


def require_approval(statement: Statement, job: JobRow, approver: MemberRow) -> None:
    """Check an approval of a job's plan.

    Raises:
        NotAllowed: the signer is no approver of the owning domain, or is the requester.
        SignatureWrong: not signed with the approver's enrolled key, or not as an approval by an approver.
        Refused: it names another plan.
    """
    if APPROVER not in approver.roles or approver.domain != job.domain:
        raise NotAllowed("only approvers of the owning domain approve its plans", job.domain)
    require_signer(statement, Type.APPROVAL, approver)
    request = Request.decode(job.request.encode())
    if approver.name == job.member or statement.signer == request.signer:
        raise NotAllowed("nobody approves their own plan", job.id, "Ask another approver.")
    if not job.plan_digest or Approval.read(dict(statement.body)).plan != job.plan_digest:
        raise Refused("the approval names another plan than the job has", "approval.plan")


def require_joint_approval(statement: Statement, joint: JointRow, approver: MemberRow) -> None:
    """Check an approval of a joint plan, by one of its parties; each party needs one of its own.

    Raises:
        NotAllowed: the signer is no approver of a party, or is the requester.
        SignatureWrong: not signed with the approver's enrolled key, or not as an approval by an approver.
        Refused: it names another plan.
    """
    if APPROVER not in approver.roles or approver.domain not in joint.parties:
        raise NotAllowed("only approvers of the parties approve a joint plan", ", ".join(joint.parties))
    require_signer(statement, Type.APPROVAL, approver)
    request = Request.decode(joint.request.encode())
    if approver.name == joint.member or statement.signer == request.signer:
        raise NotAllowed("nobody approves their own plan", joint.id, "Ask another approver.")
    if not joint.digest or Approval.read(dict(statement.body)).plan != joint.digest:
        raise Refused("the approval names another plan than the computation has", "approval.plan")


def require_revocation(statement: Statement, revoked: StatementRow, member: MemberRow) -> None:
    """Check the end of a grant or approval.

    Raises:
        NotAllowed: the signer is neither approver nor steward of the domain whose statement it ends.
        SignatureWrong: not signed with the member's enrolled key, or not as a revocation.
        Refused: it names another statement, or one that cannot be revoked.
    """
    if not {APPROVER, STEWARD} & set(member.roles) or member.domain != revoked.domain:
        raise NotAllowed(
            "only approvers and stewards of the owning domain revoke its statements", revoked.domain
        )
    require_signer(statement, Type.REVOCATION, member)
    if revoked.type not in (Type.GRANT, Type.APPROVAL):
        raise Refused("only grants and approvals are revoked", "revocation.revoked")
    if Revocation.read(dict(statement.body)).revoked != revoked.digest:
        raise Refused("the revocation names another statement", "revocation.revoked")


def require_signer(statement: Statement, kind: Type, member: MemberRow) -> None:
    """Check that a statement is of this kind, about the member's domain, in a duty and with the key of the
    member.

    Raises:
        SignatureWrong: it is not.
    """
    duties = {Duty.APPROVER: APPROVER, Duty.STEWARD: STEWARD}
    may_be_steward = kind is Type.REVOCATION
    if statement.type is not kind or statement.domain != member.domain:
        raise SignatureWrong(
            "the statement is of another type, or about another domain", f"{statement.type} statement"
        )
    if (
        statement.duty is Duty.STEWARD
        and not may_be_steward
        or duties.get(statement.duty) not in member.roles
    ):
        raise SignatureWrong(
            "the statement is signed in a duty that its signer has not", f"{statement.type} statement"
        )
    if not member.signing_key or statement.signer != member.signing_key:
        raise SignatureWrong(
            "the statement is not signed with the key that you enrolled",
            f"{statement.type} statement",
            "Sign with the key file that you enrolled; `darkroom keys show` names it.",
        )
