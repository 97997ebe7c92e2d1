"""How ciphertexts and keys travel: bound to plan, attempt, stage, parties, parameters, key and content, or not read.

A receiver knows from the plan everything that stands in front of an envelope, so it reads none of it: it writes what is
due and compares, after it has compared the size, before it reads a byte. Then AES-256-GCM opens the body under a key of
the sender, the receiver, this plan, this attempt, this stage and this kind, with the front as associated data. Only
then are there coefficients to look at, and only in a crypto box.

SEAL's own ciphertexts have no authentication: most single-bit flips decrypt to other numbers, and ciphertexts under
two keys add up to numbers that are nobody's, without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from keys.randomness import KEY, mask_key
from keys.sealing import decrypt, encrypt
from mpc.encrypted import crypto_box
from plans import names
from plans.errors import EvidenceBroken, LinkBroken, Malformed
from plans.record import Record

VERSION = b"darkroom/encrypted/v1\n"
OVERHEAD = 12 + 16  # nonce and tag
LARGEST = 4 << 30  # bytes of a body


class Content(StrEnum):
    """What an envelope holds: a key, a holder's numbers, their total, columns of the key's owner, answers to them."""

    PUBLIC_KEY = "public-key"
    PRODUCT_KEY = "product-key"
    ROTATION_KEYS = "rotation-keys"
    PART = "part"
    TOTAL = "total"
    COLUMNS = "columns"
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True)
class Front(Record):
    """What an envelope is bound to.

    Attributes:
        plan, attempt, stage: of the computation.
        sender, receiver: domains.
        parameters: the digest of `Parameters`.
        key: which key everything is encrypted under, the digest of its public half; empty where that is the content.
        content: what it holds.
        count: how many numbers.
        holders: how many holders' numbers are added up in it.
    """

    KIND: ClassVar[str] = "encrypted-front"

    plan: str
    attempt: int
    stage: str
    sender: str
    receiver: str
    parameters: str
    key: str
    content: Content
    count: int
    holders: int = 1

    def check(self) -> None:
        for digest in (self.plan, self.parameters, *filter(None, (self.key,))):
            names.require("digest", digest, "envelope")
        names.require("domain", self.sender, "envelope.sender")
        names.require("domain", self.receiver, "envelope.receiver")
        if self.attempt < 1 or self.count < 1 or self.holders < 1 or self.sender == self.receiver:
            raise Malformed("an envelope has an attempt, a count, and two parties", "envelope")

    @property
    def written(self) -> bytes:
        """The bytes before the body."""
        return VERSION + self.canonical() + b"\n"

    def body_key(self, secret: bytes) -> bytes:
        """Return the key of this envelope's body, of a secret that sender and receiver share."""
        if len(secret) != KEY:
            raise Malformed(f"a shared secret has {KEY} bytes", "envelope")
        purpose = f"envelope/{self.content}/{self.sender}/{self.receiver}"
        return mask_key(secret, self.plan, self.attempt, self.stage, purpose)


def seal(front: Front, body: bytes, secret: bytes) -> bytes:
    """Return the envelope of a body.

    Args:
        front: what it is bound to.
        body: coefficients.
        secret: 32 bytes that sender and receiver share.
    """
    return front.written + encrypt(front.body_key(secret), body, front.written)


def size_of(front: Front, body: int) -> int:
    """Return the bytes of an envelope whose body has `body` bytes."""
    return len(front.written) + OVERHEAD + body


def unseal(raw: bytes, due: Front, body: int, secret: bytes) -> bytes:
    """Return the body of the envelope that is due.

    Args:
        raw: what came.
        due: what the plan says must come here.
        body: how many bytes the body has, by the plan.
        secret: 32 bytes that sender and receiver share.

    Raises:
        Refused: this process is no crypto box.
        LinkBroken: it has another size, or is bound to something else than what is due.
        EvidenceBroken: it was changed, or sealed by somebody else.
    """
    crypto_box.require(f"envelope of {due.sender}")
    wanted = size_of(due, body)
    if body > LARGEST or len(raw) != wanted:
        raise LinkBroken(f"an envelope has {len(raw)} bytes where {wanted} are due", due.sender)
    front = due.written
    if raw[: len(front)] != front:
        raise LinkBroken(
            "an envelope is of another plan, attempt, stage, party, key, content or version than is due",
            due.sender,
        )
    try:
        return decrypt(due.body_key(secret), raw[len(front) :], front)
    except EvidenceBroken:
        raise EvidenceBroken("an envelope was changed, or its sender is another", due.sender) from None
