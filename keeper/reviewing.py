"""The desk where held outputs are reviewed: what lies there, who has said what, and when one may leave.

The rules are pure and elsewhere (`keeper.reviews`); here they meet what this keeper has verified and keeps.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keeper.held import FILES, HeldNote, HeldOutputs
from keeper.models import made_of, made_with
from keeper.reviews import Docket, Held, Standing, docket, require_sensible, visible_to
from keeper.trust import TrustedSet
from plans.errors import NotAllowed, OutputRefused, PolicyDenied, StateConflict
from plans.plan import Plan
from plans.statements import Duty, Review, Roster, Statement
from plans.tasks import models_of
from plans.verdict import Verdict
from sandbox import api as sandbox

SEE = "See `darkroom-server review list`."


@dataclass(frozen=True, slots=True)
class ReviewDesk:
    """A keeper's desk for held outputs, over what it trusts. Whoever calls holds the keeper's lock.

    `deleted` are the plans, by digest, whose held outputs the owner deleted: a launcher may still have them.
    """

    held: HeldOutputs
    trusted: TrustedSet
    deleted: set[str] = field(default_factory=set)

    def take_in(self, note: HeldNote, files: Mapping[str, bytes]) -> HeldNote:
        """Keep a held output, or return what is kept of it already.

        Raises:
            PolicyDenied: a dataset version that it was made of is erased, a model that it was made with is gone, or
                the owner has deleted it.
        """
        self.require_kept(note.plan)
        if any(self.held.find(model.plan) is None for model in models_of(note.plan.request)):
            raise PolicyDenied(
                "a kept model is gone with which a held output was made", "model", "Submit it anew."
            )
        if made_of(note.plan, self.held) & self.trusted.erased:
            raise PolicyDenied(
                "a dataset version was erased of which a held output was made", "manifest", "Submit it anew."
            )
        return self.held.keep(note, files)

    def looks_at(self, plan: str) -> bool:
        """Return whether people have had something of a plan to look at: then nothing of it leaves without them."""
        return plan in self.deleted or self.held.find(plan) is not None

    def require_kept(self, plan: Plan) -> None:
        """Refuse a plan whose held output the owner has deleted: no attempt at it comes back."""
        if plan.digest in self.deleted:
            raise PolicyDenied("the owner has deleted what this plan left", "plan", "Ask the owner.")

    def erase(self, manifest: str) -> None:
        """Remove whatever is kept of a dataset version, released or not: an answer that only people read is data."""
        for plan in made_with(self.held.all(), manifest):
            self.held.forget(plan)

    def delete(self, plan: str) -> None:
        """Remove what a plan has left here, and let it never come back."""
        self.deleted.add(plan)
        self.held.forget(plan)

    def require_open(self, statement: Statement) -> None:
        """Check that a review is about something that lies here, by somebody whose opinion is still open.

        Raises:
            NotFound: nothing of its plan is held.
            NotAllowed: the signer is no reviewer of the roster, or the output's author.
            StateConflict: it is about other bytes, is settled, or comes out of turn.
        """
        review = Review.read(dict(statement.body))
        case = self.held.case(review.plan)
        if (review.verdict, review.shown) != (case.verdict, case.shown):
            raise StateConflict(
                "the opinion is about another verdict, or other bytes than those that are shown",
                review.plan,
                "Read it again with `darkroom-server review show`.",
            )
        reviewer = self._reviewer(statement.signer)
        if reviewer == case.request.member or statement.signer == case.request.signer:
            raise NotAllowed(
                "nobody reviews their own output", "review", "Ask another reviewer of the domain."
            )
        require_sensible(self._docket(case), review, reviewer)

    def require_released(self, plan: Plan, verdict: Verdict) -> None:
        """Check that reviewers let a held output out, and that what it ran under was not taken back meanwhile.

        Raises:
            StateConflict: they have not said so yet; says what is missing and until when.
            OutputRefused: they give it back for changes, or refuse it; their comments say why.
            PolicyDenied: a grant, an approval or a dataset version was taken back.
        """
        note = self.held.get(plan.digest)
        if note.verdict != verdict:
            raise StateConflict("another verdict of this plan is held", "plan", SEE)
        found = self._docket(self.held.case(plan.digest))
        if found.standing.open:
            raise StateConflict(_waiting(found, note), "review", "Reviewers of the owning domain act next.")
        if found.standing is not Standing.RELEASED:
            raise OutputRefused(_said(found), found.standing.value, _ADVICE[found.standing])
        decision = plan.decision
        rests_on = (*(decision.grants if decision else ()), *sorted(made_of(plan, self.held)))
        if not self.trusted.standing(rests_on, note.since):
            raise PolicyDenied(
                "what the plan ran under was revoked while its output was reviewed", "grant", "Apply again."
            )

    def list(self, now: int) -> list[dict[str, Any]]:
        """Return what lies here: who asked, since when, by when, and what it waits for. No content."""
        return [self._summary(note, now) for note in self.held.all()]

    def show(self, plan: str, reviewer: str, now: int) -> dict[str, Any]:
        """Return one held output as a reviewer reads it: its content, the record, and the opinions that may be seen.

        Raises:
            NotFound: nothing of this plan is held.
            NotAllowed: the reader is no reviewer of this domain.
        """
        if reviewer not in self._roster().named(Duty.REVIEWER):
            raise NotAllowed(
                f"{reviewer} is no reviewer of this domain",
                "roster",
                "The root key's holder enrols reviewers.",
            )
        note, found = self.held.get(plan), self._docket(self.held.case(plan))
        opinions = [
            {
                "digest": opinion.digest,
                "reviewer": opinion.reviewer,
                "at": opinion.at,
                **opinion.review.plain(),
            }
            for opinion in (*visible_to(found, reviewer), *found.consolidating)
        ]
        return {
            **self._summary(note, now),
            "shown": base64.b64encode(self.held.shown(plan)).decode(),
            "review": {"verdict": note.verdict.digest, "shown": self.held.case(plan).shown},
            "record": self.held.record(plan).plain(),
            "opinions": opinions,
        }

    def _summary(self, note: HeldNote, now: int) -> dict[str, Any]:
        found, request, deadline = (
            self._docket(self.held.case(note.plan.digest)),
            note.plan.request,
            note.deadline,
        )
        return {
            "plan": note.plan.digest,
            "member": request.member if request else "",
            "project": request.project if request else "",
            "purpose": request.purpose if request else "",
            "reasons": list(note.verdict.reasons),
            "since": note.since,
            "until": deadline.day,
            "until_certain": deadline.certain,
            "overdue": deadline.overdue(now) and found.standing.open,
            "standing": found.standing.value,
            "opinions": len(found.independent),
            "missing": found.missing,
        }

    def _docket(self, case: Held) -> Docket:
        note = self.held.get(case.plan)
        obligations = note.plan.decision.obligations if note.plan.decision else None
        reviewers = obligations.checks.reviewers if obligations else 2
        return docket(case, self.trusted.reviews.get(case.plan, ()), self._roster(), reviewers)

    def _reviewer(self, key: str) -> str:
        for entry in self._roster().entries:
            if entry.key == key and entry.duty is Duty.REVIEWER:
                return entry.name
        raise NotAllowed(
            "this key is no reviewer's of this domain", "roster", "Another reviewer has to look at it."
        )

    def _roster(self) -> Roster:
        return self.trusted.in_force()[0]


_ADVICE = {
    Standing.RETURNED: "Change what the comments name, and submit it again.",
    Standing.REFUSED: "Ask the reviewers of the owning domain what could leave instead.",
}


def _waiting(found: Docket, note: HeldNote) -> str:
    until = f"until {note.deadline.day}{'' if note.deadline.certain else ' (holidays not known)'}"
    if found.standing is Standing.OPINIONS:
        return f"{found.missing} independent opinions of reviewers are missing, {until}"
    return f"the reviewers have to consolidate their opinions, {until}"


def _said(found: Docket) -> str:
    what = "give it back for changes" if found.standing is Standing.RETURNED else "do not let it out"
    return f"the reviewers {what}: {' / '.join(found.comments)}"


def files_of(home: Path, name: sandbox.StageName) -> dict[str, bytes]:
    """Return what the judging box left for the owner, still encrypted, from the launcher's folder.

    Raises:
        NotFound, EvidenceBroken: as `sandbox.open_output`.
    """
    found = {}
    for each in FILES:
        with sandbox.open_output(home, name, each) as file:
            found[each] = file.read()
    return found
