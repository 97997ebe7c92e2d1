"""Fixtures of the portal's tests; they lie in a module of their own because other folders use them too."""

from __future__ import annotations

from tests.portal.fixtures import browser, client, hub, mei, region, signed_in

__all__ = ["browser", "client", "hub", "mei", "region", "signed_in"]
