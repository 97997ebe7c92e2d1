"""The outputs of a program that ran on look-alike data: read like released ones, and marked as made up."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from darkroom import twin_tables
from darkroom.files import FileSet, OutputCells
from darkroom.tabular import Tabular
from darkroom.twin_result import WARNING, MadeUp, TwinResult
from plans.artifacts import Artifact, Form
from plans.errors import Malformed, OutputRefused

MARK = "LOOK-ALIKE.txt"
"""A file that `save` writes beside the others, so that nobody who finds the folder takes them for results."""

UNJUDGED = "No rule was applied: on real data outputs are read anew and judged, figures rounded, small groups withheld."


@dataclass(frozen=True, slots=True)
class TwinFiles(FileSet):
    """What a program left on look-alike data: for whoever reads it the same as `Files`, and marked wherever it is
    shown. Files are as the program wrote them; on real data they are written anew.
    """

    look_alike: ClassVar[bool] = True

    artifacts: tuple[Artifact, ...]
    made: Mapping[str, bytes] = field(repr=False)
    told: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The files' names."""
        return tuple(artifact.name for artifact in self.artifacts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known about the outputs, that they are look-alike first; then what would stop them."""
        return (WARNING, *self.told, *filter(None, map(self._flaw, self.artifacts)))

    @property
    def tables(self) -> dict[str, Tabular]:
        """The outputs that are tables, by name.

        Raises:
            OutputRefused: one is no table that could leave.
        """
        return {each.name: self._table(each.name) for each in self.artifacts if each.form is Form.TABLE}

    def read(self, name: str) -> bytes:
        """Return one file's bytes.

        Raises:
            Malformed: there is none of this name.
        """
        if name not in self.made:
            raise Malformed("there is no such output", name, f"There are {', '.join(self.names)}.")
        return self.made[name]

    def save(self, folder: Path | str) -> tuple[Path, ...]:
        """Write all files into a folder, which is made if it is not there, and `LOOK-ALIKE.txt`, which says what they
        are; return the files' paths.

        Raises:
            StateConflict: a file of one of these names is there already; nothing is written then.
        """
        saved = FileSet.save(self, folder)
        mark = Path(folder, MARK)
        if not os.path.lexists(mark):
            mark.write_text("".join(f"{line}\n" for line in (WARNING, *self.told)), encoding="utf-8")
        return saved

    def __repr__(self) -> str:
        return f"TwinFiles({', '.join(self.names)}; LOOK-ALIKE, about nobody)"

    def _table(self, name: str) -> TwinResult:
        cells = OutputCells.of(twin_tables.read(name, self.made[name]))
        return TwinResult(MadeUp(cells.columns, cells.rows), self.told)

    def _flaw(self, artifact: Artifact) -> str:
        """Return for which reason an output would surely stay inside, as a sentence; empty if none is seen here."""
        if artifact.form is Form.TABLE:
            try:
                columns = self._table(artifact.name).columns
            except OutputRefused as problem:
                return f"{artifact.name}: {problem.what}."
            if artifact.persons not in columns:
                return (
                    f"{artifact.name} has no column {artifact.persons!r}, which its task names for numbers of persons: "
                    "on real data it is refused."
                )
        if artifact.form is Form.METRICS and not _is_metrics(self.made[artifact.name]):
            return f"{artifact.name} is no flat JSON object of numbers: on real data it is refused."
        return ""


def _is_metrics(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and bool(found) and all(map(_is_number, found.values()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
