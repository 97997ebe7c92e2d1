"""Who may do what with a dataset: truth tables, names as attacks, and two oracles that must give the same answers."""

from __future__ import annotations

import ast
import itertools
import sys
import threading
import warnings
from dataclasses import replace

import casbin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plans.constraints import ANY, Access, Action, Effect
from plans.errors import Malformed
from plans.statements import DatasetPolicy
from policies import access
from policies.access import Answer, Question, answer, enforcer, lines, parties_of
from tests.keeper import house

MEMBER = "lin@nm/hohhot/uni"
ASKED = Question(MEMBER, "researcher", "poverty", Action.QUERY, house.INCOME, 1_000)


def allow(**changes: object) -> Access:
    """A rule that allows exactly what is asked, and what a test changes about it."""
    good = Access(Effect.ALLOW, (MEMBER,), ("researcher",), (Action.QUERY,), ("poverty",))
    return replace(good, **changes)


def deny(**changes: object) -> Access:
    return allow(effect=Effect.DENY, **changes)


def policy(*rules: Access, dataset: str = house.INCOME) -> DatasetPolicy:
    return replace(house.INCOME_POLICY, access=rules, dataset=dataset)


def allowed(*rules: Access, **asked: object) -> bool:
    return answer(policy(*rules), replace(ASKED, **asked)).allowed


# --- truth tables -----------------------------------------------------


def test_nothing_means_no() -> None:
    assert answer(policy(), ASKED) == Answer(False, (), ())
    for empty in ("parties", "roles", "actions", "purposes"):
        assert not allowed(allow(**{empty: ()})), empty


@pytest.mark.parametrize("action", Action)
@pytest.mark.parametrize(
    "role", ["researcher", "operator", "approver", "reviewer", "steward", "auditor", "administrator"]
)
def test_a_rule_allows_its_roles_and_actions_and_no_other_pair(role: str, action: Action) -> None:
    rule = allow(roles=("researcher", "operator"), actions=(Action.QUERY, Action.TRAIN))
    expected = role in ("researcher", "operator") and action in (Action.QUERY, Action.TRAIN)
    assert allowed(rule, role=role, action=action) is expected


TREE = (
    "nm",
    "nm/hohhot",
    "nm/hohhot/uni",
    "nm/hohhot/uni/lab",
    "nm/hohhot2",
    "nm/baotou",
    "nm2",
    "hohhot",
    "uni",
)


@pytest.mark.parametrize(("party", "home"), list(itertools.product(TREE, TREE)))
def test_a_party_covers_the_domains_below_it_and_none_beside_or_above_it(party: str, home: str) -> None:
    """A region's rule covers its banners because it names the subtree; a banner's covers neither region nor another."""
    below = home.split("/")[: len(party.split("/"))] == party.split("/")
    assert allowed(allow(parties=(party,)), member=f"lin@{home}") is below


def test_a_member_is_a_party_of_its_own_wherever_another_of_that_name_lives() -> None:
    rule = allow(parties=("lin@nm/hohhot",))
    assert allowed(rule, member="lin@nm/hohhot")
    for other in ("lin@nm/hohhot/uni", "lin@nm", "ling@nm/hohhot", "li@nm/hohhot", "lin@nm/hohhot2"):
        assert not allowed(rule, member=other), other


def test_no_role_inherits_another() -> None:
    """Whoever approves, audits or administers reads no data for that, and nobody is a researcher by being more."""
    assert allowed(allow())
    for role in ("approver", "administrator", "auditor", "head researcher", "researchers", ""):
        assert not allowed(allow(), role=role), role


def test_a_purpose_is_the_very_text() -> None:
    for other in ("poverty ", "Poverty", "pov", "poverty, wealth", "", "*", ".*", ANY):
        assert not allowed(allow(), purpose=other), other
    assert allowed(allow(purposes=(ANY,)), purpose="whatever")


def test_a_rule_ends_with_its_last_second() -> None:
    ends = allow(until=2_000)
    assert allowed(ends, now=1_999) and not allowed(ends, now=2_000)
    assert allowed(allow(until=0), now=2**40)
    assert allowed(allow(), deny(until=2_000), now=2_000), "a prohibition that has ended forbids nothing"


def test_a_denial_overrides_every_permission_wherever_it_stands() -> None:
    for rules in itertools.permutations([allow(), allow(parties=(ANY,)), deny(parties=("nm/hohhot",))]):
        assert not allowed(*rules)
        assert allowed(*rules, member="lin@nm/hohhot2"), "the control: another domain's prohibition"


def test_every_rule_that_speaks_is_named() -> None:
    """Casbin's own explanation names one rule at most, and none for a no without a denial."""
    rules = (
        allow(),
        deny(),
        allow(roles=("operator",)),
        allow(parties=("nm",)),
        deny(parties=(ANY,)),
        deny(until=5),
    )
    assert answer(policy(*rules), ASKED) == Answer(False, (0, 3), (1, 4))
    assert answer(policy(*rules), replace(ASKED, member="lin@ab")) == Answer(False, (), (4,))
    assert answer(policy(allow(actions=(Action.TRAIN,)), allow()), ASKED) == Answer(True, (1,), ())


