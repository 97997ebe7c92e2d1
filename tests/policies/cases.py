"""A case that is allowed, and ways to change one thing about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plans.manifest import Manifest
from plans.reading import Clause, ColumnUse, Reading
from plans.statements import Bundle, DatasetPolicy, Grant
from policies.api import Case, Granted
from tests.keeper import house

PROPERTY_GRANT = replace(house.GRANT, dataset=house.PROPERTY, columns=("houses",))


def granted(body: Grant = house.GRANT, name: str = "grant", **changes: Any) -> Granted:
    """A verified grant that stands, for a month."""
    good = Granted(
        house.digest(name), body, house.NOW, house.NOW + 30 * house.DAY, revoked=False, uses_left=2
    )
    return replace(good, **changes)


def use(column: str, clause: Clause, function: str = "", relation: str = "tax.income") -> ColumnUse:
    """A use of a column."""
    return ColumnUse(relation, column, clause, function)


def reading(*uses: ColumnUse, relations: tuple[str, ...] = ("tax.income",)) -> Reading:
    """A reading of a statement with these uses."""
    return replace(house.READING, uses=uses or house.READING.uses, relations=relations)


def bundle(*policies: DatasetPolicy, number: int = 7) -> Bundle:
    """The owner's bundle."""
    return Bundle(house.DOMAIN, number, policies or (house.INCOME_POLICY, house.PROPERTY_POLICY))


MANIFESTS: tuple[Manifest, ...] = (house.manifest(), house.manifest(house.PROPERTY))

GOOD = Case(
    request=house.REQUEST,
    reading=reading(),
    bundle=bundle(),
    manifests=MANIFESTS,
    grants=(granted(), granted(PROPERTY_GRANT, "property grant")),
    approvers=(house.APPROVER, "hu@nm/tax"),
    now=house.NOW + house.DAY,
)
"""`select region, count(*), avg(income) from tax.income group by region`, with a grant on all of it."""

BOTH = replace(
    GOOD,
    reading=reading(
        *house.READING.uses,
        use("person", Clause.JOIN),
        use("person", Clause.JOIN, relation="tax.property"),
        use("houses", Clause.AGGREGATE, "sum", "tax.property"),
        relations=("tax.income", "tax.property"),
    ),
)
"""The same joined with the same owner's other dataset."""
