"""Statements that members sign on their own machines: taken in, checked, handed to the owner's keeper, and
kept.

The keeper hears a statement before the centre believes it: what the centre's table says is in force is in
force at the owner. The other way round a crash could leave a revocation that only the centre knows. Handing
in the same statement again, after a crash or a lost answer, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys import api as keys
from plans.errors import NotFound, Refused, SignatureWrong
from plans.statements import Approval, Grant, Revocation, Signed, Statement, Type
from sharing import rules
from sharing.applications import current
from sharing.office import Office
from store import api as store
from store.api import MemberRow, StatementRow

TAKEN = (Type.GRANT, Type.APPROVAL, Type.REVOCATION)


@dataclass(frozen=True, slots=True)
class Checked:
    """A statement that passed the rules: what it speaks about, what the log calls its object, and its
    application.
    """

    statement: Statement
    about: str
    subject: str
    application: str


def hand_in(
    office: Office, member: MemberRow, signed: Signed, application: str | None = None
) -> StatementRow:
    """Take a signed grant (naming its application), approval or revocation.

    Raises:
        SignatureWrong: the signature does not hold, its type is none of these, or the keeper does not accept
            it.
        NotFound: what it speaks about is not there, or not for this member to see.
        Unreachable: the keeper does not answer; nothing was changed.
        DarkroomError: a rule of `sharing.rules`.
    """
    statement = keys.verify(signed)
    if statement.type not in TAKEN:
        raise SignatureWrong(
            "only grants, approvals and revocations are taken here", f"{statement.type} statement"
        )
    if (application is None) == (statement.type is Type.GRANT):
        raise Refused(
            "a grant names the application that it answers, other statements name none", "application"
        )
    known = _known(office, statement.digest)
    if known is not None:
        # The digest covers the body, not the signature, so this one is compared too.
        if known.signed.encode() != signed.canonical():
            raise SignatureWrong("another signature of this statement was handed in before", "statement")
        return known
    checked = _check(office, member, statement, application or "")
    office.keepers.submit(statement.domain, signed)
    return _keep(office, member, signed, checked)


def grants(office: Office, member: MemberRow, *, of_domain: bool) -> tuple[StatementRow, ...]:
    """Return the grants that serve a member, and with `of_domain` all of the member's domain."""
    with office.database.reading() as session:
        found = store.statements.about(session, member.name, Type.GRANT)
        if of_domain:
            found += store.statements.of_type(session, member.domain, Type.GRANT)
    return tuple({row.digest: row for row in found}.values())


def is_revoked(office: Office, digest: str) -> bool:
    """Return whether the centre knows a revocation of this statement."""
    with office.database.reading() as session:
        return bool(store.statements.about(session, digest, Type.REVOCATION))


def _known(office: Office, digest: str) -> StatementRow | None:
    with office.database.reading() as session:
        return store.statements.find(session, digest)


def _check(office: Office, member: MemberRow, statement: Statement, application: str) -> Checked:
    if statement.type is Type.GRANT:
        return _check_grant(office, member, statement, application)
    if statement.type is Type.APPROVAL:
        return _check_approval(office, member, statement)
    return _check_revocation(office, member, statement)


def _check_grant(office: Office, member: MemberRow, statement: Statement, application: str) -> Checked:
    with office.database.reading() as session:
        row = store.applications.find(session, application)
        applicant = store.members.find(session, row.member) if row else None
        manifest = current(session, row.dataset) if row else None
    if row is None or applicant is None:
        raise NotFound("there is no such application", "application")
    rules.require_grant(statement, rules.Parties(row, applicant, member, manifest), office.now)
    return Checked(statement, Grant.read(dict(statement.body)).member, row.id, row.id)


def _check_approval(office: Office, member: MemberRow, statement: Statement) -> Checked:
    plan = Approval.read(dict(statement.body)).plan
    with office.database.reading() as session:
        job = store.jobs.by_plan(session, plan)
        joint = store.joint.by_digest(session, plan) if job is None else None
    if joint is not None:
        rules.require_joint_approval(statement, joint, member)
        return Checked(statement, plan, joint.id, "")
    if job is None:
        raise NotFound("there is no job with this plan", "approval.plan")
    rules.require_approval(statement, job, member)
    return Checked(statement, plan, job.id, "")


def _check_revocation(office: Office, member: MemberRow, statement: Statement) -> Checked:
    digest = Revocation.read(dict(statement.body)).revoked
    revoked = _known(office, digest)
    if revoked is None or revoked.domain != member.domain:
        raise NotFound("your domain has no such grant or approval", "revocation.revoked")
    rules.require_revocation(statement, revoked, member)
    return Checked(statement, digest, digest, "")


def _keep(office: Office, member: MemberRow, signed: Signed, checked: Checked) -> StatementRow:
    statement = checked.statement
    row = StatementRow(
        digest=statement.digest,
        type=statement.type,
        domain=statement.domain,
        signer=statement.signer,
        subject_of=checked.about,
        signed=signed.canonical().decode(),
        received_at=office.now,
    )
    with office.database.session() as session:
        store.statements.add(session, row)
        if checked.application:
            _close(session, checked.application, member, row.digest)
        plan = checked.about if statement.type is Type.APPROVAL else ""
        office.record(
            member, f"{statement.type}.handed-in", checked.subject, domain=statement.domain, plan=plan
        )
    return row


def _close(session: store.Session, application: str, member: MemberRow, grant: str) -> None:
    """Close the application, unless somebody decided it meanwhile: the keeper holds this grant, so it is kept
    all the same.
    """
    if store.applications.get(session, application).state == store.applications.OPEN:
        store.applications.decide(session, application, store.applications.GRANTED, member.name, grant=grant)
