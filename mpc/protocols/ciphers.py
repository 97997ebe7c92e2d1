"""One table in parts, added up as ciphertexts: holders encrypt, a collector without a key adds, an inspector opens.

    inspector ── cipher/key ──► holders, collector
    holder ── cipher/part ──► collector ── cipher/total ──► inspector

The inspector is a holder, too; its box makes a key for this attempt alone. Each holder adds up its own rows and tests
its own part (`stacked.own_vectors`), and sums and votes leave it encrypted. The collector has no key and no data; it
gets the public key only to know by which name parts must call it. The inspector's box decrypts the one total, once, and
is handed no holder's part (`mpc.encrypted.key_process`). So collector and inspector together, and no other two, open
every holder's sums.

Everything travels in envelopes (`mpc.protocols.envelopes`). Parameters follow from the plan alone: how many holders,
how many sums and votes of cells, and how large a part may be, by the bounds of rows and the ranges that owners declared
(`mpc.protocols.planning`). All parties derive the same.
"""

from __future__ import annotations

from dataclasses import replace

from keys.randomness import MaskStream
from mpc.encrypted.envelope import Content, Front
from mpc.encrypted.key_process import KeyProcess, key_id
from mpc.encrypted.planner import Planned
from mpc.encrypted.sums import Shape, collect, holder_encrypt
from mpc.protocols import planning
from mpc.protocols.channel import Channel
from mpc.protocols.envelopes import KEY_TAG as KEY_TAG
from mpc.protocols.envelopes import STAGE as STAGE
from mpc.protocols.envelopes import Envelopes
from mpc.protocols.envelopes import enter_box as enter_box
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.layout import Attempt
from mpc.protocols.ring import RINGS
from mpc.protocols.stacked import own_vectors
from plans.errors import EvidenceBroken, Malformed
from plans.joint import JointPlan, Measure
from plans.joint_guards import cap_of, most_votes, vectors_of, votes_of

PART_TAG, TOTAL_TAG = "cipher/part", "cipher/total"

Sums = tuple[tuple[int, ...], ...]


def planned(joint: JointPlan) -> Planned:
    """Return the parameters of a plan, with the reasons and what it will take.

    Raises:
        RangeTooWide, Malformed: totals, or how many numbers there are, do not fit.
    """
    return planning.sums(joint.reading)


def count_of(joint: JointPlan) -> int:
    """Return how many numbers each holder encrypts: its sums of all cells, and its votes."""
    return vectors_of(joint) * joint.reading.cells


def rows_of_all(joint: JointPlan) -> int:
    """Return the public number of rows of all holders."""
    return sum(portion.bound for portion in joint.reading.portions)


def require_possible(joint: JointPlan, totals: Sums, rows: int) -> None:
    """Refuse totals that no rows could have: what is no sum of ciphertexts under this key opens as random numbers.

    Args:
        joint: the plan.
        totals: `[vectors][cells]`.
        rows: how many rows a cell has at the most.

    Raises:
        EvidenceBroken: a number is further from 0 than rows and range allow, or below it where none can be.
    """
    ranges = [(0, most_votes(joint.reading))] * votes_of(joint)
    for total in reversed(joint.reading.sums):
        most = rows * cap_of(joint.reading, total)
        ranges.insert(0, (-most if total.measure in (Measure.TOTAL, Measure.PRODUCT) else 0, most))
    for (least, most), numbers in zip(ranges, totals, strict=True):
        if not all(least <= number <= most for number in numbers):
            raise EvidenceBroken("what was decrypted are no totals of this plan", joint.task.collector)


def by_sum(joint: JointPlan, numbers: list[int]) -> Sums:
    """Return numbers of all vectors and cells, one behind the other, as `[vectors][cells]`."""
    cells = joint.reading.cells
    return tuple(tuple(numbers[start : start + cells]) for start in range(0, len(numbers), cells))


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
        self.owner: KeyProcess | None = None  # of the key, at who has it
        self._joint, self._me = joint, me
        self._parameters = planned(joint).parameters
        self._envelopes = Envelopes(channel, attempt, me, self._parameters, coins)
        self._count = count_of(joint)
        self._size = Shape(self._parameters, self._count).size

    def inspect(self, rows: OwnRows) -> Sums:
        """Do the inspector's part; return all totals, `[vectors][cells]`.

        Raises:
            TooLarge, Malformed: see `stacked.own_vectors`.
            LinkBroken, EvidenceBroken: what came is not the one total of this attempt.
            PeerLost: see `Channel`.
        """
        collector, holders = self._joint.task.collector, len(self._joint.reading.portions)
        first = self._front(self._me, collector, Content.PUBLIC_KEY, "")
        most = rows_of_all(self._joint)
        self.owner = owner = KeyProcess(self._parameters, first, planning.largest_total(self._joint.reading))
        others = [each.domain for each in self._joint.reading.portions if each.domain != self._me]
        for party in (*others, collector):
            self._envelopes.send_key(owner, party)
        ring = RINGS[self._joint.scheme.ring_bits]
        numbers = ring.decode(own_vectors(rows, self._joint, self._place))
        part = holder_encrypt(
            numbers, planning.largest_part(self._joint.reading), owner.public, self._parameters
        )
        self._envelopes.send(PART_TAG, self._front(self._me, collector, Content.PART, owner.key), part)
        due = replace(self._front(collector, self._me, Content.TOTAL, owner.key), holders=holders)
        raw, secret = self._envelopes.receive(TOTAL_TAG, due, self._size)
        found = by_sum(self._joint, owner.totals(raw, collector, holders, self._count, secret))
        require_possible(self._joint, found, most)
        return found

    def hold(self, rows: OwnRows) -> None:
        """Do another holder's part.

        Raises:
            TooLarge, Malformed: see `stacked.own_vectors`.
            LinkBroken, EvidenceBroken, PeerLost: what came is no public key of this attempt; or see `Channel`.
        """
        ring, task = RINGS[self._joint.scheme.ring_bits], self._joint.task
        numbers = ring.decode(own_vectors(rows, self._joint, self._place))
        public = self._envelopes.receive_key(task.inspector)
        part = holder_encrypt(numbers, planning.largest_part(self._joint.reading), public, self._parameters)
        front = self._front(self._me, task.collector, Content.PART, key_id(public))
        self._envelopes.send(PART_TAG, front, part)

    def collect(self) -> None:
        """Do the collector's part: add up the parts of all holders, once each, and send the total.

        Raises:
            LinkBroken, EvidenceBroken, PeerLost: what came is not a part of this attempt; or see `Channel`.
        """
        inspector = self._joint.task.inspector
        key = key_id(self._envelopes.receive_key(inspector))
        fronts = [
            self._front(portion.domain, self._me, Content.PART, key)
            for portion in self._joint.reading.portions
        ]
        parts = [self._envelopes.body(PART_TAG, front, self._size) for front in fronts]
        total = collect(parts, self._count, self._parameters)
        front = replace(self._front(self._me, inspector, Content.TOTAL, key), holders=len(parts))
        self._envelopes.send(TOTAL_TAG, front, total)

    @property
    def _place(self) -> int:
        return [portion.domain for portion in self._joint.reading.portions].index(self._me)

    def _front(self, sender: str, receiver: str, content: Content, key: str) -> Front:
        return self._envelopes.front((sender, receiver), content, key, self._count)
