"""ATTACKS H (77, 78, 83, 84), E 60, 65: what a carrier, a centre or a launcher tries at a keeper. What is tried at its
memory is in `test_trust_memory`.

`ask` is the control of every attack: the unchanged thing gets its keys.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keeper.config import KeeperConfig
from keeper.keeper import Keeper
from keys import api as keys
from plans.box import Entry, Input
from plans.constraints import Mask, MaskKind
from plans.decision import Obligations, Tier
from plans.errors import (
    DarkroomError,
    EvidenceBroken,
    HashMismatch,
    Malformed,
    NotFound,
    Outdated,
    PolicyDenied,
    RederivationMismatch,
    SignatureWrong,
    StateConflict,
)
from plans.key import BoxKeys
from plans.manifest import Grade, Manifest
from plans.plan import Plan, PlanKind
from plans.reading import Clause, ColumnUse, Level, Output, Reading, Role
from plans.release import Release
from plans.statements import Signed
from policies import api as policies
from tests.attacks.keeper_case import ask, opened, refused
from tests.keeper import house
from tests.keeper.house import DAY, NOW
from tests.keeper.people import People, lay, weighed

# --- the control -----------------------------------------------------


def test_an_honest_box_gets_exactly_its_stages_keys(keeper: Keeper, plan: Plan) -> None:
    given = {}
    lay(keeper, plan, People(90).cells(range(90)))
    for stage in (Entry.QUERY, Entry.PARSE, Entry.JUDGE):
        statement = house.box(plan, keeper.challenge(plan.digest), stage)
        given[stage] = opened(keeper.unwrap(statement, plan), statement)
    attributes = house.manifest().attributes.name
    assert given[Entry.QUERY].inputs == {attributes: keeper.keyring.data_key(attributes).hex()}
    handed = {name: key for name, key in given[Entry.QUERY].outputs.items() if name != policies.SETS}
    assert handed == given[Entry.PARSE].inputs
    assert given[Entry.PARSE].outputs == given[Entry.JUDGE].inputs
    for_the_owner = {policies.RECORD, policies.HELD, policies.SHOWN}
    assert set(given[Entry.JUDGE].outputs) == for_the_owner
    assert {keys.token for keys in given.values()} == {""}


def test_identifiers_have_a_key_that_no_stage_gets(keeper: Keeper, plan: Plan) -> None:
    secret = keeper.keyring.data_key("income-v1-identifiers.parquet").hex()
    lay(keeper, plan, People(90).cells(range(90)))
    for stage in (Entry.QUERY, Entry.PARSE, Entry.JUDGE):
        statement = house.box(plan, keeper.challenge(plan.digest), stage)
        assert secret not in opened(keeper.unwrap(statement, plan), statement).canonical().decode()


# --- 77: boxes -----------------------------------------------------


def test_77_a_carrier_that_swaps_the_boxs_key_gets_nothing(keeper: Keeper, plan: Plan) -> None:
    honest = house.box(plan, keeper.challenge(plan.digest))
    body = {**honest.statement.body, "box_key": house.opening("carrier").public}
    with pytest.raises(Malformed):
        replace(honest.statement, body=body)
    swapped = house.box(
        plan, str(honest.statement.body["challenge"]), box_key=house.opening("carrier").public
    )
    with pytest.raises(SignatureWrong):
        keeper.unwrap(Signed(swapped.statement, honest.signature), plan)


def test_77_sealed_keys_open_for_the_box_alone_and_for_its_statement_alone(
    keeper: Keeper, plan: Plan
) -> None:
    statement = house.box(plan, keeper.challenge(plan.digest))
    sealed = keeper.unwrap(statement, plan)
    assert opened(sealed, statement).inputs
    with pytest.raises(EvidenceBroken):
        opened(sealed, statement, who="carrier")
    with pytest.raises(EvidenceBroken):
        opened(sealed, house.box(plan, "9" * 32))


@pytest.mark.parametrize("signer", ["stranger", "steward", "approver", "keeper", "member"])
def test_77_a_launcher_that_is_not_in_the_roster_gets_nothing(
    keeper: Keeper, plan: Plan, signer: str
) -> None:
    ask(keeper, plan)
    refused(SignatureWrong, keeper, plan, vouch=house.Vouch(signer=signer))


def test_77_a_replayed_statement_gets_nothing(keeper: Keeper, plan: Plan) -> None:
    statement = house.box(plan, keeper.challenge(plan.digest))
    keeper.unwrap(statement, plan)
    keeper.challenge(plan.digest)
    with pytest.raises(Outdated):
        keeper.unwrap(statement, plan)


def test_77_a_statement_outlives_no_restart(keeper: Keeper, plan: Plan, settings: KeeperConfig) -> None:
    statement = house.box(plan, keeper.challenge(plan.digest))
    with pytest.raises(Outdated):
        house.start(settings).unwrap(statement, plan)


def test_77_the_challenge_of_another_keeper_or_plan_is_none(
    keeper: Keeper, plan: Plan, tmp_path: Path, granted: Signed
) -> None:
    twin_settings = house.config(tmp_path / "twin")
    house.build(twin_settings)
    twin = house.start(twin_settings)
    house.believe(twin, *house.house_statements(granted))
    for challenge in (twin.challenge(plan.digest), keeper.challenge(house.digest("another plan")), "0" * 32):
        with pytest.raises(Outdated):
            keeper.unwrap(house.box(plan, challenge), plan)


def test_77_a_challenge_goes_stale(keeper: Keeper, plan: Plan, clock: house.Clock) -> None:
    challenge = keeper.challenge(plan.digest)
    clock.now += 121
    with pytest.raises(Outdated):
        keeper.unwrap(house.box(plan, challenge, vouch=house.Vouch(not_after=NOW + 300)), plan)


def test_77_a_statement_about_one_plan_opens_no_other(keeper: Keeper, plan: Plan) -> None:
    other = house.plan(keeper.trusted, house.another_request(2))
    statement = house.box(plan, keeper.challenge(other.digest))
    with pytest.raises((Outdated, HashMismatch)):
        keeper.unwrap(statement, other)


def test_77_two_owners_do_not_take_each_others_launchers(keeper: Keeper, plan: Plan, tmp_path: Path) -> None:
    """The launcher serves both owners, and is in both rosters; a statement is for one of them."""
    theirs = house.config(tmp_path / "theirs", domain=house.OTHER_DOMAIN)
    house.build(theirs)
    other = house.start(theirs)
    other.believe(house.roster(1, domain=house.OTHER_DOMAIN))
    with pytest.raises(SignatureWrong, match="another domain"):
        ask(other, plan)
    with pytest.raises(DarkroomError):
        ask(other, plan, vouch=house.Vouch(domain=house.OTHER_DOMAIN))
    ask(keeper, plan)


# --- 78: a forged plan under a standing grant -----------------------------------------------------


def forged(plan: Plan, part: str, **changes: Any) -> Plan:
    """A plan with one claim changed, all else consistent."""
    return replace(plan, **{part: replace(getattr(plan, part), **changes)})


def with_boxes(plan: Plan, **changes: Any) -> Plan:
    return replace(plan, stages=tuple(replace(box, **changes) for box in plan.stages))


def with_finish(plan: Plan, finish: str = "SELECT region FROM cells_0") -> Plan:
    """A plan whose one table is computed with once more, and its boxes."""
    outputs = (Output("region", "VARCHAR", Role.DERIVED, "", 0),)
    assert plan.program is not None
    program = replace(plan.program, finish=finish, outputs=outputs)
    manifests = (house.manifest(), house.manifest(house.PROPERTY))
    tier = plan.stages[0].tier
    stages = policies.sql_boxes(program, manifests, plan.stages[0].image, tier, house.LIMITS)
    return replace(plan, program=program, stages=stages)


WEAK = Obligations(minimum_group=1, rounding=1, largest_result=1_000_000, tier=Tier.T1)
FORGERIES: dict[str, Any] = {
    "weaker obligations": lambda p: forged(p, "decision", obligations=WEAK),
    "a smaller minimum group": lambda p: forged(
        p, "decision", obligations=replace(p.decision.obligations, minimum_group=9)
    ),
    "another grant": lambda p: forged(p, "decision", grants=(house.digest("another grant"),)),
    "no grant": lambda p: forged(p, "decision", grants=()),
    "an old bundle's number": lambda p: forged(p, "decision", bundle_number=0),
    "another counted query": lambda p: replace(
        p, program=house.with_table(p.program, counted=house.COUNTED + " LIMIT 1")
    ),
    "no column of persons": lambda p: replace(
        p, program=house.with_table(p.program, counted=house.COUNTED.replace("count(DISTINCT person)", "99"))
    ),
    "fewer columns than the SQL uses": lambda p: forged(
        p, "program", relations=(replace(p.program.relations[0], columns=("region",)),)
    ),
    "more columns than the SQL uses": lambda p: forged(
        p, "program", relations=(replace(p.program.relations[0], columns=("id_number", "income", "region")),)
    ),
    "the row filter dropped": lambda p: forged(
        p, "program", relations=(replace(p.program.relations[0], row_filter=""),)
    ),
    "another row filter": lambda p: forged(
        p, "program", relations=(replace(p.program.relations[0], row_filter="true"),)
    ),
    "persons called nobody": lambda p: forged(
        p, "program", relations=(replace(p.program.relations[0], about_persons=False),)
    ),
    "another file": lambda p: forged(
        p, "program", relations=(replace(p.program.relations[0], file=house.digest("income-v1 identifiers")),)
    ),
    "another dataset's manifest": lambda p: forged(
        p,
        "program",
        relations=(replace(p.program.relations[0], manifest=house.manifest(house.PROPERTY).digest),),
    ),
    "a relation more": lambda p: forged(
        p, "program", relations=(*p.program.relations, replace(p.program.relations[0], name="tax.property"))
    ),
    "a limit dropped or added": lambda p: forged(p, "program", limit=1),
    "a key called a figure": lambda p: replace(
        p, program=house.with_table(p.program, outputs=p.program.outputs[::-1])
    ),
    "another image": lambda p: with_boxes(p, image=house.digest("image evil")),
    "another image for one stage": lambda p: replace(
        p, stages=(*p.stages[:2], replace(p.stages[2], image=house.digest("image evil")))
    ),
    "more memory": lambda p: with_boxes(p, limits=replace(p.stages[0].limits, memory_mb=100_000)),
    "a higher tier than asked": lambda p: with_boxes(p, tier=Tier.T2),
    "the identifiers' file as input": lambda p: replace(
        p,
        stages=(
            replace(
                p.stages[0],
                inputs=(Input("income-v1-identifiers.parquet", house.digest("income-v1 identifiers")),),
            ),
            *p.stages[1:],
        ),
    ),
    "one input more": lambda p: replace(
        p,
        stages=(
            replace(
                p.stages[0],
                inputs=(*p.stages[0].inputs, Input("property-v1-attributes.parquet", house.digest("x"))),
            ),
            *p.stages[1:],
        ),
    ),
    "a judge that reads the query's result": lambda p: replace(
        p, stages=(*p.stages[:2], replace(p.stages[2], inputs=p.stages[1].inputs))
    ),
    "a mask more": lambda p: forged(
        p,
        "program",
        relations=(replace(p.program.relations[0], masks=(Mask("region", MaskKind.LAST, "1"),)),),
    ),
    "rows for figures": lambda p: replace(
        p,
        program=house.with_table(
            p.program, Level.ROWS, hidden=0, outputs=(Output("region", "VARCHAR", Role.VALUE, "", 0),)
        ),
    ),
    "a finish more": with_finish,
    "another domain": lambda p: replace(p, domain=house.OTHER_DOMAIN),
}


@pytest.mark.parametrize("stage", [Entry.QUERY, Entry.JUDGE])
@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_78_a_plan_that_claims_something_else_is_refused_at_every_stage(
    keeper: Keeper, plan: Plan, forgery: Any, stage: Entry
) -> None:
    refused(RederivationMismatch, keeper, forgery(plan), stage=stage)


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
def test_78_nor_is_its_output_released(keeper: Keeper, plan: Plan, forgery: Any) -> None:
    other = forgery(plan)
    with pytest.raises((RederivationMismatch, HashMismatch)):
        keeper.release(other, house.chain(house.records(other)))


def sneaky(*more: ColumnUse, statement: str = "select something else") -> Reading:
    """What the owner's own checker finds in another statement than the plan pretends to run."""
    found = house.with_table(house.READING, counted=f"SELECT of {statement}")
    return replace(found, statement=house.statement_digest(statement), uses=(*house.READING.uses, *more))


