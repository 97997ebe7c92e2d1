"""`darkroom-server party …`: taking part in joint computations, on the owner's own machine (docs/parties.md)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from server.options import DEFAULT_HOME, AsJson, Home

app = typer.Typer(help="Taking part in joint computations with other domains.", no_args_is_help=True)

Own = Annotated[str, typer.Argument(help="The own domain, such as nm/tax.")]
Peer = Annotated[str, typer.Argument(help="The other domain, such as nm/health.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

_ANEW = (
    "A running `darkroom-server up` starts {what} of {domain} anew by itself, and what runs there begins again."
    " Without it, start {what} anew."
)


@app.command("add")
def add(  # noqa: PLR0913 - a command has as many options as it has
    domain: Own,
    administration: Annotated[str, typer.Option(help="Who employs this side's administrators.")],
    hosting: Annotated[str, typer.Option(help="On whose machines it runs.")],
    software: Annotated[str, typer.Option(help="Who signs the software that runs there.")] = "Darkroom",
    listen: Annotated[
        str, typer.Option(help="host:port at which the agent listens; without it, as before, or loopback.")
    ] = "",
    address: Annotated[
        str, typer.Option(help="host:port by which the others reach it, where that is another.")
    ] = "",
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Give a side its agent and sign how it describes itself, or change the description. Needs the root key."""
    from plans.joint import Party
    from server import parties, party_view
    from server.owners import side_of

    owner = side_of(home, domain)
    said, place = parties.Described(administration, hosting, software), parties.Place(listen, address)
    if dry_run:
        body, where = parties.described(owner, said, place)
        _tell(body.plain() if as_json else party_view.party_lines(body))
        _say(f"Would listen at {where}. Nothing was signed or written.")
        return
    signed = parties.add_party(owner, said, place)
    known = parties.publish(owner, signed)
    body = Party.read(signed.statement.body)
    _tell(body.plain() if as_json else party_view.party_lines(body))
    if not known:
        _say("The own keeper does not run; it hears of this when it does.")
    _say(_ANEW.format(what="agent and launcher", domain=domain))
    _say(f"Next: darkroom-server party trust {domain} PEER ROOTKEY, and the same at the others.")


@app.command("trust")
def trust(  # noqa: PLR0913 - a command has as many options as it has
    domain: Own,
    peer: Peer,
    root: Annotated[
        str, typer.Argument(metavar="ROOTKEY", help="Its root key, as `party show` says it there.")
    ],
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Tell a keeper the root key of another domain, once it was compared with what they read out."""
    from plans import names
    from server import parties
    from server.owners import side_of

    owner = side_of(home, domain)
    told = {
        "peer": peer,
        "root": names.require("signing key", root),
        "spoken": parties.spoken(root),
    }
    before = parties.trusted(owner, peer)
    _tell(told if as_json else [f"root key of {peer}: {told['spoken']}"])
    if before == root:
        _say("The keeper was told this before.")
        return
    if before:
        _say(f"It takes the place of another: {parties.spoken(before)}")
    if dry_run:
        _say("Nothing was written.")
        return
    if not yes:
        typer.confirm(f"Did the administrators of {peer} read out the same to you?", abort=True, err=True)
    parties.trust(owner, peer, root)
    _say(_ANEW.format(what="the keeper", domain=domain))


@app.command("distrust")
def distrust(
    domain: Own, peer: Peer, home: Home = DEFAULT_HOME, yes: Yes = False, dry_run: DryRun = False
) -> None:
    """Take the root key of another domain back: from then on nothing is computed with it."""
    from plans.errors import NotFound
    from server import parties
    from server.owners import side_of

    owner = side_of(home, domain)
    before = parties.trusted(owner, peer)
    if not before:
        raise NotFound(f"the keeper of {domain} was told no root key of this domain", peer)
    _tell([f"root key of {peer}: {parties.spoken(before)}"])
    if dry_run:
        _say("Nothing was written.")
        return
    if not yes:
        typer.confirm(f"Compute nothing with {peer} any more?", abort=True, err=True)
    parties.distrust(owner, peer)
    _say(_ANEW.format(what="the keeper", domain=domain))


@app.command("offer")
def offer(
    domain: Own,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="Rosters and descriptions of peers, signed.")
    ],
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Offer a keeper what a peer's administrators sent: it believes what the root key signed that it was told."""
    from server import parties, party_view
    from server.owners import side_of

    owner = side_of(home, domain)
    read = [party_view.read(path) for path in files]
    for signed in read:
        if not as_json:
            _tell([party_view.line_of(signed)])
        if not dry_run:
            parties.offer_to(owner, signed)
    if as_json:
        _tell({"offered": [each.statement.plain() for each in read], "peers": party_view.peers_of(owner)})
    _say("Nothing was offered." if dry_run else f"The keeper of {domain} holds this.")


@app.command("show")
def show(domain: Own, home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """Show the own root key to read out, the peers, the agent, and why attempts failed here. For the owner only."""
    from server import party_view
    from server.owners import side_of

    shown = party_view.show(side_of(home, domain))
    _tell(shown if as_json else party_view.lines_of(shown))


def _tell(found: dict[str, Any] | Iterable[str]) -> None:
    if isinstance(found, dict):
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
        return
    for line in found:
        sys.stdout.write(f"{line}\n")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
