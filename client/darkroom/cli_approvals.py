"""Commands of approvers: read what will be signed, on this machine, and sign it or not."""

from __future__ import annotations

from typing import Annotated

import typer

from darkroom import signing, terminal
from darkroom.cli_access import DryRun, FormatOption, Yes, room
from darkroom.connection import Connection
from darkroom.terminal import Format
from plans import names
from plans.errors import NotFound
from plans.plan import Plan
from plans.statements import Duty, Statement


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (approve, decline, revoke):
        app.command()(command)


def approve(
    number: Annotated[str, typer.Argument(metavar="ID", help="An application's or a job's id.")],
    minimum_group: Annotated[
        int, typer.Option(min=0, help="Of a grant: at least so many persons behind every figure.")
    ] = 0,
    rounding: Annotated[
        int, typer.Option(min=0, help="Of a grant: counts rounded to multiples of this.")
    ] = 0,
    yes: Yes = False,
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show what an application or a job asks for, and grant or approve it with your signature."""
    connection = room()
    stricter = signing.Stricter(minimum_group, rounding)
    statement, plan, application = _what_waits(connection, number, stricter)
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
    connection: Connection, number: str, stricter: signing.Stricter
) -> tuple[Statement, Plan | None, str | None]:
    """Return the statement that would be signed for an id, with the plan it stands for, or the application's
    id.
    """
    try:
        application = connection.application(number)
    except NotFound:
        plan = connection.plan(number)
        return signing.approval_statement(plan, connection.signer()), plan, None
    return signing.grant_statement(application, connection.signer(), stricter), None, number


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
