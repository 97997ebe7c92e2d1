"""Columns in bins, for the marginals of a twin (`inside.twins`): which bin a value is in, and what bins become.

Bins come from what was declared, never from values: a bin for each category, spans of a public grid between declared
bounds, or one for all values where nothing was declared; and always one more, the last, for missing. A value outside
of what was declared, which an ingest refuses, counts at the nearest end, or as missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from inside.engine import identifier, literal
from plans import names
from plans.manifest import Declared
from plans.trial import WHOLE, TwinColumn, TwinTable
from plans.twins import axis, grid

MOST_SPANS = 16
"""Spans of a column with bounds, after neighbours of the fine grid were joined."""


@dataclass(frozen=True, slots=True)
class Model:
    """A column in bins; `fine` before, `bins` after spans were joined, missing left out.

    `kept` says for every fine bin, missing included, which bin it became.
    """

    column: TwinColumn
    fine: int
    kept: tuple[int, ...]

    @property
    def bins(self) -> int:
        """How many bins there are, missing left out."""
        return self.kept[-1]

    def binned(self) -> str:
        """Return the SQL of the fine bin of the column's value."""
        value = identifier(self.column.name)
        found = f"0 + 0 * ({value} IS NULL)::INT"
        if self.column.values and self.fine > 1:
            listed = ", ".join(f"CAST({literal(each)} AS {self.column.type})" for each in self.column.values)
            found = f"nullif(list_position([{listed}], {value}), 0) - 1"
        elif self.fine > 1:
            found = f"greatest(0, least({self.fine - 1}, {self._place(value)}))"
        return f"CAST(CASE WHEN {value} IS NULL THEN {self.fine} ELSE coalesce({found}, {self.fine}) END AS USMALLINT)"

    def _place(self, value: str) -> str:
        """Return the SQL of the grid's span in which a value lies."""
        kind, low, high = self.column.type, self.column.low, self.column.high
        if kind in ("DOUBLE", "FLOAT") or kind.startswith("DECIMAL"):
            share = f"({value}::DOUBLE - {float(low)!r}) / {float(high) - float(low)!r} * {self.fine}"
            return (
                f"CASE WHEN isfinite({share}) THEN floor(greatest(-1, least({self.fine}, {share})))::INT END"
            )
        first, last = axis(kind, low), axis(kind, high)
        whole = {
            "DATE": f"({value} - DATE '1970-01-01')",
            "TIMESTAMP": f"floor(epoch({value}))",
        }.get(kind, value)
        above = f"(greatest({first}, least({last}, {whole}::HUGEINT)) - {first})"
        return f"({above} * {self.fine} // {last - first + 1})"

    def folded(self, counts: list[int]) -> list[int]:
        """Return counts by bin of counts by fine bin."""
        found = [0] * (self.bins + 1)
        for place, count in zip(self.kept, counts, strict=True):
            found[place] += count
        return found

    def refolded(self, pick: str) -> str:
        """Return the SQL of the bin of a choice: they are the same, but where nothing was declared."""
        if self.bins == self.column.choices:
            return pick
        return f"CASE WHEN {pick} = {self.column.choices} THEN 1 ELSE 0 END"

    def unfolded(self, rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Return a row for each choice of one for each bin."""
        if self.bins == self.column.choices:
            return rows
        return [rows[0]] * self.column.choices + [rows[1]]


def models_of(table: TwinTable, allowed: tuple[str, ...]) -> list[Model]:
    """Return the columns of a twin that may be used, in fine bins."""
    found = []
    for column in table.columns:
        if column.name in allowed and column.name != names.PERSON:
            fine = len(column.values) or len(grid(column))
            found.append(Model(column, fine, tuple(range(fine + 1))))
    return found


def alone(models: list[Model], declared: dict[str, Declared]) -> list[Model]:
    """Return the models, with one bin where nothing was declared: of such a column only what is missing is counted."""
    return [
        model
        if _is_declared(model.column, declared[model.column.name])
        else replace(model, fine=1, kept=(0, 1))
        for model in models
    ]


def coarse(models: list[Model], noisy: list[list[int]]) -> list[Model]:
    """Return the models with spans joined so that each has about as many persons, by the noisy counts alone."""
    return [_joined(model, counts) for model, counts in zip(models, noisy, strict=True)]


def spread(model: Model, counts: list[int]) -> list[int]:
    """Return weights by choice of counts by bin: what nothing is known about is equally likely."""
    *present, missing = (max(count, 0) for count in counts)
    if model.bins != model.column.choices:
        missing *= model.column.choices
        present = present * model.column.choices
    return [*present, missing if model.column.nulls else 0]


def normalised(weights: list[int]) -> tuple[int, ...]:
    """Return whole weights in the same proportions that add up to `WHOLE`; by largest remainder."""
    total = sum(weights)
    if total == 0:
        weights = [1] * (len(weights) - 1) + [0]
        total = len(weights) - 1
    parts = [divmod(weight * WHOLE, total) for weight in weights]
    short = WHOLE - sum(whole for whole, _ in parts)
    order = sorted(range(len(parts)), key=lambda place: (-parts[place][1], place))
    more = set(order[:short])
    return tuple(whole + (place in more) for place, (whole, _) in enumerate(parts))


def _is_declared(column: TwinColumn, declared: Declared) -> bool:
    """Return whether the values' bins were declared: categories, or both bounds; a boolean has its two values."""
    return bool(declared.values) or column.type == "BOOLEAN" or bool(declared.low and declared.high)


def _joined(model: Model, counts: list[int]) -> Model:
    """Join neighbouring spans of one column, from the lowest up."""
    if model.column.values or model.fine == 1:
        return model
    weights = [max(count, 0) for count in counts[: model.fine]]
    share = max(sum(weights), 1) / MOST_SPANS
    kept, bins, filled, left = [], 0, 0.0, MOST_SPANS
    for place, weight in enumerate(weights):
        if place and filled >= share and bins < left - 1:
            bins, filled = bins + 1, 0.0
        kept.append(bins)
        filled += weight
    spans = grid(model.column)
    ends = [(kept.index(each), len(kept) - 1 - kept[::-1].index(each)) for each in range(bins + 1)]
    joined = tuple((spans[first][0], spans[last][1]) for first, last in ends)
    if bins == 0:
        return replace(model, kept=(*kept, 1))
    even = normalised([1] * len(joined) + [0])
    return replace(model, column=replace(model.column, spans=joined, given=(even,)), kept=(*kept, bins + 1))
