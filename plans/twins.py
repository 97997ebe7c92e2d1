"""Twins of datasets: what is released is a *recipe*, from which anybody makes the same rows (`plans.twin_sql`).

A recipe names the columns, what their owner declared about them, and a seed. By default that is all, so nothing of the
data is in it but whether a column has missing values at all. Where the owner consents and pays for it from the
lineage's budget, it also has weights: noisy marginals of single columns, and of pairs along a tree. No row of the data
is ever in a recipe, and none can be: its values are declared ones, or points of a grid between declared bounds.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from enum import StrEnum
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.manifest import Kind, Manifest
from plans.record import Record
from plans.trial import MOST_ROWS, TWIN_ROWS, TwinColumn, TwinTable, twin_of, value_of
from plans.verdict import Finding

GRID = 512
"""Spans into which the declared bounds of a column are cut at the most."""

RECIPE, REPORT = "recipe.bin", "report.bin"
"""What the box leaves: the recipe, and what its owner alone may know about it."""

MILLION = 1_000_000

_WHOLE = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT)")
_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),(\d{1,2})\)")
_EXACT = Context(prec=100)
_FIRST_DAY = datetime.date(1970, 1, 1)
_FIRST_MOMENT = datetime.datetime.fromisoformat("1970-01-01 00:00:00")


class Making(StrEnum):
    """Of what a recipe is made: of what was declared alone, or of noisy marginals as well."""

    DECLARED = "declared"
    NOISED = "noised"


@dataclass(frozen=True, slots=True)
class Recipe(Record):
    """How the rows of a twin are made. `rho_micro` is what its weights cost, in millionths of rho (zCDP), 0 for none.

    The unit that the weights protect is one person with all rows (of data about nobody: one row).
    """

    KIND: ClassVar[str] = "recipe"

    dataset: str
    making: Making
    rho_micro: int
    table: TwinTable

    def check(self) -> None:
        if self.table.name != names.relation_of(self.dataset):
            raise Malformed("a recipe makes the table of its dataset", self.dataset)
        names.require("nonce", self.table.seed, "recipe.seed")
        weighted = any(column.given for column in self.table.columns)
        if (self.making is Making.NOISED) != (self.rho_micro > 0) or (weighted and not self.rho_micro):
            raise Malformed("weights come of noisy marginals, and these cost something", self.dataset)


@dataclass(frozen=True, slots=True)
class Imitation(Record):
    """What a box is asked to imitate: a dataset version, of it these columns and rows, for so much, with this seed.

    `columns` are those that the owner's policy allows any use of. `repeats`: persons may have several rows.
    """

    KIND: ClassVar[str] = "imitation"

    manifest: Manifest
    columns: tuple[str, ...]
    row_filter: str
    rho_micro: int
    seed: str
    repeats: bool

    def check(self) -> None:
        names.require("nonce", self.seed, "imitation.seed")
        shown = {column.name for column in self.manifest.columns if column.kind is not Kind.IDENTIFIER}
        if not set(self.columns) <= shown or self.rho_micro < 1:
            raise Malformed("what is imitated are columns that are no identifiers, at a price", "imitation")


@dataclass(frozen=True, slots=True)
class Twin(Record):
    """The release of a twin, signed by the owner's keeper: the recipe, for which version, and its verdict.

    `plan` is that of the box that made it and found it good; empty if nothing of the data went into it, since then
    there is nothing that a box would have to hide: the keeper judges it by the same rule (`reasons_against`).
    """

    KIND: ClassVar[str] = "twin"

    version: int
    manifest: str
    recipe: Recipe
    finding: Finding
    plan: str

    def check(self) -> None:
        names.require("digest", self.manifest, "twin.manifest")
        if self.plan:
            names.require("digest", self.plan, "twin.plan")
        if self.finding is not Finding.PASS or (self.recipe.making is Making.NOISED) != bool(self.plan):
            raise Malformed("a twin that leaves has passed, and a box has made its weights", "twin")


@dataclass(frozen=True, slots=True)
class ColumnDistance(Record):
    """How far a column's weights are from the data: total variation, in millionths."""

    name: str
    variation_micro: int


@dataclass(frozen=True, slots=True)
class Dependence(Record):
    """An edge of the tree: what `child` is depends on what `parent` is."""

    parent: str
    child: str


@dataclass(frozen=True, slots=True)
class TwinReport(Record):
    """What depends on the data and is told to the owner alone.

    `scale_marginals`, `scale_choices` and `scale_pairs` are the scales of the noise in thousandths of a person.
    `pairs` are the edges of the tree. `closer_micro` is the share of made rows, in millionths, whose closest
    record is among the persons that were used rather than among as many that were held out; near half a million says
    that a made row tells nothing about who was used. `tried` is how many rows were compared, 0 where too few persons
    were held out.
    """

    KIND: ClassVar[str] = "twin-report"

    recipe: str
    scale_marginals: int
    scale_choices: int
    scale_pairs: int
    columns: tuple[ColumnDistance, ...]
    pairs: tuple[Dependence, ...]
    closer_micro: int
    tried: int


def declared_recipe(manifest: Manifest, seed: str, repeats: bool, rows: int = TWIN_ROWS) -> Recipe:
    """Return the recipe that is made of what was declared alone."""
    table = replace(twin_of(manifest, rows=rows), seed=seed, repeats=repeats)
    return Recipe(manifest.dataset, Making.DECLARED, 0, table)


