"""Trials on made-up tables: the one that belongs to a task, run at the launcher of whoever owns the data.

A trial plan follows from the folder and the catalog alone (`plans.trial.trial_of`), so the launcher runs it once and
answers from its record ever after: asked by its author (`darkroom try`) or before a job meets data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from catalog import api as catalog
from compute.planning import House
from plans.box import Entry
from plans.decision import Tier
from plans.errors import EvidenceBroken, Malformed, NotFound
from plans.manifest import Manifest
from plans.plan import Plan
from plans.statements import Signed, StageRecord
from plans.tasks import Need, PythonTask
from plans.trial import Folder, TrialReport, TwinTable, trial_of
from plans.twins import Twin, narrowed, table_of
from sandbox import api as sandbox
from store import api as store


@dataclass(frozen=True, slots=True)
class Tryout:
    """A trial that can be run: where, its plan, and the digest of the trial."""

    launcher: Path
    plan: Plan
    trial: str

    def report(self, patience_s: float) -> TrialReport:
        """Run the trial, or fetch what came of it.

        Raises:
            Unreachable: it has not ended within this time; it goes on, and asking again finds it.
            BoxLimit, BoxFailed: the box ended without a report.
            EvidenceBroken: the launcher answers about something else.
        """
        launcher = sandbox.LauncherClient(self.launcher)
        launcher.put(self.plan)
        result = launcher.run(self.plan.digest, Entry.PYTHON, 1, timeout_s=patience_s)
        record = StageRecord.read(result.record.statement.body)
        if record.plan != self.plan.digest or record.outputs:
            raise EvidenceBroken("the launcher answered about another trial", "trial")
        return TrialReport.read(dict(record.report))


def tryout(
    database: store.Database, house: House, task: PythonTask, folder: Folder, tier: Tier = Tier.T1
) -> Tryout:
    """Return the trial of a task, at the one owner of its tables.

    Raises:
        NotFound: there is no such table, or no image.
        Malformed: the tables belong to several owners, or one has a column that is not there.
    """
    image = house.furnishing(task).images[Entry.PYTHON]
    with database.reading() as session:
        rows = [_row(session, need) for need in task.needs]
        if len({row.domain for row in rows}) != 1:
            raise Malformed(
                "the tables belong to several owners",
                "task.needs",
                "Code runs beside the data of one owner; joint computation is asked for otherwise.",
            )
        domain = store.domains.get(session, rows[0].domain)
        made = [catalog.released_twin(session, row) for row in rows]
    tables = tuple(_twin(row, need, twin) for row, need, twin in zip(rows, task.needs, made, strict=True))
    trial = trial_of(folder, tables)
    bench = sandbox.Bench(domain.name, image, house.limits[Entry.PYTHON], tier)
    return Tryout(Path(domain.launcher_socket), sandbox.trial_plan(bench, trial), trial.digest)


def _row(session: store.Session, need: Need) -> store.ManifestRow:
    for row in store.manifests.all_current(session):
        if row.relation == need.relation:
            return row
    raise NotFound("there is no such table", need.relation, "`darkroom datasets` lists those that there are.")


def _twin(row: store.ManifestRow, need: Need, twin: Twin | None) -> TwinTable:
    """Return the twin of a table, with the columns that the task names and no other, as it will find them in a job.

    By the owner's recipe, if there is one, a column has the same values whatever else is asked for.
    """
    manifest = Manifest.read(Signed.decode(row.signed.encode()).statement.body)
    whole = table_of(manifest, twin)
    known = {column.name for column in whole.columns}
    if unknown := sorted(set(need.columns) - known):
        raise Malformed(
            f"{need.relation} has no column {unknown[0]!r} that a task may read",
            "task.needs",
            f"`darkroom describe {manifest.dataset}` lists them; identifiers are never among them.",
        )
    return narrowed(whole, tuple(sorted(need.columns)))
