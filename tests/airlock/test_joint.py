"""What an inspector lets out of a joint computation: the rules of all owners, cell by cell, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock.joint import judge_joint
from airlock.rounding import digits
from airlock.rules import Stamp, Table, judge
from plans.checks import Checks, Mode, Privacy
from plans.decision import Obligations, Outcome, Reason
from plans.errors import Malformed, OutputRefused, PolicyDenied
from plans.joint import JointFigure
from plans.joint_guards import thresholds
from plans.reading import Output, Role
from plans.released import SUPPRESSED
from tests.airlock.joint_cases import (
    CAP,
    FIGURES,
    MAGNITUDE,
    NO_RULES,
    PRESENT,
    ROWS,
    SALT,
    SQUARE,
    TOTAL,
    Case,
    allowed,
    column,
)
from tests.plans import examples

ONE_CELL = Case(sizes=())


def left(case: Case, *cells: Any) -> Any:
    return judge_joint(case.plan(), case.sums(cells), SALT)


# --------------------------------------------------------------------------------- large groups: DuckDB and the rules


@pytest.mark.parametrize("base", [1, 5, 10])
def test_large_groups_leave_as_duckdb_and_the_rules_for_one_owner_make_them(base: int) -> None:
    """The oracle: DuckDB over rows in clear, then the airlock of ordinary statements."""
    rng = random.Random(base)
    case = Case(sizes=(3, 4), base=base, decimals=2)
    cells = [
        [rng.randrange(CAP) if rng.random() < 0.9 else None for _ in range(rng.randrange(50, 400))]
        for _ in case.codes()
    ]
    database = duckdb.connect()
    database.execute("CREATE TABLE t (key0 VARCHAR, key1 VARCHAR, income DECIMAL(12,2))")
    rows = [
        (*key, None if value is None else Decimal(value) / 100)
        for key, people in zip(case.codes(), cells, strict=True)
        for value in people
    ]
    listed = ", ".join(f"('{a}', '{b}', {'NULL' if value is None else value})" for a, b, value in rows)
    database.execute(f"INSERT INTO t VALUES {listed}")
    found = database.execute(
        "SELECT key0, key1, count(*), sum(income)::VARCHAR, avg(income)::VARCHAR, stddev_samp(income)::VARCHAR,"
        " count(*), count(income) FROM t GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    outputs = [Output(name, "VARCHAR", Role.KEY, "", 0) for name in ("key0", "key1")] + [
        Output("n", "BIGINT", Role.FIGURE, "count", 0),
        Output("total", "DECIMAL(38,2)", Role.FIGURE, "sum", 1),
        Output("mean", "DOUBLE", Role.FIGURE, "avg", 1),
        Output("spread", "DOUBLE", Role.FIGURE, "stddev", 1),
    ]
    demanded = replace(
        examples.OBLIGATIONS,
        minimum_group=10,
        rounding=base,
        largest_result=10_000,
        checks=examples.NO_DOMINANCE,
    )
    plain = judge(
        Table(tuple(found)),
        examples.direct(tuple(outputs), 2, (), None),
        demanded,
        Stamp(examples.digest("0"), SALT),
    )
    assert plain.released is not None
    released = left(case, *cells)
    assert set(released.rows) == set(plain.released.rows)
    assert [(each.name, each.type) for each in released.columns[2:]] == [
        ("n", "BIGINT"), ("total", "DECIMAL(38,2)"), ("mean", "DOUBLE"), ("spread", "DOUBLE")
    ]  # fmt: skip


def test_there_is_a_row_for_every_cell_and_nobody_is_like_too_few() -> None:
    case = Case(sizes=(3,))
    released = left(case, [5] * 10, [5] * 9, [])
    assert [row[0].v for row in released.rows] == ["c0", "c1", "c2"]
    assert column(released, "n") == ["10", "…", "…"]
    assert released.rows[1][1:] == released.rows[2][1:] == (SUPPRESSED,) * 4
    assert (released.plan, released.salt) == (case.plan().digest, SALT)


# ----------------------------------------------------------------------------------------------------- every test


@pytest.mark.parametrize(
    ("people", "n", "total"),
    [
        ([500] * 10, "10", "5000"),
        ([500] * 9 + [None], "10", "…"),
        ([500] * 9, "…", "…"),
        ([None] * 12, "12", "…"),
    ],
)
def test_a_figure_rests_on_persons_who_have_a_value(people: Any, n: str, total: str) -> None:
    released = left(ONE_CELL, people)
    assert (column(released, "n"), column(released, "total")) == ([n], [total])


@pytest.mark.parametrize(("total", "shown"), [(2_223, "2200"), (2_222, "…")])
def test_a_total_is_tested_by_public_caps_and_not_by_what_persons_add(total: int, shown: str) -> None:
    """Two persons of the cap, 1,000 each, are at most 90 percent of 2,222.2… and more."""
    case = replace(ONE_CELL, dominance=90)
    released = judge_joint(case.plan(), [[50], [50], [total], [10**6], [total]], SALT)
    assert column(released, "total") == [shown]
    assert column(released, "n") == ["50"], "numbers of persons have no dominance"


def test_a_total_of_both_signs_is_tested_by_its_magnitude() -> None:
    case = replace(ONE_CELL, low=-CAP, dominance=50)
    assert (MAGNITUDE, 4 * CAP) in thresholds(case.plan(), FIGURES[1])
    assert column(left(case, [400, -400] * 5), "total") == ["0"]
    assert column(left(case, [399, -400] * 5), "total") == ["…"]


@pytest.mark.parametrize(("persons", "shown"), [(29, "…"), (30, "30")])
def test_of_one_table_in_parts_a_person_may_be_every_holders(persons: int, shown: str) -> None:
    """With noise there are three times as many; else each of the three parts has ten, and one of nine keeps all back.
    The control: rows of one holder are persons, and ten are enough.
    """
    figures = (JointFigure("n", "count", (ROWS,), ROWS),)
    case = replace(ONE_CELL, holders=3, figures=figures)
    assert column(left(case, [5] * persons), "n") == [shown]
    assert column(left(replace(case, noise_micro=10**6), [5] * persons), "n") == [shown]
    assert column(left(replace(case, holders=1), [5] * persons), "n") == [str(persons)]


PARTS = replace(ONE_CELL, holders=3, figures=FIGURES[:3])
FULL, MISSING = [500] * 10, [None] * 10


@pytest.mark.parametrize(
    ("third", "shown"),
    [
        ([], ["…", "…", "…"]),
        (FULL, ["30", "15000", "500"]),
        (FULL[:9], ["…", "…", "…"]),
        (MISSING, ["30", "…", "…"]),
        ([*MISSING, 5], ["31", "…", "…"]),
    ],
    ids=["empty", "ten", "nine", "without values", "one value"],
)
def test_29_a_part_that_fails_by_itself_keeps_the_figure_back(third: Any, shown: list[str]) -> None:
    """So does an empty one: told apart from one of a single row, a condition would ask whether that person is there."""
    released = judge_joint(PARTS.plan(), PARTS.sums_of_parts([[FULL], [FULL], [third]]), SALT)
    assert [column(released, figure.name)[0] for figure in PARTS.figures] == shown
    enough = judge_joint(PARTS.plan(), PARTS.sums_of_parts([[FULL * 9], [FULL * 9], [third]]), SALT)
    assert (column(enough, "total") == ["…"]) is (shown[1] == "…"), "however large the others are"


def test_29_control_where_holders_say_nothing_the_figure_leaves() -> None:
    plan, sums = PARTS.plan(), PARTS.sums_of_parts([[FULL], [FULL], [[7]]])
    assert column(judge_joint(plan, sums, SALT), "n") == ["…"]
    said = [*sums[: len(plan.reading.sums)], *([3] for _ in plan.reading.figures)]
    assert column(judge_joint(plan, said, SALT), "n") == ["21"], "less two known parts: one person"


def test_who_is_left_out_by_a_case_is_tested_too() -> None:
    rest = replace(FIGURES[1], rest=(PRESENT,))
    case = replace(ONE_CELL, figures=(rest,))
    sums = [[50], [9], [5_000], [10**6], [5_000]]
    assert column(judge_joint(case.plan(), sums, SALT), "total") == ["…"]
    persons = replace(case, figures=(replace(rest, persons=ROWS, rest=()),))
    assert column(judge_joint(persons.plan(), sums, SALT), "total") == ["5000"], "the control"


def test_zeros_stay_back_where_an_owner_asks_for_it() -> None:
    """The cap is 0 here, so that no test of dominance does it: nobody can add anything."""
    figure = replace(FIGURES[1], persons=ROWS)
    case = Case(sizes=(), cap=0, figures=(figure,), checks=replace(NO_RULES, zeros=True))
    assert column(left(case, [0] * 20), "total") == ["…"]
    assert column(left(replace(case, checks=NO_RULES), [0] * 20), "total") == ["0"]


def test_the_strictest_of_all_owners_holds() -> None:
    """The other owner demands rounding to 5 and no dominated totals; the first one demands nothing."""
    case = Case(sizes=())
    plan = case.plan()
    strict = Obligations(1, 5, 10_000, examples.OBLIGATIONS.tier, NO_RULES)
    both = (plan.decisions[0], replace(plan.decisions[1], decision=allowed(strict)))
    sums = case.sums([[7] * 123])
    assert column(judge_joint(plan, sums, SALT), "n") == ["123"]
    assert column(judge_joint(replace(plan, decisions=both), sums, SALT), "n") == ["125"]


# ------------------------------------------------------------------------------------------------------ figures


@given(st.lists(st.integers(-CAP, CAP), min_size=10, max_size=300), st.sampled_from([2, 5, 10, 100]))
def test_25_rounding_hides_what_one_average_person_adds(values: list[int], base: int) -> None:
    """The last digit of a figure is worth more than a person's share of it without signs; the control is exact."""
    case = replace(ONE_CELL, low=-CAP, base=base, dominance=100)
    released = left(case, values)
    (n,), (total,) = column(released, "n"), column(released, "total")
    assert n is not None and int(n) % base == 0 and abs(int(n) - len(values)) * 2 <= base
    size = sum(abs(value) for value in values)
    exact = sum(values)
    if total not in ("…", None) and exact != 0:
        unit = Decimal(10) ** (Decimal(size).adjusted() + 1 - digits(len(values), base))
        assert unit * len(values) >= size, "a person's share is no more than the last digit"
        assert unit < 1 or Decimal(total) % unit == 0
        assert abs(Decimal(total) - exact) * 2 <= unit
    assert column(left(replace(case, base=1), values), "n") == [str(len(values))]


