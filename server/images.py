"""Which box images this site has for which stage, by the names under which they were built last."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from compute.planning import House
from plans.box import Entry, Limits
from plans.errors import NotFound
from sandbox import api as sandbox

NAMES: Mapping[Entry, tuple[str, ...]] = MappingProxyType(
    {
        Entry.LOAD: ("sql",),
        Entry.RELOAD: ("sql",),
        Entry.PYTHON: ("python",),
        Entry.COMPONENT: ("components",),
        Entry.REENCODE: ("inspect",),
        Entry.INSPECT: ("inspect",),
        Entry.EXTRACT: ("sql",),
        Entry.PARTY: ("crypto",),
    }
)
"""The images of the stages of tasks and joint computations; the first of a stage is what plans name by default."""


def work_images() -> Mapping[Entry, tuple[str, ...]]:
    """Return the digests of those that were built here; a stage without one makes tasks of its kind impossible."""
    found = {entry: tuple(filter(None, map(_digest, called))) for entry, called in NAMES.items()}
    return {entry: digests for entry, digests in found.items() if digests}


def work_house(limits: Mapping[Entry, Limits]) -> House:
    """Return what the centre's plans name.

    Raises:
        NotFound: there is no image for SQL, so nothing can run at all.
    """
    names = {_digest(name): name for called in NAMES.values() for name in called}
    return House(sandbox.find("sql").digest, limits, work_images(), names)


def outdated() -> str:
    """Return one sentence about the images that are here and were built from other code than this checkout's, with the
    command that mends it; empty where there is none.
    """
    names = sandbox.outdated()
    if not names:
        return ""
    these = f"the image {names[0]} was" if len(names) == 1 else f"the images {', '.join(names)} were"
    return (
        f"{these} built from other code than is here now, so boxes may end without a result; "
        "`make up` builds anew, then starts (or: python -m sandbox.images build --update)"
    )


def _digest(name: str) -> str:
    try:
        return sandbox.find(name).digest
    except NotFound:
        return ""
