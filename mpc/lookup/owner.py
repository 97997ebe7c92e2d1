"""The table's owner: makes a version of the table with its hint, and answers questions about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keys.exchange import Exponent
from keys.randomness import MaskStream
from mpc.lookup import buckets, gpu, oprf, simple_pir, table
from mpc.lookup.gpu import DeviceTable
from mpc.lookup.plan import Plan, Way
from mpc.lookup.product import processors
from mpc.lookup.table import SealedTable, TableRecord
from plans.errors import StateConflict

Words = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, eq=False)
class Owner:
    """What an owner keeps of one version of a table. `repr` shows its public record only.

    Attributes:
        record: what its keeper signs.
        hint: what seekers fetch once, empty where columns are handed out as they are.
    """

    record: TableRecord
    hint: Words = field(repr=False)
    _sealed: SealedTable = field(repr=False)
    _exponent: Exponent = field(repr=False)
    _threads: int = field(repr=False, default=0)
    _device: DeviceTable | None = field(repr=False, default=None)

    @classmethod
    def of(
        cls,
        rows: tuple[Sequence[bytes], Sequence[bytes]],
        plan: Plan,
        coins: MaskStream,
        threads: int = 0,
    ) -> Owner:
        """Make a version of a table, under an exponent of its own.

        Args:
            rows: keys and records, as for `table.seal`.
            plan: from `plan.planned`.
            coins: the owner's own fresh randomness.
            threads: 0 for as many as there are processors.

        Raises:
            Malformed, KeyRepeated, TooLarge: see `table.seal`.
        """
        exponent = table.fresh_exponent()
        sealed = table.seal(rows, plan.layout, exponent, coins, processors(threads))
        if plan.way is Way.COLUMNS:
            return cls(sealed.record, np.empty((0, 0), dtype=np.uint32), sealed, exponent, threads)
        hint = simple_pir.make_hint(sealed.record, sealed.matrix, threads)
        record = sealed.record.with_hint(simple_pir.hint_digest(sealed.record, hint))
        return cls(record, hint, sealed, exponent, threads, gpu.on_gpu(sealed.matrix))

    def evaluate(self, blinded: bytes) -> oprf.Evaluation:
        """Evaluate a blinded key under the exponent of this table: one grant, which the caller counts.

        Raises:
            LinkBroken: see `oprf.Evaluation.of`.
        """
        return oprf.Evaluation.of(self._exponent, self.record.name, blinded)

    def answer(self, question: bytes) -> bytes:
        """Return the answer to a question.

        Raises:
            LinkBroken: the question is not one to this table.
            StateConflict: this table hands out columns as they are.
        """
        return self.answers([question])[0]

    def answers(self, questions: Sequence[bytes]) -> list[bytes]:
        """Return the answers to questions, on the device if the table is on one.

        Raises:
            LinkBroken, StateConflict: see `answer`.
        """
        if not self.record.hint:
            raise StateConflict("this table hands out columns as they are", "lookup")
        if self._device is not None:
            return self._device.answers(questions)
        return [simple_pir.answer(self._sealed.matrix, question, self._threads) for question in questions]

    def column(self, place: int) -> bytes:
        """Return a column as it is.

        Raises:
            LinkBroken: there is no such column.
            StateConflict: this table's columns are asked for without saying which.
        """
        if self.record.hint:
            raise StateConflict("this table's columns are asked for without saying which", "lookup")
        return buckets.column(self._sealed.matrix, place)
