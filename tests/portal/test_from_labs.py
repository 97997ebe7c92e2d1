"""What comes out of a lab, by its link to the API: the API by the lab's token, and no way to sign in.

All labs reach the portal through the porter, on the machine at which a proxy or a browser may be, too.
"""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from plans.labs import loopback_of
from portal import api as portal
from tests.portal.fixtures import ORIGIN
from tests.portal.region import Region

LAB = loopback_of(20_123)
MEI = "mei@nm/centre"


def at(region_or_app: object, address: str) -> TestClient:
    return TestClient(region_or_app, base_url=ORIGIN, client=(address, 40_000), follow_redirects=False)  # type: ignore[arg-type]


@pytest.fixture
def app(region: Region) -> object:
    return portal.create_app(region.services)


@pytest.mark.parametrize("path", ["/api/v1/sign-in", "/api/v1/%73ign-in", "/api/v1/sign-in/"])
def test_63_no_password_is_tried_from_a_lab_and_nobody_is_locked_out_by_one(
    app: object, region: Region, path: str
) -> None:
    body = {"member": MEI, "password": region.password(MEI)}
    lab, here = at(app, LAB), at(app, "127.0.0.1")
    for _ in range(60):
        assert lab.post(path, json=body | {"password": "guessed, guessed"}).status_code == 403
    assert lab.post(path, json=body).status_code == 403, "not with the right one either"
    assert here.post("/api/v1/sign-in", json=body).status_code == 200


@pytest.mark.parametrize("end", ["%0a", "%0d", "%00", "%09", "/%0a", "%0a/", "%c2%85", "%e2%80%a8"])
def test_63_no_end_of_a_path_leads_past_that(app: object, region: Region, end: str) -> None:
    """A router for which `$` is also before a line's end takes `/sign-in%0a` for the way to sign in."""
    body = {"member": MEI, "password": region.password(MEI)}
    for address in (LAB, "127.0.0.1"):
        assert at(app, address).post(f"/api/v1/sign-in{end}", json=body).status_code == 422
    assert at(app, "127.0.0.1").post("/api/v1/sign-in", json=body).status_code == 200, "the control"


def test_63_control_the_same_tries_from_elsewhere_are_tries(app: object, region: Region) -> None:
    here = at(app, "127.0.0.1")
    body = {"member": MEI, "password": "guessed, guessed"}
    seen = {here.post("/api/v1/sign-in", json=body).status_code for _ in range(7)}
    assert seen == {401, 429}


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/labs", "/oauth/authorize", "/jobs", "/api/v1", "//api/v1/me"]
)
def test_pages_are_for_browsers(app: object, path: str) -> None:
    assert at(app, LAB).get(path).status_code == 403


@pytest.mark.parametrize("path", ["/sign-in", "/oauth/token", "/oauth/standing", "/sign-out"])
def test_forms_and_the_hubs_questions_are_not_for_labs(app: object, path: str) -> None:
    assert at(app, LAB).post(path, content="").status_code == 403
    assert at(app, "127.0.0.1").post(path, content="").status_code in (400, 401, 403, 404)


def test_control_a_lab_uses_the_api_with_a_token(app: object, region: Region) -> None:
    body = {"member": MEI, "password": region.password(MEI)}
    token = at(app, "127.0.0.1").post("/api/v1/sign-in", json=body).json()["token"]
    lab = at(app, LAB)
    assert lab.get("/api/v1/version").status_code == 200
    assert lab.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 200
