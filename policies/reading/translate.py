"""From the parser's tree to ours: the list of what is allowed, node by node.

A node class without an entry in `_RULES` is refused; so is an allowed node with a part that its rule does not read. What
remains after translation is all that the statement says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlglot import exp

from plans import names
from plans.errors import SqlUnsupported
from policies.reading import grammar, refusal
from policies.reading.bounds import BOUNDS
from policies.reading.grammar import Kind
from policies.reading.sources import Scope, refuse_extra
from policies.reading.tree import (
    NULL,
    Aggregate,
    Branch,
    Call,
    Case,
    Cast,
    Constant,
    Expression,
    Operation,
    Sort,
    aggregates,
    columns,
)

_NUMBER = re.compile(r"(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where an expression stands: what names mean, whether aggregates may stand here, whether this is inside one."""

    scope: Scope
    aggregates: bool = False
    aggregated: bool = False


def value(node: exp.Expression, setting: Setting) -> Expression:
    """Return the expression that a node means.

    Raises:
        SqlUnsupported: something in it is not on the list.
        SqlSyntax: a name in it is not there.
    """
    rule = _RULES.get(type(node))
    if rule is None:
        raise _unlisted(node)
    return rule(node, setting)


def condition(node: exp.Expression, setting: Setting) -> Expression:
    """Return a truth value: what WHERE, WHEN, AND, OR and NOT take."""
    found = value(node, setting)
    if not grammar.is_truth(found):
        raise refusal.unsupported(
            node, "a condition is needed here, and this is a value", "Compare it with something."
        )
    return found


def _plain(node: exp.Expression, setting: Setting) -> Expression:
    """Return a value that is no truth value: what arithmetic and comparisons take."""
    found = value(node, setting)
    if grammar.is_truth(found):
        raise refusal.unsupported(
            node,
            "a truth value is used like a number or compared",
            "Write CASE WHEN … THEN 1 ELSE 0 END, or use the condition itself.",
        )
    return found


def _unlisted(node: exp.Expression) -> SqlUnsupported:
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


# --- constants and columns ---------------------------------------------------------------------------------------------


def _column(node: exp.Column, setting: Setting) -> Expression:
    if isinstance(node.this, exp.Star):
        raise _unlisted(node.this)
    found = setting.scope.column(node)
    if found.name == names.PERSON:
        raise refusal.unsupported(
            node,
            "the person token only links relations and counts persons",
            "Use JOIN … ON a.person = b.person, or count(distinct person).",
        )
    return found


def _literal(node: exp.Literal, _: Setting) -> Expression:
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


# --- operators ---------------------------------------------------------------------------------------------------------


def _binary(operator: str) -> Callable[[exp.Expression, Setting], Expression]:
    def rule(node: exp.Expression, setting: Setting) -> Expression:
        refuse_extra(node, {"this", "expression", "typed", "safe"})
        reader = condition if grammar.OPERATORS[operator].kind is Kind.LOGIC else _plain
        operands = (reader(node.this, setting), reader(node.expression, setting))
        return _operation(node, operator, operands, setting)

    return rule


def _operation(
    node: exp.Expression, operator: str, operands: tuple[Expression, ...], setting: Setting
) -> Operation:
    rules = grammar.OPERATORS[operator]
    if setting.aggregated and not rules.aggregated:
        raise _step(node, operator)
    if any(aggregates(operand) for operand in operands) and operator not in ("*", "/", "negative"):
        raise refusal.unsupported(
            node, "figures may be multiplied and divided, nothing else: a sum or comparison could undo their rounding",
            "Ask for the figures themselves, and compute on your own side.",
        )  # fmt: skip
    if operator not in ("+", "-") and any(_is_interval(operand) for operand in operands):
        raise refusal.unsupported(node, "an interval can only be added to a date, or taken from it")
    return Operation(operator, operands)


def _is_interval(operand: Expression) -> bool:
    return isinstance(operand, Constant) and operand.sort is Sort.INTERVAL


def _step(node: exp.Expression, what: str) -> SqlUnsupported:
    return refusal.unsupported(
        node,
        f"{what} inside an aggregate is a condition in disguise",
        "Write the condition as CASE WHEN … THEN … ELSE … END.",
    )


def _negative(node: exp.Neg, setting: Setting) -> Expression:
    refuse_extra(node, {"this"})
    return _operation(node, "negative", (_plain(node.this, setting),), setting)


