"""Figures of a joint statement: of which sums over shares each is made, and what each owner computes by itself.

A value over one relation becomes an *operand* of its owner, a whole number for each row. A product of two owners'
values is made on shares, and is bounded twice: a factor is never negative and one of the two is small, and the test of
dominance looks at the product as at any total. Otherwise one party could write another's values side by side
into one wide sum, by factors 1, 1000, 1000000 … that it chose (ATTACKS 98).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce

from sqlglot import exp

from plans.joint import JointFigure, Measure, Operand, Sum
from policies.reading import joint_ranges as ranges
from policies.reading import listed, refusal, translate
from policies.reading.joint_left_out import left_out, turned
from policies.reading.joint_ranges import Facts, Range, mapped
from policies.reading.joint_summands import (
    ONE,
    Value,
    absolute,
    require_one_summand,
    require_small,
    summands,
)
from policies.reading.sources import Scope, refuse_extra
from policies.reading.tree import (
    NULL,
    ZERO,
    Branch,
    Case,
    Column,
    Expression,
    Operation,
    cohorts,
    columns,
)
from policies.reading.writer import write

_ROWS = Sum(Measure.ROWS, ())


@dataclass(slots=True)
class Sums:
    """What the figures of a statement need, each once: operands and stand-in figures by portion, and sums.

    `computed` are the expressions of the operands, with the columns of the scope. What is `tested` alone is shown to
    nobody: no stand-in has it, and its CASEs may have their one value in several branches.
    """

    scope: Scope
    facts: Facts
    operands: list[list[Operand]]
    computed: list[list[Expression]]
    alone: list[list[str]]
    sums: list[Sum] = field(default_factory=list)
    tested: bool = False

    @staticmethod
    def over(scope: Scope, facts: Facts) -> Sums:
        """Return nothing yet, over the relations of a scope."""
        places = range(len(scope.sources))
        return Sums(scope, facts, [[] for _ in places], [[] for _ in places], [[] for _ in places])

    def place(self, found: Sum) -> int:
        """Return the place of a sum, added if it is new."""
        if found not in self.sums:
            self.sums.append(found)
        return self.sums.index(found)

    def operand(self, value: Value) -> tuple[int, int]:
        """Return the place of a value among the operands of its owner, added if it is new."""
        bounds = value.range
        expression = value.expression if value.ready else ranges.exact(value.expression)
        text = write(mapped(expression, bare))
        found = Operand(text, bounds.low, bounds.high, bounds.decimals, bounds.nullable)
        listed_ = self.operands[value.portion]
        if found not in listed_:
            listed_.append(found)
            self.computed[value.portion].append(expression)
        return value.portion, listed_.index(found)

    def stand_in(self, portion: int, function: str, expression: Expression) -> None:
        """Remember how an owner's column is used, for the statement on which its decision rests."""
        text = f"{function}({write(mapped(ranges.uncast(expression), bare))})"
        if not self.tested and text not in self.alone[portion]:
            self.alone[portion].append(text)

    def measured(self, measure: Measure, *values: Value) -> int:
        """Return the place of a sum over values."""
        return self.place(Sum(measure, tuple(map(self.operand, values))))

    def rows(self) -> int:
        """Return the place of the number of rows."""
        return self.place(_ROWS)


def bare(column: Column) -> Column:
    """Return a column as the owner's own SELECT over one relation names it."""
    return Column("", column.relation, column.name, column.type, column.nullable)


# --- reading -----------------------------------------------------


def read_figure(node: exp.Expression, name: str, sums: Sums) -> JointFigure:
    """Return what an output of the statement is that is no key.

    Raises:
        SqlUnsupported: it is none of the functions of joint statements, or over values that cannot be shared.
    """
    found, aside = _figure(node, name, sums), replace(sums, tested=True)
    others = [_figure(each, name, aside) for each in turned(node, sums.scope)]
    rest = (*_left_out(node, sums), *(each.persons for each in others))
    beside = (*found.beside, *(place for each in others for place in (*each.sums, *each.beside)))
    return replace(found, beside=tuple(dict.fromkeys(beside)), rest=tuple(dict.fromkeys(rest)))


