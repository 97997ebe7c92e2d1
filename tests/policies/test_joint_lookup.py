"""Hidden lookups: what is read, what it means beside DuckDB, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside.check import check
from inside.check_joint import check_joint
from plans.errors import DarkroomError, SqlUnsupported
from plans.joint import JointReading, Shape
from plans.joint_shadows import JointShadow
from plans.reading import Level
from policies.reading import read_joint
from tests.inside.sql_cases import create
from tests.policies import joint_meaning
from tests.policies.joint_cases import CASES, LOOKED_UP, LOOKUP, MODEL, RECORD, REGISTER, shown


def reading(statement: str, shadows: tuple[JointShadow, ...]) -> JointReading:
    """The reading on which both readers agree."""
    found = read_joint(statement, shadows)
    assert check_joint(statement, shadows, 256) == found
    return found


def test_a_lookup_asks_for_so_many_persons_and_for_fields_of_a_width_that_everybody_knows() -> None:
    found = reading(RECORD, LOOKED_UP)
    asked, register = found.portions
    assert (found.shape, found.outputs) == (Shape.LOOKUP, ("person", "region", "s", "fee"))
    assert (asked.bound, asked.where, register.where, register.bound) == (5, '("case_no" = 17)', "", 1_000)
    assert [(each.name, each.column, each.type, each.width) for each in register.fields] == [
        ("region", "region", "VARCHAR", 4), ("s", "status", "VARCHAR", 64), ("fee", "fee", "DECIMAL(6,2)", 9),
    ]  # fmt: skip
    assert not asked.fields and not asked.operands and not register.operands


def test_the_register_is_asked_for_rows_and_so_is_the_seeker_for_what_it_chooses_them_by() -> None:
    asked, register = reading(RECORD, LOOKED_UP).portions
    assert asked.stand_in == 'SELECT "case_no" FROM "own"."cases" WHERE ("case_no" = 17)'
    anybody, _ = reading(RECORD.replace("where c.case_no = 17", ""), LOOKED_UP).portions
    assert anybody.stand_in == 'SELECT count(*) AS figure_0 FROM "own"."cases"'
    assert register.stand_in == 'SELECT "region", "status", "fee" FROM "civil"."register"'
    assert check(register.stand_in, (shown(REGISTER.shadow),), 256).level is Level.ROWS
    with pytest.raises(SqlUnsupported, match="row-level output"):
        check(register.stand_in, (REGISTER.shadow,), 256)


@pytest.mark.parametrize(
    "statement",
    [
        "select c.id_number, region from own.cases c left join civil.register r on r.id_number = c.id_number limit 100",
        "select person as who, r.alive as here from own.cases left outer join civil.register r using (person) limit 1",
        "select id_number, since from own.cases left join civil.register using (id_number) limit 7",
        "select c.person, region from own.cases c left join civil.register r on c.person = r.person limit 3",
    ],
)
def test_every_way_to_name_the_person_is_read(statement: str) -> None:
    assert len(reading(statement, LOOKED_UP).outputs) == 2


ASK = "select c.person, r.region "
SMALL_OWN = replace(REGISTER, domain="nm/own")
LONG = replace(
    REGISTER,
    declared=(
        replace(REGISTER.declared[0], declared=replace(REGISTER.declared[0].declared, values=("x" * 201,))),
    ),
)
NOT_LOOKED_UP = [
    (ASK + LOOKUP, LOOKED_UP, "LIMIT does not say how many"),
    (ASK + LOOKUP + " limit 0", LOOKED_UP, "from 1 to 100"),
    (ASK + LOOKUP + " limit 101", LOOKED_UP, "from 1 to 100"),
    (ASK + LOOKUP + " limit '5'", LOOKED_UP, "from 1 to 100"),
    (ASK + LOOKUP + " limit 2 + 3", LOOKED_UP, "from 1 to 100"),
    (ASK + LOOKUP + " limit 10%", LOOKED_UP, "LIMIT"),
    (ASK + LOOKUP + " fetch first 5 rows only", LOOKED_UP, "FETCH"),
    (ASK + LOOKUP + " limit 5 offset 2", LOOKED_UP, "OFFSET"),
    (ASK + LOOKUP + " order by 1 limit 5", LOOKED_UP, "ORDER BY"),
    (ASK + LOOKUP + " group by 1, 2 limit 5", LOOKED_UP, "row by row"),
    (ASK + LOOKUP + " where r.status = 'x' limit 5", LOOKED_UP, "a condition on civil.register"),
    (ASK + LOOKUP + " where r.region is null limit 5", LOOKED_UP, "a condition on civil.register"),
    (ASK + LOOKUP + " where c.kind = r.region limit 5", LOOKED_UP, "no place sees the rows of both"),
    ("select person " + LOOKUP + " limit 5", LOOKED_UP, "no column of the register"),
    ("select r.person, r.region " + LOOKUP + " limit 5", LOOKED_UP, "the first output is not"),
    ("select r.region, c.person " + LOOKUP + " limit 5", LOOKED_UP, "the first output is not"),
    ("select c.person, c.kind " + LOOKUP + " limit 5", LOOKED_UP, "own.cases.kind is a column of the rows"),
    ("select c.person, r.id_number " + LOOKUP + " limit 5", LOOKED_UP, "names persons"),
    ("select c.person, upper(r.region) " + LOOKUP + " limit 5", LOOKED_UP, "a column as it stands"),
    ("select c.person, r.region, r.region as x " + LOOKUP + " limit 5", LOOKED_UP, "looked up twice"),
    ("select c.person, r.* " + LOOKUP + " limit 5", LOOKED_UP, "a column as it stands"),
    ("select c.person, r.span " + LOOKUP + " limit 5", LOOKED_UP, "no texts of 1 to 200 bytes"),
    (ASK + LOOKUP + " limit 5", (CASES, LONG), "no texts of 1 to 200 bytes"),
    (ASK + LOOKUP + " limit 5", (CASES, SMALL_OWN), "two relations are of nm/own"),
    (ASK + LOOKUP.replace("using (person)", "on c.kind = r.status") + " limit 5", LOOKED_UP, "not the column that"),
    (ASK + LOOKUP.replace("left", "right") + " limit 5", LOOKED_UP, "LIMIT"),
    (ASK + LOOKUP.replace("left ", "") + " limit 5", LOOKED_UP, "LIMIT is not in the subset"),
    ("select c.person, m.base from own.cases c left join tax.risk_model m on c.case_no = m.debt limit 5",
     (CASES, MODEL), "about nobody"),
    ("select count(*) " + LOOKUP, LOOKED_UP, "LEFT JOIN is not in the subset"),
    (ASK + LOOKUP + " where c.id_number = '150102198001019999' limit 5", LOOKED_UP, "would read who is asked for"),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "shadows", "reason"), NOT_LOOKED_UP)
def test_what_is_more_than_a_lookup_is_refused(
    statement: str, shadows: tuple[JointShadow, ...], reason: str
) -> None:
    with pytest.raises(DarkroomError) as refused:
        read_joint(statement, shadows)
    assert reason in refused.value.what
    assert refused.value.code in ("sql.unsupported", "sql.syntax")


PERSON = st.integers(0, 9)
CENTS = st.integers(0, 99_00).map(lambda number: Decimal(number).scaleb(-2))


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(PERSON, st.tuples(st.integers(16, 18), st.none(), st.none()), max_size=9),
    st.dictionaries(
        PERSON,
        st.tuples(
            st.sampled_from(["east", "west"]), st.none() | st.sampled_from(["", "in", "出"]), st.none(),
            st.none() | CENTS, st.booleans(), st.none(),
        ),
    ),
)  # fmt: skip
def test_the_portions_have_what_duckdbs_left_join_has(
    cases: dict[int, tuple[Any, ...]], register: dict[int, tuple[Any, ...]]
) -> None:
    statement = RECORD.replace("c.person", "c.id_number").replace("limit 5", "limit 100")
    found = reading(statement, LOOKED_UP)
    asked, told = found.portions
    with duckdb.connect(":memory:") as database:
        create(database, CASES.shadow, [(n, f"id{n}", *each) for n, each in cases.items()])
        create(database, REGISTER.shadow, [(n, f"id{n}", *each) for n, each in register.items()])
        expected = sorted(database.execute(statement).fetchall(), key=str)
        fields = ", ".join(f'"{field.column}"' for field in told.fields)
        records = {
            row[0]: row[1:]
            for row in database.execute(f"SELECT {told.key}, {fields} FROM {told.relation}").fetchall()
        }
        absent = (None,) * len(told.fields)
        keys = joint_meaning.portion_rows(database, asked)
        assert sorted(((key, *records.get(key, absent)) for key in keys), key=str) == expected
        printed = ", ".join(f'max(strlen(CAST("{field.column}" AS VARCHAR)))' for field in told.fields)
        longest = database.execute(f"SELECT {printed} FROM {told.relation}").fetchone() or ()
    assert all((size or 0) <= field.width for size, field in zip(longest, told.fields, strict=True))
