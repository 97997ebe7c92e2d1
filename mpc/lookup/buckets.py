"""Columns handed out as they are: the whole table where it is small, one bucket of it where that may be known.

*One column* is the whole table, sealed: whoever asks gets all of it and opens one record, and the owner learns nothing
at all of the key. Its price is the table's size, which is why it is for small ones (`plan`).

*Several columns* leak. The owner, who has the exponent, can work out the bucket of every key it can think of, and
learns that the key asked for is one of those in this bucket: log2(buckets) bits. Who asks twice for one key asks twice
for one bucket; who asks for two keys of one household tells two buckets. The promise is only that a bucket is shared by
at least `fewest` of the table's rows on average, and by as large a part of any other list of candidates, whether in the
table or not. A plan does that only if it is told that it may (`plan.planned`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpc.lookup.layout import Layout, of_columns, require_size
from plans.errors import LinkBroken, Malformed

Bytes = NDArray[np.uint8]


def whole(bound: int, width: int) -> Layout:
    """Return the layout in which the table is one column.

    Raises:
        TooLarge, Malformed: see `layout.require_size`.
    """
    return of_columns(bound, width, 1)


def shared(bound: int, width: int, fewest: int) -> Layout:
    """Return the layout with as many buckets as leave each of them to so many rows on average.

    Raises:
        TooLarge, Malformed: see `layout.require_size`; or fewer than two are to share a bucket.
    """
    require_size(bound, width)
    if fewest < 2:
        raise Malformed(f"a bucket of {fewest:,} rows hides nobody", "lookup.fewest")
    buckets = max(1, bound // fewest)
    return of_columns(bound, width, 1 << (buckets.bit_length() - 1))


def column(matrix: Bytes, place: int) -> bytes:
    """Return a column of a sealed table.

    Raises:
        LinkBroken: there is no such column.
    """
    if not 0 <= place < matrix.shape[1]:
        raise LinkBroken("a column was asked for that the table does not have", "lookup")
    return matrix[:, place].tobytes()
