"""The desk's twins: made of declarations until their owner pays, paid for before anything is counted, made once.

The box is the program of the real one, run in this process with the keys that the keeper sealed for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inside import twins as box
from inside.session import Session
from keeper import server, twins
from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from plans.box import Entry
from plans.checks import Mode, Privacy
from plans.errors import BoxFailed, BudgetSpent, EvidenceBroken, HashMismatch, NotFound, OutputRefused
from plans.key import BoxKeys
from plans.manifest import DataFile, FileRole, Manifest
from plans.plan import Plan
from plans.release import KEYS_INFO
from plans.statements import BoxStatement, Duty, Signed, StageOutput, StageRecord, Type
from plans.twins import RECIPE, Making, Twin, reasons_against
from sandbox.shelf import StageName, output_path
from tests.inside.twin_cases import Case, column
from tests.keeper import house

RHO = 1_000_000
COLUMNS = (
    column("region", "VARCHAR", "", "", "east", "west"),
    column("income", "DOUBLE", "0", "100000", nulls=1),
)
ROWS = """
    SELECT n::UBIGINT AS person, CASE WHEN n % 4 = 0 THEN 'east' ELSE 'west' END AS region,
        CASE WHEN n % 10 > 0 THEN {income} END::DOUBLE AS income FROM range(2000) AS made(n)
"""


@dataclass
class Bench:
    """Stands for the launcher: runs the box's program, and keeps what it leaves where the keeper looks."""

    keeper: Keeper
    files: Path
    fails: int = 0
    tamper: Callable[[Path, dict[str, Any]], None] = lambda folder, report: None
    plans: list[Plan] = field(default_factory=list)

    def put(self, plan: Plan) -> None:
        self.plans.append(plan)

    def keys(self, plan: Plan) -> BoxKeys:
        """What the keeper seals to a box of this plan."""
        statement = house.box(plan, self.keeper.challenge(plan.digest), Entry.TWIN)
        sealed = bytes.fromhex(self.keeper.unwrap(statement, plan).sealed)
        said = BoxStatement.read(statement.statement.body).canonical()
        return BoxKeys.decode(house.opening("box").open(sealed, KEYS_INFO, said))

    def run(self, digest: str, stage: Entry, attempt: int) -> Any:
        plan = self.plans[-1]
        assert plan.digest == digest
        if self.fails:
            self.fails -= 1
            raise BoxFailed("the box ended without a result", "twin.failed")
        home, name = self.keeper.config.launcher_home, StageName(digest, stage, attempt)
        out = output_path(home, name, RECIPE).parent
        out.mkdir(parents=True)
        paths = {item.name: self.files / item.name for item in plan.stages[0].inputs}
        report = box.run(Session(plan, stage, attempt, paths, self.keys(plan), out, self.files, self.files))
        self.tamper(out, report)
        outputs = tuple(
            StageOutput(
                path.name, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
            )
            for path in sorted(out.iterdir())
        )
        record = StageRecord(digest, stage, attempt, (), outputs, report)
        return SimpleNamespace(record=house.signed(Type.STAGE, Duty.LAUNCHER, record, "launcher"))


def bundle(number: int, rho_micro: int) -> Signed:
    return house.bundle(number, (replace(house.INCOME_POLICY, twin_rho_micro=rho_micro),))


def version(
    keeper: Keeper, folder: Path, number: int = 1, income: str = "n * 10", **changes: Any
) -> Manifest:
    """Hold a version of the dataset, as an ingest leaves it."""
    case = Case(folder, ROWS.format(income=income), changes.pop("columns", COLUMNS))
    name = f"income-v{number}-attributes.parquet"
    path = (folder / "in" / "attributes.parquet").rename(folder / "in" / name)
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    file = DataFile(FileRole.ATTRIBUTES, name, digest, path.stat().st_size)
    made = replace(case.manifest, dataset=house.INCOME, version=number, files=(file,), **changes)
    keeper.keyring.store_data_key(name, bytes.fromhex(case.key))
    house.believe(keeper, house.signed_manifest(made))
    return made


@pytest.fixture
def desk(settings: KeeperConfig, tmp_path: Path) -> Bench:
    """A keeper with one version and a bundle that pays nothing for twins."""
    keeper = house.start(settings)
    house.believe(keeper, house.roster(), bundle(1, 0))
    version(keeper, tmp_path)
    bench = Bench(keeper, tmp_path / "in")
    keeper.launcher = bench  # type: ignore[assignment]
    return bench


def read(signed: Signed) -> Twin:
    return Twin.read(signed.statement.body)


