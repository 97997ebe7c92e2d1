"""Commands about jobs: run a statement, follow it, read its result, and why it was allowed or not."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from darkroom import terminal
from darkroom.cli_access import DryRun, FormatOption, room, settle_trust
from darkroom.connection import Connection
from darkroom.job import RELEASED, Job
from darkroom.result import Result
from darkroom.signing import Text
from darkroom.terminal import Format
from plans.errors import Malformed, NotFound, TooLarge
from plans.request import LONGEST_STATEMENT

KeeperKey = Annotated[str, typer.Option(help="The keeper's public key, as the owner told you.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="A job's id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (sql, jobs, job, cancel, result, explain):
        app.command()(command)


def sql(  # noqa: PLR0913 - each is an option that a person may type
    statement: Annotated[
        str, typer.Argument(help="One statement that selects, or - to read it from standard input.")
    ] = "",
    file: Annotated[Path | None, typer.Option(help="A file that holds it.")] = None,
    project: Annotated[str, typer.Option(help="The project whose grants are used.")] = ...,  # type: ignore[assignment]
    purpose: Annotated[str, typer.Option(help="Why; as in the grant.")] = ...,  # type: ignore[assignment]
    wait: Annotated[bool, typer.Option(help="Wait for the result, or end once the job is taken.")] = True,
    keeper_key: KeeperKey = "",
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Run a statement on the real data and show its checked result."""
    text = _statement(statement, file)
    if dry_run:
        terminal.say(f"Would sign and submit {len(text)} characters of SQL for {project}: {purpose}")
        return
    connection = room()
    submitted = connection.sql(text, project=project, purpose=purpose)
    terminal.say(f"Job {submitted.id}")
    if wait:
        _follow(submitted)
        _show_result(connection, submitted, keeper_key, form)
    else:
        terminal.write(submitted.view, form, lambda: typer.echo(submitted.id))
        terminal.say(f"Next: darkroom result {submitted.id}")


def jobs(form: FormatOption = Format.TABLE) -> None:
    """List your jobs, newest first."""
    found = room().jobs()
    lines = [(each.id, each.state, each.view["project"], each.waits_for or "-") for each in found]
    heads = ("id", "state", "project", "waits for")
    terminal.write([each.view for each in found], form, lambda: terminal.rows(heads, lines))


def job(number: JobId, form: FormatOption = Format.TABLE) -> None:
    """Show one job: its state, what the state means, who has to act, and its way so far."""
    found = room().job(number)

    def draw() -> None:
        lines = [Text("job", found.id), Text("state", found.state), Text("meaning", found.sentence)]
        lines += [Text("waits for", found.waits_for)] if found.waits_for else []
        lines += [Text("plan", str(found.view.get("plan_digest") or "none yet"))]
        problem = found.problem()
        lines += [Text("problem", str(problem))] if problem else []
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


def result(number: JobId, keeper_key: KeeperKey = "", form: FormatOption = Format.TABLE) -> None:
    """Fetch a job's release, check it, open it with your key, and show the table."""
    connection = room()
    found = connection.job(number)
    _follow(found)
    _show_result(connection, found, keeper_key, form)


def explain(number: JobId, form: FormatOption = Format.TABLE) -> None:
    """Say why a job was allowed, denied or stopped: every rule that spoke, and what would help."""
    found = room().job(number)
    reasons, problem = found.explain(), found.problem()
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


def _statement(given: str, file: Path | None) -> str:
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


def _follow(found: Job) -> None:
    began = time.monotonic()

    def progress(seen: Job) -> None:
        waits = f" (waits for {seen.waits_for})" if seen.waits_for else ""
        terminal.say(f"{time.monotonic() - began:6.1f} s  {seen.state}: {seen.sentence}{waits}")

    try:
        found.wait(progress=progress)
    except KeyboardInterrupt:
        terminal.say(
            f"The job goes on. Look again: darkroom job {found.id}; end it: darkroom cancel {found.id}"
        )
        raise typer.Exit(130) from None


def _show_result(connection: Connection, found: Job, keeper_key: str, form: Format) -> None:
    if found.state == RELEASED:
        settle_trust(connection, connection.plan(found.id).domain, keeper_key)
    released = found.result()
    terminal.write(_plain(released), form, lambda: terminal.rows(released.columns, released.texts()))
    for note in released.notes:
        terminal.say(f"Note: {note}")
    hidden = sum(map(sum, released.suppressed))
    terminal.say(f"{len(released.rows)} rows, {len(released.columns)} columns, {hidden} cells suppressed.")


def _plain(released: Result) -> dict[str, object]:
    return {
        "plan": released.plan.digest,
        "columns": [{"name": column.name, "type": column.type} for column in released.released.columns],
        "rows": [list(row) for row in released.rows],
        "suppressed": [list(row) for row in released.suppressed],
        "notes": list(released.notes),
    }


def _clock(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
