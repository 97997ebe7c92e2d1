"""Which way a table is looked up, and what that takes, from its public size alone. Pure; nothing is built for it.

The rule, of which `Plan.reasons` says how it came out:

1. *Whole table* (`buckets.whole`) if its sealed bytes are no more than what hidden questions would move, the hint and
   as many questions and answers as a seeker puts to one version: it hides more, and is simpler.
2. *A shared bucket* (`buckets.shared`) only if whoever decides for the table allowed buckets and said how many rows
   are to share one, and if it moves fewer bytes: it leaks, and the plan says how many bits.
3. *Hidden* (`simple_pir`) otherwise.

What does not fit the memory, or the parameters, is refused with the figure. Seconds are of a few runs on two cores, on
the side of too many: they tell apart what takes a second from what takes a minute, and nothing finer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from mpc.lookup import buckets
from mpc.lookup.layout import DIMENSION, LOOKUPS, WORD, Layout, chosen
from mpc.lookup.parameters import ASKED, EVALUATED, error_bits, require_parameters
from plans.errors import Malformed, TooLarge
from plans.record import Record

BASE_MB = 250
"""A Python process with numpy and the compiler of the products, before it has a row."""

_MIB = 2**20
_ROW_BYTES = 500  # of a row with its hash, point and output, beside the record, while a table is made
_SECONDS_PER_ROW = 70e-6  # evaluating, sealing and placing it, on one core
_SECONDS_PER_PRODUCT = 1 / 8e9  # of a byte of a table with a word, on one core
_SECONDS_PER_MANY = 1 / 10e9  # of the same where many words wait for each byte
_SECONDS_PER_WORD = 1 / 1e9  # making a word of the public matrix and adding it up
_SECONDS_FIXED = 0.02  # points on both sides, opening a column


class Way(StrEnum):
    """How a column comes to the seeker."""

    COLUMNS = "columns"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Plan(Record):
    """What a table's lookups take.

    Attributes:
        way: how a column comes to the seeker.
        layout: the shape of the table.
        once: bytes that a seeker fetches once for each version: the hint, or the whole table.
        up, down: bytes of each question after that, evaluation included.
        build_ms: on one core, for the owner to make a version.
        answer_ms: on one core, for the owner to answer one question.
        ask_ms: on one core, for the seeker of one question.
        owner_mb, seeker_mb: memory, in MiB.
        leaks_bits: of the key's place, to the owner.
        reasons: how it came to that, as sentences.
    """

    KIND: ClassVar[str] = "lookup-plan"

    way: Way
    layout: Layout
    once: int
    up: int
    down: int
    build_ms: int
    answer_ms: int
    ask_ms: int
    owner_mb: int
    seeker_mb: int
    leaks_bits: int
    reasons: tuple[str, ...]


def planned(bound: int, width: int, memory_mb: int, lookups: int = LOOKUPS, fewest: int = 0) -> Plan:
    """Return how a table is looked up.

    Args:
        bound: the public number of rows.
        width: bytes of a record.
        memory_mb: what each side's box may use, in MiB.
        lookups: how many questions a seeker puts to one version.
        fewest: how many rows share a bucket at least, on average, if buckets may be told to the owner; 0 if not.

    Raises:
        Malformed, TooLarge: it cannot be done; the figure that does not fit is said.
    """
    hidden, whole = chosen(bound, width, lookups), buckets.whole(bound, width)
    moved = hidden.hint + lookups * _each(hidden)
    figures = (
        f"{lookups:,} hidden questions to one version move {moved:,} bytes, of which the hint is {hidden.hint:,}; "
        f"the whole table has {whole.height:,}"
    )
    plan = _hidden(hidden, figures)
    if whole.height <= moved:
        plan = _columns(whole, f"{figures}: so the seeker gets all of it, and the owner learns nothing")
    elif fewest:
        bucket = buckets.shared(bound, width, fewest)
        if bucket.height * lookups < moved:
            plan = _columns(bucket, f"{figures}; buckets are allowed and move {bucket.height * lookups:,}")
    _require_memory(plan, memory_mb)
    if plan.way is Way.HIDDEN:
        require_parameters(plan.layout)
    return plan


def _each(layout: Layout) -> int:
    return ASKED + EVALUATED + WORD * (layout.columns + layout.height)


def _hidden(layout: Layout, figures: str) -> Plan:
    bits = error_bits(layout.columns, layout.height)
    words = DIMENSION * layout.columns
    build = layout.bound * _SECONDS_PER_ROW + layout.size * DIMENSION * _SECONDS_PER_MANY
    return Plan(
        Way.HIDDEN,
        layout,
        layout.hint,
        ASKED + WORD * layout.columns,
        EVALUATED + WORD * layout.height,
        _milliseconds(build),
        _milliseconds(_SECONDS_FIXED + layout.size * _SECONDS_PER_PRODUCT),
        _milliseconds(_SECONDS_FIXED + (words + layout.hint // WORD) * _SECONDS_PER_WORD),
        _building(layout) + _megabytes(layout.hint),
        BASE_MB + _megabytes(2 * layout.hint),
        0,
        (
            f"{figures}: so a column is asked for without saying which",
            f"{layout.columns:,} columns of {layout.height:,} bytes hold {layout.bound:,} rows, {layout.slots:,} in a "
            "column at most",
            f"a column comes out right but for 2^-{bits:.0f}, and 2^-40 is asked for",
        ),
    )


def _columns(layout: Layout, why: str) -> Plan:
    once = layout.height if layout.columns == 1 else 0
    leaks = layout.columns.bit_length() - 1
    told = f"the owner learns the bucket of each question, one of {layout.columns:,}: {leaks} bits"
    return Plan(
        Way.COLUMNS,
        layout,
        once,
        ASKED,
        EVALUATED + (0 if once else layout.height),
        _milliseconds(layout.bound * _SECONDS_PER_ROW),
        _milliseconds(_SECONDS_FIXED),
        _milliseconds(_SECONDS_FIXED + layout.slots * 2e-6),
        _building(layout),
        BASE_MB + _megabytes(2 * layout.height),
        leaks,
        (why, told) if leaks else (why,),
    )


def _building(layout: Layout) -> int:
    """MiB of an owner's box that makes a version: rows, and its columns before and after they are turned."""
    return BASE_MB + _megabytes(layout.bound * (_ROW_BYTES + 2 * layout.sealed) + 3 * layout.size)


def _require_memory(plan: Plan, memory_mb: int) -> None:
    if memory_mb < 1:
        raise Malformed(f"a box of {memory_mb:,} MiB holds nothing", "lookup")
    for who, needed in (("owner", plan.owner_mb), ("seeker", plan.seeker_mb)):
        if needed > memory_mb:
            raise TooLarge(
                f"the {who} needs about {needed:,} MiB of memory and may have {memory_mb:,}", "lookup"
            )


def _megabytes(count: int) -> int:
    return -(-count // _MIB)


def _milliseconds(seconds: float) -> int:
    return math.ceil(1000 * seconds)
