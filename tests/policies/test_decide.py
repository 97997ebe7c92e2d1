"""`policies.decide` as a truth table: each rule alone, rules together, what a yes demands, and what would help."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from plans.checks import Checks
from plans.constraints import Constraint, Mask, MaskKind, Reveal, Share, Tag, Tagged, Use
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.manifest import Grade, Kind
from plans.reading import Clause
from policies.api import Case, decide, short
from tests.keeper import house
from tests.policies.cases import (
    BOTH,
    GOOD,
    MANIFESTS,
    PROPERTY_GRANT,
    ROWS,
    ROWS_POLICY,
    bundle,
    denied,
    granted,
    over_rows,
    reading,
    shown,
    use,
)  # fmt: skip

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


def ruled(*constraints: Constraint, found: tuple = ()) -> Case:
    policy = replace(house.INCOME_POLICY, constraints=constraints)
    return replace(GOOD, bundle=bundle(policy), reading=reading(*found))


def rules(decision: Decision) -> list[str]:
    return [reason.rule for reason in decision.reasons]


def test_a_granted_and_allowed_use_is_allowed_and_names_its_grant_and_bundle() -> None:
    decision = decide(GOOD)
    assert decision.outcome is Outcome.ALLOW
    assert decision.reasons == () and decision.approvers == ()
    assert (decision.grants, decision.bundle_number) == ((granted().digest,), 7)
    assert decision.obligations == Obligations(10, 5, 5_000, Tier.T1, Checks(differ=10))


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
    ("column-noised", "revealed noised only", ruled(
        replace(short("income", ["avg"]), reveal=Reveal.NOISED), short("region", ["group"]))),
    ("column-reveal", "grouped and not revealed", ruled(
        short("income", ["avg"]), replace(short("region", ["group"]), reveal=Reveal.AGGREGATED))),
    ("column-use", "shown and filtered, never grouped", ruled(
        short("income", ["avg"]), shown("region", uses=(Use.SELECT, Use.FILTER)))),
    ("column-use", "a pseudonym compared under a filter", ruled(
        replace(short("region", ["filter"]), mask=Mask("region", MaskKind.PSEUDONYM, "")),
        found=(use("region", Clause.COMPARE),))),
    ("share-none", "no legal basis", replace(GOOD, bundle=bundle(replace(house.INCOME_POLICY, share=Share.NONE)))),
    ("access", "no access rule", replace(GOOD, bundle=bundle(replace(house.INCOME_POLICY, access=())))),
    ("grant-role", "a grant for an auditor", replace(
        fits_not(role="auditor"),
        bundle=bundle(replace(house.INCOME_POLICY, access=(replace(house.EVERYBODY, roles=("any",)),))))),
    ("access", "another role", fits_not(role="operator")),
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


def test_a_column_that_is_not_there_is_not_called_an_identifier() -> None:
    said = {
        name: decide(uses(use(name, Clause.MODEL))).reasons[0].sentence for name in ("id_number", "incme")
    }
    assert "identifies people" in said["id_number"] and "There is no column" in said["incme"]


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


# --- rows -----------------------------------------------------


def rows(*found: object, **changes: object) -> Case:
    """A case over rows, with another policy or other uses."""
    policy = replace(ROWS_POLICY, **changes)
    read = over_rows(*found) if found else ROWS.reading
    return replace(ROWS, bundle=bundle(policy, house.PROPERTY_POLICY), reading=read)


def test_rows_of_shown_columns_leave_whatever_the_statement_computes_with_them() -> None:
    every = [use("region", clause, "count" if clause is Clause.AGGREGATE else "") for clause in Clause]
    assert decide(rows(*every)).outcome is Outcome.ALLOW


NO_ROWS = [
    ("column-reveal", "a column for figures only", rows(use("income", Clause.SELECT))),
    ("column-reveal", "figures of it among rows", rows(
        use("region", Clause.SELECT), use("income", Clause.AGGREGATE, "avg"))),
    ("column-reveal", "a class caps what is revealed", replace(
        rows(tagged=(Tagged("region", ("capped",)),)), bundle=replace(
            rows(tagged=(Tagged("region", ("capped",)),)).bundle,
            tags=(Tag("capped", "", Grade.GENERAL_1, tuple(Use), (), Reveal.GROUPED),)))),
    ("column-reveal", "single values over ten persons", rows(constraints=(shown("region", minimum=10),))),
    ("column-use", "a forbidden filter", rows(constraints=(shown("region"), denied("region", Use.FILTER)))),
    ("column-use", "a forbidden function", rows(
        use("region", Clause.AGGREGATE, "max"),
        constraints=(shown("region"), denied("region", Use.AGGREGATE, functions=("max",))))),
    ("column-use", "seeing is forbidden", rows(
        use("region", Clause.SELECT), constraints=(shown("region"), denied("region", Use.SELECT)))),
    ("after-join", "no other relation", rows(constraints=(shown("region", Reveal.JOINED),))),
    ("access", "figures only", rows(access=(house.EVERYBODY,))),
    ("identifier", "an identifier", rows(use("id_number", Clause.SELECT))),
    ("column-use", "the person", rows(use("person", Clause.SELECT))),
    ("column-rules", "two masks", rows(constraints=(
        shown("region", Reveal.MASKED, mask=Mask("region", MaskKind.NULL, "")),
        shown("region", Reveal.MASKED, mask=Mask("region", MaskKind.LAST, "2"))))),
    ("column-rules", "a mask that does not fit", rows(constraints=(
        shown("region", Reveal.MASKED, mask=Mask("region", MaskKind.BUCKET, "10")),))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "case"), [(rule, case) for rule, _, case in NO_ROWS], ids=[f"{r}: {n}" for r, n, _ in NO_ROWS]
)
def test_one_broken_rule_keeps_rows_in_and_is_named(rule: str, case: Case) -> None:
    assert set(rules(decide(case))) == {rule}


JOINED = (
    use("region", Clause.SELECT),
    use("person", Clause.JOIN),
    use("person", Clause.JOIN, relation="tax.property"),
)
LINKED = short("person", ["join"])
"""The owner's consent to link rows by the person token."""
SHAPES = [
    ("SELECT i.region FROM tax.income AS i JOIN tax.property AS p USING (person)", True),
    ("select region from tax.income inner join tax.property using (person) where true", True),
    ("SELECT region FROM tax.income join tax.property on income.person = income.person", False),
    ("SELECT region FROM tax.income join tax.property using (person), tax.income b", False),
    ("SELECT i.region FROM tax.income i, tax.property p where i.person = p.person", False),
    ("SELECT i.region FROM tax.income i join tax.income p using (person)", False),
    ("SELECT i.region FROM tax.income AS i LEFT JOIN tax.property AS p USING (person)", False),
    ("SELECT i.region FROM tax.property AS p RIGHT/**/JOIN tax.income AS i USING (person)", False),
    ("SELECT i.region FROM tax.income AS i ANTI JOIN tax.property AS p USING (person)", False),
    (
        "SELECT region FROM tax.income UNION ALL SELECT region FROM tax.income JOIN tax.property USING (person)",
        False,
    ),
    ("WITH t AS (FROM tax.income) SELECT region FROM tax.income JOIN tax.property USING (person)", False),
    ("SELECT (SELECT max(region) FROM tax.income) FROM tax.income JOIN tax.property USING (person)", False),
]


