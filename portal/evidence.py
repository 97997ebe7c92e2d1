"""What the portal keeps of owners' signed statements, read back for pages and for approvers. Copies, no authority."""

from __future__ import annotations

from plans.impact import ImpactReport, impact
from plans.manifest import Manifest
from plans.plan import Plan
from plans.statements import Bundle, Signed, Type
from portal.permissions import Action, may
from portal.sessions import Caller
from store import api as store


def may_see_manifests(caller: Caller, plan: Plan) -> bool:
    """Return whether a caller may see the whole manifests that a plan names: how many rows and persons there are is
    the owner's to know, so only its approvers may, and of no plan of their own.
    """
    own = plan.request is not None and plan.request.member == caller.member.name
    return may(caller.who, Action.READ_PLAN_TO_APPROVE) and caller.member.domain == plan.domain and not own


def manifests_of(session: store.Session, plan: Plan) -> tuple[Manifest, ...]:
    """Return the manifests that a plan names, as far as they are here."""
    digests = [relation.manifest for relation in plan.program.relations] if plan.program else []
    rows = (store.manifests.find(session, digest) for digest in dict.fromkeys(digests))
    return tuple(
        Manifest.read(dict(Signed.decode(row.signed.encode()).statement.body)) for row in rows if row
    )


def bundles(session: store.Session, domain: str) -> tuple[Bundle, ...]:
    """Return the bundles that a domain has offered, the newest first."""
    rows = store.statements.of_type(session, domain, Type.BUNDLE.value)
    found = (Bundle.read(dict(Signed.decode(row.signed.encode()).statement.body)) for row in rows)
    return tuple(sorted(found, key=lambda bundle: -bundle.number))


def report(session: store.Session, plan: Plan) -> ImpactReport:
    """Return the impact report of a plan, with the bundle that it was decided by if that is here."""
    number = plan.decision.bundle_number if plan.decision else 0
    bundle = next((each for each in bundles(session, plan.domain) if each.number == number), None)
    return impact(plan, manifests_of(session, plan), bundle)
