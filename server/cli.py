"""`darkroom-server`: what operators type.

Results on standard output, narration on standard error; exit codes are those of the error tree
(docs/errors.md).
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from plans.errors import DarkroomError, Malformed
from server import cli_labs, cli_ledger, cli_models, cli_party, cli_projects, cli_review
from server.options import DEFAULT_HOME, AsJson, Home

app = typer.Typer(
    help="Run and operate a Darkroom (暗室).", no_args_is_help=True, pretty_exceptions_enable=False
)
domain_app = typer.Typer(help="Domains and their owners' sides.", no_args_is_help=True)
member_app = typer.Typer(help="Members' accounts.", no_args_is_help=True)
keeper_app = typer.Typer(help="An owner's keeper: policies, erasure, state.", no_args_is_help=True)
audit_app = typer.Typer(help="The audit log.", no_args_is_help=True)
for name, sub in (
    ("domain", domain_app),
    ("member", member_app),
    ("keeper", keeper_app),
    ("audit", audit_app),
    ("review", cli_review.app),
    ("ledger", cli_ledger.app),
    ("models", cli_models.app),
    ("party", cli_party.app),
    ("project", cli_projects.app),
    ("labs", cli_labs.app),
):
    app.add_typer(sub, name=name)

DomainName = Annotated[str, typer.Argument(help="The owning domain, such as nm/tax.")]


@app.command()
def up(
    home: Home = DEFAULT_HOME, port: Annotated[int, typer.Option(help="Port on loopback.")] = 8470
) -> None:
    """Start the platform on this machine and stay until Ctrl-C."""
    from server.running import stay_up

    stay_up(home, port)


@app.command()
def demo(
    scale: Annotated[float, typer.Option(help="Size of the region, 1.0 is a million persons.")] = 1.0,
    keep: Annotated[bool, typer.Option(help="Leave the platform running at the end.")] = False,
) -> None:
    """Tell the whole story on a small region, timed and numbered, and clean up."""
    command = [sys.executable, "-m", "examples.story", "--scale", str(scale), *(["--keep"] if keep else [])]
    raise typer.Exit(
        subprocess.run(command, cwd=Path(__file__).resolve().parent.parent, check=False).returncode
    )


@app.command()
def ingest(
    source: Annotated[Path, typer.Argument(help="CSV, Parquet or JSON lines.")],
    description: Annotated[Path, typer.Option(help="The dataset's description, TOML.")],
    domain: Annotated[str, typer.Option(help="The owning domain.")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Ingest a file on the owner's side, in a box: encrypted, versioned, its manifest signed."""
    from catalog import api as catalog
    from server.enrolment import register, require_free_name
    from server.owners import desk_of, require_file
    from server.twins import fetch

    require_file(source)
    site, desk = desk_of(home, domain)
    require_free_name(site, catalog.read_file(description).dataset)
    manifest = register(site, desk.ingest(source, description.read_text(encoding="utf-8")))
    fetch(site, desk, manifest.dataset)
    who = f"{manifest.persons:,} persons" if manifest.about_persons else "about no persons"
    _out(f"{manifest.dataset} version {manifest.version}: {manifest.rows:,} rows, {who}")
    _say(f"In SQL: {manifest.relation}. Next: darkroom-server keeper policy --domain {domain} …")


