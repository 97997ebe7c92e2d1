"""Whom a CASE leaves out of a figure, and what they add: who asks for a figure over all finds it by subtraction.

`sum(CASE WHEN tax = 0 OR … THEN 0 ELSE tax END)` leaves out as many persons as one likes, of whom one pays a tax:
beside `sum(tax)` it tells that one (ATTACKS 24, 29). So it is not enough to count those who are left out. A figure is
*turned*: the value stands where the CASE had none. The turned figure is tested like one that is asked for, by persons
and by dominance, and never shown (`plans.joint.JointFigure.beside`, `rest`).
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from policies.reading import joint_ranges as ranges
from policies.reading import listed, translate
from policies.reading.joint_summands import ONE
from policies.reading.sources import Scope
from policies.reading.tree import NULL, ZERO, Branch, Case, Expression, columns


def left_out(node: exp.Expression, scope: Scope) -> Iterator[tuple[exp.Case, Case]]:
    """Yield each CASE in a figure with the number 1 where it chooses a branch without a value and 0 elsewhere; those
    that have no such branch not. Where values are counted, 0 is one.
    """
    for each in node.find_all(exp.Case):
        case = translate.value(each, listed.rows(scope))
        flag = _flag(case, isinstance(node, exp.Count)) if isinstance(case, Case) else None
        if flag is not None and columns(flag):
            yield each, flag


def _flag(case: Case, counted: bool) -> Case | None:
    def chosen(value: Expression) -> Expression:
        return ONE if value == NULL or (not counted and ranges.is_nothing(value)) else ZERO

    found = Case(
        tuple(Branch(each.condition, chosen(each.value)) for each in case.branches), chosen(case.otherwise)
    )
    return found if ONE in found.values else None


def turned(node: exp.Expression, scope: Scope) -> Iterator[exp.Expression]:
    """Yield a figure with each of its CASEs turned by itself; of a count there is nothing but the count of those left
    out. What differs from the figure in several CASEs has all of each of these, so it passes where they do.
    """
    if isinstance(node, exp.Count):
        return
    for place, case in enumerate(node.find_all(exp.Case)):
        if case.find_ancestor(exp.Case) is None:
            copy = node.copy()
            if _turn(list(copy.find_all(exp.Case))[place], scope):
                yield copy


def _turn(case: exp.Case, scope: Scope) -> bool:
    """Turn a CASE in place, and return whether it has a branch with a value and one without."""
    places: list[tuple[exp.Expression, str]] = [(branch, "true") for branch in case.args["ifs"]]
    places.append((case, "default"))
    given = [holder.args.get(part) or exp.Null() for holder, part in places]
    without = [ranges.is_nothing(translate.value(each, listed.rows(scope))) for each in given]
    if all(without) or not any(without):
        return False
    value, nothing = given[without.index(False)], given[without.index(True)]
    for (holder, part), no in zip(places, without, strict=True):
        holder.set(part, (value if no else nothing).copy())
    return True
