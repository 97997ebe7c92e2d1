"""The Python box: runs a member's folder in a process of its own, and is the only one who may say what came of it.

Process 1 of the box is this runner. It speaks with the launcher, holds the keys, and starts the member's program as a
child that shares nothing with it but the box's walls:

    memory      the runner cannot be looked into or traced, also not through /proc (it is not *dumpable*, prctl(2));
                and as process 1 of its namespace no signal of the child reaches it
    pipes       the launcher's pipes are not inherited; the child has /dev/null, one pipe for what it prints, and one on
                which it may say where it failed
    files       `inside.bootstrap` takes `/out` and `/in` away from it before it runs the member's first line: nothing
                it writes comes to lie on the node's disk, but what the runner has encrypted
    end         when the program ends, everything that it started is killed and reaped before its outputs are read

Its tables come over sealed links, which the runner opens and the program does not know of (`inside.feeding`); neither
has a key of the owner's files. What it left in `/tmp/out` and its log are packed into one file, padded, and sealed
under the key of the stage for the inspecting box. Kept models that the task names come with the keys, from the owner's
keeper, and lie in `/tmp/models` as copies of the program's own. A trial (`plans.trial`) has no data and no key: there
the runner reports all that happened.

Failures of a program that has seen data are one of few codes. Where it failed is a fact that the launcher keeps for
itself, to compare it with a trial (`sandbox.telling`).
"""

from __future__ import annotations

import base64
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inside import alone, leavings
from inside.alone import Ended, Program
from inside.feeding import Feeding
from inside.session import BoxFailure, Session, padded_size
from plans.box import MOST_OUTPUTS, BoxSpec, Entry, Limits, Outputs
from plans.errors import Malformed
from plans.handover import FILES, LOG, OUTPUT
from plans.plan import PlanKind
from plans.tasks import PythonTask, task_of
from plans.trial import LONGEST_TEXT, Folder, Left, Trial, TrialReport

SEALING = 64
"""Bytes that encryption adds, generously."""

