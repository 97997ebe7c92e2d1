"""What `server` uses of `portal`."""

from __future__ import annotations

from portal.app import create_app
from portal.limits import Limits, Site
from portal.passwords import Passwords
from portal.permissions import Role, Scope
from portal.services import Jobs, JobView, Services

__all__ = ["Jobs", "JobView", "Limits", "Passwords", "Role", "Scope", "Services", "Site", "create_app"]
