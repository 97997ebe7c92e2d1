"""Lies about joint computations: a request of another kind, a peer's plan without a box, another answer (70, 78, 84).

Each attack is told to whoever is to be fooled, and has its control: the honest thing, or the attack with the check off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from compute.joint import joint_id
from darkroom import joint_asking as asking
from darkroom.joint_asking import Joint
from keeper import joint_rules
from keeper.config import KeeperConfig
from keeper.meeting import Shown
from keys import api as keys
from mpc import api as mpc
from mpc import compile as compiling
from mpc.agent import __main__ as process
from mpc.agent import table
from mpc.agent.attempt import Outcome
from plans.box import Entry
from plans.constraints import Action
from plans.errors import HashMismatch, LinkBroken, Malformed, PolicyDenied, RederivationMismatch
from plans.joint import JointPlan, joint_task_of
from plans.joint_evidence import JointEvidence
from plans.request import Request, RequestKind
from plans.statements import DatasetPolicy
from tests.client.test_joint_result import World, world
from tests.keeper import house, joint_house
from tests.keeper.joint_house import HEALTH, OFFICE, OWN, JointSide
from tests.mpc.agents import CIVIL, DOMAINS, TAX, Town, town


@pytest.fixture
def settings(tmp_path: Path) -> KeeperConfig:
    """Settings of a keeper in a folder of its own."""
    return house.config(tmp_path)


# --- 78: a request of another kind -----------------------------------------------------


def only(action: Action) -> DatasetPolicy:
    """The owner's policy with one action that everybody has."""
    return replace(joint_house.POLICY, access=(replace(house.EVERYBODY, actions=(action,)),))


def lying_centre(side: JointSide, monkeypatch: pytest.MonkeyPatch) -> JointPlan:
    """The joint plan of a member who signed the joint task as ordinary SQL, by a centre that does not mind."""
    monkeypatch.setattr(compiling, "_task", lambda signed, _reading: joint_task_of(signed.request))
    return joint_house.joint(side.keeper, joint_house.request(7, kind=RequestKind.SQL))


