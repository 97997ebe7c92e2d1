"""What constraints mean together: the page's truth tables, and what holds for rules of any kind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.constraints import ANY, Constraint, Effect, Reveal, Tag, Tagged, Use
from plans.manifest import Column, Grade, Kind, Manifest
from plans.reading import Clause, Output, Role
from plans.statements import Bundle
from policies.columns import grade_of, grade_of_output
from policies.constraints import Asker, Effective, concerns, effective
from policies.constraints_page import ASKER, forbid, page, rule, together
from tests.keeper import house
from tests.policies.cases import TAGS, bundle, rules

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES = [
    (clause, function)
    for clause in Clause
    for function in (("avg", "sum", "count") if clause is Clause.AGGREGATE else ("",))
]
COLUMN = Column("income", "DOUBLE", "", Kind.SENSITIVE, 0)


def allowed(found: Effective) -> set[tuple[Clause, str]]:
    """Everything that figures may do with the column, and `select` if its values are shown."""
    figures = {(clause, name) for clause, name in FIGURES if found.covering(clause, name)}
    shown = {(Clause.SELECT, "")} if found.shown else set()
    return figures | shown


def test_the_page_says_what_the_rules_do() -> None:
    assert (DOCS / "constraints.md").read_text(encoding="utf-8") == page(), "run: make docs"


PARTIES = [
    ((ANY,), True),
    (("nm",), True),
    (("nm/uni",), True),
    (("lin@nm/uni",), True),
    (("nm/health", "nm/uni"), True),
    (("nm/uni/physics",), False),
    (("nm/un",), False),
    (("nm/university",), False),
    (("lin@nm",), False),
    (("li@nm/uni",), False),
    ((), False),
]


@pytest.mark.parametrize(("parties", "meant"), PARTIES)
def test_a_party_is_a_member_or_a_domain_with_all_below_it_by_whole_names(
    parties: tuple, meant: bool
) -> None:
    assert concerns(rule([Use.GROUP], parties=parties), ASKER) is meant


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"until": 1_001}, True), ({"until": 1_000}, False), ({"until": 0}, True),
        ({"roles": ("researcher",)}, True), ({"roles": ("Researcher",)}, False), ({"roles": ()}, False),
        ({"purposes": ("research on poverty",)}, True), ({"purposes": ("research",)}, False),
        ({"purposes": ()}, False),
    ],
)  # fmt: skip
def test_a_rule_counts_for_the_role_and_purpose_that_it_names_until_its_end(
    changes: dict, counts: bool
) -> None:
    assert concerns(rule([Use.GROUP], **changes), ASKER) is counts


def mean(rules: list[Constraint], tags: tuple[str, ...] = (), asker: Asker = ASKER) -> Effective:
    tagged = (Tagged("income", tags),) if tags else ()
    policy = replace(house.INCOME_POLICY, constraints=tuple(rules), tagged=tagged)
    return effective(policy, Bundle(house.DOMAIN, 1, (policy,), TAGS), COLUMN, asker)


SOME = st.lists(rules(column="income"), max_size=5)


@given(SOME, rules(column="income"))
def test_one_more_prohibition_never_allows_more_and_one_more_permission_never_less(
    some: list[Constraint], more: Constraint
) -> None:
    before, after = allowed(mean(some)), allowed(mean([*some, more]))
    assert after <= before if more.effect is Effect.DENY else before <= after


@given(SOME, st.sampled_from(["money", "pay", "unknown"]))
def test_one_more_class_never_allows_more(some: list[Constraint], tag: str) -> None:
    assert allowed(mean(some, (tag,))) <= allowed(mean(some))


@given(SOME, st.sampled_from([("parties", ("nm/uni/physics",)), ("roles", ("x",)), ("purposes", ("x",))]))
def test_a_permission_for_fewer_never_allows_more(some: list[Constraint], change: tuple) -> None:
    member, value = change
    narrow = [replace(r, **{member: value}) if r.effect is Effect.ALLOW else r for r in some]
    assert allowed(mean(narrow)) <= allowed(mean(some))


@given(st.lists(rules(column="income", masks=True), max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_rules_means_nothing(some: list[Constraint], chance: st.DataObject) -> None:
    turned = chance.sample(some, len(some))
    one, other = mean(some), mean(turned)
    assert (allowed(one), one.mask, bool(one.trouble)) == (allowed(other), other.mask, bool(other.trouble))


@given(SOME)
def test_what_is_allowed_is_allowed_by_one_rule_alone(some: list[Constraint]) -> None:
    """Uses of one rule never borrow the reveal of another."""
    denials = [each for each in some if each.effect is Effect.DENY]
    alone = [allowed(mean([each, *denials])) for each in some if each.effect is Effect.ALLOW]
    assert allowed(mean(some)) == set().union(*alone)


@given(SOME)
def test_nothing_but_what_rules_name_is_allowed(some: list[Constraint]) -> None:
    named = {use for each in some if each.effect is Effect.ALLOW for use in each.uses}
    if Use.GROUP not in named:
        assert (Clause.GROUP, "") not in allowed(mean(some))
    if not any(each.reveal.level >= Reveal.JOINED.level for each in some):
        assert not mean(some).shown


def test_a_class_above_itself_allows_nothing() -> None:
    circle = (
        Tag("one", "two", Grade.GENERAL_1, tuple(Use), ("avg",), Reveal.PLAIN),
        Tag("two", "one", Grade.GENERAL_1, tuple(Use), ("avg",), Reveal.PLAIN),
    )
    found = together([rule(Use)], circle)
    assert allowed(found) == set() and "above itself" in found.trouble


def test_a_prohibition_of_some_functions_leaves_the_others() -> None:
    found = together([rule([Use.AGGREGATE]), forbid(Use.AGGREGATE, functions=("avg",))])
    assert allowed(found) == {(Clause.AGGREGATE, "sum")}


@pytest.mark.parametrize("dataset", list(Grade))
@pytest.mark.parametrize("tag", list(Grade))
def test_the_higher_grade_wins_down_to_columns_and_up_to_outputs(dataset: Grade, tag: Grade) -> None:
    policy = replace(house.INCOME_POLICY, tagged=(Tagged("income", ("class",)),))
    with_tag = replace(bundle(policy), tags=(Tag("class", "", tag, tuple(Use), (), Reveal.PLAIN),))
    manifest = house.manifest(grade=dataset)
    highest = max(dataset, tag, key=lambda grade: grade.level)
    assert grade_of(manifest, policy, with_tag, "income") is highest
    assert grade_of(manifest, policy, with_tag, "region") is dataset
    of_both = Output("mean", "DOUBLE", Role.FIGURE, "avg", 0, ("tax.income.income", "tax.income.region"))
    assert grade_of_output(of_both, ("tax.income",), with_tag, (manifest,)) is highest


def test_an_output_of_unknown_sources_is_graded_highest_and_a_count_of_rows_as_its_dataset() -> None:
    manifests: tuple[Manifest, ...] = (house.manifest(),)
    count = Output("n", "BIGINT", Role.FIGURE, "count", 0)
    assert grade_of_output(count, ("tax.income",), bundle(), manifests) is Grade.GENERAL_3
    strange = replace(count, sources=("tax.other.x",))
    assert grade_of_output(strange, ("tax.income",), bundle(), manifests) is Grade.CORE
