"""What each person adds to each cell: the statement from which dominance, noise and fingerprints are computed.

It has the rows of the counted statement (`policies.reading.statement`), grouped by the keys of the table and by the
person, and yields for each group

* the keys, under the names of their outputs, and `_person`;
* `_rows_N` for every figure that is one aggregate, N its position among the outputs: how many rows of the person have
  a value there;
* `_sum_N` for every *total*: a sum, a mean and a deviation are computed from the sum of their argument, and here
  stands the person's part of it. Where an argument adds several things up, a known one of which would hide who
  dominates the others, each of its summands has a total too (`policies.reading.summands`): `_sum_N_2`, `_sum_N_3` …
  A figure that is computed from several aggregates has `_sum_N_1`, `_sum_N_2` … for these, and then for summands. A
  deviation has three totals more for each thing that is looked at: of itself, of its squares, and of its rows;
* `_set_0`: how many rows the person has in the cell;
* `_set_1`, `_set_2` …: how many of these are in each part of the cell that a figure tells apart
  (`policies.reading.persons`), last the parts of figures whose argument is computed. Beside the statement stands of
  each which plain columns alone tell it apart, by who lacks a value: nobody who asks has a hand in that.

Counts have no total, since a person adds no more to one than rows; nor have the order statistics (`min`, `median`, a
quantile), whose figure is one record's value or lies beside it: no share of it belongs to anybody, and a column's
owner decides whether they may be shown at all (`policies.constraints`).

Where the enterprises behind a figure are counted (`policies.reading.persons`), there is one such statement for each
column that names some, with the enterprise in the place of the person, the totals and the sets: of several persons or
rows of one enterprise none may be large, and all together may be.

Where one row is about several persons, a patient and a doctor, there is one such statement for each of them: whoever
dominates a figure does so as one or as the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plans.reading import Contributions
from plans.sets import Computed, named
from policies.reading.attempts import attempt, attempt_condition, attempt_figures
from policies.reading.grammar import INTEGERS, NUMERIC_AGGREGATES, TOTALS
from policies.reading.persons import distinct_people, parts_of
from policies.reading.sources import Scope
from policies.reading.summands import require_few, spreads, summands
from policies.reading.tree import Aggregate, Column, Constant, Expression, aggregates, columns
from policies.reading.writer import quoted, write, write_from

PERSON = "_person"


@dataclass(frozen=True, slots=True)
class Asked:
    """The table whose contributions are wanted: its rows, its keys, and its outputs with their names."""

    scope: Scope
    where: Expression | None
    keys: tuple[Expression, ...]
    outputs: tuple[Expression, ...]
    names: tuple[str, ...]


def contributions(asked: Asked, enterprises: tuple[Column, ...] = ()) -> Contributions:
    """Return the statement, once for each person that a row is about; every key of the table is one of its outputs.

    `enterprises` are the columns that name some, where they are counted.
    """
    people = distinct_people(asked.scope)
    outputs = tuple(map(attempt_figures, asked.outputs))
    measures = tuple(_totals(outputs))
    texts = [_statement(asked, outputs, measures, person) for person in people]
    return Contributions(
        statement=texts[0],
        figures=tuple(place for place, output in enumerate(outputs) if isinstance(output, Aggregate)),
        totals=tuple(each.place for each in measures),
        sets=len(_parts(outputs, people[0])),
        chosen=len(_written([each for each in outputs if not _plain(each)], people[0])),
        further=tuple(texts[1:]),
        crossed=asked.where is None
        and len(asked.keys) > 1
        and all(isinstance(key, Column) for key in asked.keys),
        enterprises=tuple(_statement(asked, outputs, measures, each, True) for each in enterprises),
        squares=tuple(number for number, each in enumerate(measures) if each.square),
        patterns=_patterns(asked, outputs, people[0]),
        computed=_computed(outputs, people[0]),
    )


@dataclass(frozen=True, slots=True)
class _Measure:
    """A total: the position of its output, the name of its column, its argument; whether it is one of squares."""

    place: int
    name: str
    argument: Expression
    square: bool = False


def _totals(outputs: tuple[Expression, ...]) -> Iterator[_Measure]:
    """Yield every total: of an output's own arguments first, then what is looked at beside them."""
    beside = 0
    for place, output in enumerate(outputs):
        found = [each for each in aggregates(output) if each.function in TOTALS]
        wholes = tuple(dict.fromkeys(each.argument for each in found if each.argument))
        further = tuple(dict.fromkeys(each for whole in wholes for each in summands(whole)))
        deviations = dict.fromkeys(each.argument for each in found if each.function == "stddev")
        spread = [each for whole in deviations if whole for each in spreads(whole)]
        require_few(beside := beside + len(further) + len(spread))
        listed = [(each, False) for each in (*wholes, *further)]
        listed += [(each, number == 1) for three in spread for number, each in enumerate(three)]
        for number, (argument, square) in enumerate(listed, 1):
            alone = isinstance(output, Aggregate) and number == 1
            yield _Measure(place, f"_sum_{place}" if alone else f"_sum_{place}_{number}", argument, square)


