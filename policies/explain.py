"""Why a case was denied, and the least that would make it pass.

`explain` answers for the asker: each failing rule in a sentence, with whose rule it is, and *remedies*: what to
leave out or write instead, which grant to apply for, what to ask the owner. They are found by trying: a remedy is
applied to the case (`apply`), the case is decided again, until it passes. So a suggestion that does not help is
never made, and where nothing helps, `complete` is false. Rewriting comes before asking somebody, and a grant is
asked for with exactly the columns that the rewritten statement needs.

Like the decision itself this is a pure function of the case, and holds nothing of the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.constraints import Access, Action, Constraint, Effect, Reveal, Use
from plans.decision import Decision, Outcome, Reason, Tier
from plans.reading import Clause, ColumnUse, Level
from plans.record import Record
from plans.statements import DatasetPolicy, Grant
from policies.access import Question, answered
from policies.by_groups import by_groups, liked, seat_of, shown_by_groups
from policies.decide import ACTIONS, ASKING_ROLES, Case, columns_needed, decide, supposed_asker
from policies.grants import Granted, Grants
from policies.view import fitting_grants


class RemedyKind(StrEnum):
    """What can be done about a denial, by the asker first, by others after that."""

    LEAVE_OUT = "leave-out"
    LEAVE_RELATION = "leave-relation-out"
    USE_INSTEAD = "use-instead"
    ASK_FIGURES = "ask-figures"
    APPLY = "apply"
    ASK_RULE = "ask-rule"
    ASK_ACCESS = "ask-access"
    ASK_POLICY = "ask-policy"
    ASK_BASIS = "ask-basis"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Remedy(Record):
    """One thing to do. `subject` is a relation for rewrites, a dataset otherwise.

    `columns` are those to leave out, to apply for, or to ask a rule for; `clause` and `function` say in which use,
    `instead` which function is allowed there, or what a statement about groups would show; `role` and `action` what to
    ask for.
    """

    KIND: ClassVar[str] = "remedy"

    kind: RemedyKind
    subject: str
    columns: tuple[str, ...] = ()
    clause: str = ""
    function: str = ""
    instead: str = ""
    role: str = ""
    action: str = ""

    @property
    def sentence(self) -> str:
        """What to do, in words."""
        listed = ",".join(self.columns) if self.kind is RemedyKind.APPLY else ", ".join(self.columns)
        use = f"{self.function}({listed})" if self.function else f"{listed} as {self.clause}"
        parts = {"subject": self.subject, "listed": listed, "use": use}
        return _SENTENCES[self.kind].format(**parts, instead=self.instead, role=self.role, action=self.action)


_SENTENCES = {
    RemedyKind.LEAVE_OUT: "Leave {use} of {subject} out of the statement.",
    RemedyKind.LEAVE_RELATION: "Leave {subject} out of the statement.",
    RemedyKind.USE_INSTEAD: "Write {instead}({listed}) instead of {use}, of {subject}.",
    RemedyKind.ASK_FIGURES: "Ask for figures about groups instead of rows: SELECT {instead}.",
    RemedyKind.APPLY: "Apply as {role}: darkroom apply {subject} --columns {listed} …",
    RemedyKind.ASK_RULE: "Ask the owner of {subject} to allow {use}.",
    RemedyKind.ASK_ACCESS: "Ask the owner of {subject} to allow the action {action} to you as {role}.",
    RemedyKind.ASK_POLICY: "Ask a steward for a policy of {subject} that allows {action}, and these columns: {listed}.",
    RemedyKind.ASK_BASIS: "Ask a steward to name the legal basis for using {subject}.",
    RemedyKind.WAIT: "Wait for one of these approvers of {subject}: {listed}.",
}


@dataclass(frozen=True, slots=True)
class Line(Record):
    """One rule that spoke, and whose it is."""

    KIND: ClassVar[str] = "explanation-line"

    rule: str
    subject: str
    owner: str
    sentence: str
    help: str


@dataclass(frozen=True, slots=True)
class Explanation(Record):
    """Why, and what would help. `remedies` together make the case pass if `complete`; each of `alternatives` is a
    rule that the owner could sign in place of a rewrite.
    """

    KIND: ClassVar[str] = "explanation"

    outcome: Outcome
    lines: tuple[Line, ...]
    remedies: tuple[Remedy, ...]
    alternatives: tuple[Remedy, ...]
    complete: bool


_MOST_REMEDIES = 40
_MOST_TRIED = 20
"""How many remedies are looked for, and how many of them are tried without."""


def explain(case: Case) -> Explanation:
    """Return why a case is decided as it is, and what would make it pass."""
    decision = decide(case)
    lines = tuple(_line(case, reason) for reason in decision.reasons)
    if decision.outcome is Outcome.ALLOW:
        return Explanation(decision.outcome, (), (), (), True)
    if decision.outcome is Outcome.NEEDS_APPROVAL:
        wait = Remedy(RemedyKind.WAIT, decision.reasons[0].subject, decision.approvers)
        return Explanation(decision.outcome, lines, (wait,), (), bool(decision.approvers))
    remedies, cured = _cure(_few_grants(case))
    return Explanation(decision.outcome, lines, remedies, _alternatives(case, remedies), cured)


def _line(case: Case, reason: Reason) -> Line:
    relation = ".".join(reason.subject.split(".")[:2])
    manifest = case.manifest(relation)
    dataset = manifest.dataset if manifest else reason.subject if "/" in reason.subject else ""
    owner = names.domain_of(dataset.partition(",")[0]) if dataset else ""
    return Line(reason.rule, reason.subject, owner, reason.sentence, reason.help)


def _cure(case: Case) -> tuple[tuple[Remedy, ...], bool]:
    """Return remedies that were tried one after the other, and whether the case then passed."""
    found: list[Remedy] = []
    current, decision = case, decide(case)
    while decision.outcome is Outcome.DENY:
        remedy = _next(current, decision) if len(found) < _MOST_REMEDIES else None
        if remedy is None or remedy in found:
            return tuple(found), False
        found.append(remedy)
        current = apply(remedy, current)
        decision = decide(current)
    return _least(case, _least_grants(found, current)), True


def _least(case: Case, remedies: tuple[Remedy, ...]) -> tuple[Remedy, ...]:
    """Return the remedies without those that a later one made needless, the owner's first."""
    kept = remedies
    for remedy in sorted(remedies[:_MOST_TRIED], key=lambda each: -list(RemedyKind).index(each.kind)):
        rest = tuple(each for each in kept if each != remedy)
        if rest and decide(_done(rest, case)).outcome is not Outcome.DENY:
            kept = rest
    return kept


