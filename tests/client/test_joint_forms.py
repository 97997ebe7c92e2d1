"""Joint questions without SQL: both readers take what a form writes, and mean by it what its name says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom import joint_forms
from darkroom.joint_asking import Joint
from darkroom.joint_forms import OF_PERSONS, Filled, Form, statement, task
from darkroom.joint_task import Named
from inside.check_joint import check_joint
from plans.errors import DarkroomError, Malformed
from plans.joint import JointReading, JointTask, Measure, ScoreFunction, Shape
from plans.joint_rules import Matching, Opening
from policies.reading import joint_lookup, read_joint
from tests.mpc.compile_cases import DOMAINS
from tests.mpc.form_cases import formed
from tests.mpc.test_statement_to_answer import MANY, answered, plan_of, require_right
from tests.plans import joint_examples
from tests.policies import joint_cases as cases
from tests.policies.test_joint_reading import filled

SHADOWS = (*cases.SHADOWS, *cases.PARTS, *cases.SCORED, *cases.LOOKED_UP)
SERVERS = ("nm/a", "nm/b", "nm/c")
JOINED, PARTS = ("health.visits", "tax.income"), ("east.income", "west.pay")
SCORED, LOOKED_UP = ("bank.applicants", "tax.risk_model"), ("own.cases", "civil.register")

FILLED = {
    Form.INTERSECTION_SIZE: Filled(JOINED, where=("health.visits.icd like 'E11%'",)),
    Form.COMMON: Filled(JOINED, where=("health.visits.days > 3",)),
    Form.CROSS_TABLE: Filled(JOINED, ("health.visits.region", "tax.income.band"), ("tax.income.tax",)),
    Form.CORRELATIONS: Filled(JOINED, columns=("tax.income.tax", "health.visits.days", "health.visits.cost")),
    Form.PRODUCTS: Filled(JOINED, ("health.visits.region",), ("tax.income.tax", "health.visits.days")),
    Form.SUMS: Filled(
        PARTS, ("region=west.pay.area",), ("income=west.pay.wage",), ("east.income.year = 2025", "days < 9")
    ),
    Form.DEVIATIONS: Filled(PARTS, columns=("balance",)),
    Form.SCORES: Filled(SCORED, columns=("=base", "income", "age=debt"), where=("age > 17",)),
    Form.PROBABILITIES: Filled(SCORED, columns=("=base", "income")),
    Form.LOOKUP: Filled(LOOKED_UP, columns=("region", "status"), where=("case_no = 17",), limit=5),
}
"""Every form with something in its blanks."""


def reading(text: str) -> JointReading:
    """The reading on which both readers agree."""
    found = read_joint(text, SHADOWS)
    assert check_joint(text, SHADOWS, 256) == found
    return found


SHAPES = {
    Form.COMMON: Shape.COMMON,
    Form.SUMS: Shape.STACKED,
    Form.DEVIATIONS: Shape.STACKED,
    Form.SCORES: Shape.SCORED,
    Form.PROBABILITIES: Shape.SCORED,
    Form.LOOKUP: Shape.LOOKUP,
}


@pytest.mark.parametrize("form", Form)
def test_both_readers_take_what_a_form_writes_and_find_its_shape(form: Form) -> None:
    found = reading(statement(form, FILLED[form]))
    assert found.shape is SHAPES.get(form, Shape.JOINED)


def test_a_cross_table_is_by_keys_of_each_owner_with_number_total_and_mean() -> None:
    found = reading(statement(Form.CROSS_TABLE, FILLED[Form.CROSS_TABLE]))
    assert found.outputs == ("region", "band", "persons", "tax_rows", "tax_total", "tax_mean")
    assert found.cells == len(cases.REGIONS) * len(cases.BANDS)


def test_correlations_are_of_every_two_columns_and_products_of_those_of_two_owners() -> None:
    every = reading(statement(Form.CORRELATIONS, FILLED[Form.CORRELATIONS]))
    assert every.outputs == ("persons", "tax_days", "tax_cost", "days_cost")
    columns = FILLED[Form.CORRELATIONS].columns
    text = statement(Form.PRODUCTS, replace(FILLED[Form.PRODUCTS], columns=columns))
    products = reading(text)
    assert products.outputs == ("region", "persons", "tax_times_days", "tax_times_cost")
    assert {each.measure for each in products.sums} >= {Measure.PRODUCT}


def test_a_table_in_parts_has_each_holders_own_names_and_conditions() -> None:
    east, west = reading(statement(Form.SUMS, FILLED[Form.SUMS])).portions
    assert "year" in east.where and "year" not in west.where
    assert "days" in east.where and "days" in west.where
    assert [each.groups[0].column for each in (east, west)] == ["region", "area"]
    assert '"income"' in {each.expression for each in east.operands}
    assert '"wage"' in {each.expression for each in west.operands}


@pytest.mark.parametrize(
    ("form", "function", "decimals"),
    [(Form.SCORES, ScoreFunction.LINEAR, 2), (Form.PROBABILITIES, ScoreFunction.LOGISTIC, 4)],
)
def test_a_score_pairs_columns_of_the_rows_with_those_of_the_model(
    form: Form, function: ScoreFunction, decimals: int
) -> None:
    found = reading(statement(form, FILLED[form]))
    assert found.score is not None
    assert (found.score.function, found.score.decimals) == (function, decimals)
    assert found.score.terms[0][0] == -1, "the coefficient that stands alone"
    assert [each.expression for each in found.portions[1].operands][:2] == ['"base"', '"income"']


def test_a_lookup_asks_as_often_as_its_limit_says() -> None:
    found = reading(statement(Form.LOOKUP, FILLED[Form.LOOKUP]))
    assert found.portions[0].bound == 5
    assert [each.column for each in found.portions[1].fields] == ["region", "status"]
    most = replace(FILLED[Form.LOOKUP], limit=joint_lookup.MOST_LOOKUPS)
    assert reading(statement(Form.LOOKUP, most)).portions[0].bound == joint_lookup.MOST_LOOKUPS


# --- what DuckDB says of the same rows -----------------------------------------------------


def asked(form: Form, filled: Filled, **tables: str) -> list[tuple[Any, ...]]:
    """What DuckDB answers to a form over these tables, whose columns are given as a VALUES list."""
    with duckdb.connect() as engine:
        for name, rows in tables.items():
            schema, _, table = name.partition("__")
            engine.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            engine.execute(f"CREATE TABLE {schema}.{table} AS FROM (VALUES {rows}) AS _{columns_of(name)}")
        return list(engine.execute(statement(form, filled)).fetchall())


def columns_of(table: str) -> str:
    """The columns of a made-up table."""
    return {
        "a__x": "(person, kind, size)",
        "b__y": "(person, \"order\", paid)",
        "b__z": "(person, sort, much)",
        "b__m": "(base, size)",
    }[table]  # fmt: skip


A = "(1, 'p', 2), (2, 'p', 3), (3, 'q', 5), (4, 'q', 7)"
B = "(2, 'u', 10), (3, 'u', 20), (4, 'v', 30), (5, 'v', 40)"


def test_the_engine_finds_in_each_form_what_its_name_says() -> None:
    both = Filled(("a.x", "b.y"))
    assert asked(Form.INTERSECTION_SIZE, both, a__x=A, b__y=B) == [(3,)]
    assert sorted(asked(Form.COMMON, both, a__x=A, b__y=B)) == [(2,), (3,), (4,)]
    table = asked(
        Form.CROSS_TABLE, replace(both, by=("a.x.kind", "b.y.order"), columns=("b.y.paid",)), a__x=A, b__y=B
    )
    assert sorted(table) == [
        ("p", "u", 1, 1, 10, 10.0), ("q", "u", 1, 1, 20, 20.0), ("q", "v", 1, 1, 30, 30.0),
    ]  # fmt: skip
    figures = replace(both, columns=("a.x.size", "b.y.paid"))
    assert asked(Form.PRODUCTS, figures, a__x=A, b__y=B) == [(3, 3 * 10 + 5 * 20 + 7 * 30)]
    ((persons, strength),) = asked(Form.CORRELATIONS, figures, a__x=A, b__y=B)
    assert persons == 3 and strength == pytest.approx(1.0)


def test_the_engine_adds_up_parts_scores_rows_and_looks_persons_up() -> None:
    whole = Filled(("a.x", "b.z"), ("kind=b.z.sort",), ("size=b.z.much",), ("size > 2",))
    parts = asked(Form.SUMS, whole, a__x=A, b__z="(1, 'q', 100), (9, 'p', 1)")
    assert sorted(parts) == [("p", 1, 1, 3, 3.0), ("q", 3, 3, 112, pytest.approx(112 / 3))]
    scores = Filled(("a.x", "b.m"), columns=("=base", "size"), where=("kind = 'q'",))
    found = asked(Form.SCORES, scores, a__x=A, b__m="(0.5, 2)")
    assert sorted(map(tuple, ((p, float(s)) for p, s in found))) == [(3, 10.5), (4, 14.5)]
    looked = Filled(("a.x", "b.y"), columns=("order", "paid"), where=("size <= 3",), limit=5)
    assert sorted(asked(Form.LOOKUP, looked, a__x=A, b__y=B)) == [(1, None, None), (2, "u", 10)]


@pytest.mark.parametrize(
    ("form", "opened"),
    [
        (Form.INTERSECTION_SIZE, "persons"),
        (Form.CROSS_TABLE, "tax_mean"),
        (Form.CORRELATIONS, "tax_days"),
        (Form.PRODUCTS, "tax_times_days"),
    ],
)
def test_what_the_recipient_opens_of_a_form_is_what_duckdb_says_of_the_joined_rows(
    form: Form, opened: str
) -> None:
    """From the words of a form to the answer, through all that parties compute, with figures that are opened."""
    plan = plan_of(statement(form, replace(FILLED[form], by=FILLED[form].by[:1])))
    visits, incomes = MANY
    stays = [(*row[:6], 300 + row[6], *row[7:]) for row in visits], incomes
    with filled(stays) as database:
        found, _ = answered(plan, database)
        require_right(plan, database, found)
    assert any(cell[opened] is not None for cell in found.values())


OWNERS = sorted({shadow.domain for shadow in SHADOWS} | set(DOMAINS))
FINDERS = {
    Form.COMMON: "nm/health", Form.SCORES: "nm/bank", Form.PROBABILITIES: "nm/bank", Form.LOOKUP: "nm/own",
}  # fmt: skip
ON_CIPHERTEXTS = (Form.CROSS_TABLE, Form.CORRELATIONS, Form.PRODUCTS)
PLANS = [
    *((form, Named(finder=finder)) for form, finder in FINDERS.items()),
    *((form, Named(("nm/civil", "nm/land", "nm/office"))) for form in Form if form not in OF_PERSONS),
    *((form, Named(inspector="nm/health", collector="nm/tax")) for form in ON_CIPHERTEXTS),
]


@pytest.mark.parametrize(("form", "named"), PLANS, ids=str)
def test_every_form_becomes_a_plan_that_its_parties_may_approve(form: Form, named: Named) -> None:
    parties = tuple(joint_examples.party(domain, place) for place, domain in enumerate(OWNERS))
    plan = formed(task(form, FILLED[form], named), shadows=SHADOWS, parties=parties).plan()
    assert plan.task.statement == statement(form, FILLED[form]) and plan.sights


def test_a_table_in_three_parts_is_added_up_as_ciphertexts() -> None:
    third = replace(cases.EAST, domain="nm/north", shadow=replace(cases.EAST.shadow, relation="north.income"))
    table = replace(FILLED[Form.SUMS], relations=(*PARTS, "north.income"))
    parties = tuple(joint_examples.party(domain, place) for place, domain in enumerate([*OWNERS, "nm/north"]))
    made = task(Form.SUMS, table, Named(inspector="nm/east", collector="nm/office"))
    plan = formed(made, shadows=(*SHADOWS, third), parties=parties).plan()
    assert plan.scheme.reasons and not plan.task.shared


# --- blanks -----------------------------------------------------


WRONG = [
    (Form.COMMON, {"columns": ("tax.income.tax",)}, "no such blank"),
    (Form.LOOKUP, {"limit": 0}, "takes 1 to 100 here"),
    (Form.LOOKUP, {"limit": 101}, "takes 1 to 100 here"),
    (Form.SUMS, {"limit": 3}, "no such blank"),
    (Form.SCORES, {"relations": (*SCORED, "a.x")}, "takes 2 here, and not 3"),
    (Form.CROSS_TABLE, {"relations": ("tax.income",)}, "takes 2 to 8 here"),
    (Form.CROSS_TABLE, {"relations": ("tax.income", "tax.income")}, "named twice"),
    (Form.CROSS_TABLE, {"relations": ("tax.income", "drop table")}, "well-formed relation"),
    (Form.CROSS_TABLE, {"by": ("region",)}, "is no column of a relation that was named"),
    (Form.CROSS_TABLE, {"by": ("health.visits.region",), "columns": ("a.b.c",)}, "is no column of a relation"),
    (Form.CROSS_TABLE, {"by": ('health.visits.re"gion',)}, "well-formed column"),
    (Form.CORRELATIONS, {"columns": ("tax.income.tax",)}, "takes 2 to 100 here, and not 1"),
    (Form.PRODUCTS, {"columns": ("tax.income.tax", "tax.income.income")}, "of two owners"),
    (Form.SUMS, {"by": ("region",), "columns": ("region",)}, "named twice"),
    (Form.SUMS, {"by": (), "columns": (), "where": ()}, "a column at least"),
    (Form.SUMS, {"columns": ("income=north.pay.wage",)}, "is no column of a relation"),
    (Form.SCORES, {"columns": ("income * 2",)}, "well-formed column"),
    (Form.SCORES, {"columns": ("a=b=c",)}, "well-formed column"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "changed", "told"), WRONG)
def test_a_blank_that_is_empty_or_full_of_something_else_is_named(
    form: Form, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(Malformed, match=told):
        statement(form, replace(FILLED[form], **changed))


@pytest.mark.parametrize(
    "condition",
    [
        "health.visits.days > 3 or 1 = 1",
        "health.visits.days > 3) --",
        "health.visits.icd = 'a' group by 1",
        "health.visits.icd = 'it's'",
        "health.visits.icd = 'a\nb'",
        "health.visits.days = (select 1)",
        "health.visits.days",
        "1 = 1",
        "",
    ],
)
def test_a_condition_is_one_comparison_and_nothing_beside_it(condition: str) -> None:
    with pytest.raises(Malformed):
        statement(Form.COMMON, replace(FILLED[Form.COMMON], where=(condition,)))


@pytest.mark.parametrize(
    "condition",
    [
        "health.visits.icd LIKE 'it''s -- union all cross join left join%'",
        "health.visits.days <> -3",
        "health.visits.urgent = true",
        "health.visits.urgent = FALSE",
        "health.visits.cost >= 12.50",
        "health.visits.icd is not  null",
    ],
)
def test_a_condition_stands_in_the_owners_portion_and_changes_no_shape(condition: str) -> None:
    made = task(Form.COMMON, replace(FILLED[Form.COMMON], where=(condition,)), Named(finder="nm/health"))
    assert made.opening is Opening.INTERSECTION
    found = reading(made.statement)
    assert found.portions[0].where and not found.portions[1].where


@pytest.mark.parametrize(
    "condition", ["opened >= date '2025-01-31'", "own.cases.opened is null", "kind <> 'x'"]
)
def test_a_condition_of_who_looks_up_is_about_its_own_rows(condition: str) -> None:
    asker, register = reading(
        statement(Form.LOOKUP, replace(FILLED[Form.LOOKUP], where=(condition,)))
    ).portions
    assert asker.where and not register.where


COMPARED = {
    "EQ",
    "NEQ",
    "LT",
    "LTE",
    "GT",
    "GTE",
    "Like",
    "Is",
    "Not",
    "Null",
    "Neg",
    "Cast",
    "DataType",
    "Literal",
}


def grammar(text: str) -> set[str]:
    """The kinds of nodes in the one statement that a text is."""
    (tree,) = sqlglot.parse(text, read="duckdb")
    assert tree is not None
    return {type(node).__name__ for node in tree.walk()}


PASTED = st.lists(
    st.sampled_from([
        "tax.income.tax", "health.visits.days", "a", "income", " ", "=", "<>", "1", "'", "''", "'x'", '"', ";", "--",
        "/*", ")", "(", ",", "or 1=1", "union all select", "(select max(secret) from own.cases)", "*", "is null",
        "like", "\n",
    ]),
    max_size=6,
).map("".join)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(PASTED, st.sampled_from(list(Form)), st.sampled_from(["relations", "by", "columns", "where"]))
def test_what_is_pasted_into_a_blank_is_a_name_a_value_or_refused_and_never_sql(
    pasted: str, form: Form, blank: str
) -> None:
    known: dict[str, Any] = {blank: (*getattr(FILLED[form], blank)[:-1], pasted)}
    try:
        text = statement(form, replace(FILLED[form], **known))
    except DarkroomError:
        return
    assert grammar(text) <= grammar(statement(form, FILLED[form])) | COMPARED | {"Where", "And", "Alias"}


def test_of_a_statement_with_pasted_sql_the_same_look_finds_it() -> None:
    """The control: what would stand there if a blank took whatever is typed."""
    good = statement(Form.COMMON, FILLED[Form.COMMON])
    for pasted in (" or 1=1", " and 1 = (select max(secret) from own.cases)", " union all select 1"):
        assert not grammar(good + pasted) <= grammar(good) | COMPARED | {"Where", "And", "Alias"}


# --- who takes part, and what is signed -----------------------------------------------------


@pytest.mark.parametrize("form", Form)
def test_what_is_told_of_persons_needs_a_finder_and_figures_have_none(form: Form) -> None:
    finder, servers = Named(finder="nm/own"), Named(SERVERS)
    fits, other = (finder, servers) if form in OF_PERSONS else (servers, finder)
    made = task(form, FILLED[form], fits)
    assert made.statement == statement(form, FILLED[form])
    assert made.opening.of_persons == (form in OF_PERSONS)
    with pytest.raises(Malformed, match="finder"):
        task(form, FILLED[form], other)


@pytest.mark.parametrize("form", [Form.SUMS, Form.DEVIATIONS, Form.PRODUCTS, Form.CROSS_TABLE])
def test_forms_of_sums_are_also_computed_on_ciphertexts(form: Form) -> None:
    made = task(form, FILLED[form], Named(inspector="nm/a", collector="nm/b"))
    parts = form in (Form.SUMS, Form.DEVIATIONS)
    assert (made.servers, made.collector, made.shared) == ((), "nm/b", False)
    assert made.matching is (Matching.NONE if parts else Matching.DIFFIE_HELLMAN)


class Asker(Joint):
    """A connection that remembers what it would sign."""

    def __init__(self) -> None:
        self.asked = list[JointTask]()

    def ask_jointly(self, task: JointTask, **_: str) -> dict[str, Any]:
        self.asked.append(task)
        return {"id": "0" * 20}


def test_a_form_is_signed_only_as_the_statement_that_its_member_gives() -> None:
    room, filled = Asker(), FILLED[Form.LOOKUP]

    def ask(text: str) -> dict[str, Any]:
        return room.ask_form(
            Form.LOOKUP, filled, Named(finder="nm/own"), project="p", purpose="q", statement=text
        )

    with pytest.raises(Malformed, match="that is what you sign") as refused:
        ask("")
    assert room.asked == []
    text = joint_forms.statement(Form.LOOKUP, filled)
    assert repr(text) in str(refused.value)
    ask(text)
    assert [each.statement for each in room.asked] == [text]


DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("form", Form)
def test_every_form_is_in_the_glossary_and_on_its_page_with_its_chinese_name(form: Form) -> None:
    (row,) = [
        line for line in (DOCS / "joint-forms.md").read_text("utf-8").splitlines() if f"| `{form}` |" in line
    ]
    chinese = row.split("|")[2].strip()
    assert f"`{form}` {chinese}" in (DOCS / "glossary.md").read_text("utf-8")
