"""The query box in the mode `private`: what it hands over are bounded sums, and no exact figure.

It runs the guard's statement of what each person adds (`Cells.contributions`), and holds it within the bounds of the
program, whatever the statement yields:

* a person counts in at most `most_groups` cells, chosen by a hash under a key of the plan: by nothing in the data but
  the person's own cells;
* a person's rows in a cell count up to `most_rows`, and their values enter with the person's mean, held within the
  declared bounds, times these rows. What is added up over persons are whole numbers of units, so no sum is rounded;
* keys with public values keep these values alone, before cells are chosen.

So the numbers that are handed over change by no more than the bounds when one person comes or goes, and the judging
box adds noise to each (`inside.noise`). A cell of fewer persons than the program's `floor` is not handed over where
keys are found in the data; the threshold is made for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from airlock.private import keys_of
from inside.quoting import identifier, literal
from inside.table import Bare, Form
from plans.errors import Malformed
from plans.plan import Program
from plans.private import LONGEST_KEY, Measure, Part, Private
from plans.reading import Output, Role

PERSON = "_person"


def forms(program: Program) -> Sequence[Form]:
    """Return the forms of what the query box hands over: bounded sums, or in the mode `rules` the program's tables."""
    return program.tables if program.private is None else (form(program),)


def form(program: Program) -> Bare:
    """Return what the boxes hand over: the keys, then one whole number for each part."""
    numbers = tuple(
        Output(f"_part_{place}", "HUGEINT", Role.FIGURE, "", 0)
        for place in range(len(_private(program).parts))
    )
    return Bare((*keys_of(program), *numbers))


def statement(program: Program, secret: str) -> str:
    """Return the statement that finds the bounded sums; `secret` (hex) keys the choice of cells.

    Raises:
        Malformed: the program is not private, or has no statement of what each person adds.
    """
    private = _private(program)
    (cells,) = program.tables
    if cells.contributions is None or cells.contributions.further:
        raise Malformed("nothing says what each person adds to this table", "program.private")
    keys = keys_of(program)
    named = [f"_key_{place}" for place in range(len(keys))]
    shown = [f"{_cut(output)} AS {name}" for output, name in zip(keys, named, strict=True)]
    sums = [f"sum({column}) AS {column}" for column in _columns(private)]
    rows = ", ".join([*shown, PERSON, *sums])
    by_person = ", ".join([*named, PERSON])
    inner = (
        f"SELECT {rows} FROM ({cells.contributions.statement}) AS found"
        f" WHERE {PERSON} IS NOT NULL{_listed(keys, private)} GROUP BY {by_person}"
    )
    few = f"SELECT * FROM ({inner}) AS bounded" + (_chosen(named, private, secret) if keys else "")
    parts = ", ".join(f"sum({_held(part, private)}) AS _part_{n}" for n, part in enumerate(private.parts))
    text = f"SELECT {', '.join([*named, parts])} FROM ({few}) AS few"
    if keys:
        text += f" GROUP BY {', '.join(named)} HAVING count(*) >= {max(private.floor, 1)}"
    else:
        text += " HAVING count(*) >= 1"
    return text


# --- pieces of the statement -----------------------------------------------------


def _private(program: Program) -> Private:
    if program.private is None:
        raise Malformed("this program is not private", "program.private")
    return program.private


def _columns(private: Private) -> list[str]:
    """Return the columns of what each person adds that the parts read, each once."""
    found = []
    for part in private.parts:
        if part.output >= 0:
            found.append(f"_rows_{part.output}")
        if part.measure is Measure.TOTAL:
            found.append(f"_sum_{part.output}")
    return list(dict.fromkeys(found))


def _cut(output: Output) -> str:
    """Return a key as cells are made of it: a text is cut, so that what is handed over has bounds."""
    name = identifier(output.name)
    return f"left({name}, {LONGEST_KEY})" if output.type == "VARCHAR" else name


def _listed(keys: tuple[Output, ...], private: Private) -> str:
    return "".join(
        f" AND CAST({_cut(output)} AS VARCHAR) IN ({', '.join(map(literal, values))})"
        for output, values in zip(keys, private.lists, strict=False)
    )


def _chosen(named: list[str], private: Private, secret: str) -> str:
    """Return the condition under which a person's cells are among the chosen ones."""
    parts = [f"coalesce(CAST({name} AS VARCHAR), '')" for name in named]
    text = " || ':' || ".join([literal(bytes.fromhex(secret).hex()), f"CAST({PERSON} AS VARCHAR)", *parts])
    return (
        f" QUALIFY row_number() OVER (PARTITION BY {PERSON} ORDER BY sha256({text}))"
        f" <= {int(private.most_groups)}"
    )


def _held(part: Part, private: Private) -> str:
    """Return what a person adds to a number, held within the part's bounds, as a whole number of units."""
    if part.measure is Measure.PERSONS:
        return "1" if part.output < 0 else f"CASE WHEN _rows_{part.output} > 0 THEN 1 ELSE 0 END"
    rows = f"least(_rows_{part.output}, {private.most_rows})"
    if part.measure is Measure.ROWS:
        return f"CAST(greatest({rows}, 0) AS BIGINT)"
    low, high = (Decimal(bound) / private.most_rows for bound in (part.low, part.high))
    mean = f"CAST(_sum_{part.output} AS DOUBLE) / _rows_{part.output} / CAST('{part.unit}' AS DOUBLE)"
    within = f"least(greatest({mean}, CAST('{low}' AS DOUBLE)), CAST('{high}' AS DOUBLE))"
    value = f"greatest(least(TRY_CAST(round({within} * {rows}) AS BIGINT), {part.high}), {part.low})"
    return f"CASE WHEN _rows_{part.output} > 0 THEN coalesce({value}, 0) ELSE 0 END"
