"""The summands of a total: what a known quantity that is added must not hide (ATTACKS 29).

`sum(income + 1000000)` is dominated by nobody, whoever dominates `sum(income)`: the constant makes up most of what each
person adds, everybody knows it, and the asker takes it off again. So the argument of a sum, mean or deviation is cut
into **summands**, and the figure leaves only if nobody dominates any of them (`airlock.dominance`). Then no mask tells
more than the summands would, had they been asked for by themselves.

The argument is read as a polynomial in its columns, and its monomials are the summands:

* `a + b`, `a - b`, `-a`: the summands of both;
* `a * b`: each summand of a with each of b; `a / b`: each of a, divided (a divisor is a column or a constant);
* CASE and coalesce: the summands of each value, in the rows in which it is chosen;
* a cast to DOUBLE or FLOAT: those of what is cast;
* the days between two dates: the days between what the dates are moved from, and what they are moved by;
* anything else is one summand, and each column of numbers in it is another.

Constants are no summands, nor is a constant in the rows of a condition: everybody there adds the same, which makes a
count. Neither are weights looked at, since dominance does not depend on the unit.

Two summands that are added to each other hide nobody whom neither hides: the largest persons of a sum of amounts hold
no larger share of it than of one of its parts. Those that are taken from each other may: net of what was paid, a single
person's income is left. So besides the summands there are the differences of two of them, and of more the whole without
its constants.

A deviation is made of squares: a person with a third of the sum may make nearly all of it. So for one there are, of the
argument without its constants and of all that is looked at, the squares besides, and the rows (`spreads`); from these
comes what each person adds to the sum of squared distances from the mean (`inside.evidence`).

Every summand stands in the rows in which the argument has a value, and is computed in DOUBLE, in which nothing
overflows but to infinity. That, what is no number, and what fails all the same count as 1e100 (`inside.evidence`): a
total with it in it is dominated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

from plans.errors import SqlUnsupported
from policies.reading.attempts import attempt
from policies.reading.persons import may_be_null
from policies.reading.tree import (
    NULL,
    ZERO,
    Attempt,
    Branch,
    Call,
    Case,
    Cast,
    Column,
    Constant,
    Expression,
    Operation,
    Sort,
    value_columns,
)
from policies.reading.writer import write

MOST_SUMMANDS = 32
"""How many totals a table may have for the sake of summands; each is three numbers of every cell."""

MOST_TERMS = 200
"""How many terms an argument may be multiplied out to, constants among them."""

ONE = Constant(Sort.NUMBER, "1")
_BEYOND = Constant(Sort.NUMBER, "1e100")
_WEIGHT = re.compile(r"(\d{1,18}(\.\d{0,18})?|\.\d{1,18})([eE][+-]?\d{1,2})?")
_Between = Callable[[Expression, Expression], Expression]
"""From an earlier and a later date to the time between them, as a number."""

_TEMPORAL = re.compile(r"DATE|TIMESTAMP.*|TIME")
_NUMERIC = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DOUBLE|FLOAT|DECIMAL\(.*\)")


@dataclass(frozen=True, slots=True)
class Summand:
    """A monomial: a weight, times `factors`, divided by `divisors`. One without columns is a constant.

    The weight is 0 where summands cancel, and for columns inside what could not be cut.
    """

    weight: Fraction
    factors: tuple[Expression, ...] = ()
    divisors: tuple[Expression, ...] = ()

    @property
    def constant(self) -> bool:
        """Whether every row of its condition adds the same."""
        return not any(value_columns(each) for each in (*self.factors, *self.divisors))

    @property
    def still(self) -> bool:
        """Whether every row adds the same, whatever its values: a number."""
        return not self.factors and not self.divisors

    @property
    def measure(self) -> Expression:
        """What a row adds, without the weight, in DOUBLE; null where the row is not among those of its condition."""
        found: Expression | None = None
        for factor in self.factors:
            found = _double(factor) if found is None else Operation("*", (found, _double(factor)))
        for divisor in self.divisors:
            found = Operation("/", (found or ONE, _double(divisor)))
        return ONE if found is None else found


def summands(argument: Expression) -> tuple[Expression, ...]:
    """Return what is looked at beside the whole argument of a total; nothing where the argument is one summand.

    Raises:
        SqlUnsupported: it is multiplied out to too many terms.
    """
    found = _found(argument)
    if sum(not each.constant for each in found) + any(each.constant for each in found) < 2:
        return ()
    return tuple(_given(argument, _closed(_together(each))) for each in _looked(found))


def spreads(argument: Expression) -> tuple[tuple[Expression, Expression, Expression], ...]:
    """Return what is looked at for a deviation besides: the argument without its constants, which move no deviation,
    and all that is looked at beside it; each as itself, its square, and a one in the rows in which it has a value.

    Raises:
        SqlUnsupported: it is multiplied out to too many terms.
    """
    found = _found(argument)
    moving = tuple(each for each in found if not each.still)
    looked = dict.fromkeys([moving, *_looked(found)])
    wholes = [_together(each) for each in looked if each]
    rows = Case((Branch(Operation("is null", (argument,)), NULL),), ONE)
    return tuple(
        (
            _given(argument, _closed(each)),
            _given(argument, _closed(Operation("*", (each, each)))),
            rows if isinstance(argument, Attempt) or may_be_null(argument) else ONE,
        )
        for each in wholes
    )


def _found(argument: Expression) -> tuple[Summand, ...]:
    return cut(argument.operand if isinstance(argument, Attempt) else argument)


def _looked(found: tuple[Summand, ...]) -> list[tuple[Summand, ...]]:
    """Return which summands are looked at, each by itself or several together."""
    measured = tuple(each for each in found if not each.constant)
    looked: list[tuple[Summand, ...]] = [(each,) for each in measured]
    if len(measured) > 2:
        looked += [
            (more, less) for more in measured if more.weight > 0 for less in measured if less.weight < 0
        ]
    if len(measured) < len(found) and len(measured) > 1:
        looked.append(measured)
    return looked


def cut(value: Expression) -> tuple[Summand, ...]:
    """Return the summands of an expression, constants among them; together they are the expression.

    Raises:
        SqlUnsupported: there are too many.
    """
    return _merged(_cut(value))


def require_few(count: int) -> None:
    """Refuse a table with too many totals for the sake of summands.

    Raises:
        SqlUnsupported: there are.
    """
    if count > MOST_SUMMANDS:
        raise SqlUnsupported(
            f"the sums, means and deviations add up more than {MOST_SUMMANDS} parts, of which each is looked at for"
            " persons who outweigh the others",
            "SELECT",
            "Ask for fewer figures at once, or for sums of single columns, and add those up.",
        )


# --- cutting -----------------------------------------------------


def _cut(value: Expression) -> Iterable[Summand]:
    match value:
        case Constant(sort=Sort.NULL):
            return ()
        case Constant(sort=Sort.NUMBER, text=text) if _WEIGHT.fullmatch(text):
            weight = Fraction(text)
            return (Summand(weight),) if weight else ()
        case Cast(operand=operand, type="DOUBLE" | "FLOAT"):
            return _cut(operand)
        case Case():
            return _cut_case(value)
        case Call(function="coalesce"):
            return _cut_case(_as_case(value))
        case Call(function="date_diff", arguments=(part, earlier, later)):
            return _cut_between(earlier, later, lambda a, b: Call("date_diff", (part, a, b)))
        case Operation(operator="+" | "-" | "*" | "/" | "negative"):
            return _cut_arithmetic(value)
    return _cut_other(value)


def _cut_arithmetic(value: Operation) -> Iterable[Summand]:
    first, *rest = value.operands
    if value.operator == "negative":
        return _negative(_cut(first))
    (second,) = rest
    if value.operator == "*":
        return [_times(a, b) for a, b in product(cut(first), cut(second))]
    if value.operator == "/":
        return [_over(each, second) for each in cut(first)]
    if value.operator == "-" and _is_temporal(first) and _is_temporal(second):
        return _cut_between(second, first, lambda a, b: Operation("-", (b, a)))
    return (*_cut(first), *(_cut(second) if value.operator == "+" else _negative(_cut(second))))


def _cut_case(case: Case) -> Iterator[Summand]:
    for number, value in enumerate(case.values):
        for each in cut(value):
            yield Summand(each.weight, (_alone(case, number, each.measure),))


def _cut_other(value: Expression) -> Iterator[Summand]:
    yield Summand(Fraction(1), (value,))
    if not isinstance(value, Column):
        for column in value_columns(value):
            if _NUMERIC.fullmatch(column.type):
                yield Summand(Fraction(0), (column,))


def _times(a: Summand, b: Summand) -> Summand:
    return Summand(a.weight * b.weight, a.factors + b.factors, a.divisors + b.divisors)


def _over(summand: Summand, divisor: Expression) -> Summand:
    plain = divisor
    while isinstance(plain, Cast):
        plain = plain.operand
    if isinstance(plain, Constant) and _WEIGHT.fullmatch(plain.text) and Fraction(plain.text):
        return replace(summand, weight=summand.weight / Fraction(plain.text))
    return replace(summand, divisors=(*summand.divisors, divisor))


def _negative(found: Iterable[Summand]) -> Iterator[Summand]:
    return (replace(each, weight=-each.weight) for each in found)


def _merged(found: Iterable[Summand]) -> tuple[Summand, ...]:
    """Return summands in which each monomial is there once, whatever the order of its factors."""
    known: dict[tuple[tuple[str, ...], tuple[str, ...]], Summand] = {}
    for each in found:
        key = tuple(sorted(map(write, each.factors))), tuple(sorted(map(write, each.divisors)))
        same = known.get(key)
        known[key] = each if same is None else replace(same, weight=same.weight + each.weight)
        if len(known) > MOST_TERMS:
            raise SqlUnsupported(
                f"the argument of an aggregate is multiplied out to more than {MOST_TERMS} terms",
                "SELECT",
                "Use fewer brackets and branches, or ask for the sums of the terms, and add those up.",
            )
    return tuple(known.values())


def _as_case(call: Call) -> Case:
    *first, last = call.arguments
    given = (Branch(Operation("not", (Operation("is null", (each,)),)), each) for each in first)
    return Case(tuple(given), last)


def _alone(case: Case, chosen: int, value: Expression) -> Case:
    """Return a CASE that has a value in the rows of one branch, and none in all others."""
    kept = [value if number == chosen else NULL for number in range(len(case.values))]
    branches = tuple(
        Branch(branch.condition, each) for branch, each in zip(case.branches, kept, strict=False)
    )
    return Case(branches[: chosen + 1], kept[-1])


# --- dates -----------------------------------------------------


def _cut_between(earlier: Expression, later: Expression, between: _Between) -> Iterator[Summand]:
    """Yield the time between two dates: between what they are moved from, and what they are moved by.

    By which part an interval is counted does not matter: it is a constant.
    """
    for place, date in enumerate((earlier, later)):
        if isinstance(date, Case) or (isinstance(date, Call) and date.function == "coalesce"):
            case = date if isinstance(date, Case) else _as_case(date)
            values = [between(*(each, later) if place == 0 else (earlier, each)) for each in case.values]
            branches = tuple(
                Branch(branch.condition, value) for branch, value in zip(case.branches, values, strict=False)
            )
            yield from _cut_case(Case(branches, values[-1]))
            return
    start, before = _moved(earlier)
    end, after = _moved(later)
    yield Summand(Fraction(1), (between(start, end),))
    yield from (*after, *_negative(before))


def _moved(date: Expression) -> tuple[Expression, tuple[Summand, ...]]:
    """Return what a date is moved from, and the summands of what it is moved by."""
    match date:
        case Operation(operator="+" | "-" as operator, operands=(first, second)):
            base, by = (first, second) if _is_temporal(first) else (second, first)
            start, before = _moved(base)
            interval = isinstance(by, Constant) and by.sort is Sort.INTERVAL
            found = (Summand(Fraction(1)),) if interval else cut(by)
            return start, (*before, *(found if operator == "+" else _negative(found)))
        case Cast(operand=operand, type=kind) if _is_temporal(operand):
            start, by_cast = _moved(operand)
            return Cast(start, kind), by_cast
        case Call(function="date_trunc", arguments=(part, operand)):
            start, by_call = _moved(operand)
            return Call("date_trunc", (part, start)), by_call
    return date, ()


def _is_temporal(value: Expression) -> bool:
    match value:
        case Column(type=kind) | Cast(type=kind):
            return bool(_TEMPORAL.fullmatch(kind))
        case Call(function="date_trunc"):
            return True
        case Call(function="coalesce", arguments=values) | Operation(operator="+", operands=values):
            return any(map(_is_temporal, values))
        case Operation(operator="-", operands=(first, second)):
            return _is_temporal(first) and not _is_temporal(second)
        case Case():
            return any(map(_is_temporal, value.values))
    return False


# --- writing -----------------------------------------------------


def _double(value: Expression) -> Expression:
    """Return a number in DOUBLE; of a CASE its values, since a cast around a subquery could not be attempted."""
    if isinstance(value, Case):
        branches = (Branch(branch.condition, _double(branch.value)) for branch in value.branches)
        return Case(tuple(branches), _double(value.otherwise))
    if value in (NULL, ONE):
        return value
    is_double = isinstance(value, Column | Cast) and value.type == "DOUBLE"
    return value if is_double else Cast(value, "DOUBLE")


def _or(value: Expression, instead: Constant) -> Expression:
    return Call("coalesce", (value, instead))


def _together(found: tuple[Summand, ...]) -> Expression:
    """Return the sum of summands, each with its weight if there are several, scaled so that the largest is 1."""
    if len(found) == 1:
        return _or(found[0].measure, ZERO)
    largest = max((abs(each.weight) for each in found), default=Fraction(1)) or Fraction(1)
    total: Expression | None = None
    for each in found:
        weight = Constant(Sort.NUMBER, repr(float(abs(each.weight) / largest)))
        term = Operation("*", (_or(each.measure, ZERO), Cast(weight, "DOUBLE")))
        if total is None:
            total = Operation("negative", (term,)) if each.weight < 0 else term
        else:
            total = Operation("-" if each.weight < 0 else "+", (total, term))
    assert total is not None
    return total


def _closed(value: Expression) -> Expression:
    """Return a value that is 1e100 where it fails; `inside.evidence` takes infinity and no number for as much."""
    return _or(attempt(value), _BEYOND)


def _given(argument: Expression, value: Expression) -> Expression:
    """Return a value in the rows in which the whole argument has one."""
    if not isinstance(argument, Attempt) and not may_be_null(argument):
        return value
    return Case((Branch(Operation("is null", (argument,)), NULL),), value)
