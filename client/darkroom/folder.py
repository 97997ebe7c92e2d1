"""A member's folder, from the disk to a task: `darkroom.toml` in it says what it reads, starts and leaves.

    entry = "main.py"                    # the file that is started
    arguments = ["--year", "2023"]       # what it is started with
    image = "python"                     # one of `darkroom images`; the first for Python, if left out
    project = "housing"                  # optional: for commands that are not told
    purpose = "Study of rents"

    [tables]                             # what it reads: a table and its columns, never identifiers
    "tax.income" = ["league", "income"]

    [models]                             # optional: kept models, by the name for the program (docs/models.md)
    "fit" = "JOB/fit.json"               # the job, or the digest of the plan, that left it, and the file

    [outputs]                            # what may leave, by file name (docs/outputs.md)
    "by_league.csv" = { form = "table", persons = "n" }
    "plot.png" = { form = "figure", data = "by_league.csv" }
    "fit.json" = "metrics"

Hidden files, byte code and `darkroom.toml` itself stay here; every other file goes along. Links do not. Sources hold
no character that whoever reviews them would not see.
"""

from __future__ import annotations

import base64
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from darkroom.notebook_text import require_shown
from plans.artifacts import Artifact, Form
from plans.box import Outputs
from plans.errors import Malformed, NotFound, TooLarge
from plans.imports import missing
from plans.tasks import KeptModel, Need, PythonTask
from plans.trial import LARGEST_FOLDER, MOST_SOURCES, Folder

FILE = "darkroom.toml"
_DOCS = "docs/jobs.md shows one."
_KNOWN = {"entry", "arguments", "image", "project", "purpose", "tables", "models", "outputs"}
_LEFT_OUT = ("__pycache__",)


