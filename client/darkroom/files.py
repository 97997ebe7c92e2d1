"""The released outputs of a job: opened after everything about them was checked, and written where a person says.

Names come from the other side, so each must be a plain file name that the member's own task declared; nothing is
written over. What a program leaves on look-alike data is read in the same way (`FileSet`, `darkroom.twin_files`).
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from darkroom.listing import Displayed
from darkroom.sheets import Sheet, metrics_file, table_file
from darkroom.tabular import Sheet as Cells
from darkroom.tabular import Tabular
from plans import names
from plans.artifacts import Artifact, Form, ReleasedArtifact, ReleasedSet
from plans.errors import HashMismatch, Malformed, StateConflict
from plans.plan import Plan
from plans.released import Cell, ReleasedColumn
from plans.tasks import task_of

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from darkroom.chart import Chart


class FileSet(Displayed):
    """The outputs of a task, released or look-alike, in one interface."""

    __slots__ = ()

    look_alike: ClassVar[bool] = False
    """Whether they are of made-up rows, and so say nothing about anybody."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files' names."""
        raise NotImplementedError

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known about the outputs, one sentence each."""
        raise NotImplementedError

    @property
    def tables(self) -> dict[str, Tabular]:
        """The outputs that are tables, by name."""
        raise NotImplementedError

    def read(self, name: str) -> bytes:
        """Return one file's bytes."""
        raise NotImplementedError

    def table(self, name: str = "") -> Tabular:
        """Return one table; the only one needs no name.

        Raises:
            Malformed: there is none of this name, or there are several and none is named.
        """
        found = self.tables
        if not name and len(found) == 1:
            return next(iter(found.values()))
        if name in found:
            return found[name]
        there = ", ".join(found) or "none"
        what = f"there is no table {name} among the outputs" if name else "it is not said which table"
        raise Malformed(what, name or "outputs", f'Tables here: {there}. result.table("NAME") returns one.')

    def to_arrow(self, name: str = "", *, suppressed: bool = False) -> pyarrow.Table:
        """Return one table as Arrow table (`Tabular.to_arrow`); the only one needs no name."""
        return self.table(name).to_arrow(suppressed=suppressed)

    def to_pandas(self, name: str = "", *, suppressed: bool = False) -> pandas.DataFrame:
        """Return one table as pandas table (`Tabular.to_pandas`); the only one needs no name."""
        return self.table(name).to_pandas(suppressed=suppressed)

    def plot(self, kind: str = "", *, x: str = "", y: str = "", by: str = "", name: str = "") -> Chart:
        """Return a chart of one table (`Tabular.plot`); the only one needs no name."""
        return self.table(name).plot(kind, x=x, y=y, by=by)

    def save(self, folder: Path | str) -> tuple[Path, ...]:
        """Write all files into a folder, which is made if it is not there; return their paths.

        Raises:
            StateConflict: a file of one of these names is there already; nothing is written then.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for name in self.names:
            if os.path.lexists(place / name):
                raise StateConflict("there is such a file already", str(place / name), "Name another folder.")
        contents = {name: self.read(name) for name in self.names}
        for name, content in contents.items():
            with (place / name).open("xb") as file:
                file.write(content)
        return tuple(place / name for name in contents)


@dataclass(frozen=True, slots=True)
class OutputCells:
    """Columns and cells of a table among outputs."""

    columns: tuple[ReleasedColumn, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(cls, found: Sheet) -> OutputCells:
        """Return the cells of a table as it travelled."""
        columns = tuple(ReleasedColumn(name, kind) for name, kind in found.columns)
        rows = tuple(
            tuple(Cell(cell if isinstance(cell, str) else None, cell is False) for cell in row)
            for row in found.rows
        )
        return cls(columns, rows)


@dataclass(frozen=True, slots=True, repr=False)
class OutputTable(Tabular):
    """A released table among the outputs of a task."""

    name: str
    cells: OutputCells
    told: tuple[str, ...] = ()

    @property
    def sheet(self) -> Cells:
        """The cells as they were released."""
        return self.cells

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the outputs before they left, one sentence each."""
        return self.told

    def __repr__(self) -> str:
        hidden = sum(map(sum, self.suppressed))
        size = f"{len(self)} rows × {len(self.columns)} columns, {hidden} cells suppressed"
        return f"OutputTable({self.name}: {', '.join(self.columns)}; {size})"


@dataclass(frozen=True, slots=True)
class Files(FileSet):
    """What leaves of a task. Reading and showing do nothing; `save` writes."""

    released: ReleasedSet
    plan: Plan = field(repr=False)
    keeper: str = field(default="", repr=False)
    """The public key of the keeper whose signature was verified; empty where none was."""

    @property
    def names(self) -> tuple[str, ...]:
        """The files' names."""
        return tuple(artifact.name for artifact in self.released.artifacts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to the outputs before they left, one sentence each."""
        return tuple(note.sentence for note in self.released.notes)

    def read(self, name: str) -> bytes:
        """Return one file's bytes; a table is the file that its name promises, metrics are JSON with numbers.

        Raises:
            Malformed: there is none of this name.
        """
        for artifact in self.released.artifacts:
            if artifact.name == name:
                return _file(artifact)
        raise Malformed("there is no such output", name, f"There are {', '.join(self.names)}.")

    @property
    def tables(self) -> dict[str, Tabular]:
        """The outputs that are tables, by name; withheld cells are marked in them."""
        return {
            each.name: OutputTable(
                each.name, OutputCells.of(Sheet.decode(_content(each), each.name)), self.notes
            )
            for each in self.released.artifacts
            if each.form is Form.TABLE
        }

    def __repr__(self) -> str:
        return f"Files({', '.join(self.names)}; plan {self.released.plan})"


def require_declared(released: ReleasedSet, plan: Plan) -> None:
    """Check that what was released are outputs that the member's own task declared, each once and in its form.

    Raises:
        HashMismatch: something else is among them.
        Malformed: a name is no plain file name.
    """
    if plan.request is None:
        raise HashMismatch("the plan holds no request", "plan")
    declared = {artifact.name: artifact for artifact in task_of(plan.request).artifacts}
    called = [names.require("file", artifact.name, "release") for artifact in released.artifacts]
    if len(set(called)) != len(called) or not all(map(declared.__contains__, called)):
        raise HashMismatch("the release holds an output that was not declared", "release")
    for artifact in released.artifacts:
        _require_form(artifact, declared[artifact.name])


def _require_form(artifact: ReleasedArtifact, declared: Artifact) -> None:
    if artifact.form is not declared.form:
        raise HashMismatch("an output has another form than was declared", artifact.name)
    _content(artifact)


def _file(artifact: ReleasedArtifact) -> bytes:
    content = _content(artifact)
    if artifact.form is Form.TABLE:
        return table_file(artifact.name, content)
    return metrics_file(artifact.name, content) if artifact.form is Form.METRICS else content


def _content(artifact: ReleasedArtifact) -> bytes:
    try:
        return base64.b64decode(artifact.content, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("an output's content is not base64", artifact.name) from None
