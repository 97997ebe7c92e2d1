"""Commands about joint computations: ask several owners at once, read what would be seen by whom, approve, open."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom import joint_asking as asking
from darkroom import joint_forms, terminal
from darkroom.cli_access import DryRun, FormatOption, Yes, room, settle_trust
from darkroom.cli_jobs import statement_text
from darkroom.cli_looked_up import say_shown, show_looked_up
from darkroom.joint_forms import Filled, Form
from darkroom.joint_looked_up import checked
from darkroom.joint_task import Named, task_of
from darkroom.signing import Text
from darkroom.terminal import Format
from plans import names
from plans.errors import Malformed
from plans.joint import JointPlan, SeenAs
from plans.joint_evidence import JointEvidence

Number = Annotated[str, typer.Argument(metavar="ID", help="A joint computation's id.")]
Project = Annotated[str, typer.Option(help="The project whose grants are used.")]
Purpose = Annotated[str, typer.Option(help="Why, as in the grants.")]
StatementText = Annotated[
    str,
    typer.Argument(
        help="SQL over relations of several owners, or - for standard input; not with --file or --form."
    ),
]
StatementFile = Annotated[Path | None, typer.Option(help="A file with the statement.")]
Servers = Annotated[str, typer.Option(help="Three domains that compute on shares, with commas between.")]
Helper = Annotated[str, typer.Option(help="The domain that matches pseudonyms; none: Diffie-Hellman.")]
Inspector = Annotated[str, typer.Option(help="The owner whose airlock opens first; none: nobody but you.")]
Finder = Annotated[
    str,
    typer.Option(
        help="Your own domain, where something is asked of its persons: who all others have, scores, records."
    ),
]
Collector = Annotated[
    str,
    typer.Option(
        help="The domain that computes on ciphertexts, in place of servers: adds up one table in parts, or is the "
        "other one of two owners."
    ),
]
Question = Annotated[
    Form | None,
    typer.Option("--form", help="A question without SQL: its statement is shown, and signed after a yes."),
]
Relations = Annotated[
    str, typer.Option(help="With --form: its relations, schema.table, with commas between; an own one first.")
]
Keys = Annotated[
    str, typer.Option(help="With --form: columns whose values are the cells, schema.table.column.")
]
Columns = Annotated[
    str, typer.Option(help="With --form: columns of figures, scores or records (docs/joint-forms.md).")
]
Conditions = Annotated[
    list[str] | None,
    typer.Option(help="With --form: a column, a comparison and a value; all that are given hold."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="With --form lookup: how many questions are asked.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands, below `joint`."""
    group = typer.Typer(
        cls=terminal.SpeakingGroup,
        help="Joint computations: several agencies, one answer, nothing else learned.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    for command in (ask, show, approve, result, verify, cancel):
        group.command()(command)
    group.command("list")(list_all)
    group.command("show-looked-up")(show_looked_up)
    app.add_typer(group, name="joint")


def ask(  # noqa: PLR0913 - each is an option that a person may type
    project: Project,
    purpose: Purpose,
    statement: StatementText = "",
    servers: Servers = "",
    helper: Helper = "",
    inspector: Inspector = "",
    finder: Finder = "",
    collector: Collector = "",
    file: StatementFile = None,
    question: Question = None,
    of: Relations = "",
    by: Keys = "",
    columns: Columns = "",
    where: Conditions = None,
    limit: Limit = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask several owners one statement; its plan then waits until every party has approved it.

    Figures over registers that are joined, or over one table in parts (UNION ALL), need three servers, or a collector
    beside an inspector; which persons are in all registers, scores of own rows by another's model (CROSS JOIN) and
    what another's register has of own persons (LEFT JOIN) need a finder. Without SQL, --form makes the statement.
    """
    named = Named(asking.domains(servers), helper, inspector, finder, collector)
    filled = Filled(
        asking.domains(of), asking.domains(by), asking.domains(columns), tuple(where or ()), limit or 0
    )
    if question is None:
        _require_blank(filled)
        task = task_of(statement_text(statement, file), named)
    else:
        _require_no_sql(statement, file)
        task = joint_forms.task(question, filled, named)
        terminal.say(f"This form asks the statement: {task.statement}")
    if dry_run:
        _say_plan(room().explain_jointly(task, project=project, purpose=purpose), form)
        return
    if question is not None:
        terminal.confirm("Sign this statement?", yes=yes)
    made = room().ask_jointly(task, project=project, purpose=purpose)
    terminal.write(made, form, lambda: typer.echo(made["id"]))
    terminal.say(f"Taken. What would be seen by whom: darkroom joint show {made['id']}")


def _say_plan(plan: JointPlan, form: Format) -> None:
    """Show the plan that a statement would get."""
    terminal.write(plan.plain(), form, lambda: _draw_plan(plan, to_person=False))
    terminal.say("This is the plan that it would get. Nobody was asked, and nothing was charged.")


def _require_blank(filled: Filled) -> None:
    """Refuse words for a form where none was named."""
    if filled != Filled(()):
        raise Malformed(
            "--of, --by, --columns, --where and --limit are the blanks of a form, and none is named",
            "--form",
            f"Name one of {', '.join(Form)}, or write all of it as SQL.",
        )


def _require_no_sql(statement: str, file: Path | None) -> None:
    """Refuse SQL beside a form, which makes its own."""
    if statement or file is not None:
        raise Malformed(
            "a form makes its statement by itself", "--form", "Leave the SQL out, or leave --form out."
        )


def list_all(form: FormatOption = Format.TABLE) -> None:
    """List your joint computations; for approvers also those that wait for them."""
    connection = room()
    roles = connection.me()["roles"]
    asks = {"researcher", "operator"} & set(roles)
    own = connection.joints() if asks else []
    waiting = connection.joints_to_approve() if "approver" in roles else []

    def draw() -> None:
        heads = ("id", "state", "waits_for", "project", "statement")
        for found in (own, waiting):
            if found:
                terminal.rows(heads, [[each[head] for head in heads] for each in found])

    terminal.write({"own": own, "to_approve": waiting}, form, draw)
    if form is Format.TABLE:
        terminal.say(f"{len(own)} of your own, {len(waiting)} that wait for your approval.")


def show(number: Number, form: FormatOption = Format.TABLE) -> None:
    """Show a joint computation: its state, its plan, and who would see what at which step."""
    connection = room()
    found = connection.joint(number)
    plan = connection.joint_plan(number) if found["plan_digest"] else None

    def draw() -> None:
        terminal.facts([Text(name, _told(found[name])) for name in ("id", "state", "waits_for", "approved")])
        if found["problem"]:
            terminal.facts([Text("problem", str(found["problem"]["title"]))])
        if plan is not None:
            _draw_plan(plan, to_person=False)

    terminal.write({"computation": found, "plan": plan.plain() if plan else None}, form, draw)


def approve(
    number: Number, yes: Yes = False, dry_run: DryRun = False, form: FormatOption = Format.TABLE
) -> None:
    """Show who would see what at which step, and approve exactly this plan for your domain with your signature."""
    connection = room()
    plan = connection.joint_plan(number)
    statement = asking.approval_of(plan, str(connection.me()["domain"]), connection.signer())
    terminal.say(
        "What this joint plan says, read here from the very bytes that you sign; every party's keeper makes the"
    )
    terminal.say("table of who sees what again, and gives no key where it says anything else:")
    _draw_plan(plan, to_person=True)
    terminal.say(f"Your signature will say: {statement.domain} approves the plan {plan.digest}")
    if dry_run:
        terminal.say("Nothing was signed.")
        return
    terminal.confirm("Sign this?", yes=yes)
    connection.hand_in(statement)
    result = {"digest": statement.digest, "type": str(statement.type)}
    terminal.write(result, form, lambda: typer.echo(statement.digest))
    terminal.say(f"Signed and handed in. To end it: darkroom revoke {statement.digest}")


def result(
    number: Number,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for its end.")] = 600,
    form: FormatOption = Format.TABLE,
) -> None:
    """Wait for the end, check every party's receipt, open what was sealed to you, and show the answer."""
    connection = room()
    plan = connection.joint_plan(number)
    for party in plan.parties:
        settle_trust(connection, party.domain)
    connection.wait_jointly(
        number, wait, lambda found: terminal.say(f"{found['state']}: {found['sentence']}")
    )
    opened = connection.open_jointly(number)

    def draw() -> None:
        terminal.rows(opened.columns, opened.texts())

    plain = {
        "columns": list(opened.columns),
        "rows": [
            [str(cell) if isinstance(cell, Decimal) else cell for cell in row] for row in opened.answer.rows
        ],
        "withheld": opened.answer.withheld,
        "suppressed": opened.suppressed,
        "notes": list(opened.notes),
        "sights": [sight.plain() for sight in plan.sights],
    }
    terminal.write(plain, form, draw)
    for note in opened.notes:
        terminal.say(f"note: {note}")
    terminal.say("Who saw what meanwhile (uniform shares and masked values left out):")
    seen = [sight for sight in plan.sights if sight.form not in (SeenAs.SHARE, SeenAs.MASKED)]
    terminal.facts(
        [Text(f"{sight.step}, {sight.party}", f"{sight.form}: {sight.what}") for sight in seen],
        to_person=True,
    )


def verify(
    number: Annotated[str, typer.Argument(metavar="[ID]", help="A released computation of yours.")] = "",
    file: Annotated[Path | None, typer.Option(help="Evidence that somebody saved; needs no portal.")] = None,
    root: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DOMAIN=KEY", help="A party's root key, as that party itself told it; one for each."
        ),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the evidence here, for others to verify.")] = None,
    looked_up: Annotated[
        list[str] | None,
        typer.Option(metavar="PERSON=SALT", help="Whom a member shows to have looked up; one for each."),
    ] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Check a finished computation again: approvals, boxes, records and receipts of all parties, from root keys on."""
    if bool(number) == (file is not None):
        raise Malformed("name a computation or a file of evidence", "command line")
    evidence = JointEvidence.decode(file.read_bytes()) if file else room().joint_evidence(number)
    if save is not None:
        save.write_bytes(evidence.canonical())
        terminal.say(
            f"Wrote {save}. Whoever has the root keys checks it: darkroom joint verify --file {save}"
        )
    if not root:
        told = ", ".join(party.domain for party in evidence.joint.parties)
        raise Malformed(
            "nothing can be checked without the parties' root keys",
            "--root",
            f"Ask each of {told} for its own.",
        )
    receipts = asking.verified(evidence, dict(_root(each) for each in root))
    persons = checked(evidence, looked_up) if looked_up else ()
    lines = [
        [each.party, each.code or "ended well", str(len(each.records)), each.sealed] for each in receipts
    ]
    plain = {"digest": evidence.joint.digest, "receipts": [each.plain() for each in receipts]}
    terminal.write(plain, form, lambda: terminal.rows(("party", "says", "boxes", "handed over"), lines))
    terminal.say(f"Asked by {evidence.joint.request.member}: {evidence.joint.task.statement}")
    terminal.say(f"Opening: {asking.opening_of(evidence.joint)}.")
    say_shown(persons, evidence)
    terminal.say(
        "Everything fits: who approved, which boxes ran, what they left. It does not show that data were true, "
        "or that a server computed as the protocol says."
    )


def _root(text: str) -> tuple[str, str]:
    domain, _, key = text.partition("=")
    return names.require("domain", domain), names.require("signing key", key)


def cancel(number: Number, dry_run: DryRun = False) -> None:
    """Cancel a joint computation; every party ends its boxes, and nothing of it is released."""
    if dry_run:
        terminal.say(f"Would cancel the joint computation {number}.")
        return
    room().cancel_joint(number)
    terminal.say("Cancelled.")


def _draw_plan(plan: JointPlan, *, to_person: bool) -> None:
    terminal.facts(asking.plan_lines(plan), to_person=to_person)
    heads = ("step", "who", "form", "at most", "what is seen")
    terminal.rows(heads, asking.sight_lines(plan), to_person=to_person)


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
