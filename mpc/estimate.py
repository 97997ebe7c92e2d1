"""How much memory and time the boxes of a party need, from the public sizes of a joint plan. Pure.

The sizes of a joint computation are public bounds, so what it needs is known before it starts, and is compared with
the limits of the boxes: a box that would be killed in the middle of it is not begun. The factors are estimates
of a few runs on two cores, meant to be too high rather than too low; they tell apart what fits from what is ten times
too large, and nothing finer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mpc.protocols.planning import ciphertexts, lookups
from plans.box import Entry
from plans.errors import Malformed, RangeTooWide, TooLarge
from plans.joint import JointPlan, Portion, Shape
from plans.joint_guards import vectors_of
from plans.joint_rules import Matching
from plans.plan import Plan

BASE_MB = 250
"""A Python process with numpy, before it has a row."""

_MIB = 2**20
_COPIES = 4
"""How many times a column is held at once: as it came, as a share of two components, and what is made of it."""

_COLUMNS_PER_OPERAND = 4
"""Value, presence, magnitude, square."""

_PIECE_BYTES = 2 * 16 * 2**20
"""Two components of a piece of rows (`mpc.protocols.layout`)."""

_PSEUDONYM_BYTES = 16
_EXTRACT_BYTES_PER_ROW = 200
_BASE_S = 5.0
_SECONDS_PER_MIB = 0.05
"""Twenty MiB of columns a second, through all steps of the protocol."""

_SECONDS_PER_POINT = 60e-6
_COMPILER_MB = 200
"""Without a helper every owner raises every owner's rows, once each; for long lists it compiles its arithmetic."""

_ENGINE_MB, _ENGINE_S = 400, 10
"""The engine of ciphertexts with its keys, and what it takes to make these."""

_SLOWER = 3
"""Planners predict seconds of one core of a good machine; a box may have a slower one, and shares it."""

_CIPHERTEXT_BYTES = 1_000
"""A number as it is held while ciphertexts are added up; one that is packed full has 45 bytes on the wire."""


@dataclass(frozen=True, slots=True)
class Need:
    """What each box of a party needs: MiB of memory, and seconds; `never` says why no box could do it."""

    memory_mb: Mapping[Entry, int]
    wall_s: Mapping[Entry, int]
    never: tuple[str, ...] = ()

    def beyond(self, plan: Plan) -> list[str]:
        """Return where a plan's boxes have less than they need, as sentences for the owner."""
        found = list(self.never)
        for spec in plan.stages:
            memory, wall = self.memory_mb.get(spec.entry, 0), self.wall_s.get(spec.entry, 0)
            if memory > spec.limits.memory_mb:
                found.append(
                    f"the stage {spec.entry} needs about {memory:,} MiB of memory and may have "
                    f"{spec.limits.memory_mb:,}"
                )
            if wall > spec.limits.wall_s:
                found.append(
                    f"the stage {spec.entry} needs about {wall:,} s and may have {spec.limits.wall_s:,}"
                )
        return found


def need(joint: JointPlan, domain: str) -> Need:
    """Return what the boxes of a party need."""
    portions, ring = joint.reading.portions, joint.scheme.ring_bits // 8
    own = joint.owns(domain)
    held, worked = _HELD.get(joint.reading.shape, _held_alone)(joint, domain, ring)
    if own is not None:
        held += _row(portions[own], ring) * portions[own].bound
    if joint.task.helper == domain:
        held += sum(_row(portion, ring) * portion.bound for portion in portions)
    memory = {Entry.PARTY: _megabytes(held * _COPIES)}
    longest = max(held, worked, *(_row(portion, ring) * portion.bound for portion in portions))
    wall = {Entry.PARTY: _seconds(longest)}
    if joint.task.matching is Matching.DIFFIE_HELLMAN:  # all others wait for the owners
        memory[Entry.PARTY] += _COMPILER_MB if own is not None else 0
        wall[Entry.PARTY] += round(_SECONDS_PER_POINT * sum(portion.bound for portion in portions))
    try:
        more_mb, more_s = _planned(joint, domain)
    except (Malformed, RangeTooWide, TooLarge) as problem:  # no keeper gives a key for such a plan
        return Need(memory, wall, (problem.what,))
    memory[Entry.PARTY] += more_mb
    wall[Entry.PARTY] += more_s
    if own is not None:
        rows = portions[own].bound
        memory[Entry.EXTRACT] = _megabytes(rows * (_EXTRACT_BYTES_PER_ROW + _row(portions[own], ring)))
        wall[Entry.EXTRACT] = wall[Entry.PARTY]  # they run side by side, and the one waits for the other
    return Need(memory, wall)


