"""The mode `private`: from a statement, the owner's declarations and the policy to what really runs. Pure.

Neighbouring data differ in one person with all rows. Then what a person adds to a table is bounded by the owner's
declared bounds and the policy's `most_groups` and `most_rows`, and noise of a scale that follows from these makes the
whole answer rho-zero-concentrated differentially private (Bun and Steinke 2016, propositions 1.6 and 2.3: the square
of the L2 sensitivity over twice the variance, added up over the parts). What cannot be bounded is refused by name:

* `private-rows`     rows leave exact, so none do
* `private-shape`    the answer is no single table, or a row of it is about several persons
* `private-figure`   a figure is neither count, count(distinct person), sum nor avg
* `private-bounds`   a sum or mean is not of one column as it stands, with bounds that its owner declared
* `private-cells`    the public values of the keys have more combinations than may leave
* `private-enterprises`  an owner asks for enterprises behind every figure: noise hides one person, not one enterprise
* `private-spend`    the request wants to spend more than half of the budget of a period, which nobody may

None of these depends on a row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation
from fractions import Fraction

from plans import names
from plans.checks import Checks, Privacy
from plans.constraints import Mask
from plans.decision import Obligations, Reason
from plans.manifest import Column, Manifest
from plans.plan import Program
from plans.private import MOST_ROOM, Measure, NoisyFigure, Part, Private
from plans.reading import Cells, Level, Output, Reading, Role

SHARE = 20
"""A request that names no price spends one twentieth of the budget of a period."""

FINEST = 10**7
"""Units within the declared bounds at the most: far below the noise, and sums of all persons stay whole numbers."""

_WHOLE = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)")
_DECIMAL = re.compile(r"DECIMAL\(\d+, ?(\d+)\)")
_LISTED = re.compile(_WHOLE.pattern + "|VARCHAR|BOOLEAN")
"""Types whose values have one spelling, so that a declared list says the same as the data."""

_SUMMED = ("sum", "avg")
_UP = Context(prec=6, rounding=ROUND_CEILING)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of private lineages: the reading, what the request spends, the datasets and the masks on them."""

    reading: Reading
    spend_micro: int
    manifests: tuple[Manifest, ...]
    masked: frozenset[str]
    """Columns (`relation.column`) that stand masked: their declarations are about other values."""

    def column(self, name: str) -> Column | None:
        """Return a base column by `relation.column` if its values stand as they are."""
        relation, _, column = name.rpartition(".")
        manifest = next((each for each in self.manifests if each.relation == relation), None)
        return None if manifest is None or name in self.masked else manifest.column(column)

    @property
    def about_persons(self) -> tuple[Manifest, ...]:
        """The datasets of the statement that are about persons."""
        used = (each for each in self.manifests if each.relation in self.reading.relations)
        return tuple(each for each in used if each.about_persons)


