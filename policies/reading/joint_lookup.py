"""Hidden lookups 匿踪查询: what another owner's register has of a few persons, without telling it of whom.

    SELECT c.person, r.region, r.status
    FROM own.cases c LEFT JOIN civil.register r USING (person) WHERE c.case_no = 17 LIMIT 5

The join is a LEFT JOIN, for who is absent is in the answer, too, without values. LIMIT says how many questions are
asked, neither more nor less: persons fewer than that are filled up with nobody, and with more the computation does not
begin. So the number is public, and tells the register's owner nothing of how many persons meet the condition.

Of the register only columns as they stand can be looked up, as texts of a width that everybody knows. There is no
condition on its rows: one would tell more of a person than its columns do. Its owner's rules about rows decide: the
stand-in shows these columns row by row. The seeker's own stand-in shows the columns in its condition, since whoever is
in the answer meets it; without one it counts its rows.
"""

from __future__ import annotations

import re
from dataclasses import replace

from sqlglot import exp

from plans.joint import Field, JointReading, Shape
from plans.joint_reading import MOST_WIDTH
from plans.joint_shadows import JointShadow
from plans.names import PERSON
from plans.request import statement_digest
from policies.reading import joint_select, refusal
from policies.reading.joint_figures import Sums
from policies.reading.joint_ranges import Facts
from policies.reading.joint_scored import require_key
from policies.reading.sources import Scope, refuse_extra
from policies.reading.tree import Column, Expression, columns

MOST_LOOKUPS = 100
"""Persons who are looked up by one statement, at the most: each of them is one question."""

_ASKER, _REGISTER = 0, 1
"""Places of the two portions."""

_WIDTHS = {
    "BOOLEAN": 5, "TINYINT": 4, "SMALLINT": 6, "INTEGER": 11, "BIGINT": 20, "HUGEINT": 40, "UTINYINT": 3,
    "USMALLINT": 5, "UINTEGER": 10, "UBIGINT": 20, "UHUGEINT": 39, "FLOAT": 16, "DOUBLE": 24, "DATE": 10, "TIME": 15,
    "TIMESTAMP": 26, "UUID": 36,
}  # fmt: skip
"""The longest text of a value by its type, as the engine prints it, up to the year 9999."""

_TEXT = 64
"""Bytes of a text of which no values were declared."""

_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),\s?\d{1,2}\)")
_AROUND = 3
"""A sign, a point and a 0 before it."""


def read_lookup(
    text: str, root: exp.Select, scope: Scope, facts: Facts, limit: exp.Expression | None
) -> JointReading:
    """Return what a statement of lookups is; `scope` has the persons first, and the register by a LEFT JOIN.

    Raises:
        SqlSyntax: it names what is not there.
        SqlUnsupported: it asks for more than columns of the register, of at most `MOST_LOOKUPS` persons.
    """
    if len(scope.sources) != 2 or root.args.get("group"):
        raise refusal.unsupported(
            root,
            "LEFT JOIN looks persons of one relation up in one register, row by row",
            "Look up in one register at a time, without GROUP BY; figures need JOIN … USING (person).",
        )
    asked = _limit(root, limit)
    key, *items = joint_select.items_of(root)
    require_key(key, scope, facts)
    conditions = joint_select.conditions_of(root, scope)
    if conditions[_REGISTER]:
        raise refusal.unsupported(
            root.args["where"],
            f"a condition on {scope.sources[_REGISTER].shadow.relation}, in which persons are looked up",
            "Look its columns up, and choose rows on your own side.",
        )
    _require_unnamed(root, conditions[_ASKER], facts[scope.sources[_ASKER].alias].key)
    names = [joint_select.name_of(key, 1, [])]
    fields: list[Field] = []
    for item in items:
        names.append(joint_select.name_of(item, len(names) + 1, names))
        fields.append(_field(item, names[-1], scope, facts))
    _require_fields(root, fields)
    asker, register = (
        joint_select.portion_of(place, source, Sums.over(scope, facts), conditions[place], [])
        for place, source in enumerate(scope.sources)
    )
    shown = joint_select.shown(scope.sources[_REGISTER], [field.column for field in fields], [])
    return JointReading(
        statement=statement_digest(text),
        portions=(
            replace(joint_select.chosen(asker, scope.sources[_ASKER], conditions[_ASKER]), bound=asked),
            replace(register, stand_in=shown, fields=tuple(fields)),
        ),
        sums=(),
        figures=(),
        outputs=tuple(names),
        shape=Shape.LOOKUP,
    )


