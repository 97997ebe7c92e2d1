"""A member's key file: signing and opening key under a passphrase.

The passphrase is stretched with scrypt (RFC 7914; N=2^15, r=8, p=1: 32 MiB and about 0.1 s a try) and the
keys are encrypted with AES-256-GCM. The public halves stand beside in clear, so that `darkroom keys show`
needs no passphrase, and are bound to the secrets as associated data.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from keys import sealing
from keys.sealing import OpeningKey
from keys.signing import SigningKey
from plans import canonical, names
from plans.errors import EvidenceBroken, Malformed, NotFound, StateConflict, WrongPassphrase

SHORTEST_PASSPHRASE = 8
_COST = 2**15


@dataclass(frozen=True, slots=True)
class MemberKeys:
    """A member's two private keys."""

    member: str
    signing: SigningKey
    opening: OpeningKey

    @classmethod
    def fresh(cls, member: str) -> MemberKeys:
        """Make new keys for a member."""
        return cls(names.require("member", member), SigningKey.fresh(), OpeningKey.fresh())


def save_member_keys(path: Path, keys: MemberKeys, passphrase: str) -> None:
    """Write a new key file, readable by its owner only.

    Raises:
        Malformed: the passphrase is too short.
        StateConflict: there is a file of this name already; it is never overwritten.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise Malformed(f"a passphrase has at least {SHORTEST_PASSPHRASE} characters", "passphrase")
    public = _public(keys.member, keys.signing.public, keys.opening.public)
    salt = os.urandom(16)
    secret = keys.signing.unsafe_secret() + keys.opening.unsafe_secret()
    box = sealing.encrypt(_stretch(passphrase, salt), secret, canonical.encode(public))
    text = json.dumps({**public, "salt": salt.hex(), "secret": box.hex()}, indent=1)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise StateConflict(
            "there is a key file already, and it is never overwritten", str(path), "Move it away first."
        ) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load_member_keys(path: Path, passphrase: str) -> MemberKeys:
    """Read a key file.

    Raises:
        NotFound: there is no such file.
        Malformed: the file is not a key file.
        WrongPassphrase: the passphrase does not open it, or somebody changed it.
    """
    content = read_public(path)
    public = _public(content["member"], content["signing"], content["opening"])
    try:
        salt, box = bytes.fromhex(content["salt"]), bytes.fromhex(content["secret"])
        secret = sealing.decrypt(_stretch(passphrase, salt), box, canonical.encode(public))
    except (KeyError, ValueError):
        raise Malformed("this is not a key file", str(path)) from None
    except EvidenceBroken:
        raise WrongPassphrase("the passphrase does not open this key file", str(path)) from None
    return MemberKeys(
        content["member"], SigningKey.from_bytes(secret[:32]), OpeningKey.from_bytes(secret[32:])
    )


def read_public(path: Path) -> dict[str, str]:
    """Return the clear part of a key file: member, signing and opening key.

    Raises:
        NotFound: there is no such file, or it cannot be read.
        Malformed: the file is not a key file.
    """
    try:
        content = json.loads(path.read_text())
        names.require("member", content["member"])
        names.require("signing key", content["signing"])
        names.require("opening key", content["opening"])
    except FileNotFoundError:
        raise NotFound(
            "there is no key file here", str(path), "Make one with `darkroom keys make`."
        ) from None
    except OSError as problem:
        raise NotFound(f"this key file cannot be read ({problem.strerror})", str(path)) from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise Malformed("this is not a key file", str(path)) from None
    return {str(name): str(value) for name, value in content.items()}


def fingerprint(member: str, signing: str, opening: str) -> str:
    """Return the one value that a member reads out so that an approver can tell these keys from a portal's own."""
    return canonical.digest("member-keys", _public(member, signing, opening))


def _public(member: str, signing: str, opening: str) -> dict[str, str]:
    return {"member": member, "signing": signing, "opening": opening}


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode())
