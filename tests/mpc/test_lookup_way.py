"""Promise: an owner gets what a register has of the few persons it asks for; the register's owner learns not whom."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.lookup import simple_pir
from mpc.lookup.layout import chosen
from mpc.lookup.plan import Plan, Way
from mpc.protocols import looked_up, planning
from mpc.protocols.computation import Records
from plans.errors import EvidenceBroken, KeyRepeated, LinkBroken, Malformed, TooLarge
from plans.joint import Field, JointPlan, JointReading
from tests.mpc.joint_world import Owner, Register, looked_up_plan, run
from tests.mpc.test_uniform_view import LIMIT, Noting, chi_square

COURT, CIVIL = "nm/court", "nm/civil"
FIELDS = (Field("region", "region", "VARCHAR", 12), Field("status", "status", "VARCHAR", 9))
WAYS = pytest.mark.parametrize("hidden", [False, True], ids=["whole", "hidden"])


def register(persons: Any, texts: Any = None, spare: int = 5) -> Register:
    who = np.array(persons, dtype=np.int64)
    made = texts or [(f"区{person % 50}", None if person % 3 else "alive") for person in who.tolist()]
    return Register(CIVIL, who, spare=spare, fields=FIELDS, texts=tuple(made))


def cases(persons: Any, spare: int = 3) -> Owner:
    return Owner(COURT, np.array(persons, dtype=np.int64), spare=spare)


def hide(monkeypatch: pytest.MonkeyPatch, hidden: bool = True) -> None:
    """Have columns asked for without saying which, however small the register is."""
    true = planning.lookups

    def lookups(reading: JointReading) -> Plan:
        plan = true(reading)
        layout = chosen(plan.layout.bound, plan.layout.width)
        return replace(plan, way=Way.HIDDEN, layout=layout, once=layout.hint)

    if hidden:
        monkeypatch.setattr(planning, "lookups", lookups)


def found(joint: JointPlan, owner: Owner, by: Register, **how: Any) -> tuple[Any, ...]:
    """What the finder hands over; the register's owner hands over nothing."""
    went = run(joint, [owner, by], patience=180, **how)
    handed = went.handed[COURT]
    assert isinstance(handed, Records)
    assert went.handed[CIVIL] is None and joint.handing == (COURT,)
    return handed.records


def in_clear(owner: Owner, by: Register) -> tuple[Any, ...]:
    """The same by DuckDB: a left join, with nothing where the register has no such person."""
    connection = duckdb.connect()
    connection.execute("CREATE TABLE r (id BIGINT, region VARCHAR, status VARCHAR)")
    rows = [[int(person), *texts] for person, texts in zip(by.persons, by.texts, strict=True)]
    if rows:
        connection.executemany("INSERT INTO r VALUES (?, ?, ?)", rows)
    table = owner.table(connection)
    joined = connection.execute(
        f"SELECT c.id, r.id IS NOT NULL, region, status FROM {table} c LEFT JOIN r USING (id)"
    ).fetchall()
    by_person = {person: (region, status) if there else None for person, there, region, status in joined}
    return tuple(by_person[int(person)] for person in owner.persons)


@WAYS
def test_records_equal_a_left_join(monkeypatch: pytest.MonkeyPatch, hidden: bool) -> None:
    hide(monkeypatch, hidden)
    owner, by = cases([7, 500, 3, 30, 29]), register(range(60))
    joint = looked_up_plan(owner, by)
    assert found(joint, owner, by) == in_clear(owner, by)
    assert found(joint, owner, by)[1] is None, "absent"


@st.composite
def anybody(draw: st.DrawFn) -> tuple[Owner, Register]:
    text = st.one_of(st.none(), st.text(max_size=3))
    persons = draw(st.lists(st.integers(0, 30), unique=True, max_size=12))
    texts = [(draw(text), draw(text)) for _ in persons]
    asked = draw(st.lists(st.integers(0, 30), unique=True, max_size=6))
    return cases(asked, draw(st.integers(1, 3))), register(persons, texts, draw(st.integers(1, 9)))


@settings(max_examples=12, deadline=None)
@given(anybody())
def test_any_register_and_any_persons(case: tuple[Owner, Register]) -> None:
    owner, by = case
    assert found(looked_up_plan(owner, by), owner, by) == in_clear(owner, by)


def test_a_register_that_is_hidden_by_its_size() -> None:
    """Of a large one, few questions move less than the whole table (`mpc.lookup.plan`)."""
    owner, by = cases([7, 10**6]), register([0], spare=10**6)
    assert planning.lookups(looked_up_plan(owner, by).reading).way is Way.HIDDEN


# --------------------------------------------------------------------------------- what does not go together


