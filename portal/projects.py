"""Who may have a lab, in which project and with which profile: values in, a yes or the reason for a no out.

A member may have a lab in a project exactly if

1. the member has a role that asks for data (researcher or operator);
2. the project is there and names the member;
3. its end, if it has one, lies ahead.

With which profile: one that the project names and that the settings have. The same rule is asked when a lab's token is
made, and again at every call with it, so that taking a member off a project works at once.
"""

from __future__ import annotations

from collections.abc import Collection

from plans.errors import NotAllowed
from portal.permissions import ASKERS
from store.api import MemberRow, ProjectRow


def require_lab(project: ProjectRow | None, member: MemberRow, now: int) -> ProjectRow:
    """Return the project if a member may have a lab in it at `now` (Unix seconds).

    Raises:
        NotAllowed: not so. That a project is not there, and that it is not the member's, is told alike.
    """
    if not ASKERS & set(member.roles):
        raise NotAllowed(
            "none of your roles works in labs",
            member.name,
            f"Ask an administrator of your domain for the role {' or '.join(sorted(ASKERS))}.",
        )
    if project is None or member.name not in project.members:
        raise NotAllowed(
            "you are in no such project",
            "project",
            "Ask an administrator to add you to it, or choose another.",
        )
    if project.until and project.until <= now:
        raise NotAllowed(
            f"the project {project.name} has ended", "project", "Ask an administrator to let it go on."
        )
    return project


def may_have_lab(project: ProjectRow | None, member: MemberRow, now: int) -> bool:
    """Return whether `require_lab` would let it pass."""
    try:
        require_lab(project, member, now)
    except NotAllowed:
        return False
    return True


def profiles_of(project: ProjectRow, known: Collection[str]) -> tuple[str, ...]:
    """Return the profiles that members of a project may choose from: those that it names and that there are."""
    return tuple(name for name in project.profiles if name in known)
