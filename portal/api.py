"""What `server` uses of `portal`."""

from __future__ import annotations

from portal.app import create_app
from portal.limits import Labs, Limits, Site
from portal.passwords import Passwords
from portal.permissions import ASKERS, Role, Scope
from portal.services import Jobs, JobView, Services

__all__ = [
    "ASKERS",
    "Jobs",
    "JobView",
    "Labs",
    "Limits",
    "Passwords",
    "Role",
    "Scope",
    "Services",
    "Site",
    "create_app",
]
