"""What a member signs: built here from what the member asked for, shown from its canonical bytes, signed
last.

The portal never hands over anything to sign. It describes an application or a plan; this module builds the
statement from that, `shown` renders the very bytes that will be signed, and only a yes brings the private key
into it. So a text that differs from the signed bytes, or a challenge that is another statement's digest,
cannot get a signature here (ATTACKS 79).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from keys import api as keys
from plans import canonical, names
from plans.decision import Obligations
from plans.errors import HashMismatch, Malformed, StateConflict
from plans.plan import Plan, Program, Relation
from plans.reading import Level
from plans.record import Record
from plans.request import Request, RequestKind
from plans.statements import Approval, Duty, Grant, Revocation, Signed, Statement, Type
from plans.tasks import PythonTask, task_of

APPROVAL_LASTS_S = 24 * 3600
"""A plan older than a day must be made anew, so an approval that lasts longer would approve nothing."""


@dataclass(frozen=True, slots=True)
class Text:
    """A line for a person: what it is, and its value."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Stricter:
    """What an approver demands beside the owner's policy; 0 leaves it to the policy."""

    minimum_group: int = 0
    rounding: int = 0


def grant_statement(application: dict[str, Any], signer: str, stricter: Stricter | None = None) -> Statement:
    """Return the grant that an application asks for, not yet signed, with the approver's own obligations.

    Raises:
        Malformed: the application does not say everything that a grant needs.
        StateConflict: the dataset does not have a column any more.
    """
    try:
        _require_there(application)
        grant = Grant(
            member=application["member"],
            signer=application["signing_key"],
            recipient=application["opening_key"],
            project=application["project"],
            purpose=application["purpose"],
            dataset=application["dataset"],
            columns=tuple(application["columns"]),
            uses=application["uses"],
            minimum_group=stricter.minimum_group if stricter else 0,
            rounding=stricter.rounding if stricter else 0,
            role=application["role"],
        )
        until = int(application["until"])
    except KeyError as missing:
        raise Malformed(
            "the portal's description of this application is not complete", str(missing)
        ) from None
    return _statement(Type.GRANT, names.domain_of(grant.dataset), signer, grant, not_after=until)


def _require_there(application: dict[str, Any]) -> None:
    """Check that nothing is signed about a column that is gone: a later one of its name could mean something else."""
    if application["gone"]:
        listed = visible(", ".join(map(str, application["gone"])))
        raise StateConflict(
            f"these columns of {application['dataset']} are not there any more: {listed}",
            str(application["id"]),
            "Decline the application; its member can apply for what is there now.",
        )


def approval_statement(plan: Plan, signer: str) -> Statement:
    """Return the approval of exactly this plan, not yet signed; the digest is computed here."""
    ends = int(time.time()) + APPROVAL_LASTS_S
    return _statement(Type.APPROVAL, plan.domain, signer, Approval(plan.digest), not_after=ends)


def joint_approval_statement(digest: str, domain: str, signer: str) -> Statement:
    """Return a party's approval of exactly this joint plan, not yet signed."""
    ends = int(time.time()) + APPROVAL_LASTS_S
    return _statement(Type.APPROVAL, domain, signer, Approval(digest), not_after=ends)


def revocation_statement(domain: str, revoked: str, signer: str, duty: Duty) -> Statement:
    """Return the end of a grant or approval, named by its statement's digest, by an approver or steward, not
    yet signed.
    """
    return _statement(Type.REVOCATION, domain, signer, Revocation(revoked), not_after=0, duty=duty)


def signed(statement: Statement, key: keys.SigningKey) -> Signed:
    """Sign a statement that was shown.

    Raises:
        Malformed: the key is not the one that the statement names as its signer.
    """
    if statement.signer != key.public:
        raise Malformed("the statement names another signer than this key", "statement.signer")
    return Signed(statement, key.sign(statement.signed_bytes()))


def signed_request(request: Request, key: keys.SigningKey) -> str:
    """Return the signature over a request that is to be run, in hex."""
    return keys.sign_bytes("request", request.canonical(), key)


def signed_dry_run(request: Request, key: keys.SigningKey) -> str:
    """Return the signature over a request that is only to be tried, in hex: no keeper gives a key for it, so a portal
    that submits what it was asked to try gets nothing, and spends no use.
    """
    return keys.sign_bytes("dry-run", request.canonical(), key)


def plan_from(plain: Any, claimed: str) -> Plan:
    """Return a plan that the portal describes, if its bytes have the digest that the portal claims.

    Raises:
        Malformed: it is no plan.
        HashMismatch: it is another one.
    """
    plan = Plan.read(plain)
    if plan.digest != claimed:
        raise HashMismatch("the plan is not the one that the portal names", claimed)
    return plan


def shown(statement: Statement, plan: Plan | None = None) -> list[Text]:
    """Return the lines that say what will be signed, read back from the canonical bytes.

    For an approval `plan` is what its digest stands for; it is checked again here.

    Raises:
        HashMismatch: the plan is not the one in the statement.
    """
    read = Statement.decode(statement.canonical())
    lines = [
        Text("statement", str(read.type)),
        Text("owner", read.domain),
        Text("signed as", f"{read.duty} {read.signer}"),
    ]
    body: dict[str, Any] = dict(read.body)
    if read.type is Type.GRANT:
        lines += _grant_lines(Grant.read(body))
    elif read.type is Type.APPROVAL:
        lines += _approval_lines(Approval.read(body), plan)
    elif read.type is Type.REVOCATION:
        lines.append(Text("ends the statement", Revocation.read(body).revoked))
    else:
        raise Malformed("a member signs grants, approvals and revocations only", "statement.type")
    lines.append(Text("valid until", _moment(read.not_after) if read.not_after else "for ever"))
    lines.append(Text("digest", read.digest))
    return lines


