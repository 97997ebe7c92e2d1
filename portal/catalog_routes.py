"""The catalog: what there is. Every signed-in member may know that a dataset exists; nobody learns a fact
about its rows.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from catalog import api as catalog
from plans import names
from plans.errors import NotFound
from portal import column_uses, evidence, views
from portal.access import allowed_to, services_of
from portal.permissions import Action
from portal.services import Services
from portal.sessions import Caller
from store import api as store

router = APIRouter(prefix="/api/v1")
Serving = Annotated[Services, Depends(services_of)]
Reader = Annotated[Caller, Depends(allowed_to(Action.READ_CATALOG))]


@router.get("/datasets")
def datasets(caller: Reader, services: Serving) -> dict[str, Any]:
    """Return the current version of every dataset."""
    with services.database.reading() as session:
        return {"datasets": [views.dataset(row) for row in store.manifests.all_current(session)]}


@router.get("/datasets/{dataset:path}/twin")
def twin(dataset: str, caller: Reader, services: Serving) -> dict[str, Any]:
    """Return the statement by which the owner's keeper released the twin of a dataset's current version."""
    names.require("dataset", dataset, "dataset")
    with services.database.reading() as session:
        named_so = store.manifests.current(session, f"{dataset}/twin")  # a dataset may be called twin
        if named_so is not None:
            return _described(session, named_so)
        row = _current(session, dataset)
        signed = catalog.signed_twin(session, row)
    if signed is None:
        raise NotFound(
            f"the owner has released no twin of {dataset}", "twin", f"Ask {row.domain} for one: docs/twins.md"
        )
    return {"dataset": row.dataset, "version": row.version, "signed": signed.plain()}


@router.get("/datasets/{dataset:path}")
def dataset(dataset: str, caller: Reader, services: Serving) -> dict[str, Any]:
    """Return one dataset with its columns, and what each may be used for by its owner's rules."""
    names.require("dataset", dataset, "dataset")
    with services.database.reading() as session:
        return _described(session, _current(session, dataset))


@router.get("/domains/{domain:path}")
def domain(domain: str, caller: Reader, services: Serving) -> dict[str, Any]:
    """Return a domain: titles, and the key with which its keeper signs."""
    names.require("domain", domain, "domain")
    with services.database.reading() as session:
        return views.domain(store.domains.get(session, domain))


def _current(session: store.Session, dataset: str) -> store.ManifestRow:
    row = store.manifests.current(session, dataset)
    if row is None:
        raise NotFound(f"there is no dataset {dataset}", "dataset", "List them with `darkroom datasets`.")
    return row


def _described(session: store.Session, row: store.ManifestRow) -> dict[str, Any]:
    bundle = next(iter(evidence.bundles(session, row.domain)), None)
    found = views.description(row)
    columns = [each | column_uses.told(bundle, row.dataset, each["name"]) for each in found["columns"]]
    return found | {"columns": columns}
