"""Scores by small trees: what is read, what it means beside DuckDB, what the binder finds, and what is refused."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inside import check_joint
from plans.errors import DarkroomError, Malformed, SqlUnsupported
from plans.joint import JointReading, Score, ScoreFunction, ScoreNode, ScoreTree
from plans.joint_shadows import JointShadow
from plans.manifest import Declared
from policies.joint import reading_of_model
from policies.reading import read_joint
from tests.inside.sql_cases import create
from tests.policies import joint_meaning
from tests.policies.joint_cases import APPLICANTS, SCORED, between, joint_shadow
from tests.policies.test_joint_scored import decimals


def listed(*values: str) -> Declared:
    return Declared(values=values)


LEAF = ("DECIMAL(5,2)", between("-9", "9"))
TREES = joint_shadow(
    "tax.risk_trees", "nm/tax", 1, key="", base=("DECIMAL(6,3)", between("-9", "9")),
    t0=("INTEGER", listed("18", "30", "65")), t1=("DECIMAL(8,2)", listed("0.5", "1000", "2500.25")),
    t2=("DECIMAL(6,1)", listed("17.5", "-40", "120.5")),
    v0=LEAF, v1=LEAF, v2=LEAF, v3=LEAF, w0=("INTEGER", between("-3", "3")), w1=("DECIMAL(5,3)", between("-3", "3")),
    wide=("INTEGER", listed(*map(str, range(65)))), ranged=("INTEGER", between("0", "9")),
    gap=("INTEGER?", listed("1", "2")), fine=("DECIMAL(6,1)", listed("1.25")), twice=("INTEGER", listed("1", "1.0")),
    words=("VARCHAR", listed("a", "b")), double=("DOUBLE", listed("1", "2")), spelt=("INTEGER", listed("1", "two")),
    hole=("INTEGER?", between("0", "9")),
)  # fmt: skip
BOTH = (APPLICANTS, TREES)
FROM = "from bank.applicants a cross join tax.risk_trees m"
INNER = "case when a.income >= m.t1 then m.v3 else m.v2 end"
TWO = f"case when a.age >= m.t0 then {INNER} else m.w0 end"
ONE = "case when (a.age - 3) >= m.t2 then m.v0 else m.v1 end"
STATEMENT = f"select a.person, round(m.base + {TWO} - {ONE}, 2) as score {FROM} where a.age > 17"


def reading(statement: str, shadows: tuple[JointShadow, ...] = BOTH) -> JointReading:
    """The reading on which both readers agree."""
    found = read_joint(statement, shadows)
    assert check_joint.check_joint(statement, shadows, 256) == found
    return found


def scored(form: str, shadows: tuple[JointShadow, ...] = BOTH) -> Score:
    score = reading(f"select a.person, round({form}, 2) as s {FROM}", shadows).score
    assert score is not None
    return score


def test_a_score_is_cut_into_questions_with_public_values_and_leaves() -> None:
    found = reading(STATEMENT)
    rows, model = found.portions
    age, income, younger = (
        ScoreNode(0, 1, (18, 30, 65)),
        ScoreNode(1, 3, (50, 100_000, 250_025)),
        (-400, 175, 1_205),
    )
    assert found.score == Score(
        "score", ScoreFunction.LINEAR, ((-1, 0),), 2,
        (ScoreTree(age, None, income, (2, 4, 5)), ScoreTree(ScoreNode(2, 6, younger), None, None, (7, 8))),
    )  # fmt: skip
    assert [each.expression for each in rows.operands] == ['"age"', '"income"', '(CAST("age" AS BIGINT) - 3)']
    assert [each.expression for each in model.operands] == [
        '"base"', '"t0"', '"w0"', '"t1"', '"v2"', '"v3"', '"t2"', '(- "v1")', '(- "v0")',
    ]  # fmt: skip
    assert [(each.low, each.high, each.decimals) for each in model.operands[3:5]] == [
        (50, 250_025, 2),
        (-900, 900, 2),
    ]


def test_features_are_decided_as_values_that_are_shown_and_thresholds_and_leaves_as_sums() -> None:
    rows, model = reading(STATEMENT).portions
    assert rows.stand_in == 'SELECT "age", "income" FROM "bank"."applicants" WHERE ("age" > 17)'
    used = reading_of_model(model)
    assert used is not None
    assert {use.column for use in used.uses} == {"base", "t0", "t1", "t2", "v0", "v1", "v2", "v3", "w0"}
    assert {use.function for use in used.uses} == {"sum"}


@pytest.mark.parametrize(
    "written",
    [
        f"({TWO}) + m.base",
        f"-(-(m.base)) - (-({TWO}))",
        f"m.base + case when ((a.age) >= (m.t0)) then ({INNER}) else (m.w0) end",
    ],
)
def test_both_readers_find_one_tree_in_whatever_brackets_and_order_it_is_written(written: str) -> None:
    assert len(scored(written).trees) == 1


def test_a_feature_may_be_computed_and_gaps_may_be_filled() -> None:
    score = scored("case when coalesce(a.debt, 0) + a.age >= m.t0 then m.v0 else m.v1 end")
    assert score.terms == () and len(score.trees[0].nodes) == 1
    scored("case when case when a.formal then a.income else 0 end >= m.t1 then m.v0 else m.v1 end")
    scored("case when cast(a.ratio as decimal(4, 2)) >= m.t1 then m.v0 else cast(m.v1 as decimal(8, 3)) end")


REFUSED = [
    (f"case when a.age >= m.t0 then case when a.income >= m.t1 then {ONE} else m.v2 end else m.w0 end",
     "a tree of more than two levels"),
    ("case when a.age > m.t0 then m.v0 else m.v1 end", "by >=, and this is >"),
    ("case when a.age < m.t0 then m.v0 else m.v1 end", "by >=, and this is <"),
    ("case when a.age <= m.t0 then m.v0 else m.v1 end", "by >=, and this is <="),
    ("case when a.age = m.t0 then m.v0 else m.v1 end", "by >=, and this is ="),
    ("case when a.age between m.t0 and m.t1 then m.v0 else m.v1 end", "by >=, and this is between"),
    ("case when a.age >= m.t0 and a.income >= m.t1 then m.v0 else m.v1 end", "by >=, and this is and"),
    ("case when not a.age >= m.t0 then m.v0 else m.v1 end", "by >=, and this is not"),
    ("case when a.formal then m.v0 else m.v1 end", "by >=, and this is column"),
    ("case when m.t0 >= a.age then m.v0 else m.v1 end", "on the left of >="),
    ("case when a.age - m.t0 >= 0 then m.v0 else m.v1 end", "on the left of >="),
    ("case when a.age >= 30 then m.v0 else m.v1 end", "on the left of >="),
    ("case when a.age >= m.t0 + 1 then m.v0 else m.v1 end", "a threshold is a column of the model as it stands"),
    ("case when a.age >= m.ranged then m.v0 else m.v1 end", "has declared no list of 1 to 64 values"),
    ("case when a.age >= m.wide then m.v0 else m.v1 end", "has declared no list of 1 to 64 values"),
    ("case when a.age >= m.fine then m.v0 else m.v1 end", "are not different numbers of its type"),
    ("case when a.age >= m.twice then m.v0 else m.v1 end", "are not different numbers of its type"),
    ("case when a.age >= m.spelt then m.v0 else m.v1 end", "are not different numbers of its type"),
    ("case when a.age >= m.words then m.v0 else m.v1 end", "the threshold words has the type VARCHAR"),
    ("case when a.age >= m.double then m.v0 else m.v1 end", "the threshold double has the type DOUBLE"),
    ("case when a.age >= m.gap then m.v0 else m.v1 end", "a coefficient may be without a value (gap)"),
    ("case when a.debt >= m.t0 then m.v0 else m.v1 end", "a feature may be without a value (debt)"),
    ("case when a.note >= m.t0 then m.v0 else m.v1 end", "has declared no range of bank.applicants.note"),
    ("case when a.ratio >= m.t1 then m.v0 else m.v1 end", "has the type DOUBLE"),
    ("case when a.age >= m.t0 then 1 else m.v1 end", "a leaf of a tree that is no column of the model"),
    ("case when a.age >= m.t0 then a.age else m.v1 end", "a leaf of a tree that is no column of the model"),
    ("case when a.age >= m.t0 then m.v0 * a.age else m.v1 end", "a leaf of a tree that is no column of the model"),
    ("case when a.age >= m.t0 then m.v0 + m.v2 else m.v1 end", "a coefficient is a column of the model as it stands"),
    ("case when a.age >= m.t0 then m.hole else m.v1 end", "a coefficient may be without a value (hole)"),
    ("case when a.age >= m.t0 then m.v0 end", "one WHEN, which is a comparison, and an ELSE"),
    ("case when a.age >= m.t0 then m.v0 when a.income >= m.t1 then m.v2 else m.v1 end", "one WHEN"),
    ("case a.age when m.t0 then m.v0 else m.v1 end", "one WHEN"),
    ("case when a.age >= m.t0 then m.v0 else m.v0 end", "the coefficient v0 stands in two terms"),
    (f"{ONE} + case when a.income >= m.t2 then m.v2 else m.v3 end", "the coefficient t2 stands in two terms"),
    (f"{ONE} + m.v0", "the coefficient v0 stands in two terms"),
    (f"{ONE} + a.age * m.w0", "a score is linear, or of trees and constants"),
    (f"2 * {ONE}", "a bracket or function over both owners' columns"),
    (f"m.w0 * {ONE}", "a bracket or function over both owners' columns"),
    ("if(a.age >= m.t0, m.v0, m.v1)", ""),
    ("case when m.t0 >= m.w0 then m.v0 else m.v1 end", "a coefficient is a column of the model as it stands"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "reason"), REFUSED)
def test_what_is_no_small_tree_is_refused_by_name(form: str, reason: str) -> None:
    with pytest.raises(DarkroomError) as refused:
        read_joint(f"select a.person, round({form}, 2) as s {FROM}", BOTH)
    assert reason in refused.value.what and refused.value.code in ("sql.unsupported", "sql.syntax")


# ------------------------------------------------------------------------------------------ the other reader

Change = Callable[[ScoreTree], ScoreTree]


def _root(**changes: Any) -> Change:
    return lambda tree: replace(tree, root=replace(tree.root, **changes))


def _exchanged(tree: ScoreTree) -> ScoreTree:
    assert tree.high is not None
    root, high = tree.root, tree.high
    return replace(
        tree, root=replace(root, threshold=high.threshold), high=replace(high, threshold=root.threshold)
    )


def _turned(tree: ScoreTree) -> ScoreTree:
    return replace(tree, low=tree.high, high=tree.low)


WRONG: list[tuple[Change, str]] = [
    (_root(feature=1), "score"),
    (_exchanged, "score"),
    (_turned, "score"),
    (lambda tree: replace(tree, leaves=(2, 5, 4)), "score"),
    (lambda tree: replace(tree, leaves=(4, 2, 5)), "score"),
    (lambda tree: replace(tree, high=None, leaves=tree.leaves[:2]), "score"),
    (lambda tree: tree, ""),
]


@pytest.mark.parametrize(("change", "what"), WRONG)
def test_a_guard_that_takes_one_tree_for_another_is_caught_by_the_binder(
    change: Change, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_joint(STATEMENT, BOTH)
    assert read.score is not None
    first, *others = read.score.trees
    other = replace(read, score=replace(read.score, trees=(change(first), *others)))
    monkeypatch.setattr(check_joint, "read_joint", lambda text, shadows: other)
    if not what:  # the control: what is not changed is agreed upon
        assert check_joint.check_joint(STATEMENT, BOTH, 256) == read
        return
    with pytest.raises(SqlUnsupported, match=f"disagree about the {what}"):
        check_joint.check_joint(STATEMENT, BOTH, 256)


@pytest.mark.parametrize("sign", [">", "<", "<=", "="])
def test_the_binder_finds_another_comparison_than_the_reading_has(
    sign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_joint(STATEMENT, BOTH)
    monkeypatch.setattr(check_joint, "read_joint", lambda text, shadows: read)
    with pytest.raises(SqlUnsupported):
        check_joint.check_joint(STATEMENT.replace("a.income >=", f"a.income {sign}"), BOTH, 256)


def test_a_reading_of_trees_that_is_none_cannot_be_built() -> None:
    score = read_joint(STATEMENT, BOTH).score
    assert score is not None
    first, second = score.trees
    for wrong in (
        lambda: replace(score, terms=((0, 0),)),
        lambda: replace(score, trees=(first, first)),
        lambda: replace(first, leaves=(2, 4)),
        lambda: replace(first.root, values=(3, 2)),
        lambda: replace(first.root, values=()),
        lambda: replace(first.root, values=tuple(range(65))),
    ):
        with pytest.raises(Malformed):
            wrong()
    for place in (9, -1):
        beyond = replace(second, root=replace(second.root, feature=place))
        with pytest.raises(Malformed, match="that are there"):
            replace(read_joint(STATEMENT, BOTH), score=replace(score, trees=(first, beyond)))


def test_a_case_over_the_rows_alone_stays_a_feature_of_a_linear_score() -> None:
    found = read_joint(
        "select a.person, round(case when a.age >= 18 then 1 else 0 end * m.debt, 2) as s "
        "from bank.applicants a cross join tax.risk_model m", SCORED,
    )  # fmt: skip
    assert found.score is not None and not found.score.trees and len(found.score.terms) == 1


WORDS = re.findall(r">=|\w+|[^\s\w]", STATEMENT)
OTHERS = sorted(
    {*WORDS, ">", "0", "case when", "end", "coalesce", "m.v0", "a.debt", "m.hole", "null", "and", "not"}
)


@st.composite
def spoilt(draw: st.DrawFn) -> str:
    """The statement, with some words left out, put in, or exchanged."""
    words = list(WORDS)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(words) - 1))
        words[place : place + draw(st.integers(0, 1))] = draw(st.lists(st.sampled_from(OTHERS), max_size=1))
    return " ".join(words)


@settings(max_examples=60, deadline=None)
@given(spoilt())
def test_a_spoilt_statement_is_read_alike_by_both_or_refused_in_words(statement: str) -> None:
    with contextlib.suppress(DarkroomError):
        read = read_joint(statement, BOTH)
        try:
            assert check_joint.check_joint(statement, BOTH, 256) == read
        except SqlUnsupported as refused:
            assert "disagree about the score" not in refused.what


# ------------------------------------------------------------------------------------------ meaning of trees

FEATURES = ["a.age", "a.income", "(a.income - 2 * a.age)", "-a.age", "coalesce(a.debt, 40)"]


@st.composite
def forms(draw: st.DrawFn) -> str:
    """A sum of one or two trees and perhaps a constant."""
    thresholds = iter(draw(st.permutations(["t0", "t1", "t2"])))
    leaves = iter(draw(st.permutations(["v0", "v1", "v2", "v3", "w0", "w1"])))

    def asked(high: str, low: str) -> str:
        return (
            f"case when {draw(st.sampled_from(FEATURES))} >= m.{next(thresholds)} then {high} else {low} end"
        )

    trees = []
    for two in draw(st.sampled_from([(False,), (True,), (False, True), (True, False)])):
        high = f"m.{next(leaves)}"
        if two:
            inner, low = asked(high, f"m.{next(leaves)}"), f"m.{next(leaves)}"
            sides = draw(st.permutations([inner, low]))
            trees.append(asked(*sides))
        else:
            trees.append(asked(high, f"m.{next(leaves)}"))
    parts = [*trees, *draw(st.sampled_from([[], ["m.base"]]))]
    signs = [draw(st.sampled_from(["+", "-"])) for _ in parts]
    return " ".join(f"{sign} {part}" for sign, part in zip(signs, parts, strict=True)).removeprefix("+ ")


AGES = st.sampled_from([0, 17, 18, 29, 30, 64, 65, 120])


def hundredths(number: int) -> Decimal:
    return Decimal(number).scaleb(-2)


CENTS = [-10_000, 49, 50, 51, 99_999, 100_000, 250_024, 250_025, 900_000]
INCOMES = st.sampled_from(CENTS).map(hundredths)
PEOPLE = st.lists(st.tuples(INCOMES, AGES, st.none() | st.sampled_from([0, 17, 40, 65])), max_size=8)
NUMBERS = st.tuples(
    decimals(-9_000, 9_000, 3), st.sampled_from([18, 30, 65]), st.sampled_from([50, 100_000, 250_025]).map(hundredths),
    st.sampled_from([175, -400, 1_205]).map(lambda number: hundredths(10 * number)),
    *[decimals(-900, 900, 2)] * 4, st.integers(-3, 3), decimals(-3_000, 3_000, 3),
)  # fmt: skip


def told(found: JointReading, features: list[Fraction], model: list[Fraction]) -> Fraction:
    """The score of a row by the terms and trees of a reading: what they mean."""
    assert found.score is not None

    def at(node: ScoreNode | None, low: Fraction, high: Fraction) -> Fraction:
        if node is None:
            return low
        scale = 10 ** found.portions[1].operands[node.threshold].decimals
        assert model[node.threshold] * scale in node.values
        return high if features[node.feature] >= model[node.threshold] else low

    total = sum((model[place] for _, place in found.score.terms), Fraction(0))
    for tree in found.score.trees:
        leaves = [model[place] for place in tree.four]
        total += at(tree.root, at(tree.low, *leaves[:2]), at(tree.high, *leaves[2:]))
    return total


@settings(max_examples=40, deadline=None)
@given(forms(), PEOPLE, NUMBERS, st.integers(0, 4), st.booleans())
def test_the_trees_give_the_score_that_duckdb_gives(
    form: str, people: list[tuple[Any, ...]], numbers: tuple[Any, ...], digits: int, logistic: bool
) -> None:
    shadows = (NARROW, FEW)
    written = f"1 / (1 + exp(-({form})))" if logistic else form
    statement = f"select a.id_number as k, round({written}, {digits}) as s {FROM} where a.age < 100"
    found = reading(statement, shadows)
    with duckdb.connect(":memory:") as database:
        create(database, NARROW.shadow, [(n, f"id{n}", *each) for n, each in enumerate(people)])
        create(database, FEW.shadow, [numbers])
        expected = dict(database.execute(statement).fetchall())
        rows = joint_meaning.portion_rows(database, found.portions[0])
        listed_ = ", ".join(operand.expression for operand in found.portions[1].operands)
        (row,) = database.execute(f"SELECT {listed_} FROM tax.risk_trees").fetchall()
    assert set(rows) == set(expected)
    for key, (_, operands) in rows.items():
        scales = [10**each.decimals for each in found.portions[0].operands]
        features = [Fraction(value or 0, scale) for value, scale in zip(operands, scales, strict=True)]
        exact = told(found, features, [Fraction(each) for each in row])
        if logistic:
            assert abs(float(expected[key]) - 1 / (1 + math.exp(-float(exact)))) <= 0.5 * 10**-digits + 1e-9
        else:
            assert abs(Fraction(expected[key]) - exact) <= Fraction(1, 2 * 10**digits)


NARROW = joint_shadow(
    "bank.applicants", "nm/bank", income=("DECIMAL(8,2)", between("-100.00", "9000.00")),
    age=("INTEGER", between("0", "120")), debt=("INTEGER?", between("0", "500")),
)  # fmt: skip
FEW = joint_shadow(
    "tax.risk_trees", "nm/tax", 1, key="",
    **{
        column.name: (column.type, TREES.declared_of(column.name))
        for column in TREES.shadow.columns
        if column.name in ("base", "t0", "t1", "t2", "v0", "v1", "v2", "v3", "w0", "w1")
    },
)  # fmt: skip
