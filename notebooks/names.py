"""How a member is called at the Hub, and under which host the member's lab is reached.

A member is `li@nm/tax`; a name at the Hub has no `/`, since it stands in paths. Segments of a domain have no `.`
(`plans.names`), so `li@nm.tax` means one member and no other. The host of a lab carries a hash, long enough that
nobody finds two members with one host: cookies and storage of a browser are kept apart by hosts.
"""

from __future__ import annotations

import hashlib
import re

from plans import names

_LONGEST_STUB = 20
_HASH_DIGITS = 26


def username_of(member: str) -> str:
    """Return the name at the Hub of a member; raises `Malformed` if it is not a member's name."""
    before, _, domain = names.require("member", member).rpartition("@")
    return f"{before}@{domain.replace('/', '.')}"


def member_of(username: str) -> str:
    """Return the member of a name at the Hub; raises `Malformed` if it is nobody's."""
    before, _, domain = username.rpartition("@")
    member = f"{before}@{domain.replace('.', '/')}"
    return names.require("member", member)


def host_of(name: str, domain: str, kind: str) -> str:
    """Return the host of a member's lab (or a service) below the Hub's: one label that says a little and hashes all.

    JupyterHub calls this (`subdomain_hook`). Its own makes a label with 28 bits of a hash.
    """
    stub = re.sub(r"[^a-z0-9]", "", name.partition("@")[0].lower())[:_LONGEST_STUB] or "x"
    digest = hashlib.sha256(f"darkroom-host:{kind}:{name}".encode()).hexdigest()[:_HASH_DIGITS]
    return f"{kind[0]}-{stub}-{digest}.{domain}"
