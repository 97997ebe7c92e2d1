"""Opening a joint answer: what is checked before a share is believed, each with the one thing that is wrong."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from darkroom.display import bundle
from darkroom.joint_result import JointResult, exactness, open_joint
from keys import api as keys
from keys import sealing
from plans.decision import Decision, Obligations, Outcome, Tier
from plans.errors import (
    DarkroomError,
    EvidenceBroken,
    HashMismatch,
    SharesDisagree,
    SignatureWrong,
    StateConflict,
)
from plans.handover import padded
from plans.joint import JointPlan, Opened, Receipt
from plans.joint_answer import OPENED_INFO, opened_bound
from plans.request import Request, RequestKind
from plans.statements import Duty, Signed, Type
from tests.plans.joint_examples import JOINT_TASK, joint_plan

NONCE, MODULUS = "3" * 32, 2**64
DECIDED = Decision(Outcome.ALLOW, (), 1, 1, ("sha256:" + "a" * 64,), (), Obligations(10, 1, 1000, Tier.T1))
NUMBERS = (
    (1, 1, 0, 3_000_000_00, 2_500_000_50, 0, 30, 20, 0),  # mean: bits of three cells, totals, persons
    (1, 1, 0, 30, 21, 0),  # n: bits, counts
)


@dataclass
class World:
    """A joint computation that ended, and everybody's keys."""

    ring: keys.MemberKeys
    keepers: dict[str, keys.SigningKey]
    plan: JointPlan
    sealed: dict[str, bytes]
    receipts: dict[str, Receipt]

    def results(self) -> dict[str, Any]:
        """What a portal hands over."""
        signed = [self.signed(domain, receipt) for domain, receipt in self.receipts.items()]
        coded = {domain: base64.b64encode(content).decode() for domain, content in self.sealed.items()}
        return {"sealed": coded, "receipts": [each.plain() for each in signed]}

    def signed(self, domain: str, receipt: Receipt) -> Signed:
        draft = keys.Draft(Type.RECEIPT, receipt.party, Duty.KEEPER, receipt)
        return keys.sign(draft, self.keepers[domain])

    def opened(self) -> JointResult:
        return open_joint(self.plan, self.results(), self.ring, lambda domain: self.keepers[domain].public)


def shared(number: int) -> tuple[int, int, int]:
    """Three components that add up to a number."""
    first, second = secrets.randbelow(MODULUS), secrets.randbelow(MODULUS)
    return first, second, (number - first - second) % MODULUS


def world() -> World:
    """A computation that ended well."""
    ring = keys.MemberKeys.fresh("olga@nm/bureau")
    request = Request(
        ring.member,
        ring.signing.public,
        ring.opening.public,
        "diabetes",
        "care by league",
        JOINT_TASK.canonical().decode(),
        NONCE,
        1_750_000_000,
        RequestKind.JOINT,
    )
    plan = joint_plan(DECIDED, request)
    signature = keys.sign_bytes("request", plan.request.canonical(), ring.signing)
    plan = replace(plan, request_signature=signature)
    keepers = {party.domain: keys.SigningKey.fresh() for party in plan.parties}
    split = [shared(number) for figure in NUMBERS for number in figure]
    sealed = {}
    for server, domain in enumerate(plan.task.servers):
        opened = Opened(
            plan.digest,
            1,
            server,
            tuple(each[server].to_bytes(8, "little").hex() for each in split),
            tuple(each[(server + 1) % 3].to_bytes(8, "little").hex() for each in split),
        )
        sealed[domain] = sealed_for(plan, opened, ring)
    receipts = {domain: receipt_of(plan, domain, sealed.get(domain, b"")) for domain in keepers}
    return World(ring, keepers, plan, sealed, receipts)


def sealed_for(plan: JointPlan, opened: Opened, ring: keys.MemberKeys) -> bytes:
    """A server's shares, as its box leaves them."""
    bound = opened_bound(plan.digest, opened.attempt, opened.server)
    return sealing.seal(ring.opening.public, padded(opened.canonical()), OPENED_INFO, bound)


def receipt_of(plan: JointPlan, domain: str, sealed: bytes) -> Receipt:
    """A party's receipt of a good end."""
    left = "sha256:" + hashlib.sha256(sealed).hexdigest() if sealed else ""
    return Receipt(plan.digest, 1, domain, ("sha256:" + "8" * 64,), left)


def test_an_answer_opens_to_its_recipient_with_what_must_be_known_of_it() -> None:
    opened = world().opened()
    assert opened.columns == ("region", "mean", "n")
    assert opened.rows == [("east", 100_000.0, 30), ("west", 125_000.025, 21), ("north", None, None)]
    assert opened.answer.withheld == 2
    assert opened.suppressed == [(False,) * 3, (False,) * 3, (False, True, True)]
    told = " ".join(opened.notes)
    for part in ("fewer than 10 persons", "semi-honest", "nm/office with nm/tax", "each server"):
        assert part in told


