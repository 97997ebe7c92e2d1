"""The porter: who comes is joined to what the lab parked, and a plan that nobody opened gets nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from notebooks import porter
from notebooks.asking import Porter as Desk
from notebooks.porter import MOST_PARKED, Porter
from notebooks.settings import LabsSettings
from plans import frames, frames_async
from plans.errors import NotFound, Unreachable
from plans.labs import is_lab, loopback_of
from tests.notebooks.house import CEILING
from tests.ports import free_ports

PLAN, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
ENVIRONMENT = {"JUPYTERHUB_API_TOKEN": "secret-of-this-lab"}


def settings_in(folder: Path, hub_port: int, portal_port: int) -> LabsSettings:
    return LabsSettings(
        portal=f"http://127.0.0.1:{portal_port}", portal_page="http://portal", address="http://labs.localhost:1",
        listen_host="127.0.0.1", listen_port=1, hub_port=hub_port, proxy_port=1, first_port=20_000,
        launcher_socket="x", porter_hub=str(folder / "hub"), porter_api=str(folder / "api"),
        porter_desk=str(folder / "desk"), porter_state=str(folder), hub_state="x", keys="x", images="x",
        user_launcher=None, user_porter=None, user_proxy=None, user_hub=None, idle_hours=1, age_days=1,
        limits=CEILING.plain(),
    )  # fmt: skip


def neighbours() -> tuple[int, int]:
    """Ports for a Hub and a portal."""
    first = free_ports(2)
    return first, first + 1


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a parked connection waits long, so that whatever comes sooner does not come of that."""
    monkeypatch.setattr(porter, "WAIT_S", 300.0)


async def becomes(what: Callable[[], bool], patience_s: float = 60) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(patience_s):
        while not what():
            await asyncio.sleep(0.01)


@dataclass
class Outside:
    """A running porter, with an echo in place of the Hub and of the portal that begins with its name."""

    settings: LabsSettings
    desk: Desk

    async def link(
        self, name: str, plan: str, letter: bytes = b""
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        place = self.settings.porter_hub if name == "hub" else self.settings.porter_api
        reader, writer = await asyncio.open_unix_connection(place)
        writer.write(frames.pack({"plan": plan, "link": name}) + letter)
        await writer.drain()
        return reader, writer


async def echo(name: bytes, port: int) -> asyncio.Server:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name + b":" + await reader.read())
        writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port)


@contextlib.asynccontextmanager
async def running(settings: LabsSettings) -> AsyncIterator[Outside]:
    stop = asyncio.Event()
    task = asyncio.create_task(Porter(settings).serve(stop))
    desk = Desk(settings.porter_desk)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(Unreachable):
                await desk.plans()
                break
            await asyncio.sleep(0.01)
    try:
        yield Outside(settings, desk)
    finally:
        stop.set()
        await task


def play(folder: Path, story: Callable[[Outside], Awaitable[None]]) -> None:
    async def told() -> None:
        settings = settings_in(folder, *neighbours())
        servers = [await echo(b"hub", settings.hub_port), await echo(b"portal", settings.portal_place[1])]
        async with running(settings) as outside:
            await asyncio.wait_for(story(outside), 200)
        for server in servers:
            server.close()

    asyncio.run(told())


async def said(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], text: bytes = b"") -> bytes:
    reader, writer = streams
    if text:
        writer.write(text)
    with contextlib.suppress(OSError):
        writer.write_eof()
    with contextlib.suppress(ConnectionError):
        return await asyncio.wait_for(reader.read(), 60)
    return b""


