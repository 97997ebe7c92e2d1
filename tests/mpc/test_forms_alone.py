"""Plans of two owners alone: scores by a model, lookups in a register, sums on ciphertexts; and of whom they tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from mpc.api import opened_numbers, party_plan, require_same, require_terms, told_persons
from mpc.protocols import planning
from plans.box import Entry
from plans.errors import DarkroomError, Malformed, PolicyDenied, RangeTooWide, RederivationMismatch, TooLarge
from plans.joint import JointPlan, JointReading, Operand, Portion, Score, ScoreFunction, ScoreNode, ScoreTree
from plans.joint_rules import Matching, Opening
from tests.inside.sql_cases import LIMITS
from tests.mpc.compile_cases import DOMAINS, RULES, TASK, Asked, party
from tests.mpc.form_cases import (
    ALL_RULES,
    BY_TREES,
    FORMS,
    LOOKUP,
    LOOKUP_READING,
    NOISED,
    SCORED,
    SCORED_READING,
    SHADOWS,
    THREE_PARTS,
    TREES_READING,
    TWO_OWNERS,
    formed,
)
from tests.plans.joint_forms import CIPHERTEXTS, HEALTH, OFFICE, STACKED_INSPECTED, STACKED_READING, TAX
from tests.policies.joint_cases import FROM

EVERY = dict.fromkeys(Entry, LIMITS)
ALONE = ("scored", "scored by trees", "looked up", "joined by two owners")
EACH = pytest.mark.parametrize("form", ALONE)
PLANS = {form: FORMS[form].plan() for form in ALONE}
JOINED = PLANS["joined by two owners"]


def with_portion(reading: JointReading, place: int, **changes: Any) -> JointReading:
    """The reading with another portion at a place."""
    portions = list(reading.portions)
    portions[place] = replace(portions[place], **changes)
    return replace(reading, portions=tuple(portions))


def nullable(portion: Portion) -> dict[str, Any]:
    first, *others = portion.operands
    return {"operands": (replace(first, nullable=True), *others)}


# ------------------------------------------------------------------------------------------ what cannot be

FIGURES: dict[str, Any] = {
    "opening": Opening.OBLIVIOUS, "finder": "", "servers": TASK.servers, "matching": Matching.HELPER,
    "helper": OFFICE,
}  # fmt: skip
OF_TAX: dict[str, Any] = {"inspector": HEALTH, "collector": TAX}
IMPOSSIBLE: Mapping[str, tuple[Asked, str]] = {
    "scores opened as figures": (formed(replace(SCORED, **FIGURES), SCORED_READING), "asks for scores"),
    "records opened as figures": (formed(replace(LOOKUP, **FIGURES), LOOKUP_READING), "asks for records"),
    "records opened as scores": (
        formed(replace(LOOKUP, opening=Opening.SCORES), LOOKUP_READING), "asks for records",
    ),
    "scores for the model's owner": (formed(replace(SCORED, finder=TAX), SCORED_READING), "they are nm/health's"),
    "lookups for the register's owner": (
        formed(replace(LOOKUP, finder=TAX), LOOKUP_READING), "they are nm/health's",
    ),
    "scores for a member of another domain": (
        formed(SCORED, SCORED_READING, member="wang@nm/tax"), "is no member of it",
    ),
    "lookups for a member of another domain": (
        formed(LOOKUP, LOOKUP_READING, member="wang@nm/office"), "is no member of it",
    ),
    "a condition on the register": (
        formed(LOOKUP, with_portion(LOOKUP_READING, 1, where="status = 'dead'")), "of every person that it finds",
    ),
    "a feature that may be nothing": (
        formed(SCORED, with_portion(SCORED_READING, 0, **nullable(SCORED_READING.portions[0]))), "every row has",
    ),
    "a coefficient that may be nothing": (
        formed(SCORED, with_portion(SCORED_READING, 1, **nullable(SCORED_READING.portions[1]))), "every row has",
    ),
    "more lookups than a statement has": (formed(LOOKUP, with_portion(LOOKUP_READING, 0, bound=101)), "101 persons"),
    "a collector of no rows for rows that are joined": (
        formed(replace(TWO_OWNERS, collector=OFFICE)), "by these two alone",
    ),
    "two owners and a third": (
        formed(replace(TWO_OWNERS, statement=f"select count(*) as n {FROM} join edu.pupils e using (person)")),
        "by these two alone",
    ),
    "a condition on the inspector's rows": (formed(replace(TWO_OWNERS, **OF_TAX)), "of every person that it finds"),
    "noise on ciphertexts of two owners": (formed(TWO_OWNERS, rules=NOISED), "nobody adds any"),
    "an inspector with one of two parts": (formed(STACKED_INSPECTED, STACKED_READING), "one of two parts"),
    "one of two parts as ciphertexts": (formed(CIPHERTEXTS, STACKED_READING), "one of two parts"),
}  # fmt: skip


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_what_cannot_be_computed_so_is_refused_with_what_would_help(case: str) -> None:
    asked, sentence = IMPOSSIBLE[case]
    with pytest.raises(PolicyDenied) as refused:
        asked.plan()
    assert sentence in refused.value.what and refused.value.next_step


FORGED: Mapping[str, JointPlan] = {
    "condition": replace(PLANS["looked up"], reading=IMPOSSIBLE["a condition on the register"][0].reading),
    "lookups": replace(PLANS["looked up"], reading=with_portion(LOOKUP_READING, 0, bound=101)),
    "nothing": replace(PLANS["scored"], reading=IMPOSSIBLE["a feature that may be nothing"][0].reading),
    "inspector": replace(JOINED, task=replace(JOINED.task, **OF_TAX)),
}


@pytest.mark.parametrize("case", FORGED)
def test_a_centre_that_makes_such_a_plan_gets_no_key(case: str) -> None:
    """The maker of a plan is not believed: its parties ask again (ATTACKS 72, 78)."""
    with pytest.raises((PolicyDenied, RederivationMismatch)):
        require_same(FORGED[case])


def test_the_owners_own_condition_and_a_third_part_are_allowed() -> None:
    """The control of the refusals above."""
    assert PLANS["looked up"].reading.portions[0].where and JOINED.reading.portions[0].where
    require_same(formed(CIPHERTEXTS, THREE_PARTS).plan(), ALL_RULES)
    require_same(formed(STACKED_INSPECTED, STACKED_READING, rules=NOISED).plan(), NOISED)


def test_a_centre_takes_away_the_noise_of_two_parts_and_gets_no_key() -> None:
    plan = FORMS["inspected by one of two"].plan()
    with pytest.raises(PolicyDenied, match="one of two parts"):
        require_same(replace(plan, scheme=replace(plan.scheme, noise_micro=0)))


# ------------------------------------------------------------------------------------------ boxes


def test_a_model_has_no_file_of_identifiers_and_a_register_has_one() -> None:
    def inputs(form: str, domain: str) -> list[str]:
        extract, _ = party_plan(PLANS[form], domain, EVERY).stages
        return [each.name for each in extract.inputs]

    assert inputs("scored", TAX) == ["model-v1-attributes.parquet"]
    assert inputs("looked up", TAX) == ["register-v1-attributes.parquet", "register-v1-identifiers.parquet"]


def test_identifiers_are_named_of_persons_and_of_nobody_else() -> None:
    for form, place, identifiers in (("scored", 1, "sha256:" + "5" * 64), ("looked up", 1, "")):
        decisions = list(PLANS[form].decisions)
        decisions[place] = replace(decisions[place], identifiers=identifiers)
        with pytest.raises(Malformed, match="have identifiers"):
            replace(PLANS[form], decisions=tuple(decisions))


@EACH
def test_only_who_learns_or_inspects_leaves_something_for_the_recipient(form: str) -> None:
    plan = PLANS[form]
    assert len(plan.parties) == 2
    (opener,) = plan.handing
    for own in plan.parties:
        *_, box = party_plan(plan, own.domain, EVERY).stages
        assert bool(box.outputs.names) == (own.domain == opener)


# ------------------------------------------------------------------------------------------ parameters


@EACH
def test_reasons_of_parameters_are_in_the_plan_and_made_again_by_every_party(form: str) -> None:
    plan = PLANS[form]
    assert plan.scheme.reasons == planning.reasons_of(plan.task, plan.reading) != ()
    for reasons in ((), (*plan.scheme.reasons, "and it is safe"), plan.scheme.reasons[1:]):
        with pytest.raises(RederivationMismatch, match="scheme"):
            require_same(replace(plan, scheme=replace(plan.scheme, reasons=reasons)))


def test_where_nothing_is_encrypted_there_are_no_reasons() -> None:
    for form in ("stacked", "stacked and inspected", "common", "common of two", "inspected"):
        assert FORMS[form].plan().scheme.reasons == ()
    assert FORMS["ciphertexts"].plan().scheme.reasons


def test_what_does_not_fit_is_refused_with_the_figure() -> None:
    squares = f"select var_samp(t.income) as v, count(*) as n {FROM}"
    with pytest.raises(RangeTooWide, match="bits with their sign, more than 50"):
        formed(replace(TWO_OWNERS, statement=squares)).plan()
    with pytest.raises(Malformed, match="rows: 20000000"):
        formed(SCORED, with_portion(SCORED_READING, 0, bound=20_000_000)).plan()
    with pytest.raises(TooLarge, match="100,000,000 rows"):
        formed(LOOKUP, with_portion(LOOKUP_READING, 1, bound=100_000_000)).plan()


def test_single_ranges_decide_and_not_the_widest_of_all() -> None:
    """Of incomes, small coefficients and a large constant each alone would be too wide for the other's place."""
    reading = SCORED_READING
    assert planning.largest_score(reading) == 10_000 * 10**6 + 100_000_000 * 1_000_000 + 120 * 100_000 * 10**4
    assert planning.score_decimals(reading) == 8 and planning.powers_of(reading) == (6, 0, 4)
    widest = planning.feature_cap(reading) * planning.weight_cap(reading)
    assert widest.bit_length() > 50 > planning.largest_score(reading).bit_length()


