"""Numbers that one owner computes by itself for a joint statement: exact, within a range that follows from what was
declared, and without a condition in disguise.

Shares are whole numbers of a ring, so every number must be whole at some decimal scale, and the largest one known
before the run. `range_of` follows the expression by interval arithmetic, from the declared ranges of its columns; where
no range follows, the statement is refused, with what the owner would have to declare. Text, division and functions have
none. `DOUBLE` columns take part through a cast to DECIMAL alone: what is rounded is then said in the statement.

**What a figure rests on.** On shares one number of persons is compared with the minimum group, so a figure may tell one
part of its cell apart, and no more: of a CASE one branch has a value, all others are 0 or NULL; a CASE or a rounding
cast is not a term of a sum, where a constant beside it would make another part of everybody else. `apart` says when
the persons behind a figure are those whose value is not 0 (`policies.reading.persons` has the reasons): where 0 can be
a value, and the number is whole, chosen by a CASE, or computed by a product.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor

from sqlglot import exp

from plans import canonical
from plans.errors import SqlUnsupported
from plans.joint_shadows import JointShadow
from plans.manifest import Declared
from policies.reading import grammar, refusal
from policies.reading.attempts import attempt_condition
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
    columns,
    value_columns,
)

MOST_DECIMALS = 18
LARGEST = canonical.LARGEST_NUMBER
"""The largest bound of an operand: plans, which name it, hold no larger number. Sums may be wider."""

_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),\s?(\d{1,2})\)")
_FLOATS = ("DOUBLE", "FLOAT")
_ARITHMETIC = ("+", "-", "*", "negative")

Facts = Mapping[str, JointShadow]
"""What is known of each relation of the statement, by its alias."""


@dataclass(frozen=True, slots=True)
class Range:
    """Values from `low` to `high`, both included, after multiplication by 10^`decimals`; `nullable`: or none."""

    low: int
    high: int
    decimals: int
    nullable: bool = False

    @property
    def holds_zero(self) -> bool:
        """Whether 0 may be a value."""
        return self.low <= 0 <= self.high

    def at(self, decimals: int) -> tuple[int, int]:
        """Return the ends at a finer scale."""
        factor = 10 ** (decimals - self.decimals)
        return self.low * factor, self.high * factor


def range_of(expression: Expression, facts: Facts, node: exp.Expression) -> Range:
    """Return the range of a number.

    Raises:
        SqlUnsupported: none follows from what was declared, or it is too wide; `node` is where it stands.
    """
    found = _range(expression, facts, node)
    if found is None:
        raise refusal.unsupported(
            node, "a figure of nothing but NULL", "Give one branch of the CASE a value."
        )
    return found


def _range(expression: Expression, facts: Facts, node: exp.Expression) -> Range | None:
    match expression:
        case Constant():
            return _of_constant(expression, node)
        case Column():
            return _of_column(expression, facts, node)
        case Cast():
            return _of_cast(expression, facts, node)
        case Operation(operator=operator) if operator in _ARITHMETIC:
            return _fitting(_of_operation(expression, facts, node), node)
        case Case():
            return _fitting(_of_case(expression, facts, node), node)
        case Call(function="coalesce"):
            return _fitting(_of_coalesce(expression, facts, node), node)
    raise _no_range(node)


def _no_range(node: exp.Expression) -> SqlUnsupported:
    return refusal.unsupported(
        node,
        "no range follows for a value that is computed like this",
        "In joint statements numbers are computed from columns and constants by +, -, *, CASE and CAST to DECIMAL.",
    )


def _fitting(found: Range | None, node: exp.Expression) -> Range | None:
    if found is not None:
        require_narrow(found, node)
    return found


def require_narrow(found: Range, node: exp.Expression) -> None:
    """Check that a number can leave the owner's box as a 64-bit integer.

    Raises:
        SqlUnsupported: it is too wide, or has too many decimals.
    """
    if max(abs(found.low), abs(found.high)) > LARGEST or found.decimals > MOST_DECIMALS:
        raise refusal.unsupported(
            node,
            f"a number may need more than 53 bits or {MOST_DECIMALS} decimals, by what was declared of its columns",
            "Cast columns to a DECIMAL with fewer decimals, or ask the owner to declare a narrower range.",
        )


def _of_constant(constant: Constant, node: exp.Expression) -> Range | None:
    if constant.sort is Sort.NULL:
        return None
    if constant.sort is not Sort.NUMBER or "e" in constant.text.lower():
        raise refusal.unsupported(
            node, "a constant in arithmetic is a plain number", "Write it with digits, as 1000000 or 0.25."
        )
    decimals = len(constant.text.partition(".")[2])
    value = int(Fraction(constant.text) * 10**decimals)
    return _fitting(Range(value, value, decimals), node)


def _of_column(column: Column, facts: Facts, node: exp.Expression) -> Range | None:
    decimals = scale_of(column.type)
    if decimals is None:
        wanted = "CAST(… AS DECIMAL(18, 2))" if column.type in _FLOATS else "a number"
        raise refusal.unsupported(
            node,
            f"{column.relation}.{column.name} has the type {column.type}, of which no exact sum can be made",
            f"Use {wanted}." if column.type in _FLOATS else f"Use {wanted}: CASE WHEN … THEN 1 ELSE 0 END.",
        )
    return _fitting(_declared(column, decimals, facts, node), node)


def scale_of(kind: str) -> int | None:
    """Return how many decimals values of a type have; none where they are not exact numbers."""
    if grammar.INTEGERS.fullmatch(kind):
        return 0
    found = _DECIMAL.fullmatch(kind)
    return int(found[2]) if found else None


def _declared(column: Column, decimals: int, facts: Facts, node: exp.Expression) -> Range:
    """Return what an owner declared of a column at a scale, rounded outwards."""
    numbers = [Fraction(text) for text in numbers_of(facts[column.source].declared_of(column.name))]
    if not numbers:
        raise refusal.unsupported(
            node,
            f"{facts[column.source].domain} has declared no range of {column.relation}.{column.name}, or a mask"
            " covers it; so nothing says how wide its sums may be",
            "Ask the owner to declare the lowest and the highest value (docs/joint-sql.md).",
        )
    low, high = floor(min(numbers) * 10**decimals), ceil(max(numbers) * 10**decimals)
    return Range(low, high, decimals, column.nullable)


def numbers_of(declared: Declared) -> list[str]:
    """Return the numbers between which all values of a column are, by what was declared of it; none: it says none."""
    ends = [declared.low, declared.high]
    return ends if all(map(is_number, ends)) else list(filter(is_number, declared.values))


def is_number(text: str) -> bool:
    """Return whether a declared text is a plain number."""
    return bool(re.fullmatch(r"-?\d{1,38}(\.\d{1,38})?", text))


def _of_cast(cast: Cast, facts: Facts, node: exp.Expression) -> Range | None:
    decimals = scale_of(cast.type)
    if not isinstance(cast.operand, Column) or decimals is None:
        raise refusal.unsupported(
            node,
            "a cast is of a column, to a DECIMAL or a whole number",
            "For example: CAST(x AS DECIMAL(18, 2)).",
        )
    if scale_of(cast.operand.type) is None and cast.operand.type not in _FLOATS:
        raise refusal.unsupported(node, "a cast to a number is of a number")
    found = _declared(cast.operand, decimals, facts, node)
    sizes = _DECIMAL.fullmatch(cast.type)
    if sizes and max(abs(found.low), abs(found.high)) >= 10 ** int(sizes[1]):
        raise refusal.unsupported(
            node,
            f"values that were declared of {cast.operand.relation}.{cast.operand.name} do not fit {cast.type}",
            "Cast to a wider DECIMAL.",
        )
    return _fitting(found, node)


def _of_operation(operation: Operation, facts: Facts, node: exp.Expression) -> Range | None:
    each = [_range(operand, facts, node) for operand in operation.operands]
    known = [found for found in each if found is not None]
    if len(known) < len(each):
        raise refusal.unsupported(node, "arithmetic with NULL yields nothing", "Leave it out.")
    nullable = any(found.nullable for found in known)
    if operation.operator == "negative":
        return Range(-known[0].high, -known[0].low, known[0].decimals, nullable)
    left, right = known
    if operation.operator == "*":
        ends = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
        return Range(min(ends), max(ends), left.decimals + right.decimals, nullable)
    decimals = max(left.decimals, right.decimals)
    (low, high), (other_low, other_high) = left.at(decimals), right.at(decimals)
    if operation.operator == "-":
        other_low, other_high = -other_high, -other_low
    return Range(low + other_low, high + other_high, decimals, nullable)


def _of_case(case: Case, facts: Facts, node: exp.Expression) -> Range | None:
    each = [_range(value, facts, node) for value in case.values]
    known = [found for found in each if found is not None]
    if not known:
        return None
    decimals = max(found.decimals for found in known)
    ends = [found.at(decimals) for found in known]
    nullable = len(known) < len(each) or any(found.nullable for found in known)
    return Range(min(low for low, _ in ends), max(high for _, high in ends), decimals, nullable)


def _of_coalesce(call: Call, facts: Facts, node: exp.Expression) -> Range | None:
    """Return the range of the first value that is there; a figure has none (`require_one_part`)."""
    known = [found for each in call.arguments if (found := _range(each, facts, node)) is not None]
    if not known:
        return None
    decimals = max(found.decimals for found in known)
    ends = [found.at(decimals) for found in known]
    nullable = all(found.nullable for found in known)
    return Range(min(low for low, _ in ends), max(high for _, high in ends), decimals, nullable)


# --- what a number may tell apart -----------------------------------------------------


def require_one_part(expression: Expression, node: exp.Expression) -> None:
    """Check that a number tells one part of its cell apart at the most.

    Raises:
        SqlUnsupported: it does more, or calls a function.
    """
    if any(isinstance(part, Call) for part in _computed(expression)):
        raise _no_range(node)
    match expression:
        case Operation(operator="+" | "-"):
            if any(_chooses(part) for part in expression.walk()):
                raise refusal.unsupported(
                    node,
                    "a CASE or a rounding cast is a term of a sum, and so tells two parts of a cell apart",
                    "Ask for the two in figures of their own, and add them up on your side.",
                )
        case Operation(operator="*", operands=operands):
            _require_product(operands, node)
        case Operation(operator="negative"):
            require_one_part(expression.operands[0], node)
        case Case():
            _require_one_branch(expression, node)


def _computed(expression: Expression) -> Iterator[Expression]:
    """Yield an expression and what is computed in it, without the conditions of CASE."""
    yield expression
    for part in expression.values if isinstance(expression, Case) else expression.parts:
        yield from _computed(part)


def _require_product(operands: tuple[Expression, ...], node: exp.Expression) -> None:
    used = [{column.name for column in value_columns(operand)} for operand in operands]
    if len(used) == 2 and not used[0].isdisjoint(used[1]):
        raise refusal.unsupported(
            node,
            "a column is multiplied by itself, so that few rows outweigh all",
            "Use var_samp or stddev_samp for squares; multiply different columns.",
        )
    if sum(any(_chooses(part) for part in operand.walk()) for operand in operands) > 1:
        raise refusal.unsupported(
            node,
            "two values that choose by CASE or by rounding are multiplied",
            "Write one CASE whose condition has both.",
        )
    for operand in operands:
        require_one_part(operand, node)


def _require_one_branch(case: Case, node: exp.Expression) -> None:
    valued = [value for value in case.values if not is_nothing(value)]
    if len(valued) > 1:
        raise refusal.unsupported(
            node,
            "a CASE has several branches with a value, and so tells several parts of a cell apart",
            "Give one branch a value and all others 0 or NULL, and ask for each part in a figure of its own.",
        )
    if any(_chooses(part) for value in valued for part in value.walk()):
        raise refusal.unsupported(node, "a CASE or a rounding cast stands inside a CASE", "Write one CASE.")


def is_nothing(value: Expression) -> bool:
    """Return whether a value is NULL or 0, so that its rows add nothing to a sum."""
    if value == NULL:
        return True
    return isinstance(value, Constant) and value.sort is Sort.NUMBER and not value.text.strip("0.")


def _chooses(expression: Expression) -> bool:
    return isinstance(expression, Case | Cast)


def apart(
    expression: Expression, found: Range, facts: Facts, node: exp.Expression, *, factor: bool = False
) -> Expression | None:
    """Return the condition under which a row is among the persons behind a figure, as the owner's box computes it;
    none: whenever the number has a value. A `factor` of a product is there where it is not 0, a bare one too.
    """
    tests: list[Expression] = []
    if found.holds_zero and (factor or not _is_bare(expression)):
        tests.append(expression)
    for part in expression.walk():
        if isinstance(part, Operation) and part.operator in ("+", "-"):
            whole = [each for each in value_columns(part) if grammar.INTEGERS.fullmatch(each.type)]
            made = [each for each in part.operands if value_columns(each) and not _is_bare(each)]
            tests += [each for each in (*whole, *made) if range_of(each, facts, node).holds_zero]
    conditions = [Operation("<>", (exact(test), ZERO)) for test in dict.fromkeys(tests)]
    if not conditions:
        return None
    joined: Expression = conditions[0]
    for condition in conditions[1:]:
        joined = Operation("and", (joined, condition))
    return joined


def _is_bare(expression: Expression) -> bool:
    """Return whether a value is a column of fractions as it stands: whole numbers may be a condition in disguise, and
    so may what a cast rounds, `score >= 0.5` for one.
    """
    inner = expression.operand if isinstance(expression, Cast) else expression
    kept = scale_of(expression.type) if isinstance(expression, Cast) else MOST_DECIMALS
    scale = scale_of(inner.type) if isinstance(inner, Column) else None
    return scale is not None and 0 < scale <= (kept or 0)


# --- how it is written for the owner's box -----------------------------------------------------


def mapped(expression: Expression, change: Callable[[Column], Expression]) -> Expression:
    """Return an expression with every column changed."""

    def again(part: Expression) -> Expression:
        return mapped(part, change)

    match expression:
        case Column():
            return change(expression)
        case Operation(operands=operands):
            return replace(expression, operands=tuple(map(again, operands)))
        case Cast(operand=operand):
            return replace(expression, operand=again(operand))
        case Case(branches=branches, otherwise=otherwise):
            changed = tuple(Branch(again(each.condition), again(each.value)) for each in branches)
            return Case(changed, again(otherwise))
        case Call(arguments=arguments):
            return replace(expression, arguments=tuple(map(again, arguments)))
        case Attempt(operand=operand):
            return replace(expression, operand=again(operand))
    return expression


def uncast(expression: Expression) -> Expression:
    """Return a number without its casts to DECIMAL, which figures outside of joint computations do not have."""
    match expression:
        case Cast(operand=operand):
            return uncast(operand)
        case Operation(operator=operator, operands=operands):
            return Operation(operator, tuple(map(uncast, operands)))
        case Case(branches=branches, otherwise=otherwise):
            kept = tuple(Branch(branch.condition, uncast(branch.value)) for branch in branches)
            return Case(kept, uncast(otherwise))
    return expression


def exact(expression: Expression) -> Expression:
    """Return a number as the owner's box computes it: conditions cannot fail at a row, and whole numbers are wide."""
    match expression:
        case Operation(operator=operator, operands=operands) if operator in _ARITHMETIC:
            if not columns(expression):
                return _folded(expression)
            return Operation(operator, tuple(_wide(exact(operand)) for operand in operands))
        case Case(branches=branches, otherwise=otherwise):
            kept = tuple(Branch(attempt_condition(each.condition), exact(each.value)) for each in branches)
            return Case(kept, exact(otherwise))
        case Call(function="coalesce", arguments=arguments):
            return replace(expression, arguments=tuple(map(exact, arguments)))
    return expression


