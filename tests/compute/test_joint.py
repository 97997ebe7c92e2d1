"""Moving joint computations: when an attempt begins, what is tried again, who is told of a cancellation."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from audit import api as audit
from compute import joint_running
from compute.joint_running import JointRunner, JointSettings
from compute.planning import House
from keeper.api import OLDEST_JOINT_S
from keys import api as keys
from mpc.api import Left, PartyEnd
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.errors import DarkroomError, PartyFailed, PeerLost, PreflightFailed, StateConflict, Unreachable
from plans.joint import JointPlan, Receipt
from plans.joint_evidence import JointEvidence
from plans.request import Request
from plans.statements import Approval, Duty, Revocation, Signed, Type
from store import api as store
from tests.plans.examples import REQUEST
from tests.plans.joint_examples import joint_plan
from tests.plans.joint_forms import FORMS
from tests.portal.region import migrated

DECIDED = Decision(Outcome.ALLOW, (), 1, 1, ("sha256:" + "a" * 64,), (), Obligations(10, 1, 1000, Tier.T1))
REQUESTED = replace(REQUEST, asked_at=int(time.time()))
PLAN = joint_plan(DECIDED, REQUESTED)
PARTIES = tuple(party.domain for party in PLAN.parties)
SIGNER = keys.SigningKey.fresh()


@dataclass
class Agent:
    """An agent that does what it is told: how each attempt ends, and whether it can be reached."""

    ends: dict[int, DarkroomError | None]
    seen: list[str] = field(default_factory=list)
    holds: threading.Event | None = None
    gone: int = 0
    """How often nobody answers there yet."""
    told: tuple[Signed, ...] = ()
    well: set[int] = field(default_factory=set)
    """Attempts that ended well after all, as this party heard since."""

    def put(self, joint: JointPlan) -> str:
        if self.gone:
            self.gone -= 1
            raise Unreachable("nobody answers", "agent")
        return joint.digest

    def run(self, joint: str, attempt: int, on_state: Callable[[str], None] = lambda _: None) -> PartyEnd:
        self.seen.append(f"run {attempt}")
        if self.holds is not None:
            assert self.holds.wait(60)
        failure = self.ends.get(attempt)
        return PartyEnd(failure, () if failure else (receipt(attempt),))

    def cancel(self, joint: str, attempt: int) -> None:
        self.seen.append(f"cancel {attempt}")
        if self.holds is not None:
            self.holds.set()

    def result(self, joint: str, attempt: int, receipts: Sequence[Signed] = ()) -> Left:
        self.told = tuple(receipts)
        if self.ends.get(attempt) is not None and attempt not in self.well and not receipts:
            raise StateConflict("the attempt has not ended well", "joint result")
        return Left(b"sealed", (receipt(attempt),))


def receipt(attempt: int) -> Signed:
    body = Receipt(PLAN.digest, attempt, "nm/tax", ("sha256:" + "8" * 64,), "")
    return keys.sign(keys.Draft(Type.RECEIPT, "nm/tax", Duty.KEEPER, body), SIGNER)


@dataclass
class Centre:
    """A centre's database with one computation, its runner, and the parties' agents."""

    database: store.Database
    log: audit.Log
    agents: dict[str, Agent]

    @property
    def row(self) -> store.JointRow:
        with self.database.reading() as session:
            return store.joint.get(session, "c1")

    def runner(self) -> JointRunner:
        settings = JointSettings(House("", {}), lambda domain: self.agents[domain])  # type: ignore[arg-type,return-value]
        return JointRunner(self.database, self.log, settings)

    def move(self, state: str, **changes: Any) -> None:
        with self.database.session() as session:
            assert store.joint.move(session, "c1", self.row.state, state, **changes)

    def say(self, kind: Type, domain: str, body: Any, about: str) -> str:
        """Put a statement into the letter box, and return its digest."""
        signed = keys.sign(keys.Draft(kind, domain, Duty.APPROVER, body), SIGNER)
        digest = signed.statement.digest
        text = signed.canonical().decode()
        with self.database.session() as session:
            store.statements.add(
                session, store.StatementRow(digest, kind.value, domain, SIGNER.public, about, text, 1)
            )
        return digest

    def approve(self, domain: str) -> str:
        return self.say(Type.APPROVAL, domain, Approval(PLAN.digest), PLAN.digest)

    def until(self, *states: str) -> store.JointRow:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self.row.state in states:
                return self.row
            time.sleep(0.01)
        raise AssertionError(f"still {self.row.state}: {self.row.problem}")


@pytest.fixture
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Centre:
    """A computation whose plan waits for its parties."""
    for name in ("LOOK_S", "AGAIN_S"):
        monkeypatch.setattr(joint_running, name, 0.01)
    monkeypatch.setattr(joint_running, "gathered", lambda *_: JointEvidence(PLAN, (), {}))
    (tmp_path / "store.db").write_bytes(migrated())
    database = store.open_database(f"sqlite:///{tmp_path}/store.db")
    (tmp_path / "audit").mkdir()
    log = audit.Log.open(tmp_path / "audit", keys.SigningKey.fresh())
    now = int(time.time())
    with database.session() as session:
        request = Request.canonical(PLAN.request).decode()
        row = store.JointRow("c1", REQUEST.member, "p", "submitted", request, "00", now, now)
        store.joint.add(session, row)
    found = Centre(database, log, {domain: Agent({}) for domain in PARTIES})
    found.move("waiting-approval", parties=PARTIES, digest=PLAN.digest, plan=PLAN.canonical().decode())
    return found


@pytest.fixture
def working(centre: Centre) -> Iterator[Centre]:
    """The same, with a runner at work."""
    stop = threading.Event()
    thread = threading.Thread(target=centre.runner().work, args=(stop,))
    thread.start()
    yield centre
    stop.set()
    thread.join(60)
    assert not thread.is_alive()


def test_an_attempt_begins_once_every_party_has_approved(working: Centre) -> None:
    for domain in PARTIES[:-1]:
        working.approve(domain)
    time.sleep(0.2)
    assert working.row.state == "waiting-approval"
    assert not any(agent.seen for agent in working.agents.values())
    working.approve(PARTIES[-1])
    row = working.until("released", "failed")
    assert (row.state, row.attempt) == ("released", 1), row.problem
    assert set(json.loads(row.results)["sealed"]) == set(PLAN.task.servers)
    assert all(agent.seen == ["run 1"] for agent in working.agents.values())


@pytest.mark.parametrize("form", FORMS)
def test_what_is_kept_for_the_recipient_comes_from_whom_the_plan_has_hand_it_over(
    working: Centre, form: str
) -> None:
    """Three servers' shares, or one judged table; no other party is asked for anything."""
    plan = FORMS[form](PLAN)
    parties = tuple(party.domain for party in plan.parties)
    working.move("running", attempt=1, parties=parties, digest=plan.digest, plan=plan.canonical().decode())
    row = working.until("released", "failed")
    assert row.state == "released", row.problem
    assert set(json.loads(row.results)["sealed"]) == set(plan.handing)
    asked = {domain for domain, agent in working.agents.items() if agent.seen}
    assert asked == set(parties)


