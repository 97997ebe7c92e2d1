"""Plans with a finish at the keeper: which box gets which key, and that no carrier can hand one box another's bytes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.evidence import require_chain
from keeper.keeper import Keeper
from keeper.keyring import Keyring
from plans.box import Entry, Input
from plans.constraints import ANY, Constraint, Effect, Mask, MaskKind, Reveal, Use
from plans.errors import DarkroomError, HashMismatch, NotFound, RederivationMismatch, StateConflict
from plans.key import BoxKeys
from plans.plan import Plan
from plans.reading import Output, Reading, Role
from plans.release import KEYS_INFO
from plans.request import statement_digest
from plans.statements import BoxStatement, Signed, StageInput, StageRecord
from policies import api as policies
from policies.api import short
from tests.keeper import house
from tests.keeper.people import People, lay

PEOPLE = People(90)
STATEMENT = (
    "with r as (select region, count(*) as n from tax.income group by region) select max(n) as m from r"
)
REQUEST = replace(house.REQUEST, statement=STATEMENT, nonce="7" * 32)
READING: Reading = replace(
    house.READING,
    statement=statement_digest(STATEMENT),
    finish="SELECT max(cells_0.count) AS m FROM cells_0",
    outputs=(Output("m", "BIGINT", Role.DERIVED, "", 0),),
)
STAGES = (Entry.QUERY, Entry.PARSE, Entry.PROTECT, Entry.FINISH, Entry.JUDGE)


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    settings = house.config(tmp_path)
    house.build(settings)
    running = house.start(settings, checker=house.Checker(house.READING, READING))
    house.believe(running, *house.house_statements(house.grant()))
    return running


@pytest.fixture
def plan(keeper: Keeper) -> Plan:
    return house.plan(keeper.trusted, REQUEST, READING)


def given(keeper: Keeper, plan: Plan, stage: Entry) -> BoxKeys:
    """The keys that an honest box of a stage opens; before it judges, the query box has counted persons."""
    if stage in (Entry.PROTECT, Entry.JUDGE):
        lay(keeper, plan, PEOPLE.cells(range(90)))
    statement = house.box(plan, keeper.challenge(plan.digest), stage)
    sealed = keeper.unwrap(statement, plan)
    body = BoxStatement.read(statement.statement.body)
    opened = house.opening("box").open(bytes.fromhex(sealed.sealed), KEYS_INFO, body.canonical())
    return BoxKeys.decode(opened)


# --- keys -----------------------------------------------------------------------------------------------------


def test_each_box_has_the_key_of_what_it_reads_and_of_what_it_writes(keeper: Keeper, plan: Plan) -> None:
    keys = {stage: given(keeper, plan, stage) for stage in STAGES}
    for before, after in zip(STAGES, STAGES[1:], strict=False):
        handed = {name: key for name, key in keys[before].outputs.items() if name != policies.SETS}
        assert handed == keys[after].inputs and len(keys[after].inputs) == 1
    assert set(keys[Entry.JUDGE].outputs) == {policies.RECORD, policies.HELD, policies.SHOWN}
    every = [key for each in keys.values() for key in each.outputs.values()]
    assert len(set(every)) == 8, "no two stages share a key with a third"


def test_the_box_that_runs_the_finish_can_open_nothing_that_is_not_protected(
    keeper: Keeper, plan: Plan
) -> None:
    finish = given(keeper, plan, Entry.FINISH)
    assert set(finish.inputs) == {policies.PROTECTED} and set(finish.outputs) == {policies.FINISHED}
    others = [given(keeper, plan, stage) for stage in (Entry.QUERY, Entry.PARSE)]
    secret = {key for keys in others for key in (*keys.inputs.values(), *keys.outputs.values())}
    judge = given(keeper, plan, Entry.JUDGE)
    for keys in (finish, judge):
        assert not secret & {*keys.inputs.values(), *keys.outputs.values()}
        assert (keys.token, keys.pseudonyms) == ("", {})


def rewired(plan: Plan, stage: Entry, *reads: str) -> Plan:
    """The plan, with a box that is to read something else."""
    inputs = tuple(Input(name, "") for name in reads)
    return replace(
        plan,
        stages=tuple(replace(spec, inputs=inputs) if spec.entry is stage else spec for spec in plan.stages),
    )


FORGERIES: dict[str, Any] = {
    "a finish that reads what was not protected": lambda p: rewired(p, Entry.FINISH, policies.TABLE),
    "a finish that reads both": lambda p: rewired(p, Entry.FINISH, policies.PROTECTED, policies.TABLE),
    "a judge that reads around the finish": lambda p: rewired(p, Entry.JUDGE, policies.TABLE),
    "a judge that reads protected tables": lambda p: rewired(p, Entry.JUDGE, policies.PROTECTED),
    "a protect box that reads the query's result": lambda p: rewired(p, Entry.PROTECT, policies.RESULT),
    "a finish with the owner's file": lambda p: replace(
        p,
        stages=tuple(
            replace(spec, inputs=p.stages[0].inputs) if spec.entry is Entry.FINISH else spec
            for spec in p.stages
        ),
    ),
    "another finish": lambda p: replace(p, program=replace(p.program, finish="SELECT 1 AS m FROM cells_0")),
    "no finish": lambda p: replace(
        p,
        program=replace(p.program, finish="", outputs=p.program.tables[0].outputs),
        stages=(p.stages[0], p.stages[1], replace(p.stages[4], inputs=(Input(policies.TABLE, ""),))),
    ),
}


@pytest.mark.parametrize("stage", [Entry.QUERY, Entry.FINISH, Entry.JUDGE])
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_78_a_plan_whose_boxes_are_wired_otherwise_gets_no_key(
    keeper: Keeper, plan: Plan, forgery: Any, stage: Entry
) -> None:
    other = forgery(plan)
    if stage in [spec.entry for spec in other.stages]:
        with pytest.raises(RederivationMismatch):
            given(keeper, other, stage)
    assert given(keeper, plan, stage)


# --- the chain ------------------------------------------------------------------------------------------------


def linked(plan: Plan) -> list[StageRecord]:
    return list(house.records(plan))


def fed(records: list[StageRecord], place: int, **files: str) -> list[StageRecord]:
    """The records, with a box that read other bytes."""
    inputs = tuple(StageInput(name, digest) for name, digest in files.items())
    return [replace(each, inputs=inputs) if n == place else each for n, each in enumerate(records)]


def wrote(records: list[StageRecord], name: str) -> str:
    return next(item.sha256 for each in records for item in each.outputs if item.name == name)


SWAPS: dict[str, Any] = {
    "protect read the query's result": lambda r: fed(r, 2, **{policies.RESULT: wrote(r, policies.RESULT)}),
    "protect read other bytes": lambda r: fed(r, 2, **{policies.TABLE: house.digest("x")}),
    "finish read what was not protected": lambda r: fed(r, 3, **{policies.TABLE: wrote(r, policies.TABLE)}),
    "finish read it under the right name": lambda r: fed(
        r, 3, **{policies.PROTECTED: wrote(r, policies.TABLE)}
    ),
    "finish read tables of another run": lambda r: fed(r, 3, **{policies.PROTECTED: house.digest("x")}),
    "judge read around the finish": lambda r: fed(r, 4, **{policies.PROTECTED: wrote(r, policies.PROTECTED)}),
    "judge read other bytes": lambda r: fed(r, 4, **{policies.FINISHED: house.digest("x")}),
    "judge read nothing": lambda r: fed(r, 4),
    "protect was left out": lambda r: [*r[:2], *r[3:]],
    "finish was left out": lambda r: [*r[:3], r[4]],
    "the stages of a plan without a finish": lambda r: [r[0], r[1], r[4]],
    "finish ran before protect": lambda r: [r[0], r[1], r[3], r[2], r[4]],
    "protect of another attempt": lambda r: [*r[:2], replace(r[2], attempt=2), *r[3:]],
}


@pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS)
def test_56_84_a_carrier_that_swaps_what_boxes_hand_on_breaks_the_chain(
    keeper: Keeper, plan: Plan, swap: Any
) -> None:
    """What was judged is what the finish wrote, that is computed from what was protected, and so to the files."""
    require_chain(keeper.trusted, house.chain(linked(plan)), plan)
    with pytest.raises(HashMismatch):
        keeper.release(plan, house.chain(swap(linked(plan))))


def test_a_plan_whose_boxes_read_nothing_has_no_chain(keeper: Keeper, plan: Plan) -> None:
    other = rewired(plan, Entry.JUDGE)
    records = [
        replace(each, plan=other.digest, inputs=() if each.stage is Entry.JUDGE else each.inputs)
        for each in linked(plan)
    ]
    with pytest.raises(DarkroomError):
        keeper.release(other, house.chain(records))


def test_the_control_a_chain_of_five_is_released(keeper: Keeper, plan: Plan) -> None:
    given(keeper, plan, Entry.QUERY)
    with pytest.raises(StateConflict):
        keeper.release(plan, house.chain(linked(plan)))  # what would leave was not weighed
    given(keeper, plan, Entry.PROTECT)
    assert keeper.release(plan, house.chain(linked(plan)))


# --- views: masks, and what is shown --------------------------------------------------------------------------


def masking(mask: Mask, number: int = 2, **changes: Any) -> Signed:
    """A bundle under which the region is masked for everybody."""
    rule = Constraint(
        mask.column,
        Effect.ALLOW,
        (ANY,),
        (ANY,),
        (ANY,),
        0,
        (Use.GROUP, Use.FILTER),
        (),
        Reveal.MASKED,
        0,
        mask,
    )
    policy = replace(house.INCOME_POLICY, constraints=(short("income", ("avg", "sum")), rule), **changes)
    return house.bundle(number, (policy,))


PSEUDONYM = Mask("region", MaskKind.PSEUDONYM, "")


def test_only_a_query_box_with_pseudonyms_gets_their_key_and_it_outlives_versions(keeper: Keeper) -> None:
    keeper.believe(masking(PSEUDONYM))
    plan = house.plan(keeper.trusted)
    assert plan.program and plan.program.relations[0].masks == (PSEUDONYM,)
    keys = given(keeper, plan, Entry.QUERY).pseudonyms
    assert keys == {"tax.income": keeper.keyring.pseudonym_key(house.INCOME).hex()}
    for stage in (Entry.PARSE, Entry.JUDGE):
        assert given(keeper, plan, stage).pseudonyms == {}
    again = Keyring(keeper.config.keyring)
    assert again.pseudonym_key(house.INCOME).hex() == keys["tax.income"]
    assert again.pseudonym_key(house.PROPERTY).hex() != keys["tax.income"]


def test_another_mask_needs_no_key(keeper: Keeper) -> None:
    keeper.believe(masking(Mask("region", MaskKind.LAST, "4")))
    assert given(keeper, house.plan(keeper.trusted), Entry.QUERY).pseudonyms == {}


def test_a_plan_from_before_a_mask_gets_no_key(keeper: Keeper) -> None:
    """A changed mask is a changed view, so a changed program: nothing that was planned on the old one runs."""
    old = house.plan(keeper.trusted)
    keeper.believe(masking(PSEUDONYM))
    current = house.plan(keeper.trusted)
    assert current.program and old.program and current.program != old.program
    for forged in (old, replace(current, program=old.program)):
        with pytest.raises(RederivationMismatch):
            given(keeper, forged, Entry.QUERY)
    assert given(keeper, current, Entry.QUERY)


def test_a_reading_is_kept_for_the_view_on_which_it_was_made(keeper: Keeper) -> None:
    checker: Any = keeper.readings.reader
    plan = house.plan(keeper.trusted)
    given(keeper, plan, Entry.QUERY)
    given(keeper, plan, Entry.PARSE)
    assert checker.asked == 1
    keeper.believe(masking(PSEUDONYM, row_filter=""))
    given(keeper, house.plan(keeper.trusted), Entry.PARSE)
    assert checker.asked == 2


def test_a_view_that_changes_while_the_statement_is_read_stops_the_plan(tmp_path: Path) -> None:
    started: list[Keeper] = []

    class Slow(house.Checker):
        def __call__(self, check: Plan, statement: str) -> Reading:
            started[0].believe(masking(PSEUDONYM, row_filter=""))
            return super().__call__(check, statement)

    settings = house.config(tmp_path)
    house.build(settings)
    started.append(house.start(settings, checker=Slow()))
    house.believe(started[0], *house.house_statements(house.grant()))
    with pytest.raises(StateConflict):
        given(started[0], house.plan(started[0].trusted), Entry.QUERY)


def test_a_pseudonym_key_is_for_a_dataset_that_is_one(keeper: Keeper) -> None:
    for name in ("", "../token", "nm"):
        with pytest.raises(DarkroomError):
            keeper.keyring.pseudonym_key(name)
    with pytest.raises(NotFound):
        keeper.keyring.data_key("nothing.parquet")
