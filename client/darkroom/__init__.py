"""What members import and type: `import darkroom`, and the `darkroom` command.

    import darkroom

    darkroom.datasets()                                     # what there is
    darkroom.describe("nm/tax/income")                      # its columns
    darkroom.sample("nm/tax/income")                        # look-alike rows

    ask = "select region, count(*) as n from tax.income group by region"
    darkroom.sql(ask, on="twin").result().to_pandas()       # look-alike: at once, and nothing is spent
    job = darkroom.sql(ask, on="real", project="housing", purpose="Study of rents")
    job.explain(); job.result().plot()                      # real: what the owner's rules let leave

    darkroom.submit("study", on="twin").logs()              # a folder of Python, or a function
    darkroom.component("describe", {"columns": ["income"], "by": "league"}, ["tax.income"], on="real")

It makes and keeps the member's own signing and opening keys, shows what is to be signed before it is signed,
and verifies a release before opening it. Displaying an object never runs, fetches or spends anything.

Importing it imports nothing heavy: what a function needs comes with its first call.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from darkroom.house import ShadowedError, require_own

require_own()

from darkroom.job import Job  # noqa: E402 - before the function `job`, which has the name of that module
from plans.errors import DarkroomError  # noqa: E402 - only after the look at whose `plans` this is

if TYPE_CHECKING:
    from datetime import date

    from darkroom.advice import try_it
    from darkroom.chart import Chart
    from darkroom.connection import Connection, connect
    from darkroom.either import Work
    from darkroom.files import Files
    from darkroom.joint_job import JointJob
    from darkroom.joint_result import JointResult
    from darkroom.listing import (
        Application,
        Applications,
        Budget,
        Components,
        Datasets,
        Description,
        Grants,
        Jobs,
        Packages,
    )
    from darkroom.notebook import job_from
    from darkroom.options import About, OfComponent, OfJoint, OfSql, OfWork
    from darkroom.result import Result
    from darkroom.tabular import SUPPRESSED
    from darkroom.tracebacks import last_traceback, short_tracebacks
    from darkroom.trusting import trust
    from darkroom.twin_check import TwinCheck, WouldLeave
    from darkroom.twin_files import TwinFiles
    from darkroom.twin_program import batches, model, out, parameters, table, tables
    from darkroom.twin_result import Sample, TwinJob, TwinResult
    from darkroom.twin_run import TwinRun
    from darkroom.unlocking import make_keys, unlock
    from plans.trial import TrialReport

__all__ = [
    "SUPPRESSED",
    "Chart",
    "Connection",
    "DarkroomError",
    "Files",
    "Job",
    "JointJob",
    "JointResult",
    "Result",
    "Sample",
    "ShadowedError",
    "TrialReport",
    "TwinCheck",
    "TwinFiles",
    "TwinJob",
    "TwinResult",
    "TwinRun",
    "WouldLeave",
    "applications",
    "apply",
    "attempt",
    "batches",
    "budget",
    "component",
    "components",
    "connect",
    "datasets",
    "describe",
    "grants",
    "job",
    "job_from",
    "jobs",
    "joint",
    "last_traceback",
    "make_keys",
    "model",
    "out",
    "packages",
    "parameters",
    "run",
    "sample",
    "short_tracebacks",
    "sql",
    "submit",
    "table",
    "tables",
    "trust",
    "try_it",
    "unlock",
    "use",
]

_LATER = {
    "SUPPRESSED": "darkroom.tabular",
    "Chart": "darkroom.chart",
    "Connection": "darkroom.connection",
    "Files": "darkroom.files",
    "JointJob": "darkroom.joint_job",
    "JointResult": "darkroom.joint_result",
    "Result": "darkroom.result",
    "Sample": "darkroom.twin_result",
    "TrialReport": "plans.trial",
    "TwinCheck": "darkroom.twin_check",
    "TwinFiles": "darkroom.twin_files",
    "TwinJob": "darkroom.twin_result",
    "TwinResult": "darkroom.twin_result",
    "TwinRun": "darkroom.twin_run",
    "WouldLeave": "darkroom.twin_check",
    "batches": "darkroom.twin_program",
    "connect": "darkroom.connection",
    "job_from": "darkroom.notebook",
    "last_traceback": "darkroom.tracebacks",
    "load_ipython_extension": "darkroom.comfort",
    "make_keys": "darkroom.unlocking",
    "model": "darkroom.twin_program",
    "out": "darkroom.twin_program",
    "parameters": "darkroom.twin_program",
    "short_tracebacks": "darkroom.tracebacks",
    "table": "darkroom.twin_program",
    "tables": "darkroom.twin_program",
    "trust": "darkroom.trusting",
    "try_it": "darkroom.advice",
    "unload_ipython_extension": "darkroom.comfort",
    "unlock": "darkroom.unlocking",
}
"""Names that come with their module when they are first used."""


def __getattr__(name: str) -> Any:
    """Import what is used for the first time (PEP 562)."""
    where = _LATER.get(name)
    if where is None:
        raise AttributeError(f"module 'darkroom' has no attribute {name!r}{_near(name)}")
    found = getattr(importlib.import_module(where), name)
    globals()[name] = found
    return found


def _near(name: str) -> str:
    """Return which name was meant, as Python says it of modules, and IPython and older Pythons do not."""
    if name.startswith("_") or (Path(__file__).parent / f"{name}.py").exists():
        return ""  # `from darkroom import module` asks here first
    from difflib import get_close_matches

    near = get_close_matches(name.lower(), [each for each in __all__ if each.islower()], 1)
    return f". Did you mean: {near[0]!r}?" if near else ""


def __dir__() -> list[str]:
    return sorted(__all__)


def _default() -> Connection:
    """Return this session's connection, made on first use."""
    from darkroom.session import connection

    return connection()


