"""The word `encrypted`: it allows computations on ciphertexts and nothing else, and whoever forbids it has none.

A computation on ciphertexts (a collector's, or scores) is a joint one, so `joint` and `shared` allow it, too, and a
prohibition of either word denies it.
"""

from __future__ import annotations

from dataclasses import replace

import casbin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans.constraints import Access, Action, Effect, Reveal, Use
from plans.decision import Outcome
from plans.joint import JointTask
from plans.joint_rules import Matching, Opening
from plans.reading import Clause
from policies.access import Question, answer, answered
from policies.api import Case, decide, explain, short, views
from tests.keeper import house
from tests.policies.cases import bundle, denied, over_rows, reading, shown, use
from tests.policies.test_access import DOMAINS, RULES, plainly, policy
from tests.policies.test_joint_rules import (
    ALL,
    COLLECTED,
    COMMON,
    INSPECTED,
    LOOKUP_TASK,
    PARTS,
    READS,
    SCORED_TASK,
    TASK,
    case,
    of_model,
    rules,
)

TWO = JointTask(
    "select 1", Matching.DIFFIE_HELLMAN, Opening.INSPECTED, (), inspector="nm/tax", collector="nm/health"
)
ON_CIPHERTEXTS = (COLLECTED, TWO, SCORED_TASK)
ON_SHARES = (INSPECTED, replace(PARTS, opening=Opening.INSPECTED, inspector="nm/tax"))
OTHERS = (*ON_SHARES, COMMON, LOOKUP_TASK)
EVERYBODY = house.EVERYBODY


def may(*actions: Action) -> Access:
    return replace(EVERYBODY, actions=actions)


def may_not(*actions: Action) -> Access:
    return replace(EVERYBODY, effect=Effect.DENY, actions=actions)


# ------------------------------------------------------------------------------------------ the action

TEXTBOOK = """
[request_definition]
r = sub, role, purpose, act, now
[policy_definition]
p = party, role, purpose, act, until, eft
[role_definition]
g = _, _
g2 = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.party) && g2(r.act, p.act) && (r.role == p.role || p.role == "any") && \\
    (r.purpose == p.purpose || p.purpose == "any") && (p.until == 0 || r.now < p.until)
"""
"""Casbin as its manual has it, with a hierarchy of actions."""


def textbook(asked_of: tuple[Access, ...]) -> casbin.Enforcer:
    whole = casbin.Enforcer(casbin.Enforcer.new_model(text=TEXTBOOK))
    whole.model["p"]["p"].policy = [
        [party, role, purpose, action.value, rule.until, rule.effect.value]
        for rule in asked_of
        for party in rule.parties
        for role in rule.roles
        for purpose in rule.purposes
        for action in rule.actions
    ]
    whole.add_named_grouping_policy("g2", Action.ENCRYPTED.value, Action.JOINT.value)
    for domain in DOMAINS:
        whole.add_grouping_policy(domain, domain.rpartition("/")[0] or "any")
        whole.add_grouping_policy(f"lin@{domain}", domain)
    return whole


WORDS = st.lists(st.sampled_from([Action.QUERY, Action.JOINT, Action.ENCRYPTED]), max_size=2, unique=True)
SPEAKING = st.builds(lambda rule, words: replace(rule, actions=tuple(words)), RULES, WORDS)


@given(st.lists(SPEAKING, max_size=6), st.sampled_from(DOMAINS), st.sampled_from(["researcher", "operator"]),
       st.sampled_from([Action.JOINT, Action.ENCRYPTED, Action.QUERY]))  # fmt: skip
@settings(deadline=None)
def test_casbins_own_hierarchy_of_actions_gives_the_same(
    some: list[Access], domain: str, role: str, action: Action
) -> None:
    member = f"lin@{domain}"
    question = Question(member, role, "poverty", action, house.INCOME, 1_000)
    expected = textbook(tuple(some)).enforce(member, role, "poverty", action.value, 1_000)
    assert answered(policy(*some), question).allowed is expected
    if action is not Action.ENCRYPTED:
        assert answered(policy(*some), question) == answer(policy(*some), question)
        assert answer(policy(*some), question) == plainly(policy(*some), question)