@pytest.mark.parametrize(
    "more",
    [
        ColumnUse("tax.income", "id_number", Clause.GROUP, ""),
        ColumnUse("tax.income", "income", Clause.GROUP, ""),
        ColumnUse("tax.income", "person", Clause.GROUP, ""),
        ColumnUse("tax.property", "houses", Clause.AGGREGATE, "sum"),
    ],
    ids=["identifier", "income as a group", "person as a group", "a relation without a grant"],
)
def test_78_columns_say_region_and_the_sql_says_otherwise(
    settings: KeeperConfig, granted: Signed, more: ColumnUse
) -> None:
    """The lying centre puts the decision and program of a harmless statement beside a harmful one."""
    harmful = replace(house.REQUEST, statement="select something else", nonce="6" * 32)
    keeper = house.start(settings, checker=house.Checker(house.READING, sneaky(more)))
    house.believe(keeper, *house.house_statements(granted))
    honest = house.plan(keeper.trusted)
    signature = keys.sign_bytes("request", harmful.canonical(), house.key("member"))
    ask(keeper, honest)
    refused(PolicyDenied, keeper, replace(honest, request=harmful, request_signature=signature))


def test_78_a_harmless_statement_with_another_harmless_ones_program_is_refused_too(
    settings: KeeperConfig, granted: Signed
) -> None:
    asked = replace(house.REQUEST, statement="select something else", nonce="6" * 32)
    keeper = house.start(settings, checker=house.Checker(house.READING, sneaky()))
    house.believe(keeper, *house.house_statements(granted))
    signature = keys.sign_bytes("request", asked.canonical(), house.key("member"))
    honest = house.plan(keeper.trusted)
    refused(RederivationMismatch, keeper, replace(honest, request=asked, request_signature=signature))