def _done(remedies: tuple[Remedy, ...], case: Case) -> Case:
    for remedy in remedies:
        case = apply(remedy, case)
    return case


def _least_grants(found: list[Remedy], cured: Case) -> tuple[Remedy, ...]:
    """Return the remedies with one application for each dataset, for what the rewritten statement needs."""
    applied = {remedy.subject: remedy for remedy in found if remedy.kind is RemedyKind.APPLY}
    kept = [remedy for remedy in found if remedy.kind is not RemedyKind.APPLY]
    for dataset, remedy in sorted(applied.items()):
        relation = names.relation_of(dataset)
        if relation in cured.relations:
            kept.append(replace(remedy, columns=_columns_to_apply_for(cured, relation)))
    return tuple(kept)


# --- the next remedy -----------------------------------------------------

_ORDER = (
    "unknown-relation",
    "one-owner",
    "two-modes",
    "private-code",
    "private-rows",
    "private-shape",
    "private-enterprises",
    "private-figure",
    "private-bounds",
    "private-cells",
    "private-spend",
    "joint-grade",
    "joint-terms",
    "joint-matching",
    "joint-opening",
    "joint-sizes",
    "joint-ciphertexts",
    "joint-checks",
    "grant-role",
    "no-policy",
    "share-none",
    "identifier",
    "column-rules",
    "column-use",
    "column-reveal",
    "column-noised",
    "after-join",
    "access",
    "no-grant",
    "grant-inactive",
    "grant-columns",
    "model-unknown",
    "model-purpose",
    "model-data",
)
"""What is cured first: what takes a relation or a role away changes which other rules speak."""


