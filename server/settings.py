"""From settings to the values that rooms ask for, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping

from audit import api as audit
from plans.box import Entry, Limits
from plans.errors import SettingsWrong
from portal.api import Labs as PortalLabs
from portal.api import Limits as PortalLimits
from portal.api import Site as PortalSite
from server.enrolment import log_key
from server.site import Site
from store import api as store

LABS_SECRET_HASH = "labs.secret.sha256"


def box_limits(settings: store.Settings) -> Mapping[Entry, Limits]:
    """Return the limits of each kind of box."""
    return {entry: getattr(settings.limits, entry.value) for entry in Entry}


def portal_limits(settings: store.Settings) -> PortalLimits:
    """Return the portal's limits."""
    return PortalLimits(
        largest_body=settings.limits.request_bytes,
        session_lasts=settings.session_hours * 3600,
        token_lasts=settings.token_days * 86_400,
        jobs_per_member=settings.limits.jobs_per_member,
    )


def portal_labs(site: Site, settings: store.Settings) -> PortalLabs:
    """Return what the portal knows of labs. Of JupyterHub's secret it knows the hash alone, which `server.labs` leaves
    in the centre's folder; while it is not there, no code is changed for a token.

    Raises:
        SettingsWrong: what lies there is no such hash.
    """
    if not settings.labs.on:
        return PortalLabs()
    file = site.centre / LABS_SECRET_HASH
    known = file.read_text(encoding="ascii").strip() if file.exists() else ""
    if known and not re.fullmatch(r"[0-9a-f]{64}", known):
        raise SettingsWrong(
            "this is not the SHA-256 of JupyterHub's secret", str(file), "Run `darkroom-server up`."
        )
    return PortalLabs(
        settings.labs.public_origin, known, settings.labs.token_days * 86_400, settings.labs.profiles
    )


def portal_site(settings: store.Settings) -> PortalSite:
    """Return where members reach the portal, and where this machine's own calls do if that is elsewhere."""
    inner = settings.listening if settings.origin else ""
    return PortalSite(settings.public_origin, "" if inner == settings.public_origin else inner)


def open_log(site: Site) -> audit.Log:
    """Open the site's audit log with the key that signs its heads."""
    return audit.Log.open(site.audit, log_key(site))
