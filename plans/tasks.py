"""What a request asks for beside SQL: a member's own folder of Python, or an entry of the algorithm library.

A task is the text of the request that its member signs (`plans.request`), in canonical form. It names the code by
hash, never by place; the folder itself travels with the plan, as its material.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from plans import names
from plans.artifacts import Artifact, Form, require_artifacts
from plans.box import LONGEST_ARGUMENT, MOST_ARGUMENTS
from plans.errors import Malformed
from plans.record import Record
from plans.request import Request, RequestKind

MOST_NEEDS = 8
"""Tables that a task reads at the most: each is a link of its own between loader and job."""

MOST_MODELS, LARGEST_MODELS = 4, 4 * 2**20
"""Kept models that a task may use, and bytes of all of them together: they travel with the keys of its box."""

HOLDOUT_PERCENT = 10
"""Persons whose rows a job never sees if it leaves a model: by them the model is checked (`airlock`)."""


@dataclass(frozen=True, slots=True)
class Need(Record):
    """A table that a task reads: the relation and its columns, without identifiers. `keys` are those of the columns
    whose values appear in outputs as keys of groups; only components have such.
    """

    KIND: ClassVar[str] = "need"

    relation: str
    columns: tuple[str, ...]
    keys: tuple[str, ...] = ()

    def check(self) -> None:
        names.require("relation", self.relation, "need.relation")
        for column in self.columns:
            names.require("column", column, "need.columns")
        if len(set(self.columns)) != len(self.columns) or not set(self.keys) <= set(self.columns):
            raise Malformed("columns are named once, and keys are among them", self.relation)
        if names.PERSON in self.columns:
            raise Malformed(
                f"{names.PERSON!r} is there by itself", self.relation, "Leave it out of the columns."
            )


@dataclass(frozen=True, slots=True)
class KeptModel(Record):
    """A model that stayed with its owner, as a task names it: how the program calls it, which output of which plan it
    is, and that plan's salted commitment to its outputs (`plans.verdict.Verdict.content`), which pins every byte.
    """

    name: str
    plan: str
    artifact: str
    content: str

    def check(self) -> None:
        names.require("file", self.name, "kept-model.name")
        names.require("file", self.artifact, "kept-model.artifact")
        names.require("digest", self.plan, "kept-model.plan")
        names.require("digest", self.content, "kept-model.content")


@dataclass(frozen=True, slots=True)
class PythonTask(Record):
    """A folder of Python (the digest of its `plans.trial.Folder`), on an image, over tables, with declared outputs.

    `models` are kept models that it scores with; which may be used is decided (`policies.kept`).
    """

    KIND: ClassVar[str] = "python-task"

    image: str
    folder: str
    main: str
    arguments: tuple[str, ...]
    needs: tuple[Need, ...]
    artifacts: tuple[Artifact, ...]
    models: tuple[KeptModel, ...] = ()

    def check(self) -> None:
        names.require("digest", self.image, "task.image")
        names.require("digest", self.folder, "task.folder")
        names.require("source path", self.main, "task.main")
        if len(self.arguments) > MOST_ARGUMENTS or any(
            len(each) > LONGEST_ARGUMENT for each in self.arguments
        ):
            raise Malformed("arguments are few and short", "task.arguments")
        _require_needs(self.needs)
        if any(need.keys for need in self.needs):
            raise Malformed("a member's own code has no keys of groups", "task.needs", "Leave them empty.")
        require_artifacts(self.artifacts, "task.artifacts")
        if len(self.models) > MOST_MODELS or len({model.name for model in self.models}) != len(self.models):
            raise Malformed(f"a task uses at most {MOST_MODELS} kept models, each name once", "task.models")


@dataclass(frozen=True, slots=True)
class ComponentTask(Record):
    """An entry of the algorithm library and its parameters: words, whole numbers, truths and lists of these.

    Numbers with a point are written as text ("0.05"). Which outputs there are follows from the component; they
    stand here too, so that the plan says what leaves.
    """

    KIND: ClassVar[str] = "component-task"

    image: str
    component: str
    parameters: Mapping[str, Any]
    needs: tuple[Need, ...]
    artifacts: tuple[Artifact, ...]

    def check(self) -> None:
        names.require("digest", self.image, "task.image")
        names.require("project", self.component, "task.component")
        _require_needs(self.needs)
        require_artifacts(self.artifacts, "task.artifacts")


Task = PythonTask | ComponentTask
_TASKS: Mapping[RequestKind, type[PythonTask] | type[ComponentTask]] = {
    RequestKind.PYTHON: PythonTask,
    RequestKind.COMPONENT: ComponentTask,
}


def task_of(request: Request) -> Task:
    """Return the task that a request asks for.

    Raises:
        Malformed: it asks for SQL, or its text is no task in canonical form.
    """
    kind = _TASKS.get(request.kind)
    if kind is None:
        raise Malformed(f"a request of the kind {request.kind} holds no task", "request.kind")
    return kind.decode(request.statement.encode())


def leaves_model(task: Task) -> bool:
    """Return whether a model is among a task's outputs, so that some persons are held out of the job."""
    return any(artifact.form is Form.MODEL for artifact in task.artifacts)


def models_of(request: Request | None) -> tuple[KeptModel, ...]:
    """Return the kept models that a request's task uses; none for SQL and for components."""
    if request is None or request.kind is not RequestKind.PYTHON:
        return ()
    task = task_of(request)
    return task.models if isinstance(task, PythonTask) else ()


def _require_needs(needs: tuple[Need, ...]) -> None:
    called = [need.relation for need in needs]
    if not 1 <= len(called) <= MOST_NEEDS or len(set(called)) != len(called):
        raise Malformed(f"a task reads 1 to {MOST_NEEDS} tables, each once", "task.needs")
