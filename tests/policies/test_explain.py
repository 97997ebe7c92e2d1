"""An explanation says every reason and whose it is, and doing what it suggests makes the case pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from plans.constraints import ANY, Access, Action, Constraint, Effect, Reveal, Share, Use
from plans.decision import Outcome
from plans.manifest import Kind
from plans.reading import Clause, ColumnUse, Level
from policies.api import Case, decide, short
from policies.explain import Explanation, Remedy, RemedyKind, apply, explain
from tests.keeper import house
from tests.policies.cases import (
    BOTH,
    GOOD,
    ROWS,
    ROWS_ACCESS,
    ROWS_POLICY,
    bundle,
    cases,
    granted,
    over_rows,
    reading,
    shown,
    use,
)  # fmt: skip


def done(case: Case, remedies: tuple[Remedy, ...]) -> Case:
    for remedy in remedies:
        case = apply(remedy, case)
    return case


def policy(**changes: object) -> Case:
    return replace(GOOD, bundle=bundle(replace(house.INCOME_POLICY, **changes)))


@given(cases())
def test_doing_all_that_is_suggested_makes_any_case_pass(case: Case) -> None:
    explanation = explain(case)
    if explanation.outcome is Outcome.DENY and explanation.complete:
        assert decide(done(case, explanation.remedies)).outcome is not Outcome.DENY
    elif not explanation.complete:
        wholly_foreign = {line.rule for line in explanation.lines} & {"unknown-relation", "one-owner"}
        assert wholly_foreign or explanation.outcome is Outcome.NEEDS_APPROVAL


@given(cases())
def test_no_suggestion_can_be_spared(case: Case) -> None:
    """The smallest: leaving one remedy out leaves the case denied."""
    explanation = explain(case)
    if explanation.outcome is not Outcome.DENY or not explanation.complete:
        return
    for spared in explanation.remedies:
        rest = tuple(remedy for remedy in explanation.remedies if remedy != spared)
        assert decide(done(case, rest)).outcome is Outcome.DENY


@given(cases())
def test_every_failing_rule_has_a_line_and_the_same_case_the_same_explanation(case: Case) -> None:
    explanation = explain(case)
    assert [(line.rule, line.subject) for line in explanation.lines] == [
        (reason.rule, reason.subject) for reason in decide(case).reasons
    ]
    turned = replace(case, grants=tuple(case.grants)[::-1], manifests=case.manifests[::-1])
    assert explain(turned) == explanation


@given(cases())
def test_each_alternative_is_a_rule_under_which_the_use_is_not_refused_any_more(case: Case) -> None:
    for remedy in explain(case).alternatives:
        subject = f"{'.'.join(remedy.subject.split('/')[-2:])}.{remedy.columns[0]}"
        before = sum(reason.subject == subject for reason in decide(case).reasons)
        after = sum(reason.subject == subject for reason in decide(apply(remedy, case)).reasons)
        assert after < before


ONE = [
    ("leave out an identifier", replace(GOOD, reading=reading(use("id_number", Clause.GROUP))),
     Remedy(RemedyKind.LEAVE_OUT, "tax.income", ("id_number",), "group")),
    ("another function", replace(GOOD, reading=reading(use("income", Clause.AGGREGATE, "max"))),
     Remedy(RemedyKind.USE_INSTEAD, "tax.income", ("income",), "aggregate", "max", "avg")),
    ("a filter that is not allowed", replace(GOOD, reading=reading(use("income", Clause.FILTER))),
     Remedy(RemedyKind.LEAVE_OUT, "tax.income", ("income",), "filter")),
    ("no grant", replace(GOOD, grants=()),
     Remedy(RemedyKind.APPLY, house.INCOME, ("income", "region"), role="researcher")),
    ("a grant for an approver", replace(GOOD, grants=(granted(replace(house.GRANT, role="approver")),)),
     Remedy(RemedyKind.APPLY, house.INCOME, ("income", "region"), role="researcher")),
    ("a legal basis", policy(share=Share.NONE), Remedy(RemedyKind.ASK_BASIS, house.INCOME)),
    ("access", policy(access=()),
     Remedy(RemedyKind.ASK_ACCESS, house.INCOME, role="researcher", action="query")),
    ("a foreign relation", replace(
        BOTH,
        manifests=(house.manifest(), house.manifest("nm/health/property")),
        reading=reading(*house.READING.uses, relations=("tax.income", "health.property")),
     ),
     Remedy(RemedyKind.LEAVE_RELATION, "health.property")),
]  # fmt: skip


@pytest.mark.parametrize(("case", "expected"), [(c, r) for _, c, r in ONE], ids=[name for name, _, _ in ONE])
def test_one_broken_rule_has_one_remedy_that_works(case: Case, expected: Remedy) -> None:
    explanation = explain(case)
    assert explanation.remedies == (expected,) and explanation.complete
    assert expected.sentence.endswith((".", "…"))
    assert decide(apply(expected, case)).outcome is Outcome.ALLOW


def test_a_grant_is_asked_for_with_the_columns_that_the_rewritten_statement_needs() -> None:
    asked = reading(*house.READING.uses, use("income", Clause.FILTER), use("phone", Clause.GROUP))
    case = replace(GOOD, grants=(), reading=asked)
    (apply_for,) = (r for r in explain(case).remedies if r.kind is RemedyKind.APPLY)
    assert apply_for.columns == ("income", "region")


def test_the_owner_is_named_and_could_change_the_rule_instead() -> None:
    explanation = explain(replace(GOOD, reading=reading(use("income", Clause.FILTER))))
    assert [line.owner for line in explanation.lines] == [house.DOMAIN]
    (alternative,) = explanation.alternatives
    assert alternative.kind is RemedyKind.ASK_RULE and alternative.subject == house.INCOME


def test_a_prohibition_leaves_no_alternative() -> None:
    forbidding = Constraint("income", Effect.DENY, (ANY,), (ANY,), (ANY,), 0, (Use.FILTER,), (), Reveal.NEVER)
    case = replace(
        GOOD,
        reading=reading(use("income", Clause.FILTER)),
        bundle=bundle(replace(house.INCOME_POLICY, constraints=(forbidding, short("region", ["group"])))),
    )
    assert explain(case).alternatives == ()


def test_an_access_rule_that_forbids_is_told_apart_from_one_that_is_missing() -> None:
    forbidding = Access(Effect.DENY, (ANY,), (ANY,), (Action.QUERY,), (ANY,))
    explanation = explain(policy(access=(house.EVERYBODY, forbidding)))
    assert "forbids" in explanation.lines[0].sentence and explanation.complete


def test_rows_that_are_not_shown_are_left_out() -> None:
    hidden = replace(
        ROWS, reading=replace(ROWS.reading, uses=(*ROWS.reading.uses, use("income", Clause.SELECT)))
    )
    explanation = explain(hidden)
    assert explanation.remedies == (Remedy(RemedyKind.LEAVE_OUT, "tax.income", ("income",), "select"),)
    assert explanation.complete


# --- figures instead of rows -----------------------------------------------------

KEYED = shown("region", uses=(Use.SELECT, Use.FILTER, Use.COMPARE, Use.GROUP))
FIGURES_OF = (KEYED, short("income", ("avg", "filter")))


def rows(*uses: ColumnUse, access: tuple[Access, ...] = (house.EVERYBODY,), **changes: object) -> Case:
    """A statement over rows, of which the owner's rules allow figures."""
    policy = replace(ROWS_POLICY, access=access, constraints=FIGURES_OF)
    asked = over_rows(*(uses or (use("region", Clause.SELECT),)))
    return replace(ROWS, bundle=bundle(replace(policy, **changes)), reading=asked)


