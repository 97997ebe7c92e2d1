"""Promise: rows are scored by another's model, exactly and rounded as SQL rounds; each owner keeps what is its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from math import exp
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpc.encrypted import crypto_box
from mpc.encrypted.key_process import KeyProcess
from mpc.protocols import scored
from mpc.protocols.computation import Scores
from plans.errors import LinkBroken, Malformed, RangeTooWide, Refused, TooLarge
from plans.joint import JointPlan
from tests.inside.joint_cases import operand
from tests.mpc.joint_world import Model, Owner, run, scored_plan
from tests.mpc.test_uniform_view import Noting

BANK, TAX = "nm/bank", "nm/tax"
TERMS = ((-1, 0), (0, 1), (1, 2))


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parties are threads of this process, which is no box."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def applicants(columns: Sequence[Any], decimals: Sequence[int] = (1, 0), spare: int = 7) -> Owner:
    """Whose rows are scored; each column between -1,000,000 and 1,000,000 of its smallest decimal."""
    values = tuple(np.ma.array(column) for column in columns)
    features = tuple(
        operand(f"f{place}", -(10**6), 10**6, digits) for place, digits in enumerate(decimals[: len(values)])
    )
    return Owner(BANK, np.arange(len(values[0])), features, values, spare=spare)


def model(coefficients: Sequence[int], decimals: Sequence[int] = (2, 2, 1)) -> Model:
    features = tuple(
        operand(f"c{place}", -5000, 5000, digits)
        for place, digits in enumerate(decimals[: len(coefficients)])
    )
    return Model(TAX, np.arange(1), features, tuple(np.ma.array([each]) for each in coefficients), spare=0)


def scores(joint: JointPlan, owner: Owner, by: Model, **how: Any) -> list[Decimal]:
    """What the finder hands over; the model's owner hands over nothing."""
    went = run(joint, [owner, by], patience=180, **how)
    found = went.handed[BANK]
    assert isinstance(found, Scores)
    assert went.handed[TAX] is None and joint.handing == (BANK,)
    assert [Decimal(number).scaleb(-found.decimals) for number in found.numbers] == [
        Decimal(text) for text in found.texts
    ]
    return [Decimal(text) for text in found.texts]


def in_clear(
    owner: Owner, by: Model, terms: Sequence[tuple[int, int]], decimals: int, logistic: bool = False
) -> list[Any]:
    """The same by DuckDB on the plain rows and the plain model, in the words of the statement."""
    connection = duckdb.connect()
    for name, whose in (("a", owner), ("m", by)):
        table = whose.table(connection)
        decimals_of = [(place, each.decimals) for place, each in enumerate(whose.operands)]
        columns = [
            f"(v{place}::DECIMAL(18, 0) * 1e-{digits}::DECIMAL(18, {digits}))::DECIMAL(18, {digits}) AS v{place}"
            for place, digits in decimals_of
        ]
        connection.execute(f"CREATE TABLE {name} AS SELECT id, {', '.join(columns)} FROM {table}")
    total = " + ".join(f"m.v{c}" if f < 0 else f"a.v{f} * m.v{c}" for f, c in terms)
    if logistic:
        total = f"1 / (1 + exp(-({total})))"
    found = connection.execute(f"SELECT round({total}, {decimals}) FROM a CROSS JOIN m ORDER BY a.id")
    return [row[0] for row in found.fetchall()]


@st.composite
def anything(draw: st.DrawFn) -> tuple[Owner, Model, list[tuple[int, int]], int]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, features = draw(st.integers(0, 12)), draw(st.integers(1, 3))
    digits = [draw(st.integers(0, 3)) for _ in range(features)]
    owner = applicants([rng.integers(-(10**6), 10**6 + 1, count) for _ in range(features)], digits)
    terms = [(place, place + 1) for place in range(features)]
    terms += draw(
        st.sampled_from([[], [(-1, 0)], [(-1, 0), (0, features + 1)], [(-1, 0), (-1, features + 1)]])
    )
    coefficients = rng.choice([-5000, 0, 1, 5000, int(rng.integers(-5000, 5001))], features + 2).tolist()
    by = model(coefficients, [draw(st.integers(0, 3)) for _ in coefficients])
    return owner, by, terms, draw(st.integers(0, 6))