def test_a_question_about_another_dataset_is_answered_no() -> None:
    for other in (house.PROPERTY, "nm/tax/income2", "nm/tax/incom", "nm/tax"):
        assert not allowed(allow(), dataset=other), other


# --- names as attacks -----------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["*", "l*@nm", "lin@*", "lin@nm/*", ".*", "lin@nm,wu@nm", "lin@nm/hohhot%2funi", "Lin@nm/hohhot/uni", "any", "",
     "lin@nm/hohhot/uni/", "lin@nm/hohhot//uni", 'lin"@nm', "lin@nm/hohhot/unі", "lin@nm\n", "lin@nm/../nm/hohhot/uni",
     "{lin}@nm"],
)  # fmt: skip
def test_a_name_that_is_none_is_refused_before_any_rule_is_asked(name: str) -> None:
    """ATTACKS 60."""
    with pytest.raises(Malformed):
        answer(policy(allow(parties=(ANY,))), replace(ASKED, member=name))
    with pytest.raises(Malformed):
        answer(policy(allow(parties=(ANY,))), replace(ASKED, dataset=name))
    if name != ANY:
        with pytest.raises(Malformed):
            allow(parties=(name,))


@pytest.mark.parametrize(
    "word",
    [
        "*",
        ".*",
        "research*",
        "^.*$",
        "researcher,operator",
        "r.sub",
        "any ",
        "ANY",
        "RESEARCHER",
        "re[s]earcher",
    ],
)
def test_a_word_with_signs_of_a_pattern_means_itself(word: str) -> None:
    """ATTACKS 60: roles and purposes are words; whatever stands in them, it is compared and never interpreted."""
    assert not allowed(allow(roles=(word,))) and not allowed(allow(purposes=(word,)))
    assert not allowed(allow(), role=word) and not allowed(allow(), purpose=word)
    assert allowed(allow(roles=(word,)), role=word) and allowed(allow(purposes=(word,)), purpose=word)
    assert not allowed(allow(roles=(f"x{word}x",)), role=word), "no part of a word is the word"


def test_the_model_names_no_pattern_function_and_no_roles() -> None:
    model = access.MODEL
    assert "Match" not in model and "g(" not in model and "[role_definition]" not in model


def test_the_matcher_that_is_parsed_once_is_the_one_that_casbin_would_parse() -> None:
    ours = enforcer([])
    theirs = casbin.Enforcer._get_expression(ours.model["m"]["m"].value, {})
    assert ast.dump(ours._get_expression("", {}).ast_parsed_value) == ast.dump(theirs.ast_parsed_value)


# --- oracles -----------------------------------------------------

DOMAINS = ("nm", "nm/hohhot", "nm/hohhot/uni", "nm/baotou")
WORDS = ("researcher", "operator", "poverty")
ACTIONS = (Action.QUERY, Action.READ_ROWS, Action.TRAIN)


def some(*values: object) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(values), max_size=3, unique=True).map(tuple)


RULES = st.builds(
    Access,
    st.sampled_from(Effect),
    some(ANY, *DOMAINS, *(f"lin@{domain}" for domain in DOMAINS)),
    some(ANY, *WORDS),
    some(*ACTIONS),
    some(ANY, *WORDS),
    st.sampled_from([0, 0, 999, 1_000, 1_001]),
)
QUESTIONS = st.builds(
    Question,
    st.sampled_from([f"{name}@{domain}" for name in ("lin", "wu") for domain in DOMAINS]),
    st.sampled_from(WORDS),
    st.sampled_from(WORDS),
    st.sampled_from(ACTIONS),
    st.sampled_from([house.INCOME, house.PROPERTY]),
    st.just(1_000),
)
POLICIES = st.lists(RULES, max_size=6).map(lambda rules: policy(*rules))


def plainly(asked_of: DatasetPolicy, question: Question) -> Answer:
    """The same rules without Casbin, in the plainest words."""
    home = question.member.partition("@")[2]

    def covers(party: str) -> bool:
        return party in (ANY, question.member) or home == party or home.startswith(party + "/")

    speaking: dict[Effect, list[int]] = {Effect.ALLOW: [], Effect.DENY: []}
    for number, rule in enumerate(asked_of.access):
        if (
            question.dataset == asked_of.dataset
            and question.action in rule.actions
            and any(covers(party) for party in rule.parties)
            and any(role in (ANY, question.role) for role in rule.roles)
            and any(purpose in (ANY, question.purpose) for purpose in rule.purposes)
            and (rule.until == 0 or question.now < rule.until)
        ):
            speaking[rule.effect].append(number)
    yes, no = speaking[Effect.ALLOW], speaking[Effect.DENY]
    return Answer(bool(yes and not no), tuple(yes), tuple(no))


@given(POLICIES, QUESTIONS)
@settings(deadline=None)
def test_casbin_over_a_few_candidates_answers_as_the_plain_rule_does(
    asked_of: DatasetPolicy, question: Question
) -> None:
    assert answer(asked_of, question) == plainly(asked_of, question)


