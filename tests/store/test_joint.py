"""What the table of joint computations promises, on both databases."""

from __future__ import annotations

import json

import pytest

from plans.errors import Malformed, NotFound, StateConflict
from store import api as store

NOW = 1_700_000_000
PARTIES = ("nm/civil", "nm/health", "nm/tax")


def computation(id: str = "c1", member: str = "a@nm", at: int = NOW) -> store.JointRow:
    return store.JointRow(id, member, "p", "submitted", "{}", "00", at, at)


def test_a_computation_comes_back_as_it_was_and_only_once(database: store.Database) -> None:
    with database.session() as session:
        store.joint.add(session, computation())
        assert store.joint.move(session, "c1", "submitted", "waiting-approval", parties=PARTIES, digest="d")
        found = store.joint.get(session, "c1")
        assert (found.parties, found.digest, found.state) == (PARTIES, "d", "waiting-approval")
        assert [state for state, _ in json.loads(found.timeline)] == ["submitted", "waiting-approval"]
        with pytest.raises(NotFound):
            store.joint.get(session, "c2")
    with pytest.raises(StateConflict), database.session() as session:
        store.joint.add(session, computation())


def test_of_two_who_move_one_gets_it(database: store.Database) -> None:
    with database.session() as session:
        store.joint.add(session, computation())
    with database.session() as session:
        assert store.joint.move(session, "c1", "submitted", "refused", problem="{}")
    with database.session() as session:
        assert not store.joint.move(session, "c1", "submitted", "waiting-approval")
        assert store.joint.get(session, "c1").state == "refused"


def test_what_was_asked_is_never_changed(database: store.Database) -> None:
    with database.session() as session:
        store.joint.add(session, computation())
        with pytest.raises(Malformed):
            store.joint.move(session, "c1", "submitted", "running", member="b@nm")
        with pytest.raises(Malformed):
            store.joint.move(session, "c1", "submitted", "running", request="{}")


def test_computations_are_found_by_member_state_and_digest(database: store.Database) -> None:
    with database.session() as session:
        for place, member in enumerate(("a@nm", "b@nm", "a@nm")):
            store.joint.add(session, computation(f"c{place}", member, NOW + place))
        store.joint.move(session, "c1", "submitted", "waiting-approval", digest="d1")
    with database.reading() as session:
        assert [row.id for row in store.joint.of_member(session, "a@nm")] == ["c2", "c0"]
        assert [row.id for row in store.joint.in_states(session, ["submitted"])] == ["c0", "c2"]
        found = store.joint.by_digest(session, "d1")
        assert found is not None and found.id == "c1"
        assert store.joint.by_digest(session, "") is None, (
            "computations without a plan have no digest in common"
        )


def test_cancelled_computations_are_found_if_an_attempt_had_begun(database: store.Database) -> None:
    with database.session() as session:
        for name in ("c1", "c2", "c3"):
            store.joint.add(session, computation(name))
        store.joint.move(session, "c1", "submitted", "cancelled", attempt=1)
        store.joint.move(session, "c2", "submitted", "cancelled")
        store.joint.move(session, "c3", "submitted", "running", attempt=1)
    with database.reading() as session:
        assert [row.id for row in store.joint.cancelled_since(session, NOW)] == ["c1"]
        assert store.joint.cancelled_since(session, 2**40) == ()
