"""Enrolling a member's public keys, by whichever way they come."""

from __future__ import annotations

from plans import names
from plans.errors import StateConflict
from portal.services import Services
from portal.sessions import Caller
from store import api as store


def enrol(services: Services, caller: Caller, signing_key: str, opening_key: str) -> None:
    """Enrol the caller's public keys. Possible once: whoever steals a session must not swap keys.

    Raises:
        Malformed: these are no public keys.
        StateConflict: there are some already.
    """
    names.require("signing key", signing_key, "signing_key")
    names.require("opening key", opening_key, "opening_key")
    with services.database.session() as session:
        member = store.members.get(session, caller.member.name)
        if member.signing_key or member.opening_key:
            raise StateConflict(
                "you have enrolled keys already",
                member.name,
                "An administrator can clear them after a talk with you.",
            )
        store.members.set_keys(session, member.name, signing_key, opening_key)
        services.office.record(member, "keys.enrolled", signing_key)
