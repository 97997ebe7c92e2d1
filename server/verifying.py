"""Verifying the audit log of a site from its files, with the keys that keepers' rosters name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit import api as audit
from keeper.api import KeeperClient
from plans.errors import Unreachable
from plans.statements import Duty, Head
from server.enrolment import current_roster, log_key
from server.site import Site, open_site

TAMPERED = 7


@dataclass(frozen=True, slots=True)
class Verified:
    """What verification found, in sentences and as plain values."""

    sentence: str
    good: bool
    details: dict[str, Any]

    @property
    def exit_code(self) -> int:
        """0, or the exit code of broken evidence."""
        return 0 if self.good else TAMPERED

    def plain(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {"good": self.good, "sentence": self.sentence, **self.details}


def report(home: Path) -> Verified:
    """Verify the log of a site."""
    site = open_site(home)
    found = audit.verify(site.audit, log_key(site).public, witnesses(site), remembered(site))
    details = {
        "events": found.events,
        "root": found.root,
        "cosigned": found.cosigned,
        "findings": [str(finding) for finding in found.findings],
    }
    return Verified("\n".join(found.lines()), found.ok, details)


def remembered(site: Site) -> list[Head]:
    """Return the heads that keepers remember, of those that answer: the files alone cannot show that an end was cut
    off together with every head and cosignature behind it.
    """
    heads = []
    for owner in site.owners():
        try:
            head = KeeperClient(owner.keeper_socket).status()["head"]
        except Unreachable:
            continue
        heads += [Head.read(head)] if head else []
    return heads


def witnesses(site: Site) -> dict[str, str]:
    """Return the key of every keeper, from the roster that its domain's root key signed."""
    found = {}
    for owner in site.owners():
        for entry in current_roster(owner).entries:
            if entry.duty is Duty.KEEPER:
                found[owner.domain] = entry.key
    return found
