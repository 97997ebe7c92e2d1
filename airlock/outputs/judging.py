"""Judging a set of outputs: every rule on each, one finding for all, and what leaves.

The finding is the gravest: one refused output keeps all of them in. What an asker reads about a set that leaves,
its rules and its notes, follows from the declared forms and the owner's numbers alone; which rule struck, and
where, is in the owner's record. Only where a set is held or refused do the reasons depend on the data, as they
must.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from airlock.models.checking import Fitted, Foreign, check_foreign, check_shape
from airlock.outputs.cells import ShownTable, Subject, judge_table
from airlock.outputs.figures import require_drawn
from airlock.outputs.ground import Book, Ground
from airlock.outputs.judging_texts import judge_metrics, judge_model, judge_report
from airlock.outputs.rules import OutputRule
from airlock.outputs.tensors import leaves_of, numbers_of, read_onnx, read_safetensors
from airlock.outputs.texts import read_report
from airlock.outputs.values import Grid, Handed, Unfit, Value
from airlock.rules import Stamp
from plans import canonical
from plans.artifacts import Artifact, Form, ReleasedArtifact, ReleasedSet
from plans.errors import Malformed
from plans.inspection import Effect, Inspection
from plans.released import Note
from plans.verdict import Finding

ALL = "outputs"
"""The subject of rules about all outputs together."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What happens to a set of outputs, by which rules, what leaves (nothing when refused), and the owner's record."""

    finding: Finding
    reasons: tuple[str, ...]
    released: ReleasedSet | None
    record: Inspection


def judge_outputs(
    handed: Handed,
    declared: tuple[Artifact, ...],
    ground: Ground,
    stamp: Stamp,
    withheld: Sequence[tuple[int, ...]] = (),
) -> Judged:
    """Return the judgement about a job's outputs.

    `withheld` are the rows that the owner's ledger keeps back, for every table and model in the order of the
    declaration; a model is one row.

    Raises:
        Malformed: the ledger names outputs that are not there; then nothing leaves.
    """
    book, contents = Book(), dict[str, bytes]()
    for rule, subject in handed.refused:
        book.note(rule, subject or ALL, Effect.REFUSED)
    if not handed.refused:
        subjects = _subjects(handed, declared, withheld)
        for value in handed.values:
            content = _judged(value, subjects[value.name], ground, book)
            if content is not None:
                contents[value.name] = content
        _count_bits(contents, ground, book)
        if ground.obligations.checks.enterprises:
            book.note(
                OutputRule.ENTERPRISES, ALL, Effect.HELD, 0, least=ground.obligations.checks.enterprises
            )
    finding, reasons = _found(book, declared, ground)
    released = None if finding is Finding.REFUSED else _released(contents, declared, ground, stamp)
    preset = ground.obligations.checks.preset
    return Judged(finding, reasons, released, Inspection(stamp.plan, finding, preset, tuple(book.applied)))


def _subjects(
    handed: Handed, declared: tuple[Artifact, ...], withheld: Sequence[tuple[int, ...]]
) -> dict[str, Subject]:
    counted = [each.name for each in declared if each.form in (Form.TABLE, Form.MODEL)]
    if len(withheld) > len(counted):
        raise Malformed("the ledger keeps rows back of outputs that are not there", "withheld")
    gone = dict(zip(counted, withheld, strict=False))
    return {
        each.name: Subject(each.name, each.persons, handed.evidence.get(each.name), gone.get(each.name, ()))
        for each in declared
    }


def _judged(value: Value, subject: Subject, ground: Ground, book: Book) -> bytes | None:
    """Return one output's bytes as they may leave; what cannot be judged is refused."""
    try:
        return _by_form(value, subject, ground, book)
    except Unfit as problem:
        book.note(problem.rule, value.name, Effect.REFUSED)
        return None


def _by_form(value: Value, subject: Subject, ground: Ground, book: Book) -> bytes | None:
    content = value.content
    if value.form is Form.TABLE and isinstance(content, Grid):
        if not ground.members_code and subject.evidence is None:
            raise Unfit(OutputRule.PERSONS_COLUMN)
        table = judge_table(content, subject, ground, book)
        return None if table is None else table_bytes(table)
    if value.form is Form.METRICS and isinstance(content, Mapping):
        return canonical.encode(judge_metrics(content, value.name, ground, book))
    if value.form is Form.REPORT and isinstance(content, str):
        return judge_report(read_report(content.encode()), value.name, ground, book).encode()
    if value.form is Form.FIGURE and isinstance(content, bytes):
        book.note(OutputRule.PICTURE, value.name, Effect.HELD)
        return require_drawn(content)
    if value.form is Form.MODEL and isinstance(content, (bytes, Mapping)):
        return _model(content, subject, ground, book)
    raise Unfit(OutputRule.UNREADABLE)


