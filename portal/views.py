"""What callers see of stored rows. Written out member by member: a column that is added later shows nowhere
by accident.
"""

from __future__ import annotations

from typing import Any

from plans.manifest import Manifest
from plans.statements import Grant, Signed
from portal.sessions import Caller
from store.api import ApplicationRow, DomainRow, ManifestRow, MemberRow, StatementRow


def me(caller: Caller) -> dict[str, Any]:
    """Return a caller's own membership."""
    member = caller.member
    return {
        "name": member.name,
        "domain": member.domain,
        "roles": sorted(member.roles),
        "scopes": sorted(caller.who.scopes),
        "signing_key": member.signing_key,
        "opening_key": member.opening_key,
    }


def dataset(row: ManifestRow) -> dict[str, Any]:
    """Return one line of the catalog."""
    return {
        "dataset": row.dataset,
        "relation": row.relation,
        "title": row.title,
        "grade": row.grade,
        "domain": row.domain,
        "version": row.version,
    }


def description(row: ManifestRow) -> dict[str, Any]:
    """Return a dataset with its columns, as its keeper's manifest describes them.

    How many rows, persons and nulls there are is left out: these are facts about the data, and the owner's to
    tell.
    """
    manifest = Manifest.read(dict(Signed.decode(row.signed.encode()).statement.body))
    columns = [
        {"name": c.name, "type": c.type, "unit": c.unit, "kind": str(c.kind)} for c in manifest.columns
    ]
    told = {"manifest": row.digest, "about_persons": manifest.about_persons, "columns": columns}
    return dataset(row) | told


def domain(row: DomainRow) -> dict[str, Any]:
    """Return what members may know of a domain; where its keeper and launcher listen is not among it."""
    return {"name": row.name, "title": row.title, "title_zh": row.title_zh, "keeper_key": row.keeper_key}


def application(row: ApplicationRow) -> dict[str, Any]:
    """Return an application."""
    return {
        "id": row.id,
        "member": row.member,
        "role": row.role,
        "project": row.project,
        "purpose": row.purpose,
        "dataset": row.dataset,
        "columns": list(row.columns),
        "until": row.until,
        "uses": row.uses,
        "state": row.state,
        "decided_by": row.decided_by,
        "reason": row.reason,
        "grant": row.grant,
        "created_at": row.created_at,
    }


def to_grant(applicant: MemberRow, gone: tuple[str, ...]) -> dict[str, Any]:
    """Return what whoever may grant an application needs beside it: the keys that the grant names, and the columns
    that the dataset does not have any more.
    """
    keys = {"signing_key": applicant.signing_key, "opening_key": applicant.opening_key}
    return {"gone": list(gone)} | keys


def statement(row: StatementRow) -> dict[str, Any]:
    """Return a statement that was handed in."""
    return {"digest": row.digest, "type": row.type, "domain": row.domain, "received_at": row.received_at}


def grant(row: StatementRow, *, revoked: bool, now: int) -> dict[str, Any]:
    """Return a grant and whether it stands; how often it was used only its owner's keeper knows."""
    signed = Signed.decode(row.signed.encode())
    body = Grant.read(dict(signed.statement.body))
    state = "revoked" if revoked else "expired" if signed.statement.not_after <= now else "in force"
    return {
        "digest": row.digest,
        "state": state,
        "member": body.member,
        "role": body.role,
        "dataset": body.dataset,
        "columns": list(body.columns),
        "project": body.project,
        "purpose": body.purpose,
        "uses": body.uses,
        "until": signed.statement.not_after,
        "signed": signed.plain(),
    }