ACCESS = [
    ((may(Action.JOINT),), True, True),
    ((may(Action.ENCRYPTED),), True, False),
    ((may(Action.JOINT, Action.ENCRYPTED),), True, True),
    ((may(Action.QUERY),), False, False),
    ((may(Action.JOINT), may_not(Action.ENCRYPTED)), False, True),
    ((may(Action.ENCRYPTED), may_not(Action.JOINT)), False, False),
    ((may(Action.JOINT, Action.ENCRYPTED), may_not(Action.JOINT)), False, False),
]


@pytest.mark.parametrize(("access", "ciphertexts", "shares"), ACCESS)
def test_a_dataset_is_computed_with_on_ciphertexts_where_neither_word_is_forbidden(
    access: tuple[Access, ...], ciphertexts: bool, shares: bool
) -> None:
    for task in ON_CIPHERTEXTS:
        assert rules(case(task, joint=ALL, access=access)) == ([] if ciphertexts else ["access"])
    for task in OTHERS:
        assert rules(case(task, joint=ALL, access=access)) == ([] if shares else ["access"])


def test_a_prohibition_of_the_word_is_what_keeps_ciphertexts_away() -> None:
    """The attack: a member asks with a collector what the owner forbids on ciphertexts. The control: without the
    prohibition it passes.
    """
    shut = case(COLLECTED, joint=ALL, access=(may(Action.JOINT), may_not(Action.ENCRYPTED)))
    (reason,) = decide(shut).reasons
    assert "forbids" in reason.sentence and "encrypted" in reason.sentence
    assert decide(case(COLLECTED, joint=ALL, access=(may(Action.JOINT),))).outcome is Outcome.ALLOW


def test_what_would_help_is_the_narrower_action() -> None:
    found = explain(case(COLLECTED, joint=ALL, access=(may(Action.QUERY),)))
    assert [(each.kind, each.action) for each in found.remedies] == [("ask-access", "encrypted")]
    assert found.complete


def test_scores_of_rows_ask_for_rows_beside_the_word() -> None:
    rows = over_rows(use("income", Clause.SELECT))
    for access, expected in (((may(Action.ENCRYPTED),), ["access"]), ((may(Action.READ_ROWS),), ["access"]),
                             ((may(Action.ENCRYPTED, Action.READ_ROWS),), [])):  # fmt: skip
        asked = case(SCORED_TASK, joint=ALL, access=access, constraints=(shown("income"),))
        assert rules(replace(asked, reading=rows)) == expected


# ------------------------------------------------------------------------------------------ the use

GROUPS = short("region", ("group", "filter"))
COLUMN = [
    (("encrypted",), (), True, False),
    (("shared",), (), True, True),
    (("avg",), (), True, True),
    (("group",), (), False, False),
    (("shared",), (Use.ENCRYPTED,), False, True),
    (("encrypted",), (Use.SHARED,), False, False),
    (("avg",), (Use.ENCRYPTED,), False, True),
    (("avg", "shared", "encrypted"), (Use.SHARED,), False, False),
]


@pytest.mark.parametrize(("words", "forbidden", "ciphertexts", "shares"), COLUMN)
def test_a_column_is_computed_with_on_ciphertexts_where_neither_word_is_forbidden(
    words: tuple[str, ...], forbidden: tuple[Use, ...], ciphertexts: bool, shares: bool
) -> None:
    constraints = [GROUPS, short("income", words), *([denied("income", *forbidden)] if forbidden else [])]
    for task, allowed in (
        *((each, ciphertexts) for each in ON_CIPHERTEXTS),
        *((each, shares) for each in OTHERS),
    ):
        asked = case(task, joint=ALL, constraints=tuple(constraints))
        assert rules(asked) == ([] if allowed else ["column-use"]), task