def again(desk: Bench) -> Bench:
    """The same owner's side, started anew."""
    keeper = house.start(desk.keeper.config)
    keeper.launcher = found = replace(desk, keeper=keeper)  # type: ignore[assignment]
    return found


# ------------------------------------------------------------------------------------- without consent


def test_without_consent_a_twin_depends_on_nothing_of_the_data(desk: Bench, tmp_path: Path) -> None:
    """Two datasets of one schema have the same recipe, byte for byte. No box ran, and nothing was charged."""
    first = read(twins.order(desk.keeper, house.INCOME))
    (tmp_path / "other").mkdir()
    changed = version(desk.keeper, tmp_path / "other", 2, income="77712", rows=7, persons=3)
    second = read(twins.order(desk.keeper, house.INCOME))
    assert second.manifest == changed.digest != first.manifest
    assert second.recipe.canonical() == first.recipe.canonical() and first.recipe.making is Making.DECLARED
    assert not desk.plans and desk.keeper.twins.charged(house.INCOME) == 0


def test_with_consent_it_does_depend_on_them(desk: Bench) -> None:
    """The control."""
    house.believe(desk.keeper, bundle(2, RHO))
    noised = read(twins.order(desk.keeper, house.INCOME))
    assert noised.recipe.making is Making.NOISED and noised.recipe.rho_micro == RHO
    region = next(each for each in noised.recipe.table.columns if each.name == "region")
    share = region.given[0][0] if not region.parent else region.given[0][0] + region.given[1][0]
    assert region.given and share != 500_000


def test_the_seed_is_the_keepers_and_no_two_owners_have_the_same(desk: Bench, tmp_path: Path) -> None:
    seed = read(twins.order(desk.keeper, house.INCOME)).recipe.table.seed
    other = house.config(tmp_path / "another")
    house.build(other)
    assert seed == desk.keeper.keyring.twin_seed(house.INCOME)
    assert seed not in (house.start(other).keyring.twin_seed(house.INCOME), "0" * 32)


# --------------------------------------------------------------------------------------- made and paid once


def test_asking_again_gives_the_same_recipe_and_never_other_noise(desk: Bench) -> None:
    house.believe(desk.keeper, bundle(2, RHO))
    first = twins.order(desk.keeper, house.INCOME)
    report = twins.report(desk.keeper, house.INCOME)
    for _ in range(2):
        assert twins.order(desk.keeper, house.INCOME) == first == twins.current(desk.keeper, house.INCOME)
        desk = again(desk)  # neither does a restart draw anew
    assert len(desk.plans) == 1 and desk.keeper.twins.charged(house.INCOME) == RHO
    assert twins.report(desk.keeper, house.INCOME) == report is not None


def test_another_version_keeps_what_was_measured_and_costs_nothing(desk: Bench, tmp_path: Path) -> None:
    house.believe(desk.keeper, bundle(2, RHO))
    first = read(twins.order(desk.keeper, house.INCOME))
    for name in ("two", "three"):
        (tmp_path / name).mkdir()
    second = version(desk.keeper, tmp_path / "two", 2)
    found = read(twins.at_ingest(desk.keeper, second, repeats=True))
    assert found.recipe == first.recipe and found.manifest == second.digest
    wider = (
        replace(COLUMNS[0], declared=replace(COLUMNS[0].declared, values=("east", "west", "south"))),
        COLUMNS[1],
    )
    third = version(desk.keeper, tmp_path / "three", 3, columns=wider)
    found = read(twins.at_ingest(desk.keeper, third, repeats=True))
    made = {each.name: each for each in found.recipe.table.columns}
    assert not made["region"].given, "what changed is made of its declaration"
    before = {each.name: each for each in first.recipe.table.columns}
    assert bool(made["income"].given) == (not before["income"].parent), "and so is what depended on it"
    assert reasons_against(found.recipe, third, RHO) == () and len(desk.plans) == 1


def test_what_was_charged_pays_for_the_next_try_and_only_for_that(desk: Bench) -> None:
    house.believe(desk.keeper, bundle(2, RHO))
    desk.fails = 2
    for _ in range(2):
        with pytest.raises(BoxFailed):
            twins.order(desk.keeper, house.INCOME)
        assert desk.keeper.twins.charged(house.INCOME) == RHO
        desk = again(desk)
    twins.order(desk.keeper, house.INCOME)
    assert desk.keeper.twins.charged(house.INCOME) == RHO == desk.keeper.twins.released(house.INCOME)


