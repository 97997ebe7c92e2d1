"""What column constraints mean together."""

from __future__ import annotations

from collections.abc import Iterable

from plans.constraints import ANY, Constraint, Effect, Reveal, Use

_REVEALED = {Use.GROUP: Reveal.GROUPED, Use.AGGREGATE: Reveal.AGGREGATED, Use.SELECT: Reveal.PLAIN}


def short(column: str, words: Iterable[str]) -> Constraint:
    """Return the constraint that a list of words means: uses, and names of aggregates; for everybody, without end.

    The reveal is the least that makes sense of the uses.
    """
    words = tuple(words)
    uses = {Use(word) for word in words if word in set(Use)}
    functions = tuple(sorted(word for word in words if word not in set(Use)))
    if functions:
        uses.add(Use.AGGREGATE)
    reveal = max((_REVEALED.get(use, Reveal.NEVER) for use in uses), key=lambda each: each.level, default=Reveal.NEVER)
    everybody = ((ANY,), (ANY,), (ANY,))
    return Constraint(column, Effect.ALLOW, *everybody, 0, tuple(sorted(uses)), functions, reveal)
