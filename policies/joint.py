"""What an owner's terms say to a joint computation: rules of the decision beside those for every statement.

They look at the request (whose statement is a `JointTask`), the owner's policy and the dataset, and at no row. What
depends on other parties, such as who administers them, `mpc.compile` sees to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from plans.constraints import Use
from plans.decision import Obligations, Reason
from plans.joint import JointTask, Portion, joint_task_of
from plans.joint_rules import JointRules, Matching, Opening
from plans.manifest import Grade, Manifest
from plans.reading import Clause, ColumnUse, Level, Reading
from plans.request import Request, RequestKind, statement_digest
from plans.statements import Bundle, DatasetPolicy
from policies.columns import grade_of

_QUOTED = re.compile(r'"([^"]+)"')
"""A name in an expression of a reading, which quotes every one."""

MOST_GRADE = Grade.GENERAL_4
"""The highest grade of data that are shared under the semi-honest model, in which a lie is not noticed."""

SEPARATE_GRADE = Grade.GENERAL_4
"""The lowest grade of data of which terms must demand separate administrations (`JointRules.separate`)."""


def on_ciphertexts(request: Request) -> bool:
    """Return whether a request's computation is on ciphertexts: beside a collector, or for scores.

    Raises:
        Malformed: the request's statement is no joint task.
    """
    return request.kind is RequestKind.JOINT and (bool(joint_task_of(request).collector) or scored(request))


def scored(request: Request) -> bool:
    """Return whether a request asks for scores of single rows. Raises as `on_ciphertexts` does."""
    return request.kind is RequestKind.JOINT and joint_task_of(request).opening is Opening.SCORES


def joint_uses(request: Request) -> tuple[Use, ...]:
    """Return the uses of columns that stand for every clause of a request, of which none may be forbidden: of a joint
    computation `shared`, and of one on ciphertexts `encrypted` beside it. Raises as `on_ciphertexts` does.
    """
    if request.kind is not RequestKind.JOINT:
        return ()
    return (Use.SHARED, Use.ENCRYPTED) if on_ciphertexts(request) else (Use.SHARED,)


def reading_of_model(portion: Portion) -> Reading | None:
    """Return the reading on which the decision about a model rests; none for persons, whose stand-in is read.

    A statement over data about nobody alone is refused in a checker box, since its figures would rest on no person.
    What a model is used for the joint reading says: sums of its columns, of which no single one is shown.
    """
    if portion.key:
        return None
    names = dict.fromkeys(
        name for operand in portion.operands for name in _QUOTED.findall(operand.expression)
    )
    return Reading(
        statement=statement_digest(portion.stand_in),
        level=Level.WORK,
        relations=(portion.relation,),
        uses=tuple(ColumnUse(portion.relation, name, Clause.AGGREGATE, "sum") for name in names),
        functions=("sum",),
        tables=(),
        finish="",
        outputs=(),
        order=(),
        limit=None,
    )


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
    level = max(grade.level, manifest.grade.level)
    if level > MOST_GRADE.level:
        yield _grade(policy.dataset)
    if rules is None:
        yield _terms(policy.dataset)
        return
    if level >= SEPARATE_GRADE.level and not rules.separate:
        yield _one_hand(policy.dataset)
    if task.matching not in rules.matchings:
        yield _matching(policy.dataset, task, [each.value for each in rules.matchings])
    if task.opening not in rules.openings:
        yield _opening(policy.dataset, task, [each.value for each in rules.openings])
    if not rules.sizes and _tells_sizes(task):
        yield _sizes(policy.dataset)
    if task.collector:
        yield from _collected(policy.dataset, rules)


def _tells_sizes(task: JointTask) -> bool:
    """Return whether somebody who is told nothing else learns how many rows match.

    Nobody matches parts of one table; and of persons in common the finder is told, whom a matching without a helper
    tells no more.
    """
    if task.matching is Matching.NONE:
        return False
    return bool(task.helper) or not task.opening.of_persons


def _collected(dataset: str, rules: JointRules) -> Iterator[Reason]:
    """Yield what speaks against figures that a collector computes on ciphertexts, beside an inspector with the key."""
    if not rules.ciphertexts:
        yield _ciphertexts(
            dataset,
            f"The owner of {dataset} does not let a collector compute with its rows under an inspector's key, who"
            " together could open them.",
            "Ask for servers instead of a collector, or its owner for ciphertexts = true in the table joint.",
        )
    if rules.noise_micro:
        yield _ciphertexts(
            dataset,
            f"Figures of {dataset} leave with noise, which servers add to shares and nobody adds to ciphertexts.",
            "Ask for servers instead of a collector.",
        )


def with_gaps(reading: Reading, manifests: Iterable[Manifest]) -> tuple[str, ...]:
    """Return the columns of a stand-in's figures in which some persons have no value.

    However they are used, two figures tell how many these are: a count beside a number of rows, a mean beside a total,
    and so do totals of a column and of the column plus a constant, or with two values for those who have none.
    """
    known = {manifest.relation: manifest for manifest in manifests}
    found: dict[str, None] = {}
    for each in reading.uses:
        column = known[each.relation].column(each.column) if each.relation in known else None
        if column is not None and column.nulls and each.clause is Clause.AGGREGATE:
            found[each.column] = None
    return tuple(found)


def checks_reasons(
    request: Request, demanded: Obligations, policy: DatasetPolicy, gaps: tuple[str, ...] = ()
) -> tuple[Reason, ...]:
    """Return why what a yes demands cannot be kept in a joint computation; nothing for requests of other kinds.

    Dominance and the p% rule are tested by public caps, more strictly than for other statements. Zeros are withheld
    with what few persons stand behind. An inspector rounds figures and keeps back further cells for the sake of small
    ones; on shares neither is done, and whole cross-tables are not looked at, as the visibility table says. How many
    different enterprises are in a cell is no sum, so nobody knows it. What is told of single persons is no figure.

    Args:
        request: a member's.
        demanded: what the yes demands.
        policy: of the dataset.
        gaps: see `with_gaps`; where an owner keeps back groups that differ by who has no value in a column (docs/
            ledger.md), nobody looks at such groups here, so there are no figures of these columns.
    """
    if request.kind is not RequestKind.JOINT:
        return ()
    first = next(_unkept(joint_task_of(request).opening, demanded, policy, gaps), None)
    return () if first is None else (first,)


def _unkept(
    opening: Opening, demanded: Obligations, policy: DatasetPolicy, gaps: tuple[str, ...]
) -> Iterator[Reason]:
    """Yield what `checks_reasons` says; the first is what the member is told."""
    dataset, rules, checks = policy.dataset, policy.joint, demanded.checks
    unseen = opening is Opening.OBLIVIOUS
    exact = rules is None or rules.exact or rules.noise_micro > 0
    if unseen and demanded.rounding > 1 and not exact:
        yield _exact(dataset)
    if checks.enterprises and not opening.of_persons:
        yield _checks(
            dataset, "counts enterprises behind every figure, and their number is no sum over owners"
        )
    if checks.missing and gaps and not opening.of_persons:
        yield _checks(
            dataset,
            f"does not let numbers of persons without a value be told, which figures of {', '.join(gaps)} do",
            "Ask for figures of columns in which everybody has a value, or its owner by itself.",
        )
    if not checks.automatic:
        yield _checks(
            dataset, "has people look at everything before it leaves, and joint answers wait for nobody"
        )
    if unseen and checks.margins:
        yield _checks(
            dataset,
            "keeps back further cells for the sake of small ones, which is not done on shares",
            "Ask for the opening inspected, if every owner accepts it, or its owner by itself.",
        )


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
        "Ask for the opening inspected, if every owner accepts it; or the owner for exact = true, or a rate of noise,"
        " in the table joint of its policy.",
    )


def _checks(
    dataset: str, what: str, instead: str = "Ask its owner by itself, or for another policy of the dataset."
) -> Reason:
    return Reason("joint-checks", dataset, f"The owner of {dataset} {what}.", instead)


def _ciphertexts(dataset: str, what: str, instead: str) -> Reason:
    return Reason("joint-ciphertexts", dataset, what, instead)


def _one_hand(dataset: str) -> Reason:
    return Reason(
        "joint-grade",
        dataset,
        f"{dataset}, or a column that is used, is graded {SEPARATE_GRADE} or higher, and its owner's terms let parties "
        "that open more together be administered by one hand.",
        "Leave the column out, or ask the owner for separate = true in the table joint of its policy.",
    )


def _grade(dataset: str) -> Reason:
    return Reason(
        "joint-grade",
        dataset,
        f"{dataset}, or a column that is used, is graded above {MOST_GRADE}, and joint computations here rest on "
        "parties that follow the protocol.",
        "Leave the column out, or ask each owner by itself.",
    )
