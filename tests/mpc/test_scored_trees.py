"""Promise: scores by small trees are exact, and neither party learns more than by a linear model: which answer a model
takes shows in nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.encrypted import crypto_box
from mpc.encrypted.key_process import KeyProcess
from mpc.protocols import planning, scored
from mpc.protocols.computation import Scores
from plans.errors import LinkBroken, Malformed, RangeTooWide
from plans.joint import Score, ScoreFunction, ScoreNode, ScoreTree
from tests.inside.joint_cases import operand
from tests.mpc.joint_world import Model, Owner, run, scored_by
from tests.mpc.test_uniform_view import Noting

BANK, TAX = "nm/bank", "nm/tax"


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def applicants(columns: Sequence[Any], decimals: Sequence[int] = (0, 2), spare: int = 7) -> Owner:
    values = tuple(np.ma.array(column) for column in columns)
    features = tuple(operand(f"f{place}", -1000, 1000, digits) for place, digits in enumerate(decimals))
    return Owner(BANK, np.arange(len(values[0])), features, values, spare=spare)


def model(numbers: Sequence[int], decimals: Sequence[int]) -> Model:
    operands = tuple(operand(f"c{place}", -1000, 1000, digits) for place, digits in enumerate(decimals))
    return Model(TAX, np.arange(1), operands, tuple(np.ma.array([each]) for each in numbers), spare=0)


VALUES = (-20, 5, 35)
"""That each threshold may have."""
TWO_LEVELS = ScoreTree(
    ScoreNode(0, 0, VALUES), ScoreNode(1, 1, VALUES), ScoreNode(1, 2, VALUES), (3, 4, 5, 6)
)
ONE_LEVEL = ScoreTree(ScoreNode(1, 7, VALUES), None, None, (8, 9))
MIXED = ScoreTree(ScoreNode(1, 10, VALUES), None, ScoreNode(0, 11, VALUES), (12, 13, 14))
NUMBERS = [5, 35, -20, 101, -202, 303, -404, 5, 50, -60, 35, -20, 7, 8, 9, 1000]
"""Of a model with these three trees, and a constant behind them."""
DECIMALS = [0, 1, 2, 2, 2, 2, 2, 1, 0, 1, 0, 1, 3, 3, 0, 1]


def by(
    trees: Sequence[ScoreTree], constants: Sequence[int] = (), decimals: int = 2, function: str = "linear"
) -> Score:
    terms = tuple((-1, place) for place in constants)
    return Score("score", ScoreFunction(function), terms, decimals, tuple(trees))


def scores(owner: Owner, own: Model, score: Score) -> list[Decimal]:
    found = run(scored_by(owner, own, score), [owner, own], patience=180).handed[BANK]
    assert isinstance(found, Scores)
    return [Decimal(text) for text in found.texts]


def written(tree: ScoreTree) -> str:
    """A tree as a statement has it."""

    def case(node: ScoreNode | None, low: str, high: str) -> str:
        if node is None:
            return low
        return f"CASE WHEN a.v{node.feature} >= m.v{node.threshold} THEN {high} ELSE {low} END"

    leaves = [f"m.v{place}" for place in tree.four]
    return case(tree.root, case(tree.low, *leaves[:2]), case(tree.high, *leaves[2:]))


def in_clear(owner: Owner, own: Model, score: Score) -> list[Any]:
    """The same by DuckDB on the plain rows and the plain model, in the words of the statement."""
    with duckdb.connect() as connection:
        for name, whose in (("a", owner), ("m", own)):
            table = whose.table(connection)
            columns = [
                f"(v{place}::DECIMAL(18, 0) * 1e-{each.decimals}::DECIMAL(18, {each.decimals}))"
                f"::DECIMAL(18, {each.decimals}) AS v{place}"
                for place, each in enumerate(whose.operands)
            ]
            connection.execute(f"CREATE TABLE {name} AS SELECT id, {', '.join(columns)} FROM {table}")
        parts = [f"m.v{place}" for _, place in score.terms] + [written(tree) for tree in score.trees]
        total = " + ".join(parts)
        if score.function is ScoreFunction.LOGISTIC:
            total = f"1 / (1 + exp(-({total})))"
        asked = f"SELECT round({total}, {score.decimals}) FROM a CROSS JOIN m ORDER BY a.id"
        return [row[0] for row in connection.execute(asked).fetchall()]


@st.composite
def anything(draw: st.DrawFn) -> tuple[Owner, Model, Score]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(0, 12))
    near = [-1000, -201, -200, -199, -21, -20, -19, -2, 4, 5, 6, 34, 35, 36, 350, 1000]
    owner = applicants(
        [rng.choice(near, count) for _ in range(2)], [draw(st.integers(0, 2)) for _ in range(2)]
    )
    trees = draw(st.lists(st.sampled_from([TWO_LEVELS, ONE_LEVEL, MIXED]), unique=True, min_size=1))
    thresholds = {node.threshold for tree in (TWO_LEVELS, ONE_LEVEL, MIXED) for node in tree.nodes}
    numbers = [
        int(rng.choice(VALUES)) if place in thresholds else int(rng.integers(-1000, 1001))
        for place in range(16)
    ]
    own = model(numbers, [draw(st.integers(0, 3)) for _ in numbers])
    return owner, own, by(trees, draw(st.sampled_from([(), (15,)])), draw(st.integers(0, 4)))


@settings(max_examples=12, deadline=None)
@given(anything())
def test_scores_by_trees_equal_duckdb(case: tuple[Owner, Model, Score]) -> None:
    assert scores(*case) == in_clear(*case)


def test_scores_at_the_ends_of_what_was_declared_are_exact() -> None:
    score = by([TWO_LEVELS, ONE_LEVEL], (15,), 3)
    owner = applicants([np.array([-1000, 1000, 5, 4]), np.array([-1000, 1000, 349, 350])])
    for end in (-1000, 1000):
        numbers = [5, 35, -20, end, end, end, end, 5, end, end, 35, -20, 0, 0, 0, end]
        own = model(numbers, DECIMALS)
        assert scores(owner, own, score) == in_clear(owner, own, score)


def test_the_logistic_curve_is_drawn_over_trees() -> None:
    score = by([TWO_LEVELS, MIXED], (), 4, "logistic")
    owner = applicants([np.array([0, 4, 5, 36]), np.array([-21, 0, 350, 351])])
    own = model(NUMBERS, DECIMALS)
    assert [float(each) for each in scores(owner, own, score)] == in_clear(owner, own, score)


def test_more_rows_than_a_ciphertext_has_places() -> None:
    rng = np.random.default_rng(4)
    owner = applicants([rng.integers(-1000, 1001, 9_000) for _ in range(2)], spare=300)
    own, score = model(NUMBERS, DECIMALS), by([ONE_LEVEL], (15,))
    assert scores(owner, own, score) == in_clear(owner, own, score)


# ------------------------------------------------------------------------------------------- what is refused

ROWS = applicants([np.arange(5), np.arange(5)])
BY_ALL = by([TWO_LEVELS, ONE_LEVEL, MIXED], (15,))


def refused(owner: Owner, own: Model) -> str:
    with pytest.raises((Malformed, RangeTooWide)) as caught:
        run(scored_by(ROWS, model(NUMBERS, DECIMALS), BY_ALL), [owner, own], patience=180)
    return f"{caught.value}"


def changed(place: int, number: int) -> Model:
    return model([*NUMBERS[:place], number, *NUMBERS[place + 1 :]], DECIMALS)


def test_a_model_that_is_not_as_declared_is_refused_without_a_number() -> None:
    assert "none of the values" in (said := refused(ROWS, changed(1, 6))) and " 6" not in said
    assert "declared range" in refused(ROWS, changed(4, 1001))
    holes = applicants([np.ma.array(np.arange(5), mask=[0, 0, 1, 0, 0]), np.arange(5)])
    assert "no value" in refused(holes, model(NUMBERS, DECIMALS))


# ------------------------------------------------------------------------------------------- what parties see


def heard(owner: Owner, own: Model) -> dict[str, dict[str, list[bytes]]]:
    kept: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    run(
        scored_by(owner, own, BY_ALL),
        [owner, own],
        1,
        lambda name, end: Noting(end, kept[name]),
        patience=180,
    )
    return kept


def test_messages_are_as_long_whatever_rows_and_models_there_are() -> None:
    seen = []
    for count, own in (
        (0, changed(0, -20)),
        (1, changed(3, 0)),
        (30, model([5, 5, 5, *NUMBERS[3:]], DECIMALS)),
    ):
        kept = heard(applicants([np.arange(count), np.arange(count)], spare=30 - count), own)
        seen.append({to: {tag: [*map(len, each)] for tag, each in by.items()} for to, by in kept.items()})
    assert seen[0] == seen[1] == seen[2]
    assert {to: set(by) for to, by in seen[0].items()} == {
        TAX: {f"{BANK}:cipher/key", f"{BANK}:cipher/products", f"{BANK}:cipher/columns"},
        BANK: {f"{TAX}:cipher/answers"},
    }
    bits = len(planning.bits_of(scored_by(ROWS, model(NUMBERS, DECIMALS), BY_ALL).reading))
    assert len(seen[0][TAX][f"{BANK}:cipher/columns"]) == bits == 15, (
        "an answer for each value, whichever it is"
    )


def test_a_key_for_products_of_another_attempt_is_not_taken() -> None:
    own = model(NUMBERS, DECIMALS)
    old = heard(ROWS, own)[TAX][f"{BANK}:cipher/products"][0]

    class Replaying(Noting):
        def send(self, peer: str, tag: str, payload: Any) -> None:
            super().send(peer, tag, old if tag == "cipher/products" else payload)

    with pytest.raises(LinkBroken, match="another plan, attempt"):
        run(
            scored_by(ROWS, own, BY_ALL), [ROWS, own], 2,
            lambda name, end: Replaying(end, defaultdict(list)) if name == BANK else end, patience=180,
        )  # fmt: skip


# ------------------------------------------------------------------------------------------- what scores tell

ALONE = by([ScoreTree(ScoreNode(0, 0, VALUES), None, None, (1, 2))])
SECRET = model([5, 123, -456], [0, 2, 2])


def opened(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every number that the finder's key opened, of rows that stand for nobody, too."""
    kept: list[int] = []
    true = KeyProcess.scores

    def keep(*given: Any) -> list[int]:
        kept.extend(true(*given))
        return kept

    monkeypatch.setattr(KeyProcess, "scores", keep)
    run(scored_by(owner, SECRET, ALONE), [owner, SECRET], patience=180)
    return kept


def test_as_many_scores_as_unknowns_on_both_sides_tell_a_tree_with_its_threshold() -> None:
    """ATTACKS 100: so a threshold is no unknown more (`planning.unknowns`), and terms count two scores here."""
    owner = applicants([np.array([-20, 5]), np.array([0, 0])])
    found = scores(owner, SECRET, ALONE)
    assert found == [Decimal("1.23"), Decimal("-4.56")], (
        "both leaves, and that the threshold is above -20, not above 5"
    )
    assert planning.unknowns(scored_by(owner, SECRET, ALONE).reading) == len(found)


def test_rows_that_stand_for_nobody_tell_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = applicants([np.array([30]), np.array([0])], spare=6)
    assert set(opened(owner, monkeypatch)) == {-456}


def test_control_zeros_in_their_place_would_tell_the_other_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = applicants([np.array([30]), np.array([0])], spare=6)

    def zeros(part: scored.Part, rows: Any) -> list[Any]:
        return [np.concatenate([each, np.zeros(6, dtype=np.int64)]) for each in part._own(rows)]

    monkeypatch.setattr(scored.Part, "_columns", zeros)
    assert set(opened(owner, monkeypatch)) == {-456, 123}