def test_whoever_comes_is_joined_to_what_the_lab_parked(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        port = await outside.desk.open(PLAN, ENVIRONMENT)
        reader, writer = await outside.link("hub", PLAN, b"W")
        come = await asyncio.open_connection(loopback_of(port), port)
        come[1].write(b"GET /")
        assert await reader.readexactly(6) == b"!GET /"
        writer.write(b"200")
        assert await come[0].readexactly(3) == b"200"
        come[1].write_eof()
        assert await reader.read() == b"", "the end of one way is passed on"
        writer.write(b" and more")
        writer.write_eof()
        assert await come[0].read() == b" and more", "and the other way goes on"

    play(tmp_path, story)


def test_who_comes_before_the_lab_is_there_waits_a_little(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        port = await outside.desk.open(PLAN, ENVIRONMENT)
        come = await asyncio.open_connection(loopback_of(port), port)
        await asyncio.sleep(0.2)
        lab = await outside.link("hub", PLAN, b"W")
        assert await lab[0].readexactly(1) == b"!"
        assert not come[0].at_eof()

    play(tmp_path, story)


def test_a_parked_connection_that_the_lab_ended_is_not_given_to_anybody(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        port = await outside.desk.open(PLAN, ENVIRONMENT)
        _, gone = await outside.link("hub", PLAN, b"W")
        early = await outside.link("hub", PLAN, b"Wsomething before it was told to speak")
        living = await outside.link("hub", PLAN, b"W")
        gone.close()
        await asyncio.sleep(0.2)
        come = await asyncio.open_connection(loopback_of(port), port)
        come[1].write(b"x")
        assert await living[0].readexactly(2) == b"!x"
        assert await early[0].read() == b"", "it was closed instead"

    play(tmp_path, story)


def test_settings_are_given_once_and_to_the_plan_that_was_opened_alone(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        assert await said(await outside.link("hub", PLAN, b"S")) == b"", "nobody opened it"
        await outside.desk.open(PLAN, ENVIRONMENT)
        assert await said(await outside.link("hub", OTHER, b"S")) == b""
        reader, _ = await outside.link("hub", PLAN, b"S")
        assert await frames_async.read_async(reader) == {"environment": ENVIRONMENT}
        assert await said(await outside.link("hub", PLAN, b"S")) == b"", "once"
        await outside.desk.open(PLAN, ENVIRONMENT)
        assert await said(await outside.link("hub", PLAN, b"S")) == b"", "once, also when it is opened again"

    play(tmp_path, story)


def test_a_lab_reaches_the_hub_and_the_portal_and_nothing_by_a_plan_that_is_closed(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        assert await said(await outside.link("api", PLAN), b"x") == b""
        await outside.desk.open(PLAN, ENVIRONMENT)
        assert await said(await outside.link("hub", PLAN, b"C"), b"to the hub") == b"hub:to the hub"
        assert await said(await outside.link("api", PLAN), b"to the portal") == b"portal:to the portal"
        assert await said(await outside.link("hub", PLAN, b"X"), b"no such letter") == b""
        await outside.desk.close(PLAN)
        assert await said(await outside.link("hub", PLAN, b"C"), b"x") == b""
        assert await said(await outside.link("api", PLAN), b"x") == b""

    play(tmp_path, story)


def test_a_port_is_at_an_address_to_which_no_name_leads_a_browser(tmp_path: Path) -> None:
    """Cookies know no ports: at 127.0.0.1 a lab would be sent those of the portal, of the Hub and of other labs."""

    async def story(outside: Outside) -> None:
        ports = [await outside.desk.open(plan, ENVIRONMENT) for plan in (PLAN, OTHER)]
        for port in ports:
            (await asyncio.open_connection(loopback_of(port), port))[1].close()
            for address in ("127.0.0.1", "::1", loopback_of(sum(ports) - port)):
                with pytest.raises(OSError):
                    await asyncio.open_connection(address, port)

    play(tmp_path, story)


def test_a_labs_calls_come_from_an_address_of_its_own(tmp_path: Path) -> None:
    """So that what a lab does wrong is counted for that lab: all others come from the porter, too."""

    async def told() -> None:
        async def portal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(writer.get_extra_info("peername")[0].encode())
            writer.close()

        settings, seen = settings_in(tmp_path, *neighbours()), set()
        async with await asyncio.start_server(portal, *settings.portal_place), running(settings) as outside:
            for plan in (PLAN, OTHER):
                await outside.desk.open(plan, ENVIRONMENT)
                seen.add((await said(await outside.link("api", plan))).decode())
        assert len(seen) == 2 and all(map(is_lab, seen)) and not is_lab("127.0.0.1"), seen

    asyncio.run(told())


def test_closing_ends_connections_that_are_open(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        port = await outside.desk.open(PLAN, ENVIRONMENT)
        lab = await outside.link("hub", PLAN, b"W")
        come = await asyncio.open_connection(loopback_of(port), port)
        come[1].write(b"x")
        await lab[0].readexactly(2)
        await outside.desk.close(PLAN)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(come[0].read(), 60) == b""
        with pytest.raises(OSError):
            await asyncio.open_connection(loopback_of(port), port)

    play(tmp_path, story)


def test_closing_a_lab_and_stopping_leave_no_trace_of_a_defect_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits for a lab that is closed, or for a porter that stops, is sent away; nothing has gone wrong."""

    async def story(outside: Outside) -> None:
        for plan in (PLAN, PLAN[:-1] + "0"):
            port = await outside.desk.open(plan, ENVIRONMENT)
            come = [await asyncio.open_connection(loopback_of(port), port) for _ in range(3)]
            for _ in range(6):
                await outside.link("hub", plan, b"W")
            come += [await asyncio.open_connection(loopback_of(port), port) for _ in range(3)]
            await asyncio.sleep(0.1)
            if plan == PLAN:
                await outside.desk.close(plan)
                for reader, _ in come:
                    with contextlib.suppress(ConnectionError):
                        assert await asyncio.wait_for(reader.read(), 60) == b"", (
                            "at once, and not after the wait"
                        )

    play(tmp_path, story)
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []


def test_two_labs_are_never_joined_to_each_others_visitors(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        ports = {plan: await outside.desk.open(plan, ENVIRONMENT) for plan in (PLAN, OTHER)}
        mine = await outside.link("hub", PLAN, b"W")
        come = await asyncio.open_connection(loopback_of(ports[OTHER]), ports[OTHER])
        come[1].write(b"for the other lab")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(mine[0].read(1), 0.5)
        theirs = await outside.link("hub", OTHER, b"W")
        assert await theirs[0].readexactly(18) == b"!for the other lab"

    play(tmp_path, story)


def test_a_lab_that_parks_without_end_has_as_many_as_it_may(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        await outside.desk.open(PLAN, ENVIRONMENT)
        parked = [await outside.link("hub", PLAN, b"W") for _ in range(MOST_PARKED + 5)]
        await becomes(lambda: sum(reader.at_eof() for reader, _ in parked) >= 5)
        await asyncio.sleep(0.2)
        assert sum(reader.at_eof() for reader, _ in parked) == 5, "and no more"

    play(tmp_path, story)


def test_a_porter_that_was_restarted_knows_ports_and_who_has_settings_and_no_secret_is_in_its_file(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        settings = settings_in(tmp_path, *neighbours())
        async with running(settings) as outside:
            port = await outside.desk.open(PLAN, ENVIRONMENT)
            other = await outside.desk.open(OTHER, ENVIRONMENT)
            await said(await outside.link("hub", PLAN, b"S"))
        assert ENVIRONMENT["JUPYTERHUB_API_TOKEN"] not in (tmp_path / "ports.json").read_text()
        async with running(replace(settings)) as outside:
            assert await outside.desk.plans() == [PLAN, OTHER]
            assert await outside.desk.status(PLAN) == {"asked": True, "answers": False, "settings": True}
            assert await outside.desk.status(OTHER) == {"asked": False, "answers": False, "settings": False}
            assert await outside.desk.open(OTHER, ENVIRONMENT) == other
            lab = await outside.link("hub", PLAN, b"W")
            come = await asyncio.open_connection(loopback_of(port), port)
            come[1].write(b"y")
            assert await lab[0].readexactly(2) == b"!y"

    asyncio.run(story())


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "open", "plan": "../x", "environment": {}},
        {"op": "open", "plan": PLAN, "environment": {"A": 1}},
        {"op": "x"},
    ],
)
def test_the_desk_refuses_what_has_not_its_form(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async def story(outside: Outside) -> None:
        reader, writer = await asyncio.open_unix_connection(outside.settings.porter_desk)
        writer.write(frames.pack(wrong))
        answer = await frames_async.read_async(reader)
        assert answer is not None and answer["error"]["code"] == "value.malformed"
        assert await outside.desk.plans() == []

    play(tmp_path, story)


def test_a_plan_that_nobody_opened_has_no_status(tmp_path: Path) -> None:
    async def story(outside: Outside) -> None:
        with pytest.raises(NotFound):
            await outside.desk.status(PLAN)

    play(tmp_path, story)


def test_a_broken_file_of_ports_is_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")

    async def story(outside: Outside) -> None:
        assert await outside.desk.plans() == []
        await outside.desk.open(PLAN, ENVIRONMENT)
        assert list(json.loads((tmp_path / "ports.json").read_text())) == [PLAN]

    play(tmp_path, story)
