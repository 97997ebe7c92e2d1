"""Agents, launchers and peers speak with a keeper over its socket: the same frames at both ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from keeper import server as keeper_server
from keeper.client import KeeperClient
from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from mpc.agent.owner import BoxOf, KeeperSocket
from plans import frames
from plans.errors import DarkroomError, Malformed, NotFound, PolicyDenied, SignatureWrong
from plans.plan import Plan
from plans.statements import Signed
from tests.keeper import house, joint_house
from tests.keeper.joint_house import HEALTH, OWN, PEERS, JointSide


@contextmanager
def served(keeper: Keeper, path: Path) -> Iterator[Path]:
    """The open socket of a keeper."""
    server = keeper_server._Server(path, keeper, keeper_server.OPEN, 0o600)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


def test_an_attempt_from_the_own_box_to_everybodys_receipts(side: JointSide, tmp_path: Path) -> None:
    side.keeper.joint.wait_s = 120.0
    about = joint_house.joint(side.keeper)
    plan = side.approved(about)
    with ExitStack() as stack:
        path = stack.enter_context(served(side.keeper, tmp_path / "open"))
        agent, given = KeeperSocket(path), list[int]()
        ask = {
            "op": "unwrap",
            "statement": joint_house.own_box(side.keeper, plan).plain(),
            "plan": plan.plain(),
        }
        waiting = threading.Thread(target=lambda: given.append(len(frames.ask(path, ask, 120)["sealed"])))
        waiting.start()
        own = None
        while own is None:
            own = agent.own(about.digest, 1)
        assert own.plan == plan and own.signed.statement.domain == OWN
        agent.bring(about.digest, 1, [BoxOf(told.signed, told.plan) for told in joint_house.boxes(about)])
        waiting.join(120)
        assert given, "the box has its keys"
        ran = joint_house.records(plan)
        receipt = agent.receipt(joint_house.receipt(plan), plan, ran)
        for domain in PEERS:
            agent.keep(joint_house.peer_receipt(domain, about))
        kept = KeeperClient(path).receipts(about.digest, 1)
        assert receipt in kept and len(kept) == 1 + len(PEERS)
        told = frames.ask(path, {"op": "joint-ran", "joint": about.digest, "attempt": 1}, 10)
        assert agent.ended(about.digest, 1) == (plan, tuple(kept))
        assert Plan.read(told["plan"]) == plan and tuple(map(Signed.read, told["records"])) == ran


def test_an_agent_asks_whether_its_side_has_approved_a_plan(side: JointSide, tmp_path: Path) -> None:
    about = joint_house.joint(side.keeper)
    with served(side.keeper, tmp_path / "open") as path:
        agent = KeeperSocket(path)
        with pytest.raises(PolicyDenied, match="nobody who may approve"):
            agent.approved(about)
        given = house.approval(about.digest)
        house.believe(side.keeper, given)
        agent.approved(about)
        house.believe(side.keeper, house.revocation(given))
        with pytest.raises(PolicyDenied):
            agent.approved(about)
        with pytest.raises(NotFound):
            agent.ended(about.digest, 1)


def test_the_own_box_is_waited_for_and_no_longer_than_asked(
    side: JointSide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mpc.agent.owner.OWN_WAIT_S", 0.05)
    with served(side.keeper, tmp_path / "open") as path:
        assert KeeperSocket(path).own(house.digest("joint"), 1) is None


def test_a_refusal_reaches_the_agent_with_its_code(side: JointSide, tmp_path: Path) -> None:
    about = joint_house.joint(side.keeper)
    side.approved(about)
    lies = joint_house.peer_box(HEALTH, about, vouch=house.Vouch(signer="stranger", domain=HEALTH))
    with served(side.keeper, tmp_path / "open") as path:
        with pytest.raises(SignatureWrong):
            KeeperSocket(path).bring(about.digest, 1, [BoxOf(lies.signed, lies.plan)])
        with pytest.raises(Malformed, match="as an object"):
            frames.ask(path, {"op": "joint-peers", "joint": about.digest, "attempt": 1, "peers": ["x"]}, 10)


def test_statements_of_other_domains_are_offered_by_anybody(side: JointSide, tmp_path: Path) -> None:
    with served(side.keeper, tmp_path / "open") as path:
        client = KeeperClient(path)
        client.meet(joint_house.peer_roster(HEALTH, 7))
        assert client.status()["peers"][HEALTH] == {"roster": 7, "party": 1}
        with pytest.raises(DarkroomError, match="root key"):
            client.meet(joint_house.peer_roster(HEALTH, 8, signer="stranger"))