def test_what_is_not_the_plans_is_refused_before_anything_is_sent() -> None:
    owner, by = cases([1, 2]), register(range(9))
    joint = looked_up_plan(owner, by)
    ragged = replace(by, fields=(FIELDS[0],), texts=tuple((f"{n}",) for n in range(9)))
    kept: dict[str, list[bytes]] = defaultdict(list)
    for bad, error in (
        (register([1, 2, 3, 2]), KeyRepeated),
        (register(range(15)), TooLarge),
        (ragged, Malformed),
    ):
        with pytest.raises(error):
            run(joint, [owner, bad], wrap=lambda _name, end: Noting(end, kept), patience=180)
    assert kept == {}
    with pytest.raises(TooLarge, match="public number of questions"):
        run(joint, [cases(range(6)), by], patience=180)


# ------------------------------------------------------------------------------------------- what parties see


def heard(owner: Owner, by: Register, coins: bool = False) -> dict[str, dict[str, list[bytes]]]:
    kept: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    drawn = {name: name.encode().ljust(32, b".") for name in (COURT, CIVIL)} if coins else None
    joint = looked_up_plan(owner, by)
    run(joint, [owner, by], wrap=lambda name, end: Noting(end, kept[name]), coins=drawn, patience=180)
    return kept


@WAYS
def test_messages_are_those_of_the_plan_and_as_long_whoever_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, hidden: bool
) -> None:
    """As many questions as the plan says, however many persons there are, and however many rows or letters."""
    hide(monkeypatch, hidden)
    seen = []
    for persons, rows in (((), range(40)), ((3,), range(5)), (range(38, 45), range(40))):
        long = [("x" * 12, "y" * 9)] * len(rows)
        by = register(rows, long if len(rows) == 5 else None, spare=45 - len(rows))
        kept = heard(cases(persons, spare=8 - len(persons)), by)
        seen.append({to: {tag: [*map(len, each)] for tag, each in by.items()} for to, by in kept.items()})
    assert seen[0] == seen[1] == seen[2]
    asked = {"blinded", "opening"} | ({"question"} if hidden else set())
    told = {"table", "once", "committed", "revealed"} | ({"answer"} if hidden else set())
    kinds = {to: {tag.split("lookup/")[1].split("/")[0] for tag in by} for to, by in seen[0].items()}
    assert kinds == {CIVIL: asked, COURT: told}


def questions(persons: Any) -> bytes:
    """All questions that a register receives from one finder, whether or not that gets its answers opened."""
    kept: dict[str, list[bytes]] = defaultdict(list)
    owner, by = cases(persons, spare=30 - len(persons)), register(range(300))
    wrap = lambda name, end: Noting(end, kept) if name == CIVIL else end  # noqa: E731
    with contextlib.suppress(EvidenceBroken):
        joint = looked_up_plan(owner, by)
        coins = {party.domain: party.domain.encode().ljust(32, b".") for party in joint.parties}
        run(joint, [owner, by], wrap=wrap, coins=coins, patience=180)
    return b"".join(kept[f"{COURT}:lookup/question/0"])


def test_95_what_a_register_receives_is_uniform_whoever_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch)
    for persons in ((), (7,), range(30)):
        assert chi_square(questions(persons)) < LIMIT


def test_95_control_without_a_secret_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch)
    monkeypatch.setattr(simple_pir, "combine", lambda *_: None)  # A·s is left out of every question
    assert chi_square(questions((7,))) > LIMIT


def test_of_another_person_nothing_but_its_own_point_is_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the same randomness: so nothing that is sent of one question depends on who the others are for."""
    hide(monkeypatch)
    one, other = (
        heard(cases([person], spare=2), register(range(40)), coins=True)[CIVIL] for person in (3, 4)
    )
    blinded = [
        np.frombuffer(each[f"{COURT}:lookup/blinded/0"][0], dtype=np.uint8).reshape(3, -1)
        for each in (one, other)
    ]
    assert (blinded[0][0] != blinded[1][0]).any() and (blinded[0][1:] == blinded[1][1:]).all()


def test_a_finder_that_is_sent_changed_bytes_ends_and_hands_over_nothing() -> None:
    """ATTACKS 100: a changed table is not a record that is absent."""
    owner, by = cases([1]), register(range(9))

    class Changing(Noting):
        def send(self, peer: str, tag: str, payload: Any) -> None:
            raw = bytearray(payload)
            if tag == "lookup/once/0":
                raw[0] ^= 1
            super().send(peer, tag, raw)

    with pytest.raises((EvidenceBroken, LinkBroken)):
        run(
            looked_up_plan(owner, by), [owner, by], patience=180,
            wrap=lambda name, end: Changing(end, defaultdict(list)) if name == CIVIL else end,
        )  # fmt: skip


def test_who_fills_up_is_nobody_of_the_register() -> None:
    """Filling keys have 32 bytes, and identifiers 16: they are absent for certain."""
    by = register(range(3))
    assert {len(bytes(key)) for key in by.rows().keys} == {16}
    joint = looked_up_plan(cases([], spare=4), by)
    assert looked_up.questions(joint) == 4
    assert found(joint, cases([], spare=4), by) == ()
