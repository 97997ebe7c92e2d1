"""`policies.decide` over drawn cases: what speaks for a case never harms it by going, and order decides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plans.constraints import Access, Constraint, Effect
from plans.decision import Decision, Outcome
from plans.manifest import Kind
from policies.api import Case, decide
from tests.policies.cases import ACCESS, USES, cases, denied
from tests.policies.cases import rules as any_rules


def without(items: tuple, number: int) -> tuple:
    return items[:number] + items[number + 1 :]


def fewer(case: Case) -> list[Case]:
    """The case with one thing taken away that can only speak for it: a manifest, policy or allowing rule."""
    smaller = [replace(case, manifests=without(case.manifests, n)) for n in range(len(case.manifests))]
    for n, policy in enumerate(case.bundle.policies):
        kept = without(case.bundle.policies, n)
        smaller.append(replace(case, bundle=replace(case.bundle, policies=kept)))
        for member in ("constraints", "access"):
            for m, rule in enumerate(getattr(policy, member)):
                if rule.effect is Effect.ALLOW:
                    cut = replace(policy, **{member: without(getattr(policy, member), m)})
                    smaller.append(replace(case, bundle=replace(case.bundle, policies=(cut, *kept))))
    return smaller


def weaker(less: Decision, more: Decision) -> bool:
    """Whether the first decision allows no more than the second, its obligations included."""
    if less.obligations is None or more.obligations is None:
        return less.obligations is None
    return less.obligations.strictest(more.obligations) == less.obligations


# A renewed grant stands before an older one in another role, or with milder obligations; so taking a *grant*
# away may change the role. It never makes a yes of a no for the roles that are left, which is tested alone below.
@given(cases())
def test_taking_a_rule_a_policy_or_a_manifest_away_never_allows_more(case: Case) -> None:
    before = decide(case)
    for smaller in fewer(case):
        assert weaker(decide(smaller), before), smaller


@given(cases())
def test_taking_a_grant_away_never_allows_more_in_the_same_role(case: Case) -> None:
    same = tuple(replace(one, grant=replace(one.grant, role="researcher")) for one in case.grants)
    case = replace(case, grants=same)
    if decide(case).outcome is Outcome.DENY:
        for number in range(len(same)):
            assert decide(replace(case, grants=without(same, number))).outcome is Outcome.DENY


@given(cases(), any_rules(), ACCESS)
def test_adding_a_prohibition_never_allows_more(case: Case, rule: Constraint, access: Access) -> None:
    before = decide(case)
    more = {
        "constraints": denied(rule.column, *rule.uses, functions=rule.functions, parties=rule.parties),
        "access": replace(access, effect=Effect.DENY),
    }
    for member, added in more.items():
        policies = tuple(replace(p, **{member: (*getattr(p, member), added)}) for p in case.bundle.policies)
        assert weaker(decide(replace(case, bundle=replace(case.bundle, policies=policies))), before)


@given(cases(), st.sampled_from(["parties", "roles", "purposes"]))
def test_an_allowing_rule_for_fewer_never_allows_more(case: Case, member: str) -> None:
    before = decide(case)
    narrow = {"parties": ("nm/uni/physics",), "roles": ("operator",), "purposes": ("another purpose",)}

    def narrower(rules: tuple) -> tuple:
        return tuple(
            replace(rule, **{member: narrow[member]})
            if rule.effect is Effect.ALLOW and getattr(rule, member) == ("any",)
            else rule
            for rule in rules
        )

    policies = tuple(
        replace(p, constraints=narrower(p.constraints), access=narrower(p.access))
        for p in case.bundle.policies
    )
    assert weaker(decide(replace(case, bundle=replace(case.bundle, policies=policies))), before)


@given(cases(masks=True), st.randoms(use_true_random=False))
def test_the_order_of_rules_classes_and_policies_decides_nothing(case: Case, chance: Any) -> None:
    def shuffled(items: tuple) -> tuple:
        return tuple(chance.sample(items, len(items)))

    policies = tuple(
        replace(p, constraints=shuffled(p.constraints), access=shuffled(p.access))
        for p in shuffled(case.bundle.policies)
    )
    turned = replace(case.bundle, policies=policies, tags=shuffled(case.bundle.tags))
    assert decide(replace(case, bundle=turned)) == decide(case)


@given(cases(), USES)
def test_using_one_more_column_never_takes_a_reason_away(case: Case, another: object) -> None:
    more = replace(case, reading=replace(case.reading, uses=(*case.reading.uses, another)))
    before, after = decide(case), decide(more)
    spoke = {
        (reason.rule, reason.subject)
        for reason in before.reasons
        if reason.rule not in ("each-plan", "after-join")
    }
    assert spoke <= {(reason.rule, reason.subject) for reason in after.reasons}


@given(cases())
def test_the_order_of_grants_and_manifests_decides_nothing(case: Case) -> None:
    turned = replace(case, grants=case.grants[::-1], manifests=case.manifests[::-1])
    assert decide(turned) == decide(case)


@given(cases())
def test_whoever_is_allowed_has_a_standing_grant_on_every_relation_and_no_identifier(case: Case) -> None:
    decision = decide(case)
    if decision.outcome is Outcome.DENY:
        return
    standing = {g.digest: g.grant for g in case.grants if g.stands(case.now)}
    used = [standing[digest] for digest in decision.grants]
    manifests = [case.manifest(relation) for relation in case.relations]
    assert {grant.dataset for grant in used} == {m.dataset for m in manifests if m}
    kinds = {(m.relation, c.name): c.kind for m in case.manifests for c in m.columns}
    assert all(kinds.get((u.relation, u.column)) is not Kind.IDENTIFIER for u in case.reading.uses)
