"""Whether the owner's rules allow what a statement does with the columns of one relation, and why not.

Two levels ask differently (`plans.reading.Level`). Figures about groups need a rule for each clause, and one
that reveals enough. Rows need every column to be one whose values the asker may see; whoever may see values may
compute with them, in every clause that no prohibition takes away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from plans import names
from plans.checks import Mode
from plans.constraints import Reveal, Use
from plans.decision import Reason
from plans.manifest import Column, Grade, Kind, Manifest
from plans.reading import Clause, ColumnUse, Level, Output, Reading
from plans.statements import Bundle, DatasetPolicy
from policies.constraints import Asker, Effective, classes_of, effective, links_rows
from policies.joined import met_another


@dataclass(frozen=True, slots=True)
class Seat:
    """From where columns are judged: a dataset with its policy, and who asks. Remembers what it found.

    `others` are the datasets that there are. `joint` are the uses that stand for every clause where columns go into a
    joint computation; `scored` says that it tells something of single rows that it computes on ciphertexts.
    """

    manifest: Manifest
    policy: DatasetPolicy
    bundle: Bundle
    asker: Asker
    others: tuple[Manifest, ...] = ()
    joint: tuple[Use, ...] = ()
    scored: bool = False
    known: dict[str, Effective | None] = field(default_factory=dict, compare=False, repr=False)

    def may(self, name: str) -> Effective | None:
        """Return what the asker may do with a column; none for a direct identifier, and for what nobody described."""
        if name not in self.known:
            column = self.manifest.column(name)
            described = column is not None and column.kind is not Kind.IDENTIFIER
            self.known[name] = self.effective(column) if described and column is not None else None
        return self.known[name]

    def effective(self, column: Column) -> Effective:
        """Return what the asker may do with a column by the owner's rules."""
        return effective(self.policy, self.bundle, column, self.asker)

    def met_another(self, reading: Reading) -> bool:
        """Return whether each row that leaves met a row of another dataset, of one that is about persons."""
        references = frozenset(other.relation for other in self.others if not other.about_persons)
        return met_another(reading, self.manifest.relation, references)


def column_reasons(seat: Seat, reading: Reading, uses: tuple[ColumnUse, ...]) -> Iterator[Reason]:
    """Yield every reason why these uses of the seat's relation are not allowed."""
    for use in uses:
        subject = f"{seat.manifest.relation}.{use.column}"
        if use.column == names.PERSON:
            yield from _of_person(seat, reading, use, subject)
            continue
        found = seat.may(use.column)
        if found is None:
            yield _identifier(subject) if seat.manifest.column(use.column) else _no_column(seat, subject)
        else:
            yield from _of_column(seat, found, use, reading)


def relation_reasons(seat: Seat, reading: Reading, uses: tuple[ColumnUse, ...]) -> Iterator[Reason]:
    """Yield why rows of the seat's relation may not even be counted: all that is shown of it, it shows after a join.

    Whoever sees a column of a relation may count its rows; here they are those that met a row of another one. Where
    such a column is used, it speaks for itself.
    """
    if reading.level is not Level.ROWS or seat.met_another(reading):
        return
    used = {use.column for use in uses}
    seen = {
        column.name: found.joined_only
        for column in seat.manifest.columns
        if (found := seat.may(column.name)) and found.shown
    }
    if seen and all(seen.values()) and used.isdisjoint(seen):
        yield _after_join(seat.manifest.relation)


def minimum(seat: Seat, reading: Reading, uses: tuple[ColumnUse, ...]) -> int:
    """Return the number of persons that the rules behind allowed uses ask for; rows have none."""
    if reading.level is Level.ROWS:
        return 0
    found = ((seat.may(use.column), use) for use in uses if use.column != names.PERSON)
    return max(
        (rules.minimum(use.clause, use.function, seat.joint) for rules, use in found if rules), default=0
    )


def grade_of(manifest: Manifest, policy: DatasetPolicy | None, bundle: Bundle, column: str) -> Grade:
    """Return the grade of a column's values, and of what is derived from it: the highest of dataset and classes."""
    classes = classes_of(policy, bundle, column)[0] if policy else ()
    return max((manifest.grade, *(each.grade for each in classes)), key=lambda grade: grade.level)


