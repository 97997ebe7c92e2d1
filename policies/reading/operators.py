"""Operators, CASE and casts: what may be computed from values, and where that would hide a condition."""

from __future__ import annotations

import re
from dataclasses import replace

from sqlglot import exp

from policies.reading import cohorts, grammar, refusal
from policies.reading.attempts import WIDEST_DECIMAL
from policies.reading.bounds import BOUNDS
from policies.reading.grammar import Kind
from policies.reading.sources import refuse_extra
from policies.reading.translate import Rule, Setting, condition, is_constant, plain, step, value
from policies.reading.tree import (
    NULL,
    Branch,
    Case,
    Cast,
    Constant,
    Expression,
    Operation,
    Sort,
    aggregates,
    chooses,
    columns,
    is_simple,
    value_columns,
)

MOST_GAPS = 2
"""How many % a pattern with _ may have. The engine tries all ways to fill them: with six, one text of sixty characters
takes it seconds, and the time that a statement takes would tell whether there is such a row (ATTACKS 21). Patterns
without _ it matches in one pass.
"""


def _binary(operator: str) -> Rule:
    def rule(node: exp.Expression, setting: Setting) -> Expression:
        refuse_extra(node, {"this", "expression", "typed", "safe"})
        reader = condition if grammar.OPERATORS[operator].kind is Kind.LOGIC else plain
        operands = (reader(node.this, setting), reader(node.expression, setting))
        return _operation(node, operator, operands, setting)

    return rule


def _operation(
    node: exp.Expression, operator: str, operands: tuple[Expression, ...], setting: Setting
) -> Operation:
    rules = grammar.OPERATORS[operator]
    if setting.aggregated and not rules.aggregated:
        raise step(node, operator)
    if setting.aggregated and operator == "/" and not is_simple(operands[1]):
        raise refusal.unsupported(
            node,
            "a computed divisor inside an aggregate chooses by its zeros whom the aggregate leaves out",
            "Divide by a column or a constant, or divide the figures.",
        )
    if setting.aggregated and sum(chooses(operand) for operand in operands) > 1:
        # Each may rest on many persons, and what one has and the other has not on a single one.
        raise refusal.unsupported(
            node,
            "two values that choose by CASE or coalesce are computed with each other inside an aggregate",
            "Write one CASE, with a branch for each combination.",
        )
    if setting.aggregated and operator in ("*", "/") and _is_power(operands):
        # (age - 20.1) * (age - 21.1) * … is tiny for everybody but the one of 97: a condition, uncounted.
        raise refusal.unsupported(
            node,
            "a column is multiplied with or divided by itself inside an aggregate, so that few rows outweigh all",
            "Use stddev for squares; multiply different columns.",
        )
    if any(aggregates(operand) for operand in operands) and operator not in ("*", "/", "negative"):
        raise refusal.unsupported(
            node, "figures may be multiplied and divided, nothing else: a sum or comparison could undo their rounding",
            "Ask for the figures themselves, and compute on your own side.",
        )  # fmt: skip
    if operator not in ("+", "-") and any(_is_interval(operand) for operand in operands):
        raise refusal.unsupported(node, "an interval can only be added to a date, or taken from it")
    return Operation(operator, operands)


def _is_power(operands: tuple[Expression, ...]) -> bool:
    """Return whether two operands compute with the same column, under whatever alias."""
    used = [{(column.relation, column.name) for column in value_columns(operand)} for operand in operands]
    return len(used) == 2 and not used[0].isdisjoint(used[1])


def _is_interval(operand: Expression) -> bool:
    return isinstance(operand, Constant) and operand.sort is Sort.INTERVAL


def _negative(node: exp.Neg, setting: Setting) -> Expression:
    refuse_extra(node, {"this"})
    return _operation(node, "negative", (plain(node.this, setting),), setting)


def _not(node: exp.Not, setting: Setting) -> Expression:
    refuse_extra(node, {"this"})
    return _operation(node, "not", (condition(node.this, setting),), setting)


def _between(node: exp.Between, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "low", "high"})
    operands = tuple(plain(part, setting) for part in (node.this, node.args["low"], node.args["high"]))
    return _operation(node, "between", operands, setting)


def _in(node: exp.In, setting: Setting) -> Expression:
    if node.args.get("query") is not None:
        return cohorts.read_cohort(node, setting)
    refuse_extra(node, {"this", "expressions"})
    items = tuple(plain(item, setting) for item in node.expressions)
    if not items or len(items) > BOUNDS.list_items or not all(is_constant(item) for item in items):
        raise refusal.unsupported(
            node, f"IN takes a list of 1 to {BOUNDS.list_items:,} constants", "Join the relation instead."
        )
    return _operation(node, "in", (plain(node.this, setting), *items), setting)


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
    if "_" in pattern.text and pattern.text.count("%") > MOST_GAPS:
        raise refusal.unsupported(
            node, f"a pattern with _ has at most {MOST_GAPS} %: how long more take depends on single rows"
        )
    return _negated(node, _operation(node, "like", (plain(node.this, setting), pattern), setting))


def _negated(node: exp.Expression, positive: Operation) -> Operation:
    """Return the opposite where the parser keeps a NOT in the node instead of around it."""
    return Operation("not", (positive,)) if node.args.get("negate") else positive


# --- CASE and casts -----------------------------------------------------


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
    """Return one branch; `CASE x WHEN 1` means `CASE WHEN x = 1`.

    Branches are counted, so step functions may stand in their conditions.
    """
    refuse_extra(node, {"this", "true"})
    free = replace(setting, aggregated=False)
    if subject is None:
        test = condition(node.this, free)
    else:
        test = Operation("=", (plain(subject, free), plain(node.this, free)))
    return Branch(test, value(node.args["true"], setting))


def _cast(node: exp.Cast, setting: Setting) -> Expression:
    refuse_extra(node, {"this", "to"})
    target = _cast_type(node.to)
    operand = plain(node.this, setting)
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
        raise step(node, f"a cast to {target}")
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
    if int(sizes[0]) > WIDEST_DECIMAL:
        raise refusal.unsupported(
            node,
            f"a cast to a DECIMAL of more than {WIDEST_DECIMAL} digits could overflow when it is added up",
            f"Use DECIMAL({WIDEST_DECIMAL}, s) or DOUBLE.",
        )
    return f"DECIMAL({int(sizes[0])},{int(sizes[1])})"


RULES: dict[type[exp.Expression], Rule] = {
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
}
