"""Whether every row that leaves met a row of another relation, told from the form of the statement alone.

An owner can show values *after a join*: only of persons, or things, that the other relation holds too. Most ways
to join let rows pass that met nothing: outer joins, set operations, subqueries, a second mention of the relation
without a condition, an ON that compares a column with itself. So one form is read, and nothing else:

    SELECT … FROM schema.a [AS x] [INNER] JOIN schema.b [AS y] USING (columns) [WHERE …] …

with one SELECT and one FROM in the whole text. It is judged by its words, a word in a comment or a constant
included: that refuses a few statements too many, and none too few. To meet a row of reference data is to meet
nobody: a table of all codes would let every row pass.
"""

from __future__ import annotations

import re

from plans.reading import Clause, Reading

_WORD = re.compile(r"[A-Za-z_]+")
_ONCE = ("select", "from", "join")
_NEVER = {
    "left", "right", "full", "outer", "semi", "anti", "cross", "positional", "asof", "natural", "lateral",
    "union", "except", "intersect", "with", "table", "values", "pivot", "unpivot",
}  # fmt: skip
_SOURCE = r"(\w+\s*\.\s*\w+)(?:\s+as\s+\w+|\s+(?!as\b|inner\b|join\b|using\b)\w+)?"
_END = r"(?=\Z|;|where\b|group\b|having\b|qualify\b|window\b|order\b|limit\b)"
_FROM = re.compile(
    rf"\bfrom\s+{_SOURCE}\s+(?:inner\s+)?join\s+{_SOURCE}\s+using\s*\(\s*\w+(?:\s*,\s*\w+)*\s*\)\s*{_END}",
    re.IGNORECASE | re.ASCII,
)


def met_another(reading: Reading, relation: str, references: frozenset[str] = frozenset()) -> bool:
    """Return whether each row of the answer joins a row of `relation` with one of another relation.

    `references` are the relations about no persons, which count as none.
    """
    joins = {use.relation for use in reading.uses if use.clause is Clause.JOIN}
    if relation not in joins or len(joins) != 2 or len(reading.tables) != 1:
        return False
    if joins - {relation} <= references:
        return False
    text = reading.tables[0].counted
    words = [word.lower() for word in _WORD.findall(text)]
    found = _FROM.search(text)
    if found is None or not all(words.count(word) == 1 for word in _ONCE) or not _NEVER.isdisjoint(words):
        return False
    return {re.sub(r"\s", "", source).lower() for source in found.groups()} == joins
