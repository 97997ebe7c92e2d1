"""What the centre takes for a twin: the newest that the owner's keeper signed for this version, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalog.api import released_twin as released
from compute.trials import _twin
from keys import api as keys
from plans.errors import Malformed
from plans.statements import Duty, Signed, Type
from plans.tasks import Need
from plans.twins import Twin, declared_recipe
from plans.verdict import Finding
from store import api as store
from tests.keeper import house

MANIFEST = house.manifest()
GOOD = Twin(1, MANIFEST.digest, declared_recipe(MANIFEST, "ab" * 16, repeats=True), Finding.PASS, "")
LATER = replace(GOOD, recipe=declared_recipe(MANIFEST, "cd" * 16, repeats=True))
FORGED = replace(GOOD, recipe=declared_recipe(MANIFEST, "ef" * 16, repeats=True))


@pytest.fixture
def database(tmp_path: Path) -> store.Database:
    """A centre that knows one domain and one version."""
    found = store.open_database(f"sqlite:///{tmp_path / 'centre.db'}")
    store.migrate(found)
    signed = house.signed_manifest()
    row = store.ManifestRow(
        MANIFEST.digest, MANIFEST.dataset, 1, MANIFEST.relation, house.DOMAIN, "general-3", "Incomes",
        signed.canonical().decode(), 1,
    )  # fmt: skip
    domain = store.DomainRow(house.DOMAIN, "Tax", "税务", house.key("keeper").public, "", "launcher.sock")
    with found.session() as session:
        store.manifests.add(session, row)
        store.domains.put(session, domain)
    return found


def twin(body: Twin, signer: str = "keeper", duty: Duty = Duty.KEEPER, kind: Type = Type.TWIN) -> Signed:
    return house.signed(kind, duty, body, signer)


def lay(database: store.Database, at: int, signed: Signed, **changes: Any) -> None:
    """Put a statement where the centre looks."""
    row = store.StatementRow(
        signed.statement.digest, "twin", house.DOMAIN, signed.statement.signer, MANIFEST.digest,
        signed.canonical().decode(), at,
    )  # fmt: skip
    with database.session() as session:
        store.statements.add(session, replace(row, **changes))


def found(database: store.Database) -> Twin | None:
    with database.reading() as session:
        version = store.manifests.current(session, MANIFEST.dataset)
        assert version is not None
        return released(session, version)


def test_the_newest_of_the_owners_keeper_is_the_twin(database: store.Database) -> None:
    assert found(database) is None
    lay(database, 1, twin(GOOD))
    assert found(database) == GOOD
    lay(database, 2, twin(LATER))
    assert found(database) == LATER


@pytest.mark.parametrize(
    "forged",
    [
        twin(FORGED, "launcher"),
        twin(FORGED, duty=Duty.STEWARD),
        twin(FORGED, kind=Type.MANIFEST),
        replace(twin(FORGED), signature="0" * 128),
        twin(replace(FORGED, manifest=house.digest("another"))),
        keys.sign(keys.Draft(Type.TWIN, house.DOMAIN, Duty.KEEPER, MANIFEST), house.key("keeper")),
    ],
    ids=["another's", "another duty", "another type", "no signature", "another version", "no twin"],
)
def test_whoever_lays_another_there_changes_nothing(database: store.Database, forged: Signed) -> None:
    lay(database, 1, twin(GOOD))
    lay(database, 2, forged)
    assert found(database) == GOOD


def test_a_trial_shows_the_columns_of_its_task_with_the_values_of_the_recipe(
    database: store.Database,
) -> None:
    with database.reading() as session:
        version = store.manifests.current(session, MANIFEST.dataset)
    assert version is not None
    table = _twin(version, Need("tax.income", ("region", "income")), GOOD)
    assert [column.name for column in table.visible] == ["person", "income", "region"]
    assert table.columns == GOOD.recipe.table.columns and table.seed == "ab" * 16
    assert _twin(version, Need("tax.income", ("income",)), None).seed == "", "the control: no recipe, no seed"
    with pytest.raises(Malformed, match="no column 'id_number'"):
        _twin(version, Need("tax.income", ("id_number",)), GOOD)
