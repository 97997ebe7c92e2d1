"""What operators and owners' desks do is in the audit log too, before its result is visible at the centre."""

from __future__ import annotations

from audit import api as audit
from server.site import Site

OPERATOR = "operator"
"""Who acts at a server's command line: the person at that machine, whom the platform does not know by name."""


def record(site: Site, action: str, subject: str, domain: str, **details: str | int) -> None:
    """Write an event durably."""
    log = audit.Log.open(site.audit)
    try:
        log.append(
            audit.Draft(
                actor=OPERATOR,
                domain=domain,
                action=action,
                object=subject,
                retention=audit.Retention.GRANTS,
                details=details,
            )
        )
    finally:
        log.close()
