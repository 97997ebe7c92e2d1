"""The vocabulary has a sentence in both languages for every word of the code, and says who can be given what."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from plans.constraints import Access, Action, Effect, MaskKind, Reveal, Share, Use
from plans.decision import Outcome
from plans.errors import Malformed
from plans.reading import Level
from policies import decide as deciding
from policies import explain, vocabulary
from policies.api import Case, decide
from policies.vocabulary import ROLES, Sort, about, can, page, permission, sentence
from portal import permissions
from tests.keeper import house
from tests.policies.cases import GOOD, ROWS, ROWS_POLICY, bundle, granted

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHINESE = re.compile(r"[\u4e00-\u9fff]")
RULES_OF_DECIDE = re.findall(r"^\* `([a-z-]+)`", deciding.__doc__ or "", re.MULTILINE)


def test_the_page_is_the_table() -> None:
    assert (DOCS / "vocabulary.md").read_text(encoding="utf-8") == page(), "run: make docs"


@pytest.mark.parametrize(
    ("sort", "words"),
    [
        (Sort.USE, Use), (Sort.REVEAL, Reveal), (Sort.MASK, MaskKind), (Sort.SHARE, Share), (Sort.OUTCOME, Outcome),
        (Sort.REMEDY, explain.RemedyKind), (Sort.ROLE, permissions.Role), (Sort.RULE, RULES_OF_DECIDE),
        (Sort.CALL, permissions.Action),
    ],
    ids=lambda value: str(value) if isinstance(value, Sort) else "",
)  # fmt: skip
def test_every_word_of_the_code_has_its_sentences_and_there_is_no_other(
    sort: Sort, words: Iterable[str]
) -> None:
    assert [word.word for word in about(sort)] == [str(word) for word in words]


def test_every_action_on_data_is_a_verb() -> None:
    assert {action.value for action in Action} <= {word.word for word in about(Sort.VERB)}


def test_every_word_is_explained_in_english_and_chinese_once() -> None:
    for word in vocabulary.TABLE:
        assert word.english and CHINESE.search(word.chinese), word
    pairs = [(word.sort, word.word) for word in vocabulary.TABLE]
    assert len(set(pairs)) == len(pairs)
    assert sentence(Sort.USE, "filter").chinese == "用于任意筛选条件"


def test_the_order_in_which_reasons_are_cured_knows_every_rule() -> None:
    assert set(explain._ORDER) == set(RULES_OF_DECIDE) - {"each-plan"}


# --- the grammar -----------------------------------------------------


@pytest.mark.parametrize("text", ["query:dataset", "approve:plan", "query:dataset?minimum-group&rounding"])
def test_a_permission_is_read_and_written_the_same(text: str) -> None:
    assert str(permission(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "query", "query:", ":dataset", "query:dataset?", "query:dataset?tier&", "query:dataset?&tier", "*:dataset",
        "query:*", "Query:dataset", "query:dataset ", "query:dataset\n", "query:data-set", "steal:dataset",
        "query:dataset?star", "query：dataset", "query:dataset:plan", "quеry:dataset",
    ],
)  # fmt: skip
def test_what_does_not_follow_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        permission(text)


# --- role × action × object -----------------------------------------------------

ANYTHING = Access(Effect.ALLOW, ("any",), ("any",), tuple(Action), ("any",))


def asked(role: str, level: Level) -> Case:
    """A statement under a grant for a role, where the owner's rules let everybody do everything."""
    case = GOOD if level is Level.CELLS else ROWS
    policy = house.INCOME_POLICY if level is Level.CELLS else ROWS_POLICY
    return replace(
        case,
        bundle=bundle(replace(policy, access=(ANYTHING,)), house.PROPERTY_POLICY),
        grants=(granted(replace(house.GRANT, role=role)),),
    )


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("role", [*(word.word for word in ROLES), "", "any", "Researcher", "guest"])
def test_only_roles_that_can_be_given_data_get_them_whatever_the_owners_rules_say(
    role: str, level: Level
) -> None:
    decision = decide(asked(role, level))
    action = deciding.ACTIONS[level].value
    assert (decision.outcome is Outcome.ALLOW) is can(role, action, "dataset")
    assert can(role, action, "dataset") or [reason.rule for reason in decision.reasons] == ["grant-role"]


def test_nobody_decides_about_what_they_could_read() -> None:
    """Applicant and approver, author and reviewer, administrator and reader are never one role."""
    reads = {word.word for word in ROLES if can(word.word, "query", "dataset")}
    for verb, thing in (
        ("approve", "dataset"), ("approve", "plan"), ("review", "output"), ("sign", "policies"), ("ingest", "dataset"),
        ("verify", "log"), ("run", "platform"),
    ):  # fmt: skip
        decides = {word.word for word in ROLES if can(word.word, verb, thing)}
        assert decides and not decides & reads


def test_a_word_that_is_no_role_can_be_given_nothing() -> None:
    assert not any(
        can("guest", verb.word, thing.word) for verb in vocabulary.VERBS for thing in vocabulary.OBJECTS
    )