def price(privacy: Privacy, spend_micro: int) -> int:
    """Return what a request spends, in millionths of rho: what it names, or the platform's share of the budget."""
    return spend_micro or max(1, privacy.rho_micro // SHARE)


def private_reasons(asked: Asked, obligations: Obligations) -> tuple[Reason, ...]:
    """Return every reason why an answer to this reading cannot be private."""
    privacy = obligations.privacy
    subject = ", ".join(asked.reading.relations)
    if privacy is None:
        return ()
    shape = tuple(_shape_reasons(asked.reading, subject))
    if shape:
        return shape
    reasons = [*_enterprise_reasons(obligations.checks, subject), *_figure_reasons(asked)]
    reasons += _spend_reasons(asked, privacy, subject)
    listed = _lists(asked, asked.reading.tables[0])
    width = len(asked.reading.tables[0].outputs)
    if math.prod(map(len, listed)) * width > min(obligations.largest_result, MOST_ROOM):
        reasons.append(_too_many_cells(subject))
    return tuple(reasons)


def privately(program: Program, asked: Asked, privacy: Privacy) -> Private:
    """Return the noisy side of a program whose reading has no `private_reasons`."""
    (cells,) = program.tables
    keys = [output for output in cells.outputs if output.role is Role.KEY]
    lists = _lists(asked, cells)
    parts, figures = _parts(asked, cells)
    persons = -1
    if keys and not lists:
        persons = _place(parts, _CELL)
    groups = privacy.most_groups if keys else 1
    spent = price(privacy, asked.spend_micro)
    floor = 0
    if persons >= 0:
        most = max((each.persons for each in asked.about_persons), default=0) * groups
        floor = max(1, -(-most * (len(keys) + len(parts)) // MOST_ROOM))
    noised = tuple(_noised(part, Fraction(spent, 1_000_000 * len(parts)), groups, privacy) for part in parts)
    return Private(
        parts=noised,
        figures=figures,
        lists=lists,
        threshold=_threshold(noised[persons], floor, privacy) if persons >= 0 else 0,
        persons=persons,
        floor=floor,
        most_groups=groups,
        most_rows=privacy.most_rows,
        rho_micro=spent,
        delta_exponent=privacy.delta_exponent if persons >= 0 else 0,
        datasets=tuple(sorted({each.dataset for each in asked.about_persons})),
    )


# --- reasons -----------------------------------------------------


def _shape_reasons(reading: Reading, subject: str) -> Iterator[Reason]:
    if reading.level is Level.ROWS:
        yield Reason(
            "private-rows",
            subject,
            "In the mode private no row leaves, not even one of columns that may be seen.",
            "Ask for figures about groups.",
        )
    elif reading.finish or len(reading.tables) != 1:
        yield Reason(
            "private-shape",
            subject,
            "In the mode private an answer is one SELECT of keys and figures, without HAVING, subqueries that compute,"
            " margins or expressions over figures.",
            "Ask for the figures themselves, and compute with them on your own side: that costs nothing more.",
        )
    elif not reading.tables[0].alone or reading.tables[0].contributions is None:
        yield Reason(
            "private-shape",
            subject,
            "In the mode private every row is about one person; here a join makes rows about several.",
            f"Join relations about persons by their token alone: JOIN … USING ({names.PERSON}).",
        )


def _figure_reasons(asked: Asked) -> Iterator[Reason]:
    for output in asked.reading.tables[0].outputs:
        if output.role is Role.KEY:
            continue
        if output.function in _SUMMED and not output.distinct:
            if _bounds(asked, output) is None:
                yield _no_bounds(output)
        elif output.function != "count" or (output.distinct and not _of_persons(output)):
            yield Reason(
                "private-figure",
                output.name,
                f"In the mode private there are count(*), count(x), count(distinct {names.PERSON}), sum(x) and avg(x);"
                f" {output.name} is something else.",
                "Ask for these, and compute with them on your own side.",
            )


def _enterprise_reasons(checks: Checks, subject: str) -> Iterator[Reason]:
    """A number of enterprises is no promise of this mode: groups appear by their noisy persons, whosever they are."""
    if checks.enterprises:
        yield Reason(
            "private-enterprises",
            subject,
            f"An owner asks for {checks.enterprises:,} enterprises behind every figure. In the mode private the noise"
            " hides one person, and not all persons of one enterprise.",
            "Ask the owner to tokenise by enterprise, so that these are the persons, or to use the mode rules.",
        )


def _spend_reasons(asked: Asked, privacy: Privacy, subject: str) -> Iterator[Reason]:
    if price(privacy, asked.spend_micro) > (privacy.rho_micro + 1) // 2:
        yield Reason(
            "private-spend",
            subject,
            f"The request wants to spend {asked.spend_micro:,} millionths of rho; the budget of"
            f" {privacy.period_days} days is {privacy.rho_micro:,}, and one member spends at most half of it.",
            "Spend less: the error bars grow with the square root of it.",
        )


def _no_bounds(output: Output) -> Reason:
    column = output.argument or "its argument"
    return Reason(
        "private-bounds",
        output.name,
        f"Nobody declared between which bounds {column} lies, or it is computed or masked; so nothing bounds what one"
        f" person adds to {output.name}.",
        "Use the column as it stands, and ask its owner to declare minimum and maximum in the catalog.",
    )


def _too_many_cells(subject: str) -> Reason:
    return Reason(
        "private-cells",
        subject,
        "The declared values of the keys have more combinations than may leave at once, and all of them would appear.",
        "Group by fewer or coarser columns.",
    )


# --- parts -----------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rough:
    """A part before its noise is known; `argument` tells parts apart that several outputs share."""

    measure: Measure
    output: int
    low: int
    high: int
    unit: str
    argument: str


_CELL = _Rough(Measure.PERSONS, -1, 0, 1, "1", "")
"""All persons of a cell."""


def _parts(asked: Asked, cells: Cells) -> tuple[list[_Rough], tuple[NoisyFigure, ...]]:
    parts: list[_Rough] = []
    figures = []
    for place, output in enumerate(cells.outputs):
        total = count = -1
        if output.role is not Role.KEY:
            named = output.argument or f"#{place}"
            if output.function == "count" and output.distinct:
                alone = len(asked.about_persons) == 1
                some = _Rough(Measure.PERSONS, place, 0, 1, "1", output.argument)
                total = _place(parts, _CELL if alone else some)
            if (output.function == "count" and not output.distinct) or output.function == "avg":
                count = _place(parts, _Rough(Measure.ROWS, place, 0, 1, "1", named))
            if output.function in _SUMMED:
                low, high, unit = _bounds(asked, output) or (0, 1, "1")
                total = _place(parts, _Rough(Measure.TOTAL, place, low, high, unit, named))
            if output.function == "count" and not output.distinct:
                total, count = count, -1
        figures.append(NoisyFigure(total, count))
    return parts, tuple(figures)


def _place(parts: list[_Rough], wanted: _Rough) -> int:
    """Return where a part stands; the same number is summed and paid for once."""
    for place, part in enumerate(parts):
        if (part.measure, part.argument) == (wanted.measure, wanted.argument):
            return place
    parts.append(wanted)
    return len(parts) - 1


def _noised(part: _Rough, rho: Fraction, groups: int, privacy: Privacy) -> Part:
    """Return a part with the noise for its share of the price.

    A person changes at most `groups` cells, each by at most `largest`: the square of the L2 sensitivity is
    groups * largest^2, and the variance is that over twice the share of rho. The scale is rounded up.
    """
    rows = 1 if part.measure is Measure.PERSONS else privacy.most_rows
    low, high = min(part.low, 0) * rows, max(part.high, 0) * rows
    variance = groups * Fraction(max(-low, high)) ** 2 / (2 * rho)
    exact = (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt()
    scale = _UP.create_decimal(exact * Decimal("1.0000001"))
    return Part(part.measure, part.output, low, high, part.unit, format(scale, "f"))


def _threshold(persons: Part, floor: int, privacy: Privacy) -> int:
    """Return the noisy number of persons from which a cell appears whose key is not public.

    What a person alone can bring about is a cell of `floor` persons, and at most `most_groups` of them; each stays
    hidden but with a probability of delta / most_groups, by the bound exp(-t^2 / (2 * scale^2)) on the tail of a
    discrete Gaussian (Canonne, Kamath and Steinke 2020, corollary 17).
    """
    delta = 10.0**-privacy.delta_exponent
    reach = float(persons.scale) * math.sqrt(2 * math.log(privacy.most_groups / delta))
    return floor + math.ceil(reach * (1 + 1e-9))


def _bounds(asked: Asked, output: Output) -> tuple[int, int, str] | None:
    """Return the declared bounds of an output's column in whole units, and the unit; none if there are none."""
    column = asked.column(output.argument) if output.argument else None
    if column is None:
        return None
    try:
        low, high = Decimal(column.declared.low), Decimal(column.declared.high)
    except InvalidOperation:
        return None
    if not (low.is_finite() and high.is_finite() and low <= high) or not (low or high):
        return None
    finest = _finest(column.type)
    largest = max(abs(low), abs(high))
    step = math.ceil(math.log10(largest / FINEST)) if largest > 0 else 0
    exponent = step if finest is None else max(step, finest)
    unit = Decimal(10) ** exponent
    return math.floor(low / unit), math.ceil(high / unit), format(unit, "f")


def _finest(kind: str) -> int | None:
    """Return the exponent of ten of the finest step of a type, or none for a type that has no such step."""
    if _WHOLE.fullmatch(kind):
        return 0
    found = _DECIMAL.fullmatch(kind)
    return -int(found[1]) if found else None


def _lists(asked: Asked, cells: Cells) -> tuple[tuple[str, ...], ...]:
    """Return the public values of every key, or nothing if one of them has none."""
    found = []
    for output in cells.outputs:
        if output.role is not Role.KEY:
            continue
        column = asked.column(output.argument) if output.argument else None
        if column is None or not column.declared.values or not _LISTED.fullmatch(column.type):
            return ()
        found.append(_spelled(column))
    return tuple(found)


def _spelled(column: Column) -> tuple[str, ...]:
    values = column.declared.values
    if _WHOLE.fullmatch(column.type):
        values = tuple(str(int(value)) for value in values if re.fullmatch(r"-?\d{1,38}", value))
    if column.type == "BOOLEAN":
        values = tuple(value.lower() for value in values)
    return tuple(sorted(set(values)))


def _of_persons(output: Output) -> bool:
    return output.argument.rpartition(".")[2] == names.PERSON


def masked_columns(masks: Mapping[str, tuple[Mask, ...]]) -> frozenset[str]:
    """Return `relation.column` for every mask of every relation."""
    return frozenset(f"{relation}.{mask.column}" for relation, each in masks.items() for mask in each)
