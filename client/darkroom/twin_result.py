"""Answers on look-alike data: tables like released ones, marked as made up, and the jobs that have them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from darkroom.listing import Displayed
from darkroom.tabular import Sheet, Tabular
from plans.released import Cell, ReleasedColumn

LOOK_ALIKE = "look-alike"
"""The state of a job on look-alike data: it has ended, and nothing was asked of an owner."""

WARNING = (
    "Look-alike data: every row is made up, about nobody, and no figure says anything about the real data."
)
UNPROTECTED = "No rule was applied; on real data small groups are withheld and counts may be rounded."


@dataclass(frozen=True, slots=True)
class MadeUp:
    """Columns and cells that were made of recipes."""

    columns: tuple[ReleasedColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True)
class TwinResult(Tabular):
    """A table of look-alike data: for whoever reads it the same as `Result`, and marked wherever it is shown."""

    look_alike: ClassVar[bool] = True

    made: MadeUp = field(repr=False)
    told: tuple[str, ...] = ()

    @property
    def sheet(self) -> Sheet:
        """The cells as they were made up."""
        return self.made

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known about the table, that it is look-alike first."""
        return (WARNING, *self.told)

    def __repr__(self) -> str:
        size = f"{len(self)} rows × {len(self.columns)} columns"
        return f"{type(self).__name__}({', '.join(self.columns)}; {size}; LOOK-ALIKE, about nobody)"


@dataclass(frozen=True, slots=True, repr=False)
class Sample(TwinResult):
    """Some look-alike rows of one dataset."""

    dataset: str = ""


class TwinJob(Displayed):
    """A statement that ran on look-alike data, with the interface of `darkroom.Job`: it has ended already.

    `explain` asks what the owner's rules say of the same statement on real data; nothing else asks anybody anything.
    """

    look_alike: ClassVar[bool] = True
    kind: ClassVar[str] = "sql"

    def __init__(
        self,
        name: str,
        result: TwinResult,
        explain: Callable[[], list[dict[str, str]]],
        logs: tuple[str, ...] = (),
    ) -> None:
        self.id, self._result, self._explain, self._logs = name, result, explain, logs

    @property
    def state(self) -> str:
        """`look-alike`."""
        return LOOK_ALIKE

    @property
    def sentence(self) -> str:
        """What the state means."""
        return "It ran on look-alike data, in this process. Nothing was asked of an owner, and nothing was spent."

    @property
    def finished(self) -> bool:
        """True."""
        return True

    @property
    def waits_for(self) -> str:
        """Nobody."""
        return ""

    waiting = waits_for

    @property
    def view(self) -> dict[str, Any]:
        """What there is to say of it, as for a job at the platform."""
        return {
            "id": self.id,
            "state": self.state,
            "sentence": self.sentence,
            "waits_for": "",
            "kind": self.kind,
        }

    def refresh(self) -> TwinJob:
        """Do nothing: it has ended."""
        return self

    def wait(self, timeout: float | None = None, progress: Callable[[Any], None] | None = None) -> TwinJob:
        """Return at once; `progress` is called with the one state that it has."""
        if progress:
            progress(self)
        return self

    def progress(self) -> str:
        """Return what the state means."""
        return self.sentence

    def logs(self) -> str:
        """Return which twins it read."""
        return "\n".join(self._logs)

    def problem(self) -> None:
        """Return nothing: it has a result."""

    def explain(self) -> list[dict[str, str]]:
        """Ask the platform what the owner's rules say of this statement on real data, and return every reason; none if
        it would be allowed. It is a dry run: nothing runs on data and nothing is spent.

        Raises:
            DarkroomError: what the portal says, as of a statement that its guard refuses.
        """
        return self._explain()

    def cancel(self) -> TwinJob:
        """Do nothing: it has ended."""
        return self

    def result(self, timeout: float | None = None) -> TwinResult:
        """Return the table."""
        return self._result

    def __repr__(self) -> str:
        return f"TwinJob({self.id}: LOOK-ALIKE, {len(self._result)} rows)"
