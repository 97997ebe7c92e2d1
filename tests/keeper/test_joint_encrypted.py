"""Promise: an owner that forbids ciphertexts gives no keys for them, whatever its terms and a centre's plan say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keeper.config import KeeperConfig
from plans.constraints import Access, Action, Constraint, Effect, Use
from plans.errors import PolicyDenied
from plans.statements import DatasetPolicy
from policies.api import short
from tests.keeper import house
from tests.keeper.joint_forms_house import POLICY, plan_of, side_of
from tests.policies.cases import denied

REGION = short("region", ("group", "filter"))
FORBIDDEN = replace(POLICY.access[0], effect=Effect.DENY, actions=(Action.ENCRYPTED,))
ONLY = replace(POLICY.access[0], actions=(Action.ENCRYPTED,))


def in_force(access: tuple[Access, ...] = POLICY.access, *rules: Constraint) -> DatasetPolicy:
    """The own policy with other rules."""
    return replace(POLICY, access=access, constraints=rules or POLICY.constraints)


NO: list[DatasetPolicy] = [
    in_force((*POLICY.access, FORBIDDEN)),
    in_force(POLICY.access, *POLICY.constraints, denied("income", Use.ENCRYPTED)),
]


@pytest.mark.parametrize("policy", NO, ids=["of the dataset", "of a column"])
def test_a_plan_of_before_the_prohibition_gets_no_keys_and_one_on_shares_does(
    settings: KeeperConfig, policy: DatasetPolicy
) -> None:
    """The attack: a centre has ciphertexts made under a plan that was allowed before. The control: no prohibition."""
    side = side_of(settings)
    own = side.approved(plan_of(side, "ciphertexts"))
    house.believe(side.keeper, house.bundle(2, (policy,)))
    with pytest.raises(PolicyDenied, match="decision is no: (access|column-use)"):
        side.extract(own)
    on_shares = plan_of(side, "stacked and inspected", 1)
    assert side.extract(side.approved(on_shares)).inputs
    house.believe(side.keeper, house.bundle(3, (POLICY,)))
    assert side.extract(side.approved(plan_of(side, "ciphertexts", 2))).inputs


@pytest.mark.parametrize("form", ["stacked", "stacked and inspected", "inspected", "common"])
def test_what_is_allowed_on_ciphertexts_only_gets_keys_for_them_and_for_nothing_else(
    settings: KeeperConfig, form: str
) -> None:
    side = side_of(settings)
    otherwise = side.approved(plan_of(side, form))
    only = in_force((ONLY,), REGION, short("income", ("encrypted",)))
    house.believe(side.keeper, house.bundle(2, (only,)))
    with pytest.raises(PolicyDenied, match="decision is no: access"):
        side.extract(otherwise)
    assert side.extract(side.approved(plan_of(side, "ciphertexts", 1))).inputs
