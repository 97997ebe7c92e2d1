"""Kept models: which model that stayed with its owner a task may score with. Pure, and decided on both sides.

A model says something about every row that it was fitted to. So a task uses one only if it might see these rows
itself, today: it names every table and column that the model was fitted to, of the same owner, and its member sees
them filtered and masked just as the model did. All other rules then decide about these columns as about any that a
program reads, and whatever leaves is charged to the datasets behind the model, since the task reads them too.

* `model-unknown`    no such model is kept by this owner for the task's project; another project's is as unknown as none
* `model-purpose`    it was fitted for another purpose
* `model-data`       the task does not read all that it was fitted to, or its member sees it in another way
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plans.artifacts import Form
from plans.constraints import Mask
from plans.decision import Reason
from plans.plan import Plan, Relation
from plans.request import RequestKind
from plans.tasks import KeptModel, models_of, task_of
from policies import sentences
from policies.view import views

if TYPE_CHECKING:
    from policies.decide import Case


@dataclass(frozen=True, slots=True)
class KeptPlan:
    """A plan whose outputs are held, and its verdict's commitment to them."""

    plan: Plan
    content: str


def models_left(plan: Plan) -> tuple[str, ...]:
    """Return the names of the models among the outputs of a plan."""
    if plan.request is None or plan.request.kind is RequestKind.SQL:
        return ()
    return tuple(each.name for each in task_of(plan.request).artifacts if each.form is Form.MODEL)


def kept_reasons(case: Case) -> Iterator[Reason]:
    """Yield why a task may not use the kept models that it names; nothing if it names none."""
    named = models_of(case.request)
    if not named:
        return
    kept = {each.plan.digest: each for each in case.models}
    seen = views(case.request, case.bundle, case.manifests, case.index, case.now)
    masks = {each.shadow.relation: each.masks for each in seen}
    for model in named:
        reason = _reason(case, model, kept.get(model.plan), masks)
        if reason is not None:
            yield reason


def _reason(
    case: Case, model: KeptModel, kept: KeptPlan | None, masks: Mapping[str, tuple[Mask, ...]]
) -> Reason | None:
    request = kept.plan.request if kept else None
    if (
        kept is None
        or request is None
        or kept.plan.domain != case.bundle.domain
        or request.project != case.request.project
        or kept.content != model.content
        or model.artifact not in models_left(kept.plan)
    ):
        return sentences.model_unknown(model)
    if request.purpose != case.request.purpose:
        return sentences.model_purpose(model)
    for relation in kept.plan.program.relations if kept.plan.program else ():
        if not _seen_alike(case, relation, masks.get(relation.name, ())):
            return sentences.model_data(model, relation)
    return None


def _seen_alike(case: Case, relation: Relation, masks: tuple[Mask, ...]) -> bool:
    """Return whether the task reads these columns of a relation, filtered and masked as they were."""
    manifest = case.manifest(relation.name)
    policy = case.bundle.policy(manifest.dataset) if manifest else None
    read = {use.column for use in case.uses(relation.name)}
    same = tuple(mask for mask in masks if mask.column in relation.columns) == relation.masks
    return (
        policy is not None
        and set(relation.columns) <= read
        and policy.row_filter == relation.row_filter
        and same
    )
