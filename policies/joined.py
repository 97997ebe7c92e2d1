"""Whether every row that leaves met a row of another relation, told from the form of the statement alone.

An owner can show values *after a join*: only of persons, or things, that the other relation holds too. Outer
joins, set operations, subqueries and `WITH` let rows pass that met nothing, so a statement that shows such values
is one SELECT with one FROM and inner joins only. The text is judged by its words, a word in a comment or a
constant included: that refuses a few statements too many, and none too few, for these constructs cannot be
written without their words.
"""

from __future__ import annotations

import re

from plans.reading import Clause, Reading

_WORD = re.compile(r"[A-Za-z_]+")
_ONCE = ("select", "from")
_NEVER = {
    "left", "right", "full", "outer", "anti", "cross", "positional", "asof", "natural", "lateral",
    "union", "except", "intersect", "with", "table", "values", "pivot", "unpivot",
}  # fmt: skip


def met_another(reading: Reading, relation: str) -> bool:
    """Return whether each row of the answer joins a row of `relation` with one of another relation."""
    joins = {use.relation for use in reading.uses if use.clause is Clause.JOIN}
    if relation not in joins or len(joins) < 2:
        return False
    words = [word.lower() for table in reading.tables for word in _WORD.findall(table.counted)]
    return all(words.count(word) == 1 for word in _ONCE) and _NEVER.isdisjoint(words)
