"""Commands about jobs: run a statement, follow it, read its result, and why it was allowed or not."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from darkroom import terminal
from darkroom.cli_access import DryRun, FormatOption, room, settle_trust
from darkroom.files import Files
from darkroom.job import RELEASED, Job
from darkroom.result import Result
from darkroom.signing import Text
from darkroom.terminal import Format
from plans.errors import Malformed, NotFound, TooLarge
from plans.request import LONGEST_STATEMENT

KeeperKey = Annotated[str, typer.Option(help="The keeper's public key, as the owner told you.")]
Out = Annotated[
    Path | None, typer.Option(help="The folder for a task's outputs; else darkroom-ID in this one.")
]
JobId = Annotated[str, typer.Argument(metavar="ID", help="A job's id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (sql, price, jobs, job, cancel, result, explain):
        app.command()(command)


def sql(  # noqa: PLR0913 - each is an option that a person may type
    statement: Annotated[
        str, typer.Argument(help="One statement that selects, or - to read it from standard input.")
    ] = "",
    file: Annotated[Path | None, typer.Option(help="A file that holds it.")] = None,
    project: Annotated[str, typer.Option(help="The project whose grants are used.")] = ...,  # type: ignore[assignment]
    purpose: Annotated[str, typer.Option(help="Why; as in the grant.")] = ...,  # type: ignore[assignment]
    wait: Annotated[bool, typer.Option(help="Wait for the result, or end once the job is taken.")] = True,
    spend_micro: Annotated[
        int, typer.Option(help="What noised figures may cost, in millionths of rho; 0: the platform's share.")
    ] = 0,
    keeper_key: KeeperKey = "",
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Run a statement on the real data and show its checked result."""
    text = statement_text(statement, file)
    if dry_run:
        terminal.say(f"Would sign and submit {len(text)} characters of SQL for {project}: {purpose}")
        return
    connection = room()
    submitted = connection.sql(text, on="real", project=project, purpose=purpose, spend_micro=spend_micro)
    terminal.say(f"Job {submitted.id}")
    if wait:
        follow(submitted)
        show_result(submitted, keeper_key, form)
    else:
        terminal.write(submitted.view, form, lambda: typer.echo(submitted.id))
        terminal.say(f"Next: darkroom result {submitted.id}")


def price(
    statement: Annotated[str, typer.Argument(help="One statement that selects.")],
    project: Annotated[str, typer.Option(help="The project whose grants would be used.")] = ...,  # type: ignore[assignment]
    purpose: Annotated[str, typer.Option(help="Why; as in the grant.")] = ...,  # type: ignore[assignment]
    spend_micro: Annotated[int, typer.Option(help="As of `darkroom sql`.")] = 0,
    form: FormatOption = Format.TABLE,
) -> None:
    """Say what a statement would be answered, what it costs and how much noise its figures have; nothing runs."""
    found = room().dry_run(statement, project=project, purpose=purpose, spend_micro=spend_micro)

    def draw() -> None:
        lines = [Text("outcome", str(found["outcome"]))]
        lines += [
            Text(reason["rule"], f"{reason['sentence']} {reason['help']}") for reason in found["reasons"]
        ]
        noise = found["noise"]
        if noise:
            lines.append(
                Text("costs", f"{noise['rho_micro']:,} millionths of rho of {', '.join(noise['datasets'])}")
            )
            for each in noise["errors"]:
                lines.append(Text(f"noise on {each['output']}", f"up to {each['error']} in 95 of 100 cases"))
        elif found["outcome"] != "deny":
            lines.append(Text("noise", "none: figures leave by rules"))
        terminal.facts(lines)

    terminal.write(found, form, draw)


def jobs(form: FormatOption = Format.TABLE) -> None:
    """List your jobs, newest first."""
    found = room().jobs()
    lines = [
        (
            each.id,
            each.kind,
            each.state,
            each.view["project"],
            each.waiting or "-",
            each.view.get("cost") or "-",
        )
        for each in found
    ]
    heads = ("id", "kind", "state", "project", "waits for", "cost")
    terminal.write([each.view for each in found], form, lambda: terminal.rows(heads, lines))


def job(number: JobId, form: FormatOption = Format.TABLE) -> None:
    """Show one job: its state, what the state means, who has to act, and its way so far."""
    found = room().job(number)

    def draw() -> None:
        lines = [Text("job", found.id), Text("state", found.state), Text("meaning", found.sentence)]
        lines += [Text("waits for", found.waiting)] if found.waiting else []
        cost = str(found.view.get("cost") or "")
        lines += [Text("cost", f"{cost} of processor time")] if cost else []
        lines += [Text("plan", str(found.view.get("plan_digest") or "none yet"))]
        problem = found.problem()
        lines += [Text("problem", str(problem))] if problem else []
        lines += [Text("next", f"darkroom retry {found.id}")] if found.view.get("retries") else []
        lines += [Text(state, _clock(int(at))) for at, state in map(str.split, found.view["timeline"])]
        terminal.facts(lines)

    terminal.write(found.view, form, draw)


def cancel(number: JobId, dry_run: DryRun = False) -> None:
    """Cancel a job."""
    found = room().job(number)
    if dry_run:
        terminal.say(f"Would cancel {found.id}, which is {found.state}.")
        return
    terminal.say(f"{found.cancel().sentence}")


