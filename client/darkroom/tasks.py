"""What a connection can ask about code: run a folder or a component, try a folder, read one that waits for approval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from darkroom import signing, taken
from darkroom.listing import Components
from darkroom.wire import Wire, listed, segment
from keys import api as keys
from plans.asking import Asking
from plans.asking import statement as as_statement
from plans.errors import HashMismatch, Malformed
from plans.plan import Plan
from plans.record import Record
from plans.request import Request, RequestKind
from plans.tasks import ComponentTask, PythonTask, task_of
from plans.trial import Folder, TrialReport

if TYPE_CHECKING:
    from darkroom.files import Files
    from darkroom.job import Job
    from darkroom.twin_trial import TrialJob


@dataclass(frozen=True, slots=True)
class Reviewed(Record):
    """A folder that waits to be approved, the newest one of the same member that was, and its trial's outcome."""

    KIND: ClassVar[str] = "code"

    folder: Folder
    before: Folder | None
    trial: TrialReport | None


class Tasks:
    """The part of a connection that is about code."""

    _wire: Wire

    if TYPE_CHECKING:

        def request(self, statement: str, *, project: str, purpose: str, kind: RequestKind) -> Request: ...
        def submit(self, work: Path, *, on: str, project: str = "", purpose: str = "") -> Any: ...
        def trial(self, folder: Path | str) -> TrialJob: ...
        def keys(self) -> keys.MemberKeys: ...
        def dry_run(self, statement: str, *, project: str, purpose: str) -> dict[str, Any]: ...
        def plan(self, number: str) -> Plan: ...

    def images(self) -> list[dict[str, Any]]:
        """Return the images that a task may name: name, digest, stage, and the modules that a program can import."""
        return listed(self._wire.get("/api/v1/images"), "images")

    def models(self) -> list[dict[str, Any]]:
        """Return the kept models of the member's projects: which job left each, and what a task that uses it reads."""
        return listed(self._wire.get("/api/v1/models"), "models")

    def components(self) -> Components:
        """Return the algorithm library: each component's description, its parameters and what leaves."""
        return Components(listed(self._wire.get("/api/v1/components"), "components"))

    def run(self, folder: Path | str, *, project: str = "", purpose: str = "") -> Job[Files]:
        """Submit a folder of Python, as its `darkroom.toml` describes it, and return its job at once: `submit` on real
        data, whatever `darkroom.use` chose.

        Raises:
            NotFound, Malformed, TooLarge: what is not right with the folder, and where.
            DarkroomError: what the portal says.
        """
        found: Job[Files] = self.submit(Path(folder), on="real", project=project, purpose=purpose)
        return found

    def component_request(
        self,
        name: str,
        parameters: Mapping[str, Any],
        tables: Sequence[str],
        *,
        project: str,
        purpose: str,
        statement: str,
    ) -> Request:
        """Return the request for a component, not yet signed: of the task itself, or of the statement that it is asked
        as, if that is the one that the member gives.

        Raises:
            HashMismatch, Malformed, DarkroomError: as `Either.component`.
        """
        task, text = self.component_task(name, parameters, tables)
        if statement != text:
            raise _other_statement(name, text)
        if text:
            return self.request(text, project=project, purpose=purpose, kind=RequestKind.SQL)
        return self.request(
            task.canonical().decode(), project=project, purpose=purpose, kind=RequestKind.COMPONENT
        )

    def asked_as(self, name: str, parameters: Mapping[str, Any], tables: Sequence[str]) -> str:
        """Return the statement that stands for a component where figures leave with noise only (docs/private.md);
        empty if it runs as it is, or cannot be asked so. The portal says which parameters name keys and figures: read
        the statement before it is given to `component`. With `sql` it can be asked at another price.

        Raises:
            HashMismatch, DarkroomError: as `component`.
        """
        return self.component_task(name, parameters, tables)[1]

    def component_task(
        self, name: str, parameters: Mapping[str, Any], tables: Sequence[str]
    ) -> tuple[ComponentTask, str]:
        """Return a component's task, checked against what was asked for, and the statement that it is asked as.

        The portal says which parameters name keys and figures; the statement is made here, of the member's own words.
        What the portal adds to them (defaults) names no column of it. `logistic_regression` is `logistic-regression`.
        """
        name = taken.text(name, "name").replace("_", "-")
        tables = taken.texts(tables, "tables")
        body = {"parameters": dict(parameters), "relations": list(tables)}
        answer = self._wire.post(f"/api/v1/components/{segment(name)}", body)
        task = ComponentTask.read(answer["task"])
        told = {key: task.parameters.get(key) for key in parameters}
        if (task.component, told) != (name, dict(parameters)) or [n.relation for n in task.needs] != list(
            tables
        ):
            raise HashMismatch("the portal made another task than was asked for", name)
        told_asking = answer.get("asking")
        if told_asking is None:
            return task, ""
        return task, as_statement(Asking.read(told_asking), parameters, tables)

    def task_reasons(
        self, task: ComponentTask, statement: str, about: tuple[str, str]
    ) -> list[dict[str, str]]:
        """Return what the owner's rules say of a component's task, or of the `statement` that it is asked as, for this
        project and purpose; none if it would be allowed. It is a dry run.

        Raises:
            DarkroomError: what the portal says.
        """
        project, purpose = about
        if statement:
            return list(self.dry_run(statement, project=project, purpose=purpose)["reasons"])
        text = task.canonical().decode()
        request = self.request(text, project=project, purpose=purpose, kind=RequestKind.COMPONENT)
        body = {"request": request.plain(), "signature": signing.signed_dry_run(request, self.keys().signing)}
        return listed(self._wire.post("/api/v1/dry-runs", body, again=True), "reasons")

    def attempt(self, folder: Path | str, timeout: float = 3_600) -> TrialReport:
        """Try a folder on made-up tables at the owner's launcher, beside the data and without any of them; return all
        that happened. A failure on data is compared with this trial, and with no other run.

        Raises:
            NotFinished: it has not ended within `timeout` seconds; trying again finds the same trial.
        """
        return self.trial(folder).wait(timeout).report()

    def code(self, number: str) -> Reviewed:
        """Return the code of a plan that waits for this approver, checked against the hash that its member signed.

        Raises:
            HashMismatch: the portal shows another folder than the plan names.
        """
        found = Reviewed.read(self._wire.get(f"/api/v1/approvals/{segment(number)}/code"))
        plan = self.plan(number)
        task = task_of(plan.request) if plan.request else None
        if not isinstance(task, PythonTask) or task.folder != found.folder.digest:
            raise HashMismatch("the portal shows another folder than the plan names", f"job {number}")
        return found


def _other_statement(name: str, text: str) -> Malformed:
    """Return the refusal to sign a statement that the member has not given."""
    if not text:
        return Malformed(
            "this component runs as it is here, and stands for no statement",
            f"component {name}",
            "Leave the statement out, or ask it by sql.",
        )
    return Malformed(
        f"figures leave with noise here, so this statement would be signed in place of the component: {text}",
        f"component {name}",
        f"If that is what you ask, pass statement={text!r}.",
    )
