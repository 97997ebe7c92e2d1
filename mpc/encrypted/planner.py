"""From what is to be computed to parameters, the reasons, and what it will take; refuses what cannot be proved.

Pure: it neither makes a key nor sees a number. Bounds on noise are `bounds`; what is safe is `parameters.SECURE_BITS`.
Seconds are predictions from measured costs of single steps (`COSTS`), for a core like the one they were measured on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from mpc.encrypted import bounds
from mpc.encrypted.numbers import primes_below
from mpc.encrypted.parameters import LARGEST_PRIME_BITS, SECURE_BITS, Packing, Parameters
from plans.errors import Malformed, RangeTooWide
from plans.record import Record

MOST_HOLDERS = 1024
MOST_NUMBERS = 1 << 24
WIDEST_TOTAL = 127  # bits
DIRECT_BITS = 46  # of the largest plain modulus that divides p − 1
MOST_PLAIN_BITS = 50  # of one plain modulus
MOST_CELLS = 1024  # of a cross table
MOST_LEVELS = 2  # of a tree
_SMALLEST_PLAIN_BITS = 6
_LEAST_SPECIAL = 40

COSTS = {
    "public": 1_600,
    "seeded": 900,
    "add": 60,
    "scale": 90,
    "product": 4_600,
    "switch": 3_200,
    "open": 900,
}
"""Microseconds for a step on a ciphertext at N = 4096 with one prime (products and switchings: N = 8192 with two).
They grow with N·log N and with primes."""


@dataclass(frozen=True, slots=True)
class Planned(Record):
    """Parameters, why they are as they are, and what the computation takes.

    Attributes:
        up, down: bytes that one who encrypts sends, and that the key's owner gets.
        milliseconds: of one core, all parties together.
        memory_mb: of the box that needs most.
        spare_bits: bits of noise that are left at the end, in the worst case.
        reasons: sentences for the plan's page.
    """

    KIND: ClassVar[str] = "encrypted-planned"

    parameters: Parameters
    up: int
    down: int
    milliseconds: int
    memory_mb: int
    spare_bits: int
    reasons: tuple[str, ...]


def plan_sums(holders: int, count: int, cap: int, memory_mb: int = 4096) -> Planned:
    """Plan sums, counts, means and variances over holders: each brings `count` numbers, and they are added by place.

    A mean is a sum and a count, a variance also a sum of squares, which each holder computes in clear.

    Args:
        holders: how many.
        count: numbers of each (sums × cells).
        cap: the largest absolute value of one holder's number, as declared.
        memory_mb: what a box may use.

    Raises:
        RangeTooWide: totals need more than 127 bits.
        Malformed: other figures are outside what is supported, or memory is too small; the message names the figure.
    """
    _require("holders", holders, 2, MOST_HOLDERS)
    _require("numbers", count, 1, MOST_NUMBERS)
    total = holders * max(1, cap)
    wide = total.bit_length() + 1
    if wide > WIDEST_TOTAL + 1:
        raise RangeTooWide(
            f"totals may need {wide - 1} bits, more than {WIDEST_TOTAL}",
            "encrypted.sums",
        )
    parameters = _direct_sums(holders, wide) or _wide_sums(holders, total)
    noise = _noise_of_sums(parameters, holders)
    size = len(parameters.plain_moduli) * parameters.blocks(count) * parameters.ciphertext_bytes
    pieces = len(parameters.plain_moduli) * parameters.blocks(count)
    cost = pieces * (holders * (COSTS["public"] + COSTS["add"]) + COSTS["open"])
    return _planned(
        parameters, noise, (size, size), cost, _memory(size * (holders + 2), memory_mb),
        (
            f"{holders} holders bring up to {cap.bit_length()} bits each, so totals need {wide} with their sign",
            _moduli_sentence(parameters),
            "numbers stand in coefficients: adding needs no slots and no keys of rotation",
        ),
    )  # fmt: skip


def _direct_sums(holders: int, wide: int) -> Parameters | None:
    """Return parameters with one plain modulus, a power of two that divides q − 1, or none if that is too narrow."""
    if wide > DIRECT_BITS:
        return None
    found = _sum_parameters((1 << max(wide, 2),), 0)
    return found if bounds.decrypts(found, _noise_of_sums(found, holders)) else None


def _wide_sums(holders: int, total: int) -> Parameters:
    """Return parameters with several small plain moduli, and noise that hides rounding.

    Between two sets of numbers with the same total, noise differs by at most 1/2 for each holder on either side.
    """
    flood = bounds.flood_for(Fraction(holders))
    for bits in range(19, _SMALLEST_PLAIN_BITS - 1, -1):
        moduli: list[int] = []
        product = 1
        try:
            while product <= 2 * total:
                moduli = list(primes_below(bits, 2, len(moduli) + 1))
                product *= moduli[-1]
        except Malformed:
            break
        found = _sum_parameters(tuple(moduli), flood)
        if bounds.decrypts(found, _noise_of_sums(found, holders)):
            return found
    raise RangeTooWide(
        f"totals of {total.bit_length()} bits over {holders} holders do not fit the noise of a ciphertext",
        "encrypted.sums",
        "Let fewer holders be added up at once, or declare a narrower range.",
    )


def _sum_parameters(plains: tuple[int, ...], flood: int) -> Parameters:
    prime = primes_below(LARGEST_PRIME_BITS, 1 << DIRECT_BITS, 1)[0]
    special = primes_below(SECURE_BITS[4096] - LARGEST_PRIME_BITS, 2 * 4096, 1)[0]
    return Parameters(
        4096, (str(prime),), str(special), tuple(str(t) for t in plains), Packing.COEFFICIENTS, flood
    )


def _noise_of_sums(parameters: Parameters, holders: int) -> Fraction:
    noise = bounds.added(bounds.fresh(parameters, seeded=False), holders)
    return noise + (1 << parameters.flood_bits if parameters.flood_bits else 0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a product needs: how large its results are, and how noise grows, as a function of the ring.

    Attributes:
        largest: the largest absolute value of a result.
        results: ciphertexts that are answered, of which flooding hides all coefficients together.
        noise: the bound before flooding.
        packing, relinearise, rotations: see `Parameters`.
    """

    largest: int
    results: Callable[[int], int]
    noise: Callable[[Parameters], Fraction]
    packing: Packing = Packing.COEFFICIENTS
    relinearise: bool = False
    rotations: tuple[int, ...] = ()


