"""The member's keys in a session: made in a lab, opened once, and shown by their public halves.

A passphrase is asked for when keys are needed and none are open: by the notebook's own hidden prompt, or the
terminal's; a script sets `DARKROOM_PASSPHRASE`. It is used at once and not kept: what stays in memory, for this
process, are the opened keys. It is no argument of anything that is displayed, and no history holds it, since it is not
part of a cell.

In a lab keys are made on first use. The portal learns their public halves on a page of its own, where the member signs
in: a lab's token cannot enrol keys, so what runs in a lab cannot put others in their place.
"""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.display import Banner, Code, Facts, Lines, Link, Sheet, Shown, Title, sheet, show
from darkroom.display_words import say, told
from keys import api as keys
from keys.keyfile import fingerprint, read_public
from plans.errors import Malformed, NotFound, StateConflict, WrongPassphrase

if TYPE_CHECKING:
    from darkroom.connection import Connection

TRIES = 3
"""How often a passphrase is asked for before the cell ends."""

ENROL_WAIT_S, ENROL_PAUSE_S = 10.0, 1.0
"""How long a call waits for keys to be enrolled, and how often it looks."""

_opened: dict[Path, keys.MemberKeys] = {}
_enrolled: set[str] = set()


def passphrase() -> str:
    """Return the passphrase of the member's keys: `DARKROOM_PASSPHRASE`, or what is typed at a hidden prompt.

    Raises:
        WrongPassphrase: it is not set, and nobody can type.
    """
    given = os.environ.get("DARKROOM_PASSPHRASE")
    return given if given is not None else _typed(say("keys.prompt"))


def can_ask() -> bool:
    """Return whether there is somebody to type: at a notebook's prompt, or in a terminal."""
    return in_notebook() or (sys.stdin is not None and sys.stdin.isatty())