def grade_of_output(
    output: Output, relations: tuple[str, ...], bundle: Bundle, manifests: tuple[Manifest, ...]
) -> Grade:
    """Return the grade of an output: the highest of all columns that it is computed from.

    One that is computed from no column, such as a count of rows, has the highest grade of the relations read. So
    has one whose sources nobody knows: in doubt it is as sensitive as anything could be.
    """
    by_relation = {manifest.relation: manifest for manifest in manifests}
    grades = []
    for source in output.sources or relations:
        relation, column = ".".join(source.split(".")[:2]), ".".join(source.split(".")[2:])
        manifest = by_relation.get(relation)
        if manifest is None:
            return Grade.CORE
        policy = bundle.policy(manifest.dataset)
        grades.append(grade_of(manifest, policy, bundle, column))
    return max(grades, key=lambda grade: grade.level)


def identifies(manifest: Manifest, name: str) -> bool:
    """Return whether a column identifies people; one that nobody described is taken for one that does."""
    column = manifest.column(name)
    return column is None or column.kind is Kind.IDENTIFIER


# --- one use -----------------------------------------------------


_COUNTS = ("count", "count_distinct")
"""What may be done with the person token in an aggregate: its sum or mean would show a part of it."""


def _of_person(seat: Seat, reading: Reading, use: ColumnUse, subject: str) -> Iterator[Reason]:
    counted = use.clause is Clause.AGGREGATE and use.function in _COUNTS
    if use.clause is not Clause.JOIN and not counted:
        yield Reason(
            "column-use",
            subject,
            f"{subject} is the person token; it joins relations and counts persons, nothing else.",
            "Use it only in JOIN … USING (person) or count(distinct person).",
        )
    elif reading.level is Level.ROWS and not links_rows(seat.policy, seat.bundle, seat.asker):
        yield _no_link(subject)


def _of_column(seat: Seat, found: Effective, use: ColumnUse, reading: Reading) -> Iterator[Reason]:
    subject = f"{use.relation}.{use.column}"
    if found.trouble:
        yield _contradiction(subject, found.trouble)
    elif not found.forbidden.isdisjoint(seat.joint):
        yield _not_shared(found, subject)
    elif reading.level is not Level.ROWS:
        if not found.covering(use.clause, use.function, seat.policy.mode is Mode.PRIVATE, seat.joint):
            yield _not_covered(found, use, subject)
    elif found.forbids(use.clause, use.function):
        yield _use_denied(found, use, subject)
    elif seat.scored and found.scored:
        return
    elif not found.shown:
        yield _not_shown(found, subject)
    elif found.joined_only and not seat.met_another(reading):
        yield _after_join(subject)


def _not_covered(found: Effective, use: ColumnUse, subject: str) -> Reason:
    """Return why figures may not use a column so: the use is not allowed, or it would reveal too much."""
    uses = [word for word in Use if _CLAUSE_OF.get(word) is use.clause]
    named = [one for one in found.allowed for word in uses if one.covers(word, use.function, Reveal.NEVER)]
    if not named or found.forbids(use.clause, use.function):
        return _use_denied(found, use, subject)
    if any(one.reveal is Reveal.NOISED for one in named):
        return Reason(
            "column-noised",
            subject,
            f"The owner allows {subject} {_how(use)} with noise only; figures of this dataset leave without.",
            "Leave the column out, or ask the owner to reveal figures over enough persons.",
        )
    reveal = max((one.reveal for one in named), key=lambda each: each.level)
    return Reason(
        "column-reveal",
        subject,
        f"The owner allows {subject} {_how(use)}, but reveals nothing of it this way: {_REVEALS[reveal]}.",
        "Use it where it reveals less, or ask the owner to change the column's rule.",
    )


def offers(found: Effective) -> str:
    """Return in words how a column may be used, or `nothing`."""
    uses = sorted({use for one in found.allowed for use in one.uses}, key=list(Use).index)
    words = ", ".join(_USE_WORDS[use] for use in uses)
    functions = sorted({name for one in found.allowed for name in one.functions})
    return (f"{words} ({', '.join(functions)})" if functions else words) or "nothing"