def _next(case: Case, decision: Decision) -> Remedy | None:
    reason = min(decision.reasons, key=lambda each: (_ORDER.index(each.rule), each.subject))
    if reason.rule.startswith(("private-", "model-", "joint-")) and reason.rule != "private-code":
        return None
    if reason.rule in ("unknown-relation", "one-owner", "two-modes", "private-code"):
        others = set(case.relations) - {reason.subject}
        return Remedy(RemedyKind.LEAVE_RELATION, reason.subject) if others else None
    if reason.rule in ("no-grant", "grant-inactive", "grant-columns", "grant-role"):
        return _application(case, reason)
    if reason.rule == "share-none":
        return Remedy(RemedyKind.ASK_BASIS, reason.subject)
    if reason.rule in _OF_ROWS and (figures := _figures(case, reason)):
        return figures
    if reason.rule in ("access", "no-policy"):
        return _asking(case, reason)
    if reason.subject in case.relations:
        others = set(case.relations) - {reason.subject}
        return Remedy(RemedyKind.LEAVE_RELATION, reason.subject) if others else None
    return _rewrite(case, reason)


_OF_ROWS = ("access", "column-reveal", "after-join")
"""Rules that may refuse rows where they would allow figures."""


def _figures(case: Case, reason: Reason) -> Remedy | None:
    """Return the advice to ask about groups instead of rows, if every rule about data allows that as it is.

    It is also given where rows may not even be counted (`columns.relation_reasons`): figures are all there is then,
    and whatever still speaks against them is cured after that.
    """
    persons = any(each.about_persons for each in map(case.manifest, case.relations) if each)
    if case.reading.level is not Level.ROWS or not persons:
        return None
    subject = reason.subject
    whole = subject in case.relations
    relation = subject if whole else _relation(subject)
    remedy = Remedy(RemedyKind.ASK_FIGURES, relation, instead=shown_by_groups(case))
    left = {failing.rule for failing in decide(apply(remedy, case)).reasons}
    return remedy if whole or left <= {"no-grant", "grant-inactive", "grant-columns"} else None


def _relation(subject: str) -> str:
    """Return the relation of a dataset or a column."""
    return names.relation_of(subject) if "/" in subject else subject.rpartition(".")[0]


def _application(case: Case, reason: Reason) -> Remedy | None:
    dataset = reason.subject if "/" in reason.subject else _dataset(case, reason.subject)
    columns = _columns_to_apply_for(case, names.relation_of(dataset))
    role = _role(case, dataset)
    return Remedy(RemedyKind.APPLY, dataset, columns, role=role) if columns else None


def _asking(case: Case, reason: Reason) -> Remedy:
    dataset = reason.subject
    if reason.rule == "access":
        action = _denied_action(case, dataset)
        return Remedy(RemedyKind.ASK_ACCESS, dataset, role=_role(case, dataset), action=action)
    columns = _needed(case, names.relation_of(dataset))
    role, action = _role(case, dataset), case.action.value
    return Remedy(RemedyKind.ASK_POLICY, dataset, columns, role=role, action=action)


def _denied_action(case: Case, dataset: str) -> str:
    """Return the first of the actions that the owner's access rules do not let the member do."""
    policy, asker = case.bundle.policy(dataset), supposed_asker(case, case.index, dataset)
    for action in case.actions if policy else ():
        question = Question(asker.member, asker.role, asker.purpose, action, dataset, asker.now)
        if policy and not answered(policy, question).allowed:
            return action.value
    return case.action.value


def _rewrite(case: Case, reason: Reason) -> Remedy | None:
    """Return what to leave out, or which function to use instead, for a use that a column's rules refuse."""
    relation, _, column = reason.subject.rpartition(".")
    for use in case.uses(relation):
        if use.column != column or not _refused(case, use):
            continue
        instead = _instead(case, use) if use.clause is Clause.AGGREGATE else ""
        kind = RemedyKind.USE_INSTEAD if instead else RemedyKind.LEAVE_OUT
        return Remedy(kind, relation, (column,), use.clause.value, use.function, instead)
    return None


