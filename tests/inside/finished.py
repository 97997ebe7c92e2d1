"""Plans with a finish: a few tables of cells and a statement over what is left of them."""

from __future__ import annotations

from dataclasses import replace

from plans.box import Entry, Input
from plans.decision import Obligations
from plans.plan import Plan, Program
from plans.reading import Cells, Level, Output, Role
from policies import api as policies
from tests.plans import examples

REGION = Output("region", "VARCHAR", Role.KEY, "", 0)
COUNT = Output("n", "BIGINT", Role.FIGURE, "count", 0)
AVERAGE = Output("income", "DOUBLE", Role.FIGURE, "avg", 1)


def derived(*outputs: Output | tuple[str, str]) -> tuple[Output, ...]:
    """Outputs of a finish: of the same names and types, or as a name and a type."""
    pairs = [(each.name, each.type) if isinstance(each, Output) else each for each in outputs]
    return tuple(Output(name, kind, Role.DERIVED, "", 0) for name, kind in pairs)


def finished(
    tables: tuple[Cells, ...],
    finish: str,
    outputs: tuple[Output | tuple[str, str], ...],
    obligations: Obligations = examples.OBLIGATIONS,
) -> Plan:
    """A plan of five stages."""
    relations = (examples.RELATION,)
    program = Program(relations, Level.CELLS, tables, finish, derived(*outputs), (), None)
    decision = examples.PLAN.decision
    assert decision is not None
    stages = (
        *examples.PLAN.stages[:2],
        examples.box(Entry.PROTECT, Input(policies.TABLE, "")),
        examples.box(Entry.FINISH, Input(policies.PROTECTED, "")),
        examples.box(Entry.JUDGE, Input(policies.FINISHED, "")),
    )
    return replace(
        examples.PLAN, program=program, stages=stages, decision=replace(decision, obligations=obligations)
    )
