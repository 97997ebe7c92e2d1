"""How a joint statement is computed: ring, rows, and the tests before a figure is opened, from public numbers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from mpc.protocols.planning import reasons_of
from plans.decision import Decision, Obligations, Tier
from plans.errors import RangeTooWide
from plans.joint import JointReading, JointTask, Scheme, Shape
from plans.joint_guards import largest_number, strictest_of

RINGS = (64, 128)
MOST_MATCHED = 1 << 28
"""Rows that pass through matching at the most: places in a list are 28 bits there (`mpc.protocols.shuffling`)."""


def tier_of(decisions: Sequence[Decision]) -> Tier:
    """Return the isolation tier of all boxes: the strictest that an owner demands.

    Raises:
        PolicyDenied: an owner's decision is no.
    """
    return strictest_of(decisions).tier


def scheme_of(
    reading: JointReading, decisions: Sequence[Decision], noise_micro: int = 0, task: JointTask | None = None
) -> Scheme:
    """Return the scheme for a reading, under what all owners demand; `noise_micro` is the rate of noise, 0 for none.
    A task says whether something is encrypted, of which the scheme has the reasons.

    Raises:
        PolicyDenied: an owner's decision is no.
        RangeTooWide: by what was declared, sums may be wider than any ring (ATTACKS 75), or there are too many rows; or
            what ciphertexts or lookups need does not fit.
        Malformed, TooLarge: the latter; the sentence says which figure is too large.
    """
    demanded = strictest_of(decisions)
    matched = matched_rows(reading)
    return Scheme(
        ring_bits=ring_bits(largest_number(reading, matched, noise_micro)),
        matched=matched,
        minimum_group=demanded.minimum_group,
        dominance=dominance_of(demanded),
        noise_micro=noise_micro,
        reasons=() if task is None else reasons_of(task, reading),
    )


def matched_rows(reading: JointReading) -> int:
    """Return the public number of rows that come together: as many as the shorter list has, of one table in parts as
    all have, and as many as are scored or looked up.

    Raises:
        RangeTooWide: an owner has more than can be matched.
    """
    bounds = [portion.bound for portion in reading.portions]
    if reading.shape is Shape.STACKED:
        return sum(bounds)
    if reading.shape in (Shape.SCORED, Shape.LOOKUP):
        return bounds[0]
    if max(bounds) > MOST_MATCHED:
        raise RangeTooWide(
            f"an owner sends {max(bounds):,} rows, and at most {MOST_MATCHED:,} can be matched",
            "scheme.matched",
        )
    return min(bounds)


def ring_bits(largest: int) -> int:
    """Return how many bits signed numbers of this absolute value need.

    Raises:
        RangeTooWide: more than there are.
    """
    for bits in RINGS:
        if largest < 1 << (bits - 1):
            return bits
    raise RangeTooWide(
        f"by what owners declared, sums may need {largest.bit_length() + 1} bits, more than {max(RINGS)}",
        "scheme.ring_bits",
    )


def dominance_of(demanded: Obligations) -> int:
    """Return the percentage of the test of dominance on shares, which sees public caps and no single person.

    A cell passes where its two largest persons, were they as large as declared, would be at most this part of it. That
    is stricter than the (n, k) rule with n ≤ 2. It also keeps the p% rule, if what others have, at least
    (100 − d) / d · 2 caps, is at least p percent of the largest person's value, at most one cap: d ≤ 20000 / (200 + p).
    """
    checks = demanded.checks
    by_share = checks.dominance_percent if checks.dominance_largest else 100
    return max(1, min(by_share, 20_000 // (200 + checks.p_percent)))
