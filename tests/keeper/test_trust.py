"""The rules of `keeper.trust`, one section each: what is believed, and what is offered in vain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.trust import CLOCK_SLACK_S, MOST_RUNS, TrustedSet
from plans.constraints import Tagged
from plans.errors import DarkroomError, Malformed, Outdated, SignatureWrong, StateConflict
from plans.statements import Approval, Duty, Erasure, Head, RosterEntry, Signed, Type
from tests.keeper import house
from tests.keeper.house import DAY, NOW

GOOD = house.house_statements()


def refused(error: type[DarkroomError], statement: Signed, *before: Signed, now: int = NOW) -> TrustedSet:
    """Offer a statement to a set that believes others; it is refused and changes nothing."""
    believed = house.trusted(*(before or GOOD))
    was = repr(believed)
    with pytest.raises(error):
        believed.add(statement, now)
    assert repr(believed) == was, "a refused statement left something behind"
    return believed


# --- any statement -----------------------------------------------------


def test_the_unchanged_house_is_believed() -> None:
    believed = house.trusted(*GOOD, house.grant())
    assert [m.dataset for m in believed.current_manifests()] == [house.INCOME, house.PROPERTY]
    assert len(believed.granted("")) == 1 and believed.in_force()[1].number == 1


def test_a_changed_body_or_signature_is_no_statement() -> None:
    honest = house.grant()
    with pytest.raises(Malformed):
        replace(honest.statement, body={**honest.statement.body, "uses": 99})
    refused(SignatureWrong, replace(honest, signature="00" * 64))
    refused(SignatureWrong, replace(honest, statement=replace(honest.statement, sequence=9)))


def test_a_signature_does_not_serve_another_statement_of_the_same_signer() -> None:
    refused(SignatureWrong, replace(house.grant(), signature=house.approval(house.digest("p")).signature))


@pytest.mark.parametrize(
    "statement", [s for s in (*GOOD, house.grant()) if s.statement.type is not Type.ROSTER]
)
def test_nobody_is_believed_before_there_is_a_roster(statement: Signed) -> None:
    with pytest.raises(SignatureWrong):
        house.trusted(statement)


@pytest.mark.parametrize("statement", [
    house.roster(2, domain=house.OTHER_DOMAIN),
    house.bundle(2, domain=house.OTHER_DOMAIN),
    house.grant(domain=house.OTHER_DOMAIN),
    house.approval(house.digest("p"), domain=house.OTHER_DOMAIN),
])  # fmt: skip
def test_a_statement_about_another_domain_is_refused(statement: Signed) -> None:
    refused(SignatureWrong, statement)


@pytest.mark.parametrize("domain", ["nm/tax/income", "nm", "nm/tax2", "nm/ta"])
def test_a_domain_is_not_matched_by_its_beginning(domain: str) -> None:
    refused(SignatureWrong, house.grant(domain=domain))


@pytest.mark.parametrize("kind", [Type.BOX, Type.STAGE, Type.HEAD, Type.RELEASE, Type.SIGN_IN])
def test_other_types_of_statements_are_not_taken(kind: Type) -> None:
    refused(SignatureWrong, house.signed(kind, Duty.APPROVER, Approval(house.digest("p")), "approver"))


def test_a_login_challenge_that_looks_like_an_approval_is_none() -> None:
    """ATTACKS 79: the type is inside what is signed."""
    login = house.signed(Type.SIGN_IN, Duty.APPROVER, Approval(house.digest("p")), "approver")
    approving = replace(
        login.statement, type=Type.APPROVAL, subject=house.approval(house.digest("p")).statement.subject
    )
    refused(SignatureWrong, Signed(approving, login.signature))


# --- 1: rosters -----------------------------------------------------


def test_a_roster_is_signed_by_the_root_key_and_by_no_other() -> None:
    house.trusted(*GOOD, house.roster(2))
    for signer in ("approver", "steward", "keeper", "stranger"):
        refused(SignatureWrong, house.roster(2, signer=signer))
    refused(SignatureWrong, house.roster(2, duty=Duty.STEWARD))


@pytest.mark.parametrize("number", [1, 0, -1])
def test_a_roster_that_is_not_newer_is_refused(number: int) -> None:
    refused(Outdated, house.roster(number))


def test_the_root_key_is_pinned_and_cannot_be_changed_by_a_roster() -> None:
    entries = (*house.ENTRIES, RosterEntry("root", Duty.ROOT, house.key("new root").public))
    believed = house.trusted(*GOOD, house.roster(2, entries))
    with pytest.raises(SignatureWrong):
        believed.add(house.roster(3, signer="new root"), NOW)


# --- 2: bundles -----------------------------------------------------


def test_a_bundle_is_signed_by_a_steward() -> None:
    house.trusted(*GOOD, house.bundle(2))
    for signer in ("approver", "launcher", "keeper", "root", "stranger"):
        refused(SignatureWrong, house.bundle(2, signer=signer))
    refused(SignatureWrong, house.bundle(2, duty=Duty.APPROVER, signer="approver"))


@pytest.mark.parametrize("number", [1, 0, -1])
def test_a_bundle_that_is_not_newer_is_refused(number: int) -> None:
    refused(Outdated, house.bundle(number))


def test_a_bundle_with_two_answers_to_one_question_cannot_be_written() -> None:
    """Only one of them could count, and the steward would not know which."""
    tagged = (Tagged("income", ("personal",)), Tagged("income", ("public",)))
    with pytest.raises(Malformed):
        house.bundle(2, (house.INCOME_POLICY, replace(house.INCOME_POLICY, minimum_group=50)))
    for change in ({"tagged": tagged}, {"minimum_group": 0}, {"rounding": 0},
                   {"largest_result": -1}, {"dataset": "nm/tax/*"}):  # fmt: skip
        with pytest.raises(Malformed):
            replace(house.INCOME_POLICY, **change)


def test_a_bundle_ends_with_its_stewards_office() -> None:
    entries = (
        *house.entries_without("su@nm/tax"),
        RosterEntry("wu@nm/tax", Duty.STEWARD, house.key("new").public),
    )
    believed = house.trusted(*GOOD, house.roster(2, entries))
    with pytest.raises(StateConflict):
        believed.in_force()
    believed.add(house.bundle(2, signer="new"), NOW)
    assert believed.in_force()[1].number == 2


def test_without_a_roster_or_a_bundle_nothing_is_in_force() -> None:
    for statements in ((), (house.roster(),)):
        with pytest.raises(StateConflict):
            house.trusted(*statements).in_force()


def test_numbers_that_a_backup_forgot_still_count() -> None:
    believed = house.trusted(*GOOD)
    believed.floor = {"roster": 4, "bundle": 6}
    for forgotten in (house.roster(3), house.roster(4), house.bundle(5)):
        with pytest.raises(Outdated):
            believed.add(forgotten, NOW)
    with pytest.raises(StateConflict):
        believed.in_force()
    believed.add(house.bundle(6), NOW)
    believed.add(house.roster(5), NOW)
    assert believed.in_force()[1].number == 6
    assert believed.numbers() == {"roster": 5, "bundle": 6}


# --- 3: manifests -----------------------------------------------------


def test_a_manifest_is_signed_by_the_keeper() -> None:
    second = house.manifest(version=2)
    believed = house.trusted(*GOOD, house.signed_manifest(second))
    assert second in believed.current_manifests()
    for signer in ("approver", "launcher", "steward", "stranger"):
        refused(SignatureWrong, house.signed_manifest(second, signer=signer))


@pytest.mark.parametrize("version", [0, 1, 3])
def test_a_version_follows_the_one_before(version: int) -> None:
    refused(Outdated, house.signed_manifest(house.manifest(version=version)))


def test_a_manifest_of_another_domains_dataset_is_refused() -> None:
    refused(Outdated, house.signed_manifest(house.manifest("nm/health/visit")))
    refused(Outdated, house.signed_manifest(house.manifest("nm/tax/north/income")))


def test_an_erased_version_is_current_no_more_and_the_one_before_does_not_come_back() -> None:
    second = house.manifest(version=2)
    erasure = Erasure(house.INCOME, 2, second.digest, (), NOW, NOW)
    certificate = house.signed(Type.ERASURE, Duty.KEEPER, erasure, "keeper")
    believed = house.trusted(*GOOD, house.signed_manifest(second), certificate)
    assert [m.dataset for m in believed.current_manifests()] == [house.PROPERTY]
    refused(SignatureWrong, house.signed(Type.ERASURE, Duty.APPROVER, erasure, "approver"))


# --- 4: grants -----------------------------------------------------


def test_a_grant_is_signed_by_an_approver() -> None:
    for signer in ("steward", "launcher", "keeper", "root", "stranger", "member"):
        refused(SignatureWrong, house.grant(signer=signer))
    refused(SignatureWrong, house.grant(signer="steward", duty=Duty.STEWARD))


def test_nobody_approves_their_own_application_neither_by_name_nor_by_key() -> None:
    """ATTACKS 59."""
    refused(SignatureWrong, house.grant(replace(house.GRANT, member=house.APPROVER)))
    refused(SignatureWrong, house.grant(replace(house.GRANT, signer=house.key("approver").public)))


def test_a_regions_approver_approves_nothing_for_its_banners_nor_the_other_way_round() -> None:
    """Every domain's roster is its own list; nobody inherits a duty along the tree."""
    grant = house.grant(signer="region's approver")
    entry = RosterEntry("da@nm", Duty.APPROVER, house.key("region's approver").public)
    region = TrustedSet("nm", house.key("root").public)
    region.add(house.roster(1, (entry,), domain="nm"), NOW)
    for believed in (region, house.trusted(*GOOD)):
        with pytest.raises(SignatureWrong):
            believed.add(grant, NOW)
    with pytest.raises(SignatureWrong):
        region.add(house.grant(domain="nm"), NOW)
    listed = house.trusted(house.roster(1, (*house.ENTRIES, entry)), *GOOD[1:])
    listed.add(grant, NOW)
    assert len(listed.granted("")) == 1, "the control: the banner lists that key itself"