def test_encrypted_alone_is_no_use_for_other_statements() -> None:
    only = (GROUPS, short("income", ("encrypted",)))
    joint = case(COLLECTED, joint=ALL, constraints=only)
    plain = replace(
        joint, request=house.REQUEST, bundle=bundle(replace(house.INCOME_POLICY, constraints=only))
    )
    assert rules(joint) == [] and rules(plain) == ["column-use"]


def test_encrypted_reveals_no_group_keys_unless_the_rule_says_so() -> None:
    grouped = reading(use("income", Clause.GROUP))
    for reveal, expected in ((Reveal.AGGREGATED, ["column-use"]), (Reveal.GROUPED, [])):
        words = replace(short("income", ("encrypted",)), reveal=reveal)
        assert rules(replace(case(COLLECTED, joint=ALL, constraints=(words,)), reading=grouped)) == expected


def test_the_minimum_of_a_rule_for_ciphertexts_holds() -> None:
    words = replace(short("income", ("encrypted",)), minimum=30)
    obligations = decide(case(COLLECTED, joint=ALL, constraints=(GROUPS, words))).obligations
    assert obligations is not None and obligations.minimum_group == 30


def test_a_model_is_used_by_either_word() -> None:
    for words in (("encrypted",), ("shared",), ("encrypted", "shared")):
        both = (short("income", words), short("region", words))
        assert rules(of_model(constraints=both)) == []
        for forbidden in (Use.ENCRYPTED, Use.SHARED):
            assert rules(of_model(constraints=(*both, denied("income", forbidden)))) == ["column-use"]


# ------------------------------------------------------------------------------------------ rows that are scored


def of_applicants(task: JointTask, reveal: Reveal, *others: object, minimum: int = 0) -> Case:
    """A request whose stand-in shows incomes row by row, which may be computed with on ciphertexts only."""
    words = replace(short("income", ("encrypted",)), reveal=reveal, minimum=minimum)
    asked = case(task, joint=ALL, access=(READS,), constraints=(words, *others))
    return replace(asked, reading=over_rows(use("income", Clause.SELECT), use("income", Clause.COMPARE)))


def told(asked: Case) -> bool:
    """Whether the asker's likeness has incomes row by row."""
    seen = views(asked.request, asked.bundle, asked.manifests, asked.index, asked.now)
    (column,) = (each for each in seen[0].shadow.columns if each.name == "income")
    return column.shown


@pytest.mark.parametrize(
    ("reveal", "allowed"),
    [(Reveal.PLAIN, True), (Reveal.JOINED, False), (Reveal.GROUPED, False), (Reveal.AGGREGATED, False),
     (Reveal.NEVER, False)],
)  # fmt: skip
def test_a_column_for_ciphertexts_only_is_scored_as_far_as_its_rule_reveals(
    reveal: Reveal, allowed: bool
) -> None:
    asked = of_applicants(SCORED_TASK, reveal)
    assert told(asked) is allowed
    assert rules(asked) == ([] if allowed else ["column-reveal"])


def test_scores_show_no_row_to_any_other_request() -> None:
    assert rules(of_applicants(LOOKUP_TASK, Reveal.PLAIN)) == ["column-reveal"]
    for task in (LOOKUP_TASK, TASK, COLLECTED):
        assert not told(of_applicants(task, Reveal.PLAIN)), task
    statement = replace(of_applicants(SCORED_TASK, Reveal.PLAIN), request=house.REQUEST)
    assert not told(statement)


def test_a_rule_over_many_persons_lets_no_single_one_be_scored() -> None:
    assert rules(of_applicants(SCORED_TASK, Reveal.PLAIN, minimum=10)) == ["column-reveal"]


@pytest.mark.parametrize("forbidden", [Use.ENCRYPTED, Use.SHARED, Use.SELECT, Use.COMPARE])
def test_a_prohibition_keeps_rows_from_being_scored(forbidden: Use) -> None:
    assert rules(of_applicants(SCORED_TASK, Reveal.PLAIN, denied("income", forbidden))) == ["column-use"]
