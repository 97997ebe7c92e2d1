"""Commands about data: what there is, and applying for it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from darkroom import terminal
from darkroom.cli_access import DryRun, FormatOption, room
from darkroom.signing import Text, end_of
from darkroom.terminal import Format
from plans import names


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (datasets, describe, apply, applications, grants):
        app.command()(command)


def datasets(form: FormatOption = Format.TABLE) -> None:
    """List the datasets."""
    found = room().datasets()
    heads = ("dataset", "relation", "title", "grade", "domain", "version")
    terminal.write(
        found, form, lambda: terminal.rows(heads, [[each[head] for head in heads] for each in found])
    )
    if form is Format.TABLE:
        terminal.say(f"{len(found)} datasets. Next: darkroom describe DATASET")


def describe(
    dataset: Annotated[str, typer.Argument(help="Its id, such as nm/tax/income.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Describe a dataset: its columns with type, unit and kind."""
    found = room().describe(dataset)

    def draw() -> None:
        plain = [(name, value) for name, value in found.items() if not isinstance(value, list)]
        terminal.facts([Text(name, str(value)) for name, value in plain])
        heads = ("name", "type", "unit", "kind")
        terminal.rows(heads, [[column[head] for head in heads] for column in found["columns"]])

    terminal.write(found, form, draw)


def apply(  # noqa: PLR0913 - each is an option that a person may type
    dataset: Annotated[str, typer.Argument(help="Its id, such as nm/tax/income.")],
    columns: Annotated[str, typer.Option(help="Names with commas between.")],
    purpose: Annotated[str, typer.Option(help="Why; a grant holds for this purpose only.")],
    project: Annotated[str, typer.Option(help="The project that the grant will belong to.")],
    until: Annotated[str, typer.Option(help="Last day, YYYY-MM-DD.")],
    uses: Annotated[int, typer.Option(min=1, help="How many statements may run under it.")] = 100,
    role: Annotated[
        str,
        typer.Option(
            help="The role in which you will ask; else the first of researcher and operator that you have."
        ),
    ] = "",
    dry_run: DryRun = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Apply for columns of a dataset, for a purpose, until a day."""
    wanted = [name.strip() for name in columns.split(",") if name.strip()]
    names.require("dataset", dataset)
    end_of(until)
    if dry_run:
        acting = f" as {role}" if role else ""
        terminal.say(
            f"Would apply{acting} for {', '.join(wanted)} of {dataset} for {project}, until {until}, {uses} uses."
        )
        return
    made = room().apply(dataset, wanted, purpose, project=project, until=until, uses=uses, role=role)
    terminal.write(made, form, lambda: typer.echo(made["id"]))
    terminal.say(f"Waits for an approver of {names.domain_of(dataset)}: darkroom approve {made['id']}")


def applications(form: FormatOption = Format.TABLE) -> None:
    """List your applications; for approvers also what waits for them, jobs included."""
    connection = room()
    found = connection.applications()
    waiting = (
        [job.view for job in connection.jobs_to_approve()] if "approver" in connection.me()["roles"] else []
    )

    def draw() -> None:
        heads = ("id", "state", "member", "role", "dataset", "columns", "project", "purpose")
        terminal.rows(heads, [[each[head] for head in heads] for each in found])
        if waiting:
            terminal.rows(("job", "state", "member", "project"), [_job_line(view) for view in waiting])

    terminal.write({"applications": found, "jobs": waiting}, form, draw)
    if form is Format.TABLE:
        terminal.say(f"{len(found)} applications, {len(waiting)} jobs that wait for approval.")


def grants(form: FormatOption = Format.TABLE) -> None:
    """List the grants that serve you; for approvers, those of your domain."""
    found = room().grants()
    heads = ("digest", "state", "member", "role", "dataset", "columns", "project", "until")
    terminal.write(
        found, form, lambda: terminal.rows(heads, [[each[head] for head in heads] for each in found])
    )


def _job_line(view: dict[str, Any]) -> list[Any]:
    return [view["id"], view["state"], view["member"], view["project"]]