def test_a_second_name_in_the_roster_does_not_make_one_person_two() -> None:
    alias = RosterEntry(house.MEMBER, Duty.APPROVER, house.key("approver").public)
    for entries in ((alias, *house.ENTRIES), (*house.ENTRIES, alias)):
        believed = house.trusted(house.roster(1, entries))
        with pytest.raises(SignatureWrong):
            believed.add(house.grant(), NOW)


def test_a_grant_has_an_end_and_is_about_a_dataset_of_this_domain() -> None:
    refused(Outdated, house.grant(not_after=0))
    refused(SignatureWrong, house.grant(replace(house.GRANT, dataset="nm/health/visit")))
    refused(SignatureWrong, house.grant(replace(house.GRANT, dataset="nm/tax/income/x")))


def test_a_grant_without_columns_or_uses_cannot_be_written() -> None:
    for change in ({"columns": ()}, {"uses": 0}, {"uses": -1}, {"member": "*"}, {"dataset": "nm/tax/*"}):
        with pytest.raises(Malformed):
            replace(house.GRANT, **change)


def test_an_approver_who_left_takes_their_grants_along() -> None:
    """ATTACKS 80."""
    believed = house.trusted(*GOOD, house.grant())
    assert believed.granted("")
    believed.add(house.roster(2, house.entries_without(house.APPROVER)), NOW)
    assert not believed.granted("")


