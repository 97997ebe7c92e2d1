"""Entries of the algorithm library as tasks: what a member's parameters come to, checked before there is a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components import api as components
from compute import forecast
from compute.planning import House
from plans import names
from plans.asking import Asking
from plans.box import Entry
from plans.checks import Mode
from plans.errors import NotFound
from plans.request import Request, RequestKind
from plans.tasks import ComponentTask, task_of
from store import api as store


def described() -> tuple[dict[str, Any], ...]:
    """Return the description of every component."""
    return tuple(component.plain() for component in components.describe_all())


def task(house: House, name: str, parameters: Mapping[str, Any], relations: Sequence[str]) -> ComponentTask:
    """Return the task that a component with these parameters on these tables is, on this site's image.

    Raises:
        NotFound: there is no such component, or no image for components at this site.
        Malformed: a parameter is wrong; it says which, and what it may be.
    """
    component = components.find(name)
    images = house.work_images.get(Entry.COMPONENT)
    if not images:
        raise NotFound(
            "this site has no image for components",
            "image",
            "Ask the administrator: python -m sandbox.images build images/components",
        )
    values = components.checked(component, parameters)
    return ComponentTask(
        image=images[0],
        component=name,
        parameters=values,
        needs=components.needs(component, values, relations),
        artifacts=components.artifacts(component, values),
    )


def require_fitting(request: Request) -> None:
    """Check that a request for a component says what the component's description says; other kinds pass.

    Raises:
        NotFound, Malformed: as `task`.
    """
    if request.kind is RequestKind.COMPONENT:
        asked = task_of(request)
        if isinstance(asked, ComponentTask):
            components.require_task(asked)


def asking(session: store.Session, name: str, relations: Sequence[str]) -> Asking | None:
    """Return how a component is asked of these relations as a statement: if one of them is in the mode private, and
    the component's question can be asked so. It tells members early; the owner's decision is another matter.

    Raises:
        NotFound: there is no such component.
    """
    asked = components.find(name).asking
    if asked is None:
        return None
    for manifest in forecast.all_manifests(session):
        if manifest.relation in relations and manifest.about_persons:
            bundle = forecast.bundle(session, names.domain_of(manifest.dataset))
            policy = bundle.policy(manifest.dataset) if bundle else None
            if policy is not None and policy.mode is Mode.PRIVATE:
                return asked
    return None
