"""An owner derives its own part of a joint plan again: reading, decision, relation, terms (ATTACKS 72, 78). Pure.

The joint statement, and the stand-in on which the own decision rests, are read in the owner's own checker box. What
other owners decided is theirs: their keepers derive it as this one does, and it says nothing about the own data.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.joint_quota import Column, columns
from keeper.trust import TrustedSet
from mpc import api as mpc
from plans.decision import Decision, Outcome
from plans.errors import NotFound, PolicyDenied, RederivationMismatch, StateConflict
from plans.joint import JointPlan, JointReading, PortionDecision
from plans.joint_rules import JointRules
from plans.joint_shadows import JointShadow
from plans.manifest import Manifest
from plans.plan import Relation
from plans.reading import Reading, Shadow
from plans.statements import Duty
from policies import api as policies


@dataclass(frozen=True, slots=True)
class OwnReading:
    """What the own checker box finds: in the joint statement, and in the own stand-in on the own shadows."""

    joint: JointReading
    stand_in: Reading
    shadows: tuple[Shadow, ...]


@dataclass(frozen=True, slots=True)
class OwnPart:
    """The own part of a joint plan, as this owner derives it: the place of its portion, and what its keys rest on."""

    place: int
    dataset: str
    relation: Relation
    rules: JointRules
    grants: tuple[str, ...]
    manifest: str
    columns: tuple[Column, ...]

    @property
    def rests_on(self) -> tuple[str, ...]:
        """Digests of the grants and of the dataset version that must stand while the boxes run."""
        return (*self.grants, self.manifest)


def own_part(joint: JointPlan, read: OwnReading, trusted: TrustedSet, now: int) -> OwnPart:
    """Return the own part of a joint plan, if the plan says of it exactly what this owner derives.

    Raises:
        StateConflict: a dataset, a policy or a grant changed while it was read.
        PolicyDenied: the own decision is no, or the own terms do not allow this matching or opening.
        RederivationMismatch: it is yes, but the plan says something else.
    """
    place = joint.owns(trusted.domain)
    if place is None:
        raise RederivationMismatch("the plan has no portion of this owner", "joint-plan.portions")
    if joint.reading != read.joint:
        raise RederivationMismatch("the plan's reading is not what the owner's own readers find", "reading")
    case = _case(joint, read, trusted, now)
    decision = policies.decide(case)
    if decision.outcome is Outcome.DENY:
        told = ", ".join(sorted({reason.rule for reason in decision.reasons}))
        raise PolicyDenied(f"the owner's own decision is no: {told}", "keeper")
    manifest, rules = _terms(joint, place, trusted)
    mpc.require_terms(joint, rules, trusted.domain)
    mpc.require_own_shadow(joint, _likeness(case, manifest))
    relation = _relation(case, joint.reading.portions[place].relation)
    _require_said(joint.decisions[place], decision, relation, manifest)
    assert decision.obligations is not None, "a decision that is no denial has obligations"
    resting = columns(joint, place, read.stand_in, manifest, decision.obligations.checks)
    return OwnPart(place, manifest.dataset, relation, rules, decision.grants, manifest.digest, resting)


def _case(joint: JointPlan, read: OwnReading, trusted: TrustedSet, now: int) -> policies.Case:
    roster, bundle = trusted.in_force()
    manifests, grants = trusted.current_manifests(), trusted.granted(joint.request.digest)
    if read.shadows != policies.shadows(joint.request, bundle, manifests, grants, now):
        raise StateConflict(
            "a dataset, a policy or a grant changed while the statement was read",
            "keeper",
            "Order the attempt again; a new version of a dataset needs a new plan.",
        )
    return policies.Case(
        request=joint.request,
        reading=read.stand_in,
        bundle=bundle,
        manifests=manifests,
        grants=grants,
        approvers=roster.named(Duty.APPROVER),
        now=now,
        roster_number=roster.number,
    )


def _terms(joint: JointPlan, place: int, trusted: TrustedSet) -> tuple[Manifest, JointRules]:
    """Return the current version of the own relation, and the terms of its policy; that they are kept is decided."""
    relation = joint.reading.portions[place].relation
    manifest = next((m for m in trusted.current_manifests() if m.relation == relation), None)
    if manifest is None:
        raise NotFound("there is no current version of a relation that the plan names", relation)
    policy = trusted.in_force()[1].policy(manifest.dataset)
    if policy is None or policy.joint is None:
        raise PolicyDenied("the owner's policy has no terms for joint computations", manifest.dataset)
    return manifest, policy.joint


def _likeness(case: policies.Case, manifest: Manifest) -> JointShadow:
    """Return the likeness of the own relation on which this asker's statements are read now."""
    seen = policies.views(case.request, case.bundle, case.manifests, case.index, case.now)
    for each in seen:
        if each.shadow.relation == manifest.relation:
            masked = [mask.column for mask in each.masks]
            found = mpc.joint_shadow(manifest, each.shadow, masked)
            if found is not None:
                return found
    raise NotFound(
        "data about persons take part by their file of identifiers, and there is none", manifest.dataset
    )


def _relation(case: policies.Case, name: str) -> Relation:
    for relation in policies.program_of(case).relations:
        if relation.name == name and len(case.relations) == 1:
            return relation
    raise RederivationMismatch("the own stand-in is about other relations than the portion", "stand_in")


def _require_said(said: PortionDecision, decision: Decision, relation: Relation, manifest: Manifest) -> None:
    """Check what the plan says of the own portion, byte for byte."""
    if said.decision.canonical() != decision.canonical():
        raise RederivationMismatch("the plan's decision is not the one that the owner derives", "decision")
    if said.relation.canonical() != relation.canonical():
        raise RederivationMismatch("the plan's relation is not the one that the owner derives", "relation")
    name, sha256 = mpc.identifiers_file(manifest)
    files = tuple(filter(None, (manifest.attributes.name, name)))  # a model is about nobody
    if (said.identifiers, said.files) != (sha256, files):
        raise RederivationMismatch("the plan names other files than those of the own version", "files")
