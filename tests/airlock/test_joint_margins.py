"""Of an inspected answer, no suppressed cell is found from all margins and all that is shown, in no figure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airlock.joint import _Table, judge_joint
from airlock.secondary import Key
from plans.checks import Checks
from plans.joint import JointFigure, Measure, Operand, Sum
from plans.joint_guards import thresholds
from plans.released import Released
from tests.airlock.joint_cases import FIGURES, NO_RULES, PRESENT, ROWS, SALT, SQUARE, TOTAL, Case, column
from tests.airlock.test_secondary import margins, solved

MARGINS, TOTALS = replace(NO_RULES, margins=True), Checks(p_percent=0)
"""Rules that look at margins: of everything, or of totals alone."""

N, SUM, MEAN, SPREAD = FIGURES
SIZES = st.integers(15, 60) | st.integers(15, 60) | st.integers(0, 25)
PEOPLE = st.builds(
    lambda size, missing, value: [None] * missing + [value - place % 30 for place in range(size)],
    SIZES,
    st.sampled_from((0, 0, 1, 9)),
    st.integers(30, 300),
)
"""Of a cell; most are large, and have large totals."""


@st.composite
def answers(draw: st.DrawFn, checks: Checks) -> tuple[Case, list[list[int]], Released]:
    """Answers of two or three keys, in an order of figures of their own."""
    sizes = draw(st.sampled_from([(2, 2), (3, 3), (2, 4), (2, 2, 2)]))
    figures = tuple(draw(st.permutations(FIGURES)))
    case = Case(sizes=sizes, cap=300, checks=checks, figures=figures[: draw(st.integers(1, 4))])
    cells = len(case.codes())
    sums = case.sums(draw(st.lists(PEOPLE, min_size=cells, max_size=cells)))
    return case, sums, judge_joint(case.plan(), sums, SALT)


def shown(case: Case, released: Released, figure: JointFigure) -> set[Key]:
    if figure not in case.figures:
        return set()
    values = column(released, figure.name)
    return {key for key, value in zip(case.codes(), values, strict=True) if value != "…"}


def small(case: Case, sums: list[list[int]], figure: JointFigure) -> set[Key]:
    """The cells in which a test of the figure fails."""
    tests = thresholds(case.plan(), figure)
    cells = enumerate(case.codes())
    return {key for cell, key in cells if any(sums[place][cell] < least for place, least in tests)}


def require_unknown(case: Case, values: list[int], known: set[Key], secret: set[Key]) -> None:
    """An attacker who knows exact margins, and the sum exactly wherever it can be made from figures."""
    table: dict[Key, int] = dict(zip(case.codes(), values, strict=True))
    withheld = set(table) - known
    if known:  # of a table that is gone altogether, its margins are answers with rules of their own
        assert not secret & known
        assert not secret & set(solved(table, withheld))


@settings(max_examples=150, deadline=None)
@given(answers(TOTALS))
def test_27_no_suppressed_total_is_found_from_sums_means_and_deviations(answer: Any) -> None:
    """Numbers of persons are all known to this attacker: a mean tells the total then, and a deviation the squares."""
    case, sums, released = answer
    totals = shown(case, released, SUM) | shown(case, released, MEAN)
    squares = shown(case, released, SPREAD)
    require_unknown(case, sums[TOTAL], totals, small(case, sums, SUM) if totals else set())
    require_unknown(case, sums[SQUARE], squares, small(case, sums, SPREAD) if squares else set())


@settings(max_examples=150, deadline=None)
@given(answers(MARGINS))
def test_27_no_suppressed_number_of_persons_is_found_either(answer: Any) -> None:
    """A total divided by its mean is a number of persons."""
    case, sums, released = answer
    require_unknown(case, sums[ROWS], shown(case, released, N), small(case, sums, N))
    both = shown(case, released, SUM) & shown(case, released, MEAN)
    require_unknown(case, sums[PRESENT], both, small(case, sums, MEAN))


@settings(max_examples=100, deadline=None)
@given(answers(MARGINS))
def test_27_what_is_left_of_a_margin_could_be_shown_as_one(answer: Any) -> None:
    case, sums, released = answer
    places = {key: place for place, key in enumerate(case.codes())}
    for figure in case.figures:
        withheld = set(places) - shown(case, released, figure)
        for cells in margins(places).values():
            hidden = cells & withheld
            if hidden and not cells <= withheld:
                for place, least in thresholds(case.plan(), figure):
                    assert sum(sums[place][places[key]] for key in hidden) >= least


@settings(max_examples=60, deadline=None)
@given(answers(NO_RULES))
def test_without_rules_about_margins_only_tests_suppress(answer: Any) -> None:
    case, sums, released = answer
    for figure in case.figures:
        assert set(case.codes()) - shown(case, released, figure) == small(case, sums, figure)


def test_control_the_margins_give_back_a_cell_where_nobody_looks_at_them() -> None:
    case = Case(sizes=(2, 2), cap=300, checks=NO_RULES, figures=(N, SUM))
    sums = case.sums([[200] * 30, [7] * 3, [200] * 20, [200] * 25])
    table: dict[Key, int] = dict(zip(case.codes(), sums[TOTAL], strict=True))
    for checks, told in ((NO_RULES, True), (TOTALS, False), (MARGINS, False)):
        released = judge_joint(replace(case, checks=checks).plan(), sums, SALT)
        known = shown(case, released, SUM)
        found = solved(table, set(table) - known) if known else {}
        assert (found.get(("c0", "c1")) == 21) is told


def test_control_figures_that_hide_further_cells_apart_tell_a_total_together() -> None:
    """The second figure has other persons, so its smallest other cell is another one: both must keep back the same
    cells, or the first shows what the second hides for it.
    """
    mean = JointFigure("mean", "avg", (TOTAL, PRESENT), ROWS)
    case = Case(sizes=(3,), cap=300, checks=TOTALS, figures=(SUM, mean))
    sums = [
        [
            9,
            99,
            40,
        ],
        [9, 30, 40],
        [2_700, 9_000, 12_000],
        [1, 1, 1],
        [2_700, 9_000, 12_000],
    ]
    both = judge_joint(case.plan(), sums, SALT)
    alone = [judge_joint(replace(case, figures=(one,)).plan(), sums, SALT) for one in case.figures]
    hidden = [column(alone[0], "total"), column(alone[1], "mean")]
    assert [[value == "…" for value in each] for each in hidden] == [[True, True, False], [True, False, True]]
    assert [[value == "…" for value in column(both, name)] for name in ("total", "mean")] == [
        [True, False, True]
    ] * 2


def test_27_two_parts_that_cases_tell_apart_do_not_add_up_to_a_further_cell() -> None:
    """Three figures without a sum in common: a total, and two CASEs that are all of it. The control: each hides another
    cell when it is alone, so the two parts of the second cell are shown, and the first follows from the margin.
    """
    parts, others = [2, 20, 10, 50], [2, 20, 50, 10]
    whole = [one + other for one, other in zip(parts, others, strict=True)]
    sums = [[100 * persons for persons in each] for each in (whole, parts, others)] + [whole, parts, others]
    figures = (
        JointFigure("total", "sum", (0,), 3),
        JointFigure("part", "sum", (1,), 4, rest=(5,)),
        JointFigure("other", "sum", (2,), 5, rest=(4,)),
    )

    def answer(*asked: JointFigure) -> list[list[bool]]:
        plan = Case(sizes=(4,), cap=300, checks=TOTALS, figures=FIGURES[:1]).plan()
        operands = [Operand(f"v{place}", 0, 300 if place < 3 else 1, 0, False) for place in range(6)]
        first, second = plan.reading.portions
        reading = replace(
            plan.reading,
            portions=(first, replace(second, operands=tuple(operands))),
            sums=tuple(Sum(Measure.TOTAL, ((1, place),)) for place in range(6)),
            figures=asked,
            outputs=("key0", *(figure.name for figure in asked)),
        )
        released = judge_joint(replace(plan, reading=reading), sums, SALT)
        return [[value == "…" for value in column(released, figure.name)] for figure in asked]

    alone = [answer(figure)[0] for figure in figures]
    assert alone[0] == [True, True, False, False] and not alone[1][1] and not alone[2][1]
    assert answer(*figures) == [[True, True, False, False]] * 3


def test_a_large_answer_is_judged_in_little_time() -> None:
    case = Case(sizes=(64, 64), cap=300, checks=Checks(margins=True), largest=10**6)
    cells = [[200] * (3 + (7 * place) % 60) for place in range(64 * 64)]
    assert judge_joint(case.plan(), case.sums(cells), SALT).rows


# --------------------------------------------------------------------------------- parts of one table


@st.composite
def parts(draw: st.DrawFn) -> tuple[Case, list[list[list[int]]]]:
    """Three holders' amounts of every cell; now and then a part has few persons, or none."""
    sizes = draw(st.sampled_from([(3,), (2, 2), (3, 3)]))
    checks = draw(st.sampled_from((MARGINS, TOTALS)))
    case = Case(sizes=sizes, cap=300, checks=checks, holders=3, figures=(SUM,))
    people = st.sampled_from([30, 30, 30, 30, 12, 3, 0]).map(lambda size: [200] * size)
    cells = len(case.codes())
    return case, [draw(st.lists(people, min_size=cells, max_size=cells)) for _ in range(3)]


