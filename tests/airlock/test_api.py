"""A release is checked as one piece: statement, verdict, sealed bytes and recipient (ATTACKS 56, 84)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import pytest

from airlock import api as airlock
from airlock.outputs.rules import OutputRule
from keys import api as keys
from plans.errors import EvidenceBroken, HashMismatch, OutputRefused, SignatureWrong
from plans.release import RELEASE_INFO, Release
from plans.released import Released
from plans.statements import Duty, Signed, Type
from plans.verdict import Finding, Verdict
from tests.plans import examples


@dataclass(frozen=True)
class World:
    """An owner's keeper, a recipient, and one honest release between them."""

    keeper: keys.SigningKey
    recipient: keys.OpeningKey
    released: Released
    sealed: bytes
    verdict: Verdict

    def release(self, **changes: Any) -> Release:
        honest = Release(
            plan=examples.PLAN.digest,
            verdict=self.verdict.digest,
            recipient=self.recipient.public,
            sealed=self.verdict.sealed,
            content=self.verdict.content,
            released_at=1_750_000_000,
        )
        return replace(honest, **changes)

    def signed(self, release: Release | None = None, **draft: Any) -> Signed:
        body = release or self.release()
        honest = keys.Draft(Type.RELEASE, "nm/tax", Duty.KEEPER, body)
        return keys.sign(replace(honest, **draft), self.keeper)

    @property
    def expected(self) -> airlock.Expected:
        return airlock.Expected("nm/tax", self.keeper.public, examples.PLAN.digest, self.recipient.public)


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.fixture
def world() -> World:
    recipient = keys.OpeningKey.fresh()
    released = examples.RELEASED
    sealed = keys.seal(recipient.public, released.canonical(), RELEASE_INFO, examples.PLAN.digest.encode())
    verdict = replace(examples.VERDICT, content=released.digest, sealed=sha256(sealed))
    return World(keys.SigningKey.fresh(), recipient, released, sealed, verdict)


def test_an_honest_release_is_accepted_and_opens(world: World) -> None:
    release = airlock.check_release(world.signed(), world.verdict, world.sealed, world.expected)
    assert airlock.open_release(world.sealed, world.recipient, release) == world.released


def test_content_changed_between_check_and_release_is_refused(world: World) -> None:
    """ATTACKS 56, as the carrier of the bytes: each single flipped bit counts."""
    changed = world.sealed[:-1] + bytes([world.sealed[-1] ^ 1])
    with pytest.raises(HashMismatch, match="sealed"):
        airlock.check_release(world.signed(), world.verdict, changed, world.expected)


def test_other_content_sealed_after_the_verdict_is_refused(world: World) -> None:
    """ATTACKS 56, as somebody who could seal anew: the verdict names the bytes that were judged."""
    other = replace(world.released, salt="cd" * 16)
    resealed = keys.seal(
        world.recipient.public, other.canonical(), RELEASE_INFO, examples.PLAN.digest.encode()
    )
    release = world.release(sealed=sha256(resealed), content=other.digest)
    with pytest.raises(HashMismatch):
        airlock.check_release(world.signed(release), world.verdict, resealed, world.expected)


def test_content_that_is_not_what_the_release_names_does_not_open(world: World) -> None:
    release = world.release(content=examples.digest("7"))
    with pytest.raises(HashMismatch, match="judged"):
        airlock.open_release(world.sealed, world.recipient, release)


@pytest.mark.parametrize("member", ["plan", "verdict", "recipient", "sealed", "content"])
def test_a_release_about_anything_else_is_refused(world: World, member: str) -> None:
    """ATTACKS 84 is the member `recipient`: a swapped key is another release."""
    other = "x25519:" + "9" * 64 if member == "recipient" else examples.digest("9")
    with pytest.raises(HashMismatch, match=member):
        airlock.check_release(
            world.signed(world.release(**{member: other})), world.verdict, world.sealed, world.expected
        )


def test_a_verdict_about_another_plan_is_refused(world: World) -> None:
    verdict = replace(world.verdict, plan=examples.digest("9"))
    release = world.release(verdict=verdict.digest)
    with pytest.raises(HashMismatch, match="plan"):
        airlock.check_release(world.signed(release), verdict, world.sealed, world.expected)


@pytest.mark.parametrize(
    "draft", [{"domain": "nm/health"}, {"duty": Duty.CENTRE}, {"type": Type.STAGE}, {"type": Type.APPROVAL}]
)
def test_a_release_signed_for_another_domain_duty_or_type_is_refused(
    world: World, draft: dict[str, Any]
) -> None:
    with pytest.raises(SignatureWrong):
        airlock.check_release(world.signed(**draft), world.verdict, world.sealed, world.expected)


def test_a_release_of_another_keeper_is_refused(world: World) -> None:
    stranger = replace(world, keeper=keys.SigningKey.fresh())
    with pytest.raises(SignatureWrong):
        airlock.check_release(stranger.signed(), world.verdict, world.sealed, world.expected)


def test_a_refused_output_has_no_release_even_if_somebody_signs_one(world: World) -> None:
    verdict = Verdict(examples.PLAN.digest, Finding.REFUSED, ("small-group",), world.verdict.judged, "", "")
    release = world.release(verdict=verdict.digest)
    with pytest.raises(OutputRefused, match="too few persons"):
        airlock.check_release(world.signed(release), verdict, world.sealed, world.expected)


def test_nobody_else_opens_it_and_it_opens_for_no_other_plan(world: World) -> None:
    with pytest.raises(EvidenceBroken):
        airlock.open_release(world.sealed, keys.OpeningKey.fresh(), world.release())
    with pytest.raises(EvidenceBroken):
        airlock.open_release(world.sealed, world.recipient, world.release(plan=examples.digest("9")))


def test_a_refusal_says_the_rule_and_what_helps_even_for_a_reason_of_the_future() -> None:
    known = airlock.refusal(replace(examples.VERDICT, finding=Finding.REFUSED, reasons=("too-many-cells",)))
    assert "more cells" in known.what and "coarser" in known.next_step and known.where == "too-many-cells"
    unknown = airlock.refusal(replace(examples.VERDICT, finding=Finding.REFUSED, reasons=("of-the-future",)))
    assert unknown.what == Finding.REFUSED.sentence and unknown.where == "of-the-future"


@pytest.mark.parametrize("rule", list(OutputRule))
def test_a_refused_output_of_a_task_says_what_would_help(rule: OutputRule) -> None:
    told = airlock.refusal(Verdict(examples.digest("1"), Finding.REFUSED, (rule.value,), "", "", ""))
    assert told.what.endswith(".") and told.next_step.endswith(".") and told.where == rule.value
    assert told.next_step != type(told).advice