def plan_scores(
    rows: int, features: int, cap: int, weight: int, memory_mb: int = 4096, largest: int = 0
) -> Planned:
    """Plan the scores of a linear or logistic model.

    Args:
        rows, features: of the table that is scored.
        cap: the largest absolute value of a feature, after multiplication to whole numbers.
        weight: the same of a weight, and of the intercept.
        memory_mb: what a box may use.
        largest: the same of a score, if the ranges of single features and weights say more than these two.

    Raises:
        RangeTooWide: a score needs more bits than a plain modulus has.
        Malformed: another figure does not fit; the message names it.
    """
    _require("rows", rows, 1, MOST_NUMBERS)
    _require("features", features, 1, 4096)
    largest = max(largest or weight * (features * cap + 1), cap, weight)
    parameters, noise = _fitting(
        Wanted(
            largest, lambda n: -(-rows // n),
            lambda ring: bounds.times_plain(ring, bounds.fresh(ring, seeded=True), features * weight) + 1,
        )
    )  # fmt: skip
    blocks = parameters.blocks(rows)
    up = features * blocks * parameters.seeded_bytes
    cost = blocks * (features * (COSTS["seeded"] + COSTS["scale"]) + COSTS["public"] + COSTS["open"])
    return _planned(
        parameters, noise, (up, blocks * parameters.ciphertext_bytes), cost * _size(parameters),
        _memory(up * 2, memory_mb),
        (
            f"a score is at most {largest.bit_length()} bits: {features} features of {cap.bit_length()} bits, weights "
            f"of {weight.bit_length()}",
            "a column of rows is a ciphertext, so a weight multiplies it as one number: no rotation, no key for one",
            _flood_sentence(parameters),
        ),
    )  # fmt: skip


def plan_products(
    rows: int, pairs: tuple[int, int], cap: int, other: int, memory_mb: int = 4096, largest: int = 0
) -> Planned:
    """Plan inner products, or a cross table, of columns of two parties.

    Args:
        rows: of both.
        pairs: columns of the party with the key, and of the other.
        cap, other: the largest absolute values in them; 1 for indicators of a cross table.
        memory_mb: what a box may use.
        largest: the largest absolute value of a product, if pairs that are asked for say more than these two.

    Raises:
        RangeTooWide: a product needs more bits than a plain modulus has.
        Malformed: another figure does not fit; the message names it.
    """
    _require("rows", rows, 1, MOST_NUMBERS)
    left, right = pairs
    _require("cells", left * right, 1, MOST_CELLS)
    largest = max(largest or rows * cap * other, cap, other)
    parameters, noise = _fitting(
        Wanted(
            largest, lambda n: left * right,
            lambda ring: noise_of_products(ring, rows, cap, other),
        )
    )  # fmt: skip
    blocks = parameters.blocks(rows)
    up, down = left * blocks * parameters.seeded_bytes, left * right * parameters.ciphertext_bytes
    cost = blocks * (left * COSTS["seeded"] + left * right * COSTS["scale"] + right * COSTS["seeded"])
    cost += left * right * (COSTS["public"] + COSTS["open"])
    return _planned(
        parameters, noise, (up, down), cost * _size(parameters),
        _memory(up * 2 + down * 2, memory_mb),
        (
            f"a product of {rows} rows is at most {largest.bit_length()} bits",
            "one product of polynomials is an inner product: no rotation, no key for one; all other places are hidden",
            _flood_sentence(parameters),
        ),
    )  # fmt: skip


def noise_of_products(ring: Parameters, rows: int, cap: int, other: int) -> Fraction:
    """Return the bound of `inner.Right`: errors times a column, and what wrapping around t adds.

    A multiple κ·t in a coefficient is κ·(q − 1) in the phase, as Δ·t = q − 1: noise of −κ. The coefficient that is
    asked for does not wrap; the others, which are hidden, hold sums up to rows·cap·other, and a uniform number on top.
    """
    errors = bounds.times_plain(ring, bounds.fresh(ring, seeded=True), rows * other)
    return errors + Fraction(rows * cap * other, ring.plains[0]) + 2


def plan_matrix(size: int, cap: int, weight: int, memory_mb: int = 4096) -> Planned:
    """Plan the product of one party's matrix with the other's encrypted vector, baby steps and giant steps.

    Args:
        size: rows and columns of the matrix, filled up to a power of two.
        cap: the largest absolute value in the vector.
        weight: the same in the matrix.
        memory_mb: what a box may use.

    Raises:
        RangeTooWide: a result needs more bits than a plain modulus has.
        Malformed: another figure does not fit; the message names it.
    """
    _require("size", size, 2, 2048)
    if size & (size - 1):
        raise Malformed(f"a matrix of {size} rows is not filled up to a power of two", "encrypted.size")
    baby = 1 << -(-(size.bit_length() - 1) // 2)
    giant = size // baby
    largest = size * cap * weight
    parameters, noise = _fitting(
        Wanted(
            largest, lambda n: 1, lambda ring: noise_of_matrix(ring, baby, giant), Packing.SLOTS,
            rotations=tuple(sorted({1, baby})) if giant > 1 else (1,),
        )
    )  # fmt: skip
    up, down = parameters.seeded_bytes, parameters.ciphertext_bytes
    moves = baby + giant - 2
    cost = moves * COSTS["switch"] + size * COSTS["scale"] * 2 + COSTS["public"]
    keys = len(parameters.rotations) * len(parameters.moduli) * 2 * (len(parameters.moduli) + 1)
    return _planned(
        parameters, noise, (up + keys * parameters.degree * 8, down), cost * _size(parameters),
        _memory((baby + 4) * down + keys * parameters.degree * 16, memory_mb),
        (
            f"a result is at most {largest.bit_length()} bits",
            f"{baby} baby steps by 1 and {giant} giant steps by {baby}: {moves} rotations in place of {size - 1}, with "
            f"keys for {len(parameters.rotations)} rotations only",
            _flood_sentence(parameters),
        ),
    )  # fmt: skip


def noise_of_matrix(ring: Parameters, baby: int, giant: int) -> Fraction:
    """Return the bound of `matrix.product`: each baby step adds a switching; a giant step adds one to all before it."""
    moved = bounds.fresh(ring, seeded=True) + (baby - 1) * bounds.switched(ring)
    part = baby * bounds.times_plain(ring, moved, bounds.slot_weight(ring))
    return giant * (part + bounds.switched(ring)) + 1


def plan_trees(
    rows: int, bits: int, trees: int, leaf: int, memory_mb: int = 4096, levels: int = 2
) -> Planned:
    """Plan the scores of small trees: of two levels, each a product of two encrypted bits.

    Args:
        rows: that are scored.
        bits: encrypted columns, each whether a feature is at least a public threshold.
        trees: how many; their leaves are added up.
        leaf: the largest absolute value at a leaf.
        memory_mb: what a box may use.
        levels: of each tree; a third one would be products of three bits.

    Raises:
        RangeTooWide: a score needs more bits than a plain modulus has.
        Malformed: another figure does not fit; the message names it.
    """
    _require("rows", rows, 1, MOST_NUMBERS)
    _require("trees", trees, 1, 256)
    _require("levels", levels, 1, MOST_LEVELS)
    _require("bits", bits, 1, 4096)
    largest = max(2, trees) * leaf  # what multiplies a bit is a difference of two leaves
    parameters, noise = _fitting(
        Wanted(
            largest, lambda n: -(-rows // n), lambda ring: noise_of_trees(ring, trees, leaf), Packing.SLOTS, True,
        )
    )  # fmt: skip
    blocks = parameters.blocks(rows)
    up = bits * blocks * parameters.seeded_bytes
    cost = blocks * (
        bits * COSTS["seeded"] + trees * 2 * COSTS["product"] + COSTS["switch"] + COSTS["public"]
    )
    return _planned(
        parameters, noise, (up, blocks * parameters.ciphertext_bytes), cost * _size(parameters),
        _memory(up * 2 + bits * parameters.ciphertext_bytes, memory_mb),
        (
            f"a score, or a difference of two leaves, is at most {largest.bit_length()} bits: {trees} trees of up to "
            "two levels",
            "products of two bits are added up as they are, and relinearised once for each block of rows",
            _flood_sentence(parameters),
        ),
    )  # fmt: skip


def noise_of_trees(ring: Parameters, trees: int, leaf: int) -> Fraction:
    """Return the bound of `trees.score`: two products of bits for each tree, times numbers of at most 4 leaves."""
    bit = bounds.fresh(ring, seeded=True)
    product = bounds.times_plain(ring, bounds.multiplied(ring, bit, bit), 2 * trees * 4 * leaf)
    single = bounds.times_plain(ring, bit, 2 * trees * 4 * leaf)
    return product + single + bounds.switched(ring) + 1


# -------------------------------------------------------------------------------------- what all plans share


def _fitting(wanted: Wanted) -> tuple[Parameters, Fraction]:
    """Return the smallest parameters that hold the results and their noise, and the noise at the end.

    Raises:
        RangeTooWide: none of them does; the message says which figure is too large.
    """
    plain_bits = max(2, (2 * wanted.largest + 1).bit_length())
    if plain_bits > MOST_PLAIN_BITS:
        raise RangeTooWide(
            f"results may need {plain_bits} bits with their sign, more than {MOST_PLAIN_BITS}", "encrypted.plain",
            "Declare narrower ranges, or fewer digits after the point.",
        )  # fmt: skip
    for degree, primes, special in _rings(plain_bits, wanted.packing):
        if wanted.packing is Packing.SLOTS:
            t = _slot_modulus(degree, plain_bits)
        else:
            t = 1 << plain_bits
        rotations = wanted.rotations
        bare = Parameters(
            degree, tuple(map(str, primes)), str(special), (str(t),), wanted.packing, 0, wanted.relinearise,
            rotations,
        )  # fmt: skip
        flood = bounds.flood_for(wanted.noise(bare), degree * wanted.results(degree))
        if flood >= bare.q.bit_length():
            continue
        found = replace(bare, flood_bits=flood)
        noise = bounds.flooded(found, wanted.noise(found))
        if bounds.decrypts(found, noise):
            return found, noise
    raise RangeTooWide(
        f"results of {plain_bits} bits and the noise of this depth fit no ring up to N = {max(SECURE_BITS)}",
        "encrypted.depth",
        "Declare narrower ranges, or a model with fewer levels.",
    )


def _rings(plain_bits: int, packing: Packing) -> Iterator[tuple[int, tuple[int, ...], int]]:
    """Give rings, smallest first: N, the primes of q, and p. Primes are as large as what is safe allows."""
    for degree, safe in SECURE_BITS.items():
        step = max(2 * degree, 1 << plain_bits) if packing is Packing.COEFFICIENTS else 2 * degree
        for count in range(1, 15):
            bits = min(LARGEST_PRIME_BITS, (safe - _LEAST_SPECIAL) // count)
            special = min(LARGEST_PRIME_BITS, safe - count * bits)
            if bits < max(plain_bits + 1, 36):
                break
            try:
                primes = primes_below(bits, step, count)
                yield degree, primes, primes_below(special, 2 * degree, 1, primes)[0]
            except Malformed:
                continue


def _slot_modulus(degree: int, plain_bits: int) -> int:
    """Return a prime that is 1 modulo 2N and has more than `plain_bits` bits, as few as there is one of.

    Raises:
        Malformed: there is none.
    """
    least = max(plain_bits + 1, degree.bit_length() + 4)
    for bits in range(least, LARGEST_PRIME_BITS):
        with contextlib.suppress(Malformed):  # of some sizes there is none, as of 19 bits for N = 8192
            return primes_below(bits, 2 * degree, 1)[0]
    return primes_below(LARGEST_PRIME_BITS, 2 * degree, 1)[0]


def _size(parameters: Parameters) -> int:
    """Return how much more a step costs than at N = 4096 with one prime."""
    return parameters.degree // 4096 * len(parameters.moduli)


def _flood_sentence(parameters: Parameters) -> str:
    return (
        f"answers get uniform noise of {parameters.flood_bits} bits in every coefficient and a fresh encryption of "
        f"zero: of all answers together their noise tells at most 2^−{bounds.STATISTICAL}"
    )


def _planned(
    parameters: Parameters, noise: Fraction, size: tuple[int, int], cost: int, memory_mb: int,
    reasons: tuple[str, ...],
) -> Planned:  # fmt: skip
    spare = bounds.room(parameters, noise)
    shown = (
        "the scheme is BFV: what is decrypted is published, and CKKS would give its key away with it",
        *reasons,
        f"q·p has {parameters.bits} bits of the {SECURE_BITS[parameters.degree]} that are safe at degree "
        f"{parameters.degree} (128 bits, Homomorphic Encryption Standard, table 1)",
        f"in the worst case noise is {spare + 1} bits below what decrypts wrongly",
    )  # fmt: skip
    return Planned(parameters, *size, max(1, cost // 1000), memory_mb, spare, shown)


def _moduli_sentence(parameters: Parameters) -> str:
    if len(parameters.plain_moduli) == 1:
        return (
            f"one plain modulus of {(parameters.plains[0] - 1).bit_length()} bits holds them, and divides p − 1 for "
            "each prime p of q: noise depends on no number"
        )
    return (
        f"{len(parameters.plain_moduli)} plain moduli hold them together (Chinese remainder theorem); the collector "
        f"adds noise of {parameters.flood_bits} bits, so that of what rounding tells 2^−{bounds.STATISTICAL} is left "
        "for each coefficient"
    )


def _memory(needed: int, allowed_mb: int) -> int:
    """Return the megabytes of a box for `needed` bytes of ciphertexts beside the engine itself."""
    found = 160 + needed // 1_000_000 + 1
    if found > allowed_mb:
        raise Malformed(
            f"the box would need {found} MB and may use {allowed_mb}", "encrypted.memory",
            "Ask for fewer cells or rows at once, or for a larger box.",
        )  # fmt: skip
    return found


def _require(what: str, found: int, least: int, most: int) -> None:
    if not least <= found <= most:
        raise Malformed(f"{what}: {found}, and it may be {least} to {most}", f"encrypted.{what}")