def _not(node: exp.Not, setting: Setting) -> Expression:
    refuse_extra(node, {"this"})
    return _operation(node, "not", (condition(node.this, setting),), setting)


def _between(node: exp.Between, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "low", "high"})
    operands = tuple(_plain(part, setting) for part in (node.this, node.args["low"], node.args["high"]))
    return _operation(node, "between", operands, setting)


def _in(node: exp.In, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "expressions"})
    items = tuple(_plain(item, setting) for item in node.expressions)
    if not items or len(items) > BOUNDS.list_items or not all(_is_constant(item) for item in items):
        raise refusal.unsupported(
            node, f"IN takes a list of 1 to {BOUNDS.list_items:,} constants", "Join the relation instead."
        )
    return _operation(node, "in", (_plain(node.this, setting), *items), setting)


def _is_constant(expression: Expression) -> bool:
    return not columns(expression) and not aggregates(expression)


def _is(node: exp.Is, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "expression", "negate"})
    if not isinstance(node.expression, exp.Null):
        raise refusal.unsupported(node, "IS takes NULL or NOT NULL", "Write IS NULL or IS NOT NULL.")
    return _negated(node, _operation(node, "is null", (value(node.this, setting),), setting))


def _like(node: exp.Like, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "expression", "negate"})
    pattern = value(node.expression, setting)
    if not isinstance(pattern, Constant) or pattern.sort is not Sort.TEXT:
        raise refusal.unsupported(node, "LIKE takes a constant pattern", "For example: name LIKE 'A%'.")
    return _negated(node, _operation(node, "like", (_plain(node.this, setting), pattern), setting))


def _negated(node: exp.Expression, positive: Operation) -> Operation:
    """Return the opposite where the parser keeps a NOT in the node instead of around it."""
    return Operation("not", (positive,)) if node.args.get("negate") else positive


# --- CASE and casts ----------------------------------------------------------------------------------------------------


def _case(node: exp.Case, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "ifs", "default"})
    if len(node.args["ifs"]) > BOUNDS.branches:
        raise refusal.unsupported(node, f"a CASE has at most {BOUNDS.branches} branches")
    if setting.aggregates:
        setting = replace(setting, aggregates=False)
    branches = tuple(_branch(node.this, branch, setting) for branch in node.args["ifs"])
    default = node.args.get("default")
    return Case(branches, NULL if default is None else value(default, setting))


def _branch(subject: exp.Expression | None, node: exp.If, setting: Setting) -> Branch:
    """Return one branch; `CASE x WHEN 1` means `CASE WHEN x = 1`. Conditions are counted, so steps may stand in them."""
    refuse_extra(node, {"this", "true"})
    free = replace(setting, aggregated=False)
    if subject is None:
        test = condition(node.this, free)
    else:
        test = Operation("=", (_plain(subject, free), _plain(node.this, free)))
    return Branch(test, value(node.args["true"], setting))


def _cast(node: exp.Cast, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "to"})
    target = _cast_type(node.to)
    operand = _plain(node.this, setting)
    if target != "VARCHAR" and grammar.is_text(operand):
        raise refusal.unsupported(
            node,
            "text of the data cannot be cast to a number or date",
            "Ask the owner for a column of the type, or compare as text.",
        )
    if aggregates(operand):
        raise refusal.unsupported(
            node, "a figure cannot be cast", "Take the figure as it is; the airlock rounds it."
        )
    if setting.aggregated and columns(operand) and not grammar.AGGREGATED_CASTS.fullmatch(target):
        raise _step(node, f"a cast to {target}")
    return Cast(operand, target)


def _cast_type(node: exp.DataType) -> str:
    kind = grammar.CAST_TYPES.get(str(getattr(node.this, "value", node.this)))
    sizes = [str(size.this.this) for size in node.expressions if isinstance(size, exp.DataTypeParam)]
    if kind is None or len(sizes) != len(node.expressions) or (sizes and kind != "DECIMAL"):
        known = ", ".join(sorted(set(grammar.CAST_TYPES.values())))
        raise refusal.unsupported(node, "a cast to this type is not in the subset", f"Types: {known}.")
    if kind != "DECIMAL":
        return kind
    if len(sizes) != 2 or not all(re.fullmatch(r"\d{1,2}", size) for size in sizes):
        raise refusal.unsupported(node, "a DECIMAL needs its digits", "For example: DECIMAL(18, 2).")
    return f"DECIMAL({int(sizes[0])},{int(sizes[1])})"


