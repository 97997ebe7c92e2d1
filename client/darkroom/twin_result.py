"""Answers on look-alike data: tables like released ones, marked as made up, and the jobs that have them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from darkroom.tabular import Sheet, Tabular
from darkroom.twin_ended import EndedTwin
from plans.released import Cell, ReleasedColumn

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


class TwinJob(EndedTwin):
    """A statement that ran on look-alike data."""

    kind: ClassVar[str] = "sql"

    def __init__(
        self,
        name: str,
        result: TwinResult,
        explain: Callable[[], list[dict[str, str]]],
        logs: tuple[str, ...] = (),
    ) -> None:
        super().__init__(name, explain)
        self._result, self._logs = result, logs

    @property
    def sentence(self) -> str:
        """What the state means."""
        return "It ran on look-alike data, in this process. Nothing was asked of an owner, and nothing was spent."

    def logs(self) -> str:
        """Return which twins it read."""
        return "\n".join(self._logs)

    def result(self, timeout: float | None = None) -> TwinResult:
        """Return the table."""
        return self._result

    def __repr__(self) -> str:
        return f"TwinJob({self.id}: LOOK-ALIKE, {len(self._result)} rows)"