@settings(max_examples=12, deadline=None)
@given(anything())
def test_linear_scores_equal_duckdb(case: tuple[Owner, Model, list[tuple[int, int]], int]) -> None:
    owner, by, terms, decimals = case
    joint = scored_plan(owner, by, terms, decimals)
    assert scores(joint, owner, by) == in_clear(owner, by, terms, decimals)


def test_scores_at_the_ends_of_what_was_declared_are_exact() -> None:
    owner = applicants([np.array([10**6, -(10**6), 0]), np.array([10**6, -(10**6), 0])])
    for coefficients in ([5000, 5000, 5000], [-5000, -5000, -5000], [5000, -5000, 0]):
        by = model(coefficients)
        assert scores(scored_plan(owner, by, TERMS, 3), owner, by) == in_clear(owner, by, TERMS, 3)


def test_halves_are_rounded_away_from_zero_as_sql_does() -> None:
    owner = applicants([np.array([5, -5, 15, -15, 4, -4])], (1,))
    by = model([0, 1], (0, 0))
    joint = scored_plan(owner, by, ((0, 1),), 0)
    assert scores(joint, owner, by) == in_clear(owner, by, ((0, 1),), 0) == [1, -1, 2, -2, 0, 0]


def test_logistic_scores_equal_duckdb() -> None:
    rng = np.random.default_rng(8)
    owner = applicants([rng.integers(-300, 300, 60), rng.integers(-30, 30, 60)])
    by = model([-123, 45, 7])
    joint = scored_plan(owner, by, TERMS, 4, logistic=True)
    found = [float(score) for score in scores(joint, owner, by)]
    assert found == in_clear(owner, by, TERMS, 4, logistic=True)
    assert any(0 < score < 1 for score in found), "the curve, and not its ends alone"


def test_far_out_a_logistic_score_is_0_or_1() -> None:
    owner = applicants([np.array([10**6, -(10**6), 0])], (0,))
    by = model([0, 5000], (0, 0))
    joint = scored_plan(owner, by, ((0, 1),), 4, logistic=True)
    assert scores(joint, owner, by) == [1, 0, Decimal("0.5")]
    assert exp(700) > 10**300, "which no double of the curve tells from 1"


def test_more_rows_than_a_ciphertext_has_places() -> None:
    rng = np.random.default_rng(9)
    owner = applicants([rng.integers(-1000, 1000, 9000), rng.integers(0, 100, 9000)])
    by = model([-123, 45, 7])
    assert scores(scored_plan(owner, by, TERMS), owner, by) == in_clear(owner, by, TERMS, 2)


# --------------------------------------------------------------------------------- what does not go together


def refused(joint: JointPlan, owner: Owner, by: Model) -> str:
    with pytest.raises((Malformed, RangeTooWide, TooLarge)) as caught:
        run(joint, [owner, by], patience=180)
    return f"{caught.value}"


def test_rows_and_models_that_are_not_those_of_the_plan_are_refused() -> None:
    owner, by = applicants([np.arange(5), np.arange(5)]), model([1, 2, 3])
    joint = scored_plan(owner, by, TERMS)
    holes = applicants([np.ma.array(np.arange(5), mask=[False, False, True, False, False]), np.arange(5)])
    assert "no value" in refused(joint, holes, by)
    assert "public number" in refused(joint, applicants([np.arange(13), np.arange(13)]), by)
    assert "declared range" in refused(joint, applicants([np.full(5, 10**6 + 1), np.arange(5)]), by)
    wide = replace(by, values=(*by.values[:2], np.ma.array([5001])))
    assert "coefficient" in refused(joint, owner, wide) and "5001" not in refused(joint, owner, wide)
    missing = replace(by, values=(*by.values[:2], np.ma.array([0], mask=[True])))
    assert "one row" in refused(joint, owner, missing)
    two = replace(by, persons=np.arange(2), values=tuple(np.ma.array([1, 2]) for _ in range(3)))
    assert "one row" in refused(joint, owner, two)


