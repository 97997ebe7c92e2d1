"""HPKE against an independent implementation and a published vector; what is sealed opens for one key and one use."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keys import sealing
from plans.errors import EvidenceBroken, Malformed, SignatureWrong

INFO, AAD = b"darkroom/v1/release", b"sha256:plan"

# ---------------------------------------------------------- the oracle: RFC 9180, written from its pseudocode

KEM_ID = b"KEM" + (0x0020).to_bytes(2)  # DHKEM(X25519, HKDF-SHA256), section 7.1
SUITE_ID = b"HPKE" + bytes.fromhex("002000010002")  # with HKDF-SHA256 and AES-256-GCM, sections 7.2 and 7.3


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    block, output = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        output += block
    return output[:length]


def labeled_extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(prk, length.to_bytes(2) + b"HPKE-v1" + suite + label + info, length)


def key_schedule(dh: bytes, enc: bytes, recipient: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce of base mode (sections 4.1 and 5.1)."""
    secret = labeled_extract(KEM_ID, b"", b"eae_prk", dh)
    shared = labeled_expand(KEM_ID, secret, b"shared_secret", enc + recipient, 32)
    psk_id_hash = labeled_extract(SUITE_ID, b"", b"psk_id_hash", b"")
    context = b"\0" + psk_id_hash + labeled_extract(SUITE_ID, b"", b"info_hash", info)
    secret = labeled_extract(SUITE_ID, shared, b"secret", b"")
    key = labeled_expand(SUITE_ID, secret, b"key", context, 32)
    return key, labeled_expand(SUITE_ID, secret, b"base_nonce", context, 12)


def oracle_seal(recipient: bytes, ephemeral: bytes, info: bytes, plaintext: bytes, aad: bytes) -> bytes:
    private = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = private.public_key().public_bytes_raw()
    dh = private.exchange(X25519PublicKey.from_public_bytes(recipient))
    key, nonce = key_schedule(dh, enc, recipient, info)
    return enc + AESGCM(key).encrypt(nonce, plaintext, aad)


def oracle_open(private: bytes, sealed: bytes, info: bytes, aad: bytes) -> bytes:
    secret = X25519PrivateKey.from_private_bytes(private)
    enc, ciphertext = sealed[:32], sealed[32:]
    dh = secret.exchange(X25519PublicKey.from_public_bytes(enc))
    key, nonce = key_schedule(dh, enc, secret.public_key().public_bytes_raw(), info)
    return AESGCM(key).decrypt(nonce, ciphertext, aad)


def test_the_oracle_reproduces_the_published_vector() -> None:
    """CFRG's test vectors of RFC 9180: mode 0, KEM 0x0020, KDF 0x0001, AEAD 0x0002, sequence number 0."""
    recipient = bytes.fromhex("430f4b9859665145a6b1ba274024487bd66f03a2dd577d7753c68d7d7d00c00c")
    private = bytes.fromhex("497b4502664cfea5d5af0b39934dac72242a74f8480451e1aee7d6a53320333d")
    ephemeral = bytes.fromhex("179d4b53b6365c45b600c4163b61d95cbc2f4d9e36f1695558dce265ab8bab11")
    enc = "6c93e09869df3402d7bf231bf540fadd35cd56be14f97178f0954db94b7fc256"
    ciphertext = "e5d84cd531cfb583096e7cfa9641bd3079cf3a91cda813c52deb5f512be9931980a41de125a925cdad859d5b7a"
    info, aad, text = b"Ode on a Grecian Urn", b"Count-0", b"Beauty is truth, truth beauty"
    assert oracle_seal(recipient, ephemeral, info, text, aad).hex() == enc + ciphertext
    assert oracle_open(private, bytes.fromhex(enc + ciphertext), info, aad) == text


def bound(info: bytes, aad: bytes) -> bytes:
    """How our associated data enter `info`, as the module says."""
    return info + b"\0" + hashlib.sha256(aad).digest()


@given(st.binary(max_size=300), st.binary(max_size=20), st.binary(max_size=80))
def test_what_we_seal_the_oracle_opens_and_the_other_way_round(text: bytes, info: bytes, aad: bytes) -> None:
    key = sealing.OpeningKey.fresh()
    public = bytes.fromhex(key.public.removeprefix("x25519:"))
    sealed = sealing.seal(key.public, text, info, aad)
    assert oracle_open(key.unsafe_secret(), sealed, bound(info, aad), b"") == text
    assert key.open(oracle_seal(public, b"\7" * 32, bound(info, aad), text, b""), info, aad) == text