def test_two_owners_factors_are_what_each_brings_to_a_sum() -> None:
    statement = f"select h.region, corr(h.days, t.tax) as r, sum(h.days) as d {FROM} group by h.region"
    plan = formed(replace(TWO_OWNERS, statement=statement)).plan()
    reading = plan.reading
    assert [planning.own_cells(reading, place) for place in (0, 1)] == [3, 1]
    mine, theirs = (planning.factors(reading, place) for place in (0, 1))
    assert [factor.measure.value for factor in mine] == [factor.measure.value for factor in theirs]
    for total in reading.sums:
        caps = [planning.factor_cap(reading, place, planning.factor_of(total, place)) for place in (0, 1)]
        assert caps[0] * caps[1] <= planning.largest_cap(reading)


# ------------------------------------------------------------------------------------------ who is told of whom


def test_what_quotas_count_is_persons_of_whom_something_is_told() -> None:
    counted = {form: (opened_numbers(plan), told_persons(plan), plan.learner) for form, plan in PLANS.items()}
    assert counted == {
        "scored": (0, 100, HEALTH),
        "scored by trees": (0, 100, HEALTH),
        "looked up": (0, 5, HEALTH),
        "joined by two owners": (9, 1_000, HEALTH),
    }
    assert FORMS["ciphertexts"].plan().learner == "" and told_persons(FORMS["ciphertexts"].plan()) == 0


