"""A lab's token ends with its lab, whoever looks meanwhile; JupyterHub's own `User.stop` and database, without any
process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm
from jupyterhub.crypto import CryptKeeper
from jupyterhub.user import User

from notebooks import parting
from notebooks.spawner import LabSpawner, sealed
from plans.errors import NotAllowed
from tests.notebooks.test_porter import settings_in

PLAN, TOKEN = "sha256:" + "a" * 64, "the-token-of-this-lab"


@pytest.fixture(autouse=True)
def key() -> Iterator[None]:
    """Tokens are sealed as in the Hub."""
    keeper = CryptKeeper.instance()
    before, keeper.keys = keeper.keys, [b"k" * 32]
    yield
    keeper.keys = before


class Around:
    """Launcher, porter and portal of one lab. Its box ends, and the porter answers, once they are `let`."""

    def __init__(self) -> None:
        self.launcher = self.porter = self.portal = self
        self.settings = replace(settings_in(Path("/x"), 1, 2), grace_s=0)
        self.lives, self.cancels_badly = True, False
        self.asked, self.let = asyncio.Event(), asyncio.Event()
        self.closed: list[str] = []
        self.ended_tokens: list[str] = []

    async def living(self, fresh_s: float = 2.0) -> dict[str, str]:
        return {PLAN: "running"} if self.lives else {}

    async def cancel(self, plan: str) -> None:
        if self.cancels_badly:
            raise NotAllowed("not now", "launcher")
        self.asked.set()
        await self.let.wait()
        self.lives = False

    async def ending(self, plan: str) -> None:
        return None

    async def close(self, plan: str) -> None:
        self.asked.set()
        await self.let.wait()
        self.closed.append(plan)

    async def end(self, token: str) -> None:
        self.ended_tokens.append(token)


async def a_lab(around: Around, monkeypatch: pytest.MonkeyPatch) -> tuple[User, LabSpawner]:
    """A lab that runs, as the Hub knows it: whatever finds it gone has its user stopped."""
    monkeypatch.setattr(LabSpawner, "neighbours", around, raising=False)
    db = orm.new_session_factory("sqlite:///:memory:")()
    kept = orm.User(name="li")
    db.add(kept)
    db.commit()
    user = User(kept, {"spawner_class": LabSpawner, "authenticator": None}, db)
    spawner = user.spawners[""]
    spawner.plan, spawner.sealed_token = PLAN, await sealed(TOKEN)
    spawner.add_poll_callback(user.stop)
    return user, spawner


async def ends_of_idleness(spawner: LabSpawner, around: Around) -> None:
    """The Hub's look after a lab whose time to save is over."""
    spawner._parting, spawner._stops_at = parting.idle(4), 0.0
    assert await spawner.poll() == 1


async def is_found_gone(spawner: LabSpawner, around: Around) -> None:
    """The Hub's look after a lab that has ended by itself."""
    around.lives = False
    assert await spawner.poll() == 1


@pytest.mark.parametrize("looks", [True, False], ids=["the member looks", "control"])
@pytest.mark.parametrize("end", [ends_of_idleness, is_found_gone])
def test_a_token_ends_though_its_member_looks_at_the_hubs_page_while_the_lab_ends(
    end: Callable[[LabSpawner, Around], Awaitable[None]], looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page (`HomeHandler`) has the Hub look anew and believe that the lab is gone, which makes it forget all."""

    async def tried() -> Around:
        around = Around()
        _, spawner = await a_lab(around, monkeypatch)
        ending = asyncio.create_task(end(spawner, around))
        await around.asked.wait()
        if looks:
            assert await spawner.poll_and_notify() == 1
            assert not spawner.plan and not spawner.sealed_token, "the Hub has forgotten the lab"
            assert spawner.why_ended(spawner.ended["key"]), "and knows why it ended"
        around.let.set()
        await ending
        return around

    around = asyncio.run(tried())
    assert around.ended_tokens == [TOKEN] and around.closed == [PLAN]


def test_a_token_ends_though_the_launcher_refuses_to_end_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    async def tried() -> Around:
        around = Around()
        around.let.set()
        around.cancels_badly = True
        user, _ = await a_lab(around, monkeypatch)
        with pytest.raises(NotAllowed):
            await user.stop()
        return around

    around = asyncio.run(tried())
    assert around.ended_tokens == [TOKEN] and around.closed == [PLAN]


def test_an_older_labs_end_leaves_the_next_ones_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """JupyterHub keeps a spawner whose start failed, and starts the next lab with it."""

    async def tried() -> tuple[Around, str, str]:
        around = Around()
        _, spawner = await a_lab(around, monkeypatch)
        stopping = asyncio.create_task(spawner.stop())
        await around.asked.wait()
        spawner.plan, spawner.sealed_token = "sha256:" + "b" * 64, (later := await sealed("the next token"))
        around.let.set()
        await stopping
        return around, spawner.sealed_token, later

    around, kept, later = asyncio.run(tried())
    assert kept == later and around.ended_tokens == [TOKEN] and around.closed == [PLAN]


# --- a lab that does not want to hear -----------------------------------------------------


def test_a_lab_that_does_not_hear_is_warned_once_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server may hold each warning for as long as one is waited for, and so the look after its lab."""
    said: list[Any] = []
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=1000.0)

    async def say(*given: Any) -> bool:
        said.append(given)
        clock.now += parting.HEAR_S
        return False

    async def tried() -> int:
        _, spawner = await a_lab(Around(), monkeypatch)
        monkeypatch.setattr("notebooks.spawner.time", clock)
        monkeypatch.setattr(parting, "hours_since", lambda moment: 23.0)
        monkeypatch.setattr(spawner, "_say", say)
        began = clock.now
        while clock.now < began + 600:
            await spawner._warn()
            clock.now += 1
        return len(said)

    assert asyncio.run(tried()) == 600 / parting.WARNED_AGAIN_S, "and again, until it hears"