def end_of(day: str) -> int:
    """Return the moment (Unix seconds) at which the day `YYYY-MM-DD` has ended, in UTC.

    Raises:
        Malformed: it is no day.
    """
    try:
        following = date.fromisoformat(day) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise Malformed(
            "a date is written YYYY-MM-DD", "until", 'The last day of it, such as until="2027-06-30".'
        ) from None
    return int(datetime(following.year, following.month, following.day, tzinfo=UTC).timestamp())


def visible(text: str) -> str:
    """Return `text` with control and direction characters escaped, so that a terminal shows what is really
    there.
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _statement(
    kind: Type, domain: str, signer: str, body: Record, *, not_after: int, duty: Duty = Duty.APPROVER
) -> Statement:
    return Statement(
        type=kind,
        domain=domain,
        subject=canonical.digest(kind.value, body.plain()),
        signer=signer,
        duty=duty,
        sequence=0,
        not_before=int(time.time()),
        not_after=not_after,
        nonce=keys.fresh_nonce(),
        body=body.plain(),
    )


def _grant_lines(grant: Grant) -> list[Text]:
    return [
        Text("lets", grant.member),
        Text("in the role", grant.role),
        Text("whose requests are signed by", grant.signer),
        Text("read results with", grant.recipient),
        Text("of the dataset", grant.dataset),
        Text("columns", ", ".join(grant.columns)),
        Text("for the project", grant.project),
        Text("and the purpose", grant.purpose),
        Text("at most", f"{grant.uses} plans"),
        Text("smallest group", _or_policy(grant.minimum_group, "persons")),
        Text("counts rounded to", _or_policy(grant.rounding, "")),
    ]


def _or_policy(value: int, unit: str) -> str:
    return (
        f"{value} {unit}, if that is stricter than the policy".replace(" ,", ",")
        if value
        else "as the policy says"
    )


def _approval_lines(approval: Approval, plan: Plan | None) -> list[Text]:
    if plan is None or plan.digest != approval.plan:
        raise HashMismatch("the plan that was shown is not the one in the statement", approval.plan)
    return [Text("approves the plan", approval.plan), *plan_lines(plan)]


def plan_lines(plan: Plan) -> list[Text]:
    """Return the lines that say what a plan does.

    Raises:
        Malformed: it is no plan of a member's statement.
    """
    request, program, decision = plan.request, plan.program, plan.decision
    if request is None or program is None or decision is None or decision.obligations is None:
        raise Malformed("only a plan of a member's statement can be approved", "plan")
    obligations = decision.obligations
    return [
        Text("asked by", f"{request.member}, whose requests are signed by {request.signer}"),
        Text("result sealed to", request.recipient),
        Text("project", request.project),
        Text("purpose", request.purpose),
        *_asked(request),
        *(
            Text(f"reads {r.name}", ", ".join(map(_masked(r), r.columns)) + _filtered(r.row_filter))
            for r in program.relations
        ),
        Text("what leaves", _LEAVES[program.level]),
        *(_noised(program) if program.private else _exact(program, obligations)),
        Text("largest result", f"{obligations.largest_result} cells"),
        Text("isolation", f"at least {obligations.tier}"),
    ]


def _exact(program: Program, obligations: Obligations) -> list[Text]:
    """Return the lines about figures that are protected by rules."""
    return [
        *(Text("really runs", table.counted) for table in program.tables),
        *([Text("then, on protected figures", program.finish)] if program.finish else []),
        Text("smallest group", f"{obligations.minimum_group} persons"),
        Text("counts rounded to", str(obligations.rounding)),
    ]


def _noised(program: Program) -> list[Text]:
    """Return the lines about figures that are protected by noise: what they cost, and how far it moves them."""
    private = program.private
    if private is None:
        return []
    ran = [table.contributions.statement for table in program.tables if table.contributions]
    named = zip(program.outputs, private.errors, strict=True)
    return [
        *(Text("really runs", statement) for statement in ran),
        Text("costs", f"{private.rho_micro:,} millionths of rho of {', '.join(private.datasets)}"),
        Text("a person counts", f"in {private.most_groups:,} groups and {private.most_rows:,} rows in each"),
        *(
            Text(f"noise on {output.name}", f"up to {error} in 95 of 100 cases")
            for output, error in named
            if error
        ),
    ]


def _asked(request: Request) -> list[Text]:
    """Return the lines that say what was asked for: a statement, or a task with what it may leave."""
    if request.kind is RequestKind.SQL:
        return [Text("statement", request.statement)]
    task = task_of(request)
    leaves = [Text("may leave", f"{each.name} ({each.form})") for each in task.artifacts]
    if isinstance(task, PythonTask):
        started = " ".join((task.main, *task.arguments))
        used = [Text("scores with", f"{each.name}: {each.artifact} of {each.plan}") for each in task.models]
        return [Text("runs the folder", task.folder), Text("starts", started), *used, *leaves]
    given = ", ".join(f"{name}={value}" for name, value in task.parameters.items())
    return [Text("runs the component", f"{task.component} with {given}"), *leaves]


_LEAVES = {
    Level.CELLS: "figures about groups of persons",
    Level.ROWS: "ROWS, each of which may be about one person",
    Level.WORK: "typed outputs of a program, after inspection",
}


def _masked(relation: Relation) -> Callable[[str], str]:
    """Return how a column of a relation is shown: with its mask, where it has one."""
    masks = {mask.column: f"{mask.kind} {mask.argument}".strip() for mask in relation.masks}
    return lambda column: f"{column} (masked: {masks[column]})" if column in masks else column


def _filtered(row_filter: str) -> str:
    return f" where {row_filter}" if row_filter else ""


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
