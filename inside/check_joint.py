"""The checker box on a joint statement: both readers must find the same, on empty likenesses of all owners' relations.

The guard (`policies.reading.joint`) cuts the statement into portions. The engine's binder reads the member's statement,
and each owner's part by itself. A reading is given out only if

* the binder accepts the member's whole statement, and finds in it one scan of each portion's relation, joined on the
  columns that name persons and on nothing else;
* its filters are those of the portions together, but for rows without a key of their group, which portions leave out;
* its groups are those of the portions;
* it reads the columns that the stand-ins read, and no other, and portions read no more;
* each operand has, for the binder, as many decimals as the guard says.

Of a table in parts this holds for each part, with the outer SELECT over that part alone (`inside.bound_parts`): it is
a scan of one relation, and nothing is joined. Where persons in common are asked for, the one output is a column that
names them, and there are no groups. Scores and lookups have rows and outputs of their own (`inside.check_persons`).

No key and no row comes into this box.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from inside.bound import Connection, chosen_rows, grouped_rows, planned, rows_below, scanned, shadow_engine
from inside.bound_parts import looked_at, parts
from inside.check_persons import disagreement, joins_of, own_rows, require_lookup, require_scores, source_of
from inside.engine import identifier
from plans.joint import JointReading, Portion, Shape
from plans.joint_shadows import JointShadow
from plans.names import PERSON
from policies.reading import read_joint

_WHOLE = re.compile(r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)")
_DECIMAL = re.compile(r"DECIMAL\(\d{1,2},\s?(\d{1,2})\)")


def check_joint(
    statement: str, shadows: tuple[JointShadow, ...], memory_mb: int, opened: Connection | None = None
) -> JointReading:
    """Return the joint reading on which both readers agree; `opened` is an engine without tables, if there is one.

    Raises:
        SqlSyntax, SqlUnsupported, TooLarge, Malformed: the statement is refused.
    """
    reading = read_joint(statement, shadows)
    known = {each.shadow.relation: each.shadow for each in shadows}
    used = tuple(known[portion.relation] for portion in reading.portions)
    connection = shadow_engine(used, memory_mb, opened)
    try:
        _REQUIRE[reading.shape](connection, statement, reading)
        if reading.shape is not Shape.STACKED:  # of parts, each is looked at
            _require_columns(connection, statement, reading)
        for portion in reading.portions:
            _require_scales(connection, portion)
    finally:
        connection.close()
    return reading


def _require_rows(connection: Connection, statement: str, reading: JointReading) -> None:
    """The same relations, joined by persons, filtered and grouped as the portions say."""
    relations, common = tuple(portion.relation for portion in reading.portions), reading.shape is Shape.COMMON
    scans, joins, filters, groups = (chosen_rows if common else grouped_rows)(connection, statement)
    if scans != relations:
        raise disagreement("relations")
    if len(joins) != len(relations) - 1 or not set(joins) <= joins_of(reading):
        raise disagreement("joins")
    expected: set[str] = set()
    without_key: set[str] = set()
    keys: list[str] = []
    for place, portion in enumerate(reading.portions):
        expected |= set(grouped_rows(connection, own_rows(portion), relations[:place])[2])
        columns = [f"{portion.relation}#{place}.{group.column}" for group in portion.groups]
        without_key |= {f"(NOT ({column} IS NULL))" for column in columns}
        keys += columns
    if not expected - without_key <= set(filters) <= expected:
        raise disagreement("conditions")
    if common:
        if not set(groups) <= _keys(reading) or len(groups) != 1:
            raise disagreement("output")
    elif sorted(groups) != sorted(keys):
        raise disagreement("groups")


def _require_parts(connection: Connection, statement: str, reading: JointReading) -> None:
    """As many parts, each of them filtered and grouped as its portion says, over the columns of its stand-in."""
    found = parts(planned(connection, statement))
    if len(found) != len(reading.portions):
        raise disagreement("parts")
    for portion, part in zip(reading.portions, found, strict=True):
        scans, joins, filters, groups = rows_below(part)
        if scans != (portion.relation,) or joins:
            raise disagreement("relations")
        own = set(grouped_rows(connection, own_rows(portion))[2])
        keys = [f"{portion.relation}#0.{group.column}" for group in portion.groups]
        if not own - {f"(NOT ({key} IS NULL))" for key in keys} <= set(filters) <= own:
            raise disagreement("conditions")
        if sorted(groups) != sorted(keys):
            raise disagreement("groups")
        if looked_at(part) != _alone(connection, portion):
            raise disagreement("columns")


_REQUIRE: dict[Shape, Callable[[Connection, str, JointReading], None]] = {
    Shape.JOINED: _require_rows,
    Shape.COMMON: _require_rows,
    Shape.STACKED: _require_parts,
    Shape.SCORED: require_scores,
    Shape.LOOKUP: require_lookup,
}


def _keys(reading: JointReading) -> set[str]:
    """Return every column that names persons."""
    named = ((place, portion, (PERSON, portion.key)) for place, portion in enumerate(reading.portions))
    return {f"{portion.relation}#{place}.{column}" for place, portion, both in named for column in both}


def _require_columns(connection: Connection, statement: str, reading: JointReading) -> None:
    """The member's statement reads the columns that the stand-ins read, and portions read no others."""
    found = scanned(planned(connection, statement))
    alone: set[tuple[str, str]] = set()
    links: set[tuple[str, str]] = set()
    for portion in reading.portions:
        alone |= _alone(connection, portion)
        links |= {(portion.relation, PERSON), (portion.relation, portion.key)}
    if found - links != alone - links:
        raise disagreement("columns")


def _alone(connection: Connection, portion: Portion) -> set[tuple[str, str]]:
    """Return the columns that a stand-in reads; its portion reads no others."""
    computed = [operand.expression for operand in portion.operands]
    computed += [identifier(group.column) for group in portion.groups]
    read = scanned(planned(connection, portion.stand_in))
    if not scanned(planned(connection, f"SELECT {', '.join([*computed, '1'])} {source_of(portion)}")) <= read:
        raise disagreement("columns")
    return read


def _require_scales(connection: Connection, portion: Portion) -> None:
    """Each operand is, for the binder, an exact number with as many decimals as the guard says."""
    if not portion.operands:
        return
    listed = ", ".join(f"({operand.expression}) AS e{n}" for n, operand in enumerate(portion.operands))
    for operand, column in zip(
        portion.operands,
        connection.execute(f"DESCRIBE SELECT {listed} {source_of(portion)}").fetchall(),
        strict=True,
    ):
        kind = str(column[1])
        found = _DECIMAL.fullmatch(kind)
        scale = int(found[1]) if found else 0 if _WHOLE.fullmatch(kind) else None
        if scale != operand.decimals:
            raise disagreement("decimals")