def test_an_approver_who_becomes_a_steward_takes_their_grants_along_too() -> None:
    entries = (*house.entries_without(house.APPROVER),
               RosterEntry(house.APPROVER, Duty.STEWARD, house.key("approver").public))  # fmt: skip
    believed = house.trusted(*GOOD, house.grant(), house.roster(2, entries))
    assert not believed.granted("")


# --- 5: approvals -----------------------------------------------------

PLAN = house.digest("plan")


def test_an_approval_counts_for_exactly_its_plan() -> None:
    yes = house.approval(PLAN)
    believed = house.trusted(*GOOD, yes)
    assert believed.approved(PLAN, house.REQUEST, NOW) == (yes.statement.digest,)
    assert believed.approved(house.digest("another plan"), house.REQUEST, NOW) == ()


def test_an_approval_ends_with_its_time_its_signer_or_a_revocation() -> None:
    brief = house.approval(PLAN, not_after=NOW + 60)
    believed = house.trusted(*GOOD, brief)
    assert believed.approved(PLAN, house.REQUEST, NOW + 59) and not believed.approved(
        PLAN, house.REQUEST, NOW + 60
    )
    revoked = house.trusted(*GOOD, brief, house.revocation(brief))
    assert not revoked.approved(PLAN, house.REQUEST, NOW)
    left = house.trusted(*GOOD, brief, house.roster(2, house.entries_without(house.APPROVER)))
    assert not left.approved(PLAN, house.REQUEST, NOW)


