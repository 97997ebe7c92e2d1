"""What every answer promises: a problem document with a stable code, headers that bind browsers, limits, and
no input repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from plans.errors import by_code
from portal import api as portal
from portal.guards import HEADERS
from store import api as store
from tests.drawn import without_drawn
from tests.portal.region import DATASET, ORIGIN, Region, wish

SignedIn = Callable[..., TestClient]
SECRET = "correct-horse-canary"


def test_health_answers_under_any_name(client: TestClient) -> None:
    assert client.get("/health", headers={"Host": "127.0.0.1:9"}).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/me", 401),
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/docs", 404),
        ("GET", "/redoc", 404),
        ("DELETE", "/api/v1/me", 405),
        ("POST", "/api/v1/sign-in", 422),
        ("GET", "/style.css", 200),
        ("GET", "/", 200),
        ("GET", "/openapi.json", 200),
    ],
)
def test_every_answer_has_the_headers_and_every_error_is_a_problem(
    client: TestClient, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    if status >= 400:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["status"] == status and problem["code"] in by_code()
        assert problem["title"] and problem["next_step"]


def test_pages_may_run_no_script_and_be_framed_by_nobody(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert "<script" not in client.get("/").text and "style=" not in client.get("/").text


@pytest.mark.parametrize(
    "body",
    [
        {"member": {"x": SECRET}, "password": SECRET},
        {"member": "mei@nm/centre", "password": [SECRET]},
        {"member": "mei@nm/centre", "password": SECRET, "roles": [SECRET]},
        {"member": "mei@nm/centre", "password": SECRET * 100},
        [SECRET],
        SECRET,
    ],
)
def test_what_was_typed_is_never_repeated(client: TestClient, body: object) -> None:
    answer = client.post("/api/v1/sign-in", json=body)
    assert answer.status_code == 422 and SECRET not in answer.text


def test_malformed_json_is_a_problem_too(client: TestClient) -> None:
    for content in (b"{", b"\xff\xfe", b"null", b'{"member": NaN}', b"[" * 100_000):
        answer = client.post("/api/v1/sign-in", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422) and answer.json()["code"] == "value.malformed"


def test_a_ten_megabyte_query_is_refused_before_it_is_read(signed_in: SignedIn) -> None:
    answer = signed_in("mei@nm/centre").post(
        "/api/v1/jobs", json={"request": {"statement": "x" * 10_000_000}}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "value.too-large")


def test_a_body_that_lies_about_its_length_is_cut_off(client: TestClient) -> None:
    def endless():
        for _ in range(100):
            yield b" " * 100_000

    answer = client.post("/api/v1/sign-in", content=endless())
    assert answer.status_code == 413


def test_only_the_portals_own_name_is_answered_to(client: TestClient) -> None:
    """A page whose name was rebound to our address reads nothing."""
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/").status_code == 200


def test_a_defect_says_only_that_it_is_one(region: Region) -> None:
    class Broken:
        def submit(self, *_: object) -> None:
            raise ZeroDivisionError(SECRET)

        jobs = submit

    app = portal.create_app(replace(region.services, jobs=Broken()))  # type: ignore[arg-type]
    client = TestClient(app, base_url=ORIGIN, raise_server_exceptions=False)
    body = {"member": "mei@nm/centre", "password": region.password("mei@nm/centre")}
    token = client.post("/api/v1/sign-in", json=body).json()["token"]
    answer = client.get("/api/v1/jobs", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 500 and SECRET not in answer.text and "Zero" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_websockets_are_not_taken(client: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/api/v1/jobs"):
        pass


# --- catalog, keys ------------------------------------------------------------------------------------------


def test_the_catalog_describes_columns_and_tells_no_fact_about_rows(signed_in: SignedIn) -> None:
    client = signed_in("ada@nm/centre")
    assert [each["dataset"] for each in client.get("/api/v1/datasets").json()["datasets"]] == [DATASET]
    answer = client.get(f"/api/v1/datasets/{DATASET}")
    kinds = {column["name"]: column["kind"] for column in answer.json()["columns"]}
    assert kinds["id_number"] == "identifier" and kinds["income"] == "sensitive"
    assert answer.json()["about_persons"] is True
    for number in ("800123", "800019", "4217"):
        assert number not in without_drawn(answer.text)
    assert client.get("/api/v1/datasets/nm/tax/nothing").json()["code"] == "thing.not-found"


def test_a_domain_shows_its_keepers_key_and_not_its_sockets(signed_in: SignedIn) -> None:
    found = signed_in("mei@nm/centre").get("/api/v1/domains/nm/tax").json()
    assert found["keeper_key"].startswith("ed25519:") and set(found) == {
        "name",
        "title",
        "title_zh",
        "keeper_key",
    }


def test_keys_are_enrolled_once_and_by_their_member_only(region: Region, signed_in: SignedIn) -> None:
    with region.database.session() as session:
        store.members.set_keys(session, "mei@nm/centre", "", "")
    client, body = (
        signed_in("mei@nm/centre"),
        {"signing_key": "ed25519:" + "1" * 64, "opening_key": "x25519:" + "2" * 64},
    )
    assert client.post("/api/v1/applications", json=wish()).json()["code"] == "state.conflict"
    assert client.post("/api/v1/me/keys", json=body | {"signing_key": "ed25519:zz"}).status_code == 422
    assert client.post("/api/v1/me/keys", json=body).status_code == 200
    assert client.post("/api/v1/me/keys", json=body).status_code == 409
    assert region.member("mei@nm/centre").signing_key == body["signing_key"]
    assert signed_in("lin@nm/centre", "catalog", "jobs").post("/api/v1/me/keys", json=body).status_code == 403
