"""Commands of approvers: read what will be signed, on this machine, and sign it or not."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from darkroom import signing, terminal
from darkroom.cli_access import DryRun, FormatOption, Yes, room
from darkroom.connection import Connection, offered_fingerprint
from darkroom.signing import Text
from darkroom.terminal import Format
from plans import names
from plans.errors import NotFound
from plans.impact import ImpactReport, Weight
from plans.plan import Plan
from plans.statements import Duty, Statement


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (approve, decline, revoke):
        app.command()(command)


def approve(  # noqa: PLR0913 - a command has as many options as it has
    number: Annotated[str, typer.Argument(metavar="ID", help="An application's or a job's id.")],
    minimum_group: Annotated[
        int, typer.Option(min=0, help="Of a grant: at least so many persons behind every figure.")
    ] = 0,
    rounding: Annotated[
        int, typer.Option(min=0, help="Of a grant: counts rounded to multiples of this.")
    ] = 0,
    fingerprint: Annotated[
        str, typer.Option(help="Of the applicant's keys, as the applicant read it out (darkroom keys show).")
    ] = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show what an application or a job asks for, and grant or approve it with your signature."""
    connection = room()
    stricter = signing.Stricter(minimum_group, rounding)
    statement, plan, application = _what_waits(connection, number, (stricter, fingerprint), dry_run)
    _sign_and_hand_in(connection, statement, plan, (yes, dry_run), application)
    if not dry_run:
        result = {"digest": statement.digest, "type": str(statement.type)}
        terminal.write(result, form, lambda: typer.echo(statement.digest))
        terminal.say(f"Signed and handed in. To end it: darkroom revoke {statement.digest}")


def decline(
    number: Annotated[str, typer.Argument(metavar="ID", help="An application's id.")],
    reason: Annotated[str, typer.Option(help="What its member will read.")],
    dry_run: DryRun = False,
) -> None:
    """Decline an application, with a reason."""
    connection = room()
    if dry_run:
        found = connection.application(number)
        terminal.say(f"Would decline {number} of {found['member']} for {found['dataset']}.")
        return
    connection.decline(number, reason)
    terminal.say("Declined.")


def revoke(
    digest: Annotated[str, typer.Argument(help="The digest of a grant's or approval's statement.")],
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """End a grant or approval of your domain: new plans at once, running boxes within 10 seconds."""
    connection = room()
    names.require("digest", digest)
    me = connection.me()
    duty = Duty.APPROVER if "approver" in me["roles"] else Duty.STEWARD
    statement = signing.revocation_statement(str(me["domain"]), digest, connection.signer(), duty)
    _sign_and_hand_in(connection, statement, None, (yes, dry_run), None)
    if not dry_run:
        terminal.say("Revoked; the owner's keeper knows it.")


def _what_waits(
    connection: Connection, number: str, said: tuple[signing.Stricter, str], dry_run: bool
) -> tuple[Statement, Plan | None, str | None]:
    """Return the statement that would be signed for an id, with the plan it stands for, or the application's id.

    `said` is what the approver said with it: stricter obligations, and the fingerprint of the applicant's
    keys.
    """
    stricter, fingerprint = said
    try:
        application = connection.application(number)
    except NotFound:
        plan, report = connection.plan_to_approve(number)
        _show_impact(report)
        return signing.approval_statement(plan, connection.signer()), plan, None
    if dry_run:
        return signing.grant_statement(application, connection.signer(), stricter), None, number
    settle_member(connection, application, fingerprint)
    return connection.grant(number, stricter), None, number


def _show_impact(report: ImpactReport) -> None:
    """Show what a plan means for the people in the data, the gravest first."""
    terminal.say("What this plan means, found here from its own bytes:")
    lines = [
        Text(f"{line.topic} ({line.weight})", f"{line.english}\n{line.chinese}")
        for weight in reversed(Weight)
        for line in report.lines
        if line.weight is weight
    ]
    terminal.facts(lines, to_person=True)


def settle_member(connection: Connection, application: dict[str, Any], fingerprint: str) -> None:
    """Trust the applicant's keys: by the fingerprint that the approver gave, or after an explicit yes.

    Raises:
        StateConflict: other keys are trusted for this member already.
        Malformed: nobody said yes.
    """
    member, offered = str(application["member"]), offered_fingerprint(application)
    if fingerprint:
        connection.trust_member(member, fingerprint)
    elif connection.trusted_member(member) is None:
        terminal.say(f"The portal says that {member}'s keys have the fingerprint {offered}.")
        terminal.say("The portal could lie. Compare it with what the member reads out: darkroom keys show")
        terminal.confirm(
            "Is it the same?", yes=False, instead="Give what the member read out: --fingerprint."
        )
        connection.trust_member(member, offered)


def _sign_and_hand_in(
    connection: Connection,
    statement: Statement,
    plan: Plan | None,
    asked: tuple[bool, bool],
    application: str | None,
) -> None:
    """Show a statement, ask, sign, hand in. `asked` holds `--yes` and `--dry-run`."""
    yes, dry_run = asked
    terminal.say("This is what your signature will say:")
    terminal.facts(signing.shown(statement, plan), to_person=True)
    if dry_run:
        terminal.say("Nothing was signed.")
        return
    terminal.confirm("Sign this?", yes=yes)
    connection.hand_in(statement, application)
