"""What a decision says: a function for each reason about a dataset, grant or kept model (about columns: `columns`).

A reason tells what, whose, and what would help. It never holds a value of the data.
"""

from __future__ import annotations

from collections.abc import Iterable

from plans import names
from plans.checks import Mode
from plans.decision import Reason
from plans.manifest import Manifest
from plans.plan import Relation
from plans.request import Request
from plans.statements import DatasetPolicy
from plans.tasks import KeptModel
from policies.access import Question


def unknown(relation: str) -> Reason:
    """There is no such relation."""
    return Reason(
        "unknown-relation",
        relation,
        f"There is no current dataset version behind {relation}.",
        "List what there is with `darkroom datasets`.",
    )


def foreign(manifest: Manifest, domain: str) -> Reason:
    """It belongs to another owner than the rest."""
    return Reason(
        "one-owner",
        manifest.relation,
        f"{manifest.relation} belongs to {names.domain_of(manifest.dataset)}, not to {domain}; "
        "one statement reads one owner's data.",
        "Ask each owner separately, or jointly: darkroom joint ask (docs/joint-sql.md).",
    )


def no_policy(manifest: Manifest) -> Reason:
    """Its owner has no rules for it."""
    return Reason(
        "no-policy",
        manifest.dataset,
        f"The owner has set no policy for {manifest.dataset}, so nothing is allowed.",
        "Ask a steward of the owning domain to sign a policy for it.",
    )


def share_none(dataset: str) -> Reason:
    """Its share type is none, and no legal basis is written down."""
    return Reason(
        "share-none",
        dataset,
        f"{dataset} has the share type none (不予共享), and its owner names no legal basis for using it.",
        "Ask a steward of the owning domain; only a law, regulation or State Council rule changes this.",
    )


def role(dataset: str, asked: str, asking: Iterable[str]) -> Reason:
    """The grant gives data to a role that may have none."""
    return Reason(
        "grant-role",
        dataset,
        f"The grant on {dataset} is for the role {asked}, which reads no data: whoever approves, reviews, audits "
        "or administers does not ask.",
        f"Apply in one of the roles {', '.join(asking)}.",
    )


def no_access(question: Question, denied_by: tuple[int, ...]) -> Reason:
    """The owner's access rules say no."""
    how = "forbids" if denied_by else "does not allow"
    return Reason(
        "access",
        question.dataset,
        f"The owner {how} {question.member} as {question.role} the action {question.action} on {question.dataset} "
        "for this purpose.",
        "Ask for figures instead of rows if rows were asked for; otherwise ask the owner to change the access rules.",
    )


def no_grant(request: Request, dataset: str) -> Reason:
    """No grant is about this member, keys, project and purpose."""
    return Reason(
        "no-grant",
        dataset,
        f"No grant on {dataset} fits {request.member}, project {request.project} and this purpose.",
        f"Apply: darkroom apply {dataset} --project {request.project} --purpose …; "
        "or name the granted project and purpose.",
    )


def inactive(dataset: str) -> Reason:
    """There is one, and it does not stand."""
    return Reason(
        "grant-inactive",
        dataset,
        f"The grant on {dataset} has expired, was revoked or is used up.",
        "Apply again; `darkroom grants` shows what stands.",
    )


def columns_missing(relation: str, dataset: str, missing: list[str]) -> Reason:
    """There is one, and it does not name all columns."""
    listed = ", ".join(missing)
    return Reason(
        "grant-columns",
        relation,
        f"The grant on {dataset} does not include: {listed}.",
        f"Leave these columns out, or apply for them: darkroom apply {dataset} --columns {','.join(missing)} …",
    )


def two_modes(policies: list[DatasetPolicy]) -> Reason:
    """Exact and private datasets are asked for at once."""
    which = next(policy.dataset for policy in policies if policy.mode is Mode.PRIVATE)
    return Reason(
        "two-modes",
        names.relation_of(which),
        f"Figures of {which} leave with noise only, and those of the others leave exact.",
        "Ask for each in a statement of its own.",
    )


ASKED_BY_STATEMENT = ("cross-tabulate", "describe")
"""Components whose question can be asked as a statement (`plans.asking`), for people; a test compares the library."""


def private_code(dataset: str) -> Reason:
    """The outputs of programs cannot be made private, and those of components are not."""
    return Reason(
        "private-code",
        names.relation_of(dataset),
        f"{dataset} is in the mode private: what leaves is noised, which nobody does to the outputs of programs.",
        f"Ask by SQL (docs/private.md); `darkroom component` asks so for {' and '.join(ASKED_BY_STATEMENT)}.",
    )


def each_plan(policies: list[DatasetPolicy]) -> Reason:
    """No failure: somebody has to sign first."""
    which = ", ".join(policy.dataset for policy in policies if policy.each_plan or policy.checks.code_review)
    return Reason(
        "each-plan",
        which,
        f"The owner of {which} approves every plan by itself, or reads the code of members first.",
        "Wait for an approver, who signs this plan's digest.",
    )


def model_unknown(model: KeptModel) -> Reason:
    """No such model is kept, or another project's."""
    return Reason(
        "model-unknown",
        model.name,
        f"No model {model.artifact} of that plan is kept for this project by the owner of the data.",
        "List those that are: darkroom models.",
    )


def model_purpose(model: KeptModel) -> Reason:
    """It was fitted for another purpose."""
    return Reason(
        "model-purpose",
        model.name,
        f"The model {model.artifact} was fitted for another purpose than this task names.",
        "Use it for the purpose that it was fitted for, or fit one anew.",
    )


def model_data(model: KeptModel, relation: Relation) -> Reason:
    """The task does not see what the model was fitted to as the model saw it."""
    return Reason(
        "model-data",
        model.name,
        f"The model {model.artifact} was fitted to {', '.join(relation.columns)} of {relation.name}; the task does not "
        "read all of them, or they are filtered or masked in another way for you now.",
        "Name these columns among the tables of the task; if that does not help, fit the model anew.",
    )
