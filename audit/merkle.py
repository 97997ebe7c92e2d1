"""Merkle trees after RFC 6962 section 2.1, as pure functions.

With SHA-256 as HASH and D[n] a list of entries, MTH is

    MTH({})      = HASH()
    MTH({d})     = HASH(0x00 ‖ d)
    MTH(D[n])    = HASH(0x01 ‖ MTH(D[0:k]) ‖ MTH(D[k:n]))     k the largest power of two smaller than n

The two prefixes keep a node from being passed off as an entry. A tree of n entries is a row of *perfect*
subtrees, one per set bit of n, the largest first: its *frontier*. That is all that is needed to go on.
Checking proofs follows RFC 9162 sections 2.1.3.2 and 2.1.4.2, which spell out what RFC 6962 leaves to the
reader.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from plans.errors import LogBroken

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Peak = tuple[int, bytes]
"""A perfect subtree of 2^height entries: its height and its hash."""

NodeOf = Callable[[int, int], bytes]
"""Gives MTH(D[first:end])."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Return the hashes of many entries."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def split_hashes(data: bytes) -> list[bytes]:
    """Return the whole hashes that stand one after the other in `data`."""
    return [data[n : n + HASH_BYTES] for n in range(0, len(data) - HASH_BYTES + 1, HASH_BYTES)]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree: the row of perfect subtrees, the largest first."""

    def __init__(self, peaks: Iterable[Peak] = ()) -> None:
        self.peaks: list[Peak] = list(peaks)

    @property
    def size(self) -> int:
        """How many entries the tree has."""
        return sum(1 << height for height, _ in self.peaks)

    def push(self, subtree: bytes, height: int = 0) -> None:
        """Add a perfect subtree of 2^height entries; the size so far must be a multiple of that."""
        while self.peaks and self.peaks[-1][0] == height:
            subtree = node_hash(self.peaks.pop()[1], subtree)
            height += 1
        self.peaks.append((height, subtree))

    def root(self) -> bytes:
        """Return MTH of all entries."""
        return root_of_peaks(self.peaks)


def root_of_peaks(peaks: Sequence[Peak]) -> bytes:
    """Return MTH of a tree by its row of perfect subtrees."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1][1]
    for _, subtree in reversed(peaks[:-1]):
        root = node_hash(subtree, root)
    return root


def levels(leaves: list[bytes]) -> list[list[bytes]]:
    """Return all perfect subtrees over leaf hashes: the leaves, the pairs, the fours, …"""
    rows: list[list[bytes]] = [[]]
    grow(rows, leaves)
    return rows


def grow(rows: list[list[bytes]], leaves: list[bytes]) -> None:
    """Add leaf hashes to what `levels` returned."""
    sha256, height = hashlib.sha256, 0
    rows[0] += leaves
    while len(rows[height]) > 1:
        if height + 1 == len(rows):
            rows.append([])
        fresh = iter(rows[height][2 * len(rows[height + 1]) :])
        rows[height + 1] += [
            sha256(b"\x01" + left + right).digest() for left, right in zip(fresh, fresh, strict=False)
        ]
        height += 1


def peaks(rows: list[list[bytes]], count: int, first: int = 0) -> list[Peak]:
    """Return the row of perfect subtrees over `count` leaves of `levels`, from `first` on.

    `first` is a multiple of the largest power of two that is not larger than `count`.
    """
    found = []
    for height in reversed(range(count.bit_length())):
        if count >> height & 1:
            found.append((height, rows[height][first >> height]))
            first += 1 << height
    return found


def join(first: int, end: int, node: NodeOf) -> bytes:
    """Return MTH(D[first:end]) of at least two entries from its two halves."""
    middle = first + _split(end - first)
    return node_hash(node(first, middle), node(middle, end))


# -------------------------------------------------------------------------------------------------- proofs


def inclusion_proof(index: int, size: int, node: NodeOf) -> list[bytes]:
    """Return PATH(index, D[size]) (section 2.1.1), the leaf's neighbour first."""
    first, end, path = 0, size, []
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(node(middle, end))
            end = middle
        else:
            path.append(node(first, middle))
            first = middle
    return path[::-1]


def consistency_proof(older: int, newer: int, node: NodeOf) -> list[bytes]:
    """Return PROOF(older, D[newer]) (section 2.1.2); empty where nothing is to be proved."""
    if older in (0, newer):
        return []
    first, end, path, whole = 0, newer, [], True
    while older != end:
        middle = first + _split(end - first)
        if older <= middle:
            path.append(node(middle, end))
            end = middle
        else:
            path.append(node(first, middle))
            first, whole = middle, False
    return ([] if whole else [node(first, end)]) + path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the tree of `size` entries under `root` has `leaf` at `index` (RFC 9162 section 2.1.3.2).

    Raises:
        LogBroken: the proof does not show it.
    """
    if not 0 <= index < size or not _are_hashes(leaf, root, *proof):
        raise LogBroken("this is no proof of inclusion", f"event {index} of {size}")
    here, last, found = index, size - 1, leaf
    for each in proof:
        if last == 0:
            raise LogBroken("the proof of inclusion is too long", f"event {index} of {size}")
        if here & 1 or here == last:
            found = node_hash(each, found)
            here, last = _to_right_child(here, last)
        else:
            found = node_hash(found, each)
        here, last = here >> 1, last >> 1
    if last != 0 or found != root:
        raise LogBroken("the event is not in the tree of this head", f"event {index} of {size}")


def verify_consistency(
    older: int, newer: int, older_root: bytes, newer_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the newer tree only added to the older, non-empty one (RFC 9162 section 2.1.4.2).

    Raises:
        LogBroken: the proof does not show it.
    """
    where = f"sizes {older} and {newer}"
    if not 0 < older <= newer or not _are_hashes(*proof):
        raise LogBroken("this is no proof of consistency", where)
    if older == newer:
        if proof or older_root != newer_root:
            raise LogBroken("two different trees have the same size, or the proof is too long", where)
        return
    path = [older_root, *proof] if older & (older - 1) == 0 else list(proof)
    if not proof or _climb(older - 1, newer - 1, path, where) != (older_root, newer_root):
        raise LogBroken("the newer tree does not continue the older one", where)


def _climb(here: int, last: int, path: list[bytes], where: str) -> tuple[bytes, bytes]:
    """Return the roots of the older and the newer tree as the path has them."""
    while here & 1:
        here, last = here >> 1, last >> 1
    older = newer = path[0]
    for each in path[1:]:
        if last == 0:
            raise LogBroken("the proof of consistency is too long", where)
        if here & 1 or here == last:
            older, newer = node_hash(each, older), node_hash(each, newer)
            here, last = _to_right_child(here, last)
        else:
            newer = node_hash(newer, each)
        here, last = here >> 1, last >> 1
    if last != 0:
        raise LogBroken("the proof of consistency is too short", where)
    return older, newer


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH_BYTES for value in values)


def _to_right_child(here: int, last: int) -> tuple[int, int]:
    """Climb past the levels on which the node stands alone at the right edge."""
    while here and not here & 1:
        here, last = here >> 1, last >> 1
    return here, last


def _split(count: int) -> int:
    """Return the largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1