def test_an_answer_converts_and_draws_like_every_other() -> None:
    made = world()
    result = made.opened()
    table = result.to_arrow()
    assert table.column_names == list(result.columns)
    figures = [name for name, kind in zip(result.columns, result.types, strict=True) if kind != "VARCHAR"]
    assert figures, "the control: there are figures that would be text otherwise"
    for name in figures:
        place = result.columns.index(name)
        assert table.column(name).to_pylist() == [row[place] for row in result.rows]
    assert list(result.to_pandas().columns) == table.column_names
    assert result.plot().title.startswith(figures[-1])
    assert all(name in bundle(result)["text/plain"] for name in result.columns)


def another_request(made: World) -> None:
    made.plan = replace(made.plan, request=replace(made.plan.request, purpose="something else"))


def a_receipt_less(made: World) -> None:
    del made.receipts["nm/office"]


def a_receipt_of_failure(made: World) -> None:
    made.receipts["nm/office"] = replace(
        made.receipts["nm/office"], code="party.failed", failed_at="match@nm/office"
    )


def another_attempt(made: World) -> None:
    made.receipts["nm/tax"] = replace(made.receipts["nm/tax"], attempt=2)


def another_plan(made: World) -> None:
    made.receipts["nm/tax"] = replace(made.receipts["nm/tax"], joint="sha256:" + "e" * 64)


def a_receipt_for_another(made: World) -> None:
    made.keepers["nm/office"] = made.keepers["nm/tax"]
    made.receipts["nm/office"] = replace(made.receipts["nm/office"], party="nm/tax")


def other_sealed_bytes(made: World) -> None:
    made.sealed["nm/tax"] = made.sealed["nm/civil"]


def shares_swapped_between_servers(made: World) -> None:
    """The centre swaps two servers' bytes, and both servers' sides were bribed to vouch for it."""
    made.sealed["nm/tax"], made.sealed["nm/civil"] = made.sealed["nm/civil"], made.sealed["nm/tax"]
    for domain in ("nm/tax", "nm/civil"):
        made.receipts[domain] = receipt_of(made.plan, domain, made.sealed[domain])


def one_share_changed(made: World) -> None:
    """One server changes a share that another holds, too."""
    tax = made.plan.serves("nm/tax")
    assert tax is not None
    bound = opened_bound(made.plan.digest, 1, tax)
    opened = Opened.decode(keys_unpadded(made.ring.opening.open(made.sealed["nm/tax"], OPENED_INFO, bound)))
    first = ("00" * 8, *opened.first[1:])
    made.sealed["nm/tax"] = sealed_for(made.plan, replace(opened, first=first), made.ring)
    made.receipts["nm/tax"] = receipt_of(made.plan, "nm/tax", made.sealed["nm/tax"])


def keys_unpadded(content: bytes) -> bytes:
    """What was padded."""
    return content[8 : 8 + int.from_bytes(content[:8], "big")]


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (another_request, SignatureWrong),
        (a_receipt_less, EvidenceBroken),
        (a_receipt_of_failure, EvidenceBroken),
        (another_attempt, EvidenceBroken),
        (another_plan, EvidenceBroken),
        (a_receipt_for_another, EvidenceBroken),
        (other_sealed_bytes, HashMismatch),
        (shares_swapped_between_servers, DarkroomError),
        (one_share_changed, SharesDisagree),
    ],
)
def test_one_thing_that_is_wrong_opens_nothing(
    spoil: Callable[[World], None], expected: type[DarkroomError]
) -> None:
    made = world()
    assert made.opened().rows, "the control: before it is spoilt it opens"
    spoil(made)
    with pytest.raises(expected):
        made.opened()


def test_a_receipt_of_a_keeper_that_is_not_trusted_opens_nothing() -> None:
    made = world()
    trusted = {domain: key.public for domain, key in made.keepers.items()} | {"nm/tax": "ed25519:" + "1" * 64}
    with pytest.raises(SignatureWrong, match="nm/tax"):
        open_joint(made.plan, made.results(), made.ring, trusted.get)
    del trusted["nm/tax"]
    with pytest.raises(StateConflict, match="nm/tax is not pinned here yet"):
        open_joint(made.plan, made.results(), made.ring, trusted.get)


def test_another_member_opens_nothing() -> None:
    made = world()
    made.ring = keys.MemberKeys.fresh(made.ring.member)
    with pytest.raises(SignatureWrong):
        made.opened()


def test_a_noised_answer_says_that_it_is_not_exact() -> None:
    made = world()
    exact = " ".join(exactness(made.plan))
    noised = replace(made.plan, scheme=replace(made.plan.scheme, noise_micro=500_000))
    told = " ".join(exactness(noised))
    assert "are exact" in exact and "NOT exact" not in exact
    assert "NOT exact" in told and "n: discrete Laplace noise of scale 2" in told
    assert "mean: discrete Laplace noise of scale 2e+06 was added to the total" in told
