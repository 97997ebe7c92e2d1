"""`darkroom-server review …`: the owner's desk for held outputs, on the owner's own machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from plans.statements import Answer
from server.options import DEFAULT_HOME, AsJson, Domain, Home

app = typer.Typer(help="Held outputs: read them, and say what may leave.", no_args_is_help=True)

PlanDigest = Annotated[str, typer.Argument(metavar="PLAN", help="The plan's digest, as the list says it.")]


@app.command("list")
def list_held(domain: Domain, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """List what waits for reviewers: who asked, by when, and what is missing."""
    from server import reviewing

    found = reviewing.list_held(home, domain)
    if as_json:
        _out(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for held in found:
        late = "OVERDUE" if held["overdue"] else f"until {held['until']}"
        _out(f"{held['plan']}  {held['member']}  {held['standing']}  {late}  {', '.join(held['reasons'])}")
    if not found:
        _say("Nothing waits.")


@app.command("show")
def show(
    plan: PlanDigest,
    domain: Domain,
    reviewer: Annotated[str, typer.Option(help="Your name, such as gao@nm/tax.")],
    home: Home = DEFAULT_HOME,
    into: Annotated[
        Path | None, typer.Option(help="Write the outputs into this empty folder, to open them.")
    ] = None,
) -> None:
    """Show one held output: what would leave, every rule with its numbers, and the opinions that you may see."""
    from server import reviewing

    shown = reviewing.show_held(home, domain, plan, reviewer)
    for line in reviewing.lines_of(shown):
        _out(line)
    if into is not None:
        for name in reviewing.write_into(shown, into):
            _say(f"written: {into / name}")


@app.command("give")
def give(  # noqa: PLR0913 - a command has as many options as it has
    plan: PlanDigest,
    domain: Domain,
    answer: Annotated[Answer, typer.Option(help="release, return (for changes) or refuse.")],
    comment: Annotated[
        str, typer.Option(help="Why. Its author reads the consolidated one: name no value of the data.")
    ],
    keys_file: Annotated[Path, typer.Option(help="Your key file; its passphrase is asked for.")],
    home: Home = DEFAULT_HOME,
    consolidate: Annotated[
        bool, typer.Option("--consolidate", help="Bring the independent opinions together: the answer.")
    ] = False,
) -> None:
    """Sign your opinion about a held output: independent first, then together."""
    from keys import api as keys
    from server import reviewing
    from server.owners import desk_of

    passphrase = typer.prompt("Passphrase of your key file", hide_input=True, err=True)
    reviewer = keys.load_member_keys(keys_file, passphrase)
    opinion = (answer, comment, consolidate)
    signed = reviewing.give_opinion(desk_of(home, domain)[1], domain, plan, opinion, reviewer)
    _out(signed.statement.digest)
    _say("Signed and handed in.")


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
