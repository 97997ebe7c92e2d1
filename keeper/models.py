"""Models that stay: fitted models that are held here, and which a later task may score with in a box.

A model that a job leaves is held for reviewers. Whether they let it out or not, it stays where it is, under this
keeper's keys, and a task of the same project may name it (`policies.kept` decides). Then the keeper opens it, checks
that it is what the plan's verdict committed to, and seals it, with the keys of the stage, to the one box that the
member's program runs in. No carrier has a key of it, and nothing of it is written anywhere else.

A model goes with the data: when a version is erased to which it was fitted, it is removed, and so is every model
and every held output that was made with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from keeper.held import HeldNote, HeldOutputs
from plans import canonical
from plans.artifacts import ReleasedSet
from plans.box import Entry
from plans.errors import EvidenceBroken, NotFound, TooLarge
from plans.plan import Plan
from plans.request import Request
from plans.tasks import LARGEST_MODELS, KeptModel, models_of
from policies import api as policies

DELETED = "model-deleted"
"""The entry of the journal that says that the owner deleted what a plan had left."""


def plans_behind(held: HeldOutputs, request: Request) -> tuple[policies.KeptPlan, ...]:
    """Return the plans of the kept models that a request names, those that are held here."""
    notes = (held.find(digest) for digest in sorted({model.plan for model in models_of(request)}))
    return tuple(policies.KeptPlan(note.plan, note.verdict.content) for note in notes if note is not None)


def contents(held: HeldOutputs, plan: Plan, stage: Entry) -> dict[str, str]:
    """Return the models that a box of a plan gets, in base64, by the names by which its program calls them: all that
    the task names for the box that runs it, none for any other.

    Raises:
        NotFound: one is not held any more.
        EvidenceBroken: it is not what was judged.
        TooLarge: together they are more than a box is given.
    """
    if stage is not Entry.PYTHON:
        return {}
    found = {model.name: _content(held, model) for model in models_of(plan.request)}
    if sum(map(len, found.values())) * 3 // 4 > LARGEST_MODELS:
        raise TooLarge(
            f"the kept models of the task have more than {LARGEST_MODELS // 2**20} MiB together",
            "task.models",
            "Name fewer, or fit a smaller one.",
        )
    return found


def _content(held: HeldOutputs, model: KeptModel) -> str:
    shown = held.shown(model.plan)
    committed = held.get(model.plan).verdict.content
    if canonical.digest_bytes(ReleasedSet.KIND, shown) != model.content or committed != model.content:
        raise EvidenceBroken("a kept model is not what was judged", model.name)
    for artifact in ReleasedSet.decode(shown).artifacts:
        if artifact.name == model.artifact:
            return artifact.content
    raise NotFound("the plan has left no such model", model.artifact, "List them: darkroom models")


def made_of(plan: Plan, held: HeldOutputs) -> frozenset[str]:
    """Return the manifests, by digest, of all dataset versions that a plan's outputs depend on: those that it reads,
    and those behind the kept models that it uses.
    """
    found = {relation.manifest for relation in (plan.program.relations if plan.program else ())}
    for model in models_of(plan.request):
        note = held.find(model.plan)
        found |= made_of(note.plan, held) if note is not None else set()
    return frozenset(found)


def made_with(notes: Iterable[HeldNote], manifest: str) -> frozenset[str]:
    """Return the plans, by digest, whose held outputs depend on a dataset version, through models too."""
    gone: set[str] = set()
    notes = tuple(notes)
    before = -1
    while len(gone) > before:
        before = len(gone)
        gone |= {note.plan.digest for note in notes if _depends(note.plan, manifest, gone)}
    return frozenset(gone)


def _depends(plan: Plan, manifest: str, gone: set[str]) -> bool:
    read = {relation.manifest for relation in (plan.program.relations if plan.program else ())}
    return manifest in read or any(model.plan in gone for model in models_of(plan.request))


def listed(held: HeldOutputs) -> list[dict[str, Any]]:
    """Return the kept models, the oldest first: whose, for what, since when, fitted to which tables. No content."""
    found = []
    for note in held.all():
        for name in policies.models_left(note.plan):
            request, program = note.plan.request, note.plan.program
            found.append(
                {
                    "plan": note.plan.digest,
                    "artifact": name,
                    "member": request.member if request else "",
                    "project": request.project if request else "",
                    "purpose": request.purpose if request else "",
                    "tables": sorted(relation.name for relation in (program.relations if program else ())),
                    "since": note.since,
                }
            )
    return found
