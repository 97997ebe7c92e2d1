"""The form of a specification and of a chapter, and what it means for one to hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from plans.errors import SqlSyntax, SqlUnsupported
from tests.spec.drawn import normal, shown
from tests.spec.town import MEMBER, PURPOSE, Answer, Town


@dataclass(frozen=True, slots=True)
class Spec:
    """One statement, and what comes of it. Exactly one of the outcomes is given:

    * `result`: the released table, drawn, in the order in which it leaves;
    * `denied`: the rules that speak against it, each with a part of its sentence;
    * `refused`: a part of what the readers say;
    * `held`: the rule classes by which nothing of the result may leave.

    `policy`, `tables` and `columns` (those that are granted) stand in for the chapter's own; `member`, `role` and
    `purpose` say who asks.
    """

    title: str
    statement: str
    result: str = ""
    denied: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""
    held: tuple[str, ...] = ()
    says: str = ""
    policy: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    member: str = MEMBER
    role: str = "researcher"
    purpose: str = PURPOSE


@dataclass(frozen=True, slots=True)
class Chapter:
    """Specifications over the same tables and policy, with a sentence or two that say what they are about."""

    title: str
    says: str
    tables: Mapping[str, str]
    policy: str
    specs: tuple[Spec, ...]

    def policy_of(self, spec: Spec) -> str:
        """The policy under which a specification runs."""
        return spec.policy or self.policy

    def tables_of(self, spec: Spec) -> Mapping[str, str]:
        """The tables over which it runs."""
        return {**self.tables, **spec.tables}


def outcome(chapter: Chapter, spec: Spec, folder: Path) -> str:
    """Run a specification and return what came of it, in the words of `expected`."""
    town = Town(
        folder,
        chapter.tables_of(spec),
        chapter.policy_of(spec),
        spec.columns,
        spec.member,
        spec.role,
        spec.purpose,
    )
    try:
        answer = town.ask(spec.statement)
    except (SqlSyntax, SqlUnsupported) as refusal:
        return f"refused: {refusal.what}. {refusal.next_step}"
    return _told(answer)


def _told(answer: Answer) -> str:
    if answer.released is not None:
        return shown(answer.released)
    if answer.failure:
        return f"failed: {answer.failure}"
    if answer.verdict is not None:
        return f"held: {', '.join(answer.verdict.reasons)}"
    reasons = (
        f"denied: {reason.rule}: {reason.sentence} {reason.help}" for reason in answer.decision.reasons
    )
    return "\n".join(reasons)


def holds(spec: Spec, came: str) -> bool:
    """Return whether what came of a specification is what it says."""
    if spec.result:
        return came == normal(spec.result)
    if spec.refused:
        return came.startswith("refused: ") and spec.refused in came
    if spec.held:
        return came == f"held: {', '.join(spec.held)}"
    lines = came.splitlines()
    rules = {line.split(": ")[1] for line in lines if line.startswith("denied: ")}
    said = all(
        any(line.startswith(f"denied: {rule}: ") and part in line for line in lines)
        for rule, part in spec.denied.items()
    )
    return bool(spec.denied) and rules == set(spec.denied) and said