@pytest.mark.parametrize(("text", "met"), SHAPES)
def test_values_that_are_shown_after_a_join_leave_only_where_every_row_met_another(
    text: str, met: bool
) -> None:
    after_join = replace(ROWS_POLICY, constraints=(shown("region", Reveal.JOINED), LINKED))
    other = replace(house.PROPERTY_POLICY, access=ROWS_POLICY.access, constraints=(LINKED,))
    case = replace(ROWS, bundle=bundle(after_join, other), reading=over_rows(*JOINED, text=text))
    assert rules(decide(case)) == ([] if met else ["after-join"])


def test_to_meet_a_row_about_nobody_is_to_meet_nobody() -> None:
    """A table of all codes would let every row pass."""
    after_join = replace(ROWS_POLICY, constraints=(shown("region", Reveal.JOINED),))
    other = replace(house.PROPERTY_POLICY, access=ROWS_POLICY.access, constraints=(shown("region"),))
    uses = [use("region", clause) for clause in (Clause.SELECT, Clause.JOIN)]
    text = "SELECT i.region FROM tax.income AS i JOIN tax.property AS p USING (region)"
    read = over_rows(*uses, use("region", Clause.JOIN, relation="tax.property"), text=text)
    met = replace(
        ROWS,
        bundle=bundle(after_join, other),
        reading=read,
        grants=(granted(), granted(replace(PROPERTY_GRANT, columns=("region",)), "other")),
    )
    assert rules(decide(met)) == []
    income, houses = MANIFESTS
    columns = tuple(column for column in houses.columns if column.kind is not Kind.IDENTIFIER)
    codes = replace(houses, person="", persons=0, columns=columns, files=(houses.attributes,))
    assert rules(decide(replace(met, manifests=(income, codes)))) == ["after-join"]


