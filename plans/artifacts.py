"""Typed outputs: what a Python or component job may leave, each of a declared form, and how they look once released.

Whatever was not declared is refused, and so is what has another form than declared. The forms and their files:

    table    rows and columns of figures           .csv, .arrow, .parquet
    figure   a drawing, and the table behind it     .png, with NAME.csv beside it, declared as its `data`
    metrics  named numbers                          .json
    report   a text                                 .txt, .md
    model    a fitted model                         .json (linear and tree models), .onnx, .safetensors
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.record import Record
from plans.released import Note


class Form(StrEnum):
    """What an output is."""

    TABLE = "table"
    FIGURE = "figure"
    METRICS = "metrics"
    REPORT = "report"
    MODEL = "model"

    @property
    def endings(self) -> tuple[str, ...]:
        """The file names that the form may have."""
        return _ENDINGS[self]


_ENDINGS = {
    Form.TABLE: (".csv", ".arrow", ".parquet"),
    Form.FIGURE: (".png",),
    Form.METRICS: (".json",),
    Form.REPORT: (".txt", ".md"),
    Form.MODEL: (".json", ".onnx", ".safetensors"),
}
MOST_ARTIFACTS = 64


@dataclass(frozen=True, slots=True)
class Artifact(Record):
    """One declared output: the file's name and its form. `data` names the table behind a figure, `persons` the column
    of a table that says on how many persons a row rests; both are empty for every other form.
    """

    KIND: ClassVar[str] = "artifact"

    name: str
    form: Form
    data: str = ""
    persons: str = ""

    def check(self) -> None:
        names.require("file", self.name, "artifact.name")
        if not self.name.endswith(self.form.endings):
            raise Malformed(
                f"an output of the form {self.form} has a name that ends in {' or '.join(self.form.endings)}",
                self.name,
                "Rename the file, or declare another form: docs/outputs.md.",
            )
        if (self.form is Form.FIGURE) != bool(self.data):
            raise Malformed(
                "a figure names the table that it draws, and nothing else does",
                self.name,
                "Declare the table as an output of its own, and name it here.",
            )
        if (self.form is Form.TABLE) != bool(self.persons):
            raise Malformed(
                "a table names its column of numbers of persons, and nothing else does",
                self.name,
                "Leave a column of counts beside the figures, and name it here.",
            )


def require_artifacts(artifacts: tuple[Artifact, ...], where: str) -> None:
    """Check a list of declared outputs: few, each once, and every figure's table among them; raises `Malformed`."""
    called = [artifact.name for artifact in artifacts]
    if not 1 <= len(called) <= MOST_ARTIFACTS or len(set(called)) != len(called):
        raise Malformed(f"a job declares 1 to {MOST_ARTIFACTS} outputs, each once", where)
    tables = {artifact.name for artifact in artifacts if artifact.form is Form.TABLE}
    if any(artifact.data not in tables for artifact in artifacts if artifact.form is Form.FIGURE):
        raise Malformed("the table behind a figure is not declared", where, "Declare it as a table.")


@dataclass(frozen=True, slots=True)
class ReleasedArtifact(Record):
    """One output as it leaves: its re-encoded bytes in base64."""

    name: str
    form: Form
    content: str

    def check(self) -> None:
        names.require("file", self.name, "released-artifact.name")


@dataclass(frozen=True, slots=True)
class ReleasedSet(Record):
    """The outputs of one plan as they leave together. `salt` is 128 random bits in hex (see `plans.released`)."""

    KIND: ClassVar[str] = "released-set"

    plan: str
    artifacts: tuple[ReleasedArtifact, ...]
    notes: tuple[Note, ...]
    salt: str

    def check(self) -> None:
        names.require("digest", self.plan, "released-set.plan")
        names.require("nonce", self.salt, "released-set.salt")
