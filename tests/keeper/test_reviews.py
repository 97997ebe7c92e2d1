"""Held outputs leave only as reviewers say: independent first, never the author, never one who has left."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper import reviews
from keeper.reviews import Docket, Held, Standing, docket
from plans import canonical
from plans.errors import StateConflict
from plans.request import Request
from plans.statements import Answer, Duty, Review, Roster, RosterEntry, Statement, Type


def key(letter: str) -> str:
    return "ed25519:" + letter * 64


def sha(letter: str) -> str:
    return "sha256:" + letter * 64


AUTHOR = "lin@nm/uni"
REQUEST = Request(AUTHOR, key("9"), "x25519:" + "9" * 64, "poverty", "research", "SELECT 1", "0" * 32, 1)
HELD = Held(sha("a"), sha("b"), sha("c"), REQUEST)
PEOPLE = {"1": "bao@nm/tax", "2": "wu@nm/tax", "3": "he@nm/tax"}
ROSTER = Roster("nm/tax", 1, tuple(RosterEntry(name, Duty.REVIEWER, key(k)) for k, name in PEOPLE.items()))
_moment = itertools.count(1_000)


def said(
    who: str, answer: Answer = Answer.RELEASE, others: tuple[Statement, ...] = (), held: Held = HELD
) -> Statement:
    """A review as its statement, signed by the holder of key `who`."""
    body = Review(
        held.plan, held.verdict, held.shown, answer, "Seen.", tuple(o.digest for o in others)
    ).plain()
    subject = canonical.digest("review", body)
    moment = next(_moment)
    return Statement(
        Type.REVIEW, "nm/tax", subject, key(who), Duty.REVIEWER, 0, moment, 0, f"{moment:032x}", body
    )


def seen(*statements: Statement, roster: Roster = ROSTER, reviewers: int = 2) -> Docket:
    return docket(HELD, statements, roster, reviewers)


def agreeing(answer: Answer = Answer.RELEASE) -> tuple[Statement, Statement, Statement]:
    one, two = said("1", answer), said("2", answer)
    return one, two, said("1", answer, (one, two))


def test_two_independent_opinions_and_a_consolidation_let_an_output_out() -> None:
    one, two, both = agreeing()
    assert [seen(*some).standing for some in ((), (one,), (one, two), (one, two, both))] == [
        Standing.OPINIONS, Standing.OPINIONS, Standing.CONSOLIDATION, Standing.RELEASED,
    ]  # fmt: skip


@pytest.mark.parametrize("answer", list(Answer))
def test_the_consolidated_answer_is_the_answer(answer: Answer) -> None:
    assert seen(*agreeing(answer)).standing.value == f"reviewers-{answer}"


def test_one_reviewer_twice_is_one_reviewer() -> None:
    one = said("1")
    assert seen(one, said("1"), said("1", others=(one,))).standing is Standing.OPINIONS


def test_the_author_never_counts_by_name_nor_by_key() -> None:
    named = Roster("nm/tax", 2, (*ROSTER.entries, RosterEntry(AUTHOR, Duty.REVIEWER, key("4"))))
    keyed = Roster("nm/tax", 2, (*ROSTER.entries, RosterEntry("gu@nm/tax", Duty.REVIEWER, key("9"))))
    for roster, who in ((named, "4"), (keyed, "9")):
        one, author = said("1"), said(who)
        assert seen(one, author, said("1", others=(one, author)), roster=roster).standing is Standing.OPINIONS
    one, other = said("1"), said("4")
    control = Roster("nm/tax", 2, (*ROSTER.entries, RosterEntry("gu@nm/tax", Duty.REVIEWER, key("4"))))
    found = seen(one, other, said("1", others=(one, other)), roster=control)
    assert found.standing is Standing.RELEASED, "control: the same opinions of somebody else do"


def test_a_reviewer_who_left_counts_no_more_and_another_is_asked() -> None:
    one, two, both = agreeing()
    without = Roster("nm/tax", 2, tuple(entry for entry in ROSTER.entries if entry.key != key("2")))
    found = seen(one, two, both, roster=without)
    assert (found.standing, found.missing) == (Standing.OPINIONS, 1)
    three = said("3")
    again = said("3", others=(one, three))
    assert seen(one, two, both, three, again, roster=without).standing is Standing.RELEASED


def test_an_approver_is_no_reviewer() -> None:
    approvers = Roster("nm/tax", 2, tuple(RosterEntry(e.name, Duty.APPROVER, e.key) for e in ROSTER.entries))
    assert seen(*agreeing(), roster=approvers).standing is Standing.OPINIONS


def test_an_opinion_about_other_bytes_another_verdict_or_plan_is_none() -> None:
    for held in (
        Held(sha("d"), sha("b"), sha("c"), REQUEST),
        Held(sha("a"), sha("d"), sha("c"), REQUEST),
        Held(sha("a"), sha("b"), sha("d"), REQUEST),
    ):
        one, two = said("1", held=held), said("2")
        assert seen(one, two, said("1", others=(one, two))).missing == 1


def test_what_reviewers_differ_about_leaves_only_if_two_sign_it() -> None:
    one, two = said("1"), said("2", Answer.REFUSE)
    mine = said("1", others=(one, two))
    assert seen(one, two, mine).standing is Standing.CONSOLIDATION
    assert seen(one, two, mine, said("1", others=(one, two))).standing is Standing.CONSOLIDATION
    assert seen(one, two, mine, said("2", others=(one, two))).standing is Standing.RELEASED
    assert seen(one, two, said("2", Answer.REFUSE, (one, two))).standing is Standing.REFUSED


def test_two_who_agree_to_refuse_are_not_overruled_by_one() -> None:
    one, two = said("1", Answer.REFUSE), said("2", Answer.REFUSE)
    assert seen(one, two, said("3", Answer.RELEASE, (one, two))).standing is Standing.CONSOLIDATION


def test_a_consolidation_that_leaves_an_opinion_out_holds_nothing() -> None:
    one, two, three = said("1"), said("2"), said("3", Answer.REFUSE)
    assert seen(one, two, three, said("1", others=(one, two))).standing is Standing.CONSOLIDATION


def test_nobody_reads_another_opinion_before_giving_the_own_one() -> None:
    one, two, both = agreeing()
    assert reviews.visible_to(seen(one), PEOPLE["2"]) == ()
    assert [o.digest for o in reviews.visible_to(seen(one), PEOPLE["1"])] == [one.digest]
    assert len(reviews.visible_to(seen(one, two), PEOPLE["3"])) == 2


def test_what_is_settled_or_said_already_is_refused_with_what_to_do() -> None:
    one, two, both = agreeing()
    for found, again, who in (
        (seen(one, two, both), said("3"), "3"),
        (seen(one), said("1"), "1"),
        (seen(one), said("1", others=(one,)), "1"),
        (seen(one, two), said("1", others=(one,)), "1"),
    ):
        with pytest.raises(StateConflict) as refused:
            reviews.require_sensible(found, Review.read(dict(again.body)), PEOPLE[who])
        assert refused.value.next_step
    reviews.require_sensible(seen(one), Review.read(dict(two.body)), PEOPLE["2"])


@given(st.lists(st.tuples(st.sampled_from("1239"), st.sampled_from(list(Answer))), max_size=8))
def test_no_history_of_independent_opinions_alone_lets_anything_out(
    history: list[tuple[str, Answer]],
) -> None:
    found = seen(*(said(who, answer) for who, answer in history))
    assert found.standing.open
    assert len(found.independent) == len({who for who, _ in history} - {"9"})


@given(st.lists(st.sampled_from(list(Answer)), min_size=0, max_size=5))
def test_the_first_answer_that_holds_stays_whatever_is_signed_afterwards(later: list[Answer]) -> None:
    one, two, both = agreeing()
    more = tuple(said("3", answer, (one, two)) for answer in later)
    assert seen(one, two, both, *more).standing is Standing.RELEASED