def test_78_a_statement_is_read_anew_when_a_dataset_has_changed(keeper: Keeper, plan: Plan) -> None:
    """A column that has another type now is counted in another way; an old reading must not stand for it."""
    checker = keeper.readings.reader
    assert isinstance(checker, house.Checker)
    ask(keeper, plan)
    ask(keeper, plan, stage=Entry.PARSE)
    assert checker.asked == 1
    second = house.manifest(version=2)
    columns = tuple(replace(column, type="BIGINT") for column in second.columns)
    keeper.believe(house.signed_manifest(replace(second, columns=columns)))
    refused(RederivationMismatch, keeper, plan)
    assert checker.asked == 2


def test_78_a_dataset_that_changes_while_the_statement_is_read_stops_the_plan(
    settings: KeeperConfig, granted: Signed
) -> None:
    second = house.manifest(version=2)
    columns = tuple(replace(column, type="BIGINT") for column in second.columns)
    meanwhile = house.signed_manifest(replace(second, columns=columns))
    started: list[Keeper] = []

    class Slow(house.Checker):
        def __call__(self, check: Plan, statement: str) -> Reading:
            started[0].believe(meanwhile)
            return super().__call__(check, statement)

    started.append(house.start(settings, checker=Slow()))
    house.believe(started[0], *house.house_statements(granted))
    refused(StateConflict, started[0], house.plan(started[0].trusted))


