"""What a keeper holds of other domains comes from their root keys, grows newer only, and survives."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keeper.peers import Peers
from plans.errors import DarkroomError, Outdated, SignatureWrong, StateConflict
from plans.statements import Duty, Signed
from tests.keeper import house, joint_house
from tests.keeper.house import NOW
from tests.keeper.joint_house import CIVIL, HEALTH, OFFICE, OWN, PEERS, JointSide

LAUNCHER = house.key(f"launcher of {HEALTH}").public


def peers(*statements: Signed) -> Peers:
    roots = {domain: house.key(joint_house.root_name(domain)).public for domain in (OWN, *PEERS)}
    made = Peers(OWN, roots)
    for statement in statements:
        assert made.require_new(statement, NOW)
        made.take_in(statement)
    return made


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


def test_a_peers_root_key_says_who_speaks_for_it() -> None:
    known = peers(joint_house.peer_roster(HEALTH))
    assert known.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW)
    assert not known.holds(HEALTH, LAUNCHER, Duty.KEEPER, NOW)
    assert not known.holds(CIVIL, LAUNCHER, Duty.LAUNCHER, NOW), "each speaks for its own domain"
    assert not known.holds("nm/nobody", LAUNCHER, Duty.LAUNCHER, NOW)


WRONG: dict[str, tuple[Signed, str]] = {
    "another root": (joint_house.peer_roster(HEALTH, 2, signer=f"root of {CIVIL}"), "root key"),
    "a person": (joint_house.peer_roster(HEALTH, 2, signer=f"approver of {HEALTH}"), "root key"),
    "another duty": (joint_house.peer_roster(HEALTH, 2, duty=Duty.STEWARD), "root key"),
    "nobody it was told of": (joint_house.peer_roster("nm/police", 2), "no root key"),
    "about another domain": (joint_house.peer_roster(HEALTH, 2, domain=CIVIL, signer=f"root of {CIVIL}"), "another"),
    "a party about another": (
        joint_house.described(joint_house.party(HEALTH, 2), domain=OWN, signer="root"),
        "another",
    ),
    "the own roster": (house.roster(2), "are taken here"),
    "a grant": (house.grant(), "are taken here"),
    "not valid yet": (joint_house.peer_roster(HEALTH, 2, not_before=NOW + 600), "not valid now"),
    "expired": (joint_house.peer_roster(HEALTH, 2, not_after=NOW), "not valid now"),
}  # fmt: skip


@pytest.mark.parametrize(("offered", "why"), WRONG.values(), ids=WRONG)
def test_nothing_else_is_taken(offered: Signed, why: str) -> None:
    known = peers(joint_house.peer_roster(HEALTH))
    with pytest.raises(DarkroomError, match=why):
        known.require_new(offered, NOW)
    assert known.require_new(joint_house.peer_roster(HEALTH, 2), NOW)


@pytest.mark.parametrize(
    "make",
    [
        lambda number, **changes: joint_house.peer_roster(HEALTH, number, **changes),
        lambda number, **changes: joint_house.described(joint_house.party(HEALTH, number), **changes),
    ],
    ids=["roster", "party"],
)
def test_81_numbers_only_rise_and_the_same_again_changes_nothing(make: Any) -> None:
    known = peers(make(3))
    assert not known.require_new(make(3), NOW)
    for older in (1, 2):
        with pytest.raises(Outdated, match="not newer"):
            known.require_new(make(older), NOW)
    assert known.require_new(make(4), NOW)


def test_81_another_statement_with_the_same_number_is_not_newer() -> None:
    known = peers(joint_house.peer_roster(HEALTH))
    with pytest.raises(Outdated):
        known.require_new(joint_house.peer_roster(HEALTH, 1, entries=()), NOW)


def test_whoever_left_a_peers_roster_speaks_for_it_no_more() -> None:
    known = peers(joint_house.peer_roster(HEALTH), joint_house.peer_roster(HEALTH, 2, entries=()))
    assert not known.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW)


def test_a_roster_that_expires_counts_no_more() -> None:
    known = peers(joint_house.peer_roster(HEALTH, not_after=NOW + 60))
    assert known.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW + 59)
    assert not known.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW + 60)


def test_parties_are_described_as_they_describe_themselves(side: JointSide) -> None:
    plan = joint_house.joint(side.keeper)
    known = side.keeper.peers
    known.require_parties(plan, NOW)
    for place, party in enumerate(plan.parties):
        lies = replace(party, administration="the same office")
        parties = (*plan.parties[:place], lies, *plan.parties[place + 1 :])
        with pytest.raises(Outdated, match=f"describes {party.domain} otherwise"):
            known.require_parties(replace(plan, parties=parties), NOW)


def test_a_party_of_which_nothing_is_held_is_none(settings: KeeperConfig) -> None:
    keeper = house.start(joint_house.config(settings))
    house.believe(keeper, *house.house_statements())
    with pytest.raises(StateConflict, match=f"no valid description of the party {CIVIL}"):
        keeper.peers.require_parties(joint_house.joint(JointSide.make(settings_beside(settings)).keeper), NOW)


def settings_beside(settings: KeeperConfig) -> KeeperConfig:
    made = house.config(settings.home.parent / "beside")
    house.build(made)
    return made


def test_what_is_held_survives_a_restart_and_is_told(side: JointSide) -> None:
    side.keeper.meet(joint_house.peer_roster(HEALTH, 5))
    told = side.keeper.status()["peers"]
    assert told[HEALTH] == {"roster": 5, "party": 1} and told[OWN] == {"roster": 0, "party": 1}
    side.restart()
    assert side.keeper.status()["peers"] == told
    with pytest.raises(Outdated):
        side.keeper.meet(joint_house.peer_roster(HEALTH, 4))


def test_82_a_roster_that_a_backup_brings_back_is_not_in_force(side: JointSide, tmp_path: Path) -> None:
    journal = side.settings.home / "journal"
    shutil.copy(journal, tmp_path / "backup")
    side.keeper.meet(joint_house.peer_roster(HEALTH, 2, entries=()))  # its launcher has left
    shutil.copy(tmp_path / "backup", journal)
    side.restart()
    known = side.keeper.peers
    assert not known.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW)
    assert known.holds(CIVIL, house.key(f"launcher of {CIVIL}").public, Duty.LAUNCHER, NOW), (
        "nothing newer was known"
    )
    house.believe(side.keeper, house.roster(2))
    side.restart()
    assert not side.keeper.peers.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW), "nor after the new epoch"
    with pytest.raises(Outdated):
        side.keeper.meet(joint_house.peer_roster(HEALTH, 1))
    side.keeper.meet(joint_house.peer_roster(HEALTH, 2, entries=()))
    side.keeper.meet(joint_house.peer_roster(HEALTH, 3))
    assert side.keeper.peers.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW)


def test_a_domain_whose_root_key_changes_in_the_settings_is_enrolled_anew(side: JointSide) -> None:
    side.settings = replace(
        side.settings, peers={**side.settings.peers, HEALTH: house.key("new root").public}
    )
    side.restart()
    assert not side.keeper.peers.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW)
    with pytest.raises(SignatureWrong):
        side.keeper.meet(joint_house.peer_roster(HEALTH, 2))
    side.keeper.meet(joint_house.peer_roster(HEALTH, 2, signer="new root"))
    assert side.keeper.peers.holds(HEALTH, LAUNCHER, Duty.LAUNCHER, NOW)
    del side.settings.peers[OFFICE]  # type: ignore[attr-defined]
    side.restart()
    assert OFFICE not in side.keeper.status()["peers"]
