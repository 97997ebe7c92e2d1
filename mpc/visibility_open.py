"""Who sees what when an answer is opened: lines of the visibility table for each opening. Pure.

- `oblivious`: the recipient alone, and only what passed the tests on shares, with the sums that a figure is made of.
- `inspected`: the inspector's box sees every sum; the recipient gets judged figures, and no sum of them.
- `intersection`: the finder's box sees which of its own persons all others have; the recipient gets their identifiers.
- `scores`, `records`: the finder's box sees a score of each of its rows, or records of the persons whom it asks about;
  the recipient gets them with identifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from mpc.protocols.planning import score_of, unknowns
from mpc.visibility_match import filtering
from plans.joint import JointPlan, Part, SeenAs, Shape, Sight, Step
from plans.joint_guards import strictest_of, vectors_of, votes_of
from plans.joint_rules import Opening


def opens(joint: JointPlan) -> Iterator[Sight]:
    """Yield the lines of the step `open`."""
    if joint.task.opening.of_persons:
        yield from _PERSONS[joint.task.opening](joint)
        return
    if joint.task.opening is Opening.INSPECTED:
        yield from _inspected(joint)
    else:
        yield from _oblivious(joint)
    yield _recipient(
        joint,
        "what differences between figures tell, of this answer and of others: every owner bounds how many cells are "
        "opened within a period, and approves each plan",
    )
    if joint.reading.shape is Shape.STACKED:
        yield from _parts_told(joint)
    elif joint.task.inspector:
        yield from _own_told(joint)
    exact = not joint.scheme.noise_micro and not (joint.task.inspector and _rounding(joint) > 1)
    if exact and any(portion.operands for portion in joint.reading.portions):
        yield _recipient(
            joint,
            "exact totals: whoever gets one and knows all the amounts, as their owner does, may find out which few "
            "persons it is made of",
        )


def _recipient(joint: JointPlan, what: str, bound: int = 0) -> Sight:
    return Sight(Step.OPEN, joint.request.member, Part.RECIPIENT, what, SeenAs.CLEAR, bound)


def _rounding(joint: JointPlan) -> int:
    return strictest_of([each.decision for each in joint.decisions]).rounding


def _behind(joint: JointPlan) -> str:
    """Return what stands behind every figure that the recipient gets."""
    least, rows = joint.scheme.minimum_group, joint.reading.rows_of_a_person
    persons = f"figures behind which at least {least} persons stand and nobody dominates"
    if rows == 1:
        return persons
    if votes_of(joint):
        return f"{persons}, and so of each single part (a person may be in each of the {rows} parts)"
    return f"{persons} (at least {least * rows:,} rows, for a person may be in each of the {rows} parts)"


def _oblivious(joint: JointPlan) -> Iterator[Sight]:
    reading = joint.reading
    numbers = reading.cells * sum(1 + len(figure.sums) for figure in reading.figures)
    yield _recipient(
        joint,
        f"{_behind(joint)}, {_noised(joint) or 'exactly'}, with the sums that they are made of; of every other one, "
        "that it is withheld",
        numbers,
    )


def _noised(joint: JointPlan) -> str:
    """Return how noise is on figures: each server adds its part; nothing where there is none."""
    rate = joint.scheme.noise_micro
    if not rate:
        return ""
    return f"with discrete noise on every sum, of a rate of {rate:,} millionths, of which no server knows all"


def _inspected(joint: JointPlan) -> Iterator[Sight]:
    reading, noise = joint.reading, _noised(joint)
    votes = "; and of how many holders the part of each figure fails a test" if votes_of(joint) else ""
    yield Sight(
        Step.OPEN,
        joint.task.inspector,
        Part.INSPECTOR,
        "every sum of every cell, small ones too, before anybody else: in its box, where its airlock judges by what "
        f"all owners demand{', ' + noise if noise else ''}{votes}",
        SeenAs.CLEAR,
        reading.cells * vectors_of(joint),
    )
    base = _rounding(joint)
    how = [noise] if noise else []
    if base > 1:
        how.append(
            f"counts rounded to multiples of {base} and other figures to the digits that their persons support"
        )
    yield _recipient(
        joint,
        f"{_behind(joint)}, {'; '.join(how) or 'exactly'}, without the sums that they are made of; of every other "
        "one, that it is withheld, as further ones are where an owner's rules keep margins from giving them back",
        reading.cells * len(reading.figures),
    )


def _parts_told(joint: JointPlan) -> Iterator[Sight]:
    """Yield what a holder finds out that subtracts its own part from what it sees of all parts together."""
    portions = joint.reading.portions
    left = "the other holder's" if len(portions) == 2 else "that of the other holders together"
    if joint.task.inspector:
        what = f"by subtraction of its own part, {left}, of every sum of every cell"
        numbers = joint.reading.cells * len(joint.reading.sums)
        yield Sight(Step.OPEN, joint.task.inspector, Part.INSPECTOR, what, SeenAs.CLEAR, numbers)
    if votes_of(joint):
        yield _recipient(
            joint,
            "what other answers leave of it, about all other holders or about the same parts without one: a single "
            "holder's part of every figure that is opened, which passes all tests by itself",
        )
    if joint.owns(joint.request.member.partition("@")[2]) is not None:
        each = ", of which each part passes all tests by itself" if votes_of(joint) else ""
        yield _recipient(
            joint, f"by subtraction of its own domain's part, {left}, of every figure that is opened{each}"
        )


def _own_told(joint: JointPlan) -> Iterator[Sight]:
    """Yield what an inspector of rows that are joined could work out from sums of what it has itself."""
    place = joint.owns(joint.task.inspector)
    own = joint.reading.portions[place or 0]
    if own.operands or own.groups:
        what = (
            "by sums of its own numbers and groups, which few of its own rows match: its box could work that out, and "
            "does not"
        )
        yield Sight(Step.OPEN, joint.task.inspector, Part.INSPECTOR, what, SeenAs.CLEAR)


def _found(joint: JointPlan) -> Iterator[Sight]:
    task, matched = joint.task, joint.scheme.matched
    own = next(portion for portion in joint.reading.portions if portion.domain == task.finder)
    others = ", ".join(each.domain for each in joint.reading.portions if each.domain != task.finder)
    are = "has" if len(joint.reading.portions) == 2 else "all have"
    but = f" but that they pass the row filter of {filtering(joint)}" if filtering(joint) else ""
    yield Sight(
        Step.OPEN,
        task.finder,
        Part.FINDER,
        f"which of its own persons {others} {are}, too, under the own condition, and nothing else of them{but}",
        SeenAs.CLEAR,
        own.bound,
    )
    yield _recipient(
        joint,
        f"the identifiers of these persons, {matched:,} at the most; of every other person of {task.finder}, that it "
        "is not everywhere",
        matched,
    )
    yield _recipient(
        joint,
        "what two answers tell together of who came and who went: every other owner bounds of how many persons it lets "
        "this finder know within a period, and approves each plan",
    )


def _told(joint: JointPlan) -> str:
    """Return what one score tells of a model."""
    return "a sum of leaves, one of every tree," if score_of(joint.reading).trees else "an equation"


def _scored(joint: JointPlan) -> Iterator[Sight]:
    finder, (rows, model) = joint.task.finder, joint.reading.portions
    what = f"a score of each of its own persons by the model of {model.domain}, exactly, before it is rounded"
    yield Sight(Step.OPEN, finder, Part.FINDER, what, SeenAs.CLEAR, rows.bound)
    yield _recipient(joint, "the identifiers of these persons, each with its rounded score", rows.bound)
    count = unknowns(joint.reading)
    yield Sight(
        Step.OPEN,
        finder,
        Part.FINDER,
        f"what scores tell of the model, {_told(joint)} each: by {count} independent ones it is known",
        SeenAs.CLEAR,
    )


def _records(joint: JointPlan) -> Iterator[Sight]:
    finder, (asked, register) = joint.task.finder, joint.reading.portions
    fields = ", ".join(field.name for field in register.fields)
    hidden = " or is hidden by its row filter" if filtering(joint) else ""
    what = f"of each person whom it asks about, {fields} as {register.domain} has it, or that it is not there{hidden}"
    yield Sight(Step.OPEN, finder, Part.FINDER, what, SeenAs.CLEAR, asked.bound)
    yield _recipient(
        joint, "the identifiers of these persons, each with its record or without values", asked.bound
    )


_PERSONS: Mapping[Opening, Callable[[JointPlan], Iterator[Sight]]] = {
    Opening.INTERSECTION: _found,
    Opening.SCORES: _scored,
    Opening.RECORDS: _records,
}
"""What is told of single persons."""
