"""What scores tell of the model that made them, attacked; what reads ciphertexts is attacked in
`test_encrypted_attacks`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpc.encrypted import envelope, planner, scoring, sealing, sums
from mpc.encrypted.envelope import Content
from mpc.encrypted.key_process import ScoreTerms
from mpc.encrypted.packing import Columns
from plans.errors import BudgetSpent, Malformed
from tests.mpc.encrypted_case import (
    OTHER,
    OWNER,
    SECRET,
    box,  # noqa: F401
    front,
    opener,
    public,
)
from tests.mpc.encrypted_case import (
    key_process as made_key_process,
)

inside_a_box = pytest.mark.usefixtures("box")


def score_case(rows: np.ndarray, model: scoring.LinearModel, limit: int = 1) -> tuple[Any, bytes]:
    """Return a features' owner, and the envelope of scores of the model's owner."""
    features, count = rows.shape
    parameters = planner.plan_scores(count, features, 100, 100).parameters
    owner = made_key_process(parameters, largest=100 * (features * 100 + 1), limit=limit)
    raw = Columns(parameters, features, count).encrypt(owner._opener, list(rows), 100)
    answer = scoring.Scorer(parameters, owner._public).score(raw, count, model)
    due = front(parameters, sender=OTHER, receiver=OWNER, key=owner.key, content=Content.ANSWERS, count=count)
    return owner, envelope.seal(due, answer, SECRET)


@inside_a_box
def test_as_many_scores_as_a_linear_model_has_unknowns_give_it_away_and_terms_refuse_them() -> None:
    rows = np.random.default_rng(7).integers(-100, 101, (3, 4))
    model = scoring.LinearModel((12, -34, 56), 78, 100)
    # The control: terms that say the model is given away.
    owner, raw = score_case(rows, model)
    terms = ScoreTerms(features=3, most=4, step=1, given_away=True)
    scores = owner.scores(raw, OTHER, 4, terms, 0, SECRET)
    found = np.linalg.solve(np.column_stack([rows.T, np.ones(4)]), np.array(scores, dtype=float))
    assert np.rint(found).astype(int).tolist() == [12, -34, 56, 78]
    with pytest.raises(Malformed, match="4 are as many equations as it has unknowns"):
        ScoreTerms(features=3, most=4, step=1)


@inside_a_box
def test_scores_are_counted_over_plans_and_refused_before_anything_is_decrypted() -> None:
    rows = np.random.default_rng(8).integers(-100, 101, (3, 2))
    owner, raw = score_case(rows, scoring.LinearModel((1, 2, 3), 4, 100), limit=2)
    terms = ScoreTerms(features=3, most=3, step=1)
    with pytest.raises(BudgetSpent, match="2 scores are more than the 1 that are left"):
        owner.scores(raw, OTHER, 2, terms, 2, SECRET)
    with pytest.raises(BudgetSpent):
        owner.scores(raw, OTHER, 2, terms, -5, SECRET)
    assert owner.log == ()
    assert owner.scores(raw, OTHER, 2, terms, 1, SECRET) == (np.array([1, 2, 3]) @ rows + 4).tolist()


@inside_a_box
def test_scores_leave_rounded() -> None:
    rows = np.random.default_rng(9).integers(-100, 101, (3, 3))
    owner, raw = score_case(rows, scoring.LinearModel((1, 2, 3), 4, 100))
    exact = np.array([1, 2, 3]) @ rows + 4
    found = owner.scores(raw, OTHER, 3, ScoreTerms(features=3, most=3, step=50), 0, SECRET)
    assert all(score % 50 == 0 for score in found) and np.abs(np.array(found) - exact).max() <= 25
    assert found != exact.tolist()


def test_control_seal_raises_where_a_sum_of_ciphertexts_vanishes() -> None:
    parameters = planner.plan_scores(3, 2, 10, 10).parameters
    seal = sealing.Seal(parameters)
    one, other = (seal.seeded(*zero) for zero in [opener(parameters).zero()] * 2)
    with pytest.raises(RuntimeError, match="transparent"):
        seal.evaluator.sub_inplace(one, other)


@inside_a_box
def test_the_same_column_sent_twice_does_not_tell_whether_two_weights_cancel() -> None:
    parameters = planner.plan_scores(3, 2, 10, 10).parameters
    once = Columns(parameters, 1, 3).encrypt(opener(parameters), [np.array([1, 2, 3])], 10)
    for weights in ((7, -7), (7, -6), (0, 0)):
        answer = scoring.Scorer(parameters, public(parameters)).score(
            once + once, 3, scoring.LinearModel(weights, 0, 10)
        )
        assert sums.open_total(answer, 3, opener(parameters)) == [sum(weights) * row for row in (1, 2, 3)]
