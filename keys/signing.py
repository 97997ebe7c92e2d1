"""Signed statements: Ed25519 (RFC 8032) over type-separated canonical bytes.

Beside statements members sign requests, each as one of two types: `request`, which is run, and `dry-run`, which is not.

A signature says only that the holder of a key signed these bytes. Whether that key may speak in that duty is
the roster's word, and is checked where the statement is used.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from plans import canonical, names
from plans.errors import SignatureWrong
from plans.record import Record
from plans.statements import Duty, Signed, Statement, Type

_PREFIX = "ed25519:"


class SigningKey:
    """A private signing key. It never shows its secret half in `repr`."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = _PREFIX + private.public_key().public_bytes_raw().hex()

    @classmethod
    def fresh(cls) -> SigningKey:
        """Make a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, secret: bytes) -> SigningKey:
        """Return the key of 32 secret bytes."""
        return cls(Ed25519PrivateKey.from_private_bytes(secret))

    def unsafe_secret(self) -> bytes:
        """Return the 32 secret bytes; only for a keyring that is about to protect them."""
        return self._private.private_bytes_raw()

    def sign(self, data: bytes) -> str:
        """Return the signature over `data` in hex."""
        return self._private.sign(data).hex()

    def __repr__(self) -> str:
        return f"SigningKey({self.public})"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a statement is to say, before its signer is known. Times in Unix seconds, `not_after` 0 is no end."""

    type: Type
    domain: str
    duty: Duty
    body: Record
    sequence: int = 0
    not_before: int = 0
    not_after: int = 0


def fresh_nonce() -> str:
    """Return 128 random bits in hex."""
    return secrets.token_hex(16)


def sign(draft: Draft, key: SigningKey) -> Signed:
    """Return the draft as a statement signed by `key`, with a fresh nonce."""
    body: dict[str, Any] = draft.body.plain()
    statement = Statement(
        type=draft.type,
        domain=draft.domain,
        subject=canonical.digest(draft.type.value, body),
        signer=key.public,
        duty=draft.duty,
        sequence=draft.sequence,
        not_before=draft.not_before,
        not_after=draft.not_after,
        nonce=fresh_nonce(),
        body=body,
    )
    return Signed(statement, key.sign(statement.signed_bytes()))


def verify(signed: Signed) -> Statement:
    """Return the statement if its signer's key signed it.

    Raises:
        SignatureWrong: the signature does not hold.
    """
    statement = signed.statement
    verify_bytes(statement.signer, statement.signed_bytes(), signed.signature, f"{statement.type} statement")
    return statement


def sign_bytes(kind: str, data: bytes, key: SigningKey) -> str:
    """Return the hex signature over bytes that are no statement (a request), separated by their kind."""
    return key.sign(canonical.separated("signed/" + kind, data))


def verify_bytes(signer: str, data: bytes, signature: str, where: str) -> None:
    """Check a signature over exact bytes.

    Raises:
        SignatureWrong: the signature does not hold.
    """
    names.require("signing key", signer, where)
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer.removeprefix(_PREFIX)))
        public.verify(bytes.fromhex(signature), data)
    except (InvalidSignature, ValueError):
        raise SignatureWrong("the signature does not fit these bytes and this signer", where) from None


def verify_request(signer: str, data: bytes, signature: str) -> None:
    """Check a member's signature over a request; the twin of `sign_bytes("request", …)`."""
    verify_bytes(signer, canonical.separated("signed/request", data), signature, "request")


def verify_dry_run(signer: str, data: bytes, signature: str) -> None:
    """Check a member's signature over a request that is only to be tried; the twin of `sign_bytes("dry-run", …)`.

    It is no signature of the request: whoever is handed one can run nothing with it, and spends no use.
    """
    verify_bytes(signer, canonical.separated("signed/dry-run", data), signature, "dry run")