def _planned(joint: JointPlan, domain: str) -> tuple[int, int]:
    """Return what ciphertexts or lookups take more, by their own planners: MiB and seconds; all wait for each other."""
    reading = joint.reading
    if reading.shape is Shape.LOOKUP:
        plan, questions = lookups(reading), reading.portions[0].bound
        milliseconds = plan.build_ms + questions * (plan.answer_ms + plan.ask_ms)
        memory = plan.seeker_mb if domain == joint.task.finder else plan.owner_mb
        return memory - BASE_MB, _SLOWER * milliseconds // 1000
    found = ciphertexts(joint.task, reading)
    if found is None:
        return 0, 0
    holds = reading.shape is Shape.STACKED and domain not in (joint.task.collector, joint.task.inspector)
    memory = _ENGINE_MB if holds else max(_ENGINE_MB, found.memory_mb)
    return memory, _ENGINE_S + _SLOWER * found.milliseconds // 1000


def _held_joined(joint: JointPlan, domain: str, ring: int) -> tuple[int, int]:
    """Return what a server holds, and works through, beside its own rows: it has the masks of its owners, and of the
    rows that matched a piece at a time.
    """
    if joint.serves(domain) is None:
        return 0, 0
    portions = joint.reading.portions
    mine = [portion for place, portion in enumerate(portions) if joint.partner(place) == domain]
    held = _PIECE_BYTES + sum(_row(portion, ring) * portion.bound for portion in mine)
    columns = sum(_columns(portion) for portion in portions)
    return held, 2 * joint.scheme.matched * ring * (columns + joint.reading.cells)


def _held_stacked(joint: JointPlan, domain: str, ring: int) -> tuple[int, int]:
    """Return the same of one table in parts: sums and votes of every holder, as shares or as ciphertexts."""
    numbers = vectors_of(joint) * joint.reading.cells * (len(joint.reading.portions) + 1)
    if joint.task.collector:
        held = numbers * _CIPHERTEXT_BYTES
        return (held, held) if domain in (joint.task.collector, joint.task.inspector) else (0, 0)
    held = 2 * ring * numbers
    return (held, held) if joint.serves(domain) is not None else (0, 0)


_HELD: Mapping[Shape, Callable[[JointPlan, str, int], tuple[int, int]]] = {
    Shape.JOINED: _held_joined,
    Shape.STACKED: _held_stacked,
}


def _held_alone(_joint: JointPlan, _domain: str, _ring: int) -> tuple[int, int]:
    """Return the same of what is told of persons: owners have their own rows, and nobody is there beside them."""
    return 0, 0


def _columns(portion: Portion) -> int:
    return _COLUMNS_PER_OPERAND * len(portion.operands) + 1


def _row(portion: Portion, ring: int) -> int:
    """Bytes of one row of a portion as it is sent."""
    told = sum(field.width for field in portion.fields)
    return _PSEUDONYM_BYTES + ring * _columns(portion) + 8 * len(portion.groups) + told


def _megabytes(count: int) -> int:
    return BASE_MB + -(-count // _MIB)


def _seconds(count: int) -> int:
    return round(_BASE_S + _SECONDS_PER_MIB * count / _MIB)
