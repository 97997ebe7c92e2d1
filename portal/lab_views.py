"""What JupyterHub and the page of labs are told: projects and profiles. Written out member by member, as `views` is."""

from __future__ import annotations

from typing import Any

from portal.projects import may_have_lab, profiles_of
from portal.services import Services
from store import api as store


def projects(services: Services, member: store.MemberRow) -> tuple[store.ProjectRow, ...]:
    """Return the projects in which a member may have a lab now, with a profile to choose."""
    now = int(services.clock())
    with services.database.reading() as session:
        found = store.projects.of_member(session, member.name)
    return tuple(
        row for row in found if may_have_lab(row, member, now) and profiles_of(row, services.labs.profiles)
    )


def me(services: Services, member: store.MemberRow) -> dict[str, Any]:
    """Return whose labs these would be, in which projects and with which profiles."""
    return {
        "name": member.name,
        "domain": member.domain,
        "roles": sorted(member.roles),
        "projects": [project(services, row) for row in projects(services, member)],
        "profiles": {name: profile(name, each) for name, each in services.labs.profiles.items()},
    }


def standing(services: Services, name: str) -> dict[str, Any]:
    """Return the same question's shortest answer, for a member who may be gone."""
    with services.database.reading() as session:
        member = store.members.find(session, name)
    listed = [row.name for row in projects(services, member)] if member else []
    return {"member": name, "projects": listed}


def project(services: Services, row: store.ProjectRow) -> dict[str, Any]:
    """Return a project as its members see it; who else is in it is left out."""
    return {
        "project": row.name,
        "title": row.title,
        "title_zh": row.title_zh,
        "purpose": row.purpose,
        "profiles": list(profiles_of(row, services.labs.profiles)),
    }


def profile(name: str, row: store.Profile) -> dict[str, Any]:
    """Return a profile."""
    return {
        "title": row.title or name,
        "title_zh": row.title_zh or row.title or name,
        "cpus": row.cpus,
        "memory_mb": row.memory_mb,
        "home_mb": row.home_mb,
        "home_files": row.home_files,
        "gpus": row.gpus,
        "image": row.image,
        "tier": row.tier,
    }
