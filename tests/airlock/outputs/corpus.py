"""The corpus of outputs: what each file is, and a way through both boxes' rules for any set of files."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airlock.outputs import values
from airlock.outputs.ground import Ground
from airlock.outputs.judging import Judged, judge_outputs
from airlock.outputs.reading import read_outputs
from airlock.rules import Stamp
from plans import canonical
from plans.artifacts import Artifact, Form
from plans.checks import Checks
from plans.decision import Obligations, Tier

FOLDER = Path(__file__).resolve().parents[2] / "corpus" / "outputs"
STAMP = Stamp("sha256:" + "a" * 64, "b" * 32)
SALT = "c" * 32


@dataclass(frozen=True)
class Case:
    """One output of the corpus, and what the airlock should make of it."""

    folder: str
    name: str
    form: Form
    expect: str
    about: str
    rule: str = ""
    persons: str = ""
    data: str = ""
    component: bool = False
    sorted: bool = False
    withheld: int = 0
    missed: bool = False
    never: list[str] = field(default_factory=list)

    @property
    def declared(self) -> tuple[Artifact, ...]:
        """The output as a task declares it; a figure with the table behind it."""
        own = Artifact(self.name, self.form, data=self.data, persons=self.persons)
        return (own, Artifact(self.data, Form.TABLE, persons="persons")) if self.data else (own,)

    @property
    def files(self) -> dict[str, bytes]:
        """What the job's box would pack."""
        files = {"files/" + self.name: (FOLDER / self.folder / self.name).read_bytes()}
        if self.data:
            files["files/" + self.data] = (FOLDER / self.folder / self.data).read_bytes()
        if self.component:
            said = json.loads((FOLDER / self.folder / f"{self.name}.evidence.json").read_text())
            files[f"evidence/{self.name}.json"] = canonical.encode(said)
        return files


def cases() -> list[Case]:
    """Every output of the index."""
    listed = tomllib.loads((FOLDER / "index.toml").read_text(encoding="utf-8"))["output"]
    return [Case(**{**entry, "form": Form(entry["form"])}) for entry in listed]


def obligations(**checks: Any) -> Obligations:
    """The owner's numbers in these tests: those of the region."""
    return Obligations(10, 5, 5_000, Tier.T1, Checks(**checks))


def through(
    files: Mapping[str, bytes],
    declared: tuple[Artifact, ...],
    owner: Obligations | None = None,
    component: bool = False,
    withheld: tuple[tuple[int, ...], ...] = (),
) -> Judged:
    """Return the judgement about files, taken through what the first box writes and the second reads."""
    handed = values.write(read_outputs(files, declared, component, SALT))
    ground = Ground(owner or obligations(), not component)
    return judge_outputs(values.read(handed, declared), declared, ground, STAMP, withheld)


def judge(case: Case, owner: Obligations | None = None) -> Judged:
    """Return the judgement about a case."""
    return through(case.files, case.declared, owner, case.component)


def contents(judged: Judged) -> dict[str, bytes]:
    """Return the bytes of every output that leaves."""
    if judged.released is None:
        return {}
    return {each.name: base64.b64decode(each.content) for each in judged.released.artifacts}


def table(files: Mapping[str, bytes] | str, **more: Any) -> tuple[Judged, dict[str, Any]]:
    """Return the judgement about one table in CSV, `t.csv`, and the table that leaves."""
    packed = {"files/t.csv": files.encode()} if isinstance(files, str) else files
    judged = through(packed, (Artifact("t.csv", Form.TABLE, persons="persons"),), **more)
    left = contents(judged)
    return judged, json.loads(left["t.csv"]) if left else {}
