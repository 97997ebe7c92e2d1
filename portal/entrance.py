"""From the portal to JupyterHub: an authorization code with PKCE (RFC 6749, RFC 7636), for one client at one address.

The Hub is the client `labs`. What it gets is a token of the kind `entrance`: it tells who the member is and makes
tokens for labs, and nothing else. It ends with the portal session under which it was made.

Every parameter must be there once. An address that is not exactly the Hub's is never led to, whatever else is right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from plans.errors import Malformed, NotAllowed, NotSignedIn
from portal.codes import Bound
from portal.permissions import Action, Scope, require
from portal.services import Counter
from portal.sessions import Caller, Opened, hash_of
from store import api as store

CLIENT = "labs"
PATH = "/oauth/authorize"
MOST_FIELDS = 20
_STATE = re.compile(r"[\x21-\x7e]{8,1000}")
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the Hub asks for through a member's browser."""

    redirect_uri: str
    state: str
    challenge: str

    @property
    def path(self) -> str:
        """The page of ours on which this is asked, spelled from these values alone."""
        said = {
            "response_type": "code",
            "client_id": CLIENT,
            "redirect_uri": self.redirect_uri,
            "scope": str(Scope.LABS),
            "state": self.state,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        return f"{PATH}?{urlencode(said)}"

    def way_to(self, code: str) -> str:
        """Return the Hub's address with a code."""
        return f"{self.redirect_uri}?{urlencode({'code': code, 'state': self.state})}"


def asked(query: str, redirect_uri: str) -> Asked:
    """Read what a browser brings; `redirect_uri` is the Hub's one address.

    Raises:
        Malformed: something is missing, given twice or not as it must be.
    """
    said = once(query)
    if said.get("client_id") != CLIENT:
        raise Malformed("no such client is known here", "client_id", "Begin anew from the page /labs.")
    if said.get("redirect_uri") != redirect_uri:
        raise Malformed(
            "the way would lead elsewhere than to the labs", "redirect_uri", "Begin from the page /labs."
        )
    if said.get("response_type") != "code" or said.get("scope", "") not in ("", Scope.LABS):
        raise Malformed("only a code with the scope labs is given", "response_type")
    if said.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(
        said.get("code_challenge", "")
    ):
        raise Malformed("the way to labs is bound by PKCE with S256", "code_challenge")
    if not _STATE.fullmatch(said.get("state", "")):
        raise Malformed("the way to labs is bound to the browser by a state", "state")
    return Asked(redirect_uri, said["state"], said["code_challenge"])


def once(text: str) -> dict[str, str]:
    """Return the fields of a query or form; an empty one counts as not given (RFC 6749 section 3.1).

    Raises:
        Malformed: a field is given twice, there are too many, or it is no text.
    """
    try:
        found = parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Malformed("these are no fields of a form", "parameters") from None
    twice = [name for name, values in found.items() if len(values) > 1]
    if twice:
        raise Malformed("a parameter is given twice", "parameters")
    return {name: values[0] for name, values in found.items() if values[0]}


def code_for(counter: Counter, caller: Caller, wanted: Asked) -> str:
    """Return a code that the member's browser carries to the Hub.

    Raises:
        NotAllowed: the caller may not open labs, or did not begin with a password.
    """
    require(caller.who, Action.OPEN_LAB)
    if caller.kind != store.sessions.SESSION:
        raise NotAllowed(
            "labs are opened from a session of the portal", "session", "Sign in with your password."
        )
    return counter.codes.make(
        Bound(caller.member.name, caller.token_hash, wanted.redirect_uri, wanted.challenge)
    )


def require_hub(counter: Counter, authorization: str) -> None:
    """Check that JupyterHub calls, by HTTP Basic with its secret, of which the hash alone is known here.

    Raises:
        NotSignedIn: it does not.
    """
    scheme, _, encoded = authorization.partition(" ")
    try:
        given = base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        given = ""
    client, _, secret = given.partition(":")
    known = counter.services.labs.secret_sha256
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    if not (hmac.compare_digest(hashed, known or "-") and client == CLIENT):
        raise NotSignedIn(
            "only JupyterHub changes a code for a token", "Authorization", "Look at its secret."
        )


def exchange(counter: Counter, form: dict[str, str]) -> Opened:
    """Change a code for an entrance token.

    Raises:
        Malformed: a field is missing.
        NotAllowed: the code is not worth anything, or is bound to something else; a code is gone by the first try.
        NotSignedIn: the member has signed out meanwhile.
    """
    wanted = ("code", "redirect_uri", "code_verifier")
    if any(name not in form for name in wanted) or form.get("client_id", CLIENT) != CLIENT:
        raise Malformed("a code comes with its address and its verifier", "parameters")
    bound, issued = counter.codes.take(form["code"])
    if issued:
        with counter.services.database.session() as session:
            store.sessions.end(session, issued)
    if bound is None or not _fits(bound, form):
        raise NotAllowed(
            "this code is not worth a token, or not any more", "code", "Open your lab from /labs again."
        )
    opened = _open(counter, bound)
    counter.codes.issued(form["code"], hash_of(opened.token))
    return opened


def _fits(bound: Bound, form: dict[str, str]) -> bool:
    verifier = form["code_verifier"]
    if not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return hmac.compare_digest(challenge, bound.challenge) and form["redirect_uri"] == bound.redirect_uri


def _open(counter: Counter, bound: Bound) -> Opened:
    services = counter.services
    now = int(services.clock())
    with services.database.session() as session:
        begun = store.sessions.get(session, bound.session, now)
        member = store.members.get(session, bound.member)
        opened = Opened(secrets.token_urlsafe(32), begun.expires_at)
        store.sessions.end_children(session, bound.session)
        kind = store.sessions.ENTRANCE
        row = store.SessionRow(
            hash_of(opened.token),
            member.name,
            kind,
            (str(Scope.LABS),),
            "",
            now,
            begun.expires_at,
            bound.session,
        )
        store.sessions.add(session, row)
        services.office.record(member, "token.entrance", member.name)
    return opened
