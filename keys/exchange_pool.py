"""Exponentiations of long lists: the ladder of `keys.ladder`, in several threads; short lists go to OpenSSL.

The ladder does not hold Python's lock while it climbs, and hashing identifiers, which does, goes on beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np

from keys.exchange import POINT, Bytes, Exponent, encode, require_on_curve
from plans.errors import Defect, LinkBroken

WORTH_COMPILING = 400_000
"""Exponentiations for which the ladder, which is compiled in five seconds and more, is faster than OpenSSL."""

_ROWS = 1 << 13  # a piece: 0.2 s of a thread


class ExchangePool:
    """An exponent with threads that raise to it, for as long as its `with` lasts; `repr` shows no exponent."""

    def __init__(self, exponent: Exponent, workers: int, rows: int) -> None:
        """Begin.

        Args:
            exponent: of the owner.
            workers: threads.
            rows: how many rows all lists together will have.
        """
        self._exponent = exponent
        self._climbs = rows >= WORTH_COMPILING
        self._threads = ThreadPoolExecutor(max_workers=workers)

    def of_identifiers(self, blocks: Bytes, tag: bytes) -> Bytes:
        """Return `Exponent.of_identifiers`."""
        if not self._climbs:
            return self._exponent.of_identifiers(blocks, tag)
        return self._climbed(blocks, lambda piece: encode(piece, tag))

    def of_points(self, points: Bytes) -> Bytes:
        """Return `Exponent.of_points`.

        Raises:
            LinkBroken: a point was refused.
        """
        if not self._climbs:
            return self._exponent.of_points(points)
        return self._climbed(points, require_on_curve)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def __repr__(self) -> str:
        return f"ExchangePool(climbs={self._climbs})"

    def _climbed(self, rows: Bytes, ready: Callable[[Bytes], Bytes]) -> Bytes:
        """Make points of rows, piece by piece, and have them raised meanwhile.

        Raises:
            LinkBroken: a point was refused.
            Defect: a point is not what OpenSSL makes of it.
        """
        pieces = [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]
        climbing = [self._threads.submit(self._climb, ready(piece)) for piece in pieces]
        found = [done.result() for done in climbing]
        return np.concatenate(found) if found else np.empty((0, POINT), dtype=np.uint8)

    def _climb(self, points: Bytes) -> Bytes:
        from keys.ladder import climb  # numba takes a second to import, and short lists do without

        words = np.ascontiguousarray(points).view("<u8").astype(np.uint64, copy=False)
        raised = climb(words, self._exponent.unsafe_secret()).astype("<u8", copy=False).view(np.uint8)
        if not raised.any(axis=1).all():
            raise LinkBroken("points for matching came that are of small order", "match")
        if (self._exponent.of_points(points[:1]) != raised[:1]).any():
            raise Defect("this processor's ladder and OpenSSL make different points of one", "exchange")
        return raised
