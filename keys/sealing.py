"""Encrypting to a key (HPKE) and with a key (AES-GCM).

`seal` and `OpeningKey.open` are HPKE in base mode (RFC 9180 section 5.1.1) with X25519, HKDF-SHA256 and
AES-256-GCM. The associated data enter the key schedule through `info`, as `info ‖ 0 ‖ SHA-256(aad)`: the
library has no separate argument for them, and a changed byte of either makes the opening fail all the same.

`encrypt` and `decrypt` are for what one box hands to the next: a fresh random nonce per message, and one key
per plan, attempt and stage, so the 2^32 messages of SP 800-38D section 8.3 are never near.
"""

from __future__ import annotations

import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from plans import names
from plans.errors import EvidenceBroken, SignatureWrong

_PREFIX = "x25519:"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_NONCE = 12


class OpeningKey:
    """A private key to which things are sealed. It never shows its secret half in `repr`."""

    def __init__(self, private: X25519PrivateKey) -> None:
        self._private = private
        self.public = _PREFIX + private.public_key().public_bytes_raw().hex()

    @classmethod
    def fresh(cls) -> OpeningKey:
        """Make a new key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, secret: bytes) -> OpeningKey:
        """Return the key of 32 secret bytes."""
        return cls(X25519PrivateKey.from_private_bytes(secret))

    def unsafe_secret(self) -> bytes:
        """Return the 32 secret bytes; only for a keyring that is about to protect them."""
        return self._private.private_bytes_raw()

    def open(self, sealed: bytes, info: bytes, aad: bytes) -> bytes:
        """Return what was sealed to this key under the same info and associated data.

        Raises:
            EvidenceBroken: it was sealed to another key, for another use, or it was changed.
        """
        try:
            return _SUITE.decrypt(sealed, self._private, _bound(info, aad))
        except (InvalidTag, ValueError):
            raise EvidenceBroken("this was not sealed to this key for this use, or was changed") from None

    def agree(self, peer: str, context: bytes) -> bytes:
        """Return 256 bits that only the holders of this key and of the opening key `peer` can compute.

        HKDF-SHA256 of X25519 (RFC 7748 section 6.1) over `context` and both public halves in one order, so that
        both sides find the same, and another for every context.

        Raises:
            Malformed: `peer` is not an opening key.
            SignatureWrong: it is a point of small order, with which everybody could compute the result.
        """
        names.require("opening key", peer, "peer")
        try:
            shared = self._private.exchange(
                X25519PublicKey.from_public_bytes(bytes.fromhex(peer.removeprefix(_PREFIX)))
            )
        except ValueError:
            raise SignatureWrong("this opening key cannot be used", "peer") from None
        both = "".join(sorted((self.public, peer))).encode()
        return HKDF(hashes.SHA256(), 32, None, b"darkroom/v1/agree/" + both + b"/" + context).derive(shared)

    def __repr__(self) -> str:
        return f"OpeningKey({self.public})"


def seal(recipient: str, plaintext: bytes, info: bytes, aad: bytes) -> bytes:
    """Return `plaintext` so that only the holder of the opening key `recipient` can read it.

    Raises:
        Malformed: `recipient` is not an opening key.
        SignatureWrong: `recipient` is a point of small order, which no honest member has.
    """
    names.require("opening key", recipient, "recipient")
    public = X25519PublicKey.from_public_bytes(bytes.fromhex(recipient.removeprefix(_PREFIX)))
    try:
        return _SUITE.encrypt(plaintext, public, _bound(info, aad))
    except ValueError:
        raise SignatureWrong("this opening key cannot be used", "recipient") from None


def encrypt(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Return nonce and AES-256-GCM ciphertext of `plaintext`, bound to `aad`."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, aad)


def decrypt(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Return what `encrypt` was given.

    Raises:
        EvidenceBroken: another key, another use, or changed bytes.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], aad)
    except (InvalidTag, ValueError):
        raise EvidenceBroken("this was not encrypted with this key for this use, or was changed") from None


def encrypt_once(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Return the AES-256-GCM ciphertext of `plaintext`, bound to `aad`, 16 bytes longer and nothing before it.

    The nonce is zero, so the key must encrypt this and never anything else (SP 800-38D, section 8): a key that was
    derived for one record of one table.
    """
    return AESGCM(key).encrypt(bytes(_NONCE), plaintext, aad)


def decrypt_once(key: bytes, sealed: bytes, aad: bytes) -> bytes | None:
    """Return what `encrypt_once` was given, or nothing: with this key these bytes are no message."""
    try:
        return AESGCM(key).decrypt(bytes(_NONCE), sealed, aad)
    except InvalidTag:
        return None


def fresh_key() -> bytes:
    """Return 256 random bits."""
    return os.urandom(32)


def derive(secret: bytes, purpose: str) -> bytes:
    """Return a 256-bit key for one purpose (HKDF-SHA256, RFC 5869)."""
    return HKDF(hashes.SHA256(), 32, None, b"darkroom/v1/derive/" + purpose.encode()).derive(secret)


def _bound(info: bytes, aad: bytes) -> bytes:
    return info + b"\0" + hashlib.sha256(aad).digest()
