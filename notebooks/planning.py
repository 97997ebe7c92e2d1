"""From a member's choice to the plan of a lab: which profile, with what limits, and what its server is told."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from notebooks.settings import LabsSettings
from plans.box import BoxSpec, Entry, Home, Limits, Link
from plans.decision import Tier
from plans.errors import Malformed, NotAllowed, NotFound
from plans.labs import SERVICES, Lab, home_of
from plans.plan import Plan, PlanKind
from sandbox import api as sandbox

DOMAIN = "labs"
"""The domain of the launcher of labs."""

DAY_S = 86_400
TEMP_SHARE, MOST_TEMP_MB = 4, 1024
PROCESSES, OPEN_FILES, HOME_FILES = 512, 4096, 200_000


@dataclass(frozen=True, slots=True)
class Choice:
    """A project and a profile, as a member chose them."""

    project: str
    profile: str

    @property
    def word(self) -> str:
        """The choice as a value of a form."""
        return f"{self.project}:{self.profile}"

    @classmethod
    def read(cls, word: str) -> Choice:
        """Return the choice of a form's value."""
        project, _, profile = word.partition(":")
        return cls(project, profile)


def choices(me: Mapping[str, Any]) -> list[Choice]:
    """Return what a member may choose from, as the portal says it (`/api/v1/labs/me`)."""
    known = me.get("profiles") or {}
    return [
        Choice(project["project"], profile)
        for project in me.get("projects") or ()
        for profile in project["profiles"]
        if profile in known
    ]


def chosen(me: Mapping[str, Any], wanted: Choice | None) -> Choice:
    """Return the choice that counts: what was wanted, if it may be had, or the only one there is.

    Raises:
        NotFound: the member is in no project, or in none with a profile.
        NotAllowed: what was wanted may not be had.
    """
    offered = choices(me)
    if not offered:
        raise NotFound("no project in which this member may have a lab", "project")
    if wanted is None or not wanted.project:
        return offered[0]
    if wanted not in offered:
        raise NotAllowed("the member may not have this profile in this project", wanted.word)
    return wanted


def plan_of(settings: LabsSettings, me: Mapping[str, Any], choice: Choice, image: str) -> Plan:
    """Return the plan of a lab; raises `Malformed` if the portal said what makes none."""
    profile = me["profiles"][choice.profile]
    purpose = next(each["purpose"] for each in me["projects"] if each["project"] == choice.project)
    member = str(me["name"])
    spec = BoxSpec(
        entry=Entry.LAB,
        image=image,
        inputs=(),
        limits=limits_of(settings, profile),
        tier=Tier(profile["tier"]),
        gpus=int(profile["gpus"]),
        links=tuple(Link(name, f"service:{name}") for name in SERVICES),
        home=Home(home_of(member), int(profile["home_mb"]), int(profile.get("home_files") or HOME_FILES)),
    )
    return Plan(
        kind=PlanKind.LAB,
        domain=DOMAIN,
        request=None,
        request_signature="",
        decision=None,
        program=None,
        material=Lab(member, choice.project, purpose, choice.profile).canonical().decode(),
        stages=(spec,),
        nonce=secrets.token_hex(16),
        made_at=int(time.time()),
    )


def limits_of(settings: LabsSettings, profile: Mapping[str, Any]) -> Limits:
    """Return the limits of a lab: those of its profile, and for the rest what suits a lab, below the highest allowed.

    A profile above the highest is left as it is: the launcher refuses it and says so.
    """
    most = Limits.read(settings.limits)
    memory = int(profile["memory_mb"])
    return Limits(
        memory_mb=memory,
        temp_mb=min(memory // TEMP_SHARE, MOST_TEMP_MB, most.temp_mb),
        spill_mb=0,
        output_mb=1,
        cpu_s=most.cpu_s,
        wall_s=min((settings.age_days + 1) * DAY_S, most.wall_s),
        processes=min(PROCESSES, most.processes),
        files=min(OPEN_FILES, most.files),
        cpus=int(profile["cpus"]),
    )


def image_of(settings: LabsSettings, name: str) -> str:
    """Return the digest of the image of a profile.

    Raises:
        NotFound: it was never built, or has disappeared.
    """
    if name.startswith("sha256:"):
        return sandbox.by_digest(name, Path(settings.images)).digest
    return sandbox.find(name, Path(settings.images)).digest


def is_whole(settings: LabsSettings, digest: str) -> bool:
    """Whether every file of an image is on the node; a folder can be removed by half."""
    try:
        return not sandbox.lacking(sandbox.by_digest(digest, Path(settings.images)))
    except NotFound:
        return False


def absent(settings: LabsSettings, me: Mapping[str, Any]) -> frozenset[str]:
    """Return the images of a member's profiles that are not on the node, as the profiles call them."""
    gone = set()
    for image in {str(profile["image"]) for profile in (me.get("profiles") or {}).values()}:
        try:
            image_of(settings, image)
        except (NotFound, Malformed):
            gone.add(image)
    return frozenset(gone)


def environment_of(settings: LabsSettings, plan: Plan, token: str) -> dict[str, str]:
    """Return what the client in a lab is told beside what JupyterHub tells its server."""
    lab = Lab.decode(plan.material.encode())
    named = {"DARKROOM_ADMINISTRATOR": settings.administrator} if settings.administrator else {}
    return {
        **named,
        "DARKROOM_LAB": "1",
        "DARKROOM_URL": settings.portal_page,
        "DARKROOM_API_SOCKET": "/links/api",
        "DARKROOM_PORTAL_PAGE": settings.portal_page,
        "DARKROOM_TOKEN": token,
        "DARKROOM_MEMBER": lab.member,
        "DARKROOM_PROJECT": lab.project,
        "DARKROOM_PURPOSE": lab.purpose,
    }
