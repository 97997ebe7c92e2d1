"""Re-derivation: the keeper finds the decision and the program itself, and compares bytes (ATTACKS 78).

Pure. The reading comes from the owner's own checker box; everything else from the owner's trusted set. A plan
that claims columns which its SQL does not use, obligations that are missing, another query, another file,
another recipient or a box with fewer walls differs from what is derived here, and is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from keeper.trust import TrustedSet
from keys import api as keys
from plans.box import Entry, Limits
from plans.decision import Decision, Outcome
from plans.errors import Outdated, PolicyDenied, RederivationMismatch, SignatureWrong
from plans.plan import Plan, PlanKind
from plans.reading import Reading
from plans.request import Request
from plans.statements import Duty
from plans.tasks import PythonTask, task_of
from plans.trial import Folder
from policies import api as policies

OLDEST_PLAN_S = 24 * 3600
"""Seconds after which a plan must be made anew; its decision may rest on a grant that has ended since."""


@dataclass(frozen=True, slots=True)
class House:
    """What this owner's side runs: trusted image digests (for tasks by stage) and its limits per box."""

    images: tuple[str, ...]
    limits: Mapping[Entry, Limits]
    work_images: Mapping[Entry, tuple[str, ...]] = field(default_factory=dict)


def require_request(plan: Plan, now: int) -> Request:
    """Return the plan's request if its member signed it and the plan is fresh.

    Raises:
        SignatureWrong: not signed by the key that the request names; a changed recipient or statement shows
            here (ATTACKS 84).
        Outdated: the plan or its request is too old, or from the future.
    """
    request = plan.request
    if request is None:
        raise SignatureWrong("the plan holds no request", "plan")
    keys.verify_request(request.signer, request.canonical(), plan.request_signature)
    for moment in (plan.made_at, request.asked_at):
        if not now - OLDEST_PLAN_S <= moment <= now + 120:
            raise Outdated(
                "the plan is older than a day, or from the future", "plan", "Submit the job again."
            )
    return request


def require_same(
    plan: Plan,
    reading: Reading,
    trusted: TrustedSet,
    house: House,
    now: int,
    kept: tuple[policies.KeptPlan, ...] = (),
) -> tuple[Decision, tuple[str, ...]]:
    """Return the decision, and the approvals it rests on, if the plan is exactly what this owner derives.

    `kept` are the plans behind the models that the request names, those that this owner holds.

    Raises:
        PolicyDenied: this owner's decision is no, or needs an approval that is not there.
        RederivationMismatch: it is yes, but the plan says something else.
    """
    request = require_request(plan, now)
    if plan.domain != trusted.domain:
        raise RederivationMismatch(f"the plan is about {plan.domain}, not {trusted.domain}", "domain")
    case = replace(_case(request, reading, trusted, now), models=kept)
    decision = policies.decide(case)
    if decision.outcome is Outcome.DENY:
        rules = ", ".join(sorted({reason.rule for reason in decision.reasons}))
        raise PolicyDenied(f"the owner's own decision is no: {rules}", "keeper")
    if plan.decision is None or plan.decision.canonical() != decision.canonical():
        raise RederivationMismatch("the plan's decision is not the one that the owner derives", "decision")
    program = policies.program_of(case)
    if plan.program is None or plan.program.canonical() != program.canonical():
        raise RederivationMismatch("the plan's query is not the one that the owner derives", "program")
    if plan.kind is PlanKind.SQL:
        _require_boxes(plan, trusted, house)
    else:
        _require_work(plan, trusted, house)
    if decision.outcome is not Outcome.NEEDS_APPROVAL:
        return decision, ()
    approvals = trusted.approved(plan.digest, request, now)
    if not approvals:
        raise PolicyDenied(
            "the owner approves every plan by itself, and nobody has approved this one", "keeper"
        )
    return decision, approvals


def trust_image(domain: str) -> str:
    """Return what helps where an owner does not trust an image: mostly it was built anew since."""
    return (
        f"Ask the administrator of {domain}'s side, who looks at what was built and, if it may see rows, runs: "
        f"darkroom-server keeper images {domain} --trust"
    )


def _case(request: Request, reading: Reading, trusted: TrustedSet, now: int) -> policies.Case:
    roster, bundle = trusted.in_force()
    return policies.Case(
        request=request,
        reading=reading,
        bundle=bundle,
        manifests=trusted.current_manifests(),
        grants=trusted.granted(request.digest),
        approvers=roster.named(Duty.APPROVER),
        now=now,
        roster_number=roster.number,
    )


def _require_boxes(plan: Plan, trusted: TrustedSet, house: House) -> None:
    image = plan.stages[0].image
    if image not in house.images:
        raise RederivationMismatch(
            "the plan's image is not one that the owner trusts", "image", trust_image(plan.domain)
        )
    if plan.program is None or plan.decision is None or plan.decision.obligations is None:
        raise RederivationMismatch("the plan is not complete", "plan")
    tier = plan.decision.obligations.tier
    manifests = trusted.current_manifests()
    boxes = policies.sql_boxes(plan.program, manifests, image, tier, house.limits)
    if plan.stages != boxes:
        raise RederivationMismatch("the plan's boxes are not the ones that the owner derives", "stages")


def _require_work(plan: Plan, trusted: TrustedSet, house: House) -> None:
    """Check a task's boxes, each on an image that is trusted for its stage, and the folder against its hash."""
    if plan.request is None or plan.program is None or plan.decision is None or not plan.decision.obligations:
        raise RederivationMismatch("the plan is not complete", "plan")
    task = task_of(plan.request)
    images = {spec.entry: spec.image for spec in plan.stages}
    for entry, image in images.items():
        if image not in house.work_images.get(entry, ()):
            raise RederivationMismatch(
                "an image is not one that the owner trusts for its stage",
                entry.value,
                trust_image(plan.domain),
            )
    if images[plan.stages[1].entry] != task.image:
        raise RederivationMismatch("the job's image is not the one that the member signed for", "image")
    if isinstance(task, PythonTask) and Folder.decode(plan.material.encode()).digest != task.folder:
        raise RederivationMismatch("the folder is not the one that the member signed for", "material")
    tier, manifests = plan.decision.obligations.tier, trusted.current_manifests()
    furnishing = policies.Furnishing(images, house.limits)
    if plan.stages != policies.work_boxes(task, plan.program, manifests, tier, furnishing):
        raise RederivationMismatch("the plan's boxes are not the ones that the owner derives", "stages")
