"""Why a lab is ended that could go on, and when its pages are told; without any process."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from oauthenticator.oauth2 import OAuthenticator

from notebooks import config, parting, spawner
from notebooks.authenticator import PortalAuthenticator
from notebooks.parting import Parting
from notebooks.spawner import LabSpawner
from tests.notebooks.panel_lab import LAB
from tests.notebooks.test_porter import settings_in

CHINESE = re.compile(r"[\u4e00-\u9fff]")
EVERY = [
    parting.MEMBERSHIP_ENDED,
    parting.PROJECT_ENDED,
    parting.idle(4),
    parting.idle(1),
    parting.old(7),
    parting.old(1),
]


class Lab:
    """A spawner of which only what decides about its end is real."""

    cull, warn = LabSpawner.cull, LabSpawner._warn

    def __init__(self, idle: timedelta, age: timedelta) -> None:
        now = datetime.now(UTC).replace(tzinfo=None)
        self.orm_spawner = SimpleNamespace(last_activity=now - idle, started=now - age)
        settings = replace(settings_in(Path("/x"), 1, 2), idle_hours=4, age_days=7)
        self.neighbours = SimpleNamespace(settings=settings)
        self.said: list[dict[str, Any]] = []
        self.parted: list[Parting] = []
        self.sealed_token, self.hears = "", True
        self._warns_at, self._parting = float("-inf"), None

    async def part(self, why: Parting) -> None:
        self.parted.append(why)

    async def _say(self, token: str, said: dict[str, Any]) -> bool:
        self.said.append(said)
        return self.hears


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LONGEST_END_S = config.LOOK_S + spawner.AWAY_S + 60 * spawner.LOOK_S
"""How long after its time a lab may still live that the Hub ends: until the next look, or until a launcher that is away
is given up, and until its box is gone.
"""


@pytest.mark.parametrize(
    ("idle", "age", "reasons"),
    [
        (5 * HOUR, 6 * HOUR, ["idle"]),
        (5 * HOUR, 8 * DAY, ["idle"]),
        (HOUR, 7 * DAY + HOUR, ["age"]),
        (HOUR, 6 * DAY, []),  # used again since the culler looked
    ],
)
def test_the_culler_ends_a_lab_for_the_reason_that_holds(
    idle: timedelta, age: timedelta, reasons: list[str]
) -> None:
    lab = Lab(idle, age)
    asyncio.run(lab.cull())  # type: ignore[misc]
    assert [why.over.reason for why in lab.parted] == reasons


def test_a_lab_is_warned_of_its_age_once_it_was_heard_and_not_too_early() -> None:
    early, late, over = (Lab(HOUR, 7 * DAY - left) for left in (25 * HOUR, 23 * HOUR, -HOUR))
    for lab in (early, late, over):
        for _ in range(3):
            asyncio.run(lab.warn())  # type: ignore[misc]
    assert not early.said and not over.said
    (said,) = late.said
    assert said["kind"] == "warning" and 22 * 3600 < said["left_s"] <= 23 * 3600
    assert (
        "{time}" in said["en"] and "{time}" in said["zh"] and "7 days" in said["en"] and "7 天" in said["zh"]
    )


@given(st.integers(1, 365), st.floats(-1e6, 1e8))
def test_no_lab_is_warned_in_the_first_three_quarters_of_its_age(days: int, left_s: float) -> None:
    if parting.is_warned(days, left_s):
        assert 0 < left_s <= 86_400 and left_s <= 86_400 * days / 4


@pytest.mark.parametrize("why", EVERY)
def test_every_end_is_said_in_both_languages_before_and_after(why: Parting) -> None:
    told = why.told()
    assert told["en"].endswith(".") and "ends in a moment, because" in told["en"]
    assert CHINESE.search(told["zh"]) and "即将结束" in told["zh"] and told["zh"].endswith("。")
    assert "was stopped because" in why.over.said.english and "已停止" in why.over.said.chinese
    assert max(map(len, told.values())) <= 1000, "as long as a lab's server takes"


def test_rights_that_a_member_may_not_have_end_before_anything_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[str] = []

    async def rights(token: str) -> None:
        happened.append("rights")

    async def say(token: str, said: dict[str, Any]) -> bool:
        happened.append(str(said["reason"]))
        return True

    async def opened(text: str) -> str:
        return "token"

    monkeypatch.setattr("notebooks.spawner.opened", opened)
    for why in (parting.PROJECT_ENDED, parting.idle(4)):
        lab = SimpleNamespace(
            _parting=None,
            neighbours=Lab(HOUR, HOUR).neighbours,
            sealed_token="",
            _end_rights=rights,
            _say=say,
        )
        asyncio.run(LabSpawner.part(lab, why))  # type: ignore[arg-type]
        asyncio.run(LabSpawner.part(lab, why))  # type: ignore[arg-type]
    assert happened == ["rights", "project-ended", "idle"], (
        "each once; a lab that lies idle keeps its rights meanwhile"
    )


def test_an_end_that_does_not_come_is_told_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Hub that is killed while pages save forgets it; they would save every few seconds, which is use of the lab."""
    monkeypatch.syspath_prepend(str(LAB))
    from darkroom_lab import notices

    clock = SimpleNamespace(time=lambda: clock.now, now=1e9)
    monkeypatch.setattr(notices, "time", clock)
    monkeypatch.setenv("DARKROOM_TOKEN", "token")
    for said in (
        {"kind": parting.ENDING, "left_s": 20, **parting.idle(4).told()},
        {"kind": parting.WARNING, "left_s": 3600.0, **parting.warning(7)},
    ):
        settings = {notices.NOTICE: notices._read(json.dumps(said).encode())}
        shown = notices.facts(settings)
        assert shown["notice"]["en"] == said["en"] and shown["notice"]["until"] == clock.now + said["left_s"]
        clock.now += said["left_s"] + LONGEST_END_S
        assert notices.facts(settings) == shown, "the control: a Hub that works may take so long"
        clock.now += 60
        assert notices.facts(settings) == {"key": shown["key"]}, "pages still ask why, if it ends after all"
        settings[notices.NOTICE] = notices._read(json.dumps(said).encode())
        assert "notice" in notices.facts(settings), "said anew, it is told anew"
    assert "notice" not in notices.facts({})


@pytest.mark.parametrize("parts", [True, False])
def test_a_page_that_saves_is_let_in_though_its_member_is_none_any_more(
    parts: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The portal knows the member no more, and the lab's server asks the Hub who comes; else nobody is let in, and
    it is looked at once whether the lab is to end.
    """
    looked: list[bool] = []

    async def unknown(*_: object, **__: object) -> bool:
        return False

    monkeypatch.setattr(OAuthenticator, "refresh_user", unknown)
    spawner = SimpleNamespace(is_parting=parts, look_again=lambda: looked.append(True))
    found = asyncio.run(PortalAuthenticator().refresh_user(SimpleNamespace(spawner=spawner)))
    assert (found, looked) == ((True, []) if parts else (False, [True]))
