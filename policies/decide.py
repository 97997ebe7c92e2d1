"""The one place that decides: who may run this statement over these datasets, and what a yes demands.

`decide` is a pure function of a `Case`. The centre calls it to tell the member; the owner's keeper calls it
again, on its own bundle, grants and manifests, and that is the answer that counts. Rules, in the order of
their reasons:

* `unknown-relation`   every relation is a current dataset version
* `one-owner`          all of them belong to the domain whose bundle this is (else it is a joint computation)
* `no-policy`          the bundle has a policy for the dataset; empty means refuse
* `share-none`         a dataset of the share type none is used on a legal basis only
* `grant-role`         a grant gives data to roles that ask for data, never to those that approve, audit or administer
* `access`             the owner's access rules let this member, role and purpose do this with the dataset
* `identifier`         no direct identifier is used in any clause
* `column-rules`       the rules about the column do not contradict each other
* `column-use`         they allow the clause, and in aggregates the function
* `column-reveal`      they reveal as much as the clause shows; rows need columns whose values are shown
* `column-noised`      what leaves with noise only is asked of datasets in the mode private
* `after-join`         values that are shown after a join are joined; so are rows of which nothing else is shown
* `no-grant`           a grant fits member, keys, project, purpose and dataset
* `grant-inactive`     such a grant is valid now, not revoked and not used up
* `grant-columns`      it names every column that the statement uses
* `two-modes`        datasets about persons of the mode private and of the mode rules do not go together
* `private-code`     a dataset of the mode private is read by SQL only
* `private-rows`     of datasets in the mode private no row leaves (`policies.private` has this and what follows)
* `private-shape`    an answer is no single table, or a row of it is about several persons
* `private-enterprises`  an owner asks for a number of enterprises, which noise does not give
* `private-figure`   a figure is neither a count of rows or persons, nor a sum or mean
* `private-bounds`   a sum or mean is not of one column with declared bounds
* `private-cells`    the declared values of the keys have too many combinations
* `private-spend`    the request wants to spend more than there is
* `joint-grade`      data that are computed with jointly are graded important or core, or general-4 where the terms
                       let one hand administer parties that open more together (`policies.joint`)
* `joint-terms`      a joint computation is asked for, and the owner has no terms for it
* `joint-matching`   the terms do not accept the matching
* `joint-opening`    they do not accept the opening
* `joint-sizes`      they do not let others learn how many rows match
* `joint-ciphertexts`  they do not have sums added up as ciphertexts, or ask for noise, which these do not get
* `joint-checks`     a rule of the owner cannot be kept in a joint computation
* `model-unknown`    a kept model that a task names is none of this owner's for the project (`policies.kept`)
* `model-purpose`    it was fitted for another purpose
* `model-data`       the task does not read all that it was fitted to, or its member sees it in another way
* `each-plan`          (no failure) the owner approves every plan by itself

All rules speak, not only the first. Nothing here depends on a row: what a refusal says may be told to anyone
who may know that the dataset exists.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from plans import names
from plans.checks import Checks, Mode
from plans.constraints import Action, Share
from plans.decision import Decision, Obligations, Outcome, Reason
from plans.manifest import Manifest
from plans.reading import ColumnUse, Level, Reading
from plans.request import Request, RequestKind
from plans.statements import Bundle, DatasetPolicy, Grant
from policies import access, sentences
from policies.columns import Seat, column_reasons, identifies, minimum, relation_reasons
from policies.constraints import Asker
from policies.grants import Granted, Grants
from policies.joint import checks_reasons, joint_uses, on_ciphertexts, scored, terms_reasons, with_gaps
from policies.kept import KeptPlan, kept_reasons
from policies.private import Asked, masked_columns, private_reasons
from policies.view import fitting_grants, newest_first, standing_grants, views

ASKING_ROLES = ("researcher", "operator")
"""Roles to which a grant can give data. Whoever approves, reviews, stewards, audits or administers reads none."""

ACTIONS = {Level.CELLS: Action.QUERY, Level.ROWS: Action.READ_ROWS, Level.WORK: Action.TRAIN}
"""What a statement or a task does with a dataset as a whole."""


@dataclass(frozen=True, slots=True)
class Case:
    """All that a decision depends on. `approvers` are the members who may approve for the domain, `models` the plans
    behind the kept models that a task names, as far as this side knows them.
    """

    request: Request
    reading: Reading
    bundle: Bundle
    manifests: tuple[Manifest, ...]
    grants: tuple[Granted, ...] | Grants
    approvers: tuple[str, ...]
    now: int
    roster_number: int = 0
    models: tuple[KeptPlan, ...] = ()

    @property
    def index(self) -> Grants:
        """The grants by dataset and member."""
        return self.grants if isinstance(self.grants, Grants) else Grants(self.grants)

    @property
    def action(self) -> Action:
        """What is done with each dataset as a whole."""
        if self.request.kind is not RequestKind.JOINT:
            return ACTIONS[self.reading.level]
        return Action.ENCRYPTED if on_ciphertexts(self.request) else Action.JOINT

    @property
    def actions(self) -> tuple[Action, ...]:
        """All that is done with each dataset: where a joint computation tells values row by row, rows are read, too."""
        rows = self.request.kind is RequestKind.JOINT and self.reading.level is Level.ROWS
        return (self.action, Action.READ_ROWS) if rows else (self.action,)

    @property
    def relations(self) -> tuple[str, ...]:
        """Every relation that the reading lists or uses, each once."""
        read = (use.relation for use in self.reading.uses)
        return tuple(dict.fromkeys((*self.reading.relations, *read)))

    def manifest(self, relation: str) -> Manifest | None:
        """Return the current version that a relation stands for, or none."""
        return next((m for m in self.manifests if m.relation == relation), None)

    def uses(self, relation: str) -> tuple[ColumnUse, ...]:
        """Return what the statement does with the columns of a relation."""
        return tuple(use for use in self.reading.uses if use.relation == relation)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found about one relation: why not, and if nothing speaks against it, what it takes."""

    reasons: tuple[Reason, ...]
    policy: DatasetPolicy | None = None
    granted: Granted | None = None
    minimum: int = 0
    about_persons: bool = True


