"""Whoever receives a message has a line in the visibility table for it, in every form; and no line is of nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mpc.encrypted import crypto_box
from mpc.lookup.fields import pack
from mpc.protocols.identifiers import pack_fixed
from mpc.protocols.joint_rows import OwnRows
from plans.joint import JointPlan, SeenAs, Step
from plans.joint_rules import Matching
from tests.mpc.compile_cases import Asked
from tests.mpc.form_cases import FORMS, LOOKUP, LOOKUP_READING, formed
from tests.mpc.test_statement_to_answer import Message, computed, seen_in

COMPUTED = {name: made.plan() for name, made in FORMS.items()}
COMPUTED["joined"] = Asked().plan()
EACH = pytest.mark.parametrize("plan", COMPUTED.values(), ids=COMPUTED)

SEEN = {
    "common/pseudonyms": (Step.MATCH, SeenAs.PSEUDONYM),
    "common/points": (Step.MATCH, SeenAs.PSEUDONYM),
    "common/found": (Step.OPEN, SeenAs.CLEAR),
    "cipher/key": (Step.ENCRYPT, SeenAs.CLEAR),
    "cipher/products": (Step.ENCRYPT, SeenAs.CLEAR),
    "cipher/part": (Step.ENCRYPT, SeenAs.CIPHERTEXT),
    "cipher/total": (Step.COMPUTE, SeenAs.CIPHERTEXT),
    "cipher/columns": (Step.ENCRYPT, SeenAs.CIPHERTEXT),
    "cipher/answers": (Step.COMPUTE, SeenAs.CIPHERTEXT),
    "lookup/table": (Step.ENCRYPT, SeenAs.CLEAR),
    "lookup/once": (Step.ENCRYPT, SeenAs.CIPHERTEXT),
    "lookup/blinded": (Step.ENCRYPT, SeenAs.MASKED),
    "lookup/committed": (Step.ENCRYPT, SeenAs.PSEUDONYM),
    "lookup/opening": (Step.ENCRYPT, SeenAs.CLEAR),
    "lookup/revealed": (Step.ENCRYPT, SeenAs.PSEUDONYM),
    "lookup/question": (Step.COMPUTE, SeenAs.CIPHERTEXT),
    "lookup/answer": (Step.COMPUTE, SeenAs.CIPHERTEXT),
    "open/inspected": (Step.OPEN, SeenAs.CLEAR),
}
"""Where the table speaks of messages that only some forms have, by the first two words of their tags."""


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ciphertexts of others are read in boxes alone, and all parties are threads of this process."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def rows_of(plan: JointPlan, place: int, count: int) -> OwnRows:
    """So many rows of an owner, of persons whom others have, too; a model has one, and who looks up few."""
    portion = plan.reading.portions[place]
    count = min(count, portion.bound)
    persons = np.array([f"{15_000_000 + number:018d}" for number in range(count)], dtype="S18")
    lows = np.array([[operand.low] for operand in portion.operands], dtype=np.int64).reshape(-1, 1)
    shape = (len(portion.operands), count)
    widths = [field.width for field in portion.fields]
    record = pack(["here"] * len(widths), widths) if widths else b""
    return OwnRows(
        pack_fixed(persons).blocks,
        np.broadcast_to(lows, shape).copy(),
        np.ones(shape, dtype=np.uint8),
        np.zeros(count, dtype=np.uint16),
        np.frombuffer(b"".join([record] * count), dtype=np.uint8).reshape(count, len(record)),
    )


def messages(plan: JointPlan, count: int) -> set[Message]:
    """Who received which message of what size, where every owner has so many rows."""
    owners = enumerate(plan.reading.portions)
    _, heard = computed(plan, {portion.domain: rows_of(plan, place, count) for place, portion in owners})
    return heard


def said_of(tag: str) -> tuple[Step, SeenAs]:
    return SEEN.get("/".join(tag.split("/")[:2]), seen_in(tag))


@EACH
def test_every_message_has_a_line_and_every_line_of_matching_and_sharing_a_message(plan: JointPlan) -> None:
    told = {(sight.party, sight.step, sight.form) for sight in plan.sights}
    received = {(receiver, *said_of(tag)) for receiver, tag, _ in messages(plan, 30)}
    assert received <= told
    counted = {(plan.matcher, Step.MATCH, SeenAs.SIZE)} if plan.task.matching is not Matching.NONE else set()
    if plan.task.collector == plan.learner:  # it compares by itself
        counted |= {(plan.learner, Step.MATCH, SeenAs.CLEAR)}
    sent = {line for line in told if line[1] in (Step.MATCH, Step.SHARE, Step.ENCRYPT)}
    assert sent - counted <= received


@pytest.mark.parametrize(
    ("ran", "shown"),
    [
        ("inspected", "joined"),
        ("joined", "stacked"),
        ("stacked and inspected", "stacked"),
        ("common of two", "common"),
        ("scored", "looked up"),
        ("scored by trees", "looked up"),
        ("looked up", "scored"),
        ("joined by two owners", "common of two"),
        ("joined by two owners", "ciphertexts"),
    ],
)
def test_the_table_of_another_form_does_not_cover_the_messages(ran: str, shown: str) -> None:
    """The control: an approver who was shown it would not know what somebody receives."""
    told = {(sight.party, sight.step, sight.form) for sight in COMPUTED[shown].sights}
    assert not {(receiver, *said_of(tag)) for receiver, tag, _ in messages(COMPUTED[ran], 30)} <= told


@EACH
def test_no_form_has_a_message_whose_length_tells_how_many_rows_there_are(plan: JointPlan) -> None:
    """ATTACKS 99."""
    assert messages(plan, 30) == messages(plan, 3)


@pytest.mark.long
def test_a_large_register_is_asked_for_columns_and_its_table_says_so() -> None:
    """A small one is fetched whole: no question is sent there, and its table has none."""
    asked, register = LOOKUP_READING.portions
    large = replace(LOOKUP_READING, portions=(asked, replace(register, bound=100_000)))
    plan = formed(LOOKUP, large).plan()
    received = {(receiver, *said_of(tag)) for receiver, tag, _ in messages(plan, 30)}
    told = {(sight.party, sight.step, sight.form) for sight in plan.sights}
    assert {line for line in told if line[1] in (Step.ENCRYPT, Step.COMPUTE)} <= received <= told
    assert not received <= {(s.party, s.step, s.form) for s in COMPUTED["looked up"].sights}
