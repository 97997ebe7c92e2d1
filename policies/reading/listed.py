"""The whole list: which nodes of the parser have a rule. What is not in it is refused."""

from __future__ import annotations

from policies.reading import calls, operators, translate
from policies.reading.sources import Scope
from policies.reading.translate import Setting

RULES = {**translate.RULES, **operators.RULES, **calls.RULES}


def rows(scope: Scope) -> Setting:
    """Return the setting of an expression over rows: a filter or a key, without aggregates."""
    return Setting(scope, RULES)


def groups(scope: Scope) -> Setting:
    """Return the setting of an output: aggregates may stand in it."""
    return Setting(scope, RULES, aggregates=True)
