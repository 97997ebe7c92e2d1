"""What a member signs to have a statement tried is nothing that could be run (ATTACKS 84).

The portal lies: it takes what it was handed for a dry run, and submits it as the member's request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

import darkroom
from darkroom.wire import Wire
from keys import api as keys
from plans.errors import DarkroomError, SignatureWrong
from plans.request import Request
from tests.client.conftest import Town
from tests.plans.joint_examples import JOINT_TASK

MEI, OLGA = "mei@nm/centre", "olga@nm/centre"
SQL = "select region, count(*) as n from tax.income group by region"
ABOUT = {"project": "housing", "purpose": "Study of rents"}

Asks = Callable[[darkroom.Connection], object]
WAYS: dict[str, tuple[str, Asks, Asks]] = {
    "statement": (
        MEI,
        lambda room: room.dry_run(SQL, **ABOUT),
        lambda room: room.hand_over(room.request(SQL, **ABOUT)),
    ),
    "joint": (
        OLGA,
        lambda room: room.explain_jointly(JOINT_TASK, **ABOUT),
        lambda room: room.ask_jointly(JOINT_TASK, **ABOUT),
    ),
}
"""Who asks, how it is tried, and how it is run."""
ENDPOINTS = {
    "statement": ("/api/v1/dry-runs", "/api/v1/jobs"),
    "joint": ("/api/v1/joint-plans", "/api/v1/joint"),
}


def handed(
    room: darkroom.Connection, ask: Asks, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    """Where the client sent a signed request, and with what; what comes back does not matter."""
    sent: list[tuple[str, dict[str, Any]]] = []
    post = Wire.post

    def listening(wire: Wire, path: str, body: Any = None, **rest: Any) -> Any:
        sent.append((path, body))
        return post(wire, path, body, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(Wire, "post", listening)
        with contextlib.suppress(DarkroomError):  # no box reads a statement here
            ask(room)
    ((path, body),) = [each for each in sent if each[1] and "signature" in each[1]]
    return path, body


@pytest.mark.parametrize("way", WAYS)
def test_84_what_was_signed_to_be_tried_is_no_signature_to_run_by(
    town: Town, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    who, tried, run = WAYS[way]
    room, (dry, real) = town.connection(who), ENDPOINTS[way]
    path, body = handed(room, tried, monkeypatch)
    request = Request.read(body["request"])
    said = (request.signer, request.canonical(), body["signature"])
    assert path == dry
    keys.verify_dry_run(*said)
    with pytest.raises(SignatureWrong):
        keys.verify_request(*said)
    control_path, control = handed(room, run, monkeypatch)
    request = Request.read(control["request"])
    assert control_path == real
    keys.verify_request(request.signer, request.canonical(), control["signature"])


@pytest.mark.parametrize("way", WAYS)
def test_84_the_portal_runs_no_dry_run_and_tries_no_request(
    town: Town, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Behind the portal's own door, too: whoever is past it does not get a job."""
    who, tried, run = WAYS[way]
    room, (dry, real) = town.connection(who), ENDPOINTS[way]
    _, to_try = handed(room, tried, monkeypatch)
    _, to_run = handed(room, run, monkeypatch)
    for path, body in ((real, to_try), (dry, to_run)):
        with pytest.raises(SignatureWrong):
            room._wire.post(path, body)
    services, bodies = town.region.services, (to_try, to_run)
    taken = services.jobs if way == "statement" else services.joint
    trying = services.jobs.dry_run if way == "statement" else services.joint.explain
    for do, body in zip((taken.submit, trying), bodies, strict=True):
        with pytest.raises(SignatureWrong):
            do(Request.read(body["request"]), body["signature"])
    room._wire.post(real, to_run)  # the control: each passes where it belongs
    with pytest.raises(DarkroomError) as beyond:
        trying(Request.read(to_try["request"]), to_try["signature"])
    assert not isinstance(beyond.value, SignatureWrong)
