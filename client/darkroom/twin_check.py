"""An entry of the algorithm library on look-alike data: checked, not run, since the library is no part of a notebook.

What can be said honestly is said: that parameters and columns fit, what would leave, and on request what the owner's
rules say of it. No figure is made up in place of the library's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from darkroom.listing import Displayed
from darkroom.twin_ended import EndedTwin
from plans.artifacts import Artifact, Form
from plans.errors import NotFound
from plans.tasks import ComponentTask


@dataclass(frozen=True, slots=True)
class Expected:
    """An output that would leave: the file, its form, the column of numbers of persons of a table, and what it is."""

    name: str
    form: Form
    persons: str = ""
    meaning: str = ""

    @property
    def sentence(self) -> str:
        """The output in one line."""
        columns = f", with a column {self.persons!r} of numbers of persons" if self.persons else ""
        return f"{self.name}: {self.form}{columns}{f'; {self.meaning}' if self.meaning else ''}"


@dataclass(frozen=True, slots=True)
class WouldLeave(Displayed):
    """What a component would leave on real data. It holds no figures: nothing has run."""

    look_alike: ClassVar[bool] = True

    component: str
    outputs: tuple[Expected, ...]
    reads: tuple[tuple[str, tuple[str, ...]], ...]
    """The tables that it reads, with their columns."""

    statement: str = ""
    """The statement that it is asked as where figures leave with noise; empty where it runs as it is."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files' names."""
        return tuple(output.name for output in self.outputs)

    @property
    def sentence(self) -> str:
        """What came of it, in one sentence."""
        return (
            f"The component {self.component} did not run, since the algorithm library runs beside the data alone; its "
            f'parameters and columns fit, and on="real" {"; ".join(self._leaves())} would leave.'
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known, one sentence each."""
        read = tuple(f"It reads {relation}: {', '.join(columns)}." for relation, columns in self.reads)
        return (self.sentence, *read)

    def __repr__(self) -> str:
        return f"WouldLeave(LOOK-ALIKE: {self.sentence})"

    def _leaves(self) -> Iterable[str]:
        if self.statement:
            return [f"the table of {self.statement}"]
        return [output.sentence for output in self.outputs]


def expected(task: ComponentTask, statement: str, described: Iterable[Mapping[str, Any]]) -> WouldLeave:
    """Return what a task would leave, in the words of its component's description."""
    entry = next((each for each in described if each.get("name") == task.component), {})
    offers = [each for each in entry.get("outputs") or () if isinstance(each, Mapping)]
    meanings = {
        str((each.get("artifact") or {}).get("name")): str(each.get("meaning", "")) for each in offers
    }
    outputs = tuple(_expected(artifact, meanings.get(artifact.name, "")) for artifact in task.artifacts)
    reads = tuple((need.relation, need.columns) for need in task.needs)
    return WouldLeave(task.component, outputs, reads, statement)


def _expected(artifact: Artifact, meaning: str) -> Expected:
    return Expected(artifact.name, artifact.form, artifact.persons, meaning)


def require_columns(task: ComponentTask, columns: Callable[[str], Iterable[str]]) -> None:
    """Check that every column that a task reads is one that its relation shows.

    Raises:
        NotFound: one is not; it says which there are.
    """
    for need in task.needs:
        there = tuple(columns(need.relation))
        for column in need.columns:
            if column not in there:
                raise NotFound(
                    f"{need.relation} has no column {column!r} that a component may read",
                    f"component {task.component}",
                    f"There are {', '.join(there)}.",
                )


class TwinCheck(EndedTwin):
    """A component that was checked on look-alike data."""

    kind: ClassVar[str] = "component"

    def __init__(self, name: str, result: WouldLeave, explain: Callable[[], list[dict[str, str]]]) -> None:
        super().__init__(name, explain)
        self._result = result

    @property
    def sentence(self) -> str:
        """What came of it."""
        return self._result.sentence

    def logs(self) -> str:
        """Return what it would read and leave."""
        return "\n".join(self._result.notes)

    def result(self, timeout: float | None = None) -> WouldLeave:
        """Return what would leave on real data; it holds no figures."""
        return self._result

    def __repr__(self) -> str:
        return f"TwinCheck({self.id}: LOOK-ALIKE, nothing ran)"
