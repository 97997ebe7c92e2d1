"""Promise: each job runs from numbers to results through envelopes alone, and no message of it holds a secret key.

What the other party has of the key's owner is what `read_public_key` and its siblings made of envelopes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpc.encrypted import envelope, inner, key_process, matrix, planner, scoring, sealing, sums, trees
from mpc.encrypted.envelope import Content
from mpc.encrypted.key_process import KeyProcess, ScoreTerms
from mpc.encrypted.packing import Columns
from plans.errors import BudgetSpent, Defect, EvidenceBroken, LinkBroken
from tests.mpc import encrypted_attacks as bare
from tests.mpc.encrypted_case import OTHER, OWNER, SECRET, THIRD, box, front  # noqa: F401
from tests.mpc.encrypted_case import key_process as made_key_process

pytestmark = pytest.mark.usefixtures("box")


BODIES: list[bytes] = []
"""What stands in every envelope of a test, before it is sealed: a hunt over sealed bytes would find nothing."""


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    BODIES.clear()
    sealed = envelope.seal

    def seal(bound: envelope.Front, body: bytes, secret: bytes) -> bytes:
        BODIES.append(body)
        return sealed(bound, body, secret)

    monkeypatch.setattr(envelope, "seal", seal)


class Talk:
    """Two parties, and everything that one sends the other."""

    def __init__(self, planned: planner.Planned, largest: int) -> None:
        self.parameters = planned.parameters
        self.owner: KeyProcess = made_key_process(self.parameters, largest=largest)
        self.messages: list[bytes] = []

    def public(self, receiver: str = OTHER) -> Any:
        raw = self.sent(self.owner.public_key(receiver, SECRET))
        due = front(self.parameters, receiver=receiver, count=self.owner.public.size)
        return key_process.read_public_key(raw, due, self.parameters, SECRET)

    def sent(self, raw: bytes) -> bytes:
        self.messages.append(raw)
        return raw

    def due(self, content: Content, count: int, **more: Any) -> envelope.Front:
        return front(self.parameters, key=self.owner.key, content=content, count=count, **more)

    def columns(self, columns: list[np.ndarray], cap: int) -> tuple[Columns, bytes]:
        shape = Columns(self.parameters, len(columns), len(columns[0]))
        raw = self.sent(self.owner.columns(columns, cap, OTHER, SECRET))
        due = self.due(Content.COLUMNS, shape.columns * shape.rows)
        return shape, envelope.unseal(raw, due, shape.size, SECRET)

    def answer(self, body: bytes, count: int) -> bytes:
        due = self.due(Content.ANSWERS, count, sender=OTHER, receiver=OWNER)
        return self.sent(envelope.seal(due, body, SECRET))

    def holds_no_secret(self) -> bool:
        raw = sealing.written(self.owner._opener._secret, secret=True)[bare.SECRET_META :]
        pieces = [raw[at : at + 32] for at in range(0, len(raw) - 32, 4096)]
        everything = [*self.messages, *BODIES]
        assert len(BODIES) >= len(self.messages) > 0
        return not any(piece in message for piece in pieces for message in everything)


def test_sums_over_three_holders() -> None:
    rng = np.random.default_rng(1)
    numbers = rng.integers(-1000, 1001, (3, 50))
    talk = Talk(planner.plan_sums(3, 50, 1000), 3000)
    parts = []
    for place, holder in enumerate(("nm/a", "nm/b", "nm/c")):
        raw = sums.holder_encrypt(numbers[place], 1000, talk.public(holder), talk.parameters)
        due = talk.due(Content.PART, 50, sender=holder, receiver=THIRD)
        sent = talk.sent(envelope.seal(due, raw, SECRET))
        parts.append(envelope.unseal(sent, due, sums.Shape(talk.parameters, 50).size, SECRET))
    total = sums.collect(parts, 50, talk.parameters)
    due = talk.due(Content.TOTAL, 50, sender=THIRD, receiver=OWNER, holders=3)
    found = talk.owner.totals(talk.sent(envelope.seal(due, total, SECRET)), THIRD, 3, 50, SECRET)
    assert found == numbers.sum(axis=0).tolist()
    assert talk.holds_no_secret() and len(talk.owner.log) == 1
    # The control: a body with the key in it is found.
    BODIES.append(sealing.written(talk.owner._opener._secret))
    assert not talk.holds_no_secret()


def test_scores_of_a_linear_model() -> None:
    rng = np.random.default_rng(2)
    columns = rng.integers(-100, 101, (5, 4))
    talk = Talk(planner.plan_scores(4, 5, 100, 100), 100 * 501)
    _, raw = talk.columns(list(columns), 100)
    answer = scoring.Scorer(talk.parameters, talk.public()).score(
        raw, 4, scoring.LinearModel((1, -2, 3, -4, 5), 6, 100)
    )
    found = talk.owner.scores(talk.answer(answer, 4), OTHER, 4, ScoreTerms(5, 5, 1), 0, SECRET)
    assert found == (np.array([1, -2, 3, -4, 5]) @ columns + 6).tolist()
    assert talk.holds_no_secret()


def test_a_cross_table() -> None:
    here, there = np.array([0, 1, 1, 0, 1]), np.array([1, 1, 0, 0, 1])
    talk = Talk(planner.plan_products(5, (2, 2), 1, 1), 5)
    shape, raw = talk.columns([1 - here, here], 1)
    answer = inner.Right(talk.parameters, talk.public()).products(raw, shape, [1 - there, there], 1)
    assert talk.owner.products(talk.answer(answer, 4), OTHER, 4, SECRET) == [1, 1, 1, 2]
    assert talk.holds_no_secret()


def multiplied(talk: Talk, values: np.ndarray, vector: np.ndarray) -> bytes:
    rotations = talk.sent(talk.owner.rotation_keys(OTHER, SECRET))
    primes = len(talk.parameters.moduli)
    count = len(talk.parameters.rotations) * primes * 2 * (primes + 1) * talk.parameters.degree
    keys = key_process.read_rotation_keys(
        rotations, talk.due(Content.ROTATION_KEYS, count), talk.parameters, SECRET
    )
    shape, raw = talk.columns([matrix.spread(vector, talk.parameters)], 100)
    owner = matrix.Multiplier(talk.parameters, talk.public(), keys)
    return owner.product(shape.read(raw, owner.seal, 0, 0), values, 100)


def test_a_matrix_times_a_vector() -> None:
    rng = np.random.default_rng(3)
    values, vector = rng.integers(-100, 101, (16, 16)), rng.integers(-100, 101, 16)
    talk = Talk(planner.plan_matrix(16, 100, 100), 16 * 100 * 100)
    answer = multiplied(talk, values, vector)
    assert talk.owner.vector(talk.answer(answer, 16), OTHER, 16, SECRET) == (values @ vector).tolist()
    assert talk.holds_no_secret()
    with pytest.raises(BudgetSpent):
        talk.owner.vector(talk.answer(answer, 16), OTHER, 16, SECRET)


def test_slots_that_do_not_repeat_are_no_product_of_a_matrix() -> None:
    talk = Talk(planner.plan_matrix(16, 100, 100), 16 * 100 * 100)
    answer = multiplied(talk, np.eye(16, dtype=np.int64), np.ones(16, dtype=np.int64))
    words = np.frombuffer(answer, dtype="<u8").reshape(2, len(talk.parameters.moduli), -1).copy()
    made = sealing.Seal(talk.parameters)
    forged = made.ciphertext(words)
    made.evaluator.add_plain_inplace(forged, made.slots(np.array([1], dtype=np.uint64)))
    raw = talk.answer(made.words(forged).tobytes(), 16)
    with pytest.raises(EvidenceBroken, match="where none should be"):
        talk.owner.vector(raw, OTHER, 16, SECRET)


def test_scores_of_trees() -> None:
    bits = np.array([[0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 0, 1]])
    talk = Talk(planner.plan_trees(4, 3, 1, 50), 50)
    shape, raw = talk.columns(list(bits), 1)
    primes = len(talk.parameters.moduli)
    sent = talk.sent(talk.owner.product_key(OTHER, SECRET))
    count = primes * 2 * (primes + 1) * talk.parameters.degree
    keys = key_process.read_product_key(sent, talk.due(Content.PRODUCT_KEY, count), talk.parameters, SECRET)
    scorer = trees.TreeScorer(talk.parameters, talk.public(), keys)
    answer = scorer.score(raw, shape, [trees.Tree(0, 1, 2, (10, 20, 30, 40))], 50)
    terms = ScoreTerms(features=3, most=4, step=10, given_away=True)
    assert talk.owner.scores(talk.answer(answer, 4), OTHER, 4, terms, 0, SECRET) == [10, 20, 30, 40]
    assert talk.holds_no_secret()


def test_keys_that_a_plan_does_not_need_are_not_made() -> None:
    talk = Talk(planner.plan_sums(2, 1, 10), 20)
    for step in (talk.owner.product_key, talk.owner.rotation_keys):
        with pytest.raises(Defect):
            step(OTHER, SECRET)


def test_a_key_of_another_size_or_with_a_coefficient_too_large_is_refused() -> None:
    talk = Talk(planner.plan_sums(2, 1, 10), 20)
    due = front(talk.parameters, count=talk.owner.public.size)
    body = bytearray(talk.owner.public.tobytes())
    body[:8] = b"\xff" * 8
    for wrong in (bytes(body), bytes(body[:-8])):
        with pytest.raises(LinkBroken):
            key_process.read_public_key(envelope.seal(due, wrong, SECRET), due, talk.parameters, SECRET)
