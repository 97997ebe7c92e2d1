"""The one place that decides: who may run this statement over these datasets, and what a yes demands.

`decide` is a pure function of a `Case`. The centre calls it to tell the member; the owner's keeper calls it
again, on its own bundle, grants and manifests, and that is the answer that counts. Rules, in the order of
their reasons:

* `unknown-relation`   every relation is a current dataset version
* `one-owner`          all of them belong to the domain whose bundle this is (else it is a joint computation)
* `no-policy`          the bundle has a policy for the dataset; empty means refuse
* `no-grant`           a grant fits member, keys, project, purpose and dataset
* `grant-inactive`     such a grant is valid now, not revoked and not used up
* `grant-columns`      it names every column that the statement uses
* `identifier`         no direct identifier is used in any clause
* `column-use`         the column's rule allows the clause, and in aggregates the function

All rules speak, not only the first. Nothing here depends on a row: what a refusal says may be told to anyone
who may know that the dataset exists.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from plans import names
from plans.decision import Decision, Obligations, Outcome, Reason
from plans.manifest import Kind, Manifest
from plans.reading import Clause, ColumnUse, Reading
from plans.request import Request
from plans.statements import Bundle, DatasetPolicy, Grant
from policies.grants import Granted, Grants


@dataclass(frozen=True, slots=True)
class Case:
    """All that a decision depends on. `approvers` are the members who may approve for the domain."""

    request: Request
    reading: Reading
    bundle: Bundle
    manifests: tuple[Manifest, ...]
    grants: tuple[Granted, ...] | Grants
    approvers: tuple[str, ...]
    now: int
    roster_number: int = 0

    @property
    def index(self) -> Grants:
        """The grants by dataset and member."""
        return self.grants if isinstance(self.grants, Grants) else Grants(self.grants)

    def manifest(self, relation: str) -> Manifest | None:
        """Return the current version that a relation stands for, or none."""
        return next((m for m in self.manifests if m.relation == relation), None)


def decide(case: Case) -> Decision:
    """Return the decision about a case, with every reason for a no."""
    reasons: list[Reason] = []
    used: list[Granted] = []
    policies: list[DatasetPolicy] = []
    read = (use.relation for use in case.reading.uses)
    for relation in dict.fromkeys((*case.reading.relations, *read)):
        manifest = case.manifest(relation)
        policy = case.bundle.policy(manifest.dataset) if manifest else None
        if manifest is None:
            reasons.append(_unknown(relation))
        elif names.domain_of(manifest.dataset) != case.bundle.domain:
            reasons.append(_foreign(manifest, case.bundle.domain))
        elif policy is None:
            reasons.append(_no_policy(manifest))
        else:
            policies.append(policy)
            uses = tuple(use for use in case.reading.uses if use.relation == relation)
            reasons += _column_reasons(manifest, policy, uses)
            granted, why_not = _grant_for(case, manifest, uses)
            used += [granted] if granted else []
            reasons += why_not
    return _answer(case, reasons, used, policies)


def _answer(
    case: Case, reasons: list[Reason], used: list[Granted], policies: list[DatasetPolicy]
) -> Decision:
    number = case.bundle.number
    if reasons:
        return Decision(Outcome.DENY, tuple(dict.fromkeys(reasons)), number, case.roster_number, (), (), None)
    obligations = _obligations(policies[0])
    for policy in policies[1:]:
        obligations = obligations.strictest(_obligations(policy))
    for granted in used:
        obligations = _with_grant(obligations, granted.grant)
    grants = tuple(sorted({granted.digest for granted in used}))
    if any(policy.each_plan for policy in policies):
        approvers = tuple(sorted(set(case.approvers) - {case.request.member}))
        return Decision(
            Outcome.NEEDS_APPROVAL,
            (_each_plan(policies),),
            number,
            case.roster_number,
            grants,
            approvers,
            obligations,
        )
    return Decision(Outcome.ALLOW, (), number, case.roster_number, grants, (), obligations)


def _obligations(policy: DatasetPolicy) -> Obligations:
    return Obligations(policy.minimum_group, policy.rounding, policy.largest_result, policy.tier)


def _with_grant(obligations: Obligations, grant: Grant) -> Obligations:
    """Return the obligations with what the approver asked for beside the policy, where that is stricter."""
    return dataclasses.replace(
        obligations,
        minimum_group=max(obligations.minimum_group, grant.minimum_group),
        rounding=max(obligations.rounding, grant.rounding),
    )


# --- columns -----------------------------------------------------


def _column_reasons(
    manifest: Manifest, policy: DatasetPolicy, uses: tuple[ColumnUse, ...]
) -> Iterator[Reason]:
    for use in uses:
        subject = f"{manifest.relation}.{use.column}"
        if use.column == names.PERSON:
            counted = use.clause is Clause.AGGREGATE and use.function in _COUNTS
            if use.clause is not Clause.JOIN and not counted:
                yield Reason(
                    "column-use",
                    subject,
                    f"{subject} is the person token; it joins relations and counts persons, nothing else.",
                    "Use it only in JOIN … USING (person) or count(distinct person).",
                )
        elif _identifies(manifest, use.column):
            yield Reason(
                "identifier",
                subject,
                f"{subject} identifies people directly; no statement may use it.",
                f"Join on {names.PERSON} instead, and leave this column out.",
            )
        elif not _allowed(policy, use):
            yield _column_use(policy, use, subject)


def _identifies(manifest: Manifest, name: str) -> bool:
    """Return whether a column identifies people; one that nobody described is taken for one that does."""
    column = manifest.column(name)
    return column is None or column.kind is Kind.IDENTIFIER


def _allowed(policy: DatasetPolicy, use: ColumnUse) -> bool:
    return any(
        use.clause.value in rule.uses
        and (use.clause is not Clause.AGGREGATE or use.function in rule.functions)
        for rule in policy.about(use.column)
    )


def _column_use(policy: DatasetPolicy, use: ColumnUse, subject: str) -> Reason:
    rule = next(iter(policy.about(use.column)), None)
    how = f"in {use.function}()" if use.clause is Clause.AGGREGATE else f"as {_CLAUSE_WORDS[use.clause]}"
    offers = "nothing"
    if rule is not None and rule.uses:
        offers = ", ".join(_CLAUSE_WORDS.get(Clause(use.value), use.value) for use in rule.uses)
        if rule.functions:
            offers += f" ({', '.join(rule.functions)})"
    return Reason(
        "column-use",
        subject,
        f"The owner does not allow {subject} {how}; it may be used as: {offers}.",
        "Use the column only as allowed, or ask the owner to change the column's rule.",
    )


_COUNTS = ("count", "count_distinct")
"""What may be done with the person token in an aggregate: its sum or mean would show a part of it."""

_CLAUSE_WORDS = {
    Clause.FILTER: "a filter",
    Clause.JOIN: "a join key",
    Clause.GROUP: "a group key",
    Clause.AGGREGATE: "an aggregate",
}


# --- grants -----------------------------------------------------


def _grant_for(
    case: Case, manifest: Manifest, uses: tuple[ColumnUse, ...]
) -> tuple[Granted | None, list[Reason]]:
    """Return the grant that covers these uses, or the reasons why there is none."""
    dataset, relation = manifest.dataset, manifest.relation
    fitting = [granted for granted in case.grants if _fits(granted.grant, case.request, dataset)]
    if not fitting:
        return None, [_no_grant(case.request, dataset)]
    standing = sorted((g for g in fitting if g.stands(case.now)), key=_newest_first)
    if not standing:
        return None, [_inactive(dataset)]
    needed = {use.column for use in uses if not _identifies(manifest, use.column)} - {names.PERSON}
    for granted in standing:
        if needed <= set(granted.grant.columns):
            return granted, []
    gaps = [sorted(needed - set(granted.grant.columns)) for granted in standing]
    return None, [_columns_missing(relation, dataset, min(gaps, key=lambda gap: (len(gap), gap)))]


def _newest_first(granted: Granted) -> tuple[int, str]:
    """Order grants so that one which was renewed is used up after the old one is forgotten, not before.

    The centre does not count uses, so both sides must come to the same grant without knowing them.
    """
    return -granted.not_before, granted.digest


def _fits(grant: Grant, request: Request, dataset: str) -> bool:
    return (
        grant.dataset == dataset
        and (grant.member, grant.signer, grant.recipient)
        == (request.member, request.signer, request.recipient)
        and (grant.project, grant.purpose) == (request.project, request.purpose)
    )


# --- sentences -----------------------------------------------------


def _unknown(relation: str) -> Reason:
    return Reason(
        "unknown-relation",
        relation,
        f"There is no current dataset version behind {relation}.",
        "List what there is with `darkroom datasets`.",
    )


def _foreign(manifest: Manifest, domain: str) -> Reason:
    return Reason(
        "one-owner",
        manifest.relation,
        f"{manifest.relation} belongs to {names.domain_of(manifest.dataset)}, not to {domain}; "
        "one statement reads one owner's data.",
        "Ask each owner separately; joins across owners are joint computations.",
    )


def _no_policy(manifest: Manifest) -> Reason:
    return Reason(
        "no-policy",
        manifest.dataset,
        f"The owner has set no policy for {manifest.dataset}, so nothing is allowed.",
        "Ask a steward of the owning domain to sign a policy for it.",
    )


def _no_grant(request: Request, dataset: str) -> Reason:
    return Reason(
        "no-grant",
        dataset,
        f"No grant on {dataset} fits {request.member}, project {request.project} and this purpose.",
        f"Apply: darkroom apply {dataset} --project {request.project} --purpose …; "
        "or name the granted project and purpose.",
    )


def _inactive(dataset: str) -> Reason:
    return Reason(
        "grant-inactive",
        dataset,
        f"The grant on {dataset} has expired, was revoked or is used up.",
        "Apply again; `darkroom grants` shows what stands.",
    )


def _columns_missing(relation: str, dataset: str, missing: list[str]) -> Reason:
    listed = ", ".join(missing)
    return Reason(
        "grant-columns",
        relation,
        f"The grant on {dataset} does not include: {listed}.",
        f"Leave these columns out, or apply for them: darkroom apply {dataset} --columns {','.join(missing)} …",
    )


def _each_plan(policies: list[DatasetPolicy]) -> Reason:
    which = ", ".join(policy.dataset for policy in policies if policy.each_plan)
    return Reason(
        "each-plan",
        which,
        f"The owner of {which} approves every plan by itself.",
        "Wait for an approver, who signs this plan's digest.",
    )
