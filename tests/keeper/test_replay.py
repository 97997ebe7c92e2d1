"""A decision says by which roster and bundle it was made: from the statements that were kept, it is found again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.trust import TrustedSet
from plans.decision import Decision, Outcome
from plans.request import Request
from plans.statements import Duty, Signed, Type
from policies import api as policies
from policies.api import short
from tests.keeper import house
from tests.keeper.house import DAY, NOW

NARROW = replace(house.INCOME_POLICY, constraints=(short("income", ("avg",)), short("region", ("filter",))))
STRICT = replace(house.INCOME_POLICY, minimum_group=50)
BUNDLES = ((house.INCOME_POLICY,), (NARROW,), (STRICT,), ())
GRANTS = [house.grant(), house.grant(signer="second approver"), house.grant(not_after=NOW + 3)]


def decide(believed: TrustedSet, request: Request, now: int) -> Decision:
    """What the keeper decides about the house's statement."""
    roster, bundle = believed.in_force()
    return policies.decide(
        policies.Case(
            request=request,
            reading=house.READING,
            bundle=bundle,
            manifests=believed.current_manifests(),
            grants=believed.granted(request.digest),
            approvers=roster.named(Duty.APPROVER),
            now=now,
            roster_number=roster.number,
        )
    )


@dataclass(frozen=True)
class Kept:
    """What outlives the keeper: when each statement arrived, and when which decision was made on which request."""

    arrived: tuple[tuple[int, Signed], ...]
    decided: tuple[tuple[int, Request, Decision], ...]


def live(steps: list[tuple[str, int]]) -> Kept:
    """Let things happen to a keeper, one a second, and have it decide after each."""
    believed = house.trusted(*house.house_statements())
    arrived = [(NOW, signed) for signed in house.house_statements()]
    decided = [(NOW, house.REQUEST, decide(believed, house.REQUEST, NOW))]
    for at, (kind, choice) in enumerate(steps, start=NOW + 1):
        number = at - NOW + 1
        if kind == "bundle":
            signed = house.bundle(number, BUNDLES[choice % len(BUNDLES)])
        elif kind == "roster":
            gone = ("nobody", "hu@nm/tax", "launcher:node1")[choice % 3]
            signed = house.roster(number, house.entries_without(gone))
        elif kind == "revocation":
            signed = house.revocation(GRANTS[choice % len(GRANTS)], "steward", duty=Duty.STEWARD)
        else:
            signed = GRANTS[0] if choice % 3 == 0 else house.grant(not_after=NOW + 30 * DAY)
        believed.add(signed, at)
        arrived.append((at, signed))
        request = house.another_request(at)
        decided.append((at, request, decide(believed, request, at)))
    return Kept(tuple(arrived), tuple(decided))


def replay(kept: Kept, request: Request, made: Decision, at: int) -> Decision:
    """Decide again, years later, from what had arrived then, and rosters and bundles up to the numbers it names."""
    newest = {Type.ROSTER: made.roster_number, Type.BUNDLE: made.bundle_number}
    fresh = TrustedSet(house.DOMAIN, house.key("root").public)
    for arrived, signed in kept.arrived:
        statement = signed.statement
        known = newest.get(statement.type)
        if arrived <= at if known is None else statement.body["number"] <= known:
            fresh.add(signed, arrived)
    return decide(fresh, request, at)


STEPS = st.lists(
    st.tuples(st.sampled_from(["bundle", "roster", "grant", "grant", "revocation"]), st.integers(0, 11)),
    max_size=10,
)


@given(STEPS)
@settings(max_examples=25, deadline=None)
def test_every_decision_is_found_again_from_the_statements_and_the_numbers_it_names(
    steps: list[tuple[str, int]],
) -> None:
    kept = live(steps)
    for at, request, made in kept.decided:
        assert replay(kept, request, made, at).canonical() == made.canonical()


def test_with_other_numbers_it_is_another_decision() -> None:
    """The control: what the numbers name is what decides."""
    kept = live([("grant", 0), ("bundle", 1), ("bundle", 2)])
    _, (at, request, allowed), *_, (later, _, again) = kept.decided
    assert allowed.outcome is Outcome.ALLOW and again.obligations and again.obligations.minimum_group == 50
    assert replay(kept, request, replace(allowed, bundle_number=3), later).outcome is Outcome.DENY
    assert replay(kept, request, allowed, at).canonical() == allowed.canonical()