def use(
    *, on: str | None = None, project: str | None = None, purpose: str | None = None, lang: str | None = None
) -> None:
    """Choose for this session what calls need not say: on which data (`twin` or `real`), for which project and purpose,
    and in which language displays speak (`en` or `zh`). What a call says itself goes before; an empty text takes a
    choice back.

    >>> use(on="twin", project="housing", purpose="Study of rents")
    >>> use(on="", project="", purpose="")

    Raises:
        Malformed: `on` is neither `twin` nor `real`, or there is no such language.
    """
    from darkroom.local import choose

    choose(on, project, purpose)
    if lang is not None:
        from darkroom.display_words import use_language

        use_language(lang)


def datasets() -> Datasets:
    """Return every dataset: id, name in SQL, title, grade, owner, version.

    >>> [each["relation"] for each in datasets()]
    ['tax.income']
    """
    return _default().datasets()


def describe(dataset: str) -> Description:
    """Return one dataset with its columns: type, unit, kind.

    >>> describe("nm/tax/income")["columns"][2]["unit"]
    'yuan'

    Raises:
        NotFound: there is none of this id.
    """
    return _default().describe(dataset)


def sample(dataset: str, rows: int = 20) -> Sample:
    """Return some look-alike rows of a dataset; they are made here, of a recipe that its owner signed.

    >>> sample("nm/tax/income", rows=3).columns
    ('person', 'region', 'income', 'birth_year')

    Raises:
        NotFound: there is no such dataset, or its owner has released no twin of it.
        DarkroomError: as `sql` on look-alike data.
    """
    return _default().sample(dataset, rows)


def apply(  # noqa: PLR0913 - each is a thing that an application says
    dataset: str,
    columns: Sequence[str] | str,
    purpose: str = "",
    *,
    project: str = "",
    until: str | date,
    uses: int = 100,
    role: str = "",
) -> Application:
    """Apply for columns of a dataset, until the end of the day `until` (a date, or `YYYY-MM-DD`; UTC), for at most
    `uses` plans. Purpose and project are those that `use` chose, or the lab's, where they are left out. Where the very
    same application of yours still waits, that one is returned.

    Raises:
        NotFound: there is no such dataset.
        NotAllowed: this is a lab, which cannot apply; the error has the portal's page with everything filled in.
        DarkroomError: what the portal says.
    """
    from darkroom.local import project_and_purpose

    project, purpose = project_and_purpose(project, purpose)
    return _default().apply(dataset, columns, purpose, project=project, until=until, uses=uses, role=role)


def applications() -> Applications:
    """Return the member's own applications, and for an approver those that wait for a decision."""
    return _default().applications()


def grants() -> Grants:
    """Return the grants that serve this member; for an approver, those of the domain."""
    return _default().grants()


def budget() -> Budget:
    """Return what is left of this member's grants, as far as the centre knows: how many plans, on what, until when."""
    return _default().budget()


@overload
def sql(statement: str, *, on: Literal["real"], **options: Unpack[OfSql]) -> Job[Result]: ...
@overload
def sql(statement: str, *, on: Literal["twin"], **options: Unpack[OfSql]) -> TwinJob: ...
@overload
def sql(statement: str, *, on: str = "", **options: Unpack[OfSql]) -> Job[Result] | TwinJob: ...
def sql(
    statement: str, *, on: str = "", project: str = "", purpose: str = "", spend_micro: int = 0
) -> Job | TwinJob:
    """Run a statement on look-alike data (`on="twin"`), or submit it to be run on the real ones (`on="real"`), and
    return its job at once. Outside a lab, what does not say `on` is about the real data; in a lab it has to be said,
    here or by `use`.

    >>> sql("select count(*) as n from tax.income", on="twin").result().rows
    [(1000,)]

    Raises:
        Malformed: it is not said on which data, for which project or for which purpose.
        DarkroomError: what the portal says, or on look-alike data the engine.
    """
    return _default().sql(statement, on=on, project=project, purpose=purpose, spend_micro=spend_micro)