def test_78_a_plan_of_another_kind_gets_nothing_without_an_order_at_the_desk(
    keeper: Keeper, plan: Plan
) -> None:
    kinds = {PlanKind.INGEST: Entry.INGEST, PlanKind.CHECK: Entry.CHECK, PlanKind.TRIAL: Entry.PYTHON}
    for kind, entry in kinds.items():
        inputs = () if kind.keyless else plan.stages[0].inputs
        box = replace(plan.stages[0], entry=entry, inputs=inputs)
        other = replace(
            plan, kind=kind, request=None, decision=None, program=None, material="{}", stages=(box,)
        )
        refused(NotFound if kind is PlanKind.INGEST else SignatureWrong, keeper, other, stage=entry)


def test_78_an_ordered_ingest_gets_its_keys_until_it_is_over(keeper: Keeper, plan: Plan) -> None:
    box = replace(plan.stages[0], entry=Entry.INGEST)
    ingest = replace(
        plan, kind=PlanKind.INGEST, request=None, decision=None, program=None, material="{}", stages=(box,)
    )
    keeper.expect_ingest(ingest, BoxKeys({}, {"a": "00" * 32}, "11" * 32))
    assert ask(keeper, ingest, stage=Entry.INGEST).lease
    refused(NotFound, keeper, replace(ingest, nonce="6" * 32), stage=Entry.INGEST)
    keeper.forget_ingest(ingest)
    refused(NotFound, keeper, ingest, stage=Entry.INGEST)


