"""Lists and descriptions that the portal answered with, which notebooks show as tables (`darkroom.display`).

Each is the plain list or dictionary that it always was; showing it asks nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeVar, overload

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from darkroom.job import Job  # noqa: F401 - a base is named by it, in quotes

Entry = TypeVar("Entry")

_OF_RESULTS = (
    "columns", "names", "notes", "plot", "read", "rows", "save", "suppressed", "table", "tables", "texts", "to_arrow",
    "to_pandas", "types",
)  # fmt: skip
"""What a result has, and a job has not."""


class Displayed:
    """What a notebook shows by `darkroom.display`: a drawing of what is there already."""

    __slots__ = ()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        from darkroom.display import bundle

        return bundle(self)

    def _repr_html_(self) -> str:
        """The same for front ends that ask for HTML alone."""
        return str(self._repr_mimebundle_().get("text/html", ""))


class Followed(Displayed):
    """A job: what its result has is not its own, and who asks for that is told where it is."""

    if not TYPE_CHECKING:  # where types are checked, these are no attributes at all

        def __getattr__(self, name: str) -> Any:
            kind = type(self).__name__
            if name in _OF_RESULTS:
                raise AttributeError(f"a job has no {name}, its result has: job.result().{name} ({kind})")
            raise AttributeError(f"{kind!r} object has no attribute {name!r}", name=name, obj=self)


class Listed(Displayed, list[Entry]):
    """A list that is shown as a table; a part of it is, too."""

    @overload
    def __getitem__(self, place: SupportsIndex) -> Entry: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Entry | Self:
        """Return an entry, or a part of the list."""
        if isinstance(place, slice):
            return self._of(super().__getitem__(place))
        return super().__getitem__(place)

    def _of(self, entries: list[Entry]) -> Self:
        return type(self)(entries)


class Datasets(Listed[dict[str, Any]]):
    """The catalog, one dictionary for each dataset."""


class Grants(Listed[dict[str, Any]]):
    """Grants, one dictionary for each."""


class Applications(Listed[dict[str, Any]]):
    """Applications, one dictionary for each."""


class Application(Displayed, dict[str, Any]):
    """One application."""


class Components(Listed[dict[str, Any]]):
    """The algorithm library, one dictionary for each component."""


class Budget(Listed[dict[str, Any]]):
    """What is left of a member's grants, one dictionary for each; `jobs` says how many jobs are active and may be."""

    def __init__(self, grants: Iterable[dict[str, Any]] = (), jobs: Mapping[str, Any] | None = None) -> None:
        super().__init__(grants)
        self.jobs = dict(jobs or {})

    def _of(self, entries: list[dict[str, Any]]) -> Self:
        return type(self)(entries, self.jobs)


class Jobs(Listed["Job"]):
    """Jobs, newest first."""


class Packages(Listed[dict[str, Any]]):
    """Images and their modules, one dictionary for each image."""


class Description(Displayed, dict[str, Any]):
    """A dataset with its columns."""