def _limit(root: exp.Select, limit: exp.Expression | None) -> int:
    """Return how many persons are looked up."""
    instead = f"Write LIMIT 1 to {MOST_LOOKUPS}: so many questions are asked, however few persons there are."
    if limit is None:
        raise refusal.unsupported(
            root, "LEFT JOIN looks persons up, and LIMIT does not say how many", instead
        )
    if not isinstance(limit, exp.Limit):
        raise refusal.unsupported(limit, "FETCH is not in the subset of joint statements", instead)
    refuse_extra(limit, {"expression"})
    count = limit.expression
    plain = (
        isinstance(count, exp.Literal) and not count.is_string and re.fullmatch(r"\d{1,3}", str(count.this))
    )
    if not plain or not 1 <= int(count.this) <= MOST_LOOKUPS:
        raise refusal.unsupported(
            limit, f"LIMIT of a lookup is a whole number from 1 to {MOST_LOOKUPS}", instead
        )
    return int(count.this)


def _field(item: exp.Expression, name: str, scope: Scope, facts: Facts) -> Field:
    node = joint_select.inner(item)
    if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
        raise refusal.unsupported(
            item, "what is looked up is a column as it stands", "Compute with it on your own side."
        )
    column, register = scope.column(node), scope.sources[_REGISTER]
    known = facts[register.alias]
    if column.source != register.alias:
        raise refusal.unsupported(
            item,
            f"{column.relation}.{column.name} is a column of the rows that are looked up, and no record of"
            f" {register.shadow.relation}",
            f"Yield {scope.sources[_ASKER].alias}.{PERSON} and columns of the register; join them to the own ones on"
            " your own side.",
        )
    if column.name in (PERSON, known.key):
        raise refusal.unsupported(
            item,
            f"{column.relation}.{column.name} names persons, whom the one who asks knows already",
            "Leave it out: a person who is absent has no values.",
        )
    return Field(name, column.name, column.type, _width(item, column, known))


def _width(item: exp.Expression, column: Column, known: JointShadow) -> int:
    """Return the most bytes of a column's texts: from what was declared of it, or by its type."""
    declared = known.declared_of(column.name).values
    if column.type == "VARCHAR":
        width = max((len(value.encode()) for value in declared), default=_TEXT)
    else:
        found = _DECIMAL.fullmatch(column.type)
        width = int(found[1]) + _AROUND if found else _WIDTHS.get(column.type, 0)
    if not 1 <= width <= MOST_WIDTH:
        raise refusal.unsupported(
            item,
            f"{column.relation}.{column.name} has no texts of 1 to {MOST_WIDTH} bytes",
            "Look up columns of plain types; ask the owner for shorter codes.",
        )
    return width


def _require_unnamed(root: exp.Select, conditions: list[Expression], key: str) -> None:
    """Check that no constant of the statement, which every party reads, names who is asked for."""
    if any(column.name == key for each in conditions for column in columns(each)):
        raise refusal.unsupported(
            root.args["where"],
            f"a condition on {key}, which names persons: every party reads the statement, and would read who is"
            " asked for",
            "Choose rows by a column that says nothing to others, such as the number of a case.",
        )


def _require_fields(root: exp.Select, fields: list[Field]) -> None:
    columns = [field.column for field in fields]
    if not columns:
        raise refusal.unsupported(
            root,
            "no column of the register is looked up",
            "To learn who is there, ask for persons in common.",
        )
    if len(set(columns)) < len(columns):
        raise refusal.unsupported(root, "a column of the register is looked up twice", "Name it once.")
