"""Plans that say less than their statement does, or demand less (ATTACKS 78), at the owner whose rules hide something.

The owner's side is the one that the keeper runs before it gives a key: `keeper.rederive`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.rederive import House, require_same
from keeper.trust import TrustedSet
from plans.constraints import ANY, Constraint, Effect, Mask, MaskKind, Reveal, Use
from plans.decision import Decision, Tier
from plans.errors import RederivationMismatch
from plans.plan import Plan, Program
from plans.statements import DatasetPolicy
from policies.api import short
from tests.attacks.test_policies import PEOPLE, rules
from tests.keeper import house
from tests.spec.town import Town

GRANT = house.grant()
MASKED = replace(
    house.INCOME_POLICY,
    constraints=(
        Constraint(
            "income", Effect.ALLOW, (ANY,), (ANY,), (ANY,), 0, (Use.AGGREGATE,), ("avg",), Reveal.MASKED,
            mask=Mask("income", MaskKind.BUCKET, "1000"),
        ),
        short("region", ("filter", "group")),
    ),
    minimum_group=20, rounding=10, largest_result=100, tier=Tier.T2,
)  # fmt: skip


def believing(policy: DatasetPolicy) -> TrustedSet:
    """The owner's trusted set, with this policy for incomes in force under the number 2."""
    return house.trusted(*house.house_statements(GRANT), house.bundle(2, (policy,)))


def derive(plan: Plan) -> Decision:
    """What the owner's keeper does before it gives a key: it finds everything again, and compares bytes."""
    here = House((house.IMAGE,), house.LIMITS)
    return require_same(plan, house.READING, believing(MASKED), here, house.NOW)[0]


def of_relation(**changes: Any) -> Callable[[Program], Program]:
    return lambda program: replace(program, relations=(replace(program.relations[0], **changes),))


def counted_otherwise(old: str, new: str) -> Callable[[Program], Program]:
    def forge(program: Program) -> Program:
        assert old in program.tables[0].counted
        return replace(
            program,
            tables=(replace(program.tables[0], counted=program.tables[0].counted.replace(old, new)),),
        )

    return forge


FORGED: dict[str, Callable[[Program], Program]] = {
    "the owner's filter is gone": of_relation(row_filter=""),
    "another filter": of_relation(row_filter="region <> 'none'"),
    "the mask is gone": of_relation(masks=()),
    "a finer mask": of_relation(masks=(Mask("income", MaskKind.BUCKET, "1"),)),
    "another column": of_relation(columns=("income", "region", "year")),
    "another statement": counted_otherwise("avg", "sum"),
    "persons are not counted": counted_otherwise("count(DISTINCT", "count("),
    "a larger limit": lambda program: replace(program, limit=10**6),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_78_a_forged_program_is_not_the_one_that_the_owner_derives(
    forge: Callable[[Program], Program],
) -> None:
    honest = house.plan(believing(MASKED))
    assert honest.program is not None
    with pytest.raises(RederivationMismatch, match="query"):
        derive(replace(honest, program=forge(honest.program)))


def test_78_control_the_owner_derives_the_same_program_again() -> None:
    honest = house.plan(believing(MASKED))
    assert honest.program is not None
    relation = honest.program.relations[0]
    assert relation.masks == (Mask("income", MaskKind.BUCKET, "1000"),) and relation.row_filter
    assert derive(honest) == honest.decision


WEAKER: dict[str, dict[str, Any]] = {
    "smaller groups": {"minimum_group": 1},
    "finer rounding": {"rounding": 1},
    "larger results": {"largest_result": 10**6},
    "weaker isolation": {"tier": Tier.T1},
}


@pytest.mark.parametrize("changes", WEAKER.values(), ids=WEAKER.keys())
def test_78_obligations_that_were_left_out_are_another_decision(changes: dict[str, Any]) -> None:
    """The centre decides by a weaker policy with the same number; the owner's own decision differs in its bytes."""
    lying = house.plan(believing(replace(MASKED, **changes)))
    with pytest.raises(RederivationMismatch, match="decision"):
        derive(lying)


STRICT = """
["nm/tax/income"]
minimum_group = 10
rounding = 1
row_filter = "year >= 2020"

["nm/tax/income".columns]
region = ["group"]
income = ["avg"]

[["nm/tax/income".columns.age]]
parties = ["any"]
roles = ["any"]
purposes = ["any"]
uses = ["group"]
mask = "bucket 10"
"""


def test_78_columns_that_the_statement_uses_are_found_in_the_statement(tmp_path: Path) -> None:
    """A grant on the region does not serve a statement about incomes, whatever anybody says that it reads."""
    town = Town(tmp_path, {"tax.income": PEOPLE}, STRICT, columns=("region",))
    case = town.case("select region, avg(income) as m from tax.income group by region")
    assert rules(case) == {"grant-columns"}
    claimed = replace(case, reading=town.read("select region, count(*) as n from tax.income group by region"))
    assert rules(claimed) == set()
    assert claimed.reading.statement != case.request.statement_digest == case.reading.statement