def _parts(outputs: tuple[Expression, ...], person: Column) -> list[str]:
    """Return every part of a cell that a figure tells apart, written with the person in its rows; each once.

    Those of figures whose argument is computed come last.
    """
    chosen = _written([each for each in outputs if not _plain(each)], person)
    return [*(text for text in _written(outputs, person) if text not in chosen), *chosen]


def _written(outputs: Sequence[Expression], person: Column) -> list[str]:
    written = [text for output in outputs for text in _texts(output, person)]
    return [text for text in dict.fromkeys(written) if text != write(person)]


def _texts(output: Expression, person: Column) -> list[str]:
    """Return every part that an output tells apart, the whole cell too, as it is written."""
    return [write(attempt(part(person))) for part in parts_of(output)]


def _patterns(asked: Asked, outputs: tuple[Expression, ...], person: Column) -> tuple[tuple[str, ...], ...]:
    """Return of the cell, and of each part in order, the plain columns that its figures rest on.

    A part of a figure whose argument is computed has none, nor has one of the right side of a LEFT JOIN: who has no row
    there is what the join's condition chooses.
    """
    optional = {source.alias for source in asked.scope.sources if source.optional}
    cell, parts = write(person), _parts(outputs, person)
    found = {text: set[str]() for text in (cell, *parts)}
    chosen: set[str] = set()
    for written, output in zip(asked.outputs, outputs, strict=True):
        plain = _plain(written) and not any(column.source in optional for column in columns(written))
        for aggregate in aggregates(output):
            named = _named(aggregate)
            for text in _texts(aggregate, person):
                found[text].update(named)
                chosen.update({text} - {cell} if not plain else ())
    return tuple(() if text in chosen else tuple(sorted(found[text])) for text in found)


def _computed(outputs: tuple[Expression, ...], person: Column) -> tuple[Computed, ...]:
    """Return of each figure whose argument is computed its sets and columns."""
    numbers = {text: number for number, text in enumerate((write(person), *_parts(outputs, person)))}
    found = []
    for output in outputs:
        if aggregates(output) and not _plain(output):
            read = {name for each in columns(output) for name in named(f"{each.relation}.{each.name}")}
            sets = {numbers[text] for text in _texts(output, person)}
            found.append(Computed(tuple(sorted(sets)), tuple(sorted(read))))
    return tuple(found)


def _named(aggregate: Aggregate) -> set[str]:
    """Return the columns of an aggregate as patterns name them."""
    numeric = aggregate.function in NUMERIC_AGGREGATES
    read = () if aggregate.argument is None else columns(aggregate.argument)
    return {
        named(f"{each.relation}.{each.name}")[numeric and INTEGERS.fullmatch(each.type) is not None]
        for each in read
    }


def _plain(output: Expression) -> bool:
    """Return whether all that an output aggregates are rows, constants and columns as they stand."""
    arguments = (each.argument for each in aggregates(output))
    return all(each is None or isinstance(each, Column | Constant) for each in arguments)


def _statement(
    asked: Asked,
    outputs: tuple[Expression, ...],
    measures: Sequence[_Measure],
    person: Column,
    enterprise: bool = False,
) -> str:
    keys = [
        f"{write(output)} AS {quoted(name)}"
        for output, name in zip(outputs, asked.names, strict=True)
        if not aggregates(output)
    ]
    rows = [
        f"count({'*' if output.argument is None else write(output.argument)}) AS {quoted(f'_rows_{place}')}"
        for place, output in enumerate(outputs)
        if isinstance(output, Aggregate)
    ]
    sums = [f"sum({write(each.argument)}) AS {quoted(each.name)}" for each in measures]
    sets = [
        f"count({text}) AS {quoted(f'_set_{n}')}"
        for n, text in enumerate((write(person), *_parts(outputs, person)))
    ]
    items = [*keys, f"{write(person)} AS {quoted(PERSON)}", *([] if enterprise else rows), *sums, *sets]
    text = f"SELECT {', '.join(items)} FROM {write_from(source.joined for source in asked.scope.sources)}"
    if asked.where is not None:
        text += f" WHERE {write(attempt_condition(asked.where))}"
    grouped = [*(write(attempt(key)) for key in asked.keys), write(person)]
    return f"{text} GROUP BY {', '.join(grouped)}"