FIGURES = [
    ("rows are not allowed at all", rows(), "region, count(*) … GROUP BY region"),
    ("a column is not shown row by row",
     rows(use("region", Clause.SELECT), use("income", Clause.SELECT), access=(ROWS_ACCESS,)),
     "region, avg(income) … GROUP BY region"),
    ("neither the rows nor the column",
     rows(use("region", Clause.SELECT), use("income", Clause.SELECT), use("income", Clause.ORDER)),
     "region, avg(income) … GROUP BY region"),
    ("filters stay", rows(use("income", Clause.SELECT), use("region", Clause.FILTER), use("income", Clause.FILTER)),
     "avg(income) …"),
    ("no column at all", rows(use("region", Clause.FILTER)), "count(*) …"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("case", "shows"), [(c, s) for _, c, s in FIGURES], ids=[name for name, _, _ in FIGURES]
)
def test_who_may_have_figures_and_no_rows_is_told_to_ask_for_figures(case: Case, shows: str) -> None:
    assert {reason.rule for reason in decide(case).reasons} <= {"access", "column-reveal"}
    explanation = explain(case)
    (remedy,) = explanation.remedies
    assert remedy == Remedy(RemedyKind.ASK_FIGURES, "tax.income", instead=shows) and explanation.complete
    assert remedy.sentence == f"Ask for figures about groups instead of rows: SELECT {shows}."
    asked = apply(remedy, case)
    assert asked.reading.level is Level.CELLS and decide(asked).outcome is Outcome.ALLOW


def test_rows_that_may_not_even_be_counted_without_a_join_are_counted_as_figures() -> None:
    """Leaving every column out would not help: the relation shows nothing of itself without the join."""
    joined = replace(shown("region"), reveal=Reveal.JOINED)
    case = rows(use("region", Clause.SELECT), access=(ROWS_ACCESS,), constraints=(joined,))
    explanation = explain(case)
    assert {line.rule for line in explanation.lines} == {"after-join"} and explanation.complete
    assert [remedy.kind for remedy in explanation.remedies] == [RemedyKind.LEAVE_OUT, RemedyKind.ASK_FIGURES]
    assert decide(done(case, explanation.remedies)).outcome is Outcome.ALLOW


def test_a_grant_for_what_the_figures_need_is_asked_for_with_them() -> None:
    explanation = explain(replace(rows(), grants=()))
    assert [remedy.kind for remedy in explanation.remedies] == [RemedyKind.ASK_FIGURES, RemedyKind.APPLY]
    assert explanation.remedies[1].columns == ("region",) and explanation.complete


@pytest.mark.parametrize(
    "case",
    [
        rows(access=()),
        rows(access=(replace(house.EVERYBODY, actions=(Action.TRAIN,)),)),
        rows(constraints=(shown("region"),)),
        rows(use("income", Clause.SELECT), access=(ROWS_ACCESS,), constraints=(short("income", ("filter",)),)),
        rows(use("region", Clause.SELECT), access=(*rows().bundle.policies[0].access,
             Access(Effect.DENY, (ANY,), (ANY,), (Action.QUERY,), (ANY,)))),
    ],
    ids=["no access", "another action", "no key of groups", "no function", "figures are forbidden"],
)  # fmt: skip
def test_figures_are_not_suggested_where_they_would_be_denied_too(case: Case) -> None:
    explanation = explain(case)
    assert RemedyKind.ASK_FIGURES not in {remedy.kind for remedy in explanation.remedies}
    assert explanation.outcome is Outcome.DENY and explanation.complete


def test_nor_where_there_are_no_persons_to_have_figures_about() -> None:
    nobody = replace(
        house.manifest(),
        person="",
        persons=0,
        columns=tuple(c for c in house.manifest().columns if c.kind is not Kind.IDENTIFIER),
        files=(house.manifest().attributes,),
    )
    case = replace(rows(), manifests=(nobody,))
    assert decide(case).outcome is Outcome.DENY
    assert RemedyKind.ASK_FIGURES not in {remedy.kind for remedy in explain(case).remedies}


@given(cases())
def test_a_statement_about_groups_is_never_told_to_ask_for_figures(case: Case) -> None:
    told = RemedyKind.ASK_FIGURES in {remedy.kind for remedy in explain(case).remedies}
    assert not told or case.reading.level is Level.ROWS


def test_who_has_to_sign_is_told_where_an_approval_is_waited_for() -> None:
    explanation = explain(policy(each_plan=True))
    assert explanation.remedies[0].kind is RemedyKind.WAIT
    assert explanation.remedies[0].columns == ("bao@nm/tax", "hu@nm/tax")


def test_nothing_helps_where_the_only_relation_is_not_there() -> None:
    explanation = explain(replace(GOOD, manifests=()))
    assert not explanation.complete and explanation.remedies == ()


def test_an_allowed_case_needs_no_remedy_and_an_explanation_is_plain_data() -> None:
    assert explain(GOOD) == Explanation(Outcome.ALLOW, (), (), (), True)
    explained = explain(replace(GOOD, grants=()))
    assert Explanation.decode(explained.canonical()) == explained
