"""A statement about groups in place of one over rows: what an asker who may read no rows could ask instead.

Not every column can keep its place. Where a column was shown, ordered by or numbered in a window it becomes a key of
groups if the owner's rules allow that, else it stands inside an aggregate that they name. Conditions and joins stay
as they are. Whether the outcome is allowed is for `policies.decide` to say.
"""

from __future__ import annotations

from dataclasses import replace

from plans.reading import Cells, Clause, ColumnUse, Level, Output, Role
from policies.columns import Seat
from policies.constraints import Effective
from policies.decide import Case, supposed_asker

_LIKED = ("avg", "sum", "count", "stddev", "count_distinct")
"""Functions that a suggestion prefers, the first first."""

_OF_ROWS = (Clause.SELECT, Clause.ORDER, Clause.WINDOW)
"""What only a statement over rows does with a column."""


def by_groups(case: Case) -> Case:
    """Return the case with a statement about groups in place of one over rows: each column that was shown, ordered by
    or numbered in a window is a key of groups where the rules allow it, else inside an aggregate.
    """
    uses = dict.fromkeys(_figure(case, use) if use.clause in _OF_ROWS else use for use in case.reading.uses)
    outputs = (Output("persons", "BIGINT", Role.FIGURE, "count_distinct", 0),)
    reading = replace(
        case.reading,
        level=Level.CELLS,
        uses=tuple(uses),
        tables=(Cells(case.reading.counted, outputs, 1),),
        outputs=outputs,
        order=(),
        limit=None,
    )
    return replace(case, reading=reading)


def shown_by_groups(case: Case) -> str:
    """Return what `by_groups` shows, as SQL says it."""
    asked = by_groups(case)
    prefix = len(case.relations) > 1
    of = {use: f"{use.relation}.{use.column}" if prefix else use.column for use in asked.reading.uses}
    keys = [name for use, name in of.items() if use.clause is Clause.GROUP]
    figures = [f"{use.function}({name})" for use, name in of.items() if use.clause is Clause.AGGREGATE]
    grouped = f" … GROUP BY {', '.join(keys)}" if keys else " …"
    return ", ".join([*keys, *(figures or ["count(*)"])]) + grouped


def seat_of(case: Case, relation: str) -> Seat | None:
    """Return from where a relation's columns are judged; none without a current version or a policy."""
    manifest = case.manifest(relation)
    policy = case.bundle.policy(manifest.dataset) if manifest else None
    if manifest is None or policy is None:
        return None
    asker = supposed_asker(case, case.index, manifest.dataset)
    return Seat(manifest, policy, case.bundle, asker, case.manifests)


def liked(found: Effective) -> list[str]:
    """Return the functions that any rule names, the usual ones first."""
    functions = {name for one in found.allowed for name in one.functions}
    return sorted(functions, key=lambda name: (_LIKED.index(name) if name in _LIKED else len(_LIKED), name))


def _figure(case: Case, use: ColumnUse) -> ColumnUse:
    seat = seat_of(case, use.relation)
    found = seat.may(use.column) if seat else None
    if found is None or found.covering(Clause.GROUP):
        return replace(use, clause=Clause.GROUP, function="")
    functions = (name for name in liked(found) if found.covering(Clause.AGGREGATE, name))
    function = next(functions, "")
    return replace(use, clause=Clause.AGGREGATE if function else Clause.GROUP, function=function)