def _wide(expression: Expression) -> Expression:
    """Return an operand of arithmetic in the widest type of whole numbers, if it is one: narrow ones would overflow."""
    widened = isinstance(expression, Column | Case | Call) and _is_whole(expression)
    return Cast(expression, "BIGINT") if widened else expression


def _is_whole(expression: Expression) -> bool:
    """Return whether the engine computes a number as a whole one, of whatever width."""
    match expression:
        case Column(type=kind) | Cast(type=kind):
            return bool(grammar.INTEGERS.fullmatch(kind))
        case Constant(text=text):
            return "." not in text
        case Case():
            return all(map(_is_whole, expression.values))
    return all(map(_is_whole, expression.parts))


def _folded(expression: Operation) -> Expression:
    found = _range(expression, {}, exp.Null())
    assert found is not None, "arithmetic of constants has a value"
    return number(found.low, found.decimals)


def number(value: int, decimals: int) -> Expression:
    """Return a constant, given times 10^decimals."""
    digits = str(abs(value)).rjust(decimals + 1, "0")
    text = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    constant = Constant(Sort.NUMBER, text)
    return Operation("negative", (constant,)) if value < 0 else constant


def refused_mixture(node: exp.Expression, relations: set[str], what: str) -> SqlUnsupported:
    """Return the refusal of an expression that would need rows of several owners at one place."""
    return refusal.unsupported(
        node,
        f"{what} uses columns of {' and '.join(sorted(relations))}: no place sees the rows of both",
        "Write conditions and values over one relation each; of two owners only products can be added up.",
    )
