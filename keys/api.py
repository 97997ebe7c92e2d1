"""What other rooms use of `keys`."""

from __future__ import annotations

from keys.keyfile import MemberKeys, load_member_keys, save_member_keys
from keys.sealing import (
    OpeningKey,
    decrypt,
    derive,
    encrypt,
    fresh_key,
    seal,
)
from keys.signing import (
    Draft,
    SigningKey,
    fresh_nonce,
    sign,
    sign_bytes,
    verify,
    verify_bytes,
    verify_dry_run,
    verify_request,
)
from keys.tls import Identity, load_identity, make_identity

__all__ = [
    "Draft",
    "Identity",
    "MemberKeys",
    "OpeningKey",
    "SigningKey",
    "decrypt",
    "derive",
    "encrypt",
    "fresh_key",
    "fresh_nonce",
    "load_identity",
    "load_member_keys",
    "make_identity",
    "save_member_keys",
    "seal",
    "sign",
    "sign_bytes",
    "verify",
    "verify_bytes",
    "verify_dry_run",
    "verify_request",
]
