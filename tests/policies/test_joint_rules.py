"""An owner's terms decide about joint computations, beside every rule that holds for other statements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from plans.checks import Checks, Mode, Privacy
from plans.constraints import ANY, Action, Constraint, Effect, Reveal, Tag, Tagged, Use
from plans.decision import Outcome
from plans.joint import JointTask, Operand, Portion
from plans.joint_rules import JointRules, Matching, Opening
from plans.manifest import Grade, Kind
from plans.reading import Clause
from plans.request import RequestKind
from policies.api import Case, decide, explain, program_of, reading_of_model, short
from tests.keeper import house
from tests.policies.cases import GOOD, MANIFESTS, bundle, over_rows, reading, shown, use

TASK = JointTask("select 1", Matching.HELPER, Opening.OBLIVIOUS, ("nm/a", "nm/b", "nm/c"), helper="nm/d")
TERMS = JointRules(
    (Matching.HELPER,), (Opening.OBLIVIOUS,), cells=100, period_days=30, sizes=True, exact=True
)
POLICY = replace(
    house.INCOME_POLICY, access=(replace(house.EVERYBODY, actions=(Action.JOINT,)),), joint=TERMS
)


def case(task: JointTask = TASK, **changes: Any) -> Case:
    """A joint request about the incomes, and a policy with changes."""
    request = replace(house.REQUEST, kind=RequestKind.JOINT, statement=task.canonical().decode())
    return replace(
        GOOD, request=request, bundle=bundle(replace(POLICY, **changes)), reading=reading(*house.READING.uses)
    )


def rules(asked: Case) -> list[str]:
    """The rules that speak against it."""
    return [reason.rule for reason in decide(asked).reasons]


def test_terms_and_the_action_allow_a_joint_computation() -> None:
    decision = decide(case())
    assert decision.outcome is Outcome.ALLOW
    assert decision.obligations is not None and decision.obligations.minimum_group == 10


INSPECTED = replace(TASK, opening=Opening.INSPECTED, inspector="nm/tax")
PARTS = replace(TASK, matching=Matching.NONE, helper="")
COLLECTED = replace(INSPECTED, matching=Matching.NONE, helper="", servers=(), collector="nm/office")
COMMON = replace(TASK, opening=Opening.INTERSECTION, servers=(), finder="nm/tax")
ALONE = replace(COMMON, matching=Matching.DIFFIE_HELLMAN, helper="")
ALL = JointRules(tuple(Matching), tuple(Opening), 100, 30, sizes=True, ciphertexts=True, members=5_000)
"""Terms that accept every form; figures leave rounded."""
NO = [
    ("joint-terms", TASK, {"joint": None}),
    ("joint-matching", TASK, {"joint": replace(TERMS, matchings=(Matching.DIFFIE_HELLMAN,))}),
    ("joint-matching", replace(TASK, matching=Matching.DIFFIE_HELLMAN, helper=""), {}),
    ("joint-opening", INSPECTED, {}),
    ("joint-opening", TASK, {"joint": replace(TERMS, openings=())}),
    ("joint-sizes", TASK, {"joint": replace(TERMS, sizes=False)}),
    ("joint-checks", TASK, {"joint": replace(TERMS, exact=False)}),
    ("joint-checks", TASK, {"checks": Checks(enterprises=3)}),
    ("joint-checks", TASK, {"checks": Checks(margins=True)}),
    ("joint-checks", TASK, {"checks": Checks(automatic=False)}),
    ("joint-matching", PARTS, {}),
    ("joint-opening", COMMON, {}),
    ("joint-sizes", COMMON, {"joint": replace(ALL, sizes=False)}),
    ("joint-ciphertexts", COLLECTED, {"joint": replace(ALL, ciphertexts=False)}),
    ("joint-ciphertexts", COLLECTED, {"joint": replace(ALL, noise_micro=500_000)}),
    ("joint-checks", PARTS, {"joint": ALL}),
    ("joint-checks", INSPECTED, {"joint": ALL, "checks": Checks(enterprises=3)}),
    ("joint-checks", INSPECTED, {"joint": ALL, "checks": Checks(automatic=False)}),
    ("joint-checks", COMMON, {"joint": ALL, "checks": Checks(automatic=False)}),
    ("access", TASK, {"access": house.INCOME_POLICY.access}),
    ("private-code", TASK, {"mode": Mode.PRIVATE, "privacy": Privacy(1_000_000, 30)}),
]


@pytest.mark.parametrize(("rule", "task", "changes"), NO)
def test_each_term_that_does_not_hold_is_named_and_explained(
    rule: str, task: JointTask, changes: dict[str, Any]
) -> None:
    assert rule in rules(case(task, **changes))
    assert rule in {line.rule for line in explain(case(task, **changes)).lines}


def test_what_would_help_is_the_action_that_is_missing() -> None:
    explanation = explain(case(access=house.INCOME_POLICY.access))
    assert [(remedy.kind, remedy.action) for remedy in explanation.remedies] == [("ask-access", "joint")]
    assert explanation.complete
    assert not explain(case(joint=None)).complete  # whether there are terms is for the owner to say


def test_figures_that_leave_with_noise_need_not_be_exact() -> None:
    assert rules(case(joint=replace(TERMS, exact=False), rounding=1)) == []
    assert rules(case(joint=replace(TERMS, exact=False, noise_micro=500_000))) == []


def test_an_inspector_rounds_figures_and_keeps_margins_so_neither_needs_exact_terms() -> None:
    terms = replace(TERMS, openings=(Opening.INSPECTED,), exact=False)
    assert rules(case(INSPECTED, joint=terms, checks=Checks(margins=True))) == []


def test_sizes_are_asked_for_only_where_somebody_learns_them() -> None:
    shy = replace(ALL, sizes=False, exact=True)
    for task, told in ((PARTS, False), (COLLECTED, False), (ALONE, False), (COMMON, True), (TASK, True)):
        assert rules(case(task, joint=shy)) == (["joint-sizes"] if told else []), task


@pytest.mark.parametrize("task", [INSPECTED, COLLECTED, COMMON, ALONE])
def test_terms_that_accept_a_form_allow_it(task: JointTask) -> None:
    assert rules(case(task, joint=ALL)) == []


def test_of_persons_in_common_there_are_no_figures_to_check() -> None:
    assert rules(case(COMMON, joint=ALL, checks=Checks(enterprises=3, margins=True))) == []


def test_each_no_says_what_to_ask_for() -> None:
    reasons = decide(case(COLLECTED, joint=replace(ALL, ciphertexts=False, noise_micro=1))).reasons
    assert [reason.rule for reason in reasons] == ["joint-ciphertexts", "joint-ciphertexts"]
    assert all("servers instead of a collector" in reason.help for reason in reasons)
    (reason,) = decide(case(PARTS, joint=ALL)).reasons
    assert "Ask for the opening inspected" in reason.help


def gapped(nulls: int, *uses: Any, **changes: Any) -> Case:
    """A case in which so many persons have no income."""
    first = MANIFESTS[0]
    columns = tuple(replace(each, nulls=nulls if each.name == "income" else 0) for each in first.columns)
    return replace(
        case(**changes), manifests=(replace(first, columns=columns), *MANIFESTS[1:]), reading=reading(*uses)
    )


AMONG_FIGURES = [use("income", Clause.AGGREGATE, function) for function in ("avg", "sum")]


@pytest.mark.parametrize("used", AMONG_FIGURES, ids=lambda each: each.function)
@pytest.mark.parametrize("task", [TASK, INSPECTED, PARTS], ids=["joined", "inspected", "parts"])
def test_how_many_have_no_value_is_told_by_no_figure_where_an_owner_forbids_it(
    task: JointTask, used: Any
) -> None:
    accepts = {"joint": replace(ALL, exact=True), "checks": Checks(missing=True)}
    (reason,) = decide(gapped(3, used, task=task, **accepts)).reasons
    assert reason.rule == "joint-checks" and "figures of income" in reason.sentence
    assert "3" not in reason.sentence
    assert "in which everybody has a value" in reason.help
    for may in (
        gapped(0, used, task=task, **accepts),
        gapped(3, used, task=task, **{**accepts, "checks": Checks()}),
        gapped(3, use("region", Clause.FILTER), use("region", Clause.GROUP), task=task, **accepts),
    ):
        assert rules(may) == []


def test_persons_in_common_are_told_whoever_has_no_value() -> None:
    assert rules(gapped(3, *AMONG_FIGURES, task=COMMON, joint=ALL, checks=Checks(missing=True))) == []


@pytest.mark.parametrize("grade", [Grade.IMPORTANT, Grade.CORE])
def test_what_is_graded_important_is_not_shared_under_the_semi_honest_model(grade: Grade) -> None:
    manifests = (replace(MANIFESTS[0], grade=grade), MANIFESTS[1])
    assert rules(replace(case(), manifests=manifests)) == ["joint-grade"]
    tags = (Tag("secret", "", grade, tuple(Use), ("avg", "sum", "count"), Reveal.GROUPED),)
    classed = case(tagged=(Tagged("income", ("secret",)),))
    assert rules(replace(classed, bundle=replace(classed.bundle, tags=tags))) == ["joint-grade"]


@pytest.mark.parametrize("task", [TASK, COLLECTED, COMMON])
@pytest.mark.parametrize("grade", Grade)
def test_from_a_grade_on_terms_must_demand_separate_administrations(grade: Grade, task: JointTask) -> None:
    """The attack: terms that let one hand open what is graded high. The controls: lower grades, and stricter terms."""
    trusting, demanding = replace(ALL, separate=False, exact=True), replace(ALL, exact=True)
    manifests = (replace(MANIFESTS[0], grade=grade), MANIFESTS[1])
    never, high = grade in (Grade.IMPORTANT, Grade.CORE), grade is Grade.GENERAL_4
    said = decide(replace(case(task, joint=trusting), manifests=manifests)).reasons
    assert {reason.rule for reason in said} == ({"joint-grade"} if never or high else set())
    assert any("separate = true" in reason.help for reason in said) is (never or high)
    said = decide(replace(case(task, joint=demanding), manifests=manifests)).reasons
    assert [reason.rule for reason in said] == (["joint-grade"] if never else [])


def test_a_class_that_is_graded_high_asks_for_separate_administrations_where_its_column_is_used() -> None:
    tags = (Tag("secret", "", Grade.GENERAL_4, tuple(Use), ("avg", "sum", "count"), Reveal.GROUPED),)
    asked = case(tagged=(Tagged("income", ("secret",)),), joint=replace(TERMS, separate=False))
    asked = replace(asked, bundle=replace(asked.bundle, tags=tags))
    assert rules(asked) == ["joint-grade"]
    assert rules(replace(asked, reading=reading(use("region", Clause.GROUP)))) == []


def test_terms_say_nothing_to_other_statements() -> None:
    asked = replace(
        GOOD, bundle=bundle(replace(house.INCOME_POLICY, joint=None)), reading=reading(*house.READING.uses)
    )
    assert rules(asked) == []


# ------------------------------------------------------------------------------------------ the use `shared`

SHARED = (short("region", ("group", "filter")), short("income", ("shared",)))


def test_shared_allows_figures_in_joint_computations_and_nowhere_else() -> None:
    joint = case(constraints=SHARED)
    assert rules(joint) == []
    plain = replace(
        joint, request=house.REQUEST, bundle=bundle(replace(house.INCOME_POLICY, constraints=SHARED))
    )
    assert rules(plain) == ["column-use"]


def test_shared_reveals_no_group_keys_unless_the_rule_says_so() -> None:
    grouped = replace(case(constraints=SHARED), reading=reading(use("income", Clause.GROUP)))
    assert rules(grouped) == ["column-use"]


def test_a_prohibition_of_shared_wins_over_what_statements_may() -> None:
    denied = Constraint("income", Effect.DENY, (ANY,), (ANY,), (ANY,), 0, (Use.SHARED,), (), Reveal.NEVER)
    both = (*house.INCOME_POLICY.constraints, denied)
    assert rules(case(constraints=both)) == ["column-use"]
    plain = replace(
        GOOD,
        bundle=bundle(replace(house.INCOME_POLICY, constraints=both)),
        reading=reading(*house.READING.uses),
    )
    assert rules(plain) == []


# ------------------------------------------------------------------------------------------ models and rows

SCORED_TASK = JointTask("select 1", Matching.NONE, Opening.SCORES, (), finder="nm/bank")
LOOKUP_TASK = replace(SCORED_TASK, opening=Opening.RECORDS)
PORTION = Portion(
    "nm/tax", "tax.income", "", "", (), (Operand('(- "income")', 0, 1, 0, False), Operand('"region"', 0, 1, 0, False)),
    'SELECT count(*) AS figure_0, sum("income") AS figure_1 FROM "tax"."income"', 1,
)  # fmt: skip


def of_model(**changes: Any) -> Case:
    """A request for scores, by a model that stands in the place of the incomes."""
    kept = tuple(column for column in house.manifest().columns if column.kind is not Kind.IDENTIFIER)
    model = replace(
        house.manifest(), person="", persons=0, columns=kept, files=(house.manifest().attributes,)
    )
    found = reading_of_model(PORTION)
    assert found is not None
    return replace(case(SCORED_TASK, joint=ALL, **changes), reading=found, manifests=(model,))


def test_a_models_decision_rests_on_sums_of_the_columns_that_the_joint_reading_names() -> None:
    asked = of_model(constraints=(short("income", ("shared",)), short("region", ("shared",))))
    assert rules(asked) == []
    assert [(each.column, each.clause, each.function) for each in asked.reading.uses] == [
        ("income", Clause.AGGREGATE, "sum"), ("region", Clause.AGGREGATE, "sum"),
    ]  # fmt: skip
    relation = program_of(asked).relations[0]
    assert not relation.about_persons and relation.columns == ("income", "region")
    assert reading_of_model(replace(PORTION, key="id_number")) is None


def test_a_coefficient_that_its_owner_does_not_share_is_refused() -> None:
    assert rules(of_model(constraints=(short("income", ("shared",)),))) == ["column-use"]
    assert rules(of_model(constraints=(short("income", ("group",)), short("region", ("shared",))))) == [
        "column-use"
    ]


READS = replace(house.EVERYBODY, actions=(Action.JOINT, Action.READ_ROWS))


def of_rows(**changes: Any) -> Case:
    """A request for records, whose stand-in shows the incomes row by row."""
    rows = over_rows(use("income", Clause.SELECT))
    return replace(case(LOOKUP_TASK, joint=ALL, **changes), reading=rows)


def test_records_leave_where_rows_may_be_read_and_the_column_is_shown() -> None:
    assert rules(of_rows(access=(READS,), constraints=(shown("income"),))) == []


def test_to_compute_jointly_is_not_to_read_rows() -> None:
    shut = of_rows(constraints=(shown("income"),))
    assert rules(shut) == ["access"]
    assert [(each.kind, each.action) for each in explain(shut).remedies] == [("ask-access", "read-rows")]
    assert rules(of_rows(access=(READS,), constraints=(short("income", ("shared",)),))) == ["column-reveal"]
    assert rules(of_rows(access=(READS,), constraints=(shown("income", Reveal.JOINED),))) == ["after-join"]


@pytest.mark.parametrize("task", [SCORED_TASK, LOOKUP_TASK])
def test_scores_and_records_ask_for_no_sizes_and_no_exact_figures(task: JointTask) -> None:
    assert rules(case(task, joint=replace(ALL, sizes=False, exact=False))) == []
    assert rules(case(task, joint=replace(ALL, openings=(Opening.INTERSECTION,)))) == ["joint-opening"]
    assert rules(case(task, joint=replace(ALL, matchings=(Matching.HELPER,)))) == ["joint-matching"]
