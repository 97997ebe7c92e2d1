"""What each column of a dataset may be used for, in the words of its owner's rules, of which the portal has a copy."""

from __future__ import annotations

from typing import Any

from plans.constraints import ANY, Effect, Use
from plans.statements import Bundle, DatasetPolicy
from policies import api as policies


def told(bundle: Bundle | None, dataset: str, column: str) -> dict[str, Any]:
    """Return a column's `uses`, those that at least one rule allows to somebody and none forbids to everybody, and the
    `rules` themselves, a line each. What they come to for one member and purpose is decided with the plan.
    """
    policy = bundle.policy(dataset) if bundle else None
    if policy is None:
        return {"uses": [], "rules": []}
    rules = [policies.constraint_line(rule) for rule in policy.about(column)]
    return {"uses": [str(use) for use in _uses(policy, column)], "rules": rules}


def _uses(policy: DatasetPolicy, column: str) -> list[Use]:
    """Return uses in the order of their definition; a prohibition for some, or of some functions, takes none away."""
    allowed: set[Use] = set()
    forbidden: set[Use] = set()
    for rule in policy.about(column):
        if rule.effect is Effect.ALLOW:
            allowed |= set(rule.uses)
        elif not (rule.roles or rule.purposes or rule.functions or rule.until) and ANY in rule.parties:
            forbidden |= set(rule.uses)
    return [use for use in Use if use in allowed - forbidden]
