"""The seeker: from a key to its record, or to "absent", in three messages there and three back.

    lookup = seeker.ask(key, coins)             what the owner evaluates:  lookup.blinded
    lookup.opening(commitment)                  which of that is the key, for what the owner then reveals
    lookup.evaluated(revealed)                  what the owner answers:    lookup.question (or lookup.place)
    lookup.opened(answer)                       a record, or nothing

What goes wrong on the owner's side ends as an error whose class says what: `EvidenceBroken` and those below it say that
the owner did not do what its signed record says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from keys.randomness import MaskStream
from mpc.lookup import oprf, simple_pir, table
from mpc.lookup.simple_pir import Prepared
from mpc.lookup.table import TableRecord
from plans.errors import StateConflict

Words = NDArray[np.uint32]


@dataclass(slots=True)
class Lookup:
    """One key on its way. `repr` shows neither key nor place."""

    record: TableRecord
    _blinding: oprf.Question = field(repr=False)
    _prepared: Prepared | None = field(repr=False)
    _output: bytes = field(repr=False, default=b"")
    _question: bytes = field(repr=False, default=b"")

    @property
    def blinded(self) -> bytes:
        """What the owner is sent first."""
        return self._blinding.blinded

    def opening(self, commitment: bytes) -> bytes:
        """Return what the owner is sent once it has committed to its evaluation.

        Raises:
            StateConflict, LinkBroken: see `oprf.Question.opening`.
        """
        return self._blinding.opening(commitment)

    def evaluated(self, raw: bytes) -> None:
        """Take the owner's evaluation.

        Raises:
            LinkBroken, EvidenceBroken, StateConflict: see `oprf.Question.output`.
        """
        self._output = self._blinding.output(raw, self.record.checks)
        if self._prepared is not None:
            self._question = self._prepared.question(self.place)

    @property
    def place(self) -> int:
        """The column of the key; it is sent only where columns are handed out as they are.

        Raises:
            StateConflict: the key was not evaluated yet.
        """
        if not self._output:
            raise StateConflict("this key was not evaluated yet", "lookup")
        return table.place_of(self.record, self._output)

    @property
    def question(self) -> bytes:
        """What the owner is sent then, where columns are asked for without saying which.

        Raises:
            StateConflict: the key was not evaluated yet, or this table hands out columns as they are.
        """
        if not self._question:
            raise StateConflict("there is no question yet, or none to this table", "lookup")
        return self._question

    def opened(self, raw: bytes) -> bytes | None:
        """Return the record from the owner's answer, or nothing: the table has none of this key.

        Raises:
            StateConflict, LinkBroken, EvidenceBroken, HashMismatch: see `Prepared.recover` and `table.opened`.
        """
        column = raw if self._prepared is None else self._prepared.recover(raw)
        return table.opened(self.record, self.place, column, self._output)


class Seeker:
    """Who asks one version of a table, any number of times."""

    def __init__(self, record: TableRecord, hint: bytes = b"", threads: int = 0) -> None:
        """Begin.

        Args:
            record: of the table, whose signature was verified.
            hint: as it came, where there is one.
            threads: 0 for as many as there are processors.

        Raises:
            LinkBroken, HashMismatch: the hint is not the table's.
        """
        self.record = record
        self._threads = threads
        self._hint: Words | None = simple_pir.read_hint(record, hint) if record.hint else None

    def ask(self, key: bytes, coins: MaskStream) -> Lookup:
        """Begin to look up a key, with fresh secrets.

        Args:
            key: what is looked up.
            coins: the seeker's own fresh randomness.

        Raises:
            Malformed: the key is empty or too long.
        """
        return self.ask_several([key], coins)[0]

    def ask_several(self, keys: Sequence[bytes], coins: MaskStream) -> list[Lookup]:
        """Begin to look up keys, each with fresh secrets; several together take less time for each.

        Raises:
            Malformed: see `ask`.
        """
        blindings = [oprf.Question.of(key, self.record.name, coins) for key in keys]
        prepared: list[Prepared] | list[None] = [None] * len(keys)
        if self._hint is not None:
            prepared = Prepared.several(self.record, self._hint, len(keys), coins, self._threads)
        return [Lookup(self.record, *each) for each in zip(blindings, prepared, strict=True)]