def lonely(case: Case, found: list[list[list[int]]]) -> list[int]:
    """By how many persons of one holder margins differ from what is shown, where these are fewer than ten."""
    released = judge_joint(case.plan(), case.sums_of_parts(found), SALT)
    places: dict[Key, int] = {key: place for place, key in enumerate(case.codes())}
    withheld = set(places) - shown(case, released, SUM)
    left = [cells & withheld for cells in margins(places).values() if cells & withheld and cells - withheld]
    counts = [sum(len(part[places[key]]) for key in hidden) for hidden in left for part in found]
    return [count for count in counts if 0 < count < 10]


@settings(max_examples=150, deadline=None)
@given(parts())
def test_29_what_is_left_of_a_margin_has_no_small_part_of_any_holder(made: Any) -> None:
    """A holder that gets it takes its own part away; others together may be many, and one of them a single person."""
    case, found = made
    assert lonely(case, found) == []


def test_29_control_where_parts_are_not_asked_about_several_cells_one_is_left(monkeypatch: Any) -> None:
    case = Case(sizes=(4,), cap=300, checks=TOTALS, holders=3, figures=(SUM,))
    full, few, none = [200] * 30, [200] * 3, list[int]()
    found = [[full] * 4, [few, none, none, full], [full] * 4]
    assert lonely(case, found) == []
    true = _Table._agreed
    monkeypatch.setattr(_Table, "_agreed", lambda *said: len(said[3]) > 1 or true(*said))
    assert lonely(case, found) == [3]