def _left_out(node: exp.Expression, sums: Sums) -> Iterator[int]:
    """Yield the sums that count whom each CASE in a figure leaves out of it."""
    for case, flag in left_out(node, sums.scope):
        yield sums.measured(Measure.TOTAL, Value(_portion(flag, sums), flag, Range(0, 1, 0), case))


def _figure(node: exp.Expression, name: str, sums: Sums) -> JointFigure:
    if isinstance(node, exp.Filter | exp.Window):
        raise refusal.unsupported(
            node,
            f"{'FILTER' if isinstance(node, exp.Filter) else 'a window'} is not in the subset of joint statements",
            "Write the condition as CASE WHEN … THEN … END, or into WHERE.",
        )
    if isinstance(node, exp.Count):
        return _count(node, name, sums)
    if isinstance(node, exp.Corr):
        return _corr(node, name, sums)
    function = FUNCTIONS.get(type(node))
    if function is None:
        raise refusal.unsupported(
            node,
            "row-level output, or a function that is not in the subset of joint statements",
            "An output is a GROUP BY key, or count, sum, avg, var_samp, var_pop, stddev_samp, stddev_pop or corr.",
        )
    refuse_extra(node, {"this"})
    values = _factors(node.this, sums)
    if len(values) == 2:
        return _of_product(node, (name, function), values, sums)
    return _MADE[function](values[0], name, function, sums)


FUNCTIONS: dict[type[exp.Expression], str] = {
    exp.Sum: "sum",
    exp.Avg: "avg",
    exp.Variance: "var_samp",
    exp.VariancePop: "var_pop",
    exp.Stddev: "stddev_samp",
    exp.StddevSamp: "stddev_samp",
    exp.StddevPop: "stddev_pop",
}
"""Functions of one argument, by the parser's classes."""


def sources_of(node: exp.Expression, scope: Scope) -> tuple[str, ...]:
    """Return the aliases of the relations whose columns an expression mentions, each once."""
    named = (each for each in node.find_all(exp.Column) if isinstance(each.this, exp.Identifier))
    return tuple(dict.fromkeys(scope.column(each).source for each in named))


def _factors(node: exp.Expression, sums: Sums) -> tuple[Value, ...]:
    """Return the one value that a figure is over, or the two whose product it is.

    Raises:
        SqlUnsupported: it mixes columns of several owners in another way.
    """
    found = sources_of(node, sums.scope)
    if len(found) <= 1:
        return (_value(node, sums),)
    parts: dict[str, list[exp.Expression]] = {alias: [] for alias in found}
    for factor in _chain(node):
        own = sources_of(factor, sums.scope)
        if len(own) > 1 or len(found) > 2:
            raise _mixture(node, found, sums, "a figure")
        parts[own[0] if own else found[0]].append(factor)
    return tuple(
        _value(reduce(lambda left, right: exp.Mul(this=left, expression=right), factors), sums)
        for factors in parts.values()
    )


def _chain(node: exp.Expression) -> list[exp.Expression]:
    """Return the factors of a product, in their order."""
    if isinstance(node, exp.Paren):
        return _chain(node.this)
    if isinstance(node, exp.Mul):
        return [*_chain(node.this), *_chain(node.expression)]
    return [node]


def _mixture(node: exp.Expression, aliases: tuple[str, ...], sums: Sums, what: str) -> Exception:
    return ranges.refused_mixture(node, {sums.facts[alias].shadow.relation for alias in aliases}, what)


def _value(node: exp.Expression, sums: Sums) -> Value:
    expression = local(node, sums.scope)
    if not columns(expression):
        raise refusal.unsupported(node, "a figure is computed from columns", "To count rows, write count(*).")
    if not sums.tested:
        ranges.require_one_part(expression, node)
    return Value(_portion(expression, sums), expression, ranges.range_of(expression, sums.facts, node), node)