def test_a_higher_consent_buys_the_difference_and_a_lower_one_nothing(desk: Bench) -> None:
    house.believe(desk.keeper, bundle(2, RHO))
    first = twins.order(desk.keeper, house.INCOME)
    house.believe(desk.keeper, bundle(3, RHO // 2))
    assert twins.order(desk.keeper, house.INCOME) == first
    house.believe(desk.keeper, bundle(4, RHO + 500_000))
    assert read(twins.order(desk.keeper, house.INCOME)).recipe.rho_micro == 500_000
    assert desk.keeper.twins.charged(house.INCOME) == RHO + 500_000
    with pytest.raises(BudgetSpent):
        twins.charge(desk.keeper, house.INCOME, 1, "once more")


def test_in_the_mode_private_a_twin_and_answers_share_one_budget(desk: Bench) -> None:
    small, enough = Privacy(RHO - 1, 30), Privacy(RHO + 7, 30)
    policy = replace(house.INCOME_POLICY, twin_rho_micro=RHO, mode=Mode.PRIVATE, privacy=small)
    house.believe(desk.keeper, house.bundle(2, (policy,)))
    with pytest.raises(BudgetSpent, match="within its period"):
        twins.order(desk.keeper, house.INCOME)
    assert not desk.plans and not desk.keeper.twins.charged(house.INCOME)
    house.believe(desk.keeper, house.bundle(3, (replace(policy, privacy=enough),)))
    twins.order(desk.keeper, house.INCOME)
    assert desk.keeper.budgets.room(house.INCOME, enough, "", house.NOW).left == 7


def test_the_charge_is_written_down_before_the_box_has_a_key(
    desk: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.believe(desk.keeper, bundle(2, RHO))
    seen: list[int] = []
    keys = desk.keys

    def look(plan: Plan) -> BoxKeys:
        seen.append(again(desk).keeper.twins.charged(house.INCOME))
        return keys(plan)

    monkeypatch.setattr(desk, "keys", look)
    twins.order(desk.keeper, house.INCOME)
    assert seen == [RHO]


# --------------------------------------------------------------------------------------------- refused


def test_a_twin_that_nobody_ordered_at_the_desk_gets_no_key(desk: Bench) -> None:
    house.believe(desk.keeper, bundle(2, RHO))
    twins.order(desk.keeper, house.INCOME)
    (plan,) = desk.plans
    for made in (plan, replace(plan, nonce="7" * 32)):
        with pytest.raises(NotFound, match="nobody ordered"):
            desk.keys(made)


def refused(folder: Path, report: dict[str, Any]) -> None:
    report["verdict"] |= {"finding": "refused", "reasons": ["undeclared-value"], "sealed": ""}


def swapped(folder: Path, report: dict[str, Any]) -> None:
    (folder / RECIPE).write_bytes((folder / "report.bin").read_bytes())


def another(folder: Path, report: dict[str, Any]) -> None:
    report["verdict"] |= {"plan": house.digest("another")}


def less(folder: Path, report: dict[str, Any]) -> None:
    (folder / "report.bin").unlink()


@pytest.mark.parametrize(
    ("tamper", "error"),
    [(refused, OutputRefused), (swapped, EvidenceBroken), (another, HashMismatch), (less, HashMismatch)],
)
def test_what_was_not_judged_is_no_twin(desk: Bench, tamper: Any, error: type[Exception]) -> None:
    house.believe(desk.keeper, bundle(2, RHO))
    desk.tamper = tamper
    with pytest.raises(error):
        twins.order(desk.keeper, house.INCOME)
    with pytest.raises(NotFound, match="no twin yet"):
        twins.current(desk.keeper, house.INCOME)


def test_a_dataset_that_is_not_here_has_no_twin(desk: Bench) -> None:
    with pytest.raises(NotFound, match="no such dataset"):
        twins.order(desk.keeper, "nm/tax/nothing")
    with pytest.raises(BudgetSpent, match="does not give so much"):
        twins.charge(desk.keeper, house.INCOME, RHO, "without consent")


def test_only_the_desk_speaks_of_twins_and_of_their_report(desk: Bench) -> None:
    """What the report says depends on the data, so no one at the open socket hears it, and no one orders there."""
    house.believe(desk.keeper, bundle(2, RHO))
    question = {"op": "twin", "dataset": house.INCOME, "order": True}
    told = server.answer(desk.keeper, server.OPEN, question)
    assert "ok" not in told and not desk.plans
    told = server.answer(desk.keeper, server.DESK, question)["ok"]
    assert Twin.read(Signed.read(told["twin"]).statement.body).recipe.digest == told["report"]["recipe"]
    again_told = server.answer(desk.keeper, server.DESK, question | {"order": False})["ok"]
    assert again_told == told and len(desk.plans) == 1
