"""`policies.decide` as a truth table: each rule alone, rules together, what a yes demands, and what would help."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.decision import Decision, Obligations, Outcome, Tier
from plans.manifest import Column, Kind
from plans.reading import Clause
from policies.api import Case, decide, short
from tests.keeper import house
from tests.policies.cases import BOTH, GOOD, MANIFESTS, PROPERTY_GRANT, bundle, granted, reading, use

FOREIGN = house.manifest("nm/health/visit")
OF_ANOTHER_OWNER = replace(
    GOOD,
    manifests=(FOREIGN,),
    reading=reading(use("region", Clause.GROUP, "", "health.visit"), relations=("health.visit",)),
)
INACTIVE = replace(house.INCOME_POLICY, constraints=())


def with_grant(**changes: object) -> Case:
    return replace(GOOD, grants=(granted(**changes),))


def fits_not(**changes: object) -> Case:
    return replace(GOOD, grants=(granted(replace(house.GRANT, **changes)),))


def uses(*found: object) -> Case:
    return replace(GOOD, reading=reading(*found))


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]


def test_a_granted_and_allowed_use_is_allowed_and_names_its_grant_and_bundle() -> None:
    decision = decide(GOOD)
    assert decision.outcome is Outcome.ALLOW
    assert decision.reasons == () and decision.approvers == ()
    assert (decision.grants, decision.bundle_number) == ((granted().digest,), 7)
    assert decision.obligations == Obligations(10, 5, 5_000, Tier.T1)


NO = [
    ("unknown-relation", "no dataset", replace(GOOD, manifests=())),
    ("unknown-relation", "another one", replace(GOOD, manifests=MANIFESTS[1:])),
    ("one-owner", "a foreign one", OF_ANOTHER_OWNER),
    ("no-policy", "empty bundle", replace(GOOD, bundle=replace(bundle(), policies=()))),
    ("no-policy", "policy of another dataset", replace(GOOD, bundle=bundle(house.PROPERTY_POLICY))),
    ("no-grant", "none at all", replace(GOOD, grants=())),
    ("no-grant", "another member's", fits_not(member="wu@nm/uni")),
    ("no-grant", "another signing key", fits_not(signer=house.key("other").public)),
    ("no-grant", "another recipient", fits_not(recipient=house.opening("other").public)),
    ("no-grant", "another project", fits_not(project="wealth")),
    ("no-grant", "another purpose", fits_not(purpose="research on poverty ")),
    ("no-grant", "another dataset", fits_not(dataset=house.PROPERTY)),
    ("grant-inactive", "expired this second", with_grant(not_after=GOOD.now)),
    ("grant-inactive", "not yet valid", with_grant(not_before=GOOD.now + 1)),
    ("grant-inactive", "revoked", with_grant(revoked=True)),
    ("grant-inactive", "used up", with_grant(uses_left=0)),
    ("grant-inactive", "overdrawn", with_grant(uses_left=-1)),
    ("grant-columns", "fewer columns", fits_not(columns=("income",))),
    ("grant-columns", "columns in two grants are not added up", replace(GOOD, grants=(
        granted(replace(house.GRANT, columns=("income",)), "one"),
        granted(replace(house.GRANT, columns=("region",)), "two"),
    ))),
    ("identifier", "in an aggregate", uses(use("id_number", Clause.AGGREGATE, "count"))),
    ("identifier", "in a filter", uses(use("id_number", Clause.FILTER))),
    ("identifier", "in a join", uses(use("id_number", Clause.JOIN))),
    ("identifier", "as a group", uses(use("id_number", Clause.GROUP))),
    ("identifier", "a column that nobody described", uses(use("phone", Clause.GROUP))),
    ("column-use", "a clause too many", uses(use("income", Clause.FILTER))),
    ("column-use", "an aggregated column as a group", uses(use("income", Clause.GROUP))),
    ("column-use", "a function too many", uses(use("income", Clause.AGGREGATE, "stddev"))),
    ("column-use", "no function", uses(use("income", Clause.AGGREGATE))),
    ("column-use", "a grouped column counted", uses(use("region", Clause.AGGREGATE, "count"))),
    ("column-use", "a column without a rule", replace(GOOD, bundle=bundle(INACTIVE))),
    ("column-use", "the person as a group", uses(use("person", Clause.GROUP))),
    ("column-use", "the person in a filter", uses(use("person", Clause.FILTER))),
    ("column-use", "the person summed", uses(use("person", Clause.AGGREGATE, "sum"))),
    ("column-use", "the person's mean", uses(use("person", Clause.AGGREGATE, "avg"))),
    ("column-use", "the person grouped under a count's name", uses(use("person", Clause.GROUP, "count"))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "case"), [(rule, case) for rule, _, case in NO], ids=[f"{r}: {n}" for r, n, _ in NO]
)
def test_one_broken_rule_denies_and_is_named(rule: str, case: Case) -> None:
    decision = decide(case)
    assert decision.outcome is Outcome.DENY
    assert set(rules(decision)) == {rule}
    assert decision.obligations is None and decision.grants == ()
    for reason in decision.reasons:
        assert reason.subject and reason.sentence.endswith(".") and reason.help.endswith((".", "…", "…; ")), (
            reason
        )


def test_every_broken_rule_speaks_not_only_the_first() -> None:
    case = replace(
        BOTH,
        grants=(granted(revoked=True),),
        reading=reading(
            use("id_number", Clause.GROUP),
            use("income", Clause.FILTER),
            use("region", Clause.GROUP, relation="tax.property"),
            relations=("tax.income", "tax.property", "tax.nothing"),
        ),
    )
    decision = decide(case)
    assert set(rules(decision)) == {
        "identifier",
        "column-use",
        "grant-inactive",
        "no-grant",
        "unknown-relation",
    }
    subjects = {reason.subject for reason in decision.reasons if reason.rule == "column-use"}
    assert subjects == {"tax.income.income", "tax.property.region"}


def test_the_same_reason_is_given_once() -> None:
    decision = decide(uses(use("phone", Clause.GROUP), use("phone", Clause.FILTER)))
    assert rules(decision) == ["identifier"]


def test_a_use_of_a_relation_that_the_reading_does_not_list_is_judged_as_well() -> None:
    hidden = use("id_number", Clause.GROUP, relation="tax.property")
    assert "identifier" in rules(decide(uses(*house.READING.uses, hidden)))
    assert "unknown-relation" in rules(decide(uses(*house.READING.uses, use("x", Clause.GROUP, "", "a.b"))))


@pytest.mark.parametrize(
    "clause_and_function", [("join", ""), ("aggregate", "count"), ("aggregate", "count_distinct")]
)
def test_the_person_token_joins_and_counts_without_standing_in_any_grant(
    clause_and_function: tuple[str, str],
) -> None:
    clause, function = clause_and_function
    assert decide(uses(use("person", Clause(clause), function))).outcome is Outcome.ALLOW


def test_counting_rows_needs_a_grant_though_it_uses_no_column() -> None:
    counting = replace(GOOD, reading=replace(house.READING, uses=()))
    assert decide(counting).outcome is Outcome.ALLOW
    assert rules(decide(replace(counting, grants=()))) == ["no-grant"]


# --- obligations -----------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "minimum_group", "rounding"),
    [((0, 0), 10, 5), ((25, 0), 25, 5), ((0, 50), 10, 50), ((3, 2), 10, 5)],
)
def test_an_approvers_own_obligations_can_only_be_stricter(
    asked: tuple[int, int], minimum_group: int, rounding: int
) -> None:
    body = replace(house.GRANT, minimum_group=asked[0], rounding=asked[1])
    decision = decide(replace(GOOD, grants=(granted(body),)))
    assert decision.obligations is not None
    assert (decision.obligations.minimum_group, decision.obligations.rounding) == (minimum_group, rounding)


def test_two_datasets_bring_the_strictest_of_all_obligations_and_both_grants() -> None:
    decision = decide(BOTH)
    assert decision.outcome is Outcome.ALLOW
    assert decision.obligations == Obligations(20, 5, 100, Tier.T2)
    assert decision.grants == tuple(sorted(g.digest for g in BOTH.grants))
    other_way = replace(BOTH, reading=replace(BOTH.reading, relations=BOTH.reading.relations[::-1]))
    assert decide(other_way).obligations == decision.obligations


def test_one_denied_dataset_denies_the_join() -> None:
    assert rules(decide(replace(BOTH, grants=(granted(),)))) == ["no-grant"]


# --- each plan -----------------------------------------------------

EACH_PLAN = replace(GOOD, bundle=bundle(replace(house.INCOME_POLICY, each_plan=True)))


def test_where_the_owner_approves_each_plan_the_grant_is_still_needed() -> None:
    decision = decide(EACH_PLAN)
    assert decision.outcome is Outcome.NEEDS_APPROVAL
    assert rules(decision) == ["each-plan"]
    assert decision.grants and decision.obligations == Obligations(10, 5, 5_000, Tier.T1)
    assert rules(decide(replace(EACH_PLAN, grants=()))) == ["no-grant"]


def test_the_requester_is_not_among_those_who_may_approve() -> None:
    assert decide(EACH_PLAN).approvers == ("bao@nm/tax", "hu@nm/tax")
    own = replace(EACH_PLAN, approvers=(house.MEMBER, "hu@nm/tax"))
    assert decide(own).approvers == ("hu@nm/tax",)


def test_one_of_two_datasets_is_enough_to_need_an_approval() -> None:
    policies = (house.INCOME_POLICY, replace(house.PROPERTY_POLICY, each_plan=True))
    decision = decide(replace(BOTH, bundle=bundle(*policies)))
    assert decision.outcome is Outcome.NEEDS_APPROVAL
    assert decision.reasons[0].subject == house.PROPERTY


# --- which grant -----------------------------------------------------


def test_of_two_standing_grants_the_newest_is_used_in_whatever_order_they_come() -> None:
    for names in (("one", "two"), ("two", "one")):
        old, new = granted(name=names[0]), granted(name=names[1], not_before=house.NOW + 100)
        for grants in itertools.permutations((old, new)):
            assert decide(replace(GOOD, grants=grants)).grants == (new.digest,)


def test_a_centre_that_does_not_count_uses_comes_to_the_grant_that_the_owner_uses() -> None:
    used_up, renewed = granted(name="old"), granted(name="new", not_before=house.NOW + 100)
    at_the_centre = replace(GOOD, grants=(used_up, renewed))
    at_the_owner = replace(GOOD, grants=(replace(used_up, uses_left=0), renewed))
    assert decide(at_the_centre) == decide(at_the_owner)


def test_a_grant_that_does_not_cover_the_columns_does_not_hide_one_that_does() -> None:
    narrow = granted(replace(house.GRANT, columns=("income",)), "narrow", not_before=house.NOW + 100)
    assert decide(replace(GOOD, grants=(narrow, granted()))).grants == (granted().digest,)


def test_the_smallest_gap_is_told() -> None:
    far = granted(replace(house.GRANT, columns=("other",)), "far")
    near = granted(replace(house.GRANT, columns=("region",)), "near")
    (reason,) = decide(replace(GOOD, grants=(far, near))).reasons
    assert "does not include: income." in reason.sentence


# --- what would help -----------------------------------------------------

HELPS = [
    ("no-grant", replace(GOOD, grants=()), GOOD),
    ("grant-inactive", with_grant(revoked=True), replace(GOOD, grants=(granted(revoked=True), granted(name="again")))),
    ("grant-columns", fits_not(columns=("income",)), fits_not(columns=("income", "region"))),
    ("no-policy", replace(GOOD, bundle=bundle(house.PROPERTY_POLICY)), GOOD),
    ("identifier", uses(*house.READING.uses, use("id_number", Clause.JOIN)), uses(
        *house.READING.uses, use("person", Clause.JOIN)
    )),
    ("column-use", uses(use("income", Clause.AGGREGATE, "stddev")), uses(use("income", Clause.AGGREGATE, "avg"))),
    ("unknown-relation", replace(GOOD, manifests=()), GOOD),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "before", "after"), HELPS, ids=[rule for rule, _, _ in HELPS])
def test_doing_what_the_reason_suggests_makes_it_pass(rule: str, before: Case, after: Case) -> None:
    assert rules(decide(before)) == [rule]
    assert decide(after).outcome is Outcome.ALLOW


def test_a_refused_function_is_answered_with_what_is_allowed() -> None:
    (reason,) = decide(uses(use("income", Clause.AGGREGATE, "stddev"))).reasons
    assert "in stddev()" in reason.sentence and "an aggregate (avg, sum)" in reason.sentence


# --- names that look alike (ATTACKS 60) -----------------------------------------------------


@pytest.mark.parametrize(
    "name", ["tax.incom", "Tax.income", "tax.income ", "tax.*", "tax.%", "tax/income", "income", ""]
)
def test_a_relation_is_found_by_its_whole_name_only(name: str) -> None:
    assert rules(decide(replace(GOOD, reading=reading(relations=(name,)))))[0] == "unknown-relation"


@pytest.mark.parametrize("purpose", ["", "*", ".*", "Research on poverty", "research on poverty, and more"])
def test_a_purpose_is_matched_by_its_exact_words(purpose: str) -> None:
    asked = replace(GOOD, request=replace(house.REQUEST, purpose=purpose))
    assert rules(decide(asked)) == ["no-grant"]
    assert (
        decide(replace(asked, grants=(granted(replace(house.GRANT, purpose=purpose)),))).outcome
        is Outcome.ALLOW
    )


# --- properties -----------------------------------------------------

COLUMNS = ("region", "income", "id_number", "person", "phone")
USES = st.builds(
    use,
    st.sampled_from(COLUMNS),
    st.sampled_from(list(Clause)),
    st.sampled_from(["", "avg", "sum", "count", "stddev"]),
    st.sampled_from(["tax.income", "tax.property"]),
)
GRANTS = st.builds(
    lambda body, name, columns, changes: granted(replace(body, columns=columns), name, **changes),
    st.sampled_from([house.GRANT, PROPERTY_GRANT, replace(house.GRANT, project="wealth")]),
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from([("region", "income"), ("income",), ("houses", "region")]),
    st.sampled_from([{}, {}, {"revoked": True}, {"uses_left": 0}, {"not_before": house.NOW + 5}]),
)
RULES = st.lists(
    st.builds(
        short,
        st.sampled_from(("region", "income", "houses")),
        st.lists(
            st.sampled_from(["filter", "join", "group", "avg", "sum", "count"]), max_size=5, unique=True
        ),
    ),
    max_size=3,
    unique_by=lambda rule: rule.column,
).map(tuple)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    policies = tuple(
        replace(policy, constraints=draw(RULES), each_plan=draw(st.booleans()))
        for policy in draw(st.sampled_from([(), bundle().policies, bundle().policies[:1]]))
    )
    found = draw(st.lists(USES, max_size=4))
    relations = draw(st.sampled_from([("tax.income",), ("tax.income", "tax.property"), ("tax.property",)]))
    return replace(
        GOOD,
        reading=replace(house.READING, uses=tuple(found), relations=relations),
        bundle=replace(bundle(), policies=policies),
        grants=tuple(draw(st.lists(GRANTS, max_size=4, unique_by=lambda g: g.digest))),
        manifests=draw(st.sampled_from([(), MANIFESTS, MANIFESTS[:1]])),
    )


def fewer(case: Case) -> list[Case]:
    """The case with one thing taken away that can only speak for it."""
    grants = [replace(case, grants=case.grants[:n] + case.grants[n + 1 :]) for n in range(len(case.grants))]
    manifests = [
        replace(case, manifests=case.manifests[:n] + case.manifests[n + 1 :])
        for n in range(len(case.manifests))
    ]
    smaller = []
    for n, policy in enumerate(case.bundle.policies):
        kept = case.bundle.policies[:n] + case.bundle.policies[n + 1 :]
        smaller.append(replace(case, bundle=replace(case.bundle, policies=kept)))
        for m in range(len(policy.constraints)):
            cut = replace(policy, constraints=policy.constraints[:m] + policy.constraints[m + 1 :])
            smaller.append(replace(case, bundle=replace(case.bundle, policies=(cut, *kept))))
    return grants + manifests + smaller


@given(cases())
def test_taking_a_grant_a_rule_or_a_manifest_away_never_turns_a_no_into_a_yes(case: Case) -> None:
    if decide(case).outcome is Outcome.DENY:
        for smaller in fewer(case):
            assert decide(smaller).outcome is Outcome.DENY


@given(cases(), USES)
def test_using_one_more_column_never_takes_a_reason_away(case: Case, another: object) -> None:
    more = replace(case, reading=replace(case.reading, uses=(*case.reading.uses, another)))
    before, after = decide(case), decide(more)
    spoke = {(reason.rule, reason.subject) for reason in before.reasons if reason.rule != "each-plan"}
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
    manifests = [case.manifest(relation) for relation in case.reading.relations]
    assert {grant.dataset for grant in used} == {m.dataset for m in manifests if m}
    kinds = {(m.relation, c.name): c.kind for m in case.manifests for c in m.columns}
    assert all(kinds.get((u.relation, u.column)) is not Kind.IDENTIFIER for u in case.reading.uses)


def test_relabelling_an_identifier_is_another_manifest() -> None:
    """ATTACKS 83: whoever calls the identifier plain has another digest, which nobody signed and no plan names."""
    honest = house.manifest()
    columns = tuple(replace(column, kind=Kind.PLAIN) for column in honest.columns)
    relabelled = replace(honest, columns=columns)
    assert isinstance(columns[0], Column)
    assert relabelled.digest != honest.digest
