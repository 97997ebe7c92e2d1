"""An owner's keeper in a joint computation: whose boxes get which keys, and on what they rest."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig, load
from keeper.joint_quota import costs
from keeper.leases import Ground
from plans.box import Entry
from plans.errors import (
    BudgetSpent,
    DarkroomError,
    HashMismatch,
    NotFound,
    PeerLost,
    PolicyDenied,
    StateConflict,
)
from plans.joint import MOST_ATTEMPTS, Receipt
from plans.plan import Plan
from plans.statements import Duty, Revocation, Signed, Type
from tests.keeper import house, joint_house
from tests.keeper.joint_house import CELLS, CIVIL, HEALTH, OFFICE, OWN, PEERS, JointSide


@pytest.fixture
def side(settings: KeeperConfig) -> JointSide:
    return JointSide.make(settings)


# --- keys -----------------------------------------------------


def test_the_extract_box_opens_both_files_and_no_other_box_does(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    extract, party = side.extract(plan), side.party(plan)
    assert sorted(extract.inputs) == ["income-v1-attributes.parquet", "income-v1-identifiers.parquet"]
    assert party.inputs == {} and party.outputs == {} and party.pseudonyms == {} and party.signs == ""
    assert extract.links == party.links and set(party.links) == {"rows-0"}, (
        "the boxes of one side share a key"
    )


def test_the_party_box_knows_the_box_at_the_other_end_of_each_link(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    given = side.party(plan)
    parties = sorted((OWN, *PEERS))
    assert given.peers == {
        f"peer-{parties.index(domain)}": house.opening(f"box of {domain}").public for domain in PEERS
    }
    assert side.extract(plan).peers == {}


def test_a_server_without_data_computes_once_its_own_approvers_have_signed(
    side: JointSide, tmp_path: Path
) -> None:
    about = joint_house.joint(side.keeper)
    civil = joint_house.server_without_data(tmp_path / "civil")
    plan = joint_house.party_plan(about, CIVIL)
    told = [joint_house.peer_box(domain, about) for domain in (HEALTH, OFFICE, OWN)]
    vouch = house.Vouch(signer=f"launcher of {CIVIL}", domain=CIVIL)
    with pytest.raises(PolicyDenied, match="nobody who may approve for nm/civil"):
        civil.unwrap(joint_house.own_box(civil, plan, vouch=vouch), plan)
    approval = house.approval(about.digest, f"approver of {CIVIL}", domain=CIVIL)
    house.believe(civil, approval)
    civil.joint.bring(about.digest, 1, told)
    assert civil.unwrap(joint_house.own_box(civil, plan, vouch=vouch), plan).lease
    (lease,) = civil.leases._held.values()
    assert lease.ground.rests_on == (approval.statement.digest,)


def test_the_party_box_waits_for_its_peers_and_not_under_the_lock(side: JointSide) -> None:
    side.keeper.joint.wait_s = 120.0
    about = joint_house.joint(side.keeper)
    plan, given = side.approved(about), []
    waiting = threading.Thread(
        target=lambda: given.append(side.opened(joint_house.own_box(side.keeper, plan), plan)), daemon=True
    )
    waiting.start()
    own = side.keeper.joint.own(about.digest, 1, 60.0)
    assert own.plan == plan and own.signed.statement.domain == OWN
    assert side.extract(plan).inputs, "others have their keys meanwhile"
    for told in joint_house.boxes(about):
        side.keeper.joint.bring(about.digest, 1, (told,))
    waiting.join(60.0)
    assert len(given) == 1 and len(given[0].peers) == len(PEERS)


def test_a_peer_that_does_not_come_ends_the_wait_with_its_name(side: JointSide) -> None:
    about = joint_house.joint(side.keeper)
    plan = side.approved(about)
    side.keeper.joint.bring(about.digest, 1, joint_house.boxes(about)[:2])
    with pytest.raises(PeerLost, match=OFFICE):
        side.opened(joint_house.own_box(side.keeper, plan), plan)


def test_nothing_of_the_own_box_is_told_before_its_plan_is_accepted(side: JointSide) -> None:
    about = joint_house.joint(side.keeper)
    plan = joint_house.party_plan(about, OWN)
    with pytest.raises(PolicyDenied):
        side.opened(joint_house.own_box(side.keeper, plan), plan)
    with pytest.raises(NotFound):
        side.keeper.joint.own(about.digest, 1)


@pytest.mark.parametrize("stage", [Entry.EXTRACT, Entry.PARTY])
def test_one_box_of_a_stage_and_attempt_has_keys_and_the_next_attempt_has_others(
    side: JointSide, stage: Entry
) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    ask = {Entry.EXTRACT: side.extract, Entry.PARTY: side.party}[stage]
    first = ask(plan, 1)
    with pytest.raises(StateConflict, match="has its keys already"):
        ask(plan, 1)
    second = ask(plan, 2)
    assert second.links != first.links
    side.restart()
    for attempt in (1, 2):
        with pytest.raises(StateConflict, match="has its keys already"):
            ask(plan, attempt)
    assert ask(plan, 3).links not in (first.links, second.links)


def test_of_boxes_that_ask_at_once_for_one_attempt_one_has_keys(side: JointSide) -> None:
    plan, given = side.approved(joint_house.joint(side.keeper)), list[bool]()
    statements = [joint_house.own_box(side.keeper, plan, Entry.EXTRACT) for _ in range(6)]
    ready = threading.Barrier(len(statements))

    def ask(statement: Signed) -> None:
        ready.wait()
        try:
            side.opened(statement, plan)
        except StateConflict:
            return
        given.append(True)

    threads = [threading.Thread(target=ask, args=(statement,)) for statement in statements]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert given == [True]


def test_attempts_come_to_an_end(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    side.party(plan, MOST_ATTEMPTS)
    with pytest.raises(DarkroomError, match="at most"):
        side.party(plan, MOST_ATTEMPTS + 1)


# --- what they rest on -----------------------------------------------------


def leases(side: JointSide) -> list[tuple[Ground, str]]:
    return [(lease.ground, name) for name, lease in side.keeper.leases._held.items()]


@pytest.mark.parametrize("what", ["approval", "grant", "manifest"])
def test_what_is_taken_back_ends_the_boxes_of_both_stages(side: JointSide, what: str) -> None:
    about = joint_house.joint(side.keeper)
    given = house.approval(about.digest)
    house.believe(side.keeper, given)
    plan = joint_house.party_plan(about, OWN)
    side.extract(plan)
    side.party(plan)
    names = [name for _, name in leases(side)]
    assert len(names) == 2 and all(side.keeper.renew(name) for name in names)
    manifest = joint_house.manifest()
    body = Revocation((given if what == "approval" else side.grant).statement.digest)
    ends: Signed = house.signed(Type.REVOCATION, Duty.APPROVER, body, "approver")
    if what == "manifest":
        gone = joint_house.erasure(manifest)
        ends = house.signed(Type.ERASURE, Duty.KEEPER, gone, "keeper")
    digests = {digest for ground, _ in leases(side) for digest in ground.rests_on}
    assert {body.revoked if what != "manifest" else manifest.digest} <= digests
    house.believe(side.keeper, ends)
    assert not any(side.keeper.renew(name) for name in names)


def test_an_approval_that_is_revoked_while_the_box_waits_gives_no_key(side: JointSide) -> None:
    side.keeper.joint.wait_s = 120.0
    about = joint_house.joint(side.keeper)
    given = house.approval(about.digest)
    house.believe(side.keeper, given)
    plan, ended = joint_house.party_plan(about, OWN), list[str]()

    def ask() -> None:
        try:
            side.opened(joint_house.own_box(side.keeper, plan), plan)
        except DarkroomError as problem:
            ended.append(problem.what)

    waiting = threading.Thread(target=ask, daemon=True)
    waiting.start()
    side.keeper.joint.own(about.digest, 1, 60.0)
    told = joint_house.boxes(about)
    side.keeper.joint.bring(about.digest, 1, told[:2])
    with side.keeper.lock:  # both before the waiting box looks
        side.keeper.joint.bring(about.digest, 1, told[2:])
        house.believe(side.keeper, house.revocation(given))
    waiting.join(60.0)
    assert ended == ["what the attempt rests on was revoked while it waited for its peers"]


def test_a_peers_launcher_that_leaves_while_the_box_waits_vouches_for_nothing(side: JointSide) -> None:
    about = joint_house.joint(side.keeper)
    plan = side.approved(about)
    side.keeper.joint.bring(about.digest, 1, joint_house.boxes(about))
    side.keeper.meet(joint_house.peer_roster(HEALTH, 2, entries=()))
    with pytest.raises(DarkroomError, match="the launcher of nm/health has left its roster"):
        side.opened(joint_house.own_box(side.keeper, plan), plan)


@pytest.mark.parametrize("protected", [True, False], ids=["with", "control: without peers in the ground"])
def test_a_peers_launcher_that_is_revoked_while_boxes_run_ends_the_box_that_it_has_a_link_to(
    side: JointSide, protected: bool
) -> None:
    side.party(side.approved(joint_house.joint(side.keeper)))
    ((ground, name),) = leases(side)
    assert ground.peers == tuple(
        (domain, house.key(f"launcher of {domain}").public) for domain in sorted(PEERS)
    )
    if not protected:
        blind = replace(side.keeper.leases._held[name], ground=replace(ground, peers=()))
        side.keeper.leases._held[name] = blind
    side.keeper.meet(joint_house.peer_roster(HEALTH, 2))
    assert side.keeper.renew(name), "a newer roster with the same launcher changes nothing"
    side.keeper.meet(joint_house.peer_roster(HEALTH, 3, entries=()))
    assert side.keeper.renew(name) is not protected


def test_clocks_of_two_domains_may_differ(side: JointSide) -> None:
    about = joint_house.joint(side.keeper)
    side.approved(about)
    for after in (-60, 60):
        vouch = house.Vouch(signer=f"launcher of {HEALTH}", domain=HEALTH, not_after=house.NOW + 60 + after)
        side.keeper.joint.bring(about.digest, 1, (joint_house.peer_box(HEALTH, about, vouch=vouch),))


def test_a_grant_is_used_once_per_request_whatever_its_attempts(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    for attempt in (1, 2, 3):
        side.extract(plan, attempt)
    (used,) = side.keeper.trusted.uses.values()
    assert len(used) == 1 and set(side.keeper.trusted.runs.values()) == {1}


# --- charges -----------------------------------------------------


def quota_of(side: JointSide) -> dict[str, Any]:
    """What the owner reads of the pair in the ledger."""
    (lineage,) = side.keeper.ledger_status()
    (found,) = (quota for quota in lineage["quotas"] if quota["subject"].startswith("joint/"))
    return dict(found)


def test_an_answer_is_charged_before_the_first_key_and_once_for_all_attempts(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    assert side.keeper.joint.quotas.status(house.INCOME, joint_house.TERMS, house.NOW) == []
    side.party(plan)
    assert side.keeper.joint.quotas.status(house.INCOME, joint_house.TERMS, house.NOW) == []
    for attempt in (1, 2, 3):
        side.extract(plan, attempt)
        assert quota_of(side)["left"] == joint_house.TERMS.cells - CELLS
    side.restart()
    assert quota_of(side) == {
        "subject": "joint/nm/tax/income+nm/health",
        "amount": 100,
        "days": 90,
        "left": 100 - CELLS,
        "renews": house.NOW + 90 * house.DAY,
    }


def test_no_room_gives_no_key_and_says_when_it_renews_and_no_number(settings: KeeperConfig) -> None:
    terms = replace(joint_house.TERMS, cells=CELLS)
    side = JointSide.make(settings, replace(joint_house.POLICY, joint=terms))
    side.extract(side.approved(joint_house.joint(side.keeper)))
    again = side.approved(joint_house.joint(side.keeper, joint_house.request(2)))
    with pytest.raises(BudgetSpent, match="ask again from 2025-09-13") as refused:
        side.extract(again)
    assert str(CELLS) not in refused.value.what and refused.value.where == "nm/tax/income+nm/health"
    (subject,) = costs(joint_house.joint(side.keeper), 1, house.INCOME)
    for after, left in ((90 * house.DAY - 1, 0), (90 * house.DAY, CELLS)):
        assert side.keeper.joint.quotas.room(subject, terms, house.NOW + after).left == left


# --- receipts -----------------------------------------------------


def test_a_good_end_is_signed_over_the_launchers_records_and_stays_the_same(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    ran = joint_house.records(plan)
    signed = side.keeper.joint.receipt(joint_house.receipt(plan), plan, ran)
    assert Receipt.read(signed.statement.body) == joint_house.receipt(plan)
    assert signed.statement.signer == house.key("keeper").public
    side.restart()
    assert side.keeper.joint.receipt(joint_house.receipt(plan), plan, ran) == signed


def test_an_attempt_has_one_end(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    failed = joint_house.receipt(
        plan, ran=(), code="joint.peer-lost", failed_at="nm/civil compute", sealed=""
    )
    side.keeper.joint.receipt(failed, plan, ())
    with pytest.raises(StateConflict, match="another end"):
        side.keeper.joint.receipt(joint_house.receipt(plan), plan, joint_house.records(plan))
    with pytest.raises(StateConflict, match="the attempt is over"):
        side.party(plan)
    assert side.party(plan, 2).peers


Records = Callable[[Plan], tuple[Signed, ...]]
GOOD: Records = joint_house.records
WRONG: dict[str, tuple[Records, dict[str, Any]]] = {
    "a stage is missing": (lambda plan: GOOD(plan)[1:], {}),
    "another attempt": (lambda plan: joint_house.records(plan, attempt=2), {}),
    "another order": (lambda plan: GOOD(plan)[::-1], {}),
    "a stranger's": (lambda plan: joint_house.records(plan, signer="stranger"), {}),
    "a peer's launcher": (lambda plan: joint_house.records(plan, signer=f"launcher of {HEALTH}"), {}),
    "another output": (lambda plan: joint_house.records(plan, outputs=()), {}),
    "another input": (lambda plan: joint_house.records(plan, inputs=()), {}),
    "another plan": (lambda plan: joint_house.records(plan, plan=house.digest("other")), {}),
    "other records are named": (GOOD, {"records": ()}),
    "other bytes are named": (GOOD, {"sealed": house.digest("other")}),
    "nothing was left": (GOOD, {"sealed": ""}),
    "handed on after a failure": (GOOD, {"code": "x", "failed_at": "y"}),
    "a failure nowhere": (GOOD, {"code": "x", "sealed": ""}),
}


@pytest.mark.parametrize(("ran", "changes"), WRONG.values(), ids=WRONG)
def test_a_receipt_that_the_records_do_not_bear_out_is_not_signed(
    side: JointSide, ran: Records, changes: dict[str, Any]
) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    claimed = joint_house.receipt(plan, ran=ran(plan), **changes)
    with pytest.raises(DarkroomError) as refused:
        side.keeper.joint.receipt(claimed, plan, ran(plan))
    assert refused.value.code in ("evidence.hash", "evidence.signature", "evidence.outdated")
    side.keeper.joint.receipt(joint_house.receipt(plan), plan, GOOD(plan))


def test_82_a_keeper_from_a_backup_signs_no_end_since_it_may_have_signed_another(
    side: JointSide, tmp_path: Path
) -> None:
    plan, journal = side.approved(joint_house.joint(side.keeper)), side.settings.home / "journal"
    shutil.copy(journal, tmp_path / "backup")
    failed = joint_house.receipt(plan, ran=(), code="joint.peer-lost", failed_at=CIVIL, sealed="")
    side.keeper.joint.receipt(failed, plan, ())
    side.keeper.meet(joint_house.peer_roster(HEALTH, 2))
    shutil.copy(tmp_path / "backup", journal)
    side.restart()
    with pytest.raises(StateConflict, match="restored from a backup"):
        side.keeper.joint.receipt(joint_house.receipt(plan), plan, GOOD(plan))


def test_receipts_of_all_parties_are_kept_and_survive_a_restart(side: JointSide) -> None:
    about = joint_house.joint(side.keeper)
    plan = side.approved(about)
    own = side.keeper.joint.receipt(joint_house.receipt(plan), plan, joint_house.records(plan))
    for domain in PEERS:
        for _ in range(2):
            side.keeper.joint.keep(joint_house.peer_receipt(domain, about))
    side.restart()
    kept = side.keeper.joint.receipts(about.digest, 1)
    assert [each.statement.domain for each in kept] == sorted((OWN, *PEERS)) and own in kept


def test_a_peers_receipt_counts_under_its_own_keepers_key_and_once(side: JointSide) -> None:
    about = joint_house.joint(side.keeper)
    with pytest.raises(PolicyDenied, match="nobody here has approved"):
        side.keeper.joint.keep(joint_house.peer_receipt(HEALTH, about))
    side.approved(about)
    for signer in (f"launcher of {HEALTH}", f"keeper of {CIVIL}", "stranger"):
        with pytest.raises(DarkroomError, match="not a keeper of the roster"):
            side.keeper.joint.keep(joint_house.peer_receipt(HEALTH, about, signer=signer))
    receipt = joint_house.peer_receipt(HEALTH, about)
    body = Receipt.read(receipt.statement.body)
    for kind, duty in ((Type.RELEASE, Duty.KEEPER), (Type.RECEIPT, Duty.ROOT)):
        other = house.signed(kind, duty, body, f"keeper of {HEALTH}", domain=HEALTH)
        with pytest.raises(DarkroomError, match="a receipt is a keeper's statement"):
            side.keeper.joint.keep(other)
    with pytest.raises(HashMismatch, match="its signer's own side"):
        side.keeper.joint.keep(joint_house.peer_receipt(HEALTH, about, party=CIVIL))
    side.keeper.joint.keep(joint_house.peer_receipt(HEALTH, about))
    with pytest.raises(StateConflict, match="two ends of one attempt"):
        side.keeper.joint.keep(joint_house.peer_receipt(HEALTH, about, sent_bytes=7))


@pytest.mark.parametrize("noise", [0, 500_000], ids=["without noise", "with noise"])
def test_a_plan_is_answered_once_whatever_a_peer_puts_in_next_time(
    side: JointSide, noise: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = joint_house.joint(side.keeper)
    about = joint_house.remade(replace(about, scheme=replace(about.scheme, noise_micro=noise)))
    plan = side.approved(about)
    side.party(plan)
    failed = joint_house.receipt(plan, ran=(), code="joint.peer-lost", failed_at=CIVIL, sealed="")
    side.keeper.joint.receipt(failed, plan, ())
    side.party(plan, 2)
    ran = joint_house.records(plan, attempt=2)
    side.keeper.joint.receipt(joint_house.receipt(plan, ran=ran, attempt=2), plan, ran)
    for _ in range(2):
        for ask in (side.extract, side.party):
            with pytest.raises(StateConflict, match="answered once"):
                ask(plan, 3)
        side.restart()
    others = joint_house.joint(side.keeper, joint_house.request(2))
    assert side.party(side.approved(others)).peers, "another plan is charged for itself"
    monkeypatch.setattr(side.keeper.joint, "_require_open", lambda joint: None)
    assert side.party(plan, 3).peers, "the control: without the rule there is a second answer"


def test_a_good_end_that_a_peer_never_signed_is_none_and_the_plan_is_answered_by_another_attempt(
    side: JointSide,
) -> None:
    """A peer died after the own side had signed. Its next life signs that it failed, so nothing is handed over."""
    about = joint_house.joint(side.keeper)
    plan = side.approved(about)
    side.party(plan)
    ran = joint_house.records(plan)
    side.keeper.joint.receipt(joint_house.receipt(plan, ran=ran), plan, ran)
    with pytest.raises(StateConflict, match="answered once"):
        side.party(plan, 2)
    died = joint_house.peer_receipt(
        HEALTH, about, code="joint.party-failed", failed_at="open@nm/health", sealed=""
    )
    side.keeper.joint.keep(died)
    side.restart()
    assert side.party(plan, 2).peers
    with pytest.raises(StateConflict, match="two ends of one attempt"):
        side.keeper.joint.keep(joint_house.peer_receipt(HEALTH, about))
    again = joint_house.records(plan, attempt=2)
    side.keeper.joint.receipt(joint_house.receipt(plan, ran=again, attempt=2), plan, again)
    with pytest.raises(StateConflict, match="answered once"):
        side.party(plan, 3)


def test_a_peer_whose_good_end_is_kept_opens_no_plan_by_saying_afterwards_that_it_failed(
    side: JointSide,
) -> None:
    """Else it had an answer of this attempt, and another one of the next."""
    about = joint_house.joint(side.keeper)
    plan = side.approved(about)
    side.party(plan)
    ran = joint_house.records(plan)
    side.keeper.joint.receipt(joint_house.receipt(plan, ran=ran), plan, ran)
    for domain in PEERS:
        side.keeper.joint.keep(joint_house.peer_receipt(domain, about))
    died = joint_house.peer_receipt(
        HEALTH, about, code="joint.party-failed", failed_at="open@nm/health", sealed=""
    )
    with pytest.raises(StateConflict, match="two ends of one attempt"):
        side.keeper.joint.keep(died)
    with pytest.raises(StateConflict, match="answered once"):
        side.party(plan, 2)


def test_attempts_that_had_keys_before_any_had_its_end_do_not_all_end_well(side: JointSide) -> None:
    plan = side.approved(joint_house.joint(side.keeper))
    for attempt in (1, 2):
        side.party(plan, attempt)
    ran = [joint_house.records(plan, attempt=attempt) for attempt in (1, 2)]
    first = side.keeper.joint.receipt(joint_house.receipt(plan, ran=ran[0]), plan, ran[0])
    second = joint_house.receipt(plan, ran=ran[1], attempt=2)
    with pytest.raises(StateConflict, match="answered once"):
        side.keeper.joint.receipt(second, plan, ran[1])
    assert side.keeper.joint.receipt(joint_house.receipt(plan, ran=ran[0]), plan, ran[0]) == first
    failed = joint_house.receipt(plan, ran=(), attempt=2, code="joint.peer-lost", failed_at=CIVIL, sealed="")
    assert side.keeper.joint.receipt(failed, plan, ()), "that it failed may be said"


# --- settings -----------------------------------------------------


def test_root_keys_of_peers_are_settings_and_there_are_none_by_default(
    side: JointSide, settings: KeeperConfig
) -> None:
    path = side.settings.home / "settings.json"
    side.settings.save(path)
    assert load(path) == side.settings and settings.peers == {}
    with pytest.raises(DarkroomError, match="not among its peers"):
        replace(side.settings, peers={OWN: house.key("x").public})
