"""Sums over rows that two owners have in common, without anybody else: one has the key, the other multiplies.

    inspector ◄─ common/points/… ─► collector              who learns which of its rows match, and at which places
    inspector ── cipher/key, cipher/columns ──► collector
    inspector ◄── cipher/answers ── collector              one number for each sum of each cell

The *inspector* makes a key for this attempt alone. Both exchange points of their lists, as for persons in common
(`common.raised`), by which the *collector* compares: it finds at which places of the inspector's list, in the
inspector's secret order and padded to its public number, its own rows are. The inspector encrypts, over this list, a
column for each of its factors and own cells: the number where a row is of the cell, else 0 (`planning.Factor`). The
collector puts its own numbers at the places of its matching rows, 0 elsewhere, and multiplies (`mpc.encrypted.inner`):
for each sum, every pair of both owners' cells, and no pair of factors that no sum asks for. All other coefficients of
an answer are hidden, and its noise is flooded. The inspector's box decrypts once, and judges as it judges other sums.

- *The collector* learns which of its rows match, so of its own persons whether the inspector has them (its terms count
  them as `members`), at random places; all numbers of the inspector are ciphertexts to it.
- *The inspector* sees random points, and every sum of every cell, in its box; no row of the collector's, and not which
  of its rows match.

There is nobody else with whom one of them could collude.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keys.randomness import MaskStream
from mpc.encrypted import arithmetic
from mpc.encrypted.arithmetic import Numbers
from mpc.encrypted.envelope import Content
from mpc.encrypted.inner import Right
from mpc.encrypted.key_process import KeyProcess, key_id
from mpc.encrypted.packing import Columns
from mpc.protocols import common, planning
from mpc.protocols.channel import Channel
from mpc.protocols.ciphers import Sums, by_sum, count_of, require_possible
from mpc.protocols.comparing import Blocks, common_rows
from mpc.protocols.envelopes import Envelopes
from mpc.protocols.joint_rows import OwnRows
from mpc.protocols.layout import Attempt
from mpc.protocols.planning import Factor
from mpc.protocols.pseudonyms import hide
from plans.errors import Malformed
from plans.joint import JointPlan, Measure

ANSWERS_TAG = "cipher/answers"

Indices = NDArray[np.int64]


class Part:
    """One party's part: what all messages of an attempt are bound to, and who it is.

    Args:
        channel: a link with the other party.
        joint: the plan.
        me: this party's domain.
        attempt: of the plan.
        coins: this party's own fresh randomness, for its order, its exponent, and the keys of its envelopes.

    Raises:
        Malformed: the plan adds noise, which nobody does here; or see `planning.products`.
        RangeTooWide: see `planning.products`.
    """

    def __init__(
        self, channel: Channel, joint: JointPlan, me: str, attempt: Attempt, coins: MaskStream
    ) -> None:
        if joint.scheme.noise_micro:
            raise Malformed("sums of products of ciphertexts get no noise", "scheme.noise_micro")
        self.owner: KeyProcess | None = None  # of the key, at who has it
        domains = [portion.domain for portion in joint.reading.portions]
        self._joint, self._reading, self._me, self._coins = joint, joint.reading, me, coins
        self._parameters = planning.products(joint.task, joint.reading).parameters
        self._envelopes = Envelopes(channel, attempt, me, self._parameters, coins)
        self._left = domains.index(joint.task.inspector)
        self._here = domains.index(me)
        self._factors = planning.factors(joint.reading, self._left)
        self._cells = planning.own_cells(joint.reading, self._left)
        rows = joint.reading.portions[self._left].bound
        self._shape = Columns(self._parameters, len(self._factors) * self._cells, rows)
        pairs = {tuple(planning.factor_of(total, place) for place in (0, 1)) for total in joint.reading.sums}
        if len(pairs) != len(
            joint.reading.sums
        ):  # what an answer's noise tells is bounded for each pair once
            raise Malformed("a sum over rows in common stands twice", "joint.sums")

    def inspect(self, rows: OwnRows) -> Sums:
        """Do the inspector's part; return all sums, `[sums][cells]`.

        Raises:
            TooLarge, RangeTooWide: there are more rows, or wider numbers, than the plan says.
            LinkBroken, EvidenceBroken: what came are no sums of this attempt.
            PeerLost: see `Channel`.
        """
        other = self._joint.task.collector
        order, _ = self._exchange(rows)
        largest = planning.largest_product(self._reading)
        first = self._envelopes.front((self._me, other), Content.PUBLIC_KEY, "")
        self.owner = key = KeyProcess(self._parameters, first, largest)
        self._envelopes.send_key(key, other)
        places = np.flatnonzero(order < len(rows.keys))  # of the list, where a row stands
        columns = (
            column
            for factor in self._factors
            for column in self._columns(rows, factor, (places, order[places]))
        )
        self._envelopes.send_columns(key, columns, self._cap(self._left), other)
        count = count_of(self._joint)
        due = self._envelopes.front((other, self._me), Content.ANSWERS, key.key, count)
        raw, secret = self._envelopes.receive(ANSWERS_TAG, due, count * self._parameters.ciphertext_bytes)
        found = by_sum(self._joint, self._in_order(key.products(raw, other, count, secret)))
        require_possible(self._joint, found, min(portion.bound for portion in self._reading.portions))
        return found

    def collect(self, rows: OwnRows) -> None:
        """Do the collector's part: match, multiply, and send the sums.

        Raises:
            TooLarge, RangeTooWide: there are more rows, or wider numbers, than the plan says.
            LinkBroken, EvidenceBroken, PeerLost: what came is not of this attempt; or see `Channel`.
        """
        inspector = self._joint.task.inspector
        order, lists = self._exchange(rows)
        mine, places = common_rows(lists)
        real = order[mine] < len(rows.keys)  # rows, and nobody's
        matched = (places[real], order[mine][real])
        public = self._envelopes.receive_key(inspector)
        key = key_id(public)
        raw = self._envelopes.receive_columns(inspector, key, self._shape)
        right, parts = Right(self._parameters, public), []
        one = Columns(self._parameters, self._cells, self._shape.rows)  # the columns of one factor
        for total in self._reading.sums:
            start = self._factors.index(planning.factor_of(total, self._left)) * one.size
            columns = self._columns(rows, planning.factor_of(total, self._here), matched)
            left = raw[start : start + one.size]
            parts.append(right.products(left, one, columns, self._cap(self._here)))
        front = self._envelopes.front((self._me, inspector), Content.ANSWERS, key, count_of(self._joint))
        self._envelopes.send(ANSWERS_TAG, front, b"".join(parts))

    def _exchange(self, rows: OwnRows) -> tuple[Indices, list[Blocks]]:
        """Exchange points; return the own secret order, and at the collector both lists."""
        seeking, envelopes = common.seeking_of(self._joint), self._envelopes
        hidden, order = hide(rows.keys, seeking.rows_of(self._me), self._me, self._coins)
        lists = common.raised(envelopes.channel, seeking, self._me, hidden, envelopes.attempt, self._coins)
        return order, lists or []

    def _columns(self, rows: OwnRows, factor: Factor, at: tuple[Indices, Indices]) -> list[Numbers]:
        """Return a factor's column for each own cell, over the inspector's list.

        Args:
            rows: the own ones.
            factor: what of them.
            at: places of the list, and the own row at each.
        """
        (places, mine), portion = at, self._reading.portions[self._here]
        for operand in factor.operands:
            arithmetic.require_within(rows.values[operand], portion.operands[operand].cap, portion.relation)
        cells = planning.own_cells(self._reading, self._here)
        if rows.groups.max(initial=0) >= cells:
            raise Malformed("a row has a group that is not in the public lists", portion.relation)
        found = np.zeros((cells, self._shape.rows), dtype=np.int64)
        found[rows.groups[mine], places] = _values(rows, factor)[mine]
        return list(found)

    def _cap(self, place: int) -> int:
        factors = planning.factors(self._reading, place)
        return max(planning.factor_cap(self._reading, place, factor) for factor in factors)

    def _in_order(self, numbers: list[int]) -> list[int]:
        """Return numbers of pairs of cells, the inspector's first, in the order of the reading's cells."""
        if self._left == 0:
            return numbers
        other = self._reading.cells // self._cells
        table = np.array(numbers, dtype=object).reshape(-1, self._cells, other)
        return list(table.transpose(0, 2, 1).ravel())


def _values(rows: OwnRows, factor: Factor) -> Numbers:
    """Return what a factor is of each row `[n]`; a row without a value counts as 0."""
    if factor.measure is Measure.ROWS:
        return np.ones(len(rows.keys), dtype=np.int64)
    if factor.measure is Measure.PRESENT:
        return np.asarray(rows.present[factor.operands[0]], dtype=np.int64)
    first: Numbers = rows.values[factor.operands[0]]
    if factor.measure is Measure.MAGNITUDE:
        return np.asarray(np.abs(first), dtype=np.int64)
    if factor.measure in (Measure.SQUARE, Measure.PRODUCT):
        return np.asarray(first * rows.values[factor.operands[-1]], dtype=np.int64)
    return first
