"""Joint requests over the relations of `tests.policies.joint_cases`, and all that a plan is compiled from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mpc.api import Making, Owner, SignedRequest, compile_joint
from plans.checks import Checks
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.joint import JointPlan, JointReading, JointTask, Party, PortionDecision
from plans.joint_rules import JointRules, Matching, Opening
from plans.joint_shadows import JointShadow
from plans.plan import Relation
from plans.request import Request, RequestKind
from policies.reading import read_joint
from tests.plans import examples, joint_examples
from tests.policies.joint_cases import FROM, SHADOWS

STATEMENT = (
    f"select h.region, avg(t.income) as mean, count(*) as n {FROM} where h.icd like 'E11%' group by h.region"
)
TASK = JointTask(
    STATEMENT, Matching.HELPER, Opening.OBLIVIOUS, ("nm/civil", "nm/health", "nm/tax"), helper="nm/office"
)
RULES = JointRules(
    (Matching.HELPER, Matching.DIFFIE_HELLMAN), (Opening.OBLIVIOUS, Opening.INSPECTED), cells=100, period_days=30,
    sizes=True, exact=True,
)  # fmt: skip
OBLIGATIONS = Obligations(10, 5, 5_000, Tier.T1, Checks(differ=10))
DOMAINS = ("nm/civil", "nm/edu", "nm/health", "nm/land", "nm/office", "nm/tax")
MAKING = Making(examples.digest("6"), examples.digest("7"), examples.NONCE, examples.REQUEST.asked_at)


def party(domain: str, **changes: Any) -> Party:
    """A domain that describes itself, with administrators of its own."""
    return replace(joint_examples.party(domain, DOMAINS.index(domain)), **changes)


def request(task: JointTask, member: str = "") -> Request:
    """A member's request for a task: for persons in common, of the finder's domain."""
    asks = member or (f"wang@{task.finder}" if task.finder else examples.REQUEST.member)
    return replace(examples.REQUEST, member=asks, statement=task.canonical().decode(), kind=RequestKind.JOINT)


def owner(
    shadow: JointShadow, obligations: Obligations = OBLIGATIONS, rules: JointRules | None = RULES
) -> Owner:
    """An owner that says yes to its portion."""
    relation = Relation(shadow.shadow.relation, examples.digest("1"), examples.digest("2"), (), "")
    leaf = shadow.shadow.relation.partition(".")[2]
    files = (f"{leaf}-v1-attributes.parquet", f"{leaf}-v1-identifiers.parquet")[: 1 + bool(shadow.key)]
    decision = Decision(Outcome.ALLOW, (), 3, 2, (examples.digest("a"),), (), obligations)
    identifiers = examples.digest("5") if shadow.key else ""  # a model is about nobody
    return Owner(shadow, PortionDecision(shadow.domain, decision, relation, identifiers, files), rules)


def with_rules(**changes: Any) -> Callable[[Owner], Owner]:
    """A change of an owner's terms."""
    return lambda one: replace(one, rules=replace(one.rules or RULES, **changes))


def with_obligations(**changes: Any) -> Callable[[Owner], Owner]:
    """A change of what an owner's yes demands."""

    def change(one: Owner) -> Owner:
        said = one.decision.decision
        made = replace(said, obligations=replace(said.obligations or OBLIGATIONS, **changes))
        return replace(one, decision=replace(one.decision, decision=made))

    return change


@dataclass(frozen=True)
class Asked:
    """What a plan is compiled from; each member can be changed. `change` changes the first owner, `rules` are all
    owners' terms.
    """

    task: JointTask = TASK
    change: Callable[[Owner], Owner] = lambda one: one
    parties: tuple[Party, ...] = field(default_factory=lambda: tuple(party(domain) for domain in DOMAINS))
    shadows: tuple[JointShadow, ...] = SHADOWS
    reading: JointReading | None = None
    rules: JointRules = RULES
    member: str = ""

    def plan(self) -> JointPlan:
        """The joint plan."""
        reading = self.reading or read_joint(self.task.statement, self.shadows)
        by_relation = {each.shadow.relation: each for each in self.shadows}
        owners = [owner(by_relation[portion.relation], rules=self.rules) for portion in reading.portions]
        owners[0] = self.change(owners[0])
        signed = SignedRequest(request(self.task, self.member), "4" * 128)
        return compile_joint(signed, reading, owners, self.parties, MAKING)


def asked(statement: str = STATEMENT, **changes: Any) -> Asked:
    """The good request with another statement, and members of the task changed."""
    return Asked(replace(TASK, statement=statement, **changes))