def local(node: exp.Expression, scope: Scope) -> Expression:
    """Return the expression that a node means; it has no subquery.

    Raises:
        SqlUnsupported, SqlSyntax: something in it is not on the list, or not there.
    """
    found = translate.plain(node, listed.rows(scope))
    require_no_cohort(found, node)
    return found


def require_no_cohort(expression: Expression, node: exp.Expression) -> None:
    """Refuse `person IN (SELECT …)`, which no single owner could compute.

    Raises:
        SqlUnsupported: there is one.
    """
    if next(cohorts(expression), None) is not None:
        raise refusal.unsupported(
            node, "a subquery is not in the subset of joint statements", "Join the relation USING (person)."
        )


def _portion(expression: Expression, sums: Sums) -> int:
    aliases = [source.alias for source in sums.scope.sources]
    return aliases.index(columns(expression)[0].source)


# --- figures over one owner's value -----------------------------------------------------


def _count(node: exp.Count, name: str, sums: Sums) -> JointFigure:
    refuse_extra(node, {"this", "big_int"})
    if node.this is None:
        raise refusal.wrong(node, "count has no argument", "To count rows, write count(*).")
    if isinstance(node.this, exp.Distinct):
        raise refusal.unsupported(
            node,
            "count(DISTINCT …) is not in the subset of joint statements",
            "Every person has one row at each owner, so count(*) counts persons.",
        )
    place = sums.rows() if isinstance(node.this, exp.Star | exp.Literal) else _present(node.this, sums)
    return JointFigure(name, "count", (place,), place)


def _present(node: exp.Expression, sums: Sums) -> int:
    """Return the sum that counts the rows where an expression has a value, whatever its type."""
    found = sources_of(node, sums.scope)
    if len(found) > 1:
        raise _mixture(node, found, sums, "count")
    expression = translate.value(node, listed.rows(sums.scope))
    require_no_cohort(expression, node)
    if not columns(expression):
        raise refusal.unsupported(node, "count looks at columns", "To count rows, write count(*).")
    portion = _portion(expression, sums)
    sums.stand_in(portion, "count", expression)
    if isinstance(expression, Column) and not expression.nullable:
        return sums.rows()
    missing = Operation("is null", (expression,))
    whole = Case((Branch(missing, NULL),), ONE)
    return sums.measured(Measure.PRESENT, Value(portion, whole, Range(1, 1, 0, True), node))


def _number(value: Value, sums: Sums) -> int:
    """Return the sum that counts the rows where a value is there."""
    return sums.measured(Measure.PRESENT, value) if value.range.nullable else sums.rows()


def _persons(value: Value, computed: Value, sums: Sums) -> int:
    """Return the sum that counts the persons behind a figure over one value; `computed` has a value where it has."""
    flag = _flag(value, sums, ranges.apart(value.expression, value.range, sums.facts, value.node))
    return _number(computed, sums) if flag is None else sums.measured(Measure.TOTAL, flag)


def _flag(value: Value, sums: Sums, condition: Expression | None) -> Value | None:
    """Return the number 1 where a condition on a value holds and 0 elsewhere; the value itself, if it is that."""
    if condition is None:
        return None
    itself = Operation("<>", (ranges.exact(value.expression), ZERO))
    bounds = value.range
    if condition == itself and bounds.decimals == 0 and bounds.low >= 0 and bounds.high <= 1:
        return value
    return Value(value.portion, Case((Branch(condition, ONE),), ZERO), Range(0, 1, 0), value.node, ready=True)


def _sum(value: Value, name: str, function: str, sums: Sums) -> JointFigure:
    sums.stand_in(value.portion, function, value.expression)
    total = _total(value, sums)
    made = (total,) if function == "sum" else (total, _number(value, sums))
    beside = tuple(_total(each, sums) for each in summands(value, sums.facts))
    return JointFigure(name, function, made, _persons(value, value, sums), beside)