@overload
def submit(work: Work, *, on: Literal["real"], **options: Unpack[OfWork]) -> Job[Files]: ...
@overload
def submit(work: Work, *, on: Literal["twin"], **options: Unpack[OfWork]) -> TwinRun: ...
@overload
def submit(work: Work, *, on: str = "", **options: Unpack[OfWork]) -> Job[Files] | TwinRun: ...
def submit(  # noqa: PLR0913 - what a darkroom.toml says, for a function that has none
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
    """Run a folder of Python or a function here on look-alike data (`on="twin"`), or submit it to be run beside the
    real ones (`on="real"`), and return its job. For a function, `tables`, `outputs` and `arguments` say what a folder's
    `darkroom.toml` says (docs/jobs.md); it uses what it imports itself and its parameters, and nothing else.

    Raises:
        NotFound, Malformed, TooLarge: what is not right with it, and where.
        DarkroomError: what the portal says.
    """
    return _default().submit(
        work,
        on=on,
        project=project,
        purpose=purpose,
        tables=tables,
        outputs=outputs,
        arguments=arguments,
        image=image,
    )


def run(folder: Path | str, *, project: str = "", purpose: str = "") -> Job[Files]:
    """Submit a folder of Python: `submit(folder, on="real")`."""
    return _default().run(folder, project=project, purpose=purpose)


def attempt(folder: Path | str) -> TrialReport:
    """Try a folder of Python at the owner's launcher, beside the data and on look-alike rows; wait, and return all that
    happened. A job's failure is compared with this trial. While you write, `submit(folder, on="twin")` is quicker: it
    runs here and gives the outputs.
    """
    return _default().attempt(folder)


def components() -> Components:
    """Return the algorithm library: each component's description, its parameters and what leaves."""
    return _default().components()


@overload
def component(
    name: str,
    parameters: Mapping[str, Any],
    tables: Sequence[str],
    *,
    on: Literal["real"],
    **options: Unpack[About],
) -> Job[Files]: ...
@overload
def component(
    name: str,
    parameters: Mapping[str, Any],
    tables: Sequence[str],
    *,
    on: Literal["real"],
    **options: Unpack[OfComponent],
) -> Job: ...
@overload
def component(
    name: str,
    parameters: Mapping[str, Any],
    tables: Sequence[str],
    *,
    on: Literal["twin"],
    **options: Unpack[OfComponent],
) -> TwinCheck: ...
@overload
def component(
    name: str,
    parameters: Mapping[str, Any],
    tables: Sequence[str],
    *,
    on: str = "",
    **options: Unpack[OfComponent],
) -> Job | TwinCheck: ...
def component(  # noqa: PLR0913 - what a task of the library says
    name: str,
    parameters: Mapping[str, object],
    tables: Sequence[str],
    *,
    project: str = "",
    purpose: str = "",
    statement: str = "",
    on: str = "",
) -> Job | TwinCheck:
    """Submit a component of the algorithm library with these parameters on these tables, on real data; on look-alike
    data its parameters and columns are checked, nothing runs, and the result says what would leave.

    Raises:
        Malformed: it is asked as a statement, which the member has not given; the error says which.
        NotFound: on look-alike data: a table has no such column.
        DarkroomError: what the portal says; of a wrong parameter, what it may be.
    """
    return _default().component(
        name, parameters, tables, project=project, purpose=purpose, statement=statement, on=on
    )


@overload
def joint(statement: str, *, on: Literal["real"], **options: Unpack[OfJoint]) -> JointJob: ...
@overload
def joint(statement: str, *, on: Literal["twin"], **options: Unpack[OfJoint]) -> TwinJob: ...
@overload
def joint(statement: str, *, on: str = "", **options: Unpack[OfJoint]) -> JointJob | TwinJob: ...
def joint(  # noqa: PLR0913 - who computes, said by name
    statement: str,
    *,
    on: str = "",
    project: str = "",
    purpose: str = "",
    servers: Sequence[str] = (),
    helper: str = "",
    inspector: str = "",
    finder: str = "",
    collector: str = "",
) -> JointJob | TwinJob:
    """Ask several owners one statement, which waits for the approval of every party; or run it on their look-alike
    data, which join by `person`. Who is named for what: docs/joint-sql.md.

    Raises:
        Malformed: parties are missing, or some have no part in it; or it is not said on which data.
        DarkroomError: what the portal says, or on look-alike data the engine.
    """
    from darkroom.joint_task import Named

    named = Named(tuple(servers), helper, inspector, finder, collector)
    return _default().joint_sql(statement, named, on=on, project=project, purpose=purpose)


def job(number: str) -> Job:
    """Return one of the member's jobs.

    Raises:
        NotFound: there is none, or it is not this member's.
    """
    return _default().job(number)


def jobs() -> Jobs:
    """Return the member's jobs, newest first.

    >>> jobs()
    []
    """
    return _default().jobs()


def packages() -> Packages:
    """Return the images that a program may run in, each with the modules that can be imported there."""
    return _default().packages()
