"""What is asked in one way of look-alike and of real data: `on` is the only difference (`darkroom.local`).

on="twin"   here and now: statements, and programs in a process of their own; components are checked. Nothing is
            spent, and no owner is asked
on="real"   a signed request, a job, and what the owner's rules let leave
"""

from __future__ import annotations

import tempfile
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast, overload

from darkroom import folder as folders
from darkroom import taken
from darkroom.job import Job
from darkroom.joint_job import JointJob
from darkroom.joint_task import Named, in_python, task_of
from darkroom.local import On, on_which, project_and_purpose
from darkroom.local_function import write_folder
from darkroom.twin_check import TwinCheck, expected, require_columns
from darkroom.twin_child import built_on
from darkroom.twin_result import TwinJob
from darkroom.twin_run import TwinRun
from darkroom.twin_trial import TrialJob
from darkroom.wire import Wire
from plans import canonical
from plans.errors import Malformed, Unreachable
from plans.joint import JointTask
from plans.request import Request, RequestKind
from plans.tasks import ComponentTask, PythonTask
from plans.trial import Folder

if TYPE_CHECKING:
    import pyarrow

    from darkroom.files import Files
    from darkroom.joint_asking import Joint
    from darkroom.listing import Components
    from darkroom.options import About, OfComponent, OfSql, OfWork
    from darkroom.result import Result
    from darkroom.twin_recipes import KnownTwin

Work = Path | str | Callable[..., object]
"""A folder of Python, or a plain function."""