def _model(content: bytes | Mapping[str, object], subject: Subject, ground: Ground, book: Book) -> bytes:
    if subject.withheld:
        book.note(OutputRule.LEDGER, subject.name, Effect.REFUSED, 1)
    book.note(OutputRule.MODEL, subject.name, Effect.HELD)
    checked = Fitted(subject.name, ground.tables)
    if isinstance(content, Mapping):
        judged = judge_model(content, subject.name, ground, book)
        check_shape(content, checked, ground, book)
        return judged
    is_onnx = subject.name.endswith(".onnx")
    read = read_onnx if is_onnx else read_safetensors
    if read(content) != content:
        raise Unfit(OutputRule.UNREADABLE)
    foreign = Foreign(numbers_of(content, is_onnx), leaves_of(content) if is_onnx else ())
    check_foreign(foreign, checked, ground, book)
    return content


def table_bytes(table: ShownTable) -> bytes:
    """Return a table as it leaves (docs/outputs.md)."""
    return canonical.encode(
        {
            "columns": [{"name": name, "type": kind} for name, kind in table.columns],
            "rows": [list(row) for row in table.rows],
        }
    )


def _count_bits(contents: Mapping[str, bytes], ground: Ground, book: Book) -> None:
    """Write down how many bits leave; of members' code no more may than the owner allows at once."""
    bits, most = 8 * sum(map(len, contents.values())), ground.obligations.checks.code_bits
    over = ground.members_code and bits > most
    book.note(OutputRule.BIT_BUDGET, ALL, Effect.REFUSED if over else Effect.PASSED, 0, bits=bits, most=most)


def _found(book: Book, declared: tuple[Artifact, ...], ground: Ground) -> tuple[Finding, tuple[str, ...]]:
    finding = book.finding
    if finding in (Finding.PASS, Finding.REPAIRED) and not ground.obligations.checks.automatic:
        book.note(OutputRule.BY_PEOPLE, ALL, Effect.HELD)
        finding = Finding.HELD
    if finding is Finding.REFUSED:
        return finding, book.rules(Effect.REFUSED)
    if finding is Finding.HELD:
        return finding, book.rules(Effect.HELD)
    return finding, tuple(note.rule for note in notes(declared, ground))


def notes(declared: tuple[Artifact, ...], ground: Ground) -> tuple[Note, ...]:
    """Return what the recipient reads about the rules; it follows from forms and numbers of the owner, from no
    value."""
    forms = {each.form for each in declared}
    if not forms & {Form.TABLE, Form.METRICS}:
        return ()
    rules = [
        (OutputRule.SMALL_GROUP, f"A figure about fewer than {ground.minimum:,} persons does not appear.")
    ]
    rounding = (
        f"Counts are rounded to multiples of {ground.base:,}; other figures keep the digits of their persons."
    )
    rules.append((OutputRule.ROUNDING, rounding))
    if Form.TABLE in forms:
        named = [OutputRule.MARGINS, OutputRule.CLASS_DISCLOSURE]
        checks = ground.obligations.checks
        named += [OutputRule.EXTREMES] if ground.members_code else []
        named += [OutputRule.DOMINANCE] if checks.dominance_largest and not ground.members_code else []
        named += [OutputRule.P_PERCENT] if checks.p_percent and not ground.members_code else []
        named += [OutputRule.ZEROS] if checks.zeros else []
        rules += [(rule, rule.sentence) for rule in named]
    return tuple(Note(rule.value, sentence) for rule, sentence in rules)


def _released(
    contents: Mapping[str, bytes], declared: tuple[Artifact, ...], ground: Ground, stamp: Stamp
) -> ReleasedSet:
    return ReleasedSet(
        plan=stamp.plan,
        artifacts=tuple(
            ReleasedArtifact(each.name, each.form, base64.b64encode(contents[each.name]).decode())
            for each in declared
        ),
        notes=notes(declared, ground),
        salt=stamp.salt,
    )