@pytest.mark.parametrize(
    ("function", "sums", "shown"),
    [
        ("var_samp", [[100], [100], [1_000], [20_000], [1_000]], "101"),
        ("var_pop", [[100], [100], [1_000], [20_000], [1_000]], "100"),
        ("stddev_pop", [[100], [100], [1_000], [20_000], [1_000]], "10"),
        ("stddev_samp", [[100], [100], [1_000], [10_000], [1_000]], "0"),
    ],
)
def test_deviations_are_made_from_exact_sums(function: str, sums: Any, shown: str) -> None:
    case = replace(ONE_CELL, cap=20, figures=(replace(FIGURES[3], function=function),))
    assert column(judge_joint(case.plan(), sums, SALT), "spread") == [shown]


@pytest.mark.parametrize(("squares", "shown"), [(500, "1"), (360, None)])
def test_a_correlation_is_a_number_or_not_defined(squares: int, shown: str | None) -> None:
    """Without spread there is none: that is said, and is no suppressed cell. Here x and y are the same."""
    figure = JointFigure("r", "corr", (ROWS, TOTAL, TOTAL, SQUARE, SQUARE, SQUARE), ROWS)
    case = Case(sizes=(), cap=13, figures=(figure,))
    sums = [[10], [10], [60], [squares], [60]]
    assert column(judge_joint(case.plan(), sums, SALT), "r") == [shown]