# --- sentences -----------------------------------------------------


_USE_WORDS = {
    Use.SELECT: "an output row by row",
    Use.FILTER: "a filter",
    Use.COMPARE: "a comparison with a constant",
    Use.JOIN: "a join key",
    Use.GROUP: "a group key",
    Use.MODEL: "input of a model",
    Use.SHARED: "input of a joint computation",
    Use.ENCRYPTED: "input of an encrypted computation",
    Use.AGGREGATE: "an aggregate",
}
_CLAUSE_OF = {
    Use.FILTER: Clause.FILTER,
    Use.COMPARE: Clause.COMPARE,
    Use.JOIN: Clause.JOIN,
    Use.GROUP: Clause.GROUP,
    Use.AGGREGATE: Clause.AGGREGATE,
    Use.MODEL: Clause.MODEL,
}
_CLAUSE_WORDS = {
    **{clause: _USE_WORDS[use] for use, clause in _CLAUSE_OF.items()},
    Clause.SELECT: "an output row by row",
    Clause.ORDER: "an order of rows",
    Clause.WINDOW: "a window over rows",
}
_REVEALS = {
    Reveal.NEVER: "nothing of it may leave",
    Reveal.NOISED: "only what has noise added may leave",
    Reveal.AGGREGATED: "only figures over enough persons may leave",
    Reveal.GROUPED: "only keys of groups with enough persons may leave",
    Reveal.JOINED: "only values of rows that met a row of another relation may leave",
    Reveal.MASKED: "only what its mask leaves may leave",
    Reveal.PLAIN: "its values may leave",
}


def _how(use: ColumnUse) -> str:
    return f"in {use.function}()" if use.clause is Clause.AGGREGATE else f"as {_CLAUSE_WORDS[use.clause]}"


def _no_link(subject: str) -> Reason:
    return Reason(
        "column-use",
        subject,
        f"The owner does not let rows be linked by {subject}; who has rows in both is told by figures only.",
        f"Ask for figures about groups instead, or ask the owner for the use join of {names.PERSON}.",
    )


def _identifier(subject: str) -> Reason:
    return Reason(
        "identifier",
        subject,
        f"{subject} identifies people directly; no statement may use it.",
        f"Join on {names.PERSON} instead, and leave this column out.",
    )


def _no_column(seat: Seat, subject: str) -> Reason:
    """A task names its columns itself. What nobody described is treated as an identifier is."""
    return Reason(
        "identifier",
        subject,
        f"There is no column {subject}.",
        f"`darkroom describe {seat.manifest.dataset}` lists the columns.",
    )


def _contradiction(subject: str, trouble: str) -> Reason:
    return Reason(
        "column-rules",
        subject,
        f"The owner's rules about {subject} cannot be followed: {trouble}; so nothing is allowed.",
        "Leave the column out, and tell the steward of the owning domain.",
    )


def _use_denied(found: Effective, use: ColumnUse, subject: str) -> Reason:
    return Reason(
        "column-use",
        subject,
        f"The owner does not allow {subject} {_how(use)}; it may be used as: {offers(found)}.",
        "Use the column only as allowed, or ask the owner to change the column's rule.",
    )


def _not_shared(found: Effective, subject: str) -> Reason:
    return Reason(
        "column-use",
        subject,
        f"The owner does not allow {subject} in joint computations; it may be used as: {offers(found)}.",
        "Leave the column out, or ask the owner to change the column's rule.",
    )


def _not_shown(found: Effective, subject: str) -> Reason:
    return Reason(
        "column-reveal",
        subject,
        f"The owner shows no single value of {subject}, which a statement over rows needs; "
        f"it may be used as: {offers(found)}.",
        "Ask for figures about groups instead, or leave the column out.",
    )


def _after_join(subject: str) -> Reason:
    return Reason(
        "after-join",
        subject,
        f"The owner shows {subject} only of rows that met a row of another relation.",
        "Join it with one other relation about persons, in one SELECT: FROM … JOIN … USING (columns).",
    )