# --- functions ---------------------------------------------------------------------------------------------------------


def _call(name: str, *parts: str) -> Callable[[exp.Expression, Setting], Expression]:
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
        return _function(node, name, tuple(_plain(item, setting) for item in flat), setting)

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
        raise _step(node, name)
    if name in ("round", "substring") and not all(_is_constant(argument) for argument in arguments[1:]):
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
        return _function(node, part, (_plain(node.expression, setting),), setting)
    first = Constant(Sort.TEXT, part)
    if isinstance(node, exp.DateDiff):
        later, earlier = _plain(node.this, setting), _plain(node.expression, setting)
        return _function(node, "date_diff", (first, earlier, later), setting)
    return _function(node, "date_trunc", (first, _plain(node.this, setting)), setting)


def _anonymous(node: exp.Anonymous, setting: Setting) -> Expression:
    """`date_part('year', x)` is EXTRACT under another name; the parser knows no other function by this node."""
    if str(node.this).lower() not in ("date_part", "datepart") or len(node.expressions) != 2:
        raise _unlisted(node)
    part, date = node.expressions
    name = str(part.this).lower() if isinstance(part, exp.Literal) else ""
    if name not in grammar.DATE_PARTS:
        raise refusal.unsupported(
            node, "this part of a date is not in the subset", f"Parts: {', '.join(grammar.DATE_PARTS)}."
        )
    return _function(node, name, (_plain(date, setting),), setting)


# --- aggregates --------------------------------------------------------------------------------------------------------


def _aggregate(name: str) -> Callable[[exp.Expression, Setting], Expression]:
    def rule(node: exp.Expression, setting: Setting) -> Expression:
        refuse_extra(node, {"this", "big_int"})
        _require_place(node, setting)
        inside = replace(setting, aggregates=False, aggregated=True)
        if name == "count":
            return _count(node, inside)
        argument = _plain(node.this, inside)
        if not columns(argument) or grammar.is_text(argument):
            raise refusal.unsupported(
                node, f"{name} takes a number computed from columns", "To count rows, write count(*)."
            )
        return Aggregate(name, argument)

    return rule


def _count(node: exp.Count, inside: Setting) -> Expression:
    counted = node.this
    if isinstance(counted, exp.Star):
        refuse_extra(counted, set())
        return Aggregate("count", None)
    if not isinstance(counted, exp.Distinct):
        return Aggregate("count", value(counted, inside))
    refuse_extra(counted, {"expressions"})
    if len(counted.expressions) != 1:
        raise refusal.unsupported(node, "count(distinct …) takes one argument")
    argument = counted.expressions[0]
    if isinstance(argument, exp.Column) and not isinstance(argument.this, exp.Star):
        return Aggregate("count_distinct", inside.scope.column(argument))
    return Aggregate("count_distinct", value(argument, inside))


def _require_place(node: exp.Expression, setting: Setting) -> None:
    if setting.aggregated:
        raise refusal.unsupported(node, "an aggregate inside an aggregate is not in the subset")
    if not setting.aggregates:
        raise refusal.unsupported(
            node,
            "an aggregate may stand in the SELECT list only, and not in a CASE there",
            "Filter and compare on your own side, after the release.",
        )


_RULES: dict[type[exp.Expression], Callable[..., Expression]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: _boolean,
    exp.Null: _null,
    exp.Interval: _interval,
    exp.Paren: _paren,
    exp.Add: _binary("+"),
    exp.Sub: _binary("-"),
    exp.Mul: _binary("*"),
    exp.Div: _binary("/"),
    exp.Mod: _binary("%"),
    exp.Neg: _negative,
    exp.EQ: _binary("="),
    exp.NEQ: _binary("<>"),
    exp.LT: _binary("<"),
    exp.LTE: _binary("<="),
    exp.GT: _binary(">"),
    exp.GTE: _binary(">="),
    exp.And: _binary("and"),
    exp.Or: _binary("or"),
    exp.Not: _not,
    exp.Between: _between,
    exp.In: _in,
    exp.Is: _is,
    exp.Like: _like,
    exp.Case: _case,
    exp.Cast: _cast,
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
}