def test_noised_sums_are_judged_as_they_are() -> None:
    """Below zero, too: such a cell is one of too few."""
    figures = FIGURES[:3]
    case = Case(sizes=(3,), figures=figures, noise_micro=500_000, base=5)
    sums = [[-4, 52, 12], [-6, 51, 9], [-900, 9_000, 5_000], [0, 0, 0], [-900, 9_000, 5_000]]
    released = judge_joint(case.plan(), sums, SALT)
    assert column(released, "n") == ["…", "50", "10"]
    assert column(released, "total") == ["…", "9000", "…"]
    assert column(released, "mean") == ["…", "200", "…"]
    assert "noise" in {note.rule for note in released.notes}


def test_notes_say_the_rules_and_are_the_same_whatever_was_found() -> None:
    checks = Checks(margins=True, zeros=True)
    case = Case(checks=checks, base=5, dominance=90)
    tables: tuple[list[list[int]], ...] = ([[5] * 100] * 6, [[]] * 6, [[5] * 100, *[[]] * 5])
    notes = {left(case, *cells).notes for cells in tables}
    assert len(notes) == 1
    assert {note.rule for note in notes.pop()} == {"small-group", "dominance", "rounding"}
    assert left(Case(figures=FIGURES[:1], least=1), *[[5]] * 6).notes == ()