# --- 84: who asks, and for whom -----------------------------------------------------


@pytest.mark.parametrize("change", [
    {"recipient": house.opening("attacker").public},
    {"statement": house.SQL + " "},
    {"purpose": "research on wealth"},
    {"project": "wealth"},
    {"member": "wu@nm/uni"},
    {"nonce": "9" * 32},
    {"asked_at": NOW + 1},
])  # fmt: skip
def test_84_whatever_is_changed_in_the_request_breaks_the_members_signature(
    keeper: Keeper, plan: Plan, change: dict[str, Any]
) -> None:
    refused(SignatureWrong, keeper, forged(plan, "request", **change))


def test_84_a_request_signed_with_a_key_of_the_attackers_own_fits_no_grant(
    keeper: Keeper, plan: Plan
) -> None:
    """The centre makes itself keys, names them in the request, and signs."""
    for change in ({}, {"recipient": house.opening("attacker").public}):
        request = replace(house.REQUEST, signer=house.key("attacker").public, **change)
        signature = keys.sign_bytes("request", request.canonical(), house.key("attacker"))
        refused(PolicyDenied, keeper, replace(plan, request=request, request_signature=signature))


def test_84_no_signature_is_no_request(keeper: Keeper, plan: Plan) -> None:
    other_kind = keys.sign_bytes("sign-in", house.REQUEST.canonical(), house.key("member"))
    for signature in ("00" * 64, other_kind):
        refused(SignatureWrong, keeper, replace(plan, request_signature=signature))
    for signature in ("", "zz", plan.request_signature[:-2]):
        with pytest.raises((Malformed, SignatureWrong)):
            ask(keeper, replace(plan, request_signature=signature))


@pytest.mark.parametrize("part", ["plan", "request"])
@pytest.mark.parametrize(
    ("seconds", "allowed"), [(0, True), (-DAY, True), (-DAY - 1, False), (120, True), (121, False)]
)
def test_84_an_old_request_or_one_from_the_future_is_not_run(
    keeper: Keeper, part: str, seconds: int, allowed: bool
) -> None:
    request = replace(house.REQUEST, asked_at=NOW + seconds) if part == "request" else house.REQUEST
    made = house.plan(keeper.trusted, request, made_at=NOW + (seconds if part == "plan" else 0))
    if allowed:
        ask(keeper, made)
    else:
        refused(Outdated, keeper, made)


def test_84_the_release_names_the_recipient_that_the_member_signed(keeper: Keeper, plan: Plan) -> None:
    weighed(keeper, plan)
    release = Release.read(keeper.release(plan, house.chain(house.records(plan))).statement.body)
    assert release.recipient == house.opening("member").public
    assert (release.plan, release.sealed) == (plan.digest, house.verdict(plan).sealed)


# --- 83: files and labels -----------------------------------------------------


