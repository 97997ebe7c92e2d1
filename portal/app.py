"""The application: routes, guards and error answers put together around the services that `server` hands in."""

from __future__ import annotations

from fastapi import FastAPI

from portal import (
    catalog_routes,
    job_routes,
    joint_pages,
    joint_routes,
    member_routes,
    pages,
    problems,
    rule_pages,
    sharing_routes,
)
from portal.guards import Guards
from portal.services import Counter, Services


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
        catalog_routes,
        sharing_routes,
        job_routes,
        joint_routes,
        joint_pages,
        pages,
        rule_pages,
    ):
        app.include_router(module.router)

    @app.get("/health")
    def health() -> dict[str, str]:
        """Say that the portal answers and its database too."""
        with services.database.reading():
            return {"status": "ok"}

    app.add_middleware(Guards, site=services.site, limits=services.limits)
    return app
