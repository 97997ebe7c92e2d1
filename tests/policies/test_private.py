"""What can be private, and what is refused by name: a truth table over statements as both readers find them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from plans.checks import Mode, Privacy
from plans.constraints import ANY, Action, Constraint, Effect, Mask, MaskKind, Reveal, Use
from plans.decision import Outcome
from plans.manifest import Column, Declared, Kind, Manifest
from plans.plan import Program
from plans.private import MOST_ROOM, Measure
from plans.reading import Cells, Contributions, Level, Output, Reading, Role
from plans.request import RequestKind
from policies import api as policies
from policies.private import Asked, price, private_reasons, privately
from tests.keeper import house, private
from tests.plans import examples
from tests.policies.cases import GOOD, PROPERTY_GRANT, granted

PRIVACY = Privacy(rho_micro=1_000_000, period_days=30, most_groups=4, most_rows=2)
OBLIGATIONS = replace(
    policies.decide(GOOD).obligations or pytest.fail("the good case is allowed"),
    mode=Mode.PRIVATE,
    privacy=PRIVACY,
)
COLUMNS = {
    "region": ("VARCHAR", Declared(values=("east", "west", "north"))),
    "income": ("DOUBLE", Declared("0", "250000")),
    "paid": ("DECIMAL(12,2)", Declared("-10.5", "99.99")),
    "age": ("INTEGER", Declared("0", "120")),
    "tax": ("DOUBLE", Declared()),
    "code": ("INTEGER", Declared(values=("01", "2", "x"))),
    "born": ("DATE", Declared(values=("1980-01-01",))),
}


def manifest(**changes: Any) -> Manifest:
    columns = tuple(
        Column(name, kind, "", Kind.PLAIN, 0, declared) for name, (kind, declared) in COLUMNS.items()
    )
    return replace(house.manifest(), columns=columns, **changes)


def key(column: str, name: str = "") -> Output:
    return Output(
        name or column, COLUMNS[column][0], Role.KEY, "", 0, (f"tax.income.{column}",), f"tax.income.{column}"
    )


def figure(function: str, column: str = "", **changes: Any) -> Output:
    argument = f"tax.income.{column}" if column else ""
    found = Output(f"{function}_{column}", "DOUBLE", Role.FIGURE, function, 0, (), argument)
    return replace(found, **changes)


COUNT = figure("count")
PERSONS = figure("count", "person", distinct=True)


def asked(
    *outputs: Output, spend_micro: int = 0, masked: frozenset[str] = frozenset(), **changes: Any
) -> Asked:
    table = Cells("SELECT 1", outputs, 1, Contributions("SELECT 1", ()), alone=True)
    table = replace(
        table, **{name: changes.pop(name) for name in ("alone", "contributions") if name in changes}
    )
    reading: Reading = replace(house.READING, tables=(table,), outputs=outputs)
    return Asked(replace(reading, **changes), spend_micro, (manifest(),), masked)


def rules(question: Asked, **changes: Any) -> list[str]:
    return [reason.rule for reason in private_reasons(question, replace(OBLIGATIONS, **changes))]


def made(question: Asked, privacy: Privacy = PRIVACY) -> Any:
    reading = question.reading
    program = Program((), reading.level, reading.tables, "", reading.outputs, (), None)
    return privately(program, question, privacy)


# --- what is refused, by name -----------------------------------------------------


@pytest.mark.parametrize(
    "outputs",
    [
        (COUNT,), (PERSONS,), (key("region"), COUNT), (figure("sum", "income"), figure("avg", "paid")),
        (key("tax"), figure("count", "tax")), (key("born"), COUNT),
    ],
)  # fmt: skip
def test_counts_sums_and_means_of_declared_columns_can_be_private(outputs: tuple[Output, ...]) -> None:
    assert rules(asked(*outputs)) == []


@pytest.mark.parametrize(
    ("output", "rule"),
    [
        (figure("sum", "tax"), "private-bounds"),
        (figure("avg", "region"), "private-bounds"),
        (figure("sum"), "private-bounds"),  # of something computed
        (figure("max", "income"), "private-figure"),
        (figure("median", "income"), "private-figure"),
        (figure("stddev", "income"), "private-figure"),
        (figure("ratio"), "private-figure"),
        (figure("count", "region", distinct=True), "private-figure"),
    ],
)
def test_what_nothing_bounds_is_refused_by_name_with_what_to_do(output: Output, rule: str) -> None:
    (reason,) = private_reasons(asked(key("region"), output), OBLIGATIONS)
    assert (reason.rule, reason.subject) == (rule, output.name)
    assert reason.help and reason.sentence


def test_bounds_of_a_masked_column_are_those_of_other_values() -> None:
    question = asked(figure("sum", "income"), masked=frozenset({"tax.income.income"}))
    assert rules(question) == ["private-bounds"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"alone": False}, "private-shape"),
        ({"contributions": None}, "private-shape"),
        ({"finish": "SELECT 1", "outputs": (Output("m", "BIGINT", Role.DERIVED, "", 0),)}, "private-shape"),
    ],
)
def test_so_is_an_answer_of_another_shape(changes: dict[str, Any], rule: str) -> None:
    assert rules(asked(COUNT, **changes)) == [rule]


def test_so_are_rows() -> None:
    row = Output("region", "VARCHAR", Role.VALUE, "", 0)
    table = Cells("SELECT region", (row,), 0)
    question = asked(COUNT)
    rows = replace(question.reading, level=Level.ROWS, tables=(table,), outputs=(row,))
    assert rules(replace(question, reading=rows)) == ["private-rows"]


def test_so_are_more_combinations_of_public_keys_than_may_leave() -> None:
    question = asked(key("region"), key("region", "again"), COUNT)
    assert rules(question, largest_result=27) == []
    assert rules(question, largest_result=26) == ["private-cells"]


def test_so_is_a_price_that_nobody_may_spend_alone() -> None:
    assert rules(asked(COUNT, spend_micro=PRIVACY.rho_micro // 2)) == []
    assert rules(asked(COUNT, spend_micro=PRIVACY.rho_micro // 2 + 1)) == ["private-spend"]


def test_so_is_what_an_owner_wants_behind_several_enterprises() -> None:
    """The noise hides one person: forty persons of one enterprise tell about it all the same."""
    assert rules(asked(COUNT), checks=replace(OBLIGATIONS.checks, enterprises=2)) == ["private-enterprises"]
    assert rules(asked(COUNT), checks=replace(OBLIGATIONS.checks, enterprises=0)) == []


def test_all_reasons_speak() -> None:
    question = asked(figure("sum", "tax"), figure("max", "age"), spend_micro=10**7)
    assert rules(question) == ["private-bounds", "private-figure", "private-spend"]


# --- what runs -----------------------------------------------------


def test_noise_follows_from_bounds_and_price() -> None:
    """sigma^2 = groups * bound^2 * figures / (2 * rho), rounded up."""
    found = made(asked(key("region"), COUNT, figure("sum", "age"), spend_micro=50_000))
    assert [(part.measure, part.low, part.high) for part in found.parts] == [
        (Measure.ROWS, 0, 2), (Measure.TOTAL, 0, 240),
    ]  # fmt: skip
    for part in found.parts:
        exact = (Decimal(4) * part.largest**2 * 2 / (2 * Decimal("0.05"))).sqrt()
        assert exact < Decimal(part.scale) < exact * Decimal("1.00001")


def test_a_statement_without_groups_has_one_cell_and_noise_for_one() -> None:
    one, four = made(asked(COUNT)), made(asked(key("region"), COUNT))
    assert (one.most_groups, four.most_groups) == (1, 4)
    assert Decimal(four.parts[0].scale) / Decimal(one.parts[0].scale) == pytest.approx(
        Decimal(2), rel=Decimal("0.001")
    )


def test_the_same_number_is_paid_for_once() -> None:
    found = made(asked(figure("avg", "age"), figure("sum", "age"), figure("count", "age"), COUNT, PERSONS))
    assert len(found.parts) == 4, "rows and total of age, all rows, persons"
    assert len(made(asked(key("tax"), PERSONS)).parts) == 1, (
        "the threshold looks at the same number of persons"
    )


@pytest.mark.parametrize(
    ("column", "unit", "low", "high"),
    [("age", "1", 0, 240), ("paid", "0.01", -2_100, 19_998), ("income", "0.1", 0, 5_000_000)],
)
def test_units_are_as_fine_as_the_type_and_as_coarse_as_the_range(
    column: str, unit: str, low: int, high: int
) -> None:
    (part,) = made(asked(figure("sum", column))).parts
    assert (part.unit, part.low, part.high) == (unit, low, high)


def test_keys_are_public_only_if_all_of_them_are_declared_in_one_spelling() -> None:
    assert made(asked(key("region"), COUNT)).lists == (("east", "north", "west"),)
    assert made(asked(key("code"), COUNT)).lists == (("1", "2"),)
    for outputs in ((key("region"), key("tax"), COUNT), (key("born"), COUNT)):
        found = made(asked(*outputs))
        assert found.lists == () and found.threshold > found.floor > 0
        assert found.parts[found.persons].measure is Measure.PERSONS


def test_a_masked_key_is_not_public() -> None:
    assert made(asked(key("region"), COUNT, masked=frozenset({"tax.income.region"}))).lists == ()


@pytest.mark.parametrize("persons", [1, 1_000, 15_000, 10_000_000])
def test_whatever_the_data_are_what_is_handed_over_fits(persons: int) -> None:
    question = replace(asked(key("tax"), COUNT), manifests=(manifest(persons=persons),))
    found = made(question)
    assert persons * PRIVACY.most_groups // found.floor * (1 + len(found.parts)) <= MOST_ROOM


def test_a_request_without_a_price_costs_a_twentieth_and_something() -> None:
    assert price(PRIVACY, 0) == 50_000 and price(PRIVACY, 7) == 7
    assert price(replace(PRIVACY, rho_micro=3), 0) == 1


# --- the decision -----------------------------------------------------

PRIVATE = replace(
    GOOD,
    reading=private.READING,
    manifests=(private.manifest(), house.manifest(house.PROPERTY)),
    bundle=replace(GOOD.bundle, policies=(private.POLICY, house.PROPERTY_POLICY)),
)


def with_rules(*rules: Constraint, **changes: Any) -> policies.Case:
    policy = replace(private.POLICY, constraints=rules, **changes)
    return replace(PRIVATE, bundle=replace(GOOD.bundle, policies=(policy, house.PROPERTY_POLICY)))


def noised(column: str, *uses: Use, functions: tuple[str, ...] = ()) -> Constraint:
    everybody = ((ANY,), (ANY,), (ANY,))
    return Constraint(column, Effect.ALLOW, *everybody, 0, uses, functions, Reveal.NOISED)


NOISED = (noised("region", Use.GROUP), noised("income", Use.AGGREGATE, functions=("avg", "sum")))


def test_what_leaves_with_noise_only_is_enough_here_and_nowhere_else() -> None:
    assert policies.decide(with_rules(*NOISED)).outcome is Outcome.ALLOW
    exact = policies.decide(with_rules(*NOISED, mode=Mode.RULES, privacy=None))
    assert {reason.rule for reason in exact.reasons} == {"column-noised"}


def test_a_use_that_nobody_allows_is_refused_here_too() -> None:
    denied = policies.decide(with_rules(NOISED[0]))
    assert [reason.rule for reason in denied.reasons] == ["column-use"]


def test_a_mask_takes_the_declared_bounds_away() -> None:
    mask = Mask("income", MaskKind.BUCKET, "1000")
    rule = replace(NOISED[1], mask=mask, reveal=Reveal.MASKED)
    denied = policies.decide(with_rules(NOISED[0], rule))
    assert [reason.rule for reason in denied.reasons] == ["private-bounds"]


def test_both_sides_derive_the_same_noise() -> None:
    program = policies.program_of(PRIVATE)
    assert program.private is not None and program.private.datasets == (house.INCOME,)
    assert policies.program_of(PRIVATE).canonical() == program.canonical()
    assert policies.program_of(GOOD).private is None


def beside(mode: Mode, person: str) -> policies.Case:
    """The private case, joined with another dataset that is about persons or about nobody."""
    budget = PRIVACY if mode is Mode.PRIVATE else None
    policy = replace(house.PROPERTY_POLICY, mode=mode, privacy=budget)
    other = house.manifest(house.PROPERTY)
    if not person:
        plain = tuple(column for column in other.columns if column.kind is not Kind.IDENTIFIER)
        files = tuple(file for file in other.files if file is other.attributes)
        other = replace(other, person="", persons=0, columns=plain, files=files)
    reading = replace(private.READING, relations=("tax.income", "tax.property"))
    return replace(
        PRIVATE,
        reading=reading,
        manifests=(private.manifest(), other),
        bundle=replace(GOOD.bundle, policies=(private.POLICY, policy)),
        grants=(granted(), granted(PROPERTY_GRANT, "other grant")),
    )


def test_what_is_private_and_what_is_exact_do_not_go_together() -> None:
    denied = policies.decide(beside(Mode.RULES, "id_number"))
    assert [reason.rule for reason in denied.reasons] == ["two-modes"]
    both = policies.decide(beside(Mode.PRIVATE, "id_number"))
    assert both.outcome is Outcome.ALLOW and both.obligations and both.obligations.privacy


def test_reference_data_have_no_mode_of_their_own_and_pay_nothing() -> None:
    case = beside(Mode.RULES, "")
    decision = policies.decide(case)
    assert decision.outcome is Outcome.ALLOW and decision.obligations is not None
    assert decision.obligations.mode is Mode.PRIVATE and decision.obligations.privacy == private.PRIVACY
    program = policies.program_of(case)
    assert program.private is not None and program.private.datasets == (house.INCOME,)


@pytest.mark.parametrize("kind", [RequestKind.PYTHON, RequestKind.COMPONENT])
def test_no_program_reads_a_private_dataset(kind: RequestKind) -> None:
    policy = replace(
        private.POLICY,
        constraints=(policies.short("income", ("model",)),),
        access=(replace(house.EVERYBODY, actions=(Action.TRAIN,)),),
    )
    work = replace(
        house.READING, level=Level.WORK, uses=(), functions=(), tables=(), outputs=(), order=(), limit=None
    )
    task = examples.PYTHON_TASK if kind is RequestKind.PYTHON else examples.COMPONENT_TASK
    case = replace(
        PRIVATE,
        request=replace(GOOD.request, kind=kind, statement=task.canonical().decode()),
        reading=work,
        bundle=replace(GOOD.bundle, policies=(policy, house.PROPERTY_POLICY)),
    )
    assert "private-code" in {reason.rule for reason in policies.decide(case).reasons}
    exact = replace(policy, mode=Mode.RULES, privacy=None)
    control = replace(case, bundle=replace(GOOD.bundle, policies=(exact, house.PROPERTY_POLICY)))
    assert policies.decide(control).outcome is Outcome.ALLOW
