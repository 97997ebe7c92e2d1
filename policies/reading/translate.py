"""From the parser's tree to ours, node by node: the frame, and the simplest nodes.

A node class without a rule is refused; so is an allowed node with a part that its rule does not read. What
remains after translation is all that the statement says. `listed` has the whole list of rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from plans import names
from plans.errors import SqlUnsupported
from policies.reading import grammar, refusal
from policies.reading.bounds import BOUNDS
from policies.reading.sources import Scope, refuse_extra
from policies.reading.tree import NULL, Constant, Expression, Sort, aggregates, columns

Rule = Callable[[Any, "Setting"], Expression]
"""How nodes of one class are translated."""

_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where an expression stands: what names mean, whether aggregates may stand here, whether this is inside
    one.

    `rules` is the list of what may be translated; an empty one refuses everything.
    """

    scope: Scope
    rules: Mapping[type[exp.Expression], Rule]
    aggregates: bool = False
    aggregated: bool = False


def value(node: exp.Expression, setting: Setting) -> Expression:
    """Return the expression that a node means.

    Raises:
        SqlUnsupported: something in it is not on the list.
        SqlSyntax: a name in it is not there.
    """
    rule = setting.rules.get(type(node))
    if rule is None:
        raise unlisted(node)
    return rule(node, setting)


def condition(node: exp.Expression, setting: Setting) -> Expression:
    """Return a truth value: what WHERE, WHEN, AND, OR and NOT take."""
    found = value(node, setting)
    if not grammar.is_truth(found):
        raise refusal.unsupported(
            node, "a condition is needed here, and this is a value", "Compare it with something."
        )
    return found


def plain(node: exp.Expression, setting: Setting) -> Expression:
    """Return a value that is no truth value: what arithmetic, comparisons and functions take."""
    found = value(node, setting)
    if grammar.is_truth(found):
        raise refusal.unsupported(
            node,
            "a truth value is used like a number or compared",
            "Write CASE WHEN … THEN 1 ELSE 0 END, or use the condition itself.",
        )
    return found


def unlisted(node: exp.Expression) -> SqlUnsupported:
    """Return the refusal of a node that no rule translates."""
    if isinstance(node, exp.Func):
        name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
        reason = grammar.REFUSED.get(name.lower(), "")
        instead = f"Leave it out: {reason}." if reason else ""
        return refusal.unsupported(
            node, f"the function {refusal.shown(name.lower())} is not in the subset", instead
        )
    if isinstance(node, exp.Query):
        return refusal.unsupported(
            node, "a subquery is not in the subset", "Join the relation, or ask in two statements."
        )
    if isinstance(node, exp.Star):
        return refusal.unsupported(node, "* is not in the subset", "Name the columns; count(*) is allowed.")
    return refusal.unsupported(node, f"{refusal.word(node)} is not in the subset")


def step(node: exp.Expression, what: str) -> SqlUnsupported:
    """Return the refusal of a step function inside an aggregate (see `grammar`)."""
    return refusal.unsupported(
        node,
        f"{what} inside an aggregate is a condition in disguise",
        "Write the condition as CASE WHEN … THEN … ELSE … END.",
    )


def is_constant(expression: Expression) -> bool:
    """Return whether an expression has the same value for every row."""
    return not columns(expression) and not aggregates(expression)


# --- constants and columns -----------------------------------------------------


def _column(node: exp.Column, setting: Setting) -> Expression:
    if isinstance(node.this, exp.Star):
        raise unlisted(node.this)
    found = setting.scope.column(node)
    if found.name == names.PERSON:
        raise refusal.unsupported(
            node,
            "the person token only links relations and counts persons",
            "Use JOIN … ON a.person = b.person, or count(distinct person).",
        )
    return found


def read_literal(node: exp.Literal) -> Constant:
    """Return a constant.

    Raises:
        SqlUnsupported: it is too long, or holds signs that are not printable.
    """
    refuse_extra(node, {"this", "is_string"})
    text = str(node.this)
    if not node.is_string:
        if len(text) > 40 or not _NUMBER.fullmatch(text):
            raise refusal.unsupported(node, "a number is written with at most 40 digits, as 12, 1.5 or 1e6")
        return Constant(Sort.NUMBER, text)
    if len(text) > BOUNDS.text or not all(sign.isprintable() for sign in text):
        raise refusal.unsupported(
            node, f"a text constant has at most {BOUNDS.text} characters, all of them printable"
        )
    return Constant(Sort.TEXT, text)


def _boolean(node: exp.Boolean, _: Setting) -> Expression:
    refuse_extra(node, {"this"})
    return Constant(Sort.TRUTH, "true" if node.this else "false")


def _null(node: exp.Null, _: Setting) -> Expression:
    refuse_extra(node, set())
    return NULL


def _interval(node: exp.Interval, _: Setting) -> Expression:
    refuse_extra(node, {"this", "unit"})
    count, unit = node.args.get("this"), str(node.args.get("unit") or "").lower().removesuffix("s")
    text = str(count.this) if isinstance(count, exp.Literal) else ""
    if not re.fullmatch(r"\d{1,6}", text) or unit not in grammar.INTERVAL_UNITS:
        raise refusal.unsupported(
            node, "an interval is a whole number and one unit", "For example: INTERVAL 3 MONTH."
        )
    return Constant(Sort.INTERVAL, f"{text} {unit}")


def _paren(node: exp.Paren, setting: Setting) -> Expression:
    refuse_extra(node, {"this"})
    return value(node.this, setting)


RULES: dict[type[exp.Expression], Rule] = {
    exp.Column: _column,
    exp.Literal: lambda node, _: read_literal(node),
    exp.Boolean: _boolean,
    exp.Null: _null,
    exp.Interval: _interval,
    exp.Paren: _paren,
}
