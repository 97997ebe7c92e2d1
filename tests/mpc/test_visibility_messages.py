"""Whoever receives a message has a line in the visibility table for it, in every form; and no line is of nothing."""

from __future__ import annotations

import numpy as np
import pytest

from mpc.encrypted import crypto_box
from mpc.protocols.identifiers import pack_fixed
from mpc.protocols.joint_rows import OwnRows
from plans.joint import JointPlan, SeenAs, Step
from tests.mpc.compile_cases import Asked
from tests.mpc.form_cases import FORMS
from tests.mpc.test_statement_to_answer import Message, computed, seen_in

COMPUTED = {name: made.plan() for name, made in FORMS.items()}
COMPUTED["joined"] = Asked().plan()
EACH = pytest.mark.parametrize("plan", COMPUTED.values(), ids=COMPUTED)

SEEN = {
    "common/pseudonyms": (Step.MATCH, SeenAs.PSEUDONYM),
    "common/points": (Step.MATCH, SeenAs.PSEUDONYM),
    "common/found": (Step.OPEN, SeenAs.CLEAR),
    "cipher/key": (Step.ENCRYPT, SeenAs.CLEAR),
    "cipher/part": (Step.ENCRYPT, SeenAs.CIPHERTEXT),
    "cipher/total": (Step.COMPUTE, SeenAs.CIPHERTEXT),
    "open/inspected": (Step.OPEN, SeenAs.CLEAR),
}
"""Where the table speaks of messages that only some forms have, by the first two words of their tags."""


@pytest.fixture(autouse=True)
def in_a_box(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ciphertexts of others are read in boxes alone, and all parties are threads of this process."""
    monkeypatch.setattr(crypto_box, "_entered", [crypto_box.CryptoBox("a test")])


def rows_of(plan: JointPlan, place: int, count: int) -> OwnRows:
    """So many rows of an owner, of persons whom others have, too."""
    portion = plan.reading.portions[place]
    persons = np.array([f"{15_000_000 + number:018d}" for number in range(count)], dtype="S18")
    lows = np.array([[operand.low] for operand in portion.operands], dtype=np.int64).reshape(-1, 1)
    shape = (len(portion.operands), count)
    return OwnRows(
        pack_fixed(persons).blocks,
        np.broadcast_to(lows, shape).copy(),
        np.ones(shape, dtype=np.uint8),
        np.zeros(count, dtype=np.uint16),
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
    sent = {
        (party, step, form)
        for party, step, form in told
        if step in (Step.MATCH, Step.SHARE, Step.ENCRYPT)
        and form is not SeenAs.SIZE  # a size is counted, not sent
    }
    assert sent <= received


@pytest.mark.parametrize(
    ("ran", "shown"),
    [
        ("inspected", "joined"),
        ("joined", "stacked"),
        ("stacked and inspected", "stacked"),
        ("common of two", "common"),
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