def test_outside_a_box_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_box, "_entered", [])
    owner, by = applicants([np.arange(5), np.arange(5)]), model([1, 2, 3])
    with pytest.raises(Refused):
        run(scored_plan(owner, by, TERMS), [owner, by])


# ------------------------------------------------------------------------------------------- what parties see


def heard(owner: Owner, by: Model, attempt: int = 1) -> dict[str, dict[str, list[bytes]]]:
    kept: dict[str, dict[str, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    joint = scored_plan(owner, by, TERMS)
    run(joint, [owner, by], attempt, lambda name, end: Noting(end, kept[name]), patience=180)
    return kept


def test_messages_are_those_of_the_plan_and_as_long_whatever_the_rows() -> None:
    seen = []
    for count in (0, 1, 30):
        owner = applicants([np.arange(count), np.arange(count)], spare=30 - count)
        kept = heard(owner, model([1, 2, 3]))
        seen.append({to: {tag: [*map(len, each)] for tag, each in by.items()} for to, by in kept.items()})
    assert seen[0] == seen[1] == seen[2]
    assert {to: set(by) for to, by in seen[0].items()} == {
        TAX: {f"{BANK}:cipher/key", f"{BANK}:cipher/columns"},
        BANK: {f"{TAX}:cipher/answers"},
    }


def test_columns_of_another_attempt_are_not_read() -> None:
    owner, by = applicants([np.arange(5), np.arange(5)]), model([1, 2, 3])
    old = heard(owner, by)[TAX][f"{BANK}:cipher/columns"][0]

    class Replaying(Noting):
        def send(self, peer: str, tag: str, payload: Any) -> None:
            super().send(peer, tag, old if tag == "cipher/columns" else payload)

    with pytest.raises(LinkBroken) as caught:
        run(
            scored_plan(owner, by, TERMS), [owner, by], 2,
            lambda name, end: Replaying(end, defaultdict(list)) if name == BANK else end, patience=180,
        )  # fmt: skip
    assert "another plan, attempt" in caught.value.what


def decrypted(monkeypatch: pytest.MonkeyPatch, owner: Owner, by: Model) -> list[int]:
    """Every number that the finder's key opened, of rows that stand for nobody too, at the scale of 3 decimals."""
    kept: list[int] = []
    true = KeyProcess.scores

    def keep(*given: Any) -> list[int]:
        kept.extend(true(*given))
        return kept

    monkeypatch.setattr(KeyProcess, "scores", keep)
    run(scored_plan(owner, by, TERMS), [owner, by], patience=180)
    return kept


def test_rows_that_stand_for_nobody_are_no_equation_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """ATTACKS 100: two rows are two equations for three coefficients, however long the padded list is."""
    owner, by = applicants([np.array([30, 71]), np.array([5, 6])], spare=6), model([1234, -56, 78])
    opened = decrypted(monkeypatch, owner, by)
    assert len(opened) == 8 and set(opened) == set(opened[:2])


def test_control_zeros_in_their_place_would_give_the_model_away(monkeypatch: pytest.MonkeyPatch) -> None:
    owner, by = applicants([np.array([30, 71]), np.array([5, 6])], spare=6), model([1234, -56, 78])
    monkeypatch.setattr(scored.Part, "_columns", lambda part, rows: [
        np.concatenate([rows.values[feature], np.zeros(6, dtype=np.int64)]) for feature in part._features
    ])  # fmt: skip
    opened = decrypted(monkeypatch, owner, by)
    constant = opened[2]
    equations = np.array([[30, 5], [71, 6]])
    weights = np.linalg.solve(equations, np.array(opened[:2]) - constant)
    assert constant == 1234 * 10 and np.rint(weights).tolist() == [-56, 78 * 100]