def fitted(recipe: Recipe, manifest: Manifest) -> Recipe:
    """Return a recipe for another version of its dataset: weights stay where column, type and declaration did.

    A column that changed is made of its declaration, and what depended on it loses its weights with it. Nothing is
    measured again, so nothing is paid again.
    """
    old = {column.name: column for column in recipe.table.columns}
    kept: dict[str, TwinColumn] = {}
    for step in recipe.table.order():
        for column in step:
            if not column.parent or column.parent in kept:
                kept[column.name] = column
    plain = twin_of(manifest, rows=recipe.table.rows).columns
    changed = {column.name for column in plain if column.name in kept and bare(old[column.name]) != column}
    gone = changed | (set(kept) - {column.name for column in plain})
    while below := {name for name, column in kept.items() if column.parent in gone} - gone:
        gone |= below
    columns = tuple(column if column.name in gone else kept.get(column.name, column) for column in plain)
    return replace(recipe, table=replace(recipe.table, columns=columns))


def bare(column: TwinColumn) -> TwinColumn:
    """Return a column without its weights."""
    return replace(column, spans=(), parent="", given=())


def reasons_against(recipe: Recipe, manifest: Manifest, allowed_micro: int) -> tuple[str, ...]:
    """Return what speaks against releasing a recipe for a version: nothing, if all of it is declared or paid for.

    The columns must be those of the declaration, value for value, and ends of spans points of the public grid: so no
    value that a person wrote, and no number that was counted, can stand in one.
    """
    found = []
    plain = twin_of(manifest, rows=recipe.table.rows).columns
    if recipe.dataset != manifest.dataset or tuple(map(bare, recipe.table.columns)) != plain:
        found.append("undeclared-value")
    if not all(_on_grid(column) for column in recipe.table.columns):
        found.append("undeclared-span")
    if recipe.rho_micro > allowed_micro:
        found.append("budget")
    return tuple(found)


def table_of(manifest: Manifest, twin: Twin | None, rows: int = TWIN_ROWS) -> TwinTable:
    """Return the table that a trial or a notebook makes up: by the recipe of this version if there is one.

    There is one for each version and number of rows, so that nobody can try another until one tells what they want.
    """
    if twin is None or twin.manifest != manifest.digest:
        return twin_of(manifest, rows=rows)
    return replace(twin.recipe.table, rows=min(rows, MOST_ROWS))


def narrowed(table: TwinTable, columns: tuple[str, ...]) -> TwinTable:
    """Return a table that shows the person token, if it has one, and these columns, with the values that they have
    beside the others.

    Raises:
        Malformed: one is not there.
    """
    token = tuple(column.name for column in table.columns if column.name == names.PERSON)
    return replace(table, shown=(*token, *columns))


def grid(column: TwinColumn) -> tuple[tuple[str, ...], ...]:
    """Return the spans, first and last value, into which the bounds of a column are cut: public, and the same for all.

    Whole numbers, decimals, dates and moments in seconds are cut between values; of a real number neighbouring spans
    share their end. Where the column has few values, each is a span.
    """
    if column.values or not column.low:
        return ()
    if column.type in ("DOUBLE", "FLOAT"):
        return _real_grid(column)
    low, high = axis(column.type, column.low, up=True), axis(column.type, column.high)
    if high < low:  # bounds with more digits than the type has
        return ((column.low, column.high),)
    steps = high - low + 1
    count = min(GRID, steps)
    firsts = [low - (-place * steps // count) for place in range(count + 1)]
    return tuple(
        (_text(column.type, firsts[place]), _text(column.type, firsts[place + 1] - 1))
        for place in range(count)
    )


def axis(kind: str, text: str, *, up: bool = False) -> int:
    """Return the whole number that stands for a value: steps of a decimal's last digit, days, seconds."""
    value = value_of(kind, text)
    if isinstance(value, datetime.datetime):
        return int((value - _FIRST_MOMENT).total_seconds())
    if isinstance(value, datetime.date):
        return (value - _FIRST_DAY).days
    if isinstance(value, Decimal):
        return int(
            _EXACT.scaleb(value, _scale(kind)).to_integral_value("ROUND_CEILING" if up else "ROUND_FLOOR")
        )
    return int(value)


def _on_grid(column: TwinColumn) -> bool:
    """Return whether the spans of a column are unions of neighbouring spans of its grid, in order."""
    if not column.spans:
        return True
    spans = grid(column)
    firsts = {span[0]: place for place, span in enumerate(spans)}
    lasts = {span[1]: place for place, span in enumerate(spans)}
    places = [(firsts.get(first, -1), lasts.get(last, -1)) for first, last in column.spans]
    ends = [-1, *(end for _, end in places)]
    return all(begin == ends[at] + 1 and end >= begin for at, (begin, end) in enumerate(places))


def _real_grid(column: TwinColumn) -> tuple[tuple[str, ...], ...]:
    low, high = Decimal(column.low), Decimal(column.high)
    width = _EXACT.divide(_EXACT.subtract(high, low), Decimal(GRID))
    inner = [_EXACT.add(low, _EXACT.multiply(width, Decimal(place))) for place in range(1, GRID)]
    ends = [column.low, *(f"{each.quantize(_DIGITS, context=_EXACT):f}" for each in inner), column.high]
    if sorted(set(ends), key=Decimal) != ends:  # too narrow for so many digits
        return ((column.low, column.high),)
    return tuple(zip(ends[:-1], ends[1:], strict=True))


_DIGITS = Decimal(1).scaleb(-12)


def _scale(kind: str) -> int:
    form = _DECIMAL.fullmatch(kind)
    return int(form[2]) if form else 0


def _text(kind: str, place: int) -> str:
    if kind == "DATE":
        return str(_FIRST_DAY + datetime.timedelta(days=place))
    if kind == "TIMESTAMP":
        return str(_FIRST_MOMENT + datetime.timedelta(seconds=place))
    if _WHOLE.fullmatch(kind):
        return str(place)
    return f"{_EXACT.scaleb(Decimal(place), -_scale(kind)):f}"