ABSENT, UNDECLARED = "python.absent", "python.undeclared"
"""Failures of a program that did not leave what its task declares, or left something else."""

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Places:
    """Where a program finds itself: its folder, its tables, where it leaves outputs, its home, and kept models."""

    work: Path
    data: Path
    out: Path
    home: Path
    models: Path

    @classmethod
    def make(cls, temp: Path, folder: Folder) -> Places:
        """Make the places and lay the folder's files out. They are open to the user as whom the program may run."""
        places = cls(*(temp / name for name in ("work", "data", "out", "home", "models")))
        for place in (places.work, places.data, places.out, places.home, places.models):
            place.mkdir(exist_ok=True)
            place.chmod(0o777)
        for path, content in folder.content().items():
            target = places.work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return places

    def lay_models(self, models: Mapping[str, str]) -> None:
        """Write kept models, in base64 by name, where the program finds them; none of the folder's stands in then."""
        for name, content in models.items():
            (self.models / name).write_bytes(base64.b64decode(content, validate=True))
            (self.models / name).chmod(0o444)

    def program(self, folder: Folder, cpus: int) -> Program:
        """Return how the folder is started here."""
        threads = {f"{library}_NUM_THREADS": str(cpus) for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
        environment = {
            "DARKROOM_OUT": str(self.out),
            "DARKROOM_MODELS": str(self.models),
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "LANG": "C.UTF-8",
            "MALLOC_ARENA_MAX": "2",
            "PYTHONPATH": "/box",  # not for the program, which is isolated, but for workers that it may start (joblib)
            "LOKY_MAX_CPU_COUNT": str(cpus),
            **threads,
        }
        return Program(self.work, folder.main, folder.arguments, environment)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a program must leave, by name (none: whatever it likes), and how many files it may."""

    declared: tuple[str, ...]
    most: int

    @classmethod
    def of(cls, folder: Folder, declared: tuple[str, ...] = ()) -> Rules:
        """Return the rules of a job with these outputs, or of a trial, whose folder names them."""
        named = declared or folder.outputs.names
        return cls(named, MOST_OUTPUTS if named else folder.outputs.files)


def warm(_: Limits) -> None:
    """Close this process to its future child, before there is a plan or a key."""
    alone.close_up()


def run(session: Session) -> dict[str, Any]:
    """Run the stage's folder.

    Returns:
        nothing for a program that may have seen data; what came of it for a trial.

    Raises:
        BoxFailure: `python.failed`, `python.memory`, `python.time`, `python.inputs`, `python.outputs`,
            `python.absent`, `python.undeclared`, `python.unfenced`.
        Malformed: the plan's material is no folder, or no trial.
    """
    if session.plan.kind is PlanKind.TRIAL:
        return tried(session, Trial.decode(session.plan.material.encode())).plain()
    job(session, Folder.decode(session.plan.material.encode()))
    return {}


def tried(session: Session, trial: Trial) -> TrialReport:
    """Run a trial on its twin and return everything about it."""
    places = Places.make(session.temp, trial.folder)
    _make_tables(trial, places.data)
    feeding = Feeding.of_files(places.data)
    ended = alone.run(places.program(trial.folder, _spec(session).limits.cpus), feeding)
    try:
        left = _gathered(_spec(session), Rules.of(trial.folder), places.out, ended.log)
    except BoxFailure as failure:
        told = " ".join(str(failure.facts[name]) for name in ("rule", "artifact") if name in failure.facts)
        code, text = ended.code or failure.code, ended.text or told
        return _report(ended, code, text, ())
    listed = tuple(
        Left(name.removeprefix(FILES), len(content)) for name, content in sorted(left.items()) if name != LOG
    )
    return _report(ended, ended.code, ended.text, listed)


def job(session: Session, folder: Folder) -> None:
    """Run a task's folder on the tables that come over its links.

    Raises:
        BoxFailure: as `run`.
        Malformed: the folder is started in another way than the task says.
    """
    if session.plan.request is None:
        raise Malformed("a job has a request", "plan")
    task = task_of(session.plan.request)
    if not isinstance(task, PythonTask) or (task.main, task.arguments) != (folder.main, folder.arguments):
        raise Malformed("the folder is started in another way than its task says", "plan.material")
    if {model.name for model in task.models} != set(session.keys.models):
        raise Malformed("the kept models are not those that the task names", "box keys")
    places = Places.make(session.temp, folder)
    places.lay_models(session.keys.models)
    work(session, folder, places, tuple(artifact.name for artifact in task.artifacts))


def work(
    session: Session, folder: Folder, places: Places | None = None, declared: tuple[str, ...] = ()
) -> None:
    """Run a folder on its tables, and seal what it leaves."""
    places = places or Places.make(session.temp, folder)
    feeding = Feeding.of_links(session) if session.links else Feeding.of_files(places.data)
    ended = alone.run(places.program(folder, _spec(session).limits.cpus), feeding)
    if ended.code:
        place = ended.place
        raise BoxFailure(ended.code, **(place.plain() if place else {}))
    rules = Rules.of(folder, declared)
    left = _gathered(_spec(session), rules, places.out, ended.log)
    session.write(OUTPUT, leavings.pack(left))


def _make_tables(trial: Trial, folder: Path) -> None:
    """Make the twins in a process of their own, so that the engine's memory is gone when the program begins.

    Raises:
        BoxFailure: they do not fit into the box.
    """
    if not trial.tables:
        return
    child = os.fork()
    if child == 0:
        status = 1
        try:
            importlib.import_module("inside.twin").make(trial, folder)
            status = 0
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        raise BoxFailure(alone.MEMORY)


def _gathered(spec: BoxSpec, rules: Rules, out: Path, log: str) -> dict[str, bytes]:
    """Return what was left, and the log; both together, packed and padded, within the plan's limit of output.

    Raises:
        BoxFailure: `python.outputs`; `python.absent` and `python.undeclared` name the file to the owner's launcher.
    """
    most = spec.limits.output_mb * _MIB
    found = leavings.gather(str(out), Outputs(rules.most), most)
    for name in sorted(set(rules.declared) - set(found)):
        raise BoxFailure(ABSENT, artifact=name, rule="a declared output was not left")
    for name in sorted(set(found) - set(rules.declared)) if rules.declared else ():
        raise BoxFailure(UNDECLARED, artifact=name, rule="a file was left that is not declared")
    files = {**{FILES + name: content for name, content in found.items()}, LOG: log.encode()}
    if padded_size(leavings.packed_size(files)) + SEALING > most:
        raise BoxFailure("python.outputs", rule="the outputs are larger than the plan allows")
    return files


def _report(ended: Ended, code: str, text: str, left: tuple[Left, ...]) -> TrialReport:
    return TrialReport(code, ended.place, text[-LONGEST_TEXT:], ended.log, left)


def _spec(session: Session) -> BoxSpec:
    return session.plan.stage(Entry.PYTHON)
