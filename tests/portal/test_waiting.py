"""A call that waits for its job learns of the move at once, holds nobody up, and sees nothing that it may not."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from plans.errors import Unreachable
from portal import api as portal
from portal import waiting
from portal.waiting import Waiting
from store import api as store
from tests.portal.region import ORIGIN, Region, let_wait, request_of, submission

SignedIn = Callable[..., TestClient]
MEI, LIN = "mei@nm/centre", "lin@nm/centre"
LONG = str(waiting.LONGEST_S)
"""What a call asks that is answered early: were it not, it would take these twenty seconds."""
SOON_S = 10.0


class Portal:
    """The application on one event loop, with one job of Mei's that is `submitted`."""

    def __init__(self, region: Region, signed_in: SignedIn) -> None:
        self.region, self.app = region, portal.create_app(region.services)
        self.waiting = self.app.state.counter.waiting
        self.mei, self.lin = signed_in(MEI), signed_in(LIN)
        self.job = self.mei.post("/api/v1/jobs", json=submission(region, request_of(region, MEI))).json()[
            "id"
        ]

    async def ask(
        self, wait: str = LONG, seen: str | list[str] = "submitted", who: TestClient | None = None
    ) -> Any:
        headers = {"Authorization": (who or self.mei).headers["Authorization"]}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            return await client.get(
                f"/api/v1/jobs/{self.job}", params={"seen": seen, "wait": wait}, headers=headers
            )

    async def until_wait(self, calls: int = 1) -> None:
        """Return once so many calls wait: they have come in, and were let in."""
        async with asyncio.timeout(60):
            while len(self.waiting._calls) < calls:
                await asyncio.sleep(0.01)


@pytest.fixture
def there(region: Region, signed_in: SignedIn) -> Iterator[Portal]:
    yield Portal(region, signed_in)


def timed(call: Any) -> tuple[Any, float]:
    began = time.monotonic()
    return asyncio.run(call), time.monotonic() - began


def test_whoever_waits_is_answered_when_the_job_moves(there: Portal) -> None:
    async def both() -> Any:
        waits = asyncio.create_task(there.ask())
        await there.until_wait()
        await asyncio.sleep(0.2)
        assert not waits.done()
        await asyncio.to_thread(let_wait, there.region, there.job)
        return await waits

    answer, took = timed(both())
    assert answer.json()["state"] == "waiting-approval" and took < SOON_S


def test_a_state_that_is_new_already_is_answered_at_once(there: Portal) -> None:
    let_wait(there.region, there.job)
    answer, took = timed(there.ask())
    assert answer.json()["state"] == "waiting-approval" and took < SOON_S


def test_whoever_waits_for_the_end_alone_is_not_told_what_is_on_the_way(there: Portal) -> None:
    let_wait(there.region, there.job)
    answer, took = timed(there.ask(wait="0.3", seen=["submitted", "waiting-approval", "queued"]))
    assert answer.json()["state"] == "waiting-approval" and 0.3 <= took < SOON_S


def test_waiting_ends_by_itself_with_the_state_as_it_is(there: Portal) -> None:
    answer, took = timed(there.ask(wait="0.3"))
    assert answer.json()["state"] == "submitted" and 0.3 <= took < SOON_S


def test_many_calls_wait_without_holding_up_others(there: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than the threads that serve calls: did each that waits hold one, the last would wait for them to end."""
    monkeypatch.setattr(waiting, "MOST_PER_MEMBER", 60)

    async def crowd() -> None:
        waits = [asyncio.create_task(there.ask()) for _ in range(60)]
        await there.until_wait(60)
        answer = await there.ask(wait="0")
        assert answer.status_code == 200 and not any(each.done() for each in waits)
        await asyncio.to_thread(let_wait, there.region, there.job)
        answers = await asyncio.gather(*waits)
        assert {answer.json()["state"] for answer in answers} == {"waiting-approval"}

    asyncio.run(crowd())


def test_a_member_without_a_free_place_is_answered_at_once(
    there: Portal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_PER_MEMBER", 0)
    answer, took = timed(there.ask())
    assert answer.json()["state"] == "submitted" and took < SOON_S


def test_nobody_waits_for_the_job_of_another(there: Portal) -> None:
    answer, took = timed(there.ask(who=there.lin))
    assert answer.status_code == 404 and took < SOON_S


def test_a_session_that_ends_while_it_waits_learns_nothing(there: Portal) -> None:
    async def leave() -> Any:
        waits = asyncio.create_task(there.ask())
        await there.until_wait()
        await asyncio.to_thread(there.mei.post, "/api/v1/sign-out", json={})
        await asyncio.to_thread(let_wait, there.region, there.job)
        return await waits

    assert asyncio.run(leave()).status_code == 401


@pytest.mark.parametrize("wait", ["-1", "21", "nan", "inf", "soon"])
def test_a_wait_is_a_number_of_seconds_within_bounds(there: Portal, wait: str) -> None:
    answer, took = timed(there.ask(wait=wait))
    assert answer.status_code == 422 and took < SOON_S


def test_it_looks_only_while_somebody_waits_and_rarely_at_what_stands_still() -> None:
    looks: list[float] = []

    def look(ids: tuple[str, ...]) -> dict[str, tuple[str, int]]:
        looks.append(time.monotonic())
        state = "queued" if len(looks) == 4 else "waiting-approval"
        return {"old": (state, int(time.time()) - 3_600)}

    async def wait() -> None:
        watched = Waiting(look)
        await watched.moved("mei", "old", frozenset({"waiting-approval"}), 20.0)
        assert len(looks) == 4
        assert all(b - a >= 0.9 * waiting.LONGEST_PAUSE_S for a, b in itertools.pairwise(looks))
        await asyncio.sleep(0.6)
        assert len(looks) == 4, "nobody waits any more"

    asyncio.run(wait())


def test_a_database_that_cannot_be_asked_ends_the_waiting() -> None:
    def look(ids: tuple[str, ...]) -> dict[str, tuple[str, int]]:
        raise Unreachable("the database does not answer", "database")

    _, took = timed(Waiting(look).moved("mei", "job", frozenset({"queued"}), 20))
    assert took < SOON_S


def test_states_are_those_of_the_jobs_that_are_there(there: Portal) -> None:
    with there.region.database.reading() as session:
        found = store.jobs.standing(session, [there.job, "none"])
    assert list(found) == [there.job] and found[there.job][0] == "submitted"
