"""What the ledger has to know about a plan: which lineages, which numbers, and what it would take. Pure.

An *exact cell* of a sensitive column is one figure of one row for whose computation the column was used: as its
argument, or to choose, group or join the rows. All figures of a table count, also those that will be withheld: how many
there are, and which are withheld, is an answer too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keeper.ledger_quota import Quota
from plans import canonical
from plans.box import Entry
from plans.checks import Checks, Mode
from plans.errors import Malformed
from plans.manifest import Kind, Manifest
from plans.plan import Plan, PlanKind, Program
from plans.reading import Clause, Level, Reading, Role

CELLS, BITS = "cells", "bits"
"""What quotas are about: `cells/tax.income.income` is a column of a relation, `bits/nm/tax/income` a dataset."""


@dataclass(frozen=True, slots=True)
class Case:
    """A plan as the ledger sees it.

    Members:
        question: what runs, over which versions, under which numbers.
        member, plan: who asks, and for which plan.
        datasets: the lineages about persons that it reads; none: there is nothing to weigh.
        differ, minimum: in how many persons released sets differ, and how many stand behind a figure, at least.
        persons: how many the version of each of them has.
        figures: for each table, how many of its figures rest on each sensitive column.
        quotas: what may leave in a period.
        enterprises: how many stand behind a figure, and in how many released sets differ, at least.
        missing: whether released sets differ so, too, where only missing values tell them apart.
    """

    plan: str
    question: str
    member: str
    datasets: tuple[str, ...]
    differ: int
    minimum: int
    persons: tuple[int, ...]
    figures: tuple[Mapping[str, int], ...]
    quotas: tuple[Quota, ...]
    enterprises: int = 0
    missing: bool = False


def concerns(plan: Plan) -> bool:
    """Return whether the ledger has a say about a plan.

    It has none about rows that their owner shows as they are, about datasets of the mode `private`, whose protection is
    noise, and about data of which nobody is the person.
    """
    obligations = plan.decision.obligations if plan.decision else None
    if plan.program is None or obligations is None:
        return False
    about_persons = any(relation.about_persons for relation in plan.program.relations)
    return about_persons and obligations.mode is Mode.RULES and plan.program.level is not Level.ROWS


def case_of(plan: Plan, reading: Reading, manifests: tuple[Manifest, ...]) -> Case | None:
    """Return what the ledger has to know about a plan, or none where it has no say."""
    request, program, decision = plan.request, plan.program, plan.decision
    if request is None or program is None or decision is None or decision.obligations is None:
        raise Malformed("the plan is not complete", "plan")
    obligations = decision.obligations
    read = [m for m in manifests if m.digest in {relation.manifest for relation in program.relations}]
    about = [manifest for manifest in read if manifest.about_persons]
    if not concerns(plan):
        return None
    sensitive = {f"{m.relation}.{c.name}" for m in read for c in m.columns if c.kind is Kind.SENSITIVE}
    code = plan.kind is PlanKind.PYTHON
    figures = () if code else _figures(program, reading, sensitive)
    datasets = tuple(manifest.dataset for manifest in about)
    return Case(
        plan=plan.digest,
        question=_question(plan, obligations.minimum_group, obligations.checks),
        member=request.member,
        datasets=datasets,
        differ=obligations.checks.differ,
        minimum=obligations.minimum_group,
        persons=tuple(manifest.persons for manifest in about),
        figures=figures,
        quotas=_quotas(obligations.checks, figures, read, datasets if code else ()),
        enterprises=obligations.checks.enterprises,
        missing=obligations.checks.missing,
    )


def weighing_stage(plan: Plan) -> Entry | None:
    """Return the stage whose keys come only after the ledger has said what is kept back."""
    stages = [spec.entry for spec in plan.stages]
    return next((entry for entry in (Entry.PROTECT, Entry.JUDGE, Entry.INSPECT) if entry in stages), None)


def asking_stages(plan: Plan) -> tuple[Entry, ...]:
    """Return the stages whose keys wait for the ledger: also the first, as a failure tells something."""
    weighing = weighing_stage(plan)
    return (plan.reads_data, weighing) if weighing else (plan.reads_data,)


def counting_stage(plan: Plan) -> Entry:
    """Return the stage that leaves the sets of persons."""
    return Entry.QUERY if plan.kind is PlanKind.SQL else Entry.COMPONENT


def _figures(program: Program, reading: Reading, sensitive: set[str]) -> tuple[Mapping[str, int], ...]:
    """Return for each table how many of its figures rest on each sensitive column; one table of a component."""
    used = {
        f"{use.relation}.{use.column}"
        for use in reading.uses
        if program.level is Level.WORK or use.clause is not Clause.AGGREGATE
    }
    chosen = used & sensitive
    if program.level is Level.WORK:
        return (Counter(chosen),)
    found = []
    for table in program.tables:
        counts: Counter[str] = Counter()
        for output in table.outputs:
            if output.role is Role.FIGURE:
                counts.update((set(output.sources) & sensitive) | chosen)
        found.append(counts)
    return tuple(found)


def _quotas(
    checks: Checks,
    figures: tuple[Mapping[str, int], ...],
    read: Sequence[Manifest],
    datasets: tuple[str, ...],
) -> tuple[Quota, ...]:
    """Return the quotas that a plan draws on; those of columns by how many persons the version has that it reads."""
    columns = {column for table in figures for column in table}
    cells = [
        Quota(f"{CELLS}/{m.relation}.{c.name}", checks.cells_of(m.persons), checks.period_days)
        for m in sorted(read, key=lambda manifest: manifest.relation)
        for c in sorted(m.columns, key=lambda column: column.name)
        if f"{m.relation}.{c.name}" in columns
    ]
    bits = [Quota(f"{BITS}/{dataset}", checks.code_bits_period, checks.period_days) for dataset in datasets]
    return (*cells, *bits)


def _question(plan: Plan, minimum: int, checks: Checks) -> str:
    """Return the digest of what runs; two members who ask the same have the same, whatever the plan's other parts."""
    assert plan.program is not None and plan.request is not None
    task = "" if plan.kind is PlanKind.SQL else plan.request.statement
    numbers: dict[str, canonical.Plain] = {"minimum": minimum, "differ": checks.differ}
    if checks.enterprises:
        numbers["enterprises"] = checks.enterprises
    if checks.missing:
        numbers["missing"] = True
    return canonical.digest("question", {"program": plan.program.plain(), "task": task, **numbers})