def decide(case: Case) -> Decision:
    """Return the decision about a case, with every reason for a no."""
    index = case.index
    return _answer(case, tuple(_judge(case, index, relation) for relation in case.relations))


def _judge(case: Case, index: Grants, relation: str) -> Judged:
    manifest = case.manifest(relation)
    policy = case.bundle.policy(manifest.dataset) if manifest else None
    if manifest is None:
        return Judged((sentences.unknown(relation),))
    if names.domain_of(manifest.dataset) != case.bundle.domain:
        return Judged((sentences.foreign(manifest, case.bundle.domain),))
    if policy is None:
        return Judged((sentences.no_policy(manifest),))
    uses = case.uses(relation)
    asker = supposed_asker(case, index, manifest.dataset)
    words, scores = joint_uses(case.request), scored(case.request)
    seat = Seat(manifest, policy, case.bundle, asker, case.manifests, words, scores)
    granted, why_not = _grant_for(case, index, manifest, uses)
    of_columns = (*column_reasons(seat, case.reading, uses), *relation_reasons(seat, case.reading, uses))
    reasons = (*_dataset_reasons(seat, case), *of_columns, *why_not)
    least = 0 if reasons else minimum(seat, case.reading, uses)
    return Judged(reasons, policy, granted, least, manifest.about_persons)


def supposed_asker(case: Case, index: Grants, dataset: str) -> Asker:
    """Return as whom the member asks: in the role of the newest grant that fits, else as a researcher would.

    Without a grant that stands the answer is no; the role only says which further reasons there would be.
    """
    request = case.request
    standing = standing_grants(request, index, dataset, case.now)
    fitting = standing or sorted(fitting_grants(request, index, dataset), key=newest_first)
    role = fitting[0].grant.role if fitting else ASKING_ROLES[0]
    return Asker(request.member, role, request.purpose, case.now)


def _dataset_reasons(seat: Seat, case: Case) -> Iterator[Reason]:
    """Yield what speaks against using the dataset at all, before any column is looked at."""
    policy, asker = seat.policy, seat.asker
    if policy.share is Share.NONE and not policy.basis:
        yield sentences.share_none(policy.dataset)
    if asker.role not in ASKING_ROLES:
        yield sentences.role(policy.dataset, asker.role, ASKING_ROLES)
    for action in case.actions:
        question = access.Question(asker.member, asker.role, asker.purpose, action, policy.dataset, asker.now)
        answer = access.answered(policy, question)
        if not answer.allowed:
            yield sentences.no_access(question, answer.denied_by)
    if policy.mode is Mode.PRIVATE and case.request.kind is not RequestKind.SQL:
        yield sentences.private_code(policy.dataset)
    used = [use.column for use in case.uses(seat.manifest.relation) if use.column != names.PERSON]
    yield from terms_reasons(case.request, seat.manifest, policy, case.bundle, used)


