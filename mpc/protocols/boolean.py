"""From shared numbers to shared bits and back: comparison, equality, and sums that a secret bit lets through.

Mohassel and Rindal, "ABY3", CCS 2018, section 5.3 and 5.4. A shared number x = x0 + x1 + x2 becomes bits by adding
(x0 + x1), which server 0 knows and deals, and x2, which the servers 1 and 2 know: an adder on shared bits, where XOR is
free and AND costs a word from each server. The adder is a parallel prefix (Kogge and Stone, IEEE Transactions on
Computers C-22, 1973): 6 rounds for 64 bits, 7 for 128, each of two ANDs on all bits of a word at once.

A *bit* below is a shared word of `BITS64` that is 0 or 1, one for each element. Meant for vectors of up to some 10^5
elements: for a comparison a server sends 13 words for each, server 0 sends 15.
"""

from __future__ import annotations

import numpy as np

from mpc.protocols import replicated
from mpc.protocols.replicated import Server, Shared, deal, known_to_two, multiply, stack
from mpc.protocols.ring import BITS64, BITS128, RING64, Bits, Ring, Words
from plans.errors import Defect


def bits_of(ring: Ring) -> Bits:
    """Return the vectors of bits that are as wide as a ring."""
    return BITS64 if ring is RING64 else BITS128


# -------------------------------------------------------------------------------- numbers to bits


def to_bits(me: Server, x: Shared) -> Shared:
    """Return the bits of shared numbers, as fresh shares of words (ABY3, section 5.3)."""
    ring, bits = x.ring, bits_of(x.ring)
    known = ring.add(x.own, x.next) if me.place == 0 else None
    one = deal(me, bits, 0, known, x.shape)
    other = known_to_two(me, bits, 2, {0: None, 1: x.next, 2: x.own}[me.place], x.shape)
    return _added(me, one, other)


def _added(me: Server, x: Shared, y: Shared) -> Shared:
    """Return the bits of the sum of two shared words: a parallel prefix over (generate, propagate)."""
    bits = x.ring
    propagated = half = replicated.add(x, y)
    generated = multiply(me, x, y)
    distance = 1
    while distance < bits.bits:
        moved = stack([_up(generated, distance), _up(propagated, distance)])
        both = multiply(me, stack([propagated, propagated]), moved)
        generated = replicated.add(generated, both[0])  # never both 1, so XOR is OR here
        propagated = both[1]
        distance *= 2
    return replicated.add(half, _up(generated, 1))


def _up(x: Shared, by: int) -> Shared:
    """Return every word moved up by `by` bits."""
    return Shared(x.ring, moved_up(x.own, by, x.ring), moved_up(x.next, by, x.ring))


def moved_up(words: Words, by: int, ring: Ring) -> Words:
    """Return words · 2^by, what leaves at the top cut off; 0 ≤ by < bits of the ring."""
    if not ring.words:
        return words << np.uint64(by)
    low, high = words[..., 0], words[..., 1]
    if by >= 64:
        return np.stack([np.zeros_like(low), low << np.uint64(by - 64)], axis=-1)
    if by == 0:
        return words
    return np.stack([low << np.uint64(by), (high << np.uint64(by)) | (low >> np.uint64(64 - by))], axis=-1)


def bit(x: Shared, place: int) -> Shared:
    """Return one bit of every shared word."""
    return Shared(BITS64, _bit(x.own, place, x.ring), _bit(x.next, place, x.ring))


def _bit(words: Words, place: int, ring: Ring) -> Words:
    one = words[..., place // 64] if ring.words else words
    return (one >> np.uint64(place % 64)) & np.uint64(1)


# ------------------------------------------------------------------------------------ comparisons


def at_least(me: Server, x: Shared, least: Words) -> Shared:
    """Return the bits [x ≥ least] for public `least` (elements of x's ring, signed).

    Right where |x − least| < 2^(bits−1): the ring is chosen so that it always is (`mpc.scheme`).
    """
    return negated(me, bit(to_bits(me, _less(me, x, least)), x.ring.bits - 1))


def equals(me: Server, x: Shared, value: Words) -> Shared:
    """Return the bits [x = value] for public `value` (elements of x's ring)."""
    different = to_bits(me, _less(me, x, value))
    agrees = replicated.add_public(me, different, np.full_like(different.own, ~np.uint64(0)))
    distance = agrees.ring.bits
    while distance > 1:  # all bits are 1: the AND of halves, until one bit is left
        distance //= 2
        agrees = multiply(me, agrees, _down(agrees, distance))
    return bit(agrees, 0)


def _less(me: Server, x: Shared, value: Words) -> Shared:
    return replicated.add_public(me, x, np.broadcast_to(x.ring.neg(value), x.own.shape))


def _down(x: Shared, by: int) -> Shared:
    return Shared(x.ring, _moved_down(x.own, by, x.ring), _moved_down(x.next, by, x.ring))


def _moved_down(words: Words, by: int, ring: Ring) -> Words:
    if not ring.words:
        return words >> np.uint64(by)
    low, high = words[..., 0], words[..., 1]
    if by >= 64:
        return np.stack([high >> np.uint64(by - 64), np.zeros_like(high)], axis=-1)
    return np.stack([(low >> np.uint64(by)) | (high << np.uint64(64 - by)), high >> np.uint64(by)], axis=-1)


def negated(me: Server, x: Shared) -> Shared:
    """Return the opposite of each bit."""
    return replicated.add_public(me, x, np.ones_like(x.own))


def every(me: Server, bits: list[Shared]) -> Shared:
    """Return, for each element, the AND of several bits: a tree of as many rounds as the list has doublings.

    An AND masks whole words; the result is cut to its lowest bits, of which alone `to_numbers` makes a number.

    Raises:
        Defect: the list is empty.
    """
    if not bits:
        raise Defect("there is no bit to combine", "boolean.every")
    while len(bits) > 1:
        half = len(bits) // 2
        joined = multiply(me, stack(bits[:half]), stack(bits[half : 2 * half]))
        bits = [joined[place] for place in range(half)] + bits[2 * half :]
    return bit(bits[0], 0)


# --------------------------------------------------------------------------------- bits to numbers


def to_numbers(me: Server, ring: Ring, bits: Shared) -> Shared:
    """Return shared bits as shared numbers 0 or 1 of a ring.

    A bit is b0 XOR b1 XOR b2. Server 0 knows a = b0 XOR b1 and deals it, the servers 1 and 2 know b2, and
    a XOR b2 = a + b2 − 2·a·b2: one dealt and one multiplied element.
    """
    number = ring.widen
    known = number((bits.own ^ bits.next).view(np.int64)) if me.place == 0 else None
    one = deal(me, ring, 0, known, bits.shape)
    held = {0: None, 1: bits.next, 2: bits.own}[me.place]
    last = known_to_two(me, ring, 2, None if held is None else number(held.view(np.int64)), bits.shape)
    both = multiply(me, one, last)
    return replicated.sub(replicated.add(one, last), replicated.add(both, both))


def select(me: Server, bits: Shared, x: Shared) -> Shared:
    """Return x where the bit is 1 and 0 elsewhere, as fresh shares; `bits` are of `BITS64`, in x's shape."""
    return multiply(me, to_numbers(me, x.ring, bits), x)
