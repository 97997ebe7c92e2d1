"""Who is at every owner: one output that names persons; and registers of enterprises, whose persons are enterprises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside.check import check
from inside.check_joint import check_joint
from plans.errors import DarkroomError, SqlUnsupported
from plans.joint import JointReading, Shape
from plans.joint_shadows import DeclaredColumn, JointShadow
from plans.manifest import Declared
from plans.reading import Level
from policies.reading import read_joint
from tests.inside.sql_cases import create
from tests.policies import joint_meaning
from tests.policies.joint_cases import FROM, REGIONS, SHADOWS, between, joint_shadow, shown
from tests.policies.test_joint_reading import filled, tables


def reading(statement: str) -> JointReading:
    """The reading on which both readers agree."""
    found = read_joint(statement, SHADOWS)
    assert check_joint(statement, SHADOWS, 256) == found
    return found


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (f"select person {FROM}", "person"),
        (f"select h.person as who {FROM}", "who"),
        (f"select (t.person) {FROM}", "person"),
        (
            "select h.id_number as number from health.visits h join tax.income t on h.id_number = t.id_number",
            "number",
        ),
        ("select id_number from health.visits join tax.income using (id_number)", "id_number"),
        ("select t.id_number from health.visits h join tax.income t on h.person = t.person", "id_number"),
    ],
)
def test_one_output_that_names_persons_asks_who_is_everywhere(statement: str, name: str) -> None:
    found = reading(statement)
    assert found.shape is Shape.COMMON
    assert found.outputs == (name,)
    assert not found.sums and not found.figures
    assert all(not portion.groups and not portion.operands for portion in found.portions)
    assert [portion.stand_in for portion in found.portions] == [
        'SELECT count(*) AS figure_0 FROM "health"."visits"', 'SELECT count(*) AS figure_0 FROM "tax"."income"',
    ]  # fmt: skip


def test_a_condition_is_in_the_stand_in_and_the_portion_of_its_own_owner() -> None:
    found = reading(f"select person {FROM} join edu.pupils e using (person) where t.tax > 3 and t.exempt")
    assert [portion.where for portion in found.portions] == ["", '("tax" > 3) AND "exempt"', ""]
    assert [portion.stand_in for portion in found.portions] == [
        'SELECT count(*) AS figure_0 FROM "health"."visits"',
        'SELECT "tax", "exempt" FROM "tax"."income" WHERE ("tax" > 3) AND "exempt"',
        'SELECT count(*) AS figure_0 FROM "edu"."pupils"',
    ]


def test_73_persons_are_found_by_columns_alone_that_the_finders_owner_shows_row_by_row() -> None:
    """Else a column that is for figures only would leave with identifiers, of everybody who is somewhere else, too."""
    common = reading(f"select person {FROM} where t.exempt").portions[1].stand_in
    figures = reading(f"select count(*) {FROM} where t.exempt").portions[1].stand_in
    (income,) = (each.shadow for each in SHADOWS if each.domain == "nm/tax")
    assert check(figures, (income,), 256).level is Level.CELLS  # the control: figures choose by it
    with pytest.raises(SqlUnsupported, match="row-level output"):
        check(common, (income,), 256)
    assert check(common, (shown(income),), 256).level is Level.ROWS


REFUSED = [
    (f"select person, count(*) {FROM}", "row-level output"),
    (f"select person, h.id_number {FROM}", "row-level output"),
    (f"select h.person, t.person {FROM}", "row-level output"),
    (f"select person {FROM} group by person", "no list of values"),
    (f"select distinct person {FROM}", "DISTINCT"),
    (f"select person {FROM} order by person", "ORDER BY"),
    (f"select person {FROM} limit 3", "LIMIT"),
    (f"select income {FROM}", "row-level output"),
    (f"select * {FROM}", "row-level output"),
    (f"select cast(person as varchar) {FROM}", "row-level output, or a function"),
    (f"select person {FROM} where h.days < t.tax", "no place sees the rows of both"),
    (f"select person {FROM} where person = 3", "person token"),
    ("select person from health.visits", "2 to 8 owners"),
    ("select h.person from health.visits h left join tax.income t using (person)", "LEFT JOIN"),
    ("select person from health.visits union select person from tax.income", "UNION is no single SELECT"),
]


@pytest.mark.parametrize(("statement", "reason"), REFUSED)
def test_what_is_more_than_who_is_everywhere_is_refused(statement: str, reason: str) -> None:
    with pytest.raises(DarkroomError) as refused:
        read_joint(statement, SHADOWS)
    assert reason in refused.value.what
    assert refused.value.code in ("sql.unsupported", "sql.syntax")


@settings(max_examples=30, deadline=None)
@given(
    tables(),
    st.lists(st.sampled_from(["days < 5", "(urgent or shift > 1)", "icd is null", "days <> 3"]), max_size=2),
)
def test_the_owners_keys_have_in_common_what_duckdb_joins(
    rows: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]], conditions: list[str]
) -> None:
    statement = f"select h.id_number as k {FROM}" + (
        f" where {' and '.join(conditions)}" if conditions else ""
    )
    found = reading(statement)
    with filled(rows) as database:
        expected = [row[0] for row in database.execute(statement).fetchall()]
        assert joint_meaning.everywhere(database, found) == set(expected)
    assert len(set(expected)) == len(expected)


# ------------------------------------------------------------------------------------------ enterprises

LICENCES = joint_shadow(
    "market.licences",
    "nm/market",
    key="credit_code",
    kind=("VARCHAR", Declared(values=("shop", "factory"))),
)
PAYERS = joint_shadow(
    "tax.payers",
    "nm/tax",
    key="taxpayer",
    region=("VARCHAR", Declared(values=REGIONS)),
    paid=("BIGINT", between("0", "99")),
)
ROWS = (
    [
        (1, "91150100MA0N000018", "shop"),
        (2, "91150100MA0N000026", "factory"),
        (3, "92150100MA0N000034", "shop"),
    ],
    [
        (1, "91150100MA0N000018", "east", 7),
        (3, "92150100MA0N000034", "west", 5),
        (4, "91150100MA0N000042", "east", 90),
    ],
)


@pytest.mark.parametrize("link", ["using (person)", "on l.credit_code = p.taxpayer"])
def test_two_registers_of_enterprises_are_joined_by_the_codes_that_name_them(link: str) -> None:
    tables = f"from market.licences l join tax.payers p {link}"
    statement = f"select kind, sum(paid) as paid, count(*) as n {tables} group by kind"
    both = (LICENCES, PAYERS)
    found = read_joint(statement, both)
    common = read_joint(f"select p.taxpayer {tables}", both)
    assert check_joint(statement, both, 256) == found
    assert [portion.key for portion in found.portions] == ["credit_code", "taxpayer"]
    with duckdb.connect(":memory:") as database:
        for likeness, rows in zip(both, ROWS, strict=True):
            create(database, likeness.shadow, rows)
        cells = joint_meaning.cells(database, found)
        assert {codes[0]: (each["paid"].value, each["n"].value) for codes, each in cells.items()} == {
            "shop": (12, 2), "factory": (0, 0),
        }  # fmt: skip
        assert joint_meaning.everywhere(database, common) == {"91150100MA0N000018", "92150100MA0N000034"}


def _named_by(likeness: JointShadow, code: str) -> JointShadow:
    """A likeness whose owner described which code its key is."""
    return replace(likeness, declared=(*likeness.declared, DeclaredColumn(likeness.key, Declared(code=code))))


@pytest.mark.parametrize(
    ("licences", "payers", "refused"),
    [("uscc", "id18", True), ("uscc", "uscc", False), ("uscc", "", False), ("", "", False)],
)
@pytest.mark.parametrize("asked", ["count(*) as n", "p.taxpayer"])
def test_people_and_enterprises_are_not_joined_where_their_owners_say_which_code_names_them(
    asked: str, licences: str, payers: str, refused: bool
) -> None:
    both = (_named_by(LICENCES, licences), _named_by(PAYERS, payers))
    statement = f"select {asked} from market.licences l join tax.payers p using (person)"
    if not refused:
        assert read_joint(statement, both)
        return
    with pytest.raises(
        SqlUnsupported, match="by different codes: market.licences by uscc, tax.payers by id18"
    ):
        read_joint(statement, both)
