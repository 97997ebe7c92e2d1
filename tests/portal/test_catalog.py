"""What clients ask before they work: the version, and the twin of a dataset as its keeper signed it."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.testclient import TestClient

from keys import api as keys
from plans.statements import Duty, Signed, Type
from plans.twins import Twin
from store import api as store
from tests.portal.region import DATASET, OWNER, Region, manifest_row
from tests.portal.test_task_pages import MEI, twin_signed_by

SignedIn = Callable[..., TestClient]
PATH = f"/api/v1/datasets/{DATASET}/twin"


def test_the_version_is_told_to_everybody_and_says_nothing_else(client: TestClient) -> None:
    told = client.get("/api/v1/version").json()
    assert set(told) == {"api", "client_at_least", "server"} and told["api"] == 1
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", told[name]) for name in ("client_at_least", "server"))


def test_a_twin_is_handed_out_as_its_keeper_signed_it(region: Region, signed_in: SignedIn) -> None:
    assert signed_in(MEI, "catalog").get(PATH).status_code == 404
    twin_signed_by(region, region.keeper)
    told = signed_in(MEI, "catalog").get(PATH).json()
    statement = keys.verify(Signed.read(told["signed"]))
    assert (statement.type, statement.duty, statement.signer) == (
        Type.TWIN,
        Duty.KEEPER,
        region.keeper.public,
    )
    twin = Twin.read(dict(statement.body))
    assert (twin.recipe.dataset, told["dataset"], told["version"]) == (DATASET, DATASET, 1)


def test_a_twin_that_the_keeper_did_not_sign_is_none(region: Region, signed_in: SignedIn) -> None:
    twin_signed_by(region, keys.SigningKey.fresh())
    answer = signed_in(MEI, "catalog").get(PATH)
    assert answer.status_code == 404 and "released no twin" in answer.json()["title"]


def test_a_twin_needs_the_scope_of_the_catalog_and_a_dataset_that_is_there(
    region: Region, signed_in: SignedIn, client: TestClient
) -> None:
    twin_signed_by(region, region.keeper)
    assert client.get(PATH).status_code == 401
    assert signed_in(MEI, "jobs").get(PATH).status_code == 403
    for dataset, status in (("nm/tax/none", 404), ("NM/x", 422), ("nm", 422)):
        assert signed_in(MEI).get(f"/api/v1/datasets/{dataset}/twin").status_code == status


def test_a_dataset_that_is_called_twin_is_described(region: Region, signed_in: SignedIn) -> None:
    row = manifest_row(region.keeper)
    named = store.ManifestRow(
        "sha256:x", f"{DATASET}/twin", 1, "income.twin", OWNER, row.grade, "T", row.signed, 1
    )
    with region.database.session() as session:
        store.manifests.add(session, named)
    assert signed_in(MEI).get(PATH).json()["relation"] == "income.twin"
