"""One table in parts, added up as ciphertexts: holders encrypt, a collector without a key adds, an inspector opens.

    inspector ── cipher/key ──► holders, collector
    holder ── cipher/part ──► collector ── cipher/total ──► inspector

The inspector is a holder, too; its box makes a key for this attempt alone. Each holder adds up its own rows
(`stacked.own_sums`), and its sums leave it encrypted. The collector has no key and no data; it gets the public key only
to know by which name parts must call it. The inspector's box decrypts the one total, once, and is handed no holder's
part (`mpc.encrypted.key_process`). So collector and inspector together, and no other two, open every holder's sums.

Links between boxes keep others out. Within them everything travels in envelopes (`mpc.encrypted.envelope`), which bind
it to plan, attempt, parties, parameters, key, kind and count, so that one message cannot stand for another; the key of
an envelope goes before it in the same message.

Parameters follow from the plan alone: how many holders, how many sums of cells, and how large a part may be, by the
bounds of rows and the ranges that owners declared. All parties derive the same.
"""

from __future__ import annotations

from dataclasses import replace

from keys.randomness import KEY, MaskStream
from mpc.encrypted import crypto_box, envelope
from mpc.encrypted.envelope import Content, Front
from mpc.encrypted.key_process import KeyProcess, key_id, key_shape, read_public_key
from mpc.encrypted.parameters import Parameters
from mpc.encrypted.planner import Planned, plan_sums
from mpc.encrypted.sums import Shape, collect, holder_encrypt
from mpc.protocols.channel import Channel
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.layout import Attempt
from mpc.protocols.ring import RINGS
from mpc.protocols.stacked import own_sums
from plans.errors import EvidenceBroken, Malformed
from plans.joint import JointPlan, Measure
from plans.joint_guards import cap_of

STAGE = "cipher"
KEY_TAG, PART_TAG, TOTAL_TAG = "cipher/key", "cipher/part", "cipher/total"

Sums = tuple[tuple[int, ...], ...]


def planned(joint: JointPlan) -> Planned:
    """Return the parameters of a plan, with the reasons and what it will take.

    Raises:
        RangeTooWide, Malformed: totals, or how many numbers there are, do not fit.
    """
    holders = len(joint.reading.portions)
    return plan_sums(holders, count_of(joint), largest_part(joint))


def count_of(joint: JointPlan) -> int:
    """Return how many numbers each holder encrypts: its sums of all cells."""
    return len(joint.reading.sums) * joint.reading.cells


def largest_part(joint: JointPlan) -> int:
    """Return the largest absolute value of one holder's sum."""
    return _largest_cap(joint) * max(portion.bound for portion in joint.reading.portions)


def largest_total(joint: JointPlan) -> int:
    """Return the largest absolute value of a total over all holders."""
    return _largest_cap(joint) * sum(portion.bound for portion in joint.reading.portions)


def _largest_cap(joint: JointPlan) -> int:
    return max(cap_of(joint.reading, total) for total in joint.reading.sums)


def require_possible(joint: JointPlan, totals: Sums) -> None:
    """Refuse totals that no rows could have: what is no sum of ciphertexts under this key opens as random numbers.

    Raises:
        EvidenceBroken: a number is further from 0 than rows and range allow, or below it where none can be.
    """
    rows = sum(portion.bound for portion in joint.reading.portions)
    for total, numbers in zip(joint.reading.sums, totals, strict=True):
        most = rows * cap_of(joint.reading, total)
        least = -most if total.measure in (Measure.TOTAL, Measure.PRODUCT) else 0
        if not all(least <= number <= most for number in numbers):
            raise EvidenceBroken("what was decrypted are no totals of this plan", joint.task.collector)


def enter_box(joint: JointPlan, attempt: int) -> None:
    """Say that this process is the box of one attempt at one plan; before it, no ciphertext of others is read.

    Raises:
        Refused: the process is no box.
        StateConflict: it did another job before.
    """
    crypto_box.enter(f"{joint.digest}/{attempt}")


