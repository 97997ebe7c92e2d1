"""`darkroom-server doctor`: tries protections by attacking them, asks every process how it is, and names loose ends:
grants that give what is not there any more.
"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from compute import forecast
from keeper.api import KeeperClient
from plans.decision import Tier
from plans.errors import DarkroomError, NotFound
from policies import api as policies
from sandbox import api as sandbox
from sandbox.attacks.probing import probe
from server import images, labs, party_health, trusted_images
from server.enrolment import open_store
from server.running import address
from server.site import Owner, Site, open_site
from store import api as store


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: good or not, how it was found out, and what to do if it is not good.

    `weaker` marks what is no fault but less than another node has: who decides what runs here should know it.
    `loose` marks what harms nobody as it is, and should be tidied before it does.
    """

    what: str
    good: bool
    how: str
    weaker: bool = False
    loose: bool = False

    def line(self) -> str:
        """Return the finding as a line; the mark says in a word what a colour would."""
        mark = "weaker" if self.weaker else "loose" if self.loose else "holds"
        mark = mark if self.good else "FAILS"
        return f"{mark:<6} {self.what:<44} {self.how}"

    def plain(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        marks = {"good": self.good, "weaker": self.weaker, "loose": self.loose}
        return {"what": self.what, **marks, "how": self.how}


def examine(home: Path) -> list[Finding]:
    """Return everything that was found, protections of boxes first."""
    found = [Finding(f"{item.tier.value}: {item.protection}", item.held, item.how) for item in probe()]
    found.append(Finding("T3: this tier", True, f"not on this node: {sandbox.not_made_here(Tier.T3).what}"))
    found.append(_images())
    try:
        site = open_site(home)
    except DarkroomError as problem:
        return [
            *found,
            Finding("platform", True, f"none here ({problem.what}); only this machine was looked at"),
        ]
    found += _portal(site)
    for owner in site.owners():
        found += _owner(owner)
        found += untrusted(owner)
    found += (Finding(*each) for each in labs.weaker_points(site))
    found += _parties(site)
    found += _database(site)
    return [*found, _shape(site)]


def _images() -> Finding:
    told = images.outdated()
    return Finding(
        "images of boxes", True, told or "those here are of this checkout's code", loose=bool(told)
    )


def untrusted(owner: Owner) -> Iterator[Finding]:
    """Yield which images that are here an owner's keeper was not told to trust: what runs in them is refused."""
    names = sorted({each.image for each in trusted_images.standings(owner) if not each.trusted})
    if names:
        how = f"{', '.join(names)} as built now: jobs are refused. Its owner decides: "
        yield Finding(
            f"images that {owner.domain} trusts", True, how + trusted_images.command(owner.domain), loose=True
        )


def _portal(site: Site) -> Iterator[Finding]:
    try:
        with urllib.request.urlopen(address(site) + "/health", timeout=5):
            yield Finding("portal answers", True, address(site))
    except (urllib.error.URLError, OSError):
        yield Finding("portal answers", False, "start it with darkroom-server up")
        return
    origin = store.load_settings(site.settings).origin
    if origin:
        yield _inner_name(address(site))
        yield _public_name(origin)
    else:
        how = "plain HTTP, for browsers on this machine alone; set origin in production"
        yield Finding("cookies of the portal", True, how, weaker=True)


def _inner_name(inner: str) -> Finding:
    """Try to get a page past the proxy, under the name that is for calls of this machine with a token."""
    what = "no page past the proxy with TLS"
    try:
        with urllib.request.urlopen(inner + "/sign-in", timeout=5):
            return Finding(what, False, f"{inner} shows one; start the platform anew, with origin set")
    except urllib.error.HTTPError as refused:
        good = refused.code == HTTPStatus.MISDIRECTED_REQUEST
        return Finding(what, good, f"{inner}/sign-in is refused ({refused.code})")
    except OSError:
        return Finding(what, False, f"{inner} does not answer")


def _public_name(origin: str) -> Finding:
    """Ask the portal as members do; from this machine its name or certificate may not be known."""
    what = "portal by its public name"
    try:
        with urllib.request.urlopen(origin + "/health", timeout=5):
            return Finding(what, True, origin)
    except (urllib.error.URLError, OSError) as problem:
        return Finding(
            what, True, f"{origin} is not reached from here ({problem}); try a browser", weaker=True
        )


def _owner(owner: Owner) -> Iterator[Finding]:
    try:
        status = KeeperClient(owner.keeper_socket).status()
        good = not status["locked"] and status["roster"] > 0
        how = f"roster {status['roster']}, bundle {status['bundle']}, {len(status['datasets'])} datasets"
        yield Finding(f"keeper of {owner.domain}", good, how)
    except DarkroomError as problem:
        yield Finding(f"keeper of {owner.domain}", False, problem.what)
    try:
        node = sandbox.LauncherClient(owner.launcher_socket).status()
        tiers = ", ".join(offer["tier"] for offer in node["tiers"]) or "no tier"
        whose = (
            "a user of its own, root of its boxes alone" if node["own_user"] else "the user that started it"
        )
        yield Finding(f"launcher of {owner.domain}", bool(node["tiers"]), f"offers {tiers}; runs as {whose}")
        yield from weaker_points(owner.domain, node)
    except DarkroomError as problem:
        yield Finding(f"launcher of {owner.domain}", False, problem.what)
    offline = not owner.root_key.exists()
    where = (
        "not on this machine" if offline else "lies on this machine; take it offline before real data come in"
    )
    yield Finding(f"root key of {owner.domain}", True, where)


def weaker_points(domain: str, node: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what a launcher's offers say that they lack, from its status."""
    for offer in node["tiers"]:
        for each in offer["protections"]:
            if not each["held"]:
                yield Finding(f"{offer['tier']} of {domain}: {each['name']}", True, each["how"], weaker=True)


def _parties(site: Site) -> Iterator[Finding]:
    """Yield how agents are, and what keepers hold of their peers."""
    try:
        database = open_store(site)
    except DarkroomError:
        database = None  # what there is to say of it is said elsewhere
    try:
        for owner in site.owners():
            for each in party_health.examine(owner, database):
                yield Finding(*each)
    finally:
        if database is not None:
            database.close()


def _database(site: Site) -> Iterator[Finding]:
    """Yield whether the centre's database answers, and the loose ends of every domain's grants."""
    try:
        database = open_store(site)
    except DarkroomError as problem:
        yield Finding("database of the centre", False, problem.what)
        return
    try:
        with database.reading() as session:
            domains = store.domains.all(session)
            yield Finding("database of the centre", True, f"{len(domains)} domains")
            for domain in domains:
                yield from loose_grants(session, domain, int(time.time()))
    except DarkroomError as problem:
        yield Finding("database of the centre", False, problem.what)
    finally:
        database.close()


def loose_grants(session: store.Session, domain: store.DomainRow, now: int) -> Iterator[Finding]:
    """Yield the grants in force at `now` (Unix seconds) whose dataset, or a column of it, is not there any more.

    They allow nothing today. They would again, should something else be ingested under the old name.
    """
    try:
        known = forecast.owner(session, domain)
    except NotFound:
        return  # no policies yet, so no grant counts
    standing = (granted for granted in known.grants if granted.stands(now))
    for problem in policies.grant_problems(standing, known.manifests):
        granted = known.grants.get(problem.subject)
        whose = f"{granted.grant.member}: " if granted else ""
        how = f"{whose}{problem.what}. {problem.next_step} darkroom revoke {problem.subject}"
        yield Finding(f"grant on {problem.dataset}", True, how, loose=True)


def _shape(site: Site) -> Finding:
    count = len(site.owners())
    return Finding(
        "deployment shape",
        True,
        f"embedded: {count} owners and the centre have one administrator; for learning and development",
    )
