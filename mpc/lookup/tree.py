"""A hash tree over the columns of a table (RFC 9162, section 2.1.1, prefixes as there): each column carries its path.

The root stands in the table's record. So a seeker who opened a column, from whatever answer and whatever hint, knows
whether it is the column that the owner published, as all other seekers have it.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from mpc.lookup.layout import NODE
from plans.errors import HashMismatch

Bytes = NDArray[np.uint8]


def grown(contents: Bytes) -> tuple[str, Bytes]:
    """Return the root over columns' contents `[columns × size]`, in hex, and each column's path `[columns × 32·depth]`.

    The number of columns is a power of two.
    """
    level = _rows([_leaf(at, row.tobytes()) for at, row in enumerate(contents)])
    places, paths = np.arange(len(contents)), []
    while len(level) > 1:
        paths.append(level[places ^ 1])
        level = _rows([_node(pair.tobytes()) for pair in level.reshape(-1, 2 * NODE)])
        places = places >> 1
    joined = np.concatenate(paths, axis=1) if paths else np.empty((len(contents), 0), dtype=np.uint8)
    return level[0].tobytes().hex(), joined


def require_leaf(root: str, place: int, content: bytes, path: bytes) -> None:
    """Check that a content is that of a column.

    Raises:
        HashMismatch: it is not.
    """
    found = _leaf(place, content)
    for start in range(0, len(path), NODE):
        sibling = path[start : start + NODE]
        found = _node(sibling + found if place & 1 else found + sibling)
        place >>= 1
    if place or found.hex() != root:
        raise HashMismatch("a column is not the one that the table's record names", "lookup")


def _leaf(place: int, content: bytes) -> bytes:
    return hashlib.sha256(b"\0" + place.to_bytes(8, "big") + content).digest()


def _node(pair: bytes) -> bytes:
    return hashlib.sha256(b"\1" + pair).digest()


def _rows(digests: list[bytes]) -> Bytes:
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, NODE)