@pytest.mark.parametrize("consents", [(), (house.INCOME,), (house.PROPERTY,), (house.INCOME, house.PROPERTY)])
def test_rows_are_linked_by_person_only_where_each_dataset_allows_it(consents: tuple[str, ...]) -> None:
    policies = [
        replace(
            ROWS_POLICY, dataset=dataset, constraints=(shown("region"), *[LINKED] * (dataset in consents))
        )
        for dataset in (house.INCOME, house.PROPERTY)
    ]
    case = replace(ROWS, bundle=bundle(*policies), reading=over_rows(*JOINED, text=SHAPES[0][0]))
    refused = [reason.subject for reason in decide(case).reasons]
    assert refused == [
        f"tax.{dataset.rpartition('/')[2]}.person"
        for dataset in (house.INCOME, house.PROPERTY)
        if dataset not in consents
    ]


def test_a_join_with_itself_is_no_join_with_another() -> None:
    once = over_rows(*JOINED[:2], text="SELECT i.region FROM tax.income i JOIN tax.income j USING (person)")
    case = replace(rows(constraints=(shown("region", Reveal.JOINED), LINKED)), reading=once)
    assert rules(decide(case)) == ["after-join"]


# --- obligations -----------------------------------------------------


def test_the_rules_behind_a_use_ask_for_their_own_number_of_persons_and_the_mildest_of_them_counts() -> None:
    strict, mild = (replace(short("income", ["avg"]), minimum=n) for n in (50, 30))
    region = replace(short("region", ["group"]), minimum=12)
    for constraints, expected in {
        (strict, region): 50, (mild, region): 30, (strict, mild, region): 30, (short("income", ["avg"]), region): 12,
    }.items():  # fmt: skip
        decision = decide(replace(GOOD, bundle=bundle(replace(house.INCOME_POLICY, constraints=constraints))))
        assert decision.obligations is not None and decision.obligations.minimum_group == expected


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
    assert decision.obligations == Obligations(20, 5, 100, Tier.T2, Checks(differ=20))
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
    assert decision.grants and decision.obligations == Obligations(10, 5, 5_000, Tier.T1, Checks(differ=10))
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


# --- identifiers called otherwise (ATTACKS 83) -----------------------------------------------------


def test_relabelling_an_identifier_is_another_manifest() -> None:
    """ATTACKS 83: whoever calls the identifier plain has another digest, which nobody signed and no plan names."""
    honest = house.manifest()
    columns = tuple(replace(column, kind=Kind.PLAIN) for column in honest.columns)
    relabelled = replace(honest, columns=columns)
    assert relabelled.digest != honest.digest