# ------------------------------------------------------------------------------------------------ promises


def test_each_seal_is_fresh_and_hides_the_text() -> None:
    key = sealing.OpeningKey.fresh()
    first, second = (sealing.seal(key.public, b"CANARY" * 9, INFO, AAD) for _ in range(2))
    assert first != second and b"CANARY" not in first
    assert key.open(first, INFO, AAD) == key.open(second, INFO, AAD) == b"CANARY" * 9


@pytest.mark.parametrize(
    ("info", "aad"),
    [(b"darkroom/v1/box-keys", AAD), (INFO, b"sha256:other"), (INFO + b"\0", AAD), (b"", AAD), (INFO, b"")],
)
def test_what_was_sealed_for_one_use_does_not_open_for_another(info: bytes, aad: bytes) -> None:
    key = sealing.OpeningKey.fresh()
    with pytest.raises(EvidenceBroken):
        key.open(sealing.seal(key.public, b"x", INFO, AAD), info, aad)


def test_another_key_does_not_open_it() -> None:
    sealed = sealing.seal(sealing.OpeningKey.fresh().public, b"x", INFO, AAD)
    with pytest.raises(EvidenceBroken):
        sealing.OpeningKey.fresh().open(sealed, INFO, AAD)


def test_any_changed_or_missing_byte_is_noticed() -> None:
    key = sealing.OpeningKey.fresh()
    sealed = sealing.seal(key.public, b"twelve bytes", INFO, AAD)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(EvidenceBroken):
            key.open(bytes(changed), INFO, AAD)
        with pytest.raises(EvidenceBroken):
            key.open(sealed[:position], INFO, AAD)
    with pytest.raises(EvidenceBroken):
        key.open(sealed + b"\0", INFO, AAD)


SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_nothing_is_sealed_to_a_point_of_small_order(point: str) -> None:
    """Whoever listens could compute the shared secret (RFC 7748 section 6.1, RFC 9180 section 7.1.4)."""
    with pytest.raises(SignatureWrong):
        sealing.seal("x25519:" + point, b"x", INFO, AAD)
    with pytest.raises(EvidenceBroken):
        sealing.OpeningKey.fresh().open(bytes.fromhex(point) + b"\0" * 40, INFO, AAD)


@pytest.mark.parametrize("recipient", ["", "x25519:", "ed25519:" + "0a" * 32, "x25519:" + "0A" * 32])
def test_nothing_is_sealed_to_what_is_no_opening_key(recipient: str) -> None:
    with pytest.raises(Malformed):
        sealing.seal(recipient, b"x", INFO, AAD)


def test_a_handed_over_file_is_bound_to_key_and_use() -> None:
    key = sealing.fresh_key()
    sealed = sealing.encrypt(key, b"rows", b"plan 1")
    assert sealing.decrypt(key, sealed, b"plan 1") == b"rows" and b"rows" not in sealed
    assert sealing.encrypt(key, b"rows", b"plan 1") != sealed
    for other_key, data, aad in [
        (sealing.fresh_key(), sealed, b"plan 1"),
        (key, sealed, b"plan 2"),
        (key, sealed[:-1], b"plan 1"),
        (key, b"", b"plan 1"),
        (key, sealed[:12], b"plan 1"),
        (b"short", sealed, b"plan 1"),
    ]:
        with pytest.raises(EvidenceBroken):
            sealing.decrypt(other_key, data, aad)


def test_derived_keys_differ_by_purpose_and_secret_and_follow_rfc_5869() -> None:
    one, other = b"\1" * 32, b"\2" * 32
    found = {sealing.derive(secret, purpose) for secret in (one, other) for purpose in ("tokens", "seal")}
    assert len(found) == 4 and all(len(key) == 32 for key in found)
    assert sealing.derive(one, "seal") == expand(extract(b"", one), b"darkroom/v1/derive/seal", 32)


def test_a_key_shows_its_public_half_only() -> None:
    key = sealing.OpeningKey.fresh()
    assert key.public in repr(key) and key.unsafe_secret().hex() not in repr(key) + str(vars(key))
    assert sealing.OpeningKey.from_bytes(key.unsafe_secret()).public == key.public