@pytest.mark.parametrize("count", [0, 5, 100])
def test_the_log_has_a_commitment_to_each_person_who_was_looked_up(
    working: Centre, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Before anybody can fetch the answer; in events that stay short, of which most plans have none."""
    persons = [f"{place:064x}" for place in range(count)]
    monkeypatch.setattr(joint_running, "looked_up", lambda _: tuple(persons))
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    assert row.state == "released", row.problem
    events = working.log.events(0)
    actions = [event.action for event in events]
    assert actions == [*["joint.looked-up"] * -(-count // 25), "joint.released"]
    assert " ".join(event.details.get("persons", "") for event in events).split() == persons
    assert {event.plan for event in events} == {PLAN.digest}


def test_an_approval_that_was_revoked_is_none(working: Centre) -> None:
    first = working.approve(PARTIES[0])
    working.say(Type.REVOCATION, PARTIES[0], Revocation(first), first)
    for domain in PARTIES[1:]:
        working.approve(domain)
    time.sleep(0.2)
    assert working.row.state == "waiting-approval"


def test_a_party_that_was_lost_is_tried_again_and_not_for_ever(working: Centre) -> None:
    lost = PeerLost("nm/tax stopped answering", "match@nm/tax")
    for agent in working.agents.values():
        agent.ends = {1: lost, 2: lost}
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    assert (row.state, row.attempt) == ("released", 3)


@pytest.mark.parametrize("told", [True, False])
def test_a_good_end_that_is_heard_of_before_the_next_attempt_is_fetched(working: Centre, told: bool) -> None:
    """All lost one party, which had signed. Back again it says so, and keepers answer the plan no more."""
    answered = PreflightFailed("nm/tax cannot take part in the joint computation", "extract@nm/tax")
    for agent in working.agents.values():
        agent.ends = {1: PeerLost("nm/tax stopped answering", "open@nm/tax"), 2: answered}
        agent.well = {1} if told else set()
    working.move("running", attempt=1)
    row = working.until("released", "failed", "refused")
    if not told:
        assert row.state != "released" and row.attempt == 2, "the control: it was no good end"
        return
    assert row.state == "released" and json.loads(row.results)["attempt"] == 1


def test_three_attempts_are_enough(working: Centre) -> None:
    lost = PeerLost("nm/tax stopped answering", "match@nm/tax")
    for agent in working.agents.values():
        agent.ends = dict.fromkeys(range(1, 10), lost)
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    problem = json.loads(row.problem)
    assert (row.state, row.attempt, problem["code"]) == ("failed", 3, PeerLost.code)
    assert problem["where"] == "match@nm/tax", "the member hears at which party and step"


def test_what_would_fail_again_is_not_tried_again(working: Centre) -> None:
    failed = PartyFailed("a box of nm/tax ended without a result", "extract@nm/tax")
    for agent in working.agents.values():
        agent.ends = {1: failed}
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    assert (row.state, row.attempt, json.loads(row.problem)["code"]) == ("failed", 1, PartyFailed.code)


def test_an_agent_that_does_not_answer_is_a_party_that_was_lost(working: Centre) -> None:
    working.agents["nm/office"].gone = 1
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    assert (row.state, working.agents["nm/office"].gone) == ("released", 0), "and it was looked for"


def test_a_cancelled_attempt_is_stopped_at_every_party(working: Centre) -> None:
    for agent in working.agents.values():
        agent.holds = threading.Event()
    working.move("running", attempt=1)
    end = time.monotonic() + 60
    while not all(agent.seen for agent in working.agents.values()) and time.monotonic() < end:
        time.sleep(0.01)
    working.move("cancelled")
    while not all("cancel 1" in agent.seen for agent in working.agents.values()):
        assert time.monotonic() < end, "everybody is told"
        time.sleep(0.01)
    time.sleep(0.1)
    assert (working.row.state, working.row.results) == ("cancelled", "")


def test_what_was_cancelled_while_nobody_moved_it_is_stopped_later(centre: Centre) -> None:
    centre.move("running", attempt=2)
    centre.move("cancelled")
    centre.runner().end_cancelled()
    assert all(agent.seen == ["cancel 2"] for agent in centre.agents.values())


def test_a_plan_that_not_all_approve_within_a_week_ends(
    working: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + OLDEST_JOINT_S + 10
    monkeypatch.setattr("compute.joint_running.time.time", lambda: later)
    row = working.until("failed", "refused")
    assert "week" in json.loads(row.problem)["title"]


def test_what_a_good_end_left_is_asked_for_again(working: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def gathered(*_: Any) -> JointEvidence:
        asked.append(1)
        if len(asked) < 4:
            raise Unreachable("a keeper does not answer", "keeper")
        return JointEvidence(PLAN, (), {})

    monkeypatch.setattr(joint_running, "gathered", gathered)
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    assert (row.state, row.attempt) == ("released", 1), "a good end is not thrown away"


@pytest.mark.parametrize("who", ["nm/tax", "nm/office"])
def test_a_good_end_is_taken_though_one_party_was_lost_since(working: Centre, who: str) -> None:
    """Keepers answer a joint plan once: another attempt would throw the answer away."""
    working.agents[who].ends = {1: Unreachable("started anew", "agent")}
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    assert (row.state, row.attempt) == ("released", 1)
    told = [len(working.agents[domain].told) for domain in PLAN.task.servers]
    assert told == [1, 1, 1], "whoever missed a receipt hears it with the question"


def test_what_a_good_end_left_and_nobody_hands_over_is_not_computed_anew(
    working: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gathered(*_: Any) -> JointEvidence:
        raise Unreachable("a keeper does not answer", "keeper")

    monkeypatch.setattr(joint_running, "gathered", gathered)
    working.move("running", attempt=1)
    row = working.until("released", "failed")
    assert (row.state, row.attempt) == ("failed", 1)
    assert "handed over in time" in json.loads(row.problem)["title"]
