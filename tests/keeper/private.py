"""A keeper's house whose lineage of incomes is in the mode `private`, with the requests that a member signs there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from plans.box import Entry
from plans.checks import Mode, Privacy
from plans.key import BoxKeys
from plans.manifest import Column, Declared, Kind
from plans.plan import Plan
from plans.reading import Cells, Contributions, Output, Reading, Role
from plans.release import KEYS_INFO
from plans.request import Request
from plans.statements import BoxStatement, Signed
from tests.keeper import house

PRIVACY = Privacy(rho_micro=2_000_000, period_days=30)
SPEND = 250_000
"""Four of these are the half of the budget that one member may spend."""

ANOTHER = "gao@nm/uni"
"""Another member, with the same grant."""

POLICY = replace(house.INCOME_POLICY, mode=Mode.PRIVATE, privacy=PRIVACY)
DECLARED = {"region": Declared(values=("east", "west")), "income": Declared("0", "100000")}
OUTPUTS = (
    Output("region", "VARCHAR", Role.KEY, "", 0, ("tax.income.region",), "tax.income.region"),
    Output("count", "BIGINT", Role.FIGURE, "count", 0),
    Output("avg", "DOUBLE", Role.FIGURE, "avg", 0, ("tax.income.income",), "tax.income.income"),
)
CONTRIBUTIONS = Contributions(
    "SELECT region, person AS _person, count(*) AS _rows_1, count(income) AS _rows_2, sum(income) AS _sum_2"
    " FROM tax.income GROUP BY region, person",
    (1, 2),
)
TABLE = Cells(house.COUNTED, OUTPUTS, 1, CONTRIBUTIONS, alone=True)
READING: Reading = replace(house.READING, tables=(TABLE,), outputs=OUTPUTS)


def declared(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns with what their owner declared."""
    return tuple(
        column
        if column.kind is Kind.IDENTIFIER
        else replace(column, declared=DECLARED.get(column.name, Declared()))
        for column in columns
    )


def manifest(version: int = 1) -> Any:
    """A version of the lineage."""
    return replace(house.manifest(version=version), columns=declared(house.manifest().columns))


def statements() -> tuple[Signed, ...]:
    """What the keeper of such a house believes."""
    return (
        house.roster(),
        house.bundle(policy=(POLICY, house.PROPERTY_POLICY)),
        house.signed_manifest(manifest()),
        house.signed_manifest(house.manifest(house.PROPERTY)),
        *(
            house.grant(
                replace(house.GRANT, uses=1_000, member=member), not_after=house.NOW + 100 * house.DAY
            )
            for member in (house.MEMBER, ANOTHER)
        ),
    )


def settings(folder: Path) -> KeeperConfig:
    """Settings whose folders and keyring are there."""
    made = house.config(folder)
    house.build(made)
    return made


def start(made: KeeperConfig, clock: house.Clock | None = None) -> Keeper:
    """The keeper of these settings, as after a boot."""
    return house.start(made, clock, house.Checker(READING))


def request(number: int, spend_micro: int = SPEND, **changes: Any) -> Request:
    """The same question, asked anew, for a price."""
    return replace(house.another_request(number), spend_micro=spend_micro, **changes)


def plan(keeper: Keeper, number: int, spend_micro: int = SPEND, **changes: Any) -> Plan:
    """The plan of the request of this number."""
    return house.plan(keeper.trusted, request(number, spend_micro, **changes), READING)


def unwrap(keeper: Keeper, about: Plan, stage: Entry = Entry.QUERY, **changes: Any) -> BoxKeys:
    """The keys that an honest box of a stage opens."""
    statement = house.box(about, keeper.challenge(about.digest), stage, **changes)
    sealed = keeper.unwrap(statement, about)
    body = BoxStatement.read(statement.statement.body)
    return BoxKeys.decode(
        house.opening("box").open(bytes.fromhex(sealed.sealed), KEYS_INFO, body.canonical())
    )
