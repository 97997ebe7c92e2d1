"""Reviews of held outputs: who has said what, and what it comes to. Pure: statements in, a standing out.

    independent opinions, one of each reviewer, who sees nobody else's before giving the own one
        └─► a consolidation that names all of them, and is the answer

1.  An opinion counts if it is about this plan, this verdict and the very bytes that were shown; its signer is a
    reviewer of the *current* roster, so that whoever has left counts no more; and the signer is not the author,
    neither by name nor by key.
2.  Each reviewer has one independent opinion: the first. None is given once there are enough, and may be read.
3.  As many independent opinions as the owner's rules ask for (`Checks.reviewers`) come first.
4.  A consolidation names every independent opinion that counts. Where these agree, one reviewer consolidates; an
    output about which they differ leaves only if two reviewers sign the same consolidated answer.
5.  The first consolidation that holds is the answer, for good; nothing after it changes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from plans.errors import StateConflict
from plans.request import Request
from plans.statements import Answer, Duty, Review, Roster, Statement

CONSOLIDATING_WHEN_DIFFERING = 2
"""Reviewers who sign a consolidated answer where the independent opinions differ."""


class Standing(StrEnum):
    """Where a held output stands."""

    OPINIONS = "waits-for-opinions"
    CONSOLIDATION = "waits-for-consolidation"
    RELEASED = "reviewers-release"
    RETURNED = "reviewers-return"
    REFUSED = "reviewers-refuse"

    @property
    def open(self) -> bool:
        """Whether reviewers have still something to say."""
        return self in (Standing.OPINIONS, Standing.CONSOLIDATION)


_ENDS = {
    Answer.RELEASE: Standing.RELEASED,
    Answer.RETURN: Standing.RETURNED,
    Answer.REFUSE: Standing.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Held:
    """What is held: the plan, its verdict, the SHA-256 of the bytes that reviewers look at, and who asked for it."""

    plan: str
    verdict: str
    shown: str
    request: Request


@dataclass(frozen=True, slots=True)
class Opinion:
    """A review that counts: the digest of its statement, who signed it, when, and what it says."""

    digest: str
    reviewer: str
    at: int
    review: Review

    @property
    def independent(self) -> bool:
        """Whether it was given without knowing any other."""
        return not self.review.others


@dataclass(frozen=True, slots=True)
class Docket:
    """Everything that counts about one held output, and what it comes to."""

    standing: Standing
    independent: tuple[Opinion, ...]
    consolidating: tuple[Opinion, ...]
    missing: int

    @property
    def comments(self) -> tuple[str, ...]:
        """Return what its author may read once it was given back: the comments of the consolidation."""
        return tuple(opinion.review.comment for opinion in self.consolidating)


def docket(held: Held, statements: Iterable[Statement], roster: Roster, reviewers: int) -> Docket:
    """Return what reviewers have said of a held output, in the order in which they said it.

    `statements` are the verified reviews in that order; `reviewers` is how many independent opinions it takes.
    """
    counting = [found for statement in statements if (found := _opinion(held, statement, roster)) is not None]
    independent: dict[str, Opinion] = {}
    for opinion in counting:
        if opinion.independent:
            independent.setdefault(opinion.reviewer, opinion)
    opinions = tuple(independent.values())
    missing = max(0, reviewers - len(opinions))
    if missing:
        return Docket(Standing.OPINIONS, opinions, (), missing)
    names = {opinion.digest for opinion in opinions}
    consolidating = [each for each in counting if not each.independent and set(each.review.others) == names]
    settled = _settled(opinions, consolidating)
    if not settled:
        return Docket(Standing.CONSOLIDATION, opinions, tuple(consolidating), 0)
    return Docket(_ENDS[settled[0].review.answer], opinions, settled, 0)


def require_sensible(found: Docket, review: Review, reviewer: str) -> None:
    """Check, before it is believed, that an opinion says something that is still open to this reviewer.

    Raises:
        StateConflict: the output is settled, the reviewer has spoken, or a consolidation does not name all opinions.
    """
    if not found.standing.open:
        raise StateConflict(
            "reviewers have settled this output", review.plan, "See `darkroom-server review show`."
        )
    if not review.others:
        if any(opinion.reviewer == reviewer for opinion in found.independent):
            raise StateConflict(
                "you have given your independent opinion", review.plan, "Consolidate once the others have."
            )
        if found.standing is not Standing.OPINIONS:
            raise StateConflict(
                "as many independent opinions as it takes are there, and may have been read",
                review.plan,
                "Consolidate them: `darkroom-server review give --consolidate`.",
            )
        return
    if found.standing is Standing.OPINIONS:
        raise StateConflict(
            f"{found.missing} independent opinions are missing", review.plan, "Ask the other reviewers first."
        )
    if set(review.others) != {opinion.digest for opinion in found.independent}:
        raise StateConflict(
            "a consolidation names every independent opinion that counts, and no other",
            review.plan,
            "Read them again with `darkroom-server review show`, and sign anew.",
        )


def visible_to(found: Docket, reviewer: str) -> tuple[Opinion, ...]:
    """Return the opinions that a reviewer may read: none of the others' before the own one is given."""
    spoken = any(opinion.reviewer == reviewer for opinion in found.independent)
    return found.independent if spoken or found.standing is not Standing.OPINIONS else ()


def _opinion(held: Held, statement: Statement, roster: Roster) -> Opinion | None:
    review = Review.read(dict(statement.body))
    if (review.plan, review.verdict, review.shown) != (held.plan, held.verdict, held.shown):
        return None
    named = [
        entry.name
        for entry in roster.entries
        if entry.key == statement.signer and entry.duty is Duty.REVIEWER
    ]
    if not named or statement.duty is not Duty.REVIEWER:
        return None
    if statement.signer == held.request.signer or held.request.member in named:
        return None
    return Opinion(statement.digest, named[0], statement.not_before, review)


def _settled(independent: tuple[Opinion, ...], consolidating: list[Opinion]) -> tuple[Opinion, ...]:
    """Return the consolidating opinions that make an answer, the first that do, or none."""
    agree = len({opinion.review.answer for opinion in independent}) == 1
    for place, opinion in enumerate(consolidating):
        answer = opinion.review.answer
        same = {each.reviewer: each for each in consolidating[: place + 1] if each.review.answer is answer}
        if agree and answer is independent[0].review.answer:
            return (opinion,)
        needed = CONSOLIDATING_WHEN_DIFFERING if answer is Answer.RELEASE else 1
        if len(same) >= needed:
            return tuple(same.values())
    return ()
