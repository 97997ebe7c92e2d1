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
    verify_request,
)

__all__ = [
    "Draft",
    "MemberKeys",
    "OpeningKey",
    "SigningKey",
    "decrypt",
    "derive",
    "encrypt",
    "fresh_key",
    "fresh_nonce",
    "load_member_keys",
    "save_member_keys",
    "seal",
    "sign",
    "sign_bytes",
    "verify",
    "verify_bytes",
    "verify_request",
]