@domain_app.command("add")
def domain_add(
    domain: Annotated[str, typer.Argument(help="Such as nm/tax.")],
    title: Annotated[str, typer.Option(help="Name in English.")],
    title_zh: Annotated[str, typer.Option(help="Name in Chinese.")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Make an owner's side: root key, keeper, launcher. A running `up` starts them."""
    from server.owners import add

    owner = add(home, domain, title, title_zh)
    _out(f"{domain}: owner's side made in {owner.folder}")
    _say(
        f"Take {owner.root_key} offline; it signs rosters. Enrol people: darkroom-server domain enrol {domain} …"
    )


@domain_app.command("enrol")
def domain_enrol(
    domain: Annotated[str, typer.Argument(help="The domain.")],
    member: Annotated[str, typer.Option(help="The member's name.")],
    duty: Annotated[str, typer.Option(help="approver, steward or reviewer.")],
    key: Annotated[str, typer.Option(help="The signing key that the member read out (darkroom keys show).")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Sign a new roster with the root key, so that this person may speak for the domain."""
    from server.owners import enrol_person

    _out(f"roster {enrol_person(home, domain, (member, duty, key))} of {domain} is in force")


@member_app.command("add")
def member_add(
    member: Annotated[str, typer.Argument(help="name@domain, such as li@nm/tax.")],
    role: Annotated[list[str], typer.Option(help="researcher, operator, approver, steward, auditor, …")],
    home: Home = DEFAULT_HOME,
) -> None:
    """Make an account and print its first password."""
    from server.enrolment import add_member
    from server.site import open_site

    password = secrets.token_urlsafe(12)
    add_member(open_site(home), member, role, password)
    _out(password)
    _say(f"This is {member}'s first password; it is shown once. They sign in with `darkroom login`.")


@keeper_app.command("policy")
def keeper_policy(
    file: Annotated[Path, typer.Argument(help="Policies, TOML (docs/policies.md).")],
    domain: Annotated[str, typer.Option(help="The owning domain.")],
    keys_file: Annotated[
        Path | None, typer.Option(help="The steward's key file; its passphrase is asked for.")
    ] = None,
    home: Home = DEFAULT_HOME,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and sign nothing.")
    ] = False,
) -> None:
    """Have a steward sign the next policy bundle of a domain, and put it in force."""
    from keys import api as keys
    from server.bundles import changes
    from server.enrolment import draft_policies, sign_bundle
    from server.site import open_site

    owner = open_site(home).owner(domain)
    bundle, old = draft_policies(owner, file)
    for line in changes(old, bundle) or ("nothing",):
        (_out if dry_run else _say)(line)
    if dry_run:
        _say(f"Bundle {bundle.number} of {domain} would change this (- goes, + comes). Nothing was signed.")
        return
    if keys_file is None:
        raise Malformed("a bundle is signed with a steward's key", "--keys-file", "Or look first: --dry-run.")
    passphrase = typer.prompt("Passphrase of the steward's key file", hide_input=True, err=True)
    steward = keys.load_member_keys(keys_file, passphrase)
    signed = sign_bundle(owner, bundle, steward)
    _out(f"bundle {signed.statement.sequence} of {domain} is in force")


@keeper_app.command("status")
def keeper_status(domain: DomainName, home: Home = DEFAULT_HOME) -> None:
    """Print what a keeper says of itself."""
    from keeper.api import KeeperClient
    from server.site import open_site

    _json(KeeperClient(open_site(home).owner(domain).keeper_socket).status())


@keeper_app.command("images")
def keeper_images(
    domain: DomainName,
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Have this owner's keeper trust the images that are here.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show them, and change nothing.")] = False,
) -> None:
    """Show which images built here a keeper trusts; with --trust, have it trust them all. Its owner decides that."""
    from server import trusted_images
    from server.owners import side_of

    owner = side_of(home, domain)
    found = trusted_images.standings(owner)
    if as_json:
        _json({"images": [each.plain() for each in found]})
    for each in () if as_json else found:
        _out(each.line())
    if all(each.trusted for each in found):
        _say(f"The keeper of {domain} was told to trust every image that is here.")
        return
    if not trust or dry_run:
        _say(f"Nothing was changed. To have them trusted: {trusted_images.command(domain)}")
        return
    if not yes:
        typer.confirm(f"May boxes of these images see rows of {domain}?", abort=True, err=True)
    trusted_images.trust(owner, found)
    _say(f"A running `darkroom-server up` starts keeper and launcher of {domain} anew by itself.")


@keeper_app.command("twin")
def keeper_twin(
    dataset: Annotated[str, typer.Argument(help="The dataset's id.")],
    order: Annotated[
        bool, typer.Option("--order", help="Make it anew where the policy pays for noisy marginals.")
    ] = False,
    home: Home = DEFAULT_HOME,
) -> None:
    """Show a dataset's twin: how it was made and, for its owner alone, how far it is from the data."""
    from server.twins import ordered

    twin, report = ordered(home, dataset, order)
    _json({"twin": twin.plain(), "report": report.plain() if report else None})
    recipe = twin.recipe
    _say(f"{dataset} version {twin.version}: {recipe.making}, rho {recipe.rho_micro / 1_000_000:g}.")
    if report:
        _say("The report depends on the data. It is for the owner, and nobody else.")


@keeper_app.command("erase")
def keeper_erase(
    dataset: Annotated[str, typer.Argument(help="The dataset's id.")],
    version: Annotated[int, typer.Argument(help="The version to destroy.")],
    home: Home = DEFAULT_HOME,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Destroy the keys of a dataset version; prints the signed certificate. There is no way back."""
    from server.owners import erase

    if not yes:
        typer.confirm(f"Destroy {dataset} version {version} for ever?", abort=True, err=True)
    _json(erase(home, dataset, version).plain())


@audit_app.command("verify")
def audit_verify(home: Home = DEFAULT_HOME, as_json: AsJson = False) -> None:
    """Verify the audit log from its files alone, with the keepers' signatures."""
    from server.verifying import report

    found = report(home)
    if as_json:
        _json(found.plain())
    else:
        _out(found.sentence)
    raise typer.Exit(found.exit_code)


@app.command()
def doctor(
    home: Home = DEFAULT_HOME,
    as_json: AsJson = False,
    attack: Annotated[
        bool, typer.Option("--attack", help="Carry out the whole suite of attacks on boxes, minutes long.")
    ] = False,
) -> None:
    """Try every protection of this machine by attacking it, ask every process how it is, and name grants that give
    what is not there any more.
    """
    from server.doctor import examine

    if attack:
        raise typer.Exit(_attack(as_json))
    findings = examine(home)
    if as_json:
        _json([finding.plain() for finding in findings])
    else:
        for finding in findings:
            _out(finding.line())
    raise typer.Exit(0 if all(finding.good for finding in findings) else 6)


def _attack(as_json: bool) -> int:
    """Carry out the whole suite and return its exit code: 1 if an attack gained anything."""
    from sandbox.attacks.reporting import report

    found = report(write=_say if as_json else _out)
    if as_json:
        _json(found.plain())
    else:
        _out("\n" + found.summary())
    return found.exit_code


def main() -> None:
    """Run the command line; an error of the house becomes one sentence and its exit code."""
    sys.exit(guarded(app))


def guarded(run: Callable[[], Any]) -> int:
    """Run a command and return its exit code."""
    try:
        run()
    except DarkroomError as problem:
        _say(str(problem))
        return problem.exit_code
    return 0


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


def _json(value: object) -> None:
    _out(json.dumps(value, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