def test_78_a_joint_task_that_was_signed_as_ordinary_sql_gets_no_key(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = JointSide.make(settings, only(Action.QUERY))
    with pytest.raises(
        AssertionError, match="action joint"
    ):  # the same task under its own name is decided as no
        joint_house.joint(side.keeper)
    plan = side.approved(lying_centre(side, monkeypatch))
    with pytest.raises(Malformed, match="none for a joint computation"):
        side.extract(plan)


def test_78_control_without_the_check_the_rules_of_ordinary_sql_would_open_the_data(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = JointSide.make(settings, only(Action.QUERY))
    plan = side.approved(lying_centre(side, monkeypatch))
    monkeypatch.setattr(joint_rules, "RequestKind", type("Any", (), {"JOINT": RequestKind.SQL}))
    assert len(side.extract(plan).inputs) == 2


def test_what_nobody_here_has_approved_is_not_worked_on(
    settings: KeeperConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = JointSide.make(settings)
    plan = joint_house.party_plan(joint_house.joint(side.keeper), OWN)
    made: list[JointPlan] = []
    monkeypatch.setattr(mpc, "require_same", made.append)
    with pytest.raises(PolicyDenied, match="nobody who may approve"):
        side.extract(plan)
    assert not made
    side.approved(joint_house.joint(side.keeper))
    assert side.extract(plan).inputs and made, "the control: what is approved is looked at"


# --- 70: a peer's plan without a box -----------------------------------------------------


@pytest.mark.parametrize("of", [HEALTH, OFFICE])
def test_70_a_peers_plan_that_lacks_a_box_is_refused_with_a_sentence(settings: KeeperConfig, of: str) -> None:
    side = JointSide.make(settings)
    about = joint_house.joint(side.keeper)
    side.approved(about)
    good = joint_house.peer_box(HEALTH, about)
    party = tuple(spec for spec in good.plan.stages if spec.entry is Entry.PARTY)
    bad = Shown(good.signed, replace(good.plan, domain=of, stages=party))
    with pytest.raises(RederivationMismatch, match="a peer's boxes"):
        side.keeper.joint.bring(about.digest, 1, (bad,))
    side.keeper.joint.bring(about.digest, 1, (good,))


# --- 70: what a peer says instead of receipts -----------------------------------------------------


async def instead_of_receipts(made: Town, said: Sequence[Any]) -> dict[str, Outcome]:
    """Let `tax` say this before it says that it is done, and return how the attempt ended at the parties."""
    attempts = {domain: made[domain].agent.run(made.joint.digest, 1) for domain in DOMAINS}
    liar = attempts[TAX].table
    honest = liar.say

    async def say(kind: str, content: Any) -> None:
        for each in said if kind == "done" else ():
            await honest("receipts", {"receipts": each})
        await honest(kind, content)

    liar.say = say  # type: ignore[method-assign]
    return await made.ended()


def play(said: Sequence[Any], look: Callable[[Town, dict[str, Outcome]], None]) -> None:
    async def body() -> None:
        async with town() as made:
            look(made, await instead_of_receipts(made, said))

    asyncio.run(body())


@pytest.mark.parametrize("said", [5, "receipts", {"0": {}}, [5, None, {}, []]], ids=str)
def test_70_what_is_no_list_of_receipts_ends_nobody(said: Any) -> None:
    def look(_: Town, ended: dict[str, Outcome]) -> None:
        assert set(ended) == set(DOMAINS)
        assert all(each.well and len(each.receipts) == len(DOMAINS) for each in ended.values())

    play([said], look)


def test_70_a_peer_that_floods_the_others_with_receipts_is_named_by_all_and_kept_in_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def named(made: Town, ended: dict[str, Outcome]) -> None:
        for domain in set(DOMAINS) - {TAX}:
            failure = ended[domain].failure
            assert failure is not None and (failure.party, failure.code) == (TAX, LinkBroken.code)
            unread = made[domain].agent.attempt(made.joint.digest, 1).table.receipts.qsize()
            assert unread <= table.MOST_TIMES * len(DOMAINS)

    play([[]] * 100, named)

    def taken(_: Town, ended: dict[str, Outcome]) -> None:
        assert ended[CIVIL].well

    monkeypatch.setattr(
        table, "MOST_TIMES", 1_000
    )  # the control: all of them are kept until somebody reads them
    play([[]] * 100, taken)


# --- 84: the answer to another question -----------------------------------------------------


@dataclass
class Portal(Joint):
    """A member's connection to a portal that hands over whichever computation it likes."""

    made: World
    evidence: JointEvidence

    def __post_init__(self) -> None:
        self._wire = self  # type: ignore[assignment]

    def get(self, _: str) -> dict[str, Any]:
        plan = self.made.plan
        told = {"plan": plan.plain(), "digest": plan.digest, "evidence": self.evidence.plain()}
        return told | self.made.results()

    def post(self, *_: object, **__: object) -> dict[str, Any]:
        return {"id": joint_id(self.made.plan.request)}

    def request(self, statement: str, **_: Any) -> Request:
        return replace(self.made.plan.request, statement=statement)

    def keys(self) -> keys.MemberKeys:
        return self.made.ring

    def trusted_keeper(self, domain: str) -> str | None:
        return self.made.keepers[domain].public


@pytest.fixture
def portal() -> Portal:
    made = world()
    return Portal(made, JointEvidence(made.plan, (), {}))


def test_84_the_answer_to_another_question_of_the_same_member_is_refused(portal: Portal) -> None:
    """The member asks the same again a month later; the portal hands over plan, receipts and shares of then."""
    then = joint_id(portal.made.plan.request)
    now = joint_id(replace(portal.made.plan.request, nonce="4" * 32))
    for look in (portal.joint_plan, portal.open_jointly, portal.joint_evidence):
        with pytest.raises(HashMismatch, match="another request"):
            look(now)
        assert look(then)


def test_84_control_all_else_about_the_other_answer_is_as_it_should_be(
    portal: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "require_asked", lambda *_: None)
    assert portal.open_jointly("0" * 20).rows[0][0] == "east"


def test_84_a_number_that_is_not_the_requests_is_refused_when_it_is_asked(portal: Portal) -> None:
    task = joint_task_of(portal.made.plan.request)
    assert portal.ask_jointly(task, project="diabetes", purpose="care by league")["id"]
    with pytest.raises(HashMismatch, match="another request"):
        portal.ask_jointly(replace(task, statement="select 1"), project="diabetes", purpose="care by league")


def test_79_an_approver_reads_all_by_which_others_could_collude(portal: Portal) -> None:
    told = {line.label: line.value for line in asking.plan_lines(portal.made.plan)}
    for party in portal.made.plan.parties:
        for said in (party.administration, party.hosting, party.software):
            assert said in told[party.domain]


def test_70_a_peers_words_neither_fill_the_owners_log_nor_break_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lie = {"\x1b[2J\nagent: all is well " + "x" * 1_000_000: 1}

    def look(made: Town, ended: dict[str, Outcome]) -> None:
        assert ended[CIVIL].well
        (line,) = made[CIVIL].log
        assert len(line) > 1_000_000, "the control: a peer's words are quoted"
        process._log(line)

    play([[lie]], look)
    written = capsys.readouterr().err
    assert len(written) < 2 * process.LONGEST_LINE
    assert written.count("\n") == 1 and written[:-1].isprintable()
