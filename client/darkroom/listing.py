"""Lists and descriptions that the portal answered with, which notebooks show as tables (`darkroom.display`).

Each is the plain list or dictionary that it always was; showing it asks nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from darkroom.job import Job


class Displayed:
    """What a notebook shows by `darkroom.display`: a drawing of what is there already."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from darkroom.display import bundle

        return bundle(self)

    def _repr_html_(self) -> str:
        """The same for front ends that ask for HTML alone."""
        return str(self._repr_mimebundle_().get("text/html", ""))


class Datasets(Displayed, list[dict[str, Any]]):
    """The catalog, one dictionary for each dataset."""


class Grants(Displayed, list[dict[str, Any]]):
    """Grants, one dictionary for each."""


class Applications(Displayed, list[dict[str, Any]]):
    """Applications, one dictionary for each."""


class Components(Displayed, list[dict[str, Any]]):
    """The algorithm library, one dictionary for each component."""


class Budget(Displayed, list[dict[str, Any]]):
    """What is left of a member's grants, one dictionary for each; `jobs` says how many jobs are active and may be."""

    def __init__(self, grants: Iterable[dict[str, Any]] = (), jobs: Mapping[str, Any] | None = None) -> None:
        super().__init__(grants)
        self.jobs = dict(jobs or {})


class Jobs(Displayed, list["Job"]):
    """Jobs, newest first."""


class Packages(Displayed, list[dict[str, Any]]):
    """Images and their modules, one dictionary for each image."""


class Description(Displayed, dict[str, Any]):
    """A dataset with its columns."""
