"""The lab (实验室): a box in which a member works with JupyterLab, on look-alike data and on what was released to them.

A lab is a plan of the kind `lab` with this record as its material and one stage. It has no key and no input: data reach
it as twins and as releases, over the platform's API, with a token that can neither approve, apply, export nor
administer. Two links lead out of it, and nothing else does:

    hub    JupyterHub: whoever reaches the lab comes this way, and so does what its server asks of the Hub
    api    the platform's HTTP API

Unlike a link between boxes, a *service* link can be opened many times, and each time leads to the same service.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar

from plans import names
from plans.errors import Malformed
from plans.record import Record

HUB, API = "hub", "api"
SERVICES = (HUB, API)
"""The services that a lab may have links to; the launcher's settings say where each listens."""

LONGEST_PURPOSE = 500
_OWN = "127.84."
"""Where labs' own addresses of loopback begin. No name of ours leads a browser there."""


@dataclass(frozen=True, slots=True)
class Lab(Record):
    """Whose lab it is, in which project and for which purpose, and with which profile (cpu, memory, GPU, image)."""

    KIND: ClassVar[str] = "lab"

    member: str
    project: str
    purpose: str
    profile: str

    def check(self) -> None:
        names.require("member", self.member, "lab.member")
        names.require("project", self.project, "lab.project")
        names.require("project", self.profile, "lab.profile")
        if len(self.purpose) > LONGEST_PURPOSE or not self.purpose.isprintable():
            raise Malformed(f"a purpose is one line of at most {LONGEST_PURPOSE} characters", "lab.purpose")


def loopback_of(port: int) -> str:
    """Return the address of loopback that belongs to the lab with this port at the porter, and to no other.

    Cookies know hosts and no ports (RFC 6265 section 8.5): were labs' ports at `127.0.0.1`, any lab's could be visited
    under the portal's, the Hub's or another lab's name, and would be sent their cookies. A lab's calls come from its
    address, too, so that what is counted by address is counted for each lab alone.
    """
    return f"{_OWN}{port >> 8}.{port & 255}"


def is_lab(address: str) -> bool:
    """Whether a call from this address comes out of a lab."""
    return address.startswith(_OWN)


def notice_key(token: str) -> str:
    """Return the key by which a lab and the Hub know each other when they speak of the lab's end.

    Both hold the lab's token, and nothing of it can be learnt from the key.
    """
    return hashlib.sha256(b"darkroom-notice:" + token.encode()).hexdigest()


def home_of(member: str) -> str:
    """Return the name of a member's home folder: the same at every start, and none that another member could choose."""
    return hashlib.sha256(b"darkroom-home:" + names.require("member", member).encode()).hexdigest()[:32]