def _grant_for(
    case: Case, index: Grants, manifest: Manifest, uses: tuple[ColumnUse, ...]
) -> tuple[Granted | None, tuple[Reason, ...]]:
    """Return the grant that covers these uses, or the reason why there is none."""
    dataset, relation = manifest.dataset, manifest.relation
    standing = standing_grants(case.request, index, dataset, case.now)
    if not standing:
        fitting = fitting_grants(case.request, index, dataset)
        return None, (sentences.inactive(dataset) if fitting else sentences.no_grant(case.request, dataset),)
    needed = columns_needed(manifest, uses)
    for granted in standing:
        if needed <= set(granted.grant.columns):
            return granted, ()
    gaps = [sorted(needed - set(granted.grant.columns)) for granted in standing]
    nearest = min(gaps, key=lambda gap: (len(gap), gap))
    return None, (sentences.columns_missing(relation, dataset, nearest),)


def columns_needed(manifest: Manifest, uses: tuple[ColumnUse, ...]) -> set[str]:
    """Return the columns that a grant has to name: all but the person token and what nobody could be granted."""
    return {use.column for use in uses if not identifies(manifest, use.column)} - {names.PERSON}


# --- the answer -----------------------------------------------------


def _answer(case: Case, found: tuple[Judged, ...]) -> Decision:
    numbers = case.bundle.number, case.roster_number
    of_relations = (reason for judged in found for reason in judged.reasons)
    reasons = tuple(dict.fromkeys((*of_relations, *kept_reasons(case))))
    if reasons:
        return Decision(Outcome.DENY, reasons, *numbers, (), (), None)
    policies = [judged.policy for judged in found if judged.policy is not None]
    if len({judged.policy.mode for judged in _people(found) if judged.policy is not None}) > 1:
        return Decision(Outcome.DENY, (sentences.two_modes(policies),), *numbers, (), (), None)
    grants = tuple(sorted({judged.granted.digest for judged in found if judged.granted is not None}))
    demanded = obligations(found)
    beside = checks_reasons(case.request, demanded, policies[0], with_gaps(case.reading, case.manifests))
    if cannot := (*_private_reasons(case, demanded), *beside):
        return Decision(Outcome.DENY, cannot, *numbers, (), (), None)
    if any(policy.each_plan or _reads_code(policy, case) for policy in policies):
        approvers = tuple(sorted(set(case.approvers) - {case.request.member}))
        why = (sentences.each_plan(policies),)
        return Decision(Outcome.NEEDS_APPROVAL, why, *numbers, grants, approvers, demanded)
    return Decision(Outcome.ALLOW, (), *numbers, grants, (), demanded)


def _private_reasons(case: Case, demanded: Obligations) -> tuple[Reason, ...]:
    """Return why an answer cannot be private; nothing where none has to be."""
    if demanded.mode is not Mode.PRIVATE:
        return ()
    seen = views(case.request, case.bundle, case.manifests, case.index, case.now)
    masked = masked_columns({each.shadow.relation: each.masks for each in seen})
    return private_reasons(Asked(case.reading, case.request.spend_micro, case.manifests, masked), demanded)


def _reads_code(policy: DatasetPolicy, case: Case) -> bool:
    """Return whether a person of the owner's reads what a member wrote before it meets the data."""
    return policy.checks.code_review and case.request.kind is RequestKind.PYTHON


def _checks(policy: DatasetPolicy) -> Checks:
    """Return the numbers of the rules; what differs from another cell differs in the minimum group at least."""
    checks = policy.checks
    return dataclasses.replace(checks, differ=checks.differ or policy.minimum_group)


def obligations(found: tuple[Judged, ...]) -> Obligations:
    """Return what a yes about all these relations demands: the strictest that any policy, rule or grant asks for."""
    mode = _obligations(_people(found)[0])
    each = [_obligations(judged) for judged in _people(found)]
    each += [
        dataclasses.replace(_obligations(judged), mode=mode.mode, privacy=mode.privacy)
        for judged in found
        if judged not in _people(found)
    ]
    strictest = each[0]
    for other in each[1:]:
        strictest = strictest.strictest(other)
    return strictest


def _people(found: tuple[Judged, ...]) -> tuple[Judged, ...]:
    """Return the relations whose mode counts: those about persons. Reference data protect nobody, in whatever mode."""
    return tuple(judged for judged in found if judged.about_persons) or found


def _obligations(judged: Judged) -> Obligations:
    policy, granted = judged.policy, judged.granted
    assert policy is not None and granted is not None, "an allowed relation has a policy and a grant"
    own = Obligations(
        policy.minimum_group, policy.rounding, policy.largest_result, policy.tier, _checks(policy), policy.mode,
        policy.privacy,
    )  # fmt: skip
    return _with_grant(own, granted.grant, judged.minimum)


def _with_grant(own: Obligations, grant: Grant, least: int) -> Obligations:
    """Return the obligations with what column rules and the approver ask for, where that is stricter."""
    return dataclasses.replace(
        own,
        minimum_group=max(own.minimum_group, grant.minimum_group, least),
        rounding=max(own.rounding, grant.rounding),
    )
