"""Messages with keys and ciphertexts between the boxes of one attempt: envelopes, each with its own key before it.

Links between boxes keep others out. Within them everything travels in envelopes (`mpc.encrypted.envelope`), which bind
it to plan, attempt, parties, parameters, key, kind and count, so that one message cannot stand for another; the key of
an envelope goes before it in the same message. The receiver knows from the plan what is due, of which size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import prod

from keys.randomness import KEY, MaskStream
from mpc.encrypted import crypto_box, envelope
from mpc.encrypted.arithmetic import Numbers, Words
from mpc.encrypted.envelope import Content, Front
from mpc.encrypted.key_process import KeyProcess, key_shape, read_product_key, read_public_key
from mpc.encrypted.packing import Columns
from mpc.encrypted.parameters import Parameters
from mpc.protocols.channel import Channel
from mpc.protocols.layout import Attempt
from plans.joint import JointPlan

STAGE, KEY_TAG, COLUMNS_TAG = "cipher", "cipher/key", "cipher/columns"
PRODUCT_TAG = "cipher/products"


def enter_box(joint: JointPlan, attempt: int) -> None:
    """Say that this process is the box of one attempt at one plan; before it, no ciphertext of others is read.

    Raises:
        Refused: the process is no box.
        StateConflict: it did another job before.
    """
    crypto_box.enter(f"{joint.digest}/{attempt}")


@dataclass(frozen=True, slots=True)
class Envelopes:
    """One party's end of all envelopes of an attempt.

    Attributes:
        channel: links with the other parties.
        attempt: of the plan.
        me: this party's domain.
        parameters: of the plan's ciphertexts.
        coins: this party's own fresh randomness, for the keys of its envelopes.
    """

    channel: Channel
    attempt: Attempt
    me: str
    parameters: Parameters
    coins: MaskStream = field(repr=False)

    def front(self, between: tuple[str, str], content: Content, key: str, count: int = 1) -> Front:
        """Return what an envelope from one party to another is bound to."""
        plan, attempt = self.attempt.digest, self.attempt.number
        sender, receiver = between
        return Front(plan, attempt, STAGE, sender, receiver, self.parameters.digest, key, content, count)

    def secret(self) -> bytes:
        """Return a key for one envelope."""
        return self.coins.draw(KEY).tobytes()

    def send_key(self, owner: KeyProcess, receiver: str) -> None:
        """Send the public key of this party."""
        secret = self.secret()
        self.channel.send(receiver, KEY_TAG, secret + owner.public_key(receiver, secret))

    def receive_key(self, owner: str) -> Words:
        """Return the public key of another party.

        Raises:
            LinkBroken, EvidenceBroken, PeerLost: what came is no public key of this attempt; or see `Channel`.
        """
        two, primes, degree = key_shape(self.parameters)
        words = two * primes * degree
        due = self.front((owner, self.me), Content.PUBLIC_KEY, "", words)
        raw, secret = self.receive(KEY_TAG, due, 8 * words)
        return read_public_key(raw, due, self.parameters, secret)

    def send_product_key(self, owner: KeyProcess, receiver: str) -> None:
        """Send the key for products of two of this party's ciphertexts."""
        secret = self.secret()
        self.channel.send(receiver, PRODUCT_TAG, secret + owner.product_key(receiver, secret))

    def receive_product_key(self, owner: str, key: str) -> Words:
        """Return another party's key for products of its ciphertexts.

        Raises:
            LinkBroken, EvidenceBroken, PeerLost: what came is no such key of this attempt; or see `Channel`.
        """
        words = len(self.parameters.moduli) * prod(key_shape(self.parameters))
        due = self.front((owner, self.me), Content.PRODUCT_KEY, key, words)
        raw, secret = self.receive(PRODUCT_TAG, due, 8 * words)
        return read_product_key(raw, due, self.parameters, secret)

    def send_columns(self, owner: KeyProcess, columns: Iterable[Numbers], cap: int, receiver: str) -> None:
        """Send columns of this party, encrypted under its key: an envelope for each, so that no copy of all is made.

        Raises:
            RangeTooWide: a number is outside the declared range.
        """
        for column in columns:
            secret = self.secret()
            sealed = owner.columns([column], cap, receiver, secret)
            self.channel.send(receiver, COLUMNS_TAG, secret + sealed)

    def receive_columns(self, owner: str, key: str, shape: Columns) -> bytes:
        """Return the ciphertexts of another party's columns, as `mpc.encrypted` reads them.

        Raises:
            LinkBroken, EvidenceBroken, PeerLost: see `envelope.unseal` and `Channel`.
        """
        one = replace(shape, columns=1)
        due = self.front((owner, self.me), Content.COLUMNS, key, one.rows)
        return b"".join([self.body(COLUMNS_TAG, due, one.size) for _ in range(shape.columns)])

    def send(self, tag: str, front: Front, body: bytes) -> None:
        """Send a body of this party in an envelope."""
        secret = self.secret()
        self.channel.send(front.receiver, tag, secret + envelope.seal(front, body, secret))

    def receive(self, tag: str, due: Front, body: int) -> tuple[bytes, bytes]:
        """Return the envelope that is due, whose body has so many bytes, and its key.

        Raises:
            LinkBroken, PeerLost: see `Channel`.
        """
        raw = self.channel.receive(due.sender, tag, KEY + envelope.size_of(due, body))
        return raw[KEY:], raw[:KEY]

    def body(self, tag: str, due: Front, size: int) -> bytes:
        """Return the body of the envelope that is due.

        Raises:
            LinkBroken, EvidenceBroken, PeerLost: see `envelope.unseal` and `Channel`.
        """
        raw, secret = self.receive(tag, due, size)
        return envelope.unseal(raw, due, size, secret)
