"""The check of a model against the persons of its data: what it holds, what it remembers, and what follows.

Three findings, each in the owner's record with its numbers:

* a model that holds rows, or has a leaf or cluster of too few persons, is refused (`structure`);
* one on which an attack does better than the owner allows (`Checks.model_advantage`) is refused (`memory`);
* one that nobody can try, because it is of another kind, does not say its target, or was fitted to columns that are
  not there, is held for people, and the record says that no attack was run (`untried`).

Whatever is found, a model is held until reviewers let it out (`airlock.outputs`): these checks can only keep one in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airlock.models.attacks import attack
from airlock.models.rows import Known, Numbers, Rows, known
from airlock.models.structure import (
    MOST_ROWS_INSIDE,
    most_behind_the_smallest_leaf,
    rows_inside,
    smallest_part,
)
from airlock.outputs.ground import Book, Ground
from airlock.outputs.rules import OutputRule
from plans.inspection import Effect

Shape = Mapping[str, Any]
_TRIED = ("linear", "trees")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model's name among the outputs, and the tables that the job read."""

    name: str
    tables: Sequence[Rows]


def check_shape(model: Shape, subject: Fitted, ground: Ground, book: Book) -> None:
    """Check a model of a known shape (`airlock.outputs.models`); the book says what was found."""
    _check_parts(model, subject, ground, book)
    found = _known(model, subject)
    gained = attack(model, found) if found is not None and model["kind"] in _TRIED else None
    if found is None or gained is None:
        book.note(OutputRule.UNTRIED, subject.name, Effect.HELD, 1, why=_why(model, found))
        return
    most = ground.obligations.checks.model_advantage
    members, others = found.sizes
    book.note(
        OutputRule.MEMORY,
        subject.name,
        Effect.REFUSED if gained.largest > most else Effect.PASSED,
        int(gained.largest > most),
        most=most,
        membership_by_loss=gained.by_loss,
        membership_by_shadows=gained.by_shadows,
        attributes=gained.of_attributes,
        attribute=gained.attribute,
        gap_percent=gained.gap_percent,
        members=members,
        others=others,
    )


@dataclass(frozen=True, slots=True)
class Foreign:
    """A model of another format: its tensors by name, and for each of its trees the number of leaves."""

    tensors: Mapping[str, Numbers]
    leaves: tuple[int, ...] = ()


def check_foreign(model: Foreign, subject: Fitted, ground: Ground, book: Book) -> None:
    """Check a model of which nobody here knows how its inputs follow from the columns of the tables.

    It cannot be computed, so no attack is run, and people decide (`untried`); what can be said without computing is
    looked for first: rows among its numbers, and trees with more leaves than the minimum group leaves room for. A job
    that read several tables may have joined them into more rows than any of them has: then people look at the leaves.
    """
    check_tensors(model.tensors, subject, book)
    if not model.leaves:
        return
    most = most_behind_the_smallest_leaf(model.leaves, subject.tables)
    few = most is not None and most < ground.minimum
    numbers = {"smallest_leaf_at_most": most} if most is not None else {}
    sure = Effect.REFUSED if len(subject.tables) == 1 else Effect.HELD
    book.note(
        OutputRule.STRUCTURE,
        subject.name,
        sure if few else Effect.PASSED,
        int(few),
        most_leaves=max(model.leaves),
        tables=len(subject.tables),
        **numbers,
    )


def check_tensors(tensors: Mapping[str, Numbers], subject: Fitted, book: Book) -> None:
    """Check the numbers of a model of which nobody here knows what it computes."""
    inside = sum(rows_inside(tensors, rows) for rows in subject.tables)
    sizes = [int(tensor.size) for tensor in tensors.values()]
    book.note(
        OutputRule.STRUCTURE,
        subject.name,
        Effect.REFUSED if inside > MOST_ROWS_INSIDE else Effect.PASSED,
        inside,
        rows_inside=inside,
        numbers=sum(sizes),
    )
    book.note(
        OutputRule.UNTRIED, subject.name, Effect.HELD, 1, why="it is of a format that is not computed here"
    )


def _why(model: Shape, found: Known | None) -> str:
    """Return for the owner's record why no attack was run on a model of a known shape."""
    if model["kind"] not in _TRIED:
        return "no attack is known here on models of this kind"
    if not model.get("target"):
        return "it names no target"
    if found is None:
        return "it was fitted to columns that are not in the tables"
    return "too few persons on one side"


def _check_parts(model: Shape, subject: Fitted, ground: Ground, book: Book) -> None:
    counted = [each for rows in subject.tables if (each := smallest_part(model, rows)) is not None]
    smallest = min(counted, default=None)
    few = smallest is not None and smallest < ground.minimum
    numbers = {"smallest_counted": smallest} if smallest is not None else {}
    book.note(
        OutputRule.STRUCTURE, subject.name, Effect.REFUSED if few else Effect.PASSED, int(few), **numbers
    )


def _known(model: Shape, subject: Fitted) -> Known | None:
    """Return the rows of the first table that has the model's features and its target."""
    target = model.get("target")
    if not target:
        return None
    tried = (known(rows, list(model["features"]), str(target)) for rows in subject.tables)
    return next((each for each in tried if each is not None), None)
