"""The member's own folder: where the portal is, the session, the keys, and the keepers that are trusted.

`$DARKROOM_HOME`, or `~/.config/darkroom`; the folder is 0700 and every file 0600, and nothing is read from it
that others could have read or written. Files: `profile.json` (address, member, session token), `keys.json`
(`keys.keyfile`), `keepers.json` (domain → the public key that its keeper signs releases with) and, for
approvers, `members.json` (member → the fingerprint of the keys that the member read out).
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from plans import names
from plans.errors import Malformed, NotSignedIn, StateConflict


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the portal is, who the member is, and the token of the session."""

    url: str
    member: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Home:
    """The member's folder."""

    folder: Path

    @property
    def keys_file(self) -> Path:
        """Where the member's private keys are, under a passphrase."""
        return self.folder / "keys.json"

    def prepare(self) -> None:
        """Make the folder, for its owner only.

        Raises:
            StateConflict: it is there already, and others can read it.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(self.folder)

    def profile(self) -> Profile:
        """Return the profile.

        Raises:
            NotSignedIn: there is none.
            Malformed: it cannot be read.
            StateConflict: others can read it.
        """
        plain = self._read("profile.json")
        if plain is None:
            raise NotSignedIn("you are not signed in on this machine", str(self.folder))
        try:
            return Profile(plain["url"], plain["member"], plain["token"])
        except KeyError:
            raise Malformed(
                "the profile is damaged", str(self.folder / "profile.json"), "Run `darkroom login` again."
            ) from None

    def save(self, profile: Profile) -> None:
        """Keep the profile for the next command."""
        self._write("profile.json", {"url": profile.url, "member": profile.member, "token": profile.token})

    def forget(self) -> None:
        """Remove the profile; keys and trusted keepers stay."""
        (self.folder / "profile.json").unlink(missing_ok=True)

    def keeper(self, domain: str) -> str | None:
        """Return the key that this member trusts for a domain's keeper, or none yet."""
        return (self._read("keepers.json") or {}).get(domain)

    def trust(self, domain: str, key: str) -> None:
        """Trust a keeper's key from now on.

        Raises:
            StateConflict: another key is trusted for this domain; it is never replaced silently.
        """
        names.require("domain", domain), names.require("signing key", key)
        known = self._read("keepers.json") or {}
        if known.get(domain, key) != key:
            raise StateConflict(
                f"another keeper's key is trusted for {domain} already",
                str(self.folder / "keepers.json"),
                "Ask the owner whether it has changed; if so, remove the old line first.",
            )
        self._write("keepers.json", known | {domain: key})

    def fingerprint(self, member: str) -> str | None:
        """Return the fingerprint of the keys that this approver trusts to be a member's, or none yet."""
        return (self._read("members.json") or {}).get(member)

    def trust_member(self, member: str, fingerprint: str) -> None:
        """Trust a member's keys from now on.

        Raises:
            StateConflict: other keys are trusted for this member; they are never replaced silently.
        """
        names.require("member", member), names.require("digest", fingerprint)
        known = self._read("members.json") or {}
        if known.get(member, fingerprint) != fingerprint:
            raise StateConflict(
                f"other keys are trusted to be {member}'s already",
                str(self.folder / "members.json"),
                "Ask the member whether they have new keys; if so, remove the old line first.",
            )
        self._write("members.json", known | {member: fingerprint})

    def _read(self, name: str) -> dict[str, str] | None:
        path = self.folder / name
        if not path.exists():
            return None
        _require_private(path)
        try:
            plain = json.loads(path.read_text())
        except ValueError:
            raise Malformed(
                "this file is damaged", str(path), "Remove it and run `darkroom login` again."
            ) from None
        if not isinstance(plain, dict) or not all(isinstance(value, str) for value in plain.values()):
            raise Malformed("this file is damaged", str(path), "Remove it and run `darkroom login` again.")
        return plain

    def _write(self, name: str, plain: dict[str, str]) -> None:
        self.prepare()
        fresh = self.folder / f".{name}.{secrets.token_hex(4)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(plain, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self.folder / name)


def home() -> Home:
    """Return the member's folder on this machine."""
    chosen = os.environ.get("DARKROOM_HOME")
    return Home(Path(chosen) if chosen else Path.home() / ".config" / "darkroom")


def _require_private(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise StateConflict(
            "others on this machine can reach your Darkroom files",
            str(path),
            f"Make them yours alone: chmod go= {path}",
        )