class Either:
    """The part of a connection that asks, on look-alike or on real data."""

    _wire: Wire

    if TYPE_CHECKING:

        def request(
            self, statement: str, *, project: str, purpose: str, kind: RequestKind = ..., spend_micro: int = 0
        ) -> Request: ...
        def hand_over(self, request: Request, folder: Folder | None = None) -> Job: ...
        def sql_on_twins(
            self, statement: str, *, project: str = "", purpose: str = "", joint: bool = False
        ) -> TwinJob: ...
        def known_twin(self, relation: str) -> KnownTwin: ...
        def twin_table(self, relation: str, columns: Sequence[str] | None = None) -> pyarrow.Table: ...
        def images(self) -> list[dict[str, Any]]: ...
        def components(self) -> Components: ...
        def models(self) -> list[dict[str, Any]]: ...
        def component_request(
            self,
            name: str,
            parameters: Mapping[str, Any],
            tables: Sequence[str],
            *,
            project: str,
            purpose: str,
            statement: str,
        ) -> Request: ...
        def component_task(
            self, name: str, parameters: Mapping[str, Any], tables: Sequence[str]
        ) -> tuple[ComponentTask, str]: ...
        def task_reasons(
            self, task: ComponentTask, statement: str, about: tuple[str, str]
        ) -> list[dict[str, str]]: ...
        def ask_jointly(self, task: JointTask, *, project: str, purpose: str) -> dict[str, Any]: ...

    @overload
    def sql(self, statement: str, *, on: Literal["real"], **options: Unpack[OfSql]) -> Job[Result]: ...
    @overload
    def sql(self, statement: str, *, on: Literal["twin"], **options: Unpack[OfSql]) -> TwinJob: ...
    @overload
    def sql(self, statement: str, *, on: str = "", **options: Unpack[OfSql]) -> Job[Result] | TwinJob: ...
    def sql(
        self, statement: str, *, on: str = "", project: str = "", purpose: str = "", spend_micro: int = 0
    ) -> Job | TwinJob:
        """Run a statement on look-alike data, or submit it to be run on the real ones, and return its job at once.

        Project and purpose are those of the grant; left out, those that `darkroom.use` chose, or the lab's.
        `spend_micro` is how many millionths of rho it may cost where figures leave with noise; 0: the platform's share.

        Raises:
            Malformed: it is not said on which data, for which project or for which purpose.
            TooLarge: the statement is longer than a request may be.
            DarkroomError: what the portal says, or on look-alike data the engine.
        """
        statement = taken.text(statement, "statement")
        if on_which(on) is On.TWIN:
            return self.sql_on_twins(statement, project=project, purpose=purpose)
        project, purpose = project_and_purpose(project, purpose)
        return self.hand_over(
            self.request(statement, project=project, purpose=purpose, spend_micro=spend_micro)
        )

    @overload
    def submit(self, work: Work, *, on: Literal["real"], **options: Unpack[OfWork]) -> Job[Files]: ...
    @overload
    def submit(self, work: Work, *, on: Literal["twin"], **options: Unpack[OfWork]) -> TwinRun: ...
    @overload
    def submit(self, work: Work, *, on: str = "", **options: Unpack[OfWork]) -> Job[Files] | TwinRun: ...
    def submit(  # noqa: PLR0913 - what a darkroom.toml says, for a function that has none
        self,
        work: Work,
        *,
        on: str = "",
        project: str = "",
        purpose: str = "",
        tables: Mapping[str, Sequence[str]] | None = None,
        outputs: Mapping[str, Any] | None = None,
        arguments: Mapping[str, Any] | None = None,
        image: str = "",
    ) -> Job | TwinRun:
        """Run a folder or function here on look-alike data, or submit it to be run beside the real ones; return its
        job.

        A folder has a `darkroom.toml` (docs/jobs.md). For a function the arguments here say the same: `tables` are its
        tables with their columns, `outputs` its files with their forms, `arguments` what it is called with. It uses
        what it imports itself and its parameters, and nothing else of the notebook.

        Raises:
            NotFound, Malformed, TooLarge: what is not right with it, and where.
            DarkroomError: what the portal says.
        """
        which = on_which(on)
        found = self._read(
            work, {"tables": tables, "outputs": outputs, "arguments": arguments, "image": image}
        )
        if which is On.TWIN:
            return self._run_here(found)
        task = found.task(self.images(), self.models() if found.models else ())
        return self.hand_over(
            self._of_task(task, project or found.project, purpose or found.purpose), found.folder
        )

    def trial(self, folder: Path | str) -> TrialJob:
        """Have a folder tried on look-alike data beside the real ones, at the owner's launcher: it is the trial that a
        job's failure is compared with. `submit` on look-alike data runs it here.

        Raises:
            DarkroomError: as `submit`.
        """
        found = folders.read(Path(folder))
        task = replace(found, models={}).task(self.images())
        body = {"task": task.plain(), "folder": found.folder.plain()}
        return TrialJob(
            self._wire, body, f"trial-{found.folder.digest.removeprefix('sha256:')[:15]}"
        ).refresh()

    def _run_here(self, work: folders.Work) -> TwinRun:
        """Start a program here, on the twins of its tables, with the columns that it names and the person token."""
        try:
            told = self._compared(work, self.images())
        except Unreachable as problem:
            told = [f"Imports were not compared with the image: {problem.what}."]
        tables = {need.relation: self.twin_table(need.relation, need.columns) for need in work.needs}
        told += [sentence for relation in tables for sentence in self.known_twin(relation).sentences]
        return TwinRun(work, tables, tuple(told))

    def _compared(self, work: folders.Work, images: list[dict[str, Any]]) -> list[str]:
        """Check that the jobs' image has the modules that a program imports; return what has to be said beside that."""
        image = work.chosen(images)
        if folders.is_gone(image):
            return [
                "Imports were not compared: the jobs' image is not on the platform now: no job would run."
            ]
        replace(work, models={}).task(images)
        below = built_on()
        if below and below != image["digest"]:
            return [
                "Jobs have another image by now than this lab's was built on: stop the lab and start it again to work "
                "with the packages that jobs have."
            ]
        return []

    @overload
    def component(
        self,
        name: str,
        parameters: Mapping[str, Any],
        tables: Sequence[str],
        *,
        on: Literal["real"],
        **options: Unpack[About],
    ) -> Job[Files]: ...
    @overload
    def component(
        self,
        name: str,
        parameters: Mapping[str, Any],
        tables: Sequence[str],
        *,
        on: Literal["real"],
        **options: Unpack[OfComponent],
    ) -> Job: ...
    @overload
    def component(
        self,
        name: str,
        parameters: Mapping[str, Any],
        tables: Sequence[str],
        *,
        on: Literal["twin"],
        **options: Unpack[OfComponent],
    ) -> TwinCheck: ...
    @overload
    def component(
        self,
        name: str,
        parameters: Mapping[str, Any],
        tables: Sequence[str],
        *,
        on: str = "",
        **options: Unpack[OfComponent],
    ) -> Job | TwinCheck: ...
    def component(  # noqa: PLR0913 - what a task of the library says
        self,
        name: str,
        parameters: Mapping[str, Any],
        tables: Sequence[str],
        *,
        project: str = "",
        purpose: str = "",
        statement: str = "",
        on: str = "",
    ) -> Job | TwinCheck:
        """Submit a component of the algorithm library with these parameters on these tables; numbers with a point are
        text ("0.05"). Where figures leave with noise only, it is asked as a statement, if it can be: see `asked_as`.
        That is signed only if it is, letter by letter, the `statement` that the member gives.

        On look-alike data nothing runs, since the library is beside the data alone: parameters and columns are checked,
        and the result says what would leave.

        Raises:
            HashMismatch: the portal made another task of it.
            NotFound: on look-alike data: a table has no such column.
            Malformed: it is asked as a statement, which the member has not given; the error says which.
            DarkroomError: what the portal says; of a wrong parameter, what it may be.
        """
        if on_which(on) is On.TWIN:
            return self._check_here(*self.component_task(name, parameters, tables), (project, purpose))
        project, purpose = project_and_purpose(project, purpose)
        return self.hand_over(
            self.component_request(
                name, parameters, tables, project=project, purpose=purpose, statement=statement
            )
        )

    def _check_here(self, task: ComponentTask, statement: str, about: tuple[str, str]) -> TwinCheck:
        """Return what a component would leave, its columns looked up in the twins of its tables."""
        require_columns(
            task, lambda relation: (each.name for each in self.known_twin(relation).table.visible)
        )
        number = canonical.digest("twin-job", task.plain()).removeprefix("sha256:")[:15]

        def explain() -> list[dict[str, str]]:
            return self.task_reasons(task, statement, project_and_purpose(*about))

        return TwinCheck(f"twin-{number}", expected(task, statement, self.components()), explain)

    @overload
    def joint_sql(
        self, statement: str, named: Named | None = None, *, on: Literal["real"], **options: Unpack[About]
    ) -> JointJob: ...
    @overload
    def joint_sql(
        self, statement: str, named: Named | None = None, *, on: Literal["twin"], **options: Unpack[About]
    ) -> TwinJob: ...
    @overload
    def joint_sql(
        self, statement: str, named: Named | None = None, *, on: str = "", **options: Unpack[About]
    ) -> JointJob | TwinJob: ...
    def joint_sql(
        self,
        statement: str,
        named: Named | None = None,
        *,
        on: str = "",
        project: str = "",
        purpose: str = "",
    ) -> JointJob | TwinJob:
        """Ask several owners one statement, or run it on the look-alike data of all of them, which join by `person`.

        `named` says who computes; look-alike data need nobody.

        Raises:
            Malformed: parties are missing, or some have no part in it; or it is not said on which data.
            DarkroomError: what the portal says, or on look-alike data the engine.
        """
        if on_which(on) is On.TWIN:
            return self.sql_on_twins(statement, project=project, purpose=purpose, joint=True)
        project, purpose = project_and_purpose(project, purpose)
        with in_python():
            task = task_of(statement, named or Named())
        view = self.ask_jointly(task, project=project, purpose=purpose)
        return JointJob(cast("Joint", self), view)

    def _of_task(self, task: PythonTask, project: str, purpose: str) -> Request:
        project, purpose = project_and_purpose(project, purpose)
        return self.request(
            task.canonical().decode(), project=project, purpose=purpose, kind=RequestKind.PYTHON
        )

    def _read(self, work: Work, said: dict[str, Any]) -> folders.Work:
        if isinstance(work, Path | str):
            given = [name for name, value in said.items() if value]
            if given:
                raise Malformed(
                    f"a folder says its {given[0]} itself", str(work), f"Write them into {folders.FILE}."
                )
            return folders.read(Path(work))
        if not isinstance(work, types.FunctionType):
            raise Malformed(
                "what is submitted is a folder or a plain function",
                type(work).__name__,
                "See docs/client.md.",
            )
        for name in ("tables", "outputs"):
            if not said[name]:
                raise Malformed(
                    f"a function does not say its {name} itself",
                    f"function {work.__name__}",
                    _FOR_EXAMPLE[name],
                )
        with tempfile.TemporaryDirectory(prefix="darkroom-") as place:
            write_folder(
                work,
                Path(place),
                tables=said["tables"],
                outputs=said["outputs"],
                arguments=said["arguments"] or {},
                image=said["image"],
            )
            return folders.read(Path(place))


_FOR_EXAMPLE = {
    "tables": 'Give tables={"tax.income": ["region", "income"]}.',
    "outputs": 'Give outputs={"t.csv": {"form": "table", "persons": "n"}}; forms: docs/outputs.md.',
}