@EACH
def test_of_more_persons_than_an_owner_allows_nobody_is_told(form: str) -> None:
    plan = PLANS[form]
    few = replace(ALL_RULES, members=told_persons(plan) - 1)
    with pytest.raises(PolicyDenied, match=f"up to {told_persons(plan):,} persons"):
        replace(FORMS[form], rules=few).plan()
    require_terms(plan, replace(few, members=told_persons(plan)), TAX)
    require_terms(plan, few, HEALTH)  # its own persons


def test_the_other_owner_of_two_computes_with_ciphertexts_only_if_both_allow_it() -> None:
    for own in (HEALTH, TAX):
        with pytest.raises(PolicyDenied, match="under the key of another"):
            require_terms(JOINED, replace(ALL_RULES, ciphertexts=False), own)
    for form in ("scored", "looked up"):
        require_terms(PLANS[form], replace(ALL_RULES, ciphertexts=False), TAX)


def test_who_finds_out_who_is_in_common_needs_terms_that_tell_so_much() -> None:
    scores_only = replace(ALL_RULES, openings=(Opening.INSPECTED, Opening.SCORES))
    with pytest.raises(PolicyDenied, match="tells nobody so"):
        require_terms(JOINED, scores_only, TAX)
    with pytest.raises(PolicyDenied, match="tells nobody so"):
        replace(FORMS["joined by two owners"], rules=scores_only).plan()
    require_terms(JOINED, replace(scores_only, openings=(*scores_only.openings, Opening.INTERSECTION)), TAX)
    require_terms(JOINED, scores_only, HEALTH)  # who computes learns it of its own persons
    require_terms(FORMS["ciphertexts"].plan(), scores_only, TAX)  # nobody is matched


