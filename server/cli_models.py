"""`darkroom-server models …`: models that stay with an owner, on the owner's own machine."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from server.options import DEFAULT_HOME, AsJson, Domain, Home

app = typer.Typer(help="Kept models: list them, and delete one for good.", no_args_is_help=True)


@app.command("list")
def list_models(domain: Domain, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """List the models that are kept: whose, for which project and purpose, and fitted to which tables."""
    from server.owners import desk_of

    found = desk_of(home, domain)[1].models()
    _out(json.dumps(found, ensure_ascii=False, indent=1) if as_json else "\n".join(lines(found)))


@app.command("delete")
def delete(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's digest, as the list says it.")],
    domain: Domain,
    home: Home = DEFAULT_HOME,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete what a plan has left at the keeper, its models among it. No task uses them after that."""
    from server.owners import desk_of

    desk = desk_of(home, domain)[1]
    if not yes:
        typer.confirm("Delete it for ever, with whatever else of this plan is held?", abort=True, err=True)
    desk.delete_model(plan)
    sys.stderr.write("Deleted. Whatever reviewers had still to say about this plan is void.\n")


def lines(models: list[dict[str, Any]]) -> Iterator[str]:
    """Yield kept models as text."""
    for each in models:
        since = datetime.datetime.fromtimestamp(each["since"], datetime.UTC).date().isoformat()
        tables = ", ".join(each["tables"])
        yield f"{each['plan']}  {each['artifact']}  {each['member']}  {each['project']}  {since}  {tables}"


def _out(text: str) -> None:
    sys.stdout.write(text + "\n" if text else "")
