"""Rules as lines of text, in the words of a policy file: for pages, for what a new bundle changes, for approvers.

A line says all that its rule says, so two rules have the same line only if they are the same.
"""

from __future__ import annotations

import datetime
from dataclasses import fields

from plans.checks import Checks, Privacy
from plans.constraints import ANY, Access, Constraint, Effect, Tag, Use
from plans.statements import DatasetPolicy


def constraint_line(rule: Constraint) -> str:
    """Return a column's rule: what it allows or forbids, what it reveals, for whom, until when."""
    words = [f"{rule.effect} {_uses(rule.uses, rule.functions)}"]
    if rule.effect is Effect.ALLOW:
        words.append(f"reveals {rule.reveal}")
    if rule.mask is not None:
        words.append(f"masked: {rule.mask.kind} {rule.mask.argument}".rstrip())
    if rule.minimum:
        words.append(f"of at least {rule.minimum} persons")
    return "; ".join((*words, *_whose(rule)))


def access_line(rule: Access) -> str:
    """Return a dataset's access rule: what may be done, by whom, until when."""
    return "; ".join((f"{rule.effect} {', '.join(rule.actions)}", *_whose(rule)))


def tag_line(tag: Tag) -> str:
    """Return a class's ceiling: what columns of this class can be used for at the most."""
    words = [f"at most {_uses(tag.uses, tag.functions)}", f"reveals {tag.reveal}", f"grade {tag.grade}"]
    words += [f"of at least {tag.minimum} persons"] if tag.minimum else []
    words += [f"below {tag.parent}"] if tag.parent else []
    return "; ".join(words)


def settings_lines(policy: DatasetPolicy) -> dict[str, str]:
    """Return the settings of a dataset, by the names that they have in a policy file."""
    return {
        "minimum_group": str(policy.minimum_group),
        "rounding": str(policy.rounding),
        "largest_result": str(policy.largest_result),
        "tier": str(policy.tier),
        "each_plan": str(policy.each_plan).lower(),
        "row_filter": policy.row_filter.strip() or "none",
        "share": str(policy.share),
        "basis": policy.basis or "none",
        "twin_rho_micro": str(policy.twin_rho_micro),
        "mode": str(policy.mode),
        "privacy": _privacy(policy.privacy),
        "checks": _checks(policy.checks),
        "enterprise": policy.enterprise or "none",
    }


def _checks(checks: Checks) -> str:
    """Return every number of the disclosure rules, the preset from which they come first."""
    names = [each.name for each in fields(checks) if each.name != "preset"]
    return ", ".join([checks.preset, *(f"{name} {str(getattr(checks, name)).lower()}" for name in names)])


def _privacy(budget: Privacy | None) -> str:
    if budget is None:
        return "none"
    named = ("rho_micro", "period_days", "delta_exponent", "most_groups", "most_rows")
    return ", ".join(f"{name} {getattr(budget, name)}" for name in named)


def _uses(uses: tuple[Use, ...], functions: tuple[str, ...]) -> str:
    words = [str(use) for use in uses if use is not Use.AGGREGATE or not functions]
    return ", ".join((*words, *(f"{name}()" for name in functions))) or "nothing"


def _whose(rule: Constraint | Access) -> list[str]:
    """Return for whom a rule speaks and until when; nothing for everybody and ever."""
    named = (("parties", rule.parties), ("roles", rule.roles), ("purposes", rule.purposes))
    words = [f"{name}: {', '.join(listed) or 'nobody'}" for name, listed in named if listed != (ANY,)]
    if rule.until:
        words.append(
            "until "
            + datetime.datetime.fromtimestamp(rule.until, datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
        )
    return words
