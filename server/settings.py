"""From settings to the values that rooms ask for, in one place."""

from __future__ import annotations

from collections.abc import Mapping

from audit import api as audit
from plans.box import Entry, Limits
from portal.api import Limits as PortalLimits
from portal.api import Site as PortalSite
from server.enrolment import log_key
from server.site import Site
from store import api as store


def box_limits(settings: store.Settings) -> Mapping[Entry, Limits]:
    """Return the limits of each kind of box."""
    return {entry: getattr(settings.limits, entry.value) for entry in Entry}


def portal_limits(settings: store.Settings) -> PortalLimits:
    """Return the portal's limits."""
    return PortalLimits(
        largest_body=settings.limits.request_bytes,
        session_lasts=settings.session_hours * 3600,
        token_lasts=settings.token_days * 86_400,
    )


def portal_site(settings: store.Settings) -> PortalSite:
    """Return where members reach the portal."""
    return PortalSite(f"http://{settings.host}:{settings.port}")


def open_log(site: Site) -> audit.Log:
    """Open the site's audit log with the key that signs its heads."""
    return audit.Log.open(site.audit, log_key(site))