def _refused(case: Case, use: ColumnUse) -> bool:
    """Return whether this use alone is refused by a rule about columns."""
    alone = replace(case, reading=replace(case.reading, uses=(use, *_joins(case, use))))
    subject = f"{use.relation}.{use.column}"
    return any(reason.subject == subject for reason in decide(alone).reasons)


def _joins(case: Case, use: ColumnUse) -> tuple[ColumnUse, ...]:
    """Return the person's joins, which decide whether a relation is joined, and are not what is asked about."""
    return tuple(
        each
        for each in case.reading.uses
        if each.clause is Clause.JOIN and (each.relation, each.column) != (use.relation, use.column)
    )


def _instead(case: Case, use: ColumnUse) -> str:
    seat = seat_of(case, use.relation)
    column = seat.manifest.column(use.column) if seat else None
    if seat is None or column is None:
        return ""
    found = seat.effective(column)
    allowed = (name for name in liked(found) if found.covering(Clause.AGGREGATE, name))
    good = (name for name in allowed if not _refused(case, replace(use, function=name)))
    return next(good, "")


def _dataset(case: Case, relation: str) -> str:
    manifest = case.manifest(relation)
    return manifest.dataset if manifest else ""


def _role(case: Case, dataset: str) -> str:
    role = supposed_asker(case, case.index, dataset).role
    return role if role in ASKING_ROLES else ASKING_ROLES[0]


def _needed(case: Case, relation: str) -> tuple[str, ...]:
    manifest = case.manifest(relation)
    return tuple(sorted(columns_needed(manifest, case.uses(relation)))) if manifest else ()


def _columns_to_apply_for(case: Case, relation: str) -> tuple[str, ...]:
    """Return the columns that a grant has to name; a grant names at least one, also where rows are counted only."""
    needed = _needed(case, relation)
    seat = seat_of(case, relation)
    if needed or seat is None:
        return needed
    usable = (column.name for column in seat.manifest.columns if seat.effective(column).allowed)
    return tuple([*usable, *(column.name for column in seat.manifest.columns)][:1])


# --- doing it -----------------------------------------------------


def apply(remedy: Remedy, case: Case) -> Case:
    """Return the case as it would be after a remedy: the statement rewritten, the grant signed, the rule in force."""
    if remedy.kind in (RemedyKind.LEAVE_OUT, RemedyKind.USE_INSTEAD, RemedyKind.LEAVE_RELATION):
        return _rewritten(remedy, case)
    if remedy.kind is RemedyKind.ASK_FIGURES:
        return by_groups(case)
    if remedy.kind is RemedyKind.APPLY:
        return _granted(remedy, case)
    if remedy.kind is RemedyKind.WAIT:
        return case
    old = case.bundle.policy(remedy.subject)
    new = _policy(remedy, case) if old is None else _allowing(remedy, case, old)
    others = tuple(policy for policy in case.bundle.policies if policy.dataset != remedy.subject)
    return replace(case, bundle=replace(case.bundle, policies=(*others, new)))


def _rewritten(remedy: Remedy, case: Case) -> Case:
    reading, relation = case.reading, remedy.subject
    if remedy.kind is RemedyKind.LEAVE_RELATION:
        uses = tuple(use for use in reading.uses if use.relation != relation)
        relations = tuple(name for name in case.relations if name != relation)
        return replace(case, reading=replace(reading, uses=uses, relations=relations))
    meant = ColumnUse(relation, remedy.columns[0], Clause(remedy.clause), remedy.function)
    stays = tuple(use for use in reading.uses if use != meant)
    if remedy.kind is RemedyKind.USE_INSTEAD:
        stays = (*stays, replace(meant, function=remedy.instead))
    return replace(case, reading=replace(reading, uses=stays))


def _granted(remedy: Remedy, case: Case) -> Case:
    """Return the case with a fresh grant that stands in for all that fit before."""
    request, dataset = case.request, remedy.subject
    old = fitting_grants(request, case.index, dataset)
    body = Grant(
        member=request.member,
        signer=request.signer,
        recipient=request.recipient,
        project=request.project,
        purpose=request.purpose,
        dataset=dataset,
        columns=remedy.columns,
        uses=1,
        role=remedy.role,
    )
    fresh = Granted(body.digest, body, case.now, 0, revoked=False, uses_left=1)
    others = [one for one in _few_grants(case).index if one not in old]
    return replace(case, grants=Grants((*others, fresh)))