def in_notebook() -> bool:
    """Return whether this is a Jupyter kernel that may ask."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    kernel = getattr(shell, "kernel", None)
    return kernel is not None and bool(getattr(kernel, "_allow_stdin", True))


def _typed(prompt: str) -> str:
    if not can_ask():
        raise WrongPassphrase(
            "your key file needs its passphrase",
            "DARKROOM_PASSPHRASE",
            "Set that variable, or pass passphrase=getpass.getpass to connect().",
        )
    return getpass.getpass(prompt)


def opened(connection: Connection, file: Path, ask: Callable[[], str]) -> keys.MemberKeys:
    """Return the member's keys, opened once for all connections of this process that ask in the usual way.

    In a lab that has none yet they are made, and the call ends with how to enrol them.

    Raises:
        NotFound: there are none on this machine.
        WrongPassphrase: the passphrase does not open them.
        StateConflict: in a lab, they are not enrolled yet.
    """
    if not file.exists():
        if not (os.environ.get("DARKROOM_LAB") and (can_ask() or os.environ.get("DARKROOM_PASSPHRASE"))):
            raise NotFound("you have no keys here", str(file), "Make them: darkroom keys make")
        _make(connection.member, file)
    usual = ask is passphrase
    if usual and file in _opened:
        found = _opened[file]
    else:
        found = _open(file, ask, TRIES if usual and not os.environ.get("DARKROOM_PASSPHRASE") else 1)
    if usual:
        _opened[file] = found
    if os.environ.get("DARKROOM_LAB"):
        require_enrolled(connection, found)
    return found


def _open(file: Path, ask: Callable[[], str], tries: int) -> keys.MemberKeys:
    for _ in range(tries - 1):
        try:
            with _Untraced():
                return keys.load_member_keys(file, ask())
        except WrongPassphrase as problem:
            if not can_ask():
                raise
            sys.stderr.write(told(problem.what) + "\n")
    with _Untraced():
        return keys.load_member_keys(file, ask())


class _Untraced:
    """A block whose errors leave it without the frames inside, which hold the passphrase: IPython's verbose tracebacks
    and its debugger would show it, after an interrupt while it is stretched as well.
    """

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: object, value: BaseException | None, tb: object) -> None:
        if value is not None:
            value.__traceback__ = None


def unlock() -> Shown:
    """Open your keys for this session, asking for their passphrase if they are not open; show their public halves.

    Raises:
        DarkroomError: there are no keys here, the passphrase is wrong, or they are not enrolled yet.
    """
    from darkroom.session import connection

    found = connection().keys()
    return Shown(
        sheet(
            Title(say("keys.open")), *shown(found.member, found.signing.public, found.opening.public).blocks
        )
    )


def make_keys() -> Shown:
    """Make your signing and opening key here, under a passphrase that is asked for twice, and show how to enrol them.

    Raises:
        StateConflict: there are keys here already; they are never written over.
        Malformed: the passphrase is too short, or the second one differs.
    """
    from darkroom.profile import home
    from darkroom.session import connection

    file = home().keys_file
    if file.exists():
        raise StateConflict(
            "you have keys here already, and they are never overwritten", str(file), "darkroom.unlock()"
        )
    _make(connection().member, file)
    public = read_public(file)
    return Shown(shown(public["member"], public["signing"], public["opening"]))


def _make(member: str, file: Path) -> None:
    from darkroom.profile import Home

    Home(file.parent).prepare()
    fresh = keys.MemberKeys.fresh(member)
    with _Untraced():
        keys.save_member_keys(file, fresh, _new_passphrase())
    _opened[file] = fresh


def _new_passphrase() -> str:
    given = os.environ.get("DARKROOM_PASSPHRASE")
    if given is not None:
        return given
    first = _typed(say("keys.new"))
    if first != _typed(say("keys.again")):
        raise Malformed("the two passphrases differ", "passphrase", "Run it again.")
    return first


def require_enrolled(connection: Connection, found: keys.MemberKeys) -> None:
    """Check, once in this process, that the portal knows these keys; show how to enrol them and wait a little if not.

    Raises:
        StateConflict: they are not enrolled, or others are.
    """
    if found.signing.public in _enrolled:
        return
    ends, asked = time.monotonic() + ENROL_WAIT_S, False
    while True:
        known = connection.me()
        mine = (found.signing.public, found.opening.public)
        if (known.get("signing_key"), known.get("opening_key")) == mine:
            _enrolled.add(found.signing.public)
            return
        if known.get("signing_key"):
            raise StateConflict(
                "other keys than those here are enrolled for you",
                found.member,
                "Bring the key file of those here, or ask the administrator to withdraw them.",
            )
        if not asked:
            _display(shown(found.member, *mine))
            asked = True
        if time.monotonic() >= ends:
            page = enrol_page()
            where = f"Paste both on {page} and run this again." if page else "Run: darkroom keys enrol"
            raise StateConflict("your keys are made, and not enrolled yet", found.member, where)
        time.sleep(ENROL_PAUSE_S)


def shown(member: str, signing: str, opening: str) -> Sheet:
    """Return the public halves of keys, ready to copy, their fingerprint, and the page on which both are pasted."""
    page = enrol_page() if signing not in _enrolled else ""
    return sheet(
        Title(say("keys.title"), say("keys.enrolled") if signing in _enrolled else "", "good"),
        Code(signing, say("keys.signing")),
        Code(opening, say("keys.opening")),
        Facts(((say("keys.fingerprint"), fingerprint(member, signing, opening)),)),
        Lines((say("keys.fingerprint-why"),)),
        Link(page, say("keys.enrol")) if page else None,
        Banner(say("keys.enrol-why"), "waits") if page else None,
    )


def enrol_page() -> str:
    """Return the portal's page on which public keys are enrolled; empty outside a lab. It takes no keys from a link:
    whoever made the link would choose them.
    """
    origin = os.environ.get("DARKROOM_PORTAL_PAGE") or (
        os.environ.get("DARKROOM_URL") if os.environ.get("DARKROOM_LAB") else ""
    )
    return f"{origin.rstrip('/')}/keys" if origin else ""


def _display(drawn: Sheet) -> None:
    if "IPython" in sys.modules and in_notebook():
        show(drawn)
    else:
        sys.stderr.write(f"{Shown(drawn)!r}\n")


def forget() -> None:
    """Close the keys of this process again; the next use asks anew."""
    _opened.clear()
    _enrolled.clear()