# ---------------------------------------------------------------------------------------- what leaves nothing


def test_more_cells_than_an_owner_lets_leave_are_refused() -> None:
    case = Case(largest=23)
    with pytest.raises(OutputRefused):
        left(case, *[[5] * 20] * 6)
    assert left(replace(case, largest=24), *[[5] * 20] * 6).rows


@pytest.mark.parametrize(
    "changes",
    [
        {"checks": replace(NO_RULES, automatic=False)},
        {"checks": replace(NO_RULES, enterprises=3)},
        {"mode": Mode.PRIVATE, "privacy": Privacy(1_000, 30)},
    ],
)
def test_what_nobody_can_keep_here_lets_nothing_leave(changes: dict[str, Any]) -> None:
    case = Case(sizes=())
    plan = case.plan()
    demanded = replace(Obligations(10, 1, 10_000, examples.OBLIGATIONS.tier, NO_RULES), **changes)
    other = replace(demanded, checks=NO_RULES)
    decisions = tuple(
        replace(each, decision=allowed(one))
        for each, one in zip(plan.decisions, (demanded, other), strict=True)
    )
    with pytest.raises(PolicyDenied):
        judge_joint(replace(plan, decisions=decisions), case.sums([[5] * 20]), SALT)


def test_an_owner_that_said_no_lets_nothing_leave() -> None:
    plan = ONE_CELL.plan()
    reason = Reason("joint-terms", "tax.income", "There are no terms.", "Ask its owner.")
    no = replace(examples.DECISION, outcome=Outcome.DENY, reasons=(reason,), grants=(), obligations=None)
    decisions = (replace(plan.decisions[0], decision=no), plan.decisions[1])
    with pytest.raises(PolicyDenied):
        judge_joint(replace(plan, decisions=decisions), ONE_CELL.sums([[5] * 20]), SALT)


@pytest.mark.parametrize("sums", [[], [[1]] * 4, [[1, 2]] * 5, [[]] * 5])
def test_sums_of_another_size_are_no_answer(sums: Any) -> None:
    with pytest.raises(Malformed):
        judge_joint(ONE_CELL.plan(), sums, SALT)
