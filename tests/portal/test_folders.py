"""Calls that bring a folder: larger than others, for members only, few at a time, and answered by the same rules."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from compute.planning import House
from keys import api as keys
from plans.artifacts import Artifact, Form
from plans.box import Entry, Limits
from plans.labs import loopback_of
from plans.request import RequestKind
from plans.tasks import Need, PythonTask
from plans.trial import Folder, TrialReport
from portal import api as portal
from portal.guards import FOLDERS
from tests.portal import region as regions
from tests.portal.region import ORIGIN, Region

SignedIn = Callable[..., TestClient]
MEI, DIGEST = "mei@nm/centre", "sha256:" + "ab" * 32
LARGE = 3 * 2**20
TABLE = (Artifact("t.csv", Form.TABLE, persons="n"),)
HOUSE = House(
    DIGEST,
    dict.fromkeys(Entry, Limits(512, 256, 0, 16, 30, 60, 32, 64, 2)),
    dict.fromkeys(Entry, (DIGEST,)),
    {DIGEST: "python"},
)


def folder(size: int = 10) -> Folder:
    files = {"main.py": b"print(1)\n", "words.txt": b"x" * size}
    return Folder({name: base64.b64encode(text).decode() for name, text in files.items()}, "main.py", ())


def body(region: Region, brought: Folder, named: Folder | None = None) -> dict[str, Any]:
    task = PythonTask(
        DIGEST, (named or brought).digest, "main.py", (), (Need("tax.income", ("region",)),), TABLE
    )
    request = dataclasses.replace(
        regions.request_of(region, MEI, task.canonical().decode()), kind=RequestKind.PYTHON
    )
    signature = keys.sign_bytes("request", request.canonical(), region.keys[MEI].signing)
    return {"request": request.plain(), "signature": signature, "folder": brought.plain()}


@pytest.fixture
def housed(region: Region) -> Region:
    jobs = dataclasses.replace(region.services.jobs, house=HOUSE)
    region.services = dataclasses.replace(region.services, jobs=jobs)
    return region


def test_a_folder_of_megabytes_comes_in_and_its_job_is_there_once(
    region: Region, signed_in: SignedIn
) -> None:
    mei, sent = signed_in(MEI), body(region, folder(LARGE))
    first, again = (mei.post("/api/v1/jobs/python", json=sent) for _ in range(2))
    assert (first.status_code, first.json()["kind"]) == (202, "python")
    assert first.json()["id"] == again.json()["id"] and len(mei.get("/api/v1/jobs").json()["jobs"]) == 1


def test_another_folder_than_was_signed_is_refused(region: Region, signed_in: SignedIn) -> None:
    answer = signed_in(MEI).post("/api/v1/jobs/python", json=body(region, folder(1), named=folder(2)))
    assert (answer.status_code, answer.json()["code"]) == (422, "value.malformed") and answer.json()[
        "next_step"
    ]


@pytest.mark.parametrize("path", FOLDERS)
def test_nobody_and_nothing_else_may_send_so_much(client: TestClient, signed_in: SignedIn, path: str) -> None:
    large = {"folder": "x" * LARGE}
    assert client.post(path, json=large).status_code == 413, "who shows neither token nor cookie"
    assert signed_in(MEI).post("/api/v1/jobs", json=large).status_code == 413
    assert signed_in(MEI).post(path, json={"folder": "x" * 13_000_000}).status_code == 413


def test_a_folder_whose_length_is_not_said_is_cut_off(signed_in: SignedIn) -> None:
    def endless():
        for _ in range(100):
            yield b" " * 100_000

    assert signed_in(MEI).post(FOLDERS[0], content=endless()).status_code == 413


def test_only_so_many_folders_are_read_at_a_time(region: Region, signed_in: SignedIn) -> None:
    token = signed_in(MEI).headers["Authorization"]
    limits = dataclasses.replace(region.services.limits, folders_at_once=0)
    app = portal.create_app(dataclasses.replace(region.services, limits=limits))
    mei = TestClient(app, base_url=ORIGIN, headers={"Authorization": token})
    full = mei.post(FOLDERS[0], json=body(region, folder(LARGE)))
    assert (full.status_code, full.json()["code"]) == (503, "service.unreachable")
    assert mei.post(FOLDERS[0], json=body(region, folder())).status_code == 202, "a small one is none of them"


def of_a_lab(address: str) -> Scope:
    """A call with a folder that is said to be large, past any proxy that would read it whole first."""
    said = {"host": ORIGIN.partition("://")[2], "authorization": "Bearer x", "content-length": str(LARGE)}
    headers = [(name.encode(), value.encode()) for name, value in said.items()]
    place = {"path": FOLDERS[0], "raw_path": FOLDERS[0].encode(), "root_path": "", "query_string": b""}
    kind = {"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http"}
    return {**kind, **place, "headers": headers, "client": (address, 40_000), "server": ("127.0.0.1", 8470)}


@pytest.mark.parametrize("lasts", [60, 1])
def test_a_lab_that_sends_slowly_takes_no_place_from_others(region: Region, lasts: int) -> None:
    """Labs send to the portal past every proxy. One may hold two of the eight places, and not for long."""
    limits = dataclasses.replace(region.services.limits, body_lasts=lasts)
    app = portal.create_app(dataclasses.replace(region.services, limits=limits))
    answers: list[tuple[str, int]] = []
    slow, other = loopback_of(20_001), loopback_of(20_002)

    async def call(address: str, comes: asyncio.Event | None = None) -> None:
        async def receive() -> Message:
            if comes:
                await comes.wait()
            return {"type": "http.request", "body": b"x" * LARGE, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answers.append((address, message["status"]))

        await app(of_a_lab(address), receive, send)

    async def others_meanwhile(comes: asyncio.Event) -> None:
        async with asyncio.timeout(50):
            while len(answers) < 10:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert answers == [(slow, 503)] * 10
        await call(other)
        await call("127.0.0.1")
        assert answers[10:] == [(other, 401), ("127.0.0.1", 401)], "read, and it is nobody's token"
        comes.set()

    async def all_at_once() -> None:
        comes = asyncio.Event()
        held = [asyncio.create_task(call(slow, comes)) for _ in range(12)]
        if lasts > 1:
            await others_meanwhile(comes)
        await asyncio.gather(*held)
        assert Counter(answers)[slow, 503] == (10 if lasts > 1 else 12), (
            "two had a place, as long as it lasts"
        )
        await call(slow)
        assert answers[-1] == (slow, 401), "and have given it back"

    asyncio.run(all_at_once())


def test_an_approver_sends_no_folder(region: Region, signed_in: SignedIn) -> None:
    assert signed_in("bo@nm/tax").post(FOLDERS[0], json=body(region, folder())).status_code == 403


def test_a_trial_is_asked_for_until_it_has_ended(housed: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    from compute.service import JobService

    answers = [None, TrialReport("python.failed", None, "ValueError: no", "", ())]
    monkeypatch.setattr(JobService, "attempt", lambda *_: answers.pop(0))
    app = portal.create_app(housed.services)
    mei = TestClient(app, base_url=ORIGIN)
    given = {"member": MEI, "password": housed.password(MEI)}
    mei.headers["Authorization"] = f"Bearer {mei.post('/api/v1/sign-in', json=given).json()['token']}"
    made = folder()
    task = PythonTask(DIGEST, made.digest, "main.py", (), (Need("tax.income", ("region",)),), TABLE)
    sent = {"task": task.plain(), "folder": made.plain()}
    assert mei.post("/api/v1/trials", json=sent).json() == {"report": None}
    assert mei.post("/api/v1/trials", json=sent).json()["report"]["text"] == "ValueError: no"


def test_components_and_images_are_listed_and_a_wrong_parameter_is_said(housed: Region) -> None:
    mei = TestClient(portal.create_app(housed.services), base_url=ORIGIN)
    given = {"member": MEI, "password": housed.password(MEI)}
    mei.headers["Authorization"] = f"Bearer {mei.post('/api/v1/sign-in', json=given).json()['token']}"
    listed = {each["name"]: each for each in mei.get("/api/v1/components").json()["components"]}
    assert listed["describe"]["title_zh"] and len(listed) >= 10
    images = mei.get("/api/v1/images").json()["images"]
    assert {(each["name"], each["stage"]) for each in images} == {
        ("python", "python"),
        ("python", "component"),
    }
    sent = {"parameters": {"columns": ["income"], "by": "region"}, "relations": ["tax.income"]}
    made = mei.post("/api/v1/components/describe", json=sent).json()["task"]
    assert made["needs"][0]["keys"] == ["region"] and made["artifacts"]
    wrong = mei.post("/api/v1/components/describe", json=sent | {"parameters": {"column": ["income"]}})
    assert wrong.status_code == 422 and "columns" in wrong.json()["next_step"]
    assert mei.post("/api/v1/components/nothing", json=sent).status_code == 404


def test_a_failed_job_is_tried_again_by_its_member_alone(region: Region, signed_in: SignedIn) -> None:
    from store import api as store

    mei = signed_in(MEI)
    number = mei.post(FOLDERS[0], json=body(region, folder())).json()["id"]
    assert mei.post(f"/api/v1/jobs/{number}/retry", json={}).status_code == 409
    with region.database.session() as session:
        store.jobs.move(session, number, "submitted", "failed")
    assert signed_in("lin@nm/centre").post(f"/api/v1/jobs/{number}/retry", json={}).status_code == 404
    assert mei.post(f"/api/v1/jobs/{number}/retry", json={}).json()["state"] == "submitted"


def test_pages_say_what_kind_of_job_it_is_and_what_it_waits_for(region: Region, signed_in: SignedIn) -> None:
    mei = signed_in(MEI)
    number = mei.post(FOLDERS[0], json=body(region, folder())).json()["id"]
    assert "<td>python</td>" in mei.get("/jobs").text
    shown = mei.get(f"/jobs/{number}").text
    assert "python" in shown and "the platform" in shown
