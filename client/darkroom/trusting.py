"""Which keeper's key a member pins for an owner: the one that the owner itself told, never the portal's word alone.

A result is believed if the keeper of its owner signed its release. Who that is, only the owner can say: a portal that
was taken over would name a keeper of its own. So a key is pinned once for each owner, and it is kept in the member's
folder. In Python nobody is asked in between: `trust` with a key pins it, without one it shows what to compare.
"""

from __future__ import annotations

from darkroom.advice import Lesson, teach
from darkroom.display import Banner, Code, Facts, Shown, Title, sheet
from darkroom.display_words import say
from plans import names
from plans.errors import DarkroomError, EvidenceBroken, StateConflict


def not_pinned(domain: str) -> DarkroomError:
    """Return that no key is pinned for an owner yet: nothing is wrong, and nothing can be checked before it is."""
    problem = StateConflict(
        f"the key of the keeper of {domain} is not pinned here yet, so nobody can tell whether it signed this result",
        domain,
        f"Ask {domain} for its keeper's key, by another way than this platform. "
        f'Then: darkroom.trust("{domain}", "ed25519:…"), which compares it with the one that the portal names.',
    )
    return teach(
        problem,
        Lesson(
            title="trust.not-pinned",
            whom=say("whom.owner", domain=domain),
            command=f"Ask {domain} for its keeper's key, by another way than this platform. "
            f"Then: darkroom trust {domain} --keeper-key KEY",
        ),
    )


def trust(domain: str, keeper_key: str = "") -> Shown:
    """Pin the key of an owner's keeper, such as its owner told it to you: results of this owner are believed if this
    key signed them. It is pinned if the portal names the same one. Without a key nothing is pinned: the portal's one
    is shown, to compare with the owner's own word.

    >>> "darkroom.trust" in repr(trust("nm/tax"))
    True

    Raises:
        Malformed: this is no domain, or no signing key (`ed25519:` and 64 hexadecimal digits).
        EvidenceBroken: the portal names another key than this one; nothing is pinned.
        StateConflict: another key is pinned for this owner already; it is never replaced silently.
    """
    from darkroom.session import connection

    here = connection()
    given = keeper_key.strip()
    names.require("domain", domain)
    if given:
        names.require("signing key", given)
    offered = names.require("signing key", here.offered_keeper(domain))
    pinned = here.trusted_keeper(domain)
    if not given:
        return _as_it_is(domain, offered, pinned)
    if given != offered:
        raise EvidenceBroken(
            f"the portal names another key for the keeper of {domain}, so nothing was pinned",
            offered,
            "Compare both with what the owner told you. If yours is the owner's, do not go on; tell the owner and "
            "the auditor.",
        )
    here.trust_keeper(domain, given)
    return Shown(
        sheet(
            Title(say("trust.pinned", domain=domain)),
            Facts(((say("trust.key"), given),)),
            Banner(say("trust.done", domain=domain), "good"),
        )
    )


def _as_it_is(domain: str, offered: str, pinned: str | None) -> Shown:
    """Return what is pinned, or what the portal names and what that is worth."""
    if pinned is None:
        return Shown(
            sheet(
                Title(say("trust.not-pinned")),
                Code(offered, say("trust.offered", domain=domain)),
                Banner(say("trust.compare", domain=domain), "waits"),
                Code(f'darkroom.trust("{domain}", "ed25519:…")', say("trust.again")),
            )
        )
    differs = Banner(say("trust.differs", domain=domain, key=offered), "bad")
    return Shown(
        sheet(
            Title(say("trust.pinned", domain=domain)),
            Facts(((say("trust.key"), pinned),)),
            differs if offered != pinned else None,
        )
    )