class Part:
    """One party's part: what all messages of an attempt are bound to, and who it is.

    Args:
        channel: links with every other party.
        joint: the plan.
        me: this party's domain.
        attempt: of the plan.
        coins: this party's own fresh randomness, for the keys of its envelopes.

    Raises:
        Malformed: the plan adds noise, which nobody does here.
        RangeTooWide: see `planned`.
    """

    def __init__(
        self, channel: Channel, joint: JointPlan, me: str, attempt: Attempt, coins: MaskStream
    ) -> None:
        if joint.scheme.noise_micro:
            raise Malformed("sums that are added up as ciphertexts get no noise", "scheme.noise_micro")
        self._channel, self._joint, self._me, self._coins = channel, joint, me, coins
        self._attempt = attempt
        self._parameters: Parameters = planned(joint).parameters
        self._count = count_of(joint)
        self._size = Shape(self._parameters, self._count).size

    def inspect(self, rows: OwnRows) -> Sums:
        """Do the inspector's part; return all totals, `[sums][cells]`.

        Raises:
            TooLarge, Malformed: see `stacked.own_sums`.
            LinkBroken, EvidenceBroken: what came is not the one total of this attempt.
            PeerLost: see `Channel`.
        """
        task, holders = self._joint.task, len(self._joint.reading.portions)
        first = self._front(self._me, task.collector, Content.PUBLIC_KEY, "")
        owner = KeyProcess(self._parameters, first, largest_total(self._joint))
        others = [each.domain for each in self._joint.reading.portions if each.domain != self._me]
        for party in (*others, task.collector):
            secret = self._coins.draw(KEY).tobytes()
            self._channel.send(party, KEY_TAG, secret + owner.public_key(party, secret))
        sums = own_sums(rows, self._joint.reading, self._place, RINGS[self._joint.scheme.ring_bits])
        numbers = RINGS[self._joint.scheme.ring_bits].decode(sums)
        part = holder_encrypt(numbers, largest_part(self._joint), owner.public, self._parameters)
        self._send(PART_TAG, self._front(self._me, task.collector, Content.PART, owner.key), part)
        due = self._front(task.collector, self._me, Content.TOTAL, owner.key, holders)
        raw, secret = self._receive(TOTAL_TAG, due, self._size)
        totals = owner.totals(raw, task.collector, holders, self._count, secret)
        cells = self._joint.reading.cells
        found = tuple(tuple(totals[start : start + cells]) for start in range(0, len(totals), cells))
        require_possible(self._joint, found)
        return found

    def hold(self, rows: OwnRows) -> None:
        """Do another holder's part.

        Raises:
            TooLarge, Malformed: see `stacked.own_sums`.
            LinkBroken, EvidenceBroken, PeerLost: what came is no public key of this attempt; or see `Channel`.
        """
        ring, collector = RINGS[self._joint.scheme.ring_bits], self._joint.task.collector
        numbers = ring.decode(own_sums(rows, self._joint.reading, self._place, ring))
        due, raw, secret = self._key()
        public = read_public_key(raw, due, self._parameters, secret)
        part = holder_encrypt(numbers, largest_part(self._joint), public, self._parameters)
        self._send(PART_TAG, self._front(self._me, collector, Content.PART, key_id(public)), part)

    def collect(self) -> None:
        """Do the collector's part: add up the parts of all holders, once each, and send the total.

        Raises:
            LinkBroken, EvidenceBroken, PeerLost: what came is not a part of this attempt; or see `Channel`.
        """
        due, raw, secret = self._key()
        key = key_id(read_public_key(raw, due, self._parameters, secret))
        parts = []
        for portion in self._joint.reading.portions:
            front = self._front(portion.domain, self._me, Content.PART, key)
            raw, secret = self._receive(PART_TAG, front, self._size)
            parts.append(envelope.unseal(raw, front, self._size, secret))
        total = collect(parts, self._count, self._parameters)
        inspector = self._joint.task.inspector
        self._send(TOTAL_TAG, self._front(self._me, inspector, Content.TOTAL, key, len(parts)), total)

    # ------------------------------------------------------------------------------------------- messages

    @property
    def _place(self) -> int:
        return [portion.domain for portion in self._joint.reading.portions].index(self._me)

    def _front(self, sender: str, receiver: str, content: Content, key: str, holders: int = 1) -> Front:
        plan, attempt = self._attempt.digest, self._attempt.number
        made = Front(
            plan, attempt, STAGE, sender, receiver, self._parameters.digest, key, content, self._count
        )
        return replace(made, holders=holders)

    def _key(self) -> tuple[Front, bytes, bytes]:
        """Return what the inspector's envelope of its public key is bound to, the envelope, and its secret."""
        two, primes, degree = key_shape(self._parameters)
        words = two * primes * degree
        due = self._front(self._joint.task.inspector, self._me, Content.PUBLIC_KEY, "")
        due = replace(due, count=words)
        return due, *self._receive(KEY_TAG, due, 8 * words)

    def _send(self, tag: str, front: Front, body: bytes) -> None:
        secret = self._coins.draw(KEY).tobytes()
        self._channel.send(front.receiver, tag, secret + envelope.seal(front, body, secret))

    def _receive(self, tag: str, due: Front, body: int) -> tuple[bytes, bytes]:
        """Return the envelope that is due and its secret."""
        raw = self._channel.receive(due.sender, tag, KEY + envelope.size_of(due, body))
        return raw[KEY:], raw[:KEY]
