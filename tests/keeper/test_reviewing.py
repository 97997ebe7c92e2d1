"""A held output at a real keeper leaves when reviewers of its roster say so, and then it is what they read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from keeper.config import KeeperConfig
from keys import api as keys
from plans.box import Entry
from plans.errors import DarkroomError, NotAllowed, NotFound, OutputRefused, PolicyDenied, StateConflict
from plans.handover import handover, padded
from plans.inspection import Inspection
from plans.release import Release
from plans.released import Note, Released
from plans.statements import Answer, Duty, Review, RosterEntry, Signed, StageOutput, StageRecord, Type
from plans.verdict import Finding, Verdict
from policies import api as policies
from sandbox import api as sandbox
from sandbox.shelf import output_path
from tests.keeper import house
from tests.keeper.people import weighed

ONE, TWO = "gao@nm/tax", "wen@nm/tax"
ENTRIES = (
    *house.ENTRIES,
    RosterEntry(ONE, Duty.REVIEWER, house.key(ONE).public),
    RosterEntry(TWO, Duty.REVIEWER, house.key(TWO).public),
    RosterEntry(house.MEMBER, Duty.REVIEWER, house.key("member").public),
)
SEALED = b"what only the recipient opens"


class Desk:
    """A keeper to which one plan's judging box has given a held output."""

    def __init__(self, settings: KeeperConfig) -> None:
        self.settings, self.clock = settings, house.Clock()
        self.keeper = house.start(settings, self.clock)
        self.granted = house.grant()
        house.believe(
            self.keeper,
            *house.house_statements(self.granted),
            house.roster(2, ENTRIES),
            house.bundle(number=3),
        )
        self.plan = house.plan(self.keeper.trusted)
        weighed(self.keeper, self.plan)
        shown = Released(self.plan.digest, (), (), (Note("held", "A person looks at it."),), "7" * 32)
        self.shown = shown.canonical()
        sealed = "sha256:" + hashlib.sha256(SEALED).hexdigest()
        self.verdict = Verdict(
            self.plan.digest, Finding.HELD, ("held",), house.digest("judged"), shown.digest, sealed
        )
        record = Inspection(self.plan.digest, Finding.HELD, "region", ())
        self.files = {policies.HELD: SEALED, policies.SHOWN: self.shown, policies.RECORD: record.canonical()}
        for name, content in self.files.items():
            self._leave(name, content)

    def _leave(self, name: str, content: bytes) -> None:
        """Lay a file where the launcher collects what the judging box wrote."""
        key = self.keeper.keyring.stage_key(self.plan.digest, 1, name)
        home = self.settings.launcher_home
        path = output_path(home, sandbox.StageName(self.plan.digest, Entry.JUDGE, 1), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(keys.encrypt(key, padded(content), handover(self.plan, 1, name)))

    def records(self) -> tuple[Signed, ...]:
        *before, judge = house.records(self.plan, self.verdict)
        outputs = tuple(StageOutput(name, house.digest(name), 100) for name in self.files)
        return house.chain((*before, replace(judge, outputs=outputs)))

    def release(self) -> Release:
        return Release.read(self.keeper.release(self.plan, self.records()).statement.body)

    def review(
        self, who: str, answer: Answer = Answer.RELEASE, others: tuple[Signed, ...] = (), **changes: str
    ) -> Signed:
        """A reviewer's signed opinion; not handed in yet."""
        shown = "sha256:" + hashlib.sha256(self.shown).hexdigest()
        body = Review(
            self.plan.digest, self.verdict.digest, shown, answer, "Read it.",
            tuple(other.statement.digest for other in others),
        )  # fmt: skip
        self.clock.now += 1
        return house.signed(
            Type.REVIEW, Duty.REVIEWER, replace(body, **changes), who, not_before=int(self.clock.now)
        )

    def agree(self, answer: Answer = Answer.RELEASE) -> None:
        one, two = self.review(ONE, answer), self.review(TWO, answer)
        house.believe(self.keeper, one, two)
        house.believe(self.keeper, self.review(ONE, answer, (one, two)))


@pytest.fixture
def desk(settings: KeeperConfig) -> Desk:
    return Desk(settings)


def test_a_held_output_waits_and_leaves_as_it_was_read(desk: Desk) -> None:
    with pytest.raises(StateConflict, match="2 independent opinions"):
        desk.release()
    assert desk.keeper.held_key(desk.plan.digest) == "", "no key before reviewers have said so"
    desk.agree()
    release = desk.release()
    assert (release.content, release.sealed) == (desk.verdict.content, desk.verdict.sealed)
    key = bytes.fromhex(desk.keeper.held_key(desk.plan.digest))
    name = sandbox.StageName(desk.plan.digest, Entry.JUDGE, 1)
    path = output_path(desk.settings.launcher_home, name, policies.HELD)
    opened = keys.decrypt(key, path.read_bytes(), handover(desk.plan, 1, policies.HELD))
    assert SEALED in opened
    shown = path.with_name(policies.SHOWN).read_bytes()
    with pytest.raises(DarkroomError):
        keys.decrypt(key, shown, handover(desk.plan, 1, policies.SHOWN))


def test_it_is_the_same_release_after_a_restart(desk: Desk) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    desk.agree()
    first = desk.release()
    desk.keeper = house.start(desk.settings, desk.clock)
    assert desk.release() == first and desk.keeper.held_key(desk.plan.digest)


def test_reviews_and_what_is_held_survive_a_restart_and_a_swept_launcher(desk: Desk) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    one = desk.review(ONE)
    house.believe(desk.keeper, one)
    collected = desk.settings.launcher_home / "collected"
    collected.rename(desk.settings.launcher_home / "swept")
    desk.keeper = house.start(desk.settings, desk.clock)
    (held,) = desk.keeper.reviews.list(int(desk.clock.now))
    assert (held["opinions"], held["missing"], held["member"]) == (1, 1, house.MEMBER)
    two = desk.review(TWO)
    house.believe(desk.keeper, two, desk.review(TWO, others=(one, two)))
    assert desk.release().sealed == desk.verdict.sealed


@pytest.mark.parametrize("answer", [Answer.RETURN, Answer.REFUSE])
def test_what_reviewers_give_back_or_refuse_stays_and_its_author_reads_why(
    desk: Desk, answer: Answer
) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    desk.agree(answer)
    with pytest.raises(OutputRefused, match=r"Read it\."):
        desk.release()
    assert desk.keeper.held_key(desk.plan.digest) == ""


BAD: dict[str, tuple[Callable[[Desk], Signed], type[DarkroomError]]] = {
    "the author, who is a reviewer too": (lambda desk: desk.review("member"), NotAllowed),
    "somebody whom the roster does not name": (lambda desk: desk.review("stranger"), DarkroomError),
    "an approver": (lambda desk: desk.review("approver"), DarkroomError),
    "other bytes": (lambda desk: desk.review(ONE, shown=house.digest("other")), StateConflict),
    "another verdict": (lambda desk: desk.review(ONE, verdict=house.digest("other")), StateConflict),
    "another plan": (lambda desk: desk.review(ONE, plan=house.digest("other")), NotFound),
    "a consolidation before its time": (lambda desk: desk.review(ONE, others=(desk.review(TWO),)), StateConflict),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_an_opinion_that_may_not_be_is_not_believed(desk: Desk, what: str) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    made, error = BAD[what]
    with pytest.raises(error) as refused:
        desk.keeper.believe(made(desk))
    assert refused.value.next_step
    assert desk.keeper.trusted.reviews == {}
    house.believe(desk.keeper, desk.review(ONE))
    assert len(desk.keeper.trusted.reviews[desk.plan.digest]) == 1, "control: one that may be is believed"


def test_a_reviewer_who_left_counts_no_more_and_it_says_how_many_are_missing(desk: Desk) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    desk.agree()
    left = tuple(entry for entry in ENTRIES if entry.name != TWO)
    house.believe(desk.keeper, house.roster(3, left))
    with pytest.raises(StateConflict, match="1 independent opinions"):
        desk.release()


def test_what_is_revoked_while_people_look_does_not_leave(desk: Desk) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    desk.agree()
    house.believe(desk.keeper, house.revocation(desk.granted))
    with pytest.raises(PolicyDenied):
        desk.release()


def test_reviewers_read_the_content_and_only_they(desk: Desk) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    one = desk.review(ONE)
    house.believe(desk.keeper, one)
    now = int(desk.clock.now)
    mine, theirs = (desk.keeper.reviews.show(desk.plan.digest, who, now) for who in (ONE, TWO))
    assert mine["shown"] and [each["digest"] for each in mine["opinions"]] == [one.statement.digest]
    assert theirs["shown"] == mine["shown"] and theirs["opinions"] == []
    with pytest.raises(NotAllowed):
        desk.keeper.reviews.show(desk.plan.digest, "su@nm/tax", now)
    listed = repr(desk.keeper.reviews.list(now))
    assert "A person looks at it" not in listed and mine["shown"] not in listed


def test_a_verdict_that_says_held_with_sealed_bytes_beside_it_is_refused(desk: Desk) -> None:
    *before, judge = (StageRecord.read(record.statement.body) for record in desk.records())
    outputs = (*judge.outputs, StageOutput(policies.SEALED, house.digest("sealed"), 100))
    with pytest.raises(DarkroomError, match="another output"):
        desk.keeper.release(desk.plan, house.chain((*before, replace(judge, outputs=outputs))))


def test_a_held_output_is_late_after_its_working_days(desk: Desk) -> None:
    with pytest.raises(StateConflict):
        desk.release()
    (fresh,) = desk.keeper.reviews.list(house.NOW)
    (late,) = desk.keeper.reviews.list(house.NOW + 10 * house.DAY)
    assert (fresh["overdue"], late["overdue"]) == (False, True)
