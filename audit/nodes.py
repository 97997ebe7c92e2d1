"""Any node of the log's tree, from the files of leaf hashes: what roots and proofs are made of."""

from __future__ import annotations

import threading

from audit import merkle
from audit.files import Layout
from plans.errors import LogBroken

_KEPT = 4


class Nodes:
    """Gives MTH(D[first:end]). Keeps the roots of full segments, and the last few segments whole, as they
    grow.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._roots: dict[int, bytes] = {}
        self._rows: dict[int, list[list[bytes]]] = {}
        self._busy = threading.RLock()

    def __call__(self, first: int, end: int) -> bytes:
        """Return the hash over the events from `first` to before `end`, a range that RFC 6962 makes a node
        of.

        Raises:
            LogBroken: leaf hashes are missing.
        """
        per = self._layout.segment_events
        segment = first // per
        if end > (segment + 1) * per:
            return merkle.join(first, end, self)
        with self._busy:
            if end - first < per:
                rows = self._segment(segment, end - segment * per)
                return merkle.root_of_peaks(merkle.peaks(rows, end - first, first - segment * per))
            if segment not in self._roots:
                self._roots[segment] = self._segment(segment, per)[-1][0]
            return self._roots[segment]

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` events."""
        return self(0, size) if size else merkle.EMPTY_ROOT

    def _segment(self, segment: int, needed: int) -> list[list[bytes]]:
        rows = self._rows.pop(segment, [[]])
        if len(rows[0]) < needed:
            merkle.grow(rows, merkle.split_hashes(self._read(segment, len(rows[0]))))
        if len(rows[0]) < needed:
            raise LogBroken("leaf hashes are missing", self._layout.leaves(segment).name)
        self._rows[segment] = rows
        if len(self._rows) > _KEPT:
            del self._rows[next(iter(self._rows))]
        return rows

    def _read(self, segment: int, known: int) -> bytes:
        try:
            with self._layout.leaves(segment).open("rb") as file:
                file.seek(known * merkle.HASH_BYTES)
                return file.read()
        except FileNotFoundError:
            return b""
