"""Where boxes of an attempt meet: what lies there is little, and for a short time."""

from __future__ import annotations

import pytest

from keeper.meeting import KEPT_S, MOST_OPEN, AttemptName, Meeting, Peer
from plans.errors import PeerLost, StateConflict
from plans.statements import BoxStatement
from tests.keeper import house
from tests.keeper.joint_house import HEALTH

PLAN = house.plan(house.trusted(*house.house_statements(house.grant())))
BOX = BoxStatement.read(house.box(PLAN, "7" * 32).statement.body)
PEER = Peer(BOX, house.key("launcher").public)


def attempt(number: int) -> AttemptName:
    return AttemptName(house.digest("joint"), number)


def test_attempts_are_apart() -> None:
    meeting = Meeting()
    meeting.bring(attempt(1), HEALTH, PEER)
    assert meeting.wait(attempt(1), [HEALTH], 0.0) == {HEALTH: PEER}
    with pytest.raises(PeerLost, match=HEALTH):
        meeting.wait(attempt(2), [HEALTH], 0.0)
    assert meeting.own(attempt(1), 0.0) is None


def test_few_attempts_are_open_at_a_time_and_old_ones_make_room() -> None:
    now = [0.0]
    meeting = Meeting(lambda: now[0])
    for number in range(MOST_OPEN):
        meeting.bring(attempt(number), HEALTH, PEER)
    with pytest.raises(StateConflict, match="too many joint attempts"):
        meeting.bring(attempt(MOST_OPEN), HEALTH, PEER)
    meeting.bring(attempt(0), HEALTH, PEER)
    now[0] = KEPT_S
    meeting.bring(attempt(MOST_OPEN), HEALTH, PEER)
    with pytest.raises(PeerLost):
        meeting.wait(attempt(0), [HEALTH], 0.0)
