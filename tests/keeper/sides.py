"""An owner's keeper, and honest plans and boxes that ask it for keys."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from plans.box import Entry
from plans.checks import Checks
from plans.key import BoxKeys
from plans.plan import Plan
from plans.reading import Output, Reading, Role
from plans.release import KEYS_INFO
from plans.request import statement_digest
from plans.statements import BoxStatement
from tests.keeper import house
from tests.keeper.people import People, lay

PEOPLE = People(90)
MANY_CELLS = Checks(unsafe_exact_cells=True)
"""More answers than 90 persons allow: what is asked here is not how many."""
FIGURE = Output("avg", "DOUBLE", Role.FIGURE, "avg", 0, ("tax.income.income",))
OUTPUTS = (house.OUTPUTS[0], house.OUTPUTS[1], FIGURE)
READING = house.with_table(house.READING, outputs=OUTPUTS)


def some(first: int, after: int) -> frozenset[int]:
    return frozenset(range(first, after))


@dataclass
class Side:
    """An owner's keeper, and statements that members ask of it."""

    settings: KeeperConfig
    keeper: Keeper
    readings: dict[str, Reading]
    clock: house.Clock

    @classmethod
    def make(cls, settings: KeeperConfig, checks: Checks = MANY_CELLS, **grant: Any) -> Side:
        house.build(settings)
        made = cls(settings, None, {}, house.Clock())  # type: ignore[arg-type]
        made.restart()
        policy = replace(house.INCOME_POLICY, checks=checks)
        given = house.grant(replace(house.GRANT, uses=100, **grant))
        house.believe(
            made.keeper, house.roster(), house.bundle(policy=(policy,)), house.signed_manifest(), given
        )
        return made

    def restart(self) -> None:
        checker = house.Checker(house.READING)
        checker.findings = self.readings
        self.keeper = None  # type: ignore[assignment]
        self.keeper = house.start(self.settings, self.clock, checker)

    def plan(self, text: str, number: int = 0, reading: Reading = READING) -> Plan:
        """The plan of a statement, which an honest centre makes; `number` tells requests of the same text apart."""
        read = replace(reading, statement=statement_digest(text))
        read = house.with_table(read, counted=f"{house.COUNTED} -- {text}")
        self.readings[read.statement] = read
        nonce = f"{len(self.readings) * 1000 + number:032x}"
        return house.plan(self.keeper.trusted, replace(house.REQUEST, statement=text, nonce=nonce), read)

    def given(self, plan: Plan, stage: Entry, attempt: int = 1) -> BoxKeys:
        """The keys that an honest box of a stage opens."""
        statement = house.box(plan, self.keeper.challenge(plan.digest), stage, attempt=attempt)
        sealed = self.keeper.unwrap(statement, plan)
        body = BoxStatement.read(statement.statement.body)
        return BoxKeys.decode(
            house.opening("box").open(bytes.fromhex(sealed.sealed), KEYS_INFO, body.canonical())
        )

    def answer(self, plan: Plan, *tables: Any, attempt: int = 1) -> tuple[tuple[int, ...], ...]:
        """Run a plan's boxes with these sets; return the rows that the judge keeps back."""
        self.given(plan, Entry.QUERY, attempt)
        lay(self.keeper, plan, *tables, attempt=attempt)
        return self.given(plan, Entry.JUDGE, attempt).withheld