def test_the_requesters_own_approval_does_not_count_neither_by_name_nor_by_key() -> None:
    """ATTACKS 59, 80."""
    believed = house.trusted(*GOOD, house.approval(PLAN))
    by_name = replace(house.REQUEST, member=house.APPROVER)
    by_key = replace(house.REQUEST, signer=house.key("approver").public)
    assert believed.approved(PLAN, house.REQUEST, NOW)
    assert not believed.approved(PLAN, by_name, NOW)
    assert not believed.approved(PLAN, by_key, NOW)
    believed.add(house.approval(PLAN, signer="second approver"), NOW)
    assert len(believed.approved(PLAN, by_name, NOW)) == 1


def test_only_approvers_approve() -> None:
    for signer, duty in (("steward", Duty.STEWARD), ("steward", Duty.APPROVER), ("member", Duty.MEMBER)):
        refused(SignatureWrong, house.approval(PLAN, signer=signer, duty=duty))


# --- 6: revocations -----------------------------------------------------


@pytest.mark.parametrize(("signer", "duty"), [("approver", Duty.APPROVER), ("second approver", Duty.APPROVER),
                                              ("steward", Duty.STEWARD)])  # fmt: skip
def test_any_approver_or_steward_revokes(signer: str, duty: Duty) -> None:
    granted = house.grant()
    believed = house.trusted(*GOOD, granted, house.revocation(granted, signer, duty=duty))
    assert [g.revoked for g in believed.granted("")] == [True]


def test_nobody_else_revokes() -> None:
    for signer, duty in (("launcher", Duty.LAUNCHER), ("member", Duty.MEMBER), ("launcher", Duty.APPROVER)):
        refused(SignatureWrong, house.revocation(house.grant(), signer, duty=duty))


def test_a_revocation_may_arrive_before_what_it_revokes() -> None:
    granted = house.grant()
    believed = house.trusted(*GOOD, house.revocation(granted), granted)
    assert [g.revoked for g in believed.granted("")] == [True]


def test_a_revocation_outlives_its_signers_office_and_a_second_offer_of_the_grant() -> None:
    granted = house.grant(signer="second approver")
    left = house.roster(2, house.entries_without(house.APPROVER))
    believed = house.trusted(*GOOD, granted, house.revocation(granted), left, granted)
    assert [g.revoked for g in believed.granted("")] == [True]


def test_two_grants_with_the_same_words_are_two_and_a_revocation_ends_one() -> None:
    first, second = house.grant(), house.grant()
    believed = house.trusted(*GOOD, first, second, house.revocation(first))
    assert sorted(g.revoked for g in believed.granted("")) == [False, True]


# --- 7: validity -----------------------------------------------------


def test_an_expired_statement_does_not_arrive() -> None:
    late = house.grant(not_after=NOW + 60)
    house.trusted(*GOOD, house.grant(not_after=NOW + 60), now=NOW + 59)
    refused(Outdated, late, now=NOW + 60)


def test_a_statement_from_the_future_does_not_arrive() -> None:
    house.trusted(*GOOD, house.grant(not_before=NOW + CLOCK_SLACK_S))
    refused(Outdated, house.grant(not_before=NOW + CLOCK_SLACK_S + 1))


