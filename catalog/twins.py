"""The twins that the centre knows of: statements of keepers, each verified where it is used. One place for it."""

from __future__ import annotations

from keys import api as keys
from plans.errors import DarkroomError
from plans.statements import Duty, Signed, Type
from plans.twins import Twin
from store import api as store


def released_twin(session: store.Session, version: store.ManifestRow) -> Twin | None:
    """Return the newest twin that the owner's keeper released for a dataset version, or none."""
    signed = signed_twin(session, version)
    return Twin.read(signed.statement.body) if signed else None


def signed_twin(session: store.Session, version: store.ManifestRow) -> Signed | None:
    """Return the statement of that twin, for whoever verifies it again; or none.

    The table of statements is a letter box: whoever writes to it could lay a twin there on which programs fail as it
    suits him. So what the owner's keeper did not sign counts for nothing.
    """
    keeper = store.domains.get(session, version.domain).keeper_key
    for row in reversed(store.statements.about(session, version.digest, Type.TWIN.value)):
        try:
            signed = Signed.decode(row.signed.encode())
            statement = keys.verify(signed)
            twin = Twin.read(statement.body)
        except DarkroomError:
            continue
        by_keeper = (statement.signer, statement.duty, statement.type) == (keeper, Duty.KEEPER, Type.TWIN)
        if by_keeper and twin.manifest == version.digest:
            return signed
    return None