TEXTBOOK = """
[request_definition]
r = sub, role, purpose, obj, act, now
[policy_definition]
p = party, role, purpose, obj, act, until, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.party) && (r.role == p.role || p.role == "any") && r.obj == p.obj && r.act == p.act && \\
    (r.purpose == p.purpose || p.purpose == "any") && (p.until == 0 || r.now < p.until)
"""


def textbook(*policies: DatasetPolicy) -> casbin.Enforcer:
    """Casbin as its manual has it: one enforcer with every dataset's lines, of plain words, and the tree as roles."""
    whole = casbin.Enforcer(casbin.Enforcer.new_model(text=TEXTBOOK))
    whole.model["p"]["p"].policy = [
        [party, role, purpose, each.dataset, action.value, rule.until, rule.effect.value]
        for each in policies
        for rule in each.access
        for party, role, purpose, action in itertools.product(
            rule.parties, rule.roles, rule.purposes, rule.actions
        )
    ]
    for domain in DOMAINS:
        whole.add_grouping_policy(domain, domain.rpartition("/")[0] or ANY)
        for name in ("lin", "wu"):
            whole.add_grouping_policy(f"{name}@{domain}", domain)
    return whole


@given(st.lists(RULES, max_size=4), st.lists(RULES, max_size=4), QUESTIONS)
@settings(deadline=None)
def test_casbins_own_enforcer_over_all_lines_gives_the_same(
    here: list[Access], there: list[Access], question: Question
) -> None:
    both = {p.dataset: p for p in (policy(*here), policy(*there, dataset=house.PROPERTY))}
    asked = (
        question.member,
        question.role,
        question.purpose,
        question.dataset,
        question.action.value,
        question.now,
    )
    expected = textbook(*both.values()).enforce(*asked)
    assert answer(both[question.dataset], question).allowed is expected


@given(POLICIES, QUESTIONS)
@settings(deadline=None)
def test_the_index_leaves_out_no_line_that_would_have_spoken(
    asked_of: DatasetPolicy, question: Question
) -> None:
    """All lines of all datasets in one enforcer of ours, with the same model."""
    other = policy(allow(parties=(ANY,)), deny(parties=(ANY,)), dataset="nm/tax/other")
    notes: list[int] = []
    request = (
        question.dataset,
        question.action.value,
        question.parties,
        question.role,
        question.purpose,
        question.now,
    )
    whole = enforcer([*lines(other), *lines(asked_of)]).enforce(*request, notes)
    found = answer(asked_of, question)
    assert (whole, sorted(notes)) == (found.allowed, sorted(found.allowed_by + found.denied_by))


@given(POLICIES, RULES, QUESTIONS)
@settings(deadline=None)
def test_one_more_denial_or_one_permission_less_never_allows_more(
    asked_of: DatasetPolicy, rule: Access, question: Question
) -> None:
    before = answer(asked_of, question).allowed
    denied = replace(asked_of, access=(*asked_of.access, replace(rule, effect=Effect.DENY)))
    assert before or not answer(denied, question).allowed
    for number, gone in enumerate(asked_of.access):
        if gone.effect is Effect.ALLOW:
            less = replace(asked_of, access=asked_of.access[:number] + asked_of.access[number + 1 :])
            assert before or not answer(less, question).allowed


@given(POLICIES, QUESTIONS, st.randoms())
@settings(deadline=None)
def test_the_order_of_rules_does_not_matter(
    asked_of: DatasetPolicy, question: Question, random: object
) -> None:
    rules = list(asked_of.access)
    random.shuffle(rules)  # type: ignore[attr-defined]
    assert (
        answer(replace(asked_of, access=tuple(rules)), question).allowed is answer(asked_of, question).allowed
    )


# --- threads -----------------------------------------------------


def test_an_answer_never_mixes_two_bundles_however_often_they_change_while_it_is_made() -> None:
    """The bundle is replaced again and again; every answer is wholly the one's or wholly the other's."""
    open_, shut = policy(*[allow()] * 5), policy(*[deny()] * 5, allow())
    expected = {id(open_): answer(open_, ASKED), id(shut): answer(shut, ASKED)}
    in_force, wrong, answered, stop = [open_], [], [], threading.Event()

    def ask() -> None:
        for _ in range(100):
            found = in_force[0]
            if answer(found, ASKED) != expected[id(found)]:
                wrong.append(found)
            answered.append(1)

    def reload() -> None:
        while not stop.is_set():
            in_force[0] = shut if in_force[0] is open_ else open_

    before, patience = list(warnings.filters), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    reloading, asking = threading.Thread(target=reload), [threading.Thread(target=ask) for _ in range(4)]
    [thread.start() for thread in (reloading, *asking)]
    [thread.join() for thread in asking]
    stop.set()
    reloading.join()
    sys.setswitchinterval(patience)
    assert wrong == [] and len(answered) == 400
    assert list(warnings.filters) == before, "the evaluator's filter of warnings stayed behind"


def test_the_parties_that_mean_a_member() -> None:
    assert parties_of(MEMBER) == (ANY, MEMBER, "nm/hohhot/uni", "nm/hohhot", "nm")
