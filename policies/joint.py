"""What an owner's terms say to a joint computation: rules of the decision beside those for every statement.

They look at the request (whose statement is a `JointTask`), the owner's policy and the dataset, and at no row. What
depends on other parties, such as who administers them, `mpc.compile` sees to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from plans.decision import Obligations, Reason
from plans.joint import JointTask, joint_task_of
from plans.joint_rules import Opening
from plans.manifest import Grade, Manifest
from plans.request import Request, RequestKind
from plans.statements import Bundle, DatasetPolicy
from policies.columns import grade_of

MOST_GRADE = Grade.GENERAL_4
"""The highest grade of data that are shared under the semi-honest model, in which a lie is not noticed."""


def terms_reasons(
    request: Request, manifest: Manifest, policy: DatasetPolicy, bundle: Bundle, columns: Iterable[str]
) -> Iterator[Reason]:
    """Yield what speaks against computing with a dataset jointly; nothing for requests of other kinds.

    Raises:
        Malformed: the request's statement is no joint task.
    """
    if request.kind is not RequestKind.JOINT:
        return
    task, rules = joint_task_of(request), policy.joint
    grade = max(
        (grade_of(manifest, policy, bundle, column) for column in columns),
        default=manifest.grade,
        key=lambda each: each.level,
    )
    if max(grade.level, manifest.grade.level) > MOST_GRADE.level:
        yield _grade(policy.dataset)
    if rules is None:
        yield _terms(policy.dataset)
        return
    if task.matching not in rules.matchings:
        yield _matching(policy.dataset, task, [each.value for each in rules.matchings])
    if task.opening not in rules.openings:
        yield _opening(policy.dataset, task, [each.value for each in rules.openings])
    if not rules.sizes:
        yield _sizes(policy.dataset)


def checks_reasons(request: Request, demanded: Obligations, policy: DatasetPolicy) -> tuple[Reason, ...]:
    """Return why what a yes demands cannot be kept on shares; nothing for requests of other kinds.

    Dominance and the p% rule are tested by public caps, more strictly than for other statements. Zeros are withheld
    with what few persons stand behind; whole cross-tables are not looked at, as the visibility table says.
    """
    if request.kind is not RequestKind.JOINT or joint_task_of(request).opening is not Opening.OBLIVIOUS:
        return ()
    dataset, rules = policy.dataset, policy.joint
    if demanded.rounding > 1 and rules is not None and not (rules.exact or rules.noise_micro):
        return (_exact(dataset),)
    if demanded.checks.enterprises:
        return (_checks(dataset, "counts enterprises behind every figure"),)
    if not demanded.checks.automatic:
        return (_checks(dataset, "has people look at everything before it leaves"),)
    if demanded.checks.margins:
        return (_checks(dataset, "keeps back further cells for the sake of small ones"),)
    return ()


def _terms(dataset: str) -> Reason:
    return Reason(
        "joint-terms",
        dataset,
        f"The owner has no terms of joint computations for {dataset}, so there are none.",
        "Ask a steward of the owning domain for a table joint in its policy (docs/policies.md).",
    )


def _matching(dataset: str, task: JointTask, accepted: list[str]) -> Reason:
    return Reason(
        "joint-matching",
        dataset,
        f"The owner of {dataset} does not accept the matching {task.matching}; it accepts: "
        f"{', '.join(accepted) or 'none'}.",
        "Ask for a matching that every owner accepts.",
    )


def _opening(dataset: str, task: JointTask, accepted: list[str]) -> Reason:
    return Reason(
        "joint-opening",
        dataset,
        f"The owner of {dataset} does not accept the opening {task.opening}; it accepts: "
        f"{', '.join(accepted) or 'none'}.",
        "Ask for an opening that every owner accepts.",
    )


def _sizes(dataset: str) -> Reason:
    return Reason(
        "joint-sizes",
        dataset,
        f"Whoever matches sees how many rows of {dataset} have partners, after filters, and its owner does not allow "
        "that.",
        "Ask the owner for sizes = true in the table joint of its policy.",
    )


def _exact(dataset: str) -> Reason:
    return Reason(
        "joint-checks",
        dataset,
        f"Figures of {dataset} leave rounded, and on shares nothing is rounded.",
        "Ask the owner for exact = true, or a rate of noise, in the table joint of its policy.",
    )


def _checks(dataset: str, what: str) -> Reason:
    return Reason(
        "joint-checks",
        dataset,
        f"The owner of {dataset} {what}, which is not done on shares.",
        "Ask its owner by itself, or for another policy of the dataset.",
    )


def _grade(dataset: str) -> Reason:
    return Reason(
        "joint-grade",
        dataset,
        f"{dataset}, or a column that is used, is graded above {MOST_GRADE}, and joint computations here rest on "
        "parties that follow the protocol.",
        "Leave the column out, or ask each owner by itself.",
    )