def _total(value: Value, sums: Sums) -> int:
    if value.range.low < 0:
        sums.measured(Measure.MAGNITUDE, value)
    return sums.measured(Measure.TOTAL, value)


def _deviates(value: Value, sums: Sums) -> None:
    """Remember that a column's deviation is told, and its mean: the recipient gets the total and the number too."""
    for function in ("stddev", "avg"):
        sums.stand_in(value.portion, function, value.expression)


def _spread(value: Value, name: str, function: str, sums: Sums) -> JointFigure:
    _deviates(value, sums)
    shifted = _shifted(value)
    squares, total = (sums.measured(measure, shifted) for measure in (Measure.SQUARE, Measure.TOTAL))
    made = (squares, total, _number(shifted, sums))
    looked = [*_if_negative(value), *summands(value, sums.facts, deviation=True)]
    beside = tuple(place for each in looked for place in _spreads(each, sums))
    return JointFigure(name, function, made, _persons(value, shifted, sums), beside)


def _if_negative(value: Value) -> tuple[Value, ...]:
    """Return a value that was moved for a figure: it is tested beside as it was asked for."""
    return (value,) if value.range.low < 0 else ()


def _spreads(value: Value, sums: Sums) -> tuple[int, int]:
    return sums.measured(Measure.SQUARE, value), _total(value, sums)


def _shifted(value: Value) -> Value:
    """Return a value moved so far that none is negative; variances and correlations stay as they are."""
    found = value.range
    if found.low >= 0:
        return value
    moved = Operation("+", (value.expression, ranges.number(-found.low, found.decimals)))
    bounds = Range(0, found.high - found.low, found.decimals, found.nullable)
    ranges.require_narrow(bounds, value.node)
    return Value(value.portion, moved, bounds, value.node)


_MADE: dict[str, Callable[[Value, str, str, Sums], JointFigure]] = {
    "sum": _sum,
    "avg": _sum,
    "var_samp": _spread,
    "var_pop": _spread,
    "stddev_samp": _spread,
    "stddev_pop": _spread,
}


# --- figures over two values -----------------------------------------------------


def _of_product(
    node: exp.Expression, named: tuple[str, str], values: tuple[Value, ...], sums: Sums
) -> JointFigure:
    name, function = named
    if function not in ("sum", "avg"):
        raise refusal.unsupported(
            node,
            f"{function} of a product of two owners' values is not in the subset",
            "Use sum, avg or corr.",
        )
    for value in values:
        if value.range.low < 0:
            raise refusal.unsupported(
                value.node,
                "a factor of a product over two owners may be negative",
                "Ask for its positive and its negative part by CASE.",
            )
        require_one_summand(value)
        sums.stand_in(value.portion, function, value.expression)
    require_small(values, node)
    made: tuple[int, ...] = (sums.measured(Measure.PRODUCT, *values),)
    if function == "avg":
        made = (*made, _together(tuple(_there(value, sums) for value in values), sums))
    behind = tuple(_flag(value, sums, _apart_or_there(value, sums)) for value in values)
    return JointFigure(name, function, made, _together(behind, sums))


def _there(value: Value, sums: Sums) -> Value | None:
    """Return 1 where a value is there and 0 elsewhere; none if it always is."""
    return _flag(value, sums, _has_value(value)) if value.range.nullable else None


def _has_value(value: Value) -> Expression:
    return Operation("not", (Operation("is null", (ranges.exact(value.expression),)),))


def _apart_or_there(value: Value, sums: Sums) -> Expression | None:
    """Return when a row is behind a figure over two values, as far as this one decides."""
    found = ranges.apart(value.expression, value.range, sums.facts, value.node, factor=True)
    return _has_value(value) if found is None and value.range.nullable else found


def _together(flags: tuple[Value | None, ...], sums: Sums) -> int:
    """Return the sum that counts the rows where all flags are 1."""
    given = tuple(flag for flag in flags if flag is not None)
    if not given:
        return sums.rows()
    return sums.measured(Measure.PRODUCT if len(given) == 2 else Measure.TOTAL, *given)


