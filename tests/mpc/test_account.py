"""Promise: what a party says of its part afterwards is what its form has, so that its record can be looked at."""

from __future__ import annotations

from typing import Any

import pytest

from mpc.encrypted import crypto_box
from mpc.protocols.computation import Account, Work, take_part
from mpc.protocols.memory import together
from plans.joint import JointPlan, Shape
from plans.joint_reports import decryptions_of, key_owner
from tests.mpc.form_cases import FORMS
from tests.mpc.test_visibility_messages import rows_of

COMPUTED = {name: made.plan() for name, made in FORMS.items()}


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ciphertexts of others are read in boxes alone, and all parties are threads of this process."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def accounts(plan: JointPlan) -> dict[str, Account]:
    """What every party can say after an attempt."""
    rows = {each.domain: rows_of(plan, place, 5) for place, each in enumerate(plan.reading.portions)}
    made: dict[str, Account] = {}

    def program(domain: str) -> Any:
        def part(channel: Any) -> Any:
            work = Work(plan, domain, 1, channel)
            made[domain] = work.account
            return take_part(work, rows.get(domain))

        return part

    together({party.domain: program(party.domain) for party in plan.parties})
    return made


@pytest.mark.parametrize("plan", COMPUTED.values(), ids=COMPUTED)
def test_one_key_decrypts_once_and_both_sides_of_lookups_are_at_one_table(plan: JointPlan) -> None:
    """In every form; whose key it is, and that there is a table, the plan says."""
    found = accounts(plan)
    owner = key_owner(plan)
    assert {who: each.decryptions for who, each in found.items() if each.decryptions} == (
        {owner: decryptions_of(plan)} if owner else {}
    )
    tables = {each.table for each in found.values()}
    assert len(tables) == 1 and (tables != {""}) == (plan.reading.shape is Shape.LOOKUP)


def test_another_attempt_is_at_another_table() -> None:
    """Nothing of one attempt belongs to another, so no table of an earlier one passes for this one's."""
    first, second = (accounts(COMPUTED["looked up"]) for _ in range(2))
    assert not {each.table for each in first.values()} & {each.table for each in second.values()}


def test_some_forms_have_a_key_and_some_have_none() -> None:
    """The control of the above: it looks at both."""
    assert {bool(key_owner(plan)) for plan in COMPUTED.values()} == {True, False}