def _few_grants(case: Case) -> Case:
    """Return the case with only those grants that its relations and member can need."""
    index = case.index
    datasets = {manifest.dataset for manifest in case.manifests if manifest.relation in case.relations}
    about = [one for dataset in sorted(datasets) for one in index.about(dataset, case.request.member)]
    return replace(case, grants=Grants(about))


def _policy(remedy: Remedy, case: Case) -> DatasetPolicy:
    """Return the smallest policy under which the statement's uses are allowed to this member."""
    relation = names.relation_of(remedy.subject)
    uses = [use for use in case.uses(relation) if use.column in remedy.columns]
    access = _access(remedy, case)
    rules = tuple(dict.fromkeys(_rule(case, use, remedy.role) for use in uses))
    return DatasetPolicy(remedy.subject, (access,), rules, (), "", 10, 5, 5_000, Tier.T1, False)


def _allowing(remedy: Remedy, case: Case, policy: DatasetPolicy) -> DatasetPolicy:
    if remedy.kind is RemedyKind.ASK_BASIS:
        return replace(policy, basis="a legal basis")
    if remedy.kind is RemedyKind.ASK_ACCESS:
        return replace(policy, access=(*_without_denials(policy, remedy.action), _access(remedy, case)))
    use = ColumnUse(
        names.relation_of(policy.dataset), remedy.columns[0], Clause(remedy.clause), remedy.function
    )
    return replace(policy, constraints=(*policy.constraints, _rule(case, use, remedy.role)))


def _without_denials(policy: DatasetPolicy, action: str) -> tuple[Access, ...]:
    return tuple(r for r in policy.access if r.effect is Effect.ALLOW or Action(action) not in r.actions)


def _access(remedy: Remedy, case: Case) -> Access:
    request = case.request
    return Access(
        Effect.ALLOW, (request.member,), (remedy.role,), (Action(remedy.action),), (request.purpose,)
    )


_USE_OF = {
    Clause.GROUP: (Use.GROUP, Reveal.GROUPED),
    Clause.AGGREGATE: (Use.AGGREGATE, Reveal.AGGREGATED),
    Clause.JOIN: (Use.JOIN, Reveal.NEVER),
    Clause.FILTER: (Use.FILTER, Reveal.NEVER),
    Clause.COMPARE: (Use.COMPARE, Reveal.NEVER),
}


def _rule(case: Case, use: ColumnUse, role: str) -> Constraint:
    """Return the narrowest rule that allows a use: to this member, in this role, for this purpose."""
    rows = ACTIONS[case.reading.level] is Action.READ_ROWS
    word, reveal = (Use.SELECT, Reveal.PLAIN) if rows else _USE_OF.get(use.clause, (Use.SELECT, Reveal.PLAIN))
    functions = (use.function,) if word is Use.AGGREGATE else ()
    request = case.request
    who = ((request.member,), (role,), (request.purpose,))
    return Constraint(use.column, Effect.ALLOW, *who, 0, (word,), functions, reveal)


# --- what the owner could change instead -----------------------------------------------------


def _alternatives(case: Case, remedies: tuple[Remedy, ...]) -> tuple[Remedy, ...]:
    """Return, for each rewrite of a column's use, the rule that would make it unnecessary, if one rule does."""
    found = []
    for remedy in remedies:
        if remedy.kind not in (RemedyKind.LEAVE_OUT, RemedyKind.USE_INSTEAD):
            continue
        dataset = _dataset(case, remedy.subject)
        if case.bundle.policy(dataset) is None or remedy.columns == (names.PERSON,):
            continue
        asked = replace(
            remedy, kind=RemedyKind.ASK_RULE, subject=dataset, instead="", role=_role(case, dataset)
        )
        use = ColumnUse(remedy.subject, remedy.columns[0], Clause(remedy.clause), remedy.function)
        if not _refused(apply(asked, case), use):
            found.append(asked)
    return tuple(found)