@pytest.mark.parametrize("change", [{"person": "region"}, {"grade": Grade.GENERAL_1}, {"persons": 9_000}, {"rows": 1},
                                    {"columns": ()}, {"title": "x"}])  # fmt: skip
def test_83_a_relabelled_manifest_is_another_one_that_nobody_signed(
    keeper: Keeper, plan: Plan, change: dict[str, Any]
) -> None:
    relabelled: Manifest = replace(house.manifest(), **change)
    assert relabelled.digest != house.manifest().digest
    relation = replace(plan.program.relations[0], manifest=relabelled.digest)  # type: ignore[union-attr]
    refused(RederivationMismatch, keeper, forged(plan, "program", relations=(relation,)))
    for signer in ("steward", "approver", "launcher", "stranger"):
        with pytest.raises(SignatureWrong):
            keeper.believe(house.signed_manifest(replace(relabelled, version=2), signer=signer))


def test_83_a_box_that_was_given_another_file_gets_no_key(keeper: Keeper, plan: Plan) -> None:
    """Chunks swapped inside a file, or a file of another version under this name: the launcher's hash tells."""
    found = house.StageInput(house.manifest().attributes.name, house.digest("swapped"))
    refused(HashMismatch, keeper, plan, inputs=(found,))


# --- 60: names that look alike -----------------------------------------------------


@pytest.mark.parametrize("name", ["nm/tax,nm/health", "nm/*", "nm/.*", "nm%2ftax", "NM/tax", "nm/tax/", "/nm/tax",
                                  "nm//tax", "nm/tax\n", "nm/tаx", "nm/tax\0"])  # fmt: skip
def test_60_a_trick_name_is_no_domain_and_no_dataset(name: str) -> None:
    with pytest.raises(Malformed):
        house.roster(domain=name)
    with pytest.raises(Malformed):
        replace(house.GRANT, dataset=f"{name}/income")
    with pytest.raises(Malformed):
        house.manifest(f"{name}/income")


@pytest.mark.parametrize("member", ["*", "lin@*", "lin@nm/uni ", "Lin@nm/uni", "lin@nm/uni/", "lin@nm%2funi",
                                    "lin,wu@nm/uni", "lin@nm/uni\n", ".*@nm/uni", "lin"])  # fmt: skip
def test_60_a_trick_name_is_no_member(member: str) -> None:
    with pytest.raises(Malformed):
        replace(house.GRANT, member=member)
    with pytest.raises(Malformed):
        replace(house.REQUEST, member=member)


def test_60_a_grant_for_a_name_that_begins_alike_serves_nobody_else(settings: KeeperConfig) -> None:
    keeper = house.start(settings)
    for change in ({"member": "lin@nm/uni2"}, {"member": "li@nm/uni"}, {"project": "poverty-2"}):
        house.believe(keeper, *(() if keeper.trusted.roster else house.house_statements()))
        keeper.believe(house.grant(replace(house.GRANT, **change)))
    honest = house.plan(house.trusted(*house.house_statements(house.grant())))
    refused(PolicyDenied, keeper, honest)


# --- 65: stolen things -----------------------------------------------------


def test_65_the_journal_and_the_settings_hold_no_key(
    settings: KeeperConfig, keeper: Keeper, plan: Plan
) -> None:
    ask(keeper, plan)
    weighed(keeper, plan)
    keeper.release(plan, house.chain(house.records(plan)))
    settings.save(settings.home / "settings.json")
    stolen = b"".join(path.read_bytes() for path in settings.home.rglob("*") if path.is_file())
    assert plan.digest.encode() in stolen, "control: the journal was written here"
    secrets = [(settings.keyring / name).read_bytes() for name in ("kek", "sign", "token", "stage")]
    files = [file.name for file in house.manifest().files]
    secrets += [keeper.keyring.data_key(name) for name in files]
    secrets += [keeper.keyring.stage_key(plan.digest, 1, name) for name in ("result.bin", "table.bin")]
    for secret in secrets:
        assert secret not in stolen and secret.hex().encode() not in stolen
