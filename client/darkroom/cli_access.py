"""Commands about the member: sign in and out, keys, and which keepers are trusted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from darkroom import terminal
from darkroom.connection import Connection, connect, sign_in
from darkroom.profile import Profile, home
from darkroom.signing import Text
from darkroom.terminal import Format
from keys import api as keys
from keys.keyfile import fingerprint, read_public

FormatOption = Annotated[Format, typer.Option("--format", help="table for people, json for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; you have read it already.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(login)
    app.command()(logout)
    app.command("password")(change_password)
    app.command()(whoami)
    app.command()(trust)
    keyring = typer.Typer(help="Your signing and opening keys.", no_args_is_help=True)
    keyring.command("make")(make_keys)
    keyring.command("show")(show_keys)
    keyring.command("enrol")(enrol_keys)
    app.add_typer(keyring, name="keys")


def room() -> Connection:
    """Return the connection of the profile, asking for the passphrase at the terminal when it is needed."""
    return connect(passphrase=terminal.passphrase)


def login(
    url: Annotated[str, typer.Argument(help="The portal, such as https://darkroom.example.")],
    member: Annotated[str, typer.Argument(help="Your name, such as mei@nm/centre.")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read it from standard input.")
    ] = False,
) -> None:
    """Sign in; the session is kept in your Darkroom folder ($DARKROOM_HOME, or ~/.config/darkroom)."""
    folder = home()
    folder.prepare()
    token = sign_in(url, member, terminal.password(from_stdin=password_stdin))
    folder.save(Profile(url, member, token))
    next_step = "darkroom datasets" if folder.keys_file.exists() else "darkroom keys make"
    terminal.say(f"Signed in as {member}. Next: {next_step}")


def logout() -> None:
    """End the session, here and at the portal; your keys stay."""
    try:
        room().sign_out()
    finally:
        home().forget()
    terminal.say("Signed out.")


def change_password(
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the old and the new one, a line each.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Change your password; every other session and token of yours ends."""
    connection = room()
    if dry_run:
        terminal.say(f"Would change the password of {connection.member}.")
        return
    connection.change_password(*terminal.old_and_new_password(from_stdin=password_stdin))
    terminal.say("Changed. Your other sessions and tokens have ended.")


def whoami(form: FormatOption = Format.TABLE) -> None:
    """Show who you are to the portal: roles, scopes, enrolled keys."""
    me = room().me()
    terminal.write(
        me, form, lambda: terminal.facts([Text(name, _words(value)) for name, value in me.items()])
    )


def trust(
    domain: Annotated[str, typer.Argument(help="The owner, such as nm/tax.")],
    keeper_key: Annotated[str, typer.Option(help="Its keeper's public key, as the owner told you.")] = "",
    dry_run: DryRun = False,
) -> None:
    """Say which keeper's signature you trust on results of an owner's data."""
    connection = room()
    key = keeper_key or connection.offered_keeper(domain)
    if dry_run:
        terminal.say(f"Would trust {key} for {domain}.")
        return
    settle_trust(connection, domain, keeper_key)
    terminal.say(f"Trusted for {domain}: {connection.trusted_keeper(domain)}")


def settle_trust(connection: Connection, domain: str, keeper_key: str = "") -> None:
    """Trust a keeper's key: the one that the person gave, or the portal's after an explicit yes.

    Raises:
        StateConflict: another key is trusted already.
        Malformed: nobody said yes.
    """
    if keeper_key:
        connection.trust_keeper(domain, keeper_key)
    elif connection.trusted_keeper(domain) is None:
        offered = connection.offered_keeper(domain)
        terminal.say(f"The portal says that the keeper of {domain} signs with {offered}.")
        terminal.say("The portal could lie. Compare this key with what the owner itself publishes.")
        terminal.confirm(
            "Is it the same?",
            yes=False,
            instead=f"Give the key that the owner told you: darkroom trust {domain} --keeper-key KEY",
        )
        connection.trust_keeper(domain, offered)


def make_keys(dry_run: DryRun = False) -> None:
    """Make your keys on this machine, under a passphrase, and tell the portal their public halves."""
    folder = home()
    connection = room()
    if dry_run:
        terminal.say(f"Would make keys for {connection.member} in {folder.keys_file} and enrol them.")
        return
    keys.save_member_keys(
        folder.keys_file, keys.MemberKeys.fresh(connection.member), terminal.new_passphrase()
    )
    terminal.say(f"Made {folder.keys_file}. Keep a copy and the passphrase; neither can be recovered.")
    connection.enrol()
    terminal.say("Enrolled at the portal. An approver's domain also puts the signing key into its roster.")
    show_keys()


def enrol_keys() -> None:
    """Tell the portal the public halves of keys that you have made; possible once."""
    room().enrol()
    terminal.say("Enrolled.")


def show_keys(form: FormatOption = Format.TABLE) -> None:
    """Show the public halves of your keys; this needs no passphrase."""
    content = read_public(home().keys_file)
    public = {name: content[name] for name in ("member", "signing", "opening")}
    public["fingerprint"] = fingerprint(**public)
    terminal.write(
        public, form, lambda: terminal.facts([Text(name, value) for name, value in public.items()])
    )


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "none")
