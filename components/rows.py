"""A table of a task, as components see it: its columns as arrays, and for every row whose it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.errors import NoFit
from plans import names
from plans.errors import Malformed
from plans.handover import OWN_SIGNS
from plans.sets import several


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, and their persons.

    Members:
        who: for each row the number of its person, from 0; a row without a person is not there.
        signs: for each person 64 bits.
        relation: whose rows they are; empty where nobody says.
    """

    table: pa.Table
    who: np.ndarray
    signs: np.ndarray
    relation: str = ""
    _several: dict[tuple[int, int], np.uint64] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pa.Table, relation: str = "") -> Rows:
        """Return the rows of an Arrow table with the columns `person` and `_signs`.

        Raises:
            Malformed: it is a table about no persons.
        """
        if not {names.PERSON, OWN_SIGNS} <= set(table.column_names):
            raise Malformed("components work on tables about persons", "task.needs")
        table = table.filter(pc.is_valid(table.column(names.PERSON)))
        tokens = table.column(names.PERSON).combine_chunks().dictionary_encode()
        who = tokens.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        signs = np.zeros(len(tokens.dictionary), np.uint64)
        signs[who] = table.column(OWN_SIGNS).to_numpy().astype(np.uint64)
        return cls(table, who, signs, relation)

    def __len__(self) -> int:
        return len(self.who)

    @property
    def persons(self) -> int:
        """How many persons there are."""
        return len(self.signs)

    def where(self, chosen: np.ndarray) -> Rows:
        """Return some of the rows, by a mask, and their persons."""
        table, who = self.table.filter(pa.array(chosen)), self.who[chosen]
        left, renumbered = np.unique(who, return_inverse=True)
        return Rows(table, renumbered, self.signs[left], self.relation)

    def weighted(self, persons: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the signs of persons with so many rows each: those of the person for one (`plans.sets.several`)."""
        found: np.ndarray = self.signs[persons]
        for place in np.flatnonzero(counts > 1):
            key = int(persons[place]), int(counts[place])
            if key not in self._several:
                self._several[key] = np.uint64(several(int(found[place]), key[1]))
            found[place] = self._several[key]
        return found

    def numbers(self, column: str) -> np.ndarray:
        """Return a column as floating-point numbers; what is missing or not finite is NaN, truths are 0 and 1.

        Raises:
            Malformed: it is no column of numbers or truths.
        """
        values = self._column(column)
        kind = values.type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            if not pa.types.is_boolean(kind):
                raise Malformed("a column of numbers is needed here", column)
            values = values.cast(pa.int8())
        found = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.where(np.isfinite(found), found, np.nan)

    def matrix(self, columns: tuple[str, ...]) -> np.ndarray:
        """Return several columns as numbers, rows by columns."""
        return np.column_stack([self.numbers(column) for column in columns])

    def keys(self, column: str) -> pa.ChunkedArray:
        """Return a column as texts: days as `YYYY-MM-DD`, truths as `true` and `false`.

        Raises:
            Malformed: it has a type that is never a key.
        """
        values = self._column(column)
        if pa.types.is_floating(values.type) or pa.types.is_nested(values.type):
            raise Malformed("a column of words, whole numbers, days or truths is needed here", column)
        return values.cast(pa.string())

    def words(self, column: str) -> np.ndarray:
        """Return a column of keys as objects, with None where there is no value; raises as `keys`."""
        return np.asarray(self.keys(column).to_pylist(), dtype=object)

    def raw(self, column: str) -> list[Any]:
        """Return a column's values as Python has them."""
        return list(self._column(column).to_pylist())

    def _column(self, column: str) -> pa.ChunkedArray:
        if column not in self.table.column_names:
            raise Malformed("the task has no such column", column)
        values = self.table.column(column)
        return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def complete(rows: Rows, columns: tuple[str, ...], words: tuple[str, ...] = ()) -> Rows:
    """Return the rows in which no such column is missing: numbers in `columns`, keys in `words`.

    Raises:
        NoFit: none is left.
    """
    chosen = np.ones(len(rows), bool)
    for column in columns:
        chosen &= ~np.isnan(rows.numbers(column))
    for column in words:
        chosen &= rows.keys(column).is_valid().to_numpy()
    if not chosen.any():
        raise NoFit
    return rows.where(chosen)


def levels(rows: Rows, column: str) -> tuple[np.ndarray, list[str]]:
    """Return for each row the place of its key in the sorted list of all keys, -1 where it has none, and that list."""
    encoded = rows.keys(column).combine_chunks().dictionary_encode()
    found = encoded.dictionary.to_pylist()
    order = sorted(range(len(found)), key=found.__getitem__)
    ranks = np.empty(len(found) + 1, np.int64)
    ranks[order], ranks[-1] = np.arange(len(found)), -1
    places = encoded.indices.fill_null(len(found)).to_numpy(zero_copy_only=False)
    return ranks[places], [found[place] for place in order]
