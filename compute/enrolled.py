"""Whoever asks must have enrolled the very keys that the request names."""

from __future__ import annotations

from plans.errors import NotAllowed, SignatureWrong
from plans.request import Request
from store import api as store


def require_enrolled(session: store.Session, request: Request) -> None:
    """Check a request's keys against those of its member.

    Raises:
        NotAllowed: the member has enrolled none.
        SignatureWrong: the request names others.
    """
    member = store.members.get(session, request.member)
    if not member.signing_key:
        raise NotAllowed("you have enrolled no keys yet", request.member, "Run `darkroom keys make`.")
    if (member.signing_key, member.opening_key) != (request.signer, request.recipient):
        raise SignatureWrong("the request names other keys than the member has enrolled", request.member)
