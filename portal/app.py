"""The application: routes, guards and error answers put together around the services that `server` hands in."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from fastapi import FastAPI

from portal import (
    apply_pages,
    budget_routes,
    catalog_routes,
    job_routes,
    joint_pages,
    joint_routes,
    lab_pages,
    lab_routes,
    member_routes,
    oauth_routes,
    pages,
    problems,
    rule_pages,
    sharing_routes,
)
from portal.guards import Guards
from portal.services import Counter, Services

VERSIONS = {"api": 1, "client_at_least": "0.1.0", "server": metadata.version("darkroom-platform")}
"""What a client asks before anything else; it says more to nobody who is not signed in than that this is a Darkroom."""


def create_app(services: Services) -> FastAPI:
    """Return the portal. It serves no documentation pages: these load scripts from elsewhere; `/openapi.json`
    is served.
    """
    app = FastAPI(
        title="Darkroom",
        version="1",
        description="The HTTP API of a Darkroom. Errors are problem documents (RFC 9457) with stable codes.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.counter = Counter.of(services)
    problems.install(app)
    for module in (
        member_routes,
        lab_routes,
        oauth_routes,
        budget_routes,
        catalog_routes,
        sharing_routes,
        job_routes,
        joint_routes,
        joint_pages,
        pages,
        rule_pages,
        lab_pages,
        apply_pages,
    ):
        app.router.routes.extend(module.router.routes)  # as they are: `include_router` builds each anew

    @app.get("/health")
    def health() -> dict[str, str]:
        """Say that the portal answers and its database too."""
        with services.database.reading():
            return {"status": "ok"}

    @app.get("/api/v1/version")
    def version() -> dict[str, Any]:
        """Return the version of this API, the oldest client that it serves, and the server's own version."""
        return dict(VERSIONS)

    app.add_middleware(Guards, site=services.site, limits=services.limits)
    return app
