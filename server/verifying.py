"""Verifying the audit log of a site from its files alone, with the keys that keepers' rosters name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audit import api as audit
from plans.statements import Duty
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
    found = audit.verify(site.audit, log_key(site).public, witnesses(site))
    details = {
        "events": found.events,
        "root": found.root,
        "cosigned": found.cosigned,
        "findings": [str(finding) for finding in found.findings],
    }
    return Verified("\n".join(found.lines()), found.ok, details)


def witnesses(site: Site) -> dict[str, str]:
    """Return the key of every keeper, from the roster that its domain's root key signed."""
    found = {}
    for owner in site.owners():
        for entry in current_roster(owner).entries:
            if entry.duty is Duty.KEEPER:
                found[owner.domain] = entry.key
    return found
