"""The centre and the owner's keeper decide alike, and a keeper finds every plan of an honest centre to be its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from keeper import rederive
from keeper.trust import TrustedSet
from keys import api as keys
from plans.decision import Outcome
from plans.errors import PolicyDenied, RederivationMismatch
from plans.plan import Plan
from plans.statements import Duty, Grant, Signed, Type
from policies.api import Case, Granted, decide, program_of, shadows, sql_boxes
from tests.keeper import house
from tests.policies.cases import GOOD, cases

HOUSE = rederive.House((house.IMAGE,), house.LIMITS)


def believed(case: Case, grants: Iterable[Signed]) -> TrustedSet:
    """What the keeper believes of a case: its own signed statements, verified one by one."""
    roster, bundle = house.roster(), house.signed(Type.BUNDLE, Duty.STEWARD, case.bundle, "steward")
    manifests = tuple(house.signed_manifest(manifest) for manifest in case.manifests)
    return house.trusted(roster, bundle, *manifests, *grants)


def seen_by_the_centre(case: Case, grants: Iterable[Signed]) -> Case:
    """The same case as the centre makes it from copies: in another order, and without counting uses."""
    copies = tuple(
        Granted(s.statement.digest, Grant.read(s.statement.body), s.statement.not_before, s.statement.not_after,
                revoked=False, uses_left=9, approver=s.statement.signer)
        for s in grants
    )  # fmt: skip
    return replace(case, grants=copies[::-1], manifests=case.manifests[::-1], now=house.NOW, roster_number=1)


def signed_grants(case: Case) -> tuple[Signed, ...]:
    return tuple(house.grant(one.grant) for one in case.grants if not one.revoked and one.uses_left > 0)


def plan_of(case: Case) -> Plan | None:
    """The plan that the centre makes for a case, none for a denial."""
    decision = decide(case)
    if decision.obligations is None:
        return None
    program = program_of(case)
    boxes = sql_boxes(program, case.manifests, house.IMAGE, decision.obligations.tier, house.LIMITS)
    signature = keys.sign_bytes("request", case.request.canonical(), house.key("member"))
    return replace(
        house.plan(house.trusted(*house.house_statements(house.grant()))),
        request=case.request,
        request_signature=signature,
        decision=decision,
        program=program,
        stages=boxes,
    )


@given(cases(masks=True))
def test_both_sides_decide_alike_and_see_the_same_shadows(case: Case) -> None:
    grants = signed_grants(case)
    owner, centre = believed(case, grants), seen_by_the_centre(case, grants)
    roster, bundle = owner.in_force()
    keeper = replace(
        centre,
        bundle=bundle,
        manifests=owner.current_manifests(),
        grants=owner.granted(case.request.digest),
        approvers=roster.named(Duty.APPROVER),
        roster_number=roster.number,
    )
    assert decide(keeper) == decide(centre)

    def by_name(one: Case) -> list:
        found = shadows(one.request, one.bundle, one.manifests, one.index, one.now)
        return sorted(found, key=lambda shadow: shadow.relation)

    assert by_name(keeper) == by_name(centre)


@given(cases(masks=True))
def test_a_keeper_allows_what_an_honest_centre_was_allowed_and_denies_the_rest(case: Case) -> None:
    grants = signed_grants(case)
    owner, centre = believed(case, grants), seen_by_the_centre(case, grants)
    plan = plan_of(centre)
    if plan is None:
        return
    if decide(centre).outcome is Outcome.NEEDS_APPROVAL:
        with pytest.raises(PolicyDenied, match="approves every plan"):
            rederive.require_same(plan, case.reading, owner, HOUSE, house.NOW)
    else:
        decision, approvals = rederive.require_same(plan, case.reading, owner, HOUSE, house.NOW)
        assert (decision, approvals) == (plan.decision, ())


def test_a_centre_that_knows_other_rules_is_found_out() -> None:
    """The control: the plan of a centre whose bundle asks for less is not the keeper's."""
    grants = (house.grant(),)
    milder = tuple(replace(policy, minimum_group=1) for policy in GOOD.bundle.policies)
    lying = replace(GOOD, bundle=replace(GOOD.bundle, policies=milder))
    plan = plan_of(seen_by_the_centre(lying, grants))
    assert plan is not None
    with pytest.raises(RederivationMismatch):
        rederive.require_same(plan, GOOD.reading, believed(GOOD, grants), HOUSE, house.NOW)


def test_an_image_that_was_built_anew_is_refused_with_whom_to_ask_and_what_they_type() -> None:
    """The owner decides which images see its rows; whoever is refused hears whose word is missing, and how it is said.
    The command is one that there is, with this option.
    """
    grants = (house.grant(),)
    plan = plan_of(seen_by_the_centre(GOOD, grants))
    assert plan is not None
    rederive.require_same(plan, GOOD.reading, believed(GOOD, grants), HOUSE, house.NOW)  # the control
    other = rederive.House((house.digest("image built anew"),), house.LIMITS)
    with pytest.raises(RederivationMismatch, match="not one that the owner trusts") as refused:
        rederive.require_same(plan, GOOD.reading, believed(GOOD, grants), other, house.NOW)
    step = refused.value.next_step
    assert f"administrator of {plan.domain}'s side" in step
    program, *words, domain, option = step.partition("runs: ")[2].split()
    assert (program, domain, option) == ("darkroom-server", plan.domain, "--trust")
    reference = (Path(__file__).resolve().parents[2] / "docs/commands-darkroom-server.md").read_text()
    section = reference.partition(f"## `darkroom-server {' '.join(words)}`\n")[2].partition("\n## ")[0]
    assert f"| `{option}` |" in section
