"""Made-up persons with secret signs, their sets as a counting box leaves them, and a ledger that survives restarts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from keeper.keeper import Keeper
from keeper.keyring import Keyring
from keeper.ledger import PAGE, Ledger, Withheld
from keeper.ledger_book import Book
from keeper.ledger_case import Case, case_of, counting_stage
from keeper.ledger_quota import Quota
from keys import api as keys
from plans import sets as plan_sets
from plans.handover import handover, padded
from plans.plan import Plan
from plans.sets import SIGNS, Pattern, Sets
from policies import api as policies
from sandbox import api as sandbox
from tests.keeper import house

Persons = Iterable[int]


class People:
    """So many persons, named 0, 1, 2 …; their signs are those of a seed."""

    def __init__(self, count: int, seed: int = 1) -> None:
        self.everybody = frozenset(range(count))
        self.signs = np.random.default_rng(seed).choice(np.array([-1, 1]), size=(count, SIGNS))

    def table(self, *rows: Sequence[Persons], patterns: tuple[Pattern, ...] = ()) -> Sets:
        """Return a table whose rows have these sets, the persons of the cell first, with these patterns."""
        sets = [sorted(each) for row in rows for each in row]
        prints = [int(total) for each in sets for total in self.signs[each].sum(axis=0)]
        wide = len(rows[0]) if rows else 1
        return Sets(len(rows), wide, [len(each) for each in sets], prints, patterns=patterns)

    def cells(self, *cells: Persons) -> Sets:
        """Return a table with one set per row."""
        return self.table(*([cell] for cell in cells))


def plan_digest(name: str) -> str:
    """A plan's digest."""
    return house.digest(f"plan {name}")


INCOME = Quota("cells/tax.income.income", 20_000, 30)
CASE = Case(
    plan=plan_digest("first"),
    question=house.digest("first question"),
    member=house.MEMBER,
    datasets=(house.INCOME,),
    differ=10,
    minimum=10,
    persons=(0,),
    figures=({"tax.income.income": 1},),
    quotas=(INCOME,),
)


def case(name: str, **changes: Any) -> Case:
    """A plan, by name, that asks a question of its own; `persons` of one version or of several."""
    if isinstance(changes.get("persons"), int):
        changes["persons"] = (changes["persons"],)
    own = replace(CASE, plan=plan_digest(name), question=house.digest(f"question {name}"))
    return replace(own, **changes)


@dataclass
class Owner:
    """A ledger with its folder and its lines of the journal, which can be started again."""

    folder: Path
    lines: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    now: int = house.NOW

    def __post_init__(self) -> None:
        ring = self.folder / "keyring"
        self.keyring = Keyring(ring) if ring.exists() else Keyring.create(ring)
        self.ledger = self.start()

    def start(self) -> Ledger:
        """Start from what is on disk."""
        started = Ledger(Book(self.folder / "ledger", self.keyring), self._note)
        for at, line in self.lines:
            started.take_in(line["plan"], line["page"], at)
        self.ledger = started
        return started

    def _note(self, kind: str, line: dict[str, Any]) -> None:
        assert kind == PAGE
        self.lines.append((self.now, line))
        self.ledger.take_in(line["plan"], line["page"], self.now)

    def weigh(self, about: Case, *tables: Sets, attempt: int = 1) -> Withheld:
        """Weigh the tables of a plan."""
        return self.ledger.weigh(about, attempt, tables, self.now)


def lay(keeper: Keeper, plan: Plan, *tables: Sets, attempt: int = 1) -> None:
    """Leave the sets of a plan where the launcher keeps what its counting box wrote."""
    name = sandbox.StageName(plan.digest, counting_stage(plan), attempt)
    stem = plan.digest.removeprefix("sha256:")
    folder = keeper.config.launcher_home / "collected" / stem / str(attempt) / name.stage.value
    folder.mkdir(parents=True, exist_ok=True)
    key = keeper.keyring.stage_key(plan.digest, attempt, policies.SETS)
    content = padded(plan_sets.pack(tables))
    (folder / policies.SETS).write_bytes(keys.encrypt(key, content, handover(plan, attempt, policies.SETS)))


def weighed(keeper: Keeper, plan: Plan) -> None:
    """Let the ledger have weighed a plan whose tables are about everybody, as before its judging box had a key."""
    about = case_of(plan, house.READING, keeper.trusted.current_manifests())
    assert about is not None and plan.program is not None
    table = People(90).cells(range(90))
    with keeper.lock:
        keeper.ledger.weigh(about, 1, (table,) * len(plan.program.tables), keeper.now())