def test_a_register_lets_no_more_cells_of_records_leave_than_in_any_other_result() -> None:
    """Five persons with two fields each."""

    def decided(largest: int, place: int) -> JointPlan:
        plan = PLANS["looked up"]
        said = plan.decisions[place].decision
        assert said.obligations is not None
        few = replace(said, obligations=replace(said.obligations, largest_result=largest))
        decisions = list(plan.decisions)
        decisions[place] = replace(decisions[place], decision=few)
        return replace(plan, decisions=tuple(decisions))

    with pytest.raises(PolicyDenied, match="has 10 cells"):
        require_same(decided(9, 1))
    require_same(decided(10, 1))
    require_same(decided(9, 0))  # who looks up lets nothing leave but its own persons


KEPT = replace(ALL_RULES, given_away=False)
FEW = formed(SCORED, with_portion(SCORED_READING, 0, bound=2), rules=replace(KEPT, members=2))


def test_a_model_is_kept_from_whoever_gets_as_many_scores_as_it_has_unknowns() -> None:
    with pytest.raises(PolicyDenied, match="unknowns, 3"):
        replace(FORMS["scored"], rules=KEPT).plan()
    require_terms(FEW.plan(), FEW.rules, TAX)
    with pytest.raises(PolicyDenied, match="can work it out"):
        require_terms(FEW.plan(), replace(FEW.rules, members=3), TAX)  # by two plans of two rows each
    require_terms(FEW.plan(), replace(FEW.rules, members=3, given_away=True), TAX)
    require_terms(PLANS["scored"], KEPT, HEALTH)  # who has the rows gives no model away


def test_to_name_a_feature_twice_makes_no_model_safer() -> None:
    assert SCORED_READING.score is not None and FEW.reading is not None
    twice = replace(SCORED_READING.score, terms=((-1, 0), (1, 1), (1, 2)))
    asked = replace(FEW, reading=replace(FEW.reading, score=twice))
    assert asked.reading is not None and planning.unknowns(asked.reading) == 2
    with pytest.raises(PolicyDenied, match="unknowns, 2"):
        asked.plan()