def test_a_grants_validity_is_asked_again_at_every_use() -> None:
    (granted,) = house.trusted(*GOOD, house.grant(not_after=NOW + DAY)).granted("")
    assert granted.stands(NOW + DAY - 1) and not granted.stands(NOW + DAY)


# --- uses -----------------------------------------------------


def test_a_request_counts_once_against_its_grant_however_often_it_runs() -> None:
    granted = house.grant()
    believed = house.trusted(*GOOD, granted)
    digest = granted.statement.digest
    for request in ("a", "a", "b"):
        believed.use((digest,), request)
    assert [g.uses_left for g in believed.granted("c")] == [0]
    assert [g.uses_left for g in believed.granted("a")] == [1], "its own use is not counted against it"


def test_an_approver_who_comes_back_brings_their_grants_and_their_uses_along() -> None:
    granted = house.grant()
    believed = house.trusted(*GOOD, granted, house.roster(2, house.entries_without(house.APPROVER)))
    believed.use((granted.statement.digest,), "a")
    assert not believed.granted("a") and not believed.granted("b")
    believed.add(house.roster(3), NOW)
    assert [g.uses_left for g in believed.granted("b")] == [1]
    assert [g.uses_left for g in believed.granted("a")] == [2]


def test_what_a_decision_holds_does_not_change_when_a_revocation_arrives() -> None:
    granted = house.grant()
    believed = house.trusted(*GOOD, granted)
    held = believed.granted("")
    believed.add(house.revocation(granted), NOW)
    assert [g.revoked for g in held] == [False] and [g.revoked for g in believed.granted("")] == [True]


def test_a_request_runs_a_few_times_and_no_more() -> None:
    believed = house.trusted(*GOOD)
    for _ in range(MOST_RUNS):
        believed.require_run("a")
        believed.use((), "a")
    with pytest.raises(Outdated):
        believed.require_run("a")
    believed.require_run("b")


# --- 9: the clock -----------------------------------------------------


def test_the_clock_does_not_run_backwards() -> None:
    """ATTACKS 81."""
    believed = house.trusted(*GOOD)
    believed.tick(NOW)
    believed.tick(NOW - CLOCK_SLACK_S)
    with pytest.raises(Outdated):
        believed.tick(NOW - CLOCK_SLACK_S - 1)
    assert believed.latest == NOW


# --- what a running box rests on -----------------------------------------------------


def test_a_box_rests_on_grants_approvals_and_manifests_that_stand() -> None:
    granted, approved = house.grant(), house.approval(PLAN)
    believed = house.trusted(*GOOD, granted, approved)
    rests_on = (granted.statement.digest, approved.statement.digest, house.manifest().digest)
    assert believed.standing(rests_on, NOW) and believed.standing((), NOW)
    assert not believed.standing((*rests_on, house.digest("what nobody signed")), NOW)
    assert not believed.standing(rests_on, NOW + 30 * DAY), "the grant has ended"
    for end in (
        house.revocation(granted),
        house.revocation(approved),
        house.roster(2, house.entries_without(house.APPROVER)),
        house.signed(
            Type.ERASURE, Duty.KEEPER, Erasure(house.INCOME, 1, rests_on[2], (), NOW, NOW), "keeper"
        ),
    ):
        assert not house.trusted(*GOOD, granted, approved, end).standing(rests_on, NOW), end.statement.type


def test_what_is_only_tried_is_not_believed() -> None:
    believed = house.trusted(*GOOD)
    was = repr(believed)
    for statement in (house.roster(2), house.bundle(9), house.signed_manifest(house.manifest(version=2)),
                      house.grant(), house.approval(PLAN), house.revocation(house.grant())):  # fmt: skip
        numbers = believed.after(statement, NOW)
        assert repr(believed) == was
    assert numbers == {"roster": 1, "bundle": 1}
    assert believed.after(house.bundle(9), NOW) == {"roster": 1, "bundle": 9}


def test_a_witnessed_head_is_not_taken_as_a_statement() -> None:
    refused(SignatureWrong, house.signed(Type.HEAD, Duty.CENTRE, Head("centre", 1, "0" * 64, NOW), "log"))
