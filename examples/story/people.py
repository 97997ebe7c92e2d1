"""The people of the story. Each has a folder of their own, with their own keys under their own passphrase."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from darkroom.connection import Connection, sign_in
from darkroom.profile import Home
from darkroom.wire import Wire
from keys import api as keys
from keys.keyfile import fingerprint
from server.enrolment import add_member
from server.site import Site


@dataclass(frozen=True, slots=True)
class Person:
    """A member at their own machine."""

    name: str
    home: Home
    passphrase: str
    connection: Connection

    @property
    def keys(self) -> keys.MemberKeys:
        """The person's own keys."""
        return self.connection.keys()

    @property
    def fingerprint(self) -> str:
        """What the person reads out to others, so that they can tell the person's keys from anybody else's."""
        return fingerprint(self.name, self.keys.signing.public, self.keys.opening.public)


def arrive(site: Site, url: str, folder: Path, name: str, roles: tuple[str, ...]) -> Person:
    """Give a person an account; the person signs in, makes keys on their own machine, and enrols the public halves."""
    password, passphrase = secrets.token_urlsafe(12), secrets.token_urlsafe(12)
    add_member(site, name, roles, password)
    home = Home(folder / name.replace("/", "-"))
    home.prepare()
    keys.save_member_keys(home.keys_file, keys.MemberKeys.fresh(name), passphrase)
    connection = Connection(Wire(url, sign_in(url, name, password)), name, home, lambda: passphrase)
    connection.enrol()
    return Person(name, home, passphrase, connection)