def trees(*each: tuple[int, int, int]) -> JointReading:
    """A score by trees of two levels, which ask these features: at the root, below no, below yes."""
    coefficients = iter(range(7 * len(each)))
    made = []
    for asked in each:
        root, low, high = (ScoreNode(feature, next(coefficients), (1, 5)) for feature in asked)
        made.append(ScoreTree(root, low, high, tuple(next(coefficients) for _ in range(4))))
    (rows, model), numbers = (
        TREES_READING.portions,
        tuple(Operand("x", -9, 9, 0, False) for _ in range(7 * len(each))),
    )
    score = Score("score", ScoreFunction.LINEAR, (), 0, tuple(made))
    few = replace(rows, bound=2)
    return replace(TREES_READING, portions=(few, replace(model, operands=numbers)), score=score)


def test_trees_have_as_many_unknowns_as_rows_may_come_to_leaves_that_differ() -> None:
    """Thresholds count for nothing, for as many scores of rows on both sides of each tell them, too; and trees that ask
    the same count once, for they may be one.
    """
    assert planning.unknowns(TREES_READING) == 3
    assert planning.unknowns(trees((0, 1, 1))) == 4
    assert planning.unknowns(trees((0, 1, 1), (1, 0, 0))) == 7
    assert planning.unknowns(trees((0, 1, 1), (0, 1, 1))) == 4
    with pytest.raises(PolicyDenied, match="unknowns, 3"):
        formed(BY_TREES, TREES_READING, rules=KEPT).plan()
    few = with_portion(TREES_READING, 0, bound=2)
    formed(BY_TREES, few, rules=replace(KEPT, members=2)).plan()
    with pytest.raises(PolicyDenied, match="unknowns, 3"):
        formed(BY_TREES, few, rules=replace(KEPT, members=3)).plan()


def test_a_score_counts_for_as_many_leaves_as_it_has_room_for() -> None:
    """ATTACKS 98: leaves of one digit, and of tens and more, stand side by side in one sum."""
    reading = trees((0, 1, 1), (1, 0, 0))
    assert planning.told_by_score(reading) == 1
    fine = tuple(
        replace(each, low=0, decimals=2 if n < 7 else 0)
        for n, each in enumerate(reading.portions[1].operands)
    )
    assert reading.score is not None
    told = with_portion(replace(reading, score=replace(reading.score, decimals=2)), 1, operands=fine)
    assert planning.told_by_score(told) == 2


def test_answers_are_asked_for_once_and_within_what_a_feature_may_be() -> None:
    assert planning.bits_of(TREES_READING) == ((0, 30), (0, 45), (0, 60), (1, 99_950), (1, 500_000))
    twice = trees((0, 0, 0))
    assert planning.bits_of(twice) == ((0, 1), (0, 5))
    node = ScoreNode(0, 2, (-10, 9_995, 50_000))  # of one decimal, of a feature between 0 and 120
    assert [planning.cut_of(TREES_READING, node, value) for value in node.values] == [0, 121, 121]
    assert [planning.cut_of(TREES_READING, node, value) for value in (10, 11, 19, 20)] == [1, 2, 2, 2]


@EACH
def test_two_owners_alone_may_be_one_hand(form: str) -> None:
    same = tuple(party(domain, administration="one hall") for domain in DOMAINS)
    plan = replace(FORMS[form], parties=same).plan()
    assert plan.decisions and ALL_RULES.separate
    assert any("have the same administrators" in line for line in plan.trust.collusions)


@EACH
def test_an_owner_whose_terms_speak_of_figures_alone_tells_nothing_of_persons(form: str) -> None:
    with pytest.raises(DarkroomError):
        require_terms(PLANS[form], replace(RULES, ciphertexts=True), TAX)


def test_shadows_of_all_forms_are_of_relations_that_some_form_asks() -> None:
    asked = {portion.relation for form in FORMS.values() for portion in form.plan().reading.portions}
    assert {"tax.model", "tax.register"} <= asked <= {each.shadow.relation for each in SHADOWS}
