"""Functions and aggregates: what may be called, on what, and where."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import cast

from sqlglot import exp

from policies.reading import grammar, refusal
from policies.reading.sources import refuse_extra
from policies.reading.times import is_time
from policies.reading.translate import Rule, Setting, is_constant, plain, step, unlisted, value
from policies.reading.tree import (
    Aggregate,
    Call,
    Column,
    Constant,
    Expression,
    Operation,
    Sort,
    aggregates,
    chooses,
    columns,
)


def _call(name: str, *parts: str) -> Rule:
    """Return the rule of a function whose arguments are these parts of its node, a list of arguments spread."""

    def rule(node: exp.Expression, setting: Setting) -> Expression:
        refuse_extra(node, set(parts))
        found = [node.args.get(part) for part in parts]
        flat = [
            item
            for each in found
            for item in (each if isinstance(each, list) else [each])
            if item is not None
        ]
        return _function(node, name, tuple(plain(item, setting) for item in flat), setting)

    return rule


def _function(
    node: exp.Expression, name: str, arguments: tuple[Expression, ...], setting: Setting
) -> Expression:
    rules = grammar.FUNCTIONS[name]
    if not rules.least <= len(arguments) <= rules.most:
        raise refusal.wrong(node, f"{name} takes {rules.least} to {rules.most} arguments")
    if any(aggregates(argument) for argument in arguments):
        raise refusal.unsupported(
            node,
            f"{name} of a figure is not in the subset",
            "Take the figure as it is; the airlock rounds it.",
        )
    if setting.aggregated and not rules.aggregated:
        raise step(node, name)
    if setting.aggregated and name != "coalesce" and any(map(chooses, arguments)):
        raise refusal.unsupported(
            node,
            f"{name} of a CASE or coalesce hides its branches inside an aggregate",
            f"Write the {name} into each branch.",
        )
    if name in ("round", "substring") and not all(is_constant(argument) for argument in arguments[1:]):
        raise refusal.unsupported(node, f"{name} takes constants after its first argument")
    return Call(name, arguments)


def _dated(node: exp.Expression, setting: Setting) -> Expression:
    """EXTRACT, date_trunc and date_diff: a constant part of a date, and one or two dates."""
    refuse_extra(
        node, {"this", "expression", "unit", "input_type_preserved", "big_int", "date_part_boundary"}
    )
    extract = isinstance(node, exp.Extract)
    unit = node.this if extract else node.args.get("unit")
    part = str(getattr(unit, "this", "") or "").lower()
    if part not in grammar.DATE_PARTS:
        raise refusal.unsupported(
            node, "this part of a date is not in the subset", f"Parts: {', '.join(grammar.DATE_PARTS)}."
        )
    if extract:
        return _function(node, part, (plain(node.expression, setting),), setting)
    first = Constant(Sort.TEXT, part)
    if isinstance(node, exp.DateDiff):
        later, earlier = plain(node.this, setting), plain(node.expression, setting)
        return _function(node, "date_diff", (first, earlier, later), setting)
    return _function(node, "date_trunc", (first, plain(node.this, setting)), setting)


def _anonymous(node: exp.Anonymous, setting: Setting) -> Expression:
    """`date_part('year', x)` is EXTRACT under another name; the parser knows no other function by this node."""
    if str(node.this).lower() not in ("date_part", "datepart") or len(node.expressions) != 2:
        raise unlisted(node)
    part, date = node.expressions
    name = str(part.this).lower() if isinstance(part, exp.Literal) else ""
    if name not in grammar.DATE_PARTS:
        raise refusal.unsupported(
            node, "this part of a date is not in the subset", f"Parts: {', '.join(grammar.DATE_PARTS)}."
        )
    return _function(node, name, (plain(date, setting),), setting)


# --- aggregates -----------------------------------------------------


def _aggregate(name: str) -> Rule:
    def rule(node: exp.Expression, setting: Setting) -> Expression:
        refuse_extra(node, {"this", "big_int"})
        _require_place(node, setting)
        inside = replace(setting, aggregates=False, aggregated=True)
        if name == "count":
            return _count(node, inside)
        argument = plain(node.this, inside)
        if not columns(argument) or grammar.is_text(argument):
            raise refusal.unsupported(
                node, f"{name} takes a number computed from columns", "To count rows, write count(*)."
            )
        if name in grammar.TOTALS and is_time(argument):
            raise refusal.unsupported(
                node,
                f"{name} is of numbers, and this is a date, a time, or a span of time",
                f"Count from a day that you name: {name}(date_diff('day', date '2000-01-01', d)).",
            )
        if name in ("min", "max") and _may_fall(argument):
            raise refusal.unsupported(
                node,
                f"{name} of what may fall while a column rises can be the other end of the column",
                f"Take {name} of the column itself, and compute with it outside.",
            )
        return Aggregate(name, argument)

    return rule


def _may_fall(argument: Expression) -> bool:
    """Return whether a value may fall while one of its columns rises: then its max is a min, of another name."""
    for node in argument.walk():
        if isinstance(node, Operation) and node.operator in ("*", "/", "negative") and columns(node):
            return True
        if isinstance(node, Operation) and node.operator == "-" and columns(node.operands[1]):
            return True
        if isinstance(node, Call) and node.function == "date_diff":
            return True
    return False


def _quantile(name: str) -> Rule:
    """Return the rule of an aggregate that takes, after its argument, a constant: the part of values below it.

    Near 0 and 1 it would be another spelling of min and max, which an owner grants by their own names.
    """

    def rule(node: exp.Expression, setting: Setting) -> Expression:
        refuse_extra(node, {"this", "expression"})
        which = node.args.get("expression")
        if which is None:
            raise unlisted(node)
        constant = value(which, setting)
        if not isinstance(constant, Constant) or not _is_inner_part(constant.text):
            raise refusal.unsupported(
                node,
                f"{name} takes a number from 0.05 to 0.95 with at most 4 decimals; beyond, it is a min or max",
                f"For example: {name}(x, 0.9).",
            )
        found = _aggregate(name)(exp.Sum(this=node.this), setting)
        return replace(cast(Aggregate, found), which=constant)

    return rule


def _is_inner_part(text: str) -> bool:
    return bool(re.fullmatch(r"0?\.\d{1,4}", text)) and 0.05 <= float(text) <= 0.95


def _count(node: exp.Count, inside: Setting) -> Expression:
    counted = node.this
    if isinstance(counted, exp.Star):
        refuse_extra(counted, set())
        return Aggregate("count", None)
    if not isinstance(counted, exp.Distinct):
        return Aggregate("count", _countable(counted, inside))
    refuse_extra(counted, {"expressions"})
    if len(counted.expressions) != 1:
        raise refusal.unsupported(node, "count(distinct …) takes one argument")
    argument = counted.expressions[0]
    if isinstance(argument, exp.Column) and not isinstance(argument.this, exp.Star):
        return Aggregate("count_distinct", inside.scope.column(argument))
    return Aggregate("count_distinct", _countable(argument, inside))


def _countable(node: exp.Expression, inside: Setting) -> Expression:
    """Return what a count looks at: no condition, whose number of values says whether it holds for anybody."""
    found = value(node, inside)
    return found if isinstance(found, Column) else plain(node, inside)


def _require_place(node: exp.Expression, setting: Setting) -> None:
    if setting.aggregated:
        raise refusal.unsupported(node, "an aggregate inside an aggregate is not in the subset")
    if not setting.aggregates:
        raise refusal.unsupported(
            node,
            "an aggregate may stand in the SELECT list only, and not in a CASE there",
            "Filter and compare on your own side, after the release.",
        )


RULES: dict[type[exp.Expression], Rule] = {
    exp.Year: _call("year", "this"),
    exp.Quarter: _call("quarter", "this"),
    exp.Month: _call("month", "this"),
    exp.Week: _call("week", "this"),
    exp.Day: _call("day", "this"),
    exp.Hour: _call("hour", "this"),
    exp.Extract: _dated,
    exp.DateTrunc: _dated,
    exp.TimestampTrunc: _dated,
    exp.DateDiff: _dated,
    exp.Anonymous: _anonymous,
    exp.Abs: _call("abs", "this"),
    exp.Round: _call("round", "this", "decimals"),
    exp.Floor: _call("floor", "this"),
    exp.Ceil: _call("ceil", "this"),
    exp.Lower: _call("lower", "this"),
    exp.Upper: _call("upper", "this"),
    exp.Substring: _call("substring", "this", "start", "length"),
    exp.Coalesce: _call("coalesce", "this", "expressions"),
    exp.Count: _aggregate("count"),
    exp.Sum: _aggregate("sum"),
    exp.Avg: _aggregate("avg"),
    exp.Stddev: _aggregate("stddev"),
    exp.StddevSamp: _aggregate("stddev"),
    exp.Min: _aggregate("min"),
    exp.Max: _aggregate("max"),
    exp.Median: _aggregate("median"),
    exp.PercentileCont: _quantile("quantile_cont"),
    exp.PercentileDisc: _quantile("quantile_disc"),
}
