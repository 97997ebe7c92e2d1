"""A signature says one thing: it cannot be moved to another type, domain, duty, nonce or time (ATTACKS 77, 79)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import signing
from plans import canonical
from plans.errors import Malformed, SignatureWrong
from plans.statements import Approval, Duty, Revocation, Signed, Statement, Type
from tests.plans import examples

PLAN = examples.PLAN.digest
KEY = signing.SigningKey.from_bytes(bytes(range(32)))


def approval(key: signing.SigningKey = KEY, **changes: Any) -> Signed:
    return signing.sign(
        replace(signing.Draft(Type.APPROVAL, "nm/tax", Duty.APPROVER, Approval(PLAN)), **changes), key
    )


def unchecked(statement: Statement, **changes: Any) -> Statement:
    """The statement with other members, its subject made to fit: what a forger would build."""
    plain = {**statement.plain(), **changes}
    plain["subject"] = canonical.digest(plain["type"], plain["body"])
    return Statement.read(plain)


def test_a_signed_statement_verifies_and_says_what_the_draft_said() -> None:
    statement = signing.verify(approval(not_before=5, not_after=9, sequence=3))
    assert (statement.type, statement.domain, statement.duty) == (Type.APPROVAL, "nm/tax", Duty.APPROVER)
    assert (statement.not_before, statement.not_after, statement.sequence) == (5, 9, 3)
    assert statement.signer == KEY.public and Approval.read(statement.body).plan == PLAN


@pytest.mark.parametrize(
    "change",
    [
        {"type": Type.GRANT},
        {"type": Type.SIGN_IN},
        {"domain": "nm/health"},
        {"duty": Duty.ROOT},
        {"sequence": 1},
        {"not_before": 1},
        {"not_after": 2_000_000_000},
        {"nonce": "f" * 32},
        {"body": Approval(examples.digest("f")).plain()},
        {"body": {"plan": PLAN, "also": "everything"}},
        {"signer": signing.SigningKey.fresh().public},
    ],
    ids=lambda change: "-".join(map(str, change)),
)
def test_a_signature_moved_to_anything_else_is_refused(change: dict[str, Any]) -> None:
    signed = approval()
    forged = Signed(unchecked(signed.statement, **change), signed.signature)
    with pytest.raises(SignatureWrong):
        signing.verify(forged)


def test_the_control_rebuilding_the_statement_unchanged_verifies() -> None:
    signed = approval()
    assert signing.verify(Signed(unchecked(signed.statement), signed.signature)) == signed.statement


def test_a_body_changed_under_its_old_subject_is_no_statement() -> None:
    with pytest.raises(Malformed, match="subject"):
        replace(approval().statement, body=Approval(examples.digest("f")).plain())


def test_79_a_login_challenge_that_is_an_approvals_digest_is_no_approval() -> None:
    """The centre asks for a signature over the very bytes of an approval, as a sign-in or a request."""
    wanted = approval().statement
    for challenge in (wanted.canonical(), wanted.signed_bytes(), bytes.fromhex(wanted.digest[7:])):
        for kind in ("sign-in", "request", "statement/approval"):
            signature = signing.sign_bytes(kind, challenge, KEY)
            with pytest.raises(SignatureWrong):
                signing.verify(Signed(wanted, signature))


def test_the_control_whoever_signs_exactly_those_bytes_without_a_kind_has_approved() -> None:
    """Hence nothing but `sign` may call `SigningKey.sign` on bytes that somebody else chose."""
    wanted = approval().statement
    assert signing.verify(Signed(wanted, KEY.sign(wanted.signed_bytes()))) == wanted


def test_a_request_and_a_statement_are_never_signed_by_the_same_bytes() -> None:
    request = examples.REQUEST.canonical()
    signature = signing.sign_bytes("request", request, KEY)
    signing.verify_request(KEY.public, request, signature)
    with pytest.raises(SignatureWrong):
        signing.verify_bytes(KEY.public, request, signature, "request")
    with pytest.raises(SignatureWrong):
        signing.verify_request(KEY.public, request, signing.sign_bytes("sign-in", request, KEY))
    with pytest.raises(SignatureWrong):
        signing.verify_request(KEY.public, request + b" ", signature)
    with pytest.raises(SignatureWrong):
        signing.verify_request(signing.SigningKey.fresh().public, request, signature)


def test_84_a_dry_run_and_a_request_are_never_signed_by_the_same_bytes() -> None:
    request = examples.REQUEST.canonical()
    to_run, to_try = (signing.sign_bytes(kind, request, KEY) for kind in ("request", "dry-run"))
    signing.verify_request(KEY.public, request, to_run)
    signing.verify_dry_run(KEY.public, request, to_try)
    with pytest.raises(SignatureWrong):
        signing.verify_request(KEY.public, request, to_try)
    with pytest.raises(SignatureWrong):
        signing.verify_dry_run(KEY.public, request, to_run)


def test_two_statements_are_never_the_same_statement() -> None:
    """A fresh nonce: a grant that was used up is not mistaken for one that was given again."""
    first, second = approval(), approval()
    assert first.statement.subject == second.statement.subject
    assert first.statement.digest != second.statement.digest and first.signature != second.signature


def test_an_approval_and_a_revocation_of_one_digest_are_not_exchangeable() -> None:
    yes = approval()
    no = signing.sign(signing.Draft(Type.REVOCATION, "nm/tax", Duty.APPROVER, Revocation(PLAN)), KEY)
    with pytest.raises(SignatureWrong):
        signing.verify(Signed(no.statement, yes.signature))


@pytest.mark.parametrize(
    "spelling",
    [str.upper, lambda s: s + " ", lambda s: s[:2] + " " + s[2:], lambda s: s + "\n", lambda s: s[:-2],
     lambda s: s + "00", lambda s: "", lambda s: "zz" * 64],
)  # fmt: skip
def test_a_signature_has_one_spelling(spelling: Any) -> None:
    """Otherwise one grant could be handed in twice, as two signed statements with two digests."""
    signed = approval(KEY)
    with pytest.raises(Malformed):
        replace(signed, signature=spelling(signed.signature))


def test_a_signature_with_the_group_order_added_is_refused() -> None:
    """RFC 8032 section 5.1.7: S must be below L, or there are two signatures for one statement."""
    order = 2**252 + 27742317777372353535851937790883648493
    signed = approval()
    s = int.from_bytes(bytes.fromhex(signed.signature[64:]), "little") + order
    with pytest.raises(SignatureWrong):
        signing.verify(replace(signed, signature=signed.signature[:64] + s.to_bytes(32, "little").hex()))


@given(st.binary(min_size=64, max_size=64))
def test_no_other_bytes_are_a_signature(forged: bytes) -> None:
    with pytest.raises(SignatureWrong):
        signing.verify(replace(approval(), signature=forged.hex()))


@pytest.mark.parametrize("signer", ["", "ed25519:", "x25519:" + "0a" * 32, "ed25519:" + "0A" * 32])
def test_a_signer_that_is_no_signing_key_is_refused(signer: str) -> None:
    with pytest.raises(Malformed):
        signing.verify_bytes(signer, b"x", "00" * 64, "request")


def test_ed25519_is_that_of_rfc_8032() -> None:
    """Section 7.1, test 3."""
    key = signing.SigningKey.from_bytes(
        bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    )
    assert key.public == "ed25519:fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    assert key.sign(bytes.fromhex("af82")).startswith("6291d657deec24024827e69c3abe01a30ce548a284743a44")


def test_a_key_shows_its_public_half_only() -> None:
    assert KEY.public in repr(KEY) and KEY.unsafe_secret().hex() not in repr(KEY) + str(vars(KEY))


def test_nonces_are_128_fresh_bits() -> None:
    nonces = {signing.fresh_nonce() for _ in range(100)}
    assert len(nonces) == 100 and all(len(bytes.fromhex(nonce)) == 16 for nonce in nonces)