def _corr(node: exp.Corr, name: str, sums: Sums) -> JointFigure:
    refuse_extra(node, {"this", "expression"})
    found = [sources_of(part, sums.scope) for part in (node.this, node.expression)]
    for part, aliases in zip((node.this, node.expression), found, strict=True):
        if len(aliases) > 1:
            raise _mixture(part, aliases, sums, "an argument of corr")
    first, second = _value(node.this, sums), _value(node.expression, sums)
    for value in (first, second):
        require_one_summand(value)
        _deviates(value, sums)
    behind = tuple(_flag(value, sums, _apart_or_there(value, sums)) for value in (first, second))
    moved = _shifted(first), _shifted(second)
    if first.portion == second.portion:
        return _corr_alone(name, (first, second), moved, sums)
    require_small(moved, node)
    flags = tuple(_there(value, sums) for value in moved)
    made = (_together(flags, sums), *_moments(moved, flags, sums))
    tested = absolute(first), absolute(second)
    beside = _moments(tested, flags, sums) if tested != moved else ()
    return JointFigure(name, "corr", made, _together(behind, sums), beside)


def _moments(values: tuple[Value, Value], flags: tuple[Value | None, ...], sums: Sums) -> tuple[int, ...]:
    """Return the totals of two owners' values, of their squares and of their product, where both are there."""
    x, y = values
    return (
        _among(x, flags[1], sums),
        _among(y, flags[0], sums),
        _squares_among(x, flags[1], sums),
        _squares_among(y, flags[0], sums),
        sums.measured(Measure.PRODUCT, x, y),
    )


def _among(value: Value, flag: Value | None, sums: Sums) -> int:
    """Return the total of a value over the rows where the other owner's flag is 1."""
    if flag is None:
        return sums.measured(Measure.TOTAL, value)
    return sums.measured(Measure.PRODUCT, value, flag)


def _squares_among(value: Value, flag: Value | None, sums: Sums) -> int:
    if flag is None:
        return sums.measured(Measure.SQUARE, value)
    return sums.measured(Measure.PRODUCT, _multiplied(value, value), flag)


def _multiplied(x: Value, y: Value) -> Value:
    ends = [a * b for a in (x.range.low, x.range.high) for b in (y.range.low, y.range.high)]
    bounds = Range(
        min(0, *ends), max(ends), x.range.decimals + y.range.decimals, x.range.nullable or y.range.nullable
    )
    ranges.require_narrow(bounds, x.node)
    return Value(x.portion, Operation("*", (x.expression, y.expression)), bounds, x.node, x.ready)


def _corr_alone(name: str, asked: tuple[Value, Value], moved: tuple[Value, Value], sums: Sums) -> JointFigure:
    """Return a correlation of two values of one owner, each without a value where the other has none."""
    x, y = _beside(moved[0], moved[1]), _beside(moved[1], moved[0])
    if x == y:
        raise refusal.unsupported(asked[0].node, "a value is correlated with itself", "Name two values.")
    product = _multiplied(*moved)
    made = (
        _number(x, sums),
        sums.measured(Measure.TOTAL, x),
        sums.measured(Measure.TOTAL, y),
        sums.measured(Measure.SQUARE, x),
        sums.measured(Measure.SQUARE, y),
        sums.measured(Measure.TOTAL, product),
    )
    looked = [each for one, other in (asked, asked[::-1]) for each in _if_negative(_beside(one, other))]
    beside = tuple(place for each in looked for place in _spreads(each, sums))
    if looked:
        beside = (*beside, _total(_multiplied(*asked), sums))
    return JointFigure(name, "corr", made, _persons(_multiplied(*asked), product, sums), beside)


def _beside(value: Value, other: Value) -> Value:
    if not other.range.nullable:
        return value
    only = Case((Branch(Operation("is null", (other.expression,)), NULL),), value.expression)
    bounds = Range(value.range.low, value.range.high, value.range.decimals, True)
    return Value(value.portion, only, bounds, value.node)