@dataclass(frozen=True, slots=True)
class Work:
    """A folder and what its `darkroom.toml` says; `image`, `project` and `purpose` are empty where it says nothing.

    `models` says for each kept model, by the name for the program, which it is: `JOB/FILE` or `PLAN/FILE`.
    """

    folder: Folder
    needs: tuple[Need, ...]
    artifacts: tuple[Artifact, ...]
    image: str
    project: str
    purpose: str
    models: Mapping[str, str] = field(default_factory=dict)

    def chosen(self, images: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the image that was named among those of the portal, or its first for Python.

        Raises:
            NotFound: the portal has no such image.
        """
        return _chosen(images, self.image)

    def task(self, images: list[dict[str, Any]], kept: Sequence[Mapping[str, Any]] = ()) -> PythonTask:
        """Return the task, on the image that was named, or the portal's first for Python; `kept` are the models
        that the portal lists.

        Raises:
            NotFound: the portal has no such image, it has disappeared there, or the portal lists no such model.
            Malformed: the image lacks a module that the folder imports; it says which image has it.
        """
        image = self.chosen(images)
        if is_gone(image):
            raise NotFound(
                f"the image {image['name']} has disappeared from the platform, so no job can start in it",
                "image",
                f"Ask the administrator to build it again (python -m sandbox.images build images/{image['name']}), "
                "then submit anew.",
            )
        lacks = missing(self.folder.content(), set(image["modules"]))
        for name, where in lacks.items():
            raise Malformed(
                f"the image {image['name']} has no module {name!r}", where, _who_has(images, name)
            )
        return PythonTask(
            image=str(image["digest"]),
            folder=self.folder.digest,
            main=self.folder.main,
            arguments=self.folder.arguments,
            needs=self.needs,
            artifacts=self.artifacts,
            models=tuple(_model(name, which, kept) for name, which in self.models.items()),
        )


def read(place: Path) -> Work:
    """Read a folder.

    Raises:
        NotFound: there is no such folder, no `darkroom.toml` in it, or not the file that is to be started.
        Malformed: `darkroom.toml` is not right, or a file cannot go along; it says which.
        TooLarge: there are too many files, or too many bytes.
    """
    said = _said(place)
    main = _text(said, "entry")
    files = {path: base64.b64encode(content).decode() for path, content in _files(place)}
    if main not in files:
        raise NotFound(
            "the file to start is not in the folder", main or FILE, f'Name it in {FILE}: entry = "main.py"'
        )
    artifacts = tuple(_artifact(name, each) for name, each in _table(said, "outputs").items())
    folder = Folder(
        files=files,
        main=main,
        arguments=tuple(_texts(said.get("arguments", []), "arguments")),
        outputs=Outputs(len(artifacts), tuple(artifact.name for artifact in artifacts)),
    )
    tables = _table(said, "tables")
    needs = tuple(Need(name, tuple(_texts(columns, f"tables.{name}"))) for name, columns in tables.items())
    words = {name: _text(said, name) for name in ("image", "project", "purpose")}
    models = _table(said, "models") if "models" in said else {}
    named = {name: _text(models, name) for name in models}
    return Work(folder, needs, artifacts, **words, models=named)


def _said(place: Path) -> Mapping[str, Any]:
    try:
        said = tomllib.loads((place / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if not place.is_dir():
            raise NotFound(
                "there is no such folder", str(place), f"Name a folder with {FILE} in it."
            ) from None
        what = f"there is no {FILE} in the folder"
        raise NotFound(what, str(place), f"It says what is read, started and left: {_DOCS}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        told = str(problem) if isinstance(problem, tomllib.TOMLDecodeError) else type(problem).__name__
        raise Malformed(f"{FILE} cannot be read: {told}", str(place / FILE), _DOCS) from None
    if unknown := sorted(set(said) - _KNOWN):
        raise Malformed(
            f"{FILE} knows no {unknown[0]!r}", str(place / FILE), f"It knows {', '.join(sorted(_KNOWN))}."
        )
    return said


def _files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of every file that goes along; stop at the first that is one too many."""
    size = 0
    for count, path in enumerate(_paths(place, "")):
        if count >= MOST_SOURCES:
            raise TooLarge(
                f"the folder has more than {MOST_SOURCES} files",
                str(place),
                "Leave out what the program does not need; data never travel with code.",
            )
        try:
            with (place / path).open("rb") as file:
                content = file.read(LARGEST_FOLDER + 1)
        except OSError as problem:
            raise Malformed(f"the file cannot be read ({problem.strerror})", path) from None
        size += len(content)
        if size > LARGEST_FOLDER:
            raise TooLarge(
                f"the folder has more than {LARGEST_FOLDER // 2**20} MiB",
                path,
                "Leave out what the program does not need; data never travel with code.",
            )
        if path.endswith(".py"):
            require_shown(content, path)
        yield path, content


def _paths(place: Path, below: str) -> Iterator[str]:
    """Yield the paths of plain files, by name, without reading a folder further than is asked for."""
    with os.scandir(place / below) as entries:
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.name.startswith(".") or entry.name in _LEFT_OUT or path == FILE:
                continue
            if entry.is_symlink():
                raise Malformed("a link does not travel", path, "Put the file itself into the folder.")
            if entry.is_dir():
                yield from _paths(place, path)
            else:
                yield path


def _artifact(name: str, said: object) -> Artifact:
    plain = {"form": said} if isinstance(said, str) else said
    if not isinstance(plain, dict) or not set(plain) <= {"form", "data", "persons"}:
        raise Malformed(
            "an output has a form, and a table the column of its persons", f"outputs.{name}", _DOCS
        )
    words = {key: _text(plain, key) for key in ("form", "data", "persons")}
    if words["form"] not in list(Form):
        raise Malformed(
            f"there is no form {words['form']!r}",
            f"outputs.{name}",
            f"One of {', '.join(Form)}: docs/outputs.md.",
        )
    return Artifact(name, Form(words["form"]), words["data"], words["persons"])


def _model(name: str, which: str, kept: Sequence[Mapping[str, Any]]) -> KeptModel:
    job, _, file = which.rpartition("/")
    for each in kept:
        if job in (each["job"], each["plan"]) and each["artifact"] == file:
            return KeptModel(name, str(each["plan"]), file, str(each["content"]))
    raise NotFound(
        "no such kept model is listed for your projects",
        f"models.{name}",
        'Write the job or the plan, and the file: "JOB/fit.json"; darkroom models lists them.',
    )


def is_gone(image: Mapping[str, Any]) -> bool:
    """Whether the portal lists an image that is not there any more: nothing can be imported in it."""
    return not image["modules"]


def _chosen(images: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for image in images:
        if image["stage"] == "python" and (not name or image["name"] == name):
            return image
    there = ", ".join(str(image["name"]) for image in images if image["stage"] == "python") or "none"
    raise NotFound("the platform has no such image for Python", name or "image", f"There are: {there}.")


def _who_has(images: list[dict[str, Any]], module: str) -> str:
    having = sorted({str(image["name"]) for image in images if module in image["modules"]})
    if having:
        return f"The image {' and '.join(having)} has it: darkroom images."
    return "No image here has it: do without, put it into the folder, or ask the administrator for an image."


def _table(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = said.get(name)
    if not isinstance(found, dict) or not found:
        raise Malformed(f"{FILE} has no [{name}]", f"{FILE}, {name}", _DOCS)
    return found


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name, "")
    if not isinstance(found, str):
        raise Malformed("this is a text", f"{FILE}, {name}", _DOCS)
    return found


def _texts(found: object, where: str) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise Malformed("this is a list of texts", f"{FILE}, {where}", _DOCS)
    return found