def result(
    number: JobId, keeper_key: KeeperKey = "", out: Out = None, form: FormatOption = Format.TABLE
) -> None:
    """Fetch a job's release, check it, open it with your key, and show the table, or write the outputs of a task."""
    found = room().job(number)
    follow(found)
    show_result(found, keeper_key, form, out)


def explain(number: JobId, form: FormatOption = Format.TABLE) -> None:
    """Say why a job was allowed, denied or stopped: every rule that spoke, and what would help."""
    found = room().job(number)
    reasons, problem = found.explain() if found.view.get("decision") else [], found.problem()
    remedies, alternatives = found.remedies(), found.alternatives()

    def draw() -> None:
        terminal.facts([Text("job", found.id), Text("state", found.state), Text("meaning", found.sentence)])
        for reason in reasons:
            fields = ("rule", "subject", "sentence", "help")
            terminal.facts([Text(field, reason[field]) for field in fields])
        if remedies or alternatives:
            terminal.facts([Text("to make it pass", each) for each in remedies])
            terminal.facts([Text("or", each) for each in alternatives])
        elif problem:
            terminal.facts(
                [Text("problem", problem.what), Text("help", problem.next_step), Text("code", problem.code)]
            )

    found_problem = problem.problem() if problem else None
    told = {"reasons": reasons, "remedies": remedies, "alternatives": alternatives, "problem": found_problem}
    terminal.write({"id": found.id} | told, form, draw)


def statement_text(given: str, file: Path | None) -> str:
    """Return the SQL text: typed, from a file, or from standard input.

    Raises:
        Malformed: none or two were given, or the file is not UTF-8 text.
        NotFound: there is no such file.
        TooLarge: it is longer than a request may be.
    """
    if bool(given) == (file is not None):
        raise Malformed(
            "give one statement, or one file", "sql", 'For example: darkroom sql "select …" --project …'
        )
    where = str(file) if file else "statement"
    try:
        if file is not None:
            with file.open(encoding="utf-8") as opened:
                given = opened.read(LONGEST_STATEMENT + 1)
        elif given == "-":
            given = sys.stdin.read(LONGEST_STATEMENT + 1)
    except FileNotFoundError:
        raise NotFound("there is no such file", where, "Check the path.") from None
    except UnicodeDecodeError:
        raise Malformed("the statement is not UTF-8 text", where, "Save it as UTF-8.") from None
    except OSError as problem:
        raise Malformed(
            f"the file cannot be read ({problem.strerror})", where, "Give a readable file."
        ) from None
    if len(given) > LONGEST_STATEMENT:
        raise TooLarge(f"the statement has more than {LONGEST_STATEMENT:,} characters", where)
    return given


def follow(found: Job) -> None:
    """Wait until a job has ended, telling each state."""
    began = time.monotonic()

    def progress(seen: Job) -> None:
        waits = f" (waits for {seen.waiting})" if seen.waiting else ""
        terminal.say(f"{time.monotonic() - began:6.1f} s  {seen.state}: {seen.sentence}{waits}")

    try:
        found.wait(progress=progress)
    except KeyboardInterrupt:
        terminal.say(
            f"The job goes on. Look again: darkroom job {found.id}; end it: darkroom cancel {found.id}"
        )
        raise typer.Exit(130) from None


def show_result(found: Job, keeper_key: str, form: Format, out: Path | None = None) -> None:
    """Fetch, check and open a job's release; show the table, or write the outputs of a task into a folder."""
    if found.state == RELEASED:
        connection = found.connection
        settle_trust(connection, connection.plan(found.id).domain, keeper_key)
    released = found.result()
    if isinstance(released, Files):
        _write_files(found, released, form, out)
        return
    terminal.write(_plain(released), form, lambda: terminal.rows(released.columns, released.texts()))
    for note in released.notes:
        terminal.say(f"Note: {note}")
    hidden = sum(map(sum, released.suppressed))
    terminal.say(f"{len(released.rows)} rows, {len(released.columns)} columns, {hidden} cells suppressed.")


def _write_files(found: Job, released: Files, form: Format, out: Path | None) -> None:
    paths = released.save(out or Path(f"darkroom-{found.id}"))
    forms = [each.form.value for each in released.released.artifacts]
    plain = {
        "plan": released.plan.digest,
        "files": [str(path) for path in paths],
        "notes": list(released.notes),
    }
    lines = list(zip(map(str, paths), forms, strict=True))
    terminal.write(plain, form, lambda: terminal.rows(("file", "form"), lines))
    for note in released.notes:
        terminal.say(f"Note: {note}")


def _plain(released: Result) -> dict[str, object]:
    return {
        "plan": released.plan.digest,
        "columns": [{"name": column.name, "type": column.type} for column in released.released.columns],
        "rows": [
            [
                cell.v if value is None or not isinstance(value, int) else value
                for value, cell in zip(*row, strict=True)
            ]
            for row in zip(released.rows, released.sheet.rows, strict=True)
        ],
        "suppressed": [list(row) for row in released.suppressed],
        "notes": list(released.notes),
    }


def _clock(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
