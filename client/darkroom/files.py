"""The released outputs of a job: opened after everything about them was checked, and written where a person says.

Names come from the other side, so each must be a plain file name that the member's own task declared; nothing is
written over.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.listing import Displayed
from darkroom.sheets import metrics_file, table_file
from plans import names
from plans.artifacts import Artifact, Form, ReleasedArtifact, ReleasedSet
from plans.errors import HashMismatch, Malformed, StateConflict
from plans.plan import Plan
from plans.tasks import task_of


@dataclass(frozen=True, slots=True)
class Files(Displayed):
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
        contents = {artifact.name: _file(artifact) for artifact in self.released.artifacts}
        for name, content in contents.items():
            with (place / name).open("xb") as file:
                file.write(content)
        return tuple(place / name for name in contents)

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
